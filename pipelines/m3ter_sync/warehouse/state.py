"""What the warehouse holds of each entity: the cursors, read from the rows that are loaded.

There is no second place that could disagree with the rows. The SQL is plain enough for every
destination that dlt can query.
"""

import csv
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from m3ter_sync.source import Entity
from m3ter_sync.source.probe import HeldRuns
from m3ter_sync.source.tables import SNAPSHOTS
from m3ter_sync.warehouse.location import (
    POSTGRES,
    RAW_SCHEMA,
    Location,
    WarehouseMisplaced,
    fetch_rows,
)
from m3ter_sync.warehouse.sql_files import sql_folder

if TYPE_CHECKING:
    import duckdb
    from dlt import Pipeline

# What a warehouse is asked through.
Source: TypeAlias = "Pipeline | duckdb.DuckDBPyConnection"

# A run of one of these classes may still change.
_OPEN_CLASSES = ("in_flight", "unknown")
# A table that stands beside the others until a copy of a warehouse has come to its end.
HALF_COPIED = "_half_copied"


@cache
def _classes() -> dict[str, str]:
    with (sql_folder() / "reference" / "status_class.csv").open(newline="") as file:
        return {row["status"]: row["class"] for row in csv.DictReader(file)}


def known_statuses() -> frozenset[str]:
    """The statuses of a run whose meaning is known."""
    return frozenset(_classes())


def closed_statuses() -> tuple[str, ...]:
    """The statuses after which a run is at rest; any other is open, known or not."""
    return tuple(status for status, each in _classes().items() if each not in _OPEN_CLASSES)


@dataclass(frozen=True, slots=True)
class EntityState:
    """What is loaded of one entity's runs.

    Attributes:
        newest_started_at: The latest start of a run.
        open_started_at: The earliest start of a run that is open.
        open_count: How many runs are open.
        waiting_count: How many runs are open and never started.
        run_count: How many runs are loaded.
        newest_created_at: When the run that was created last was created.
        newest_run: Id, version and modification time of that run.
        listed_at: When its last complete listing began.
        swept_at: When its last listing from the first run on began.
        is_gone: Whether the API answered that there is none.
    """

    run_count: int = 0
    newest_created_at: datetime | None = None
    newest_started_at: datetime | None = None
    open_started_at: datetime | None = None
    open_count: int = 0
    waiting_count: int = 0
    newest_run: tuple[str, int | None, datetime | None] | None = None
    listed_at: datetime | None = None
    swept_at: datetime | None = None
    is_gone: bool = False

    @property
    def newest_runs(self) -> HeldRuns | None:
        """The newest runs, by creation and by start; None without any."""
        if not self.run_count:
            return None
        return HeldRuns(self.newest_created_at, self.newest_started_at)


@dataclass(slots=True)
class WarehouseState:
    """What the warehouse holds, as far as a sync must know it."""

    organization_id: str | None = None
    bills_listed_at: datetime | None = None
    entities: dict[Entity, EntityState] = field(default_factory=dict)
    bill_ids: list[str] = field(default_factory=list)
    snapshot_counts: dict[str, int] = field(default_factory=dict)

    def check(self, organization_id: str, location: Location) -> None:
        """Refuses to mix two organizations in one warehouse.

        Raises:
            WarehouseMisplaced: it holds another organization's rows.
        """
        if self.organization_id not in (None, organization_id):
            raise WarehouseMisplaced(
                f"{location.name} holds organization {self.organization_id}, and the "
                f"settings name {organization_id}. Give each a --database in a folder of its own."
            )


_RUNS = """
select
    entity_type, entity_id,
    count(*) as run_count,
    max(dt_created) as newest_created_at,
    max(dt_started) as newest_started_at,
    min(case when is_open = 1 then dt_started end) as open_started_at,
    sum(is_open) as open_count,
    sum(case when is_open = 1 and dt_started is null then 1 else 0 end) as waiting_count,
    max(case when place = 1 then id end) as newest_id,
    max(case when place = 1 then version end) as newest_version,
    max(case when place = 1 then dt_last_modified end) as newest_modified_at
from (
    select
        entity_type, entity_id, id, version, dt_created, dt_last_modified, dt_started,
        case when status in ({closed}) then 0 else 1 end as is_open,
        row_number() over (
            partition by entity_type, entity_id
            order by coalesce(dt_created, dt_started) desc, dt_started desc, id desc
        ) as place
    from {integration_runs}
) as runs
where entity_type is not null and entity_id is not null
group by entity_type, entity_id
"""
# An entity's row counts once its whole load is done: only then are its runs loaded too.
_LISTED = """
select e.entity_type, e.entity_id, e.listed_at, e.swept_at, e.is_gone
from {entities} as e
inner join {_dlt_loads} as l on e._dlt_load_id = l.load_id
where l.status = 0
"""


