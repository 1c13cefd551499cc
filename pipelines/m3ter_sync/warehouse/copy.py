"""Moves a DuckDB warehouse to another destination, without asking m3ter for anything again.

The rows go over as they are, dlt's own columns with them: so cursors, histories and load times are
there what they were here, and the next sync goes on from where the last one ended. A copy that was
cut short is gone on with; until it is whole, the destination is no warehouse that a sync adds to.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import duckdb
import pyarrow as pa

from m3ter_sync.source.tables import TABLES
from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location, WarehouseMisplaced
from m3ter_sync.warehouse.refresh import refresh
from m3ter_sync.warehouse.state import HALF_COPIED, read_newest_load_id
from m3ter_sync.warehouse.syncs import make_log

if TYPE_CHECKING:
    from dlt import Pipeline

_LOG = logging.getLogger(__name__)
ROWS_PER_BATCH = 50_000
# What says which syncs and loads there were comes last, so that nothing takes a part for the whole.
_LOGS = {"syncs": ["sync_id"], "_dlt_loads": ["load_id"]}


@dataclass(slots=True)
class CopySummary:
    """What a copy did.

    Attributes:
        rows: Rows of each table at the destination now.
        kept_count: Of these, rows that an earlier attempt had brought over.
        failed_checks: Checks that fail there; then nothing was published.
    """

    rows: dict[str, int] = field(default_factory=dict)
    kept_count: int = 0
    failed_checks: list[str] = field(default_factory=list)


def copy_warehouse(source: Location, target: Location, *, run_id: str | None = None) -> CopySummary:
    """Copies all that was loaded, then builds, checks and publishes the marts over there.

    Args:
        source: A DuckDB warehouse; nobody can sync it meanwhile.
        target: An empty place, or one that a copy of the same warehouse did not come to the end of.
        run_id: What the log lines carry, told to those who find one of the two locked.

    Raises:
        WarehouseMisplaced: the source is no warehouse, or the target is one already.
        WarehouseError: one of the two cannot be used; what came over stays.
        ModelError: a setting or a model cannot be used; the rows are all there.
    """
    source.check_exists()
    summary = CopySummary()
    with ExitStack() as stack:
        stack.enter_context(source.acquire("copy", run_id))
        stack.enter_context(target.acquire("copy", run_id))
        origin = stack.enter_context(source.connect(read_only=True))
        pipeline = build_pipeline(target)
        version = _read_version(origin, source)
        held = read_newest_load_id(pipeline)
        connection = stack.enter_context(target.connect())
        place = _Target(connection)
        if not place.is_begun and (held or place.has("syncs")):
            raise WarehouseMisplaced(
                f"{target.name} holds a warehouse already: copy into an empty database, or drop "
                f"the schema {RAW_SCHEMA} there."
            )
        _make_tables(pipeline, origin)
        place.begin(version, source.name)
        columns = _read_columns(origin)
        for table in TABLES:
            if table.name in columns:
                order = [*table.primary_key]
                if "_dlt_valid_from" in columns[table.name]:
                    order.append("_dlt_valid_from")
                _copy_table(origin, place, table.name, columns[table.name], order, summary)
        make_log(connection)
        with place.transaction():
            for name, order in _LOGS.items():
                for batch in _read(origin, name, columns.get(name, []), order):
                    place.insert(name, batch)
            place.end()
        summary.failed_checks = [check.name for check in refresh(connection, target)]
    return summary


class _Target:
    """The other end: it keeps how far each table is, in the same transactions as the rows."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_begun = self.has(HALF_COPIED)

    def has(self, name: str) -> bool:
        found = self.connection.execute(
            "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
            [RAW_SCHEMA, name],
        )
        return found.fetchone() is not None

    def begin(self, version: str, source: str) -> None:
        """Goes on with a copy, or begins one.

        Raises:
            WarehouseMisplaced: what came over is of another state of the source.
        """
        progress = f"{RAW_SCHEMA}.{HALF_COPIED}"
        if not self.is_begun:
            with self.transaction():
                self.connection.execute(f"create table {progress} (name varchar, value varchar)")
                self._note("version", version)
            return
        if self._noted("version") != version:
            raise WarehouseMisplaced(
                f"{source} was synced since the copy was begun. Drop the schema {RAW_SCHEMA} at "
                "the destination, and copy again."
            )

    def copied(self, table: str) -> int:
        """How many rows of a table came over."""
        return int(self._noted(table) or 0)

    def insert(self, table: str, rows: pa.Table) -> None:
        names = ", ".join(_quote(name) for name in rows.column_names)
        self.connection.register("copied_rows", rows)
        try:
            self.connection.execute(
                f"insert into {RAW_SCHEMA}.{table} ({names}) select {names} from copied_rows"  # noqa: S608
            )
        finally:
            self.connection.unregister("copied_rows")

    def note_copied(self, table: str, count: int) -> None:
        self._note(table, str(count))

    def end(self) -> None:
        self.connection.execute(f"drop table {RAW_SCHEMA}.{HALF_COPIED}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("begin")
        try:
            yield
        except BaseException:
            self.connection.execute("rollback")
            raise
        self.connection.execute("commit")

    def _note(self, name: str, value: str) -> None:
        progress = f"{RAW_SCHEMA}.{HALF_COPIED}"
        self.connection.execute(f"delete from {progress} where name = ?", [name])  # noqa: S608
        self.connection.execute(f"insert into {progress} values (?, ?)", [name, value])  # noqa: S608

    def _noted(self, name: str) -> str | None:
        row = self.connection.execute(
            f"select value from {RAW_SCHEMA}.{HALF_COPIED} where name = ?",  # noqa: S608
            [name],
        ).fetchone()
        return str(row[0]) if row else None


def _copy_table(
    origin: Connection,
    place: _Target,
    table: str,
    columns: list[str],
    order: list[str],
    summary: CopySummary,
) -> None:
    """Brings over the rows of a table that are not there yet, in an order that stays the same."""
    count = place.copied(table)
    summary.kept_count += count
    for batch in _read(origin, table, columns, order, after=count):
        with place.transaction():
            place.insert(table, batch)
            count += batch.num_rows
            place.note_copied(table, count)
        _LOG.info("Copied %s rows of %s", f"{count:,}", table)
    summary.rows[table] = count


def _read(
    origin: Connection, table: str, columns: list[str], order: list[str], after: int = 0
) -> Iterator[pa.Table]:
    """The rows of a table behind the first so many, some at a time; none of one without columns."""
    if not columns:
        return
    names, keys = (", ".join(map(_quote, some)) for some in (columns, order))
    sql = f"select {names} from {RAW_SCHEMA}.{table} order by {keys} offset {after}"  # noqa: S608
    reader = cast("duckdb.DuckDBPyConnection", origin.execute(sql)).to_arrow_reader(ROWS_PER_BATCH)
    for batch in reader:
        if batch.num_rows:
            yield pa.Table.from_batches([batch])


def _make_tables(pipeline: "Pipeline", origin: Connection) -> None:
    """Lets dlt make its tables there as it made them here."""
    from dlt.common.schema import Schema

    row = origin.execute(_SCHEMA).fetchone()
    if row is None:
        raise WarehouseMisplaced("Nothing was loaded yet: there is nothing to copy.")
    pipeline._inject_schema(Schema.from_stored_schema(json.loads(row[0])))
    pipeline.sync_schema()


def _read_version(origin: Connection, source: Location) -> str:
    """Tells this state of the rows from any other: by the loads that were completed."""
    try:
        row = origin.execute(_VERSION).fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None or not row[1]:
        raise WarehouseMisplaced(f"{source.name} holds no load: there is nothing to copy.")
    return f"{row[0]} of {row[1]}"


def _read_columns(origin: Connection) -> dict[str, list[str]]:
    """The columns of each table that was loaded, in order."""
    columns: dict[str, list[str]] = {}
    for table, column in origin.execute(_COLUMNS, [RAW_SCHEMA]).fetchall():
        columns.setdefault(table, []).append(column)
    return columns


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


_VERSION = f"select max(load_id), count(*) from {RAW_SCHEMA}._dlt_loads where status = 0"  # noqa: S608
_SCHEMA = f"""
select schema from {RAW_SCHEMA}._dlt_version order by version desc, inserted_at desc limit 1
"""  # noqa: S608
_COLUMNS = """
select table_name, column_name from information_schema.columns
where table_catalog = current_database() and table_schema = ?
order by table_name, ordinal_position
"""
