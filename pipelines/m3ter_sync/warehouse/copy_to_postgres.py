"""Copies the rows of a DuckDB warehouse to PostgreSQL.

They go over as they are, dlt's own columns with them. A copy that was cut short is gone on with;
until it is whole, the database is no warehouse that a sync adds to.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa

from m3ter_sync.source.tables import TABLES
from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.copy_origin import CopySummary, Origin
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.location import RAW_SCHEMA, Location, WarehouseMisplaced
from m3ter_sync.warehouse.state import HALF_COPIED, read_newest_load_id
from m3ter_sync.warehouse.syncs import make_log
from m3ter_sync.warehouse.versions import quote_name

if TYPE_CHECKING:
    from dlt import Pipeline

_LOG = logging.getLogger(__name__)
ROWS_PER_BATCH = 50_000
# What says which syncs and loads there were comes last, so that nothing takes a part for the whole.
_LOGS = {"syncs": ["sync_id"], "_dlt_loads": ["load_id"]}


def copy_rows(origin: Origin, target: Location, summary: CopySummary) -> None:
    """Brings over what is not there yet.

    Raises:
        WarehouseMisplaced: there is a warehouse already, or half a copy of another.
        WarehouseError: the server cannot be used; what came over stays.
    """
    pipeline = build_pipeline(target)
    held = read_newest_load_id(pipeline)
    with target.connect() as connection:
        place = _Target(connection)
        if not place.is_begun and (held or place.has("syncs")):
            raise WarehouseMisplaced(
                f"{target.name} holds a warehouse already: copy into an empty database, or drop "
                f"the schema {RAW_SCHEMA} there."
            )
        _make_tables(pipeline, origin)
        place.begin(origin)
        for table in TABLES:
            if table.name in origin.columns:
                order = [*table.primary_key]
                if "_dlt_valid_from" in origin.columns[table.name]:
                    order.append("_dlt_valid_from")
                _copy_table(origin, place, table.name, order, summary)
        make_log(connection)
        with place.transaction():
            for name, order in _LOGS.items():
                for batch in _read(origin, name, order):
                    place.insert(name, batch)
            place.end()


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

    def begin(self, origin: Origin) -> None:
        """Goes on with a copy, or begins one.

        Raises:
            WarehouseMisplaced: what came over is of another state of the source.
        """
        progress = f"{RAW_SCHEMA}.{HALF_COPIED}"
        if not self.is_begun:
            with self.transaction():
                self.connection.execute(f"create table {progress} (name varchar, value varchar)")
                self._note("version", origin.version)
            return
        if self._noted("version") != origin.version:
            raise WarehouseMisplaced(
                f"{origin.name} was synced since the copy was begun. Drop the schema {RAW_SCHEMA} "
                "at the destination, and copy again."
            )

    def copied(self, table: str) -> int:
        """How many rows of a table came over."""
        return int(self._noted(table) or 0)

    def insert(self, table: str, rows: pa.Table) -> None:
        names = ", ".join(quote_name(name) for name in rows.column_names)
        self.connection.register("copied_rows", rows)
        try:
            self.connection.execute(
                f"insert into {RAW_SCHEMA}.{table} ({names}) select {names} from copied_rows"  # noqa: S608 - our own names
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
        self.connection.execute(f"delete from {progress} where name = ?", [name])  # noqa: S608 - our own names
        self.connection.execute(f"insert into {progress} values (?, ?)", [name, value])  # noqa: S608 - our own names

    def _noted(self, name: str) -> str | None:
        row = self.connection.execute(
            f"select value from {RAW_SCHEMA}.{HALF_COPIED} where name = ?",  # noqa: S608 - our own names
            [name],
        ).fetchone()
        return str(row[0]) if row else None


def _copy_table(
    origin: Origin, place: _Target, table: str, order: list[str], summary: CopySummary
) -> None:
    """Brings over the rows of a table that are not there yet, in an order that stays the same."""
    count = place.copied(table)
    summary.kept_count += count
    for batch in _read(origin, table, order, after=count):
        with place.transaction():
            place.insert(table, batch)
            count += batch.num_rows
            place.note_copied(table, count)
        _LOG.info("Copied %s rows of %s", f"{count:,}", table)
    summary.rows[table] = count


def _read(origin: Origin, table: str, order: list[str], after: int = 0) -> Iterator[pa.Table]:
    """The rows of a table behind the first so many, some at a time; none of one that is missing."""
    columns = origin.columns.get(table)
    if columns:
        names, keys = (", ".join(map(quote_name, some)) for some in (columns, order))
        sql = f"select {names} from {RAW_SCHEMA}.{table} order by {keys} offset {after}"  # noqa: S608 - our own names
        yield from origin.read(sql, ROWS_PER_BATCH)


def _make_tables(pipeline: "Pipeline", origin: Origin) -> None:
    """Lets dlt make its tables there as it made them here."""
    from dlt.common.schema import Schema

    row = origin.connection.execute(_SCHEMA).fetchone()
    if row is None:
        raise WarehouseMisplaced("Nothing was loaded yet: there is nothing to copy.")
    pipeline._inject_schema(Schema.from_stored_schema(json.loads(row[0])))
    pipeline.sync_schema()


_SCHEMA = f"""
select schema from {RAW_SCHEMA}._dlt_version order by version desc, inserted_at desc limit 1
"""  # noqa: S608 - our own names