def read_state(source: Source) -> WarehouseState:
    """Reads what a warehouse holds; an empty one gives an empty state.

    Args:
        source: The database that a lake is read through, else the pipeline of the destination.
    """
    state = WarehouseState()
    rows: dict[Entity, dict[str, Any]] = {}
    closed = ", ".join(f"'{status}'" for status in closed_statuses())
    for row in _query(source, _RUNS, closed=closed):
        entity = Entity(row.pop("entity_type"), row.pop("entity_id"))
        newest = (row.pop("newest_id"), row.pop("newest_version"), row.pop("newest_modified_at"))
        rows[entity] = {**row, "newest_run": newest}
    for row in _query(source, _LISTED):
        entity = Entity(row.pop("entity_type"), row.pop("entity_id"))
        if entity.entity_type == "Organization":
            state.organization_id = entity.entity_id
            state.bills_listed_at = row["swept_at"]
        else:
            rows.setdefault(entity, {}).update(row)
    state.entities = {entity: EntityState(**row) for entity, row in rows.items()}
    state.bill_ids = [row["id"] for row in _query(source, "select id from {bills}")]
    for name in (table.name for table in SNAPSHOTS):
        # The name is one of our own tables.
        sql = f"select count(*) as n from {{{name}}} where _dlt_valid_to is null"  # noqa: S608 - our own names
        for row in _query(source, sql):
            state.snapshot_counts[name] = row["n"]
    return state


def check_whole(source: Source, location: Location) -> None:
    """Refuses to add to half of a warehouse, be it what an earlier sync left behind.

    Raises:
        WarehouseMisplaced: a copy into it did not come to its end.
    """
    if _query(source, f"select name from {{{HALF_COPIED}}}"):  # noqa: S608 - our own name
        raise WarehouseMisplaced(
            f"A copy into {location.name} did not come to its end. Run m3ter-sync copy --to "
            f"{location.destination} again: it goes on where it was."
        )


def read_newest_load_id(source: Source) -> str | None:
    """Tells the loads that were completed from any others: the highest id, and how many.

    An id is the time of the load, by a clock that may have been put back since.
    """
    sql = "select max(load_id) as load_id, count(*) as n from {_dlt_loads} where status = 0"
    found = next(iter(_query(source, sql)), None)
    return f"{found['load_id']} of {found['n']}" if found and found["n"] else None


def read_newest_sync_number(source: Source) -> int:
    """The highest number in the log of syncs; 0 before the first."""
    found = _query(source, "select max(sync_number) as n from {syncs}")
    return int(found[0]["n"] or 0) if found else 0


class _TableNames(dict[str, str]):
    def __init__(self, client: Any, **given: str) -> None:
        super().__init__(given)
        self._client = client

    def __missing__(self, name: str) -> str:
        return str(self._client.make_qualified_table_name(name))


def _telling_errors(pipeline: "Pipeline") -> AbstractContextManager[None]:
    if pipeline.destination.destination_name != POSTGRES:
        return nullcontext()
    from m3ter_sync.warehouse.postgres_errors import telling_errors

    return telling_errors()


class _RawNames(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return f"{RAW_SCHEMA}.{name}"


def _query(source: Source, sql: str, **given: str) -> list[dict[str, Any]]:
    """The rows of a query; none where a table does not exist yet."""
    import duckdb
    from dlt.common.destination.exceptions import DestinationUndefinedEntity

    if isinstance(source, duckdb.DuckDBPyConnection):
        try:
            return fetch_rows(source, sql.format_map(_RawNames(given)))
        except duckdb.CatalogException:
            return []
    with _telling_errors(source), source.sql_client() as client:
        text = sql.format_map(_TableNames(client, **given))
        try:
            with client.execute_query(text) as cursor:
                names = [column[0] for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except DestinationUndefinedEntity:
            return []
