"""Puts the raw tables of a DuckDB warehouse into another engine, as dlt would have loaded them."""

from pathlib import Path
from typing import Any

import duckdb
import psycopg2
from psycopg2.extras import execute_values
from pyspark.sql import SparkSession

from m3ter_sync.warehouse.sql_files import sql_folder

_POSTGRES_TYPES = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "BOOLEAN": "boolean",
    "DOUBLE": "double precision",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "DECIMAL(38,9)": "numeric(38, 9)",
}


def list_checks() -> list[Path]:
    """The files of the checks."""
    return sorted((sql_folder() / "checks").glob("*.sql"))


def list_raw_columns(warehouse: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Types of DuckDB by column, by table."""
    tables: dict[str, dict[str, str]] = {}
    for table, column, type_ in warehouse.execute(
        "select table_name, column_name, data_type from duckdb_columns()"
        " where schema_name = 'm3ter_raw' order by table_name, column_index"
    ).fetchall():
        tables.setdefault(table, {})[column] = type_
    return tables


def load_into_postgres(warehouse: duckdb.DuckDBPyConnection, url: str) -> Any:
    """A connection to a database that has the warehouse's raw tables."""
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("create schema m3ter_raw")
        for table, columns in list_raw_columns(warehouse).items():
            typed = (f'"{name}" {_POSTGRES_TYPES[type_]}' for name, type_ in columns.items())
            cursor.execute(f"create table m3ter_raw.{table} ({', '.join(typed)})")
            rows = warehouse.execute(f"from m3ter_raw.{table}").fetchall()
            execute_values(cursor, f"insert into m3ter_raw.{table} values %s", rows)
    return connection


def load_into_spark(
    warehouse: duckdb.DuckDBPyConnection, session: SparkSession, folder: Path
) -> None:
    """Views of the warehouse's raw tables, over Parquet."""
    session.sql("create schema m3ter_raw")
    for table in list_raw_columns(warehouse):
        # Spark reads no file whose name begins with an underscore, as those of dlt's own tables do.
        path = folder / f"raw{table}.parquet"
        warehouse.execute(f"copy m3ter_raw.{table} to '{path}' (format parquet)")
        session.sql(f"create view m3ter_raw.{table} as select * from parquet.`{path}`")
