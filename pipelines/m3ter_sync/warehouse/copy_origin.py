"""The DuckDB warehouse that is copied: what it holds, as whoever copies it asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from m3ter_sync.warehouse.location import RAW_SCHEMA, Location, WarehouseMisplaced, is_of_lake


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


@dataclass(frozen=True, slots=True)
class Origin:
    """A warehouse that is copied; nobody can sync it meanwhile.

    Attributes:
        name: What to call it in a message.
        connection: The database, read-only.
        version: Tells this state of the rows from any other: by the loads that were completed.
        columns: The columns of each table that was loaded, in order.
    """

    name: str
    connection: duckdb.DuckDBPyConnection
    version: str
    columns: dict[str, list[str]]

    @classmethod
    @contextmanager
    def open(cls, source: Location) -> Iterator["Origin"]:
        """Opens a warehouse to copy it.

        Raises:
            WarehouseMisplaced: it is none, or nothing was loaded into it.
        """
        with source.connect_duckdb(read_only=True) as connection:
            if is_of_lake(connection):
                raise WarehouseMisplaced(
                    f"{source.name} is what a lake is read through: what is copied is a DuckDB "
                    "warehouse. Name one with --database."
                )
            version = _read_version(connection, source)
            columns: dict[str, list[str]] = {}
            for table, column in connection.execute(_COLUMNS, [RAW_SCHEMA]).fetchall():
                columns.setdefault(table, []).append(column)
            yield cls(source.name, connection, version, columns)

    def read(self, sql: str, rows_per_batch: int) -> Iterator[pa.Table]:
        """What a query finds, so many rows at a time; nothing where it finds none."""
        for batch in self.connection.execute(sql).to_arrow_reader(rows_per_batch):
            if batch.num_rows:
                yield pa.Table.from_batches([batch])


def _read_version(connection: duckdb.DuckDBPyConnection, source: Location) -> str:
    try:
        row = connection.execute(_VERSION).fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None or not row[1]:
        raise WarehouseMisplaced(f"{source.name} holds no load: there is nothing to copy.")
    return f"{row[0]} of {row[1]}"


_VERSION = f"select max(load_id), count(*) from {RAW_SCHEMA}._dlt_loads where status = 0"  # noqa: S608 - our own names
_COLUMNS = """
select table_name, column_name from information_schema.columns
where table_catalog = current_database() and table_schema = ?
order by table_name, ordinal_position
"""
