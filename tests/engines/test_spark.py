"""On Spark SQL every relation, check and question is what it is on DuckDB."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pyspark.sql import SparkSession

from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.queries import Query, list_queries
from m3ter_sync.warehouse.spark_models import build_models_on_spark
from m3ter_sync.warehouse.sql_files import Model, read_models

from .loading import list_checks, list_raw_columns, load_into_spark
from .values import assert_same_rows

# So late that nothing is fresh: that check has a row to compare, too.
NOW = datetime.now(UTC) + timedelta(days=9)


@pytest.fixture(scope="module")
def built(
    warehouse: duckdb.DuckDBPyConnection,
    spark: SparkSession,
    tmp_path_factory: pytest.TempPathFactory,
) -> SparkSession:
    load_into_spark(warehouse, spark, tmp_path_factory.mktemp("lake"))
    build_models_on_spark(spark, raw_columns=list_raw_columns(warehouse))
    return spark


def ask(session: SparkSession, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    found = session.sql(sql)
    # As instants: Python's own are of the machine's zone.
    table = found.toArrow()
    return tuple(table.column_names), [tuple(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("model", read_models(), ids=lambda model: model.full_name)
def test_every_relation_has_the_same_rows(
    model: Model, warehouse: duckdb.DuckDBPyConnection, built: SparkSession
) -> None:
    sql = f"select * from {model.full_name}"
    columns, found = ask(built, sql)
    assert columns == tuple(column.name for column in model.columns)
    wanted = warehouse.execute(sql).fetchall()
    assert_same_rows(model.full_name, columns, found, wanted)


@pytest.mark.parametrize("check", list_checks(), ids=lambda check: check.stem)
def test_every_check_finds_the_same_rows(
    check: Path, warehouse: duckdb.DuckDBPyConnection, built: SparkSession
) -> None:
    text = check.read_text()
    columns, found = ask(built, translate(text, "spark", now=NOW))
    warehouse.execute(f"set variable m3ter_now = timestamptz '{NOW.isoformat()}'")
    assert_same_rows(check.stem, columns, found, warehouse.execute(text).fetchall())


@pytest.mark.parametrize("query", list_queries(), ids=lambda query: query.name)
def test_every_question_has_the_same_answer(
    query: Query, warehouse: duckdb.DuckDBPyConnection, built: SparkSession
) -> None:
    columns, found = ask(built, translate(query.sql, "spark"))
    wanted = warehouse.execute(query.sql).fetchall()
    assert_same_rows(query.name, columns, found, wanted)
