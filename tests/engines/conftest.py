"""One warehouse of hostile rows, its models built on DuckDB; a PostgreSQL server and a Spark."""

from collections.abc import Iterator

import duckdb
import pytest
from pyspark.sql import SparkSession

from m3ter_sync.warehouse.models import build_models

from .postgres import PostgresServer, run_postgres
from .raw_rows import open_warehouse
from .spark import start_spark


@pytest.fixture(scope="session")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_warehouse(tmp_path_factory.mktemp("warehouse")) as connection:
        build_models(connection)
        yield connection


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with run_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """In a zone that is not UTC's: no day may depend on it."""
    with start_spark(tmp_path_factory.mktemp("spark"), zone="Pacific/Auckland") as session:
        yield session
