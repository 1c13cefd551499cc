"""A warehouse with raw tables as a sync leaves them, filled with a few rows by hand."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

from m3ter_sync.source.tables import TABLES
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.syncs import SYNCS_TABLE

AS_OF = datetime(2025, 6, 30, 12, 0, tzinfo=UTC)
WITH_HISTORY = ("notification_configurations", "integration_configurations", "event_types")
DUCKDB_TYPES = {
    "text": "varchar",
    "bigint": "bigint",
    "bool": "boolean",
    "timestamp": "timestamptz",
    "date": "date",
    "decimal": "decimal(38, 9)",
}

Row = Mapping[str, Any]


class RawWarehouse:
    """Rows in, marts out."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        connection.execute("create schema m3ter_raw")
        for table in TABLES:
            columns = [f"{column.name} {DUCKDB_TYPES[column.type]}" for column in table.columns]
            columns += ["_dlt_load_id varchar", "_dlt_id varchar"]
            if table.name in WITH_HISTORY:
                columns += ["_dlt_valid_from timestamptz", "_dlt_valid_to timestamptz"]
            connection.execute(f"create table m3ter_raw.{table.name} ({', '.join(columns)})")
        connection.execute(SYNCS_TABLE)

    def add(self, table: str, *rows: Row) -> None:
        """Inserts rows; a column that is not named is NULL."""
        for row in rows:
            marks = ", ".join("?" * len(row))
            self.connection.execute(
                f"insert into m3ter_raw.{table} ({', '.join(row)}) values ({marks})",
                list(row.values()),
            )

    def add_runs(self, *runs: Row) -> None:
        """Runs of one bill to one destination, unless a row says otherwise."""
        usual = {
            "entity_type": "Bill",
            "entity_id": "bill",
            "destination": "NETSUITE",
            "destination_id": "netsuite",
            "status": "COMPLETE",
        }
        self.add("integration_runs", *(usual | dict(run) for run in runs))

    def add_sync(self, started_at: datetime = AS_OF, outcome: str = "succeeded") -> None:
        """A sync in the log; it ended five minutes later."""
        self.add(
            "syncs",
            {
                "sync_id": f"{outcome} {started_at}",
                "started_at": started_at,
                "finished_at": started_at + timedelta(minutes=5),
                "outcome": outcome,
            },
        )

    def build(self, **settings: object) -> None:
        """Builds the models."""
        build_models(self.connection, settings=settings)

    def read(self, columns: str, relation: str, order_by: str = "all") -> list[tuple[Any, ...]]:
        """Some columns of a relation."""
        sql = f"select {columns} from {relation} order by {order_by}"
        return self.connection.execute(sql).fetchall()


@pytest.fixture
def raw() -> Iterator[RawWarehouse]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        yield RawWarehouse(connection)


@pytest.fixture
def at() -> Callable[..., datetime]:
    """An instant of June 2025, the month that the tests play in."""

    def instant(day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
        return datetime(2025, 6, day, hour, minute, second, tzinfo=UTC)

    return instant
