"""What the tables say of themselves: of a warehouse's own, and of the marts that are published."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from m3ter_sync.source.tables import TABLES, Table
from m3ter_sync.warehouse.location import RAW_SCHEMA, WarehouseIncomplete, fetch_rows
from m3ter_sync.warehouse.state import closed_statuses

if TYPE_CHECKING:
    from m3ter_sync.warehouse.connection import Connection

Rows = list[dict[str, Any]]
_NEWEST = 5


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read, under the names that `Status` has for it.

    Attributes:
        status: Attributes of `Status`.
        newest_load_id: The newest load of dlt that was completed.
        models_as_of: The start of the last sync that the views were built after.
    """

    status: dict[str, Any]
    newest_load_id: str | None = None
    models_as_of: datetime | None = None


def read_raw(connection: "Connection") -> Facts:
    """Reads a warehouse's own tables, those that are there."""
    held: dict[str, list[str]] = {}
    for row in fetch_rows(
        connection,
        "select table_name, column_name from information_schema.columns "
        "where table_catalog = current_database() and table_schema = ?",
        [RAW_SCHEMA],
    ):
        held.setdefault(row["table_name"], []).append(row["column_name"])
    syncs = _read_syncs(connection, f"{RAW_SCHEMA}.syncs") if "syncs" in held else {}
    organization = fetch_rows(connection, _ORGANIZATION) if "entities" in held else []
    loads = fetch_rows(connection, _NEWEST_LOAD) if "_dlt_loads" in held else []
    has_rejected = "rejected_rows" in held
    counted = fetch_rows(connection, _REJECTED_COUNTS) if has_rejected else []
    rejected = {row["table_name"]: row["n"] for row in counted}
    entities = _read_entities(connection, held)
    return Facts(
        syncs
        | {
            "organization_id": organization[0]["entity_id"] if organization else None,
            "tables": [
                _count(connection, table, set(held[table.name]), rejected.get(table.name, 0))
                for table in TABLES
                if table.name in held
            ],
            "entities": entities,
            "open_run_count": sum(row["open_run_count"] for row in entities),
            "rejected": fetch_rows(connection, _REJECTED, [_NEWEST]) if has_rejected else [],
        },
        newest_load_id=loads[0]["load_id"] if loads else None,
        models_as_of=_read_models_as_of(connection),
    )


def read_copy(connection: "Connection") -> Facts:
    """Reads what the published marts say of the same."""
    (runs,) = fetch_rows(connection, _OPEN_RUNS)
    return Facts(
        _read_syncs(connection, _PUBLISHED_SYNCS)
        | {"tables": fetch_rows(connection, _PUBLISHED_TABLES), "open_run_count": runs["n"]}
    )


def _read_syncs(connection: "Connection", log: str) -> dict[str, Any]:
    """What the log of syncs says; an older version's has fewer columns, so all are read."""
    # The name is one of our own relations.
    syncs = fetch_rows(connection, f"select * from {log}")  # noqa: S608 - our own names
    # The newest has the highest number: the clock may have been put back since the latest start.
    syncs.sort(key=lambda sync: (sync.get("sync_number") or 0, sync["started_at"]), reverse=True)
    succeeded = next((sync for sync in syncs if sync["outcome"] == "succeeded"), None)
    return {
        "as_of": succeeded["started_at"] if succeeded else None,
        "unread_row_count": succeeded.get("rejected_row_count") if succeeded else None,
        "last_sync": syncs[0] if syncs else None,
        "errors": [sync for sync in syncs if sync["error"]][:_NEWEST],
    }


def _count(
    connection: "Connection", table: Table, columns: set[str], rejected: int
) -> dict[str, Any]:
    current = "_dlt_valid_to is null" if "_dlt_valid_to" in columns else "true"
    newest = "max(dt_last_modified)" if "dt_last_modified" in columns else "null"
    (row,) = fetch_rows(
        connection,
        f"""
        select count(*) filter (where {current}) as rows,
            count(*) filter (where not ({current})) as past_versions,
            max(to_timestamp(try_cast(_dlt_load_id as double))) as last_changed_at,
            cast({newest} as timestamptz) as newest_record_at
        from {RAW_SCHEMA}.{table.name}
        """,  # noqa: S608 - names of our own
    )
    return {"table": table.name, **row, "rejected_rows": rejected}


