"""On PostgreSQL every relation, check and question is what it is on DuckDB."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import duckdb
import pytest

from m3ter_sync.warehouse.checks import run_checks, run_checks_on
from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.postgres_models import build_models_on_postgres
from m3ter_sync.warehouse.queries import Query, list_queries
from m3ter_sync.warehouse.sql_files import Model, read_models

from .loading import load_into_postgres
from .postgres import PostgresServer
from .values import assert_same_rows

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def built(warehouse: duckdb.DuckDBPyConnection, postgres: PostgresServer) -> Iterator[Any]:
    """In a session whose day is not UTC's, as a server's may be."""
    connection = load_into_postgres(warehouse, postgres.create_database())
    with connection, connection.cursor() as cursor:
        cursor.execute("set time zone 'Pacific/Auckland'")
    build_models_on_postgres(connection)
    yield connection
    connection.close()


def ask(connection: Any, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(column.name for column in cursor.description), cursor.fetchall()


@pytest.mark.parametrize("model", read_models(), ids=lambda model: model.full_name)
def test_every_relation_has_the_same_rows(
    model: Model, warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    sql = f"select * from {model.full_name}"
    columns, found = ask(built, sql)
    assert columns == tuple(column.name for column in model.columns)
    wanted = warehouse.execute(sql).fetchall()
    assert_same_rows(model.full_name, columns, found, wanted)


def test_every_check_finds_the_same_rows(warehouse: duckdb.DuckDBPyConnection, built: Any) -> None:
    found = run_checks_on("postgres", lambda sql, most: _first(built, sql, most), now=NOW)
    wanted = run_checks(warehouse, now=NOW)
    assert [each.failing_row_count for each in found] == [each.failing_row_count for each in wanted]
    assert any(each.failing_row_count for each in wanted)


@pytest.mark.parametrize("query", list_queries(), ids=lambda query: query.name)
def test_every_question_has_the_same_answer(
    query: Query, warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    columns, found = ask(built, translate(query.sql, "postgres"))
    wanted = warehouse.execute(query.sql).fetchall()
    assert_same_rows(query.name, columns, found, wanted)


def _first(connection: Any, sql: str, most: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    columns, rows = ask(connection, sql)
    return columns, rows[:most]
