"""What the warehouse holds already is told from what is worth loading."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.tables import (
    BILLS,
    EVENT_TYPES,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    REJECTED_ROWS,
    Table,
)
from m3ter_sync.warehouse.known_rows import WarehouseRows

RUN = {"id": "a", "status": "ERROR", "version": 2, "dtStarted": "2025-11-03T06:00:00.123456Z"}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create schema m3ter_raw")
        yield connection


def hold(connection: duckdb.DuckDBPyConnection, table: Table, *rows: Any, **more: str) -> None:
    held = parse_rows(table, rows).table  # noqa: F841 - DuckDB reads it by its name
    extra = "".join(f", {value} as {name}" for name, value in more.items())
    connection.execute(
        f"create or replace table m3ter_raw.{table.name} as select *{extra} from held"
    )


def ids_to_load(connection: duckdb.DuckDBPyConnection, *rows: Any) -> list[str]:
    fetched = parse_rows(INTEGRATION_RUNS, rows).table
    changes = WarehouseRows(connection).drop_unchanged(INTEGRATION_RUNS, fetched)
    assert changes.rows.schema == fetched.schema
    return list(changes.rows.column("id").to_pylist())


def test_without_the_table_everything_is_new(connection: duckdb.DuckDBPyConnection) -> None:
    assert ids_to_load(connection, RUN) == ["a"]
    assert WarehouseRows(connection).lacks(INTEGRATION_RUNS)


def test_a_row_that_is_held_as_it_is_served_is_left_out(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    hold(connection, INTEGRATION_RUNS, RUN, _dlt_load_id="'1'")
    assert ids_to_load(connection, RUN) == []
    assert not WarehouseRows(connection).lacks(INTEGRATION_RUNS)


@pytest.mark.parametrize(
    "change",
    [
        {"status": "COMPLETE"},
        {"status": None},
        {"error": ""},
        {"version": 3},
        {"dtStarted": "2025-11-03T06:00:00.123457Z"},
        {"newField": 1},
        {"isNew": 1},
        {'odd " name': 1},
    ],
)
def test_any_difference_makes_a_row_worth_loading(
    change: dict[str, Any], connection: duckdb.DuckDBPyConnection
) -> None:
    hold(connection, INTEGRATION_RUNS, RUN)
    assert ids_to_load(connection, RUN | change) == ["a"]
    hold(connection, INTEGRATION_RUNS, RUN | change)
    assert ids_to_load(connection, RUN | change) == []
    assert ids_to_load(connection, RUN) == ["a"]


def test_the_same_moment_written_otherwise_is_no_difference(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    hold(connection, INTEGRATION_RUNS, RUN)
    assert ids_to_load(connection, RUN | {"dtStarted": "2025-11-03T08:00:00.123456789+02:00"}) == []


def test_new_rows_and_changed_ones_are_counted_apart(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    hold(connection, BILLS, {"id": "a", "billTotal": 0.1}, {"id": "b"})
    served = [{"id": "a", "billTotal": 0.2}, {"id": "b"}, {"id": "c"}, {"id": "d"}]
    changes = WarehouseRows(connection).drop_unchanged(BILLS, parse_rows(BILLS, served).table)
    assert (changes.new_count, changes.changed_count) == (2, 1)


def test_only_current_rows_count_of_a_table_with_history(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    table = NOTIFICATION_CONFIGURATIONS
    hold(connection, table, {"id": "a"}, {"id": "b"}, _dlt_valid_to="null::timestamptz")
    connection.execute(
        "update m3ter_raw.notification_configurations set _dlt_valid_to = now() where id = 'b'"
    )
    known = WarehouseRows(connection)
    served = parse_rows(table, [{"id": "a"}, {"id": "b"}]).table
    assert known.drop_unchanged(table, served).rows.column("id").to_pylist() == ["b"]
    assert known.find_missing(table, served) == []
    assert len(known.find_missing(table, served.slice(0, 0))) == 1


def test_a_table_keyed_by_name_is_compared_by_it(connection: duckdb.DuckDBPyConnection) -> None:
    hold(connection, EVENT_TYPES, {"name": "one"}, {"name": "two"})
    known = WarehouseRows(connection)
    served = parse_rows(EVENT_TYPES, [{"name": "two"}, {"name": "three"}]).table
    assert known.drop_unchanged(EVENT_TYPES, served).rows.to_pylist() == [{"name": "three"}]
    assert len(known.find_missing(EVENT_TYPES, served)) == 1


def test_a_rejected_row_that_is_known_is_left_alone(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    row = {"rejected_id": "x", "table_name": "t", "reason": "r", "source": "s"}

    def rejected(at: int) -> pa.Table:
        moment = datetime(2025, 11, at, tzinfo=UTC)
        return pa.Table.from_pylist([row | {"rejected_at": moment}], REJECTED_ROWS.arrow_schema)

    held = rejected(1)  # noqa: F841 - DuckDB reads it by its name
    connection.execute("create table m3ter_raw.rejected_rows as from held")
    assert not WarehouseRows(connection).drop_unchanged(REJECTED_ROWS, rejected(2)).rows.num_rows


def test_no_rows_are_no_changes(connection: duckdb.DuckDBPyConnection) -> None:
    hold(connection, INTEGRATION_RUNS, RUN)
    assert ids_to_load(connection) == []