def _read_entities(connection: "Connection", held: dict[str, list[str]]) -> Rows:
    """Bills and notifications, by type; from those of their tables that are there."""
    known = [sql for table, sql in _KNOWN.items() if table in held] or [_NONE_KNOWN]
    listed = _LISTED if {"entities", "_dlt_loads"} <= held.keys() else _NONE_LISTED
    values = list(closed_statuses()) if "integration_runs" in held else []
    runs = _RUNS.format(closed=", ".join("?" * len(values))) if values else _NO_RUNS
    sql = f"with known as ({' union '.join(known)}), listed as ({listed}), runs as ({runs})"
    return fetch_rows(connection, sql + _ENTITIES, values)


def _read_models_as_of(connection: "Connection") -> datetime | None:
    """When the views were last built, told by the sync that they were built after."""
    import duckdb

    try:
        (row,) = fetch_rows(connection, "select max(as_of) as as_of from m3ter.sync_status")
    except (duckdb.CatalogException, WarehouseIncomplete):
        return None  # never
    newest: datetime | None = row["as_of"]
    return newest


_ORGANIZATION = "select entity_id from m3ter_raw.entities where entity_type = 'Organization'"
_NEWEST_LOAD = "select max(load_id) as load_id from m3ter_raw._dlt_loads where status = 0"
_REJECTED_COUNTS = (
    "select table_name, count(*) as n from m3ter_raw.rejected_rows group by table_name"
)
_REJECTED = """
select table_name, entity_type, entity_id, reason, rejected_at
from m3ter_raw.rejected_rows order by rejected_at desc, rejected_id limit ?
"""
_KNOWN = {
    "bills": "select 'Bill' as entity_type, id as entity_id from m3ter_raw.bills",
    "notification_configurations": (
        "select 'Notification' as entity_type, id as entity_id "
        "from m3ter_raw.notification_configurations where _dlt_valid_to is null"
    ),
    "entities": (
        "select entity_type, entity_id from m3ter_raw.entities where entity_type != 'Organization'"
    ),
}
_NONE_KNOWN = "select '' as entity_type, '' as entity_id where false"
# As for the sync itself, a listing counts once its whole load is done.
_LISTED = """
select each.entity_type, each.entity_id, each.listed_at, each.is_gone
from m3ter_raw.entities as each
inner join m3ter_raw._dlt_loads as loads on each._dlt_load_id = loads.load_id
where loads.status = 0
"""
_NONE_LISTED = """
select '' as entity_type, '' as entity_id, null::timestamptz as listed_at, false as is_gone
where false
"""
# A run that is open, and the newest start, are where the next listing of an entity begins.
_RUNS = """
select entity_type, count(*) filter (where status not in ({closed})) as open_run_count,
    max(dt_started) as newest_run_started_at
from m3ter_raw.integration_runs group by entity_type
"""
_NO_RUNS = """
select '' as entity_type, 0 as open_run_count, null::timestamptz as newest_run_started_at
where false
"""
_ENTITIES = """
, counts as (
    select known.entity_type, count(*) as entity_count,
        count(*) filter (where listed.listed_at is null) as never_asked_count,
        count(*) filter (where listed.is_gone) as gone_count,
        min(listed.listed_at) filter (where listed.is_gone is not true) as listed_since
    from known left join listed using (entity_type, entity_id)
    group by known.entity_type
)
select entity_type, coalesce(entity_count, 0) as entity_count,
    coalesce(never_asked_count, 0) as never_asked_count, coalesce(gone_count, 0) as gone_count,
    coalesce(open_run_count, 0) as open_run_count, newest_run_started_at, listed_since
from counts full join runs using (entity_type)
where entity_type is not null
order by entity_type
"""
_PUBLISHED_TABLES = """
select table_name as "table", row_count as rows, rejected_row_count as rejected_rows,
    last_changed_at, newest_record_at
from m3ter.sync_status order by table_name
"""
_OPEN_RUNS = """
select count(*) as n from m3ter.integration_runs where run_class in ('in_flight', 'unknown')
"""
_PUBLISHED_SYNCS = "(select * rename (sync_seconds as seconds) from m3ter.load_history)"
