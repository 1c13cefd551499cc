"""Publishes the marts: a DuckDB file that BI tools open, and a Parquet file for each mart.

What is published is of one instant: nobody else can write to the warehouse while it is copied,
beside the old files, which it then replaces. Whoever has the old file open goes on reading it.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from m3ter_sync.warehouse.location import MARTS_SCHEMA, PUBLISHER_FILE, STAGING_SCHEMA
from m3ter_sync.warehouse.memory import with_enough_memory
from m3ter_sync.warehouse.models import quote_text, transaction, unordered
from m3ter_sync.warehouse.sql_files import Model, read_models

DATABASE_NAME = "m3ter.duckdb"
# What the numbers rest on: a reader must be able to see it beside them.
_PUBLISHED_STAGING = ("settings", "status_class")
_WORK_FOLDER = ".publishing"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published, and where."""

    database: Path
    parquet_files: tuple[Path, ...]


@with_enough_memory
def publish(connection: duckdb.DuckDBPyConnection, folder: Path) -> Publication:
    """Copies the marts into `m3ter.duckdb` and `*.parquet` in a folder.

    In the file the marts are tables in schema `main`: DuckDB names the catalog after the file,
    so both `notification_coverage` and `m3ter.notification_coverage` find them.

    Args:
        connection: A warehouse with its models built, open for writing; no other publishes.
        folder: Where the files go; it is made if need be.

    Raises:
        duckdb.Error: a mart is missing or there is no room; the old files are as they were.
    """
    models = [
        model
        for model in read_models()
        if model.schema == MARTS_SCHEMA
        or (model.schema == STAGING_SCHEMA and model.name in _PUBLISHED_STAGING)
    ]
    work = folder / _WORK_FOLDER
    # What an earlier attempt left behind when it was killed.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        _write(connection, models, work)
        files = [folder / f"{model.name}.parquet" for model in models]
        for file in files:
            (work / file.name).replace(file)
        database = folder / DATABASE_NAME
        # A reader that opened the old file for writing may have left its log, which must not
        # be taken for the new file's.
        database.with_name(f"{DATABASE_NAME}.wal").unlink(missing_ok=True)
        (work / DATABASE_NAME).replace(database)
        (folder / PUBLISHER_FILE).write_text(f"{_database_name(connection)}\n", encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Publication(database, tuple(files))


def _database_name(connection: duckdb.DuckDBPyConnection) -> str:
    row = connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    ).fetchone()
    return Path(str(row and row[0])).name


def _write(connection: duckdb.DuckDBPyConnection, models: Sequence[Model], work: Path) -> None:
    connection.execute(f"attach {quote_text(str(work / DATABASE_NAME))} as publication")
    try:
        with unordered(connection):
            for model in models:
                _copy(connection, model, work)
        # What is still in the log beside the file would be lost with the work folder.
        connection.execute("checkpoint publication")
    finally:
        connection.execute("detach publication")


def _copy(connection: duckdb.DuckDBPyConnection, model: Model, work: Path) -> None:
    table = f"publication.main.{model.name}"
    # Until its transaction ends, a new table is held in memory, uncompressed.
    with transaction(connection):
        connection.execute(f"create table {table} as from {model.full_name}")
        connection.execute(f"comment on table {table} is {quote_text(model.comment)}")
        for column in model.columns:
            connection.execute(
                f'comment on column {table}."{column.name}" is {quote_text(column.comment)}'
            )
    file = quote_text(str(work / f"{model.name}.parquet"))
    connection.execute(f"copy (from {table}) to {file} (format parquet, compression zstd)")
