"""Publishes the marts: a DuckDB file that BI tools open, and a Parquet file for each mart.

What is published is of one instant: nobody else can write to the warehouse while it is copied,
beside the old files, which it then replaces. Whoever has the old file open goes on reading it.
Why so: docs/decisions/0014-publishing.md.
"""

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from m3ter_sync.warehouse.connection import Connection
from m3ter_sync.warehouse.location import (
    MARTS_SCHEMA,
    POSTGRES,
    PUBLISHED_NAME,
    STAGING_SCHEMA,
)
from m3ter_sync.warehouse.manifest import MANIFEST_NAME, Manifest, read_manifest
from m3ter_sync.warehouse.memory import with_enough_memory
from m3ter_sync.warehouse.models import build_models, quote_text, transaction, unordered
from m3ter_sync.warehouse.permissions import open_by_umask
from m3ter_sync.warehouse.sql_files import Model, read_models

if TYPE_CHECKING:
    from m3ter_sync.warehouse.postgres_reader import PostgresReader

# The newest version in CHANGELOG.md's table of schema changes.
SCHEMA_VERSION = "0.1.0"
# What DuckDB 1.0 and newer can read: drivers in BI tools lag behind the engine.
STORAGE_VERSION = "v1.0.0"
# What the numbers rest on: a reader must be able to see it beside them.
_PUBLISHED_STAGING = ("settings", "status_class")
_WORK_FOLDER = ".publishing"


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published, and where."""

    database: Path
    parquet_files: tuple[Path, ...]
    manifest: Manifest


@with_enough_memory
def publish(
    connection: Connection,
    folder: Path,
    *,
    failed_checks: Iterable[str] = (),
    now: datetime | None = None,
) -> Publication:
    """Copies the marts into `m3ter.duckdb` and `*.parquet` in a folder, and says so in a manifest.

    In the file the marts are tables in schema `main`: DuckDB names the catalog after the file,
    so both `notification_coverage` and `m3ter.notification_coverage` find them.

    Args:
        connection: A warehouse with its models built, open for writing; no other publishes.
        folder: Where the files go; it is made if need be.
        failed_checks: The names of those that failed, for the manifest.
        now: When it is published; by default the clock.

    Raises:
        duckdb.Error: a mart is missing or there is no room; the old files are as they were.
    """
    models = [
        model
        for model in sorted(read_models(), key=lambda model: model.name)
        if model.schema == MARTS_SCHEMA
        or (model.schema == STAGING_SCHEMA and model.name in _PUBLISHED_STAGING)
    ]
    work = folder / _WORK_FOLDER
    # What an earlier attempt left behind when it was killed.
    shutil.rmtree(work, ignore_errors=True)
    if not folder.exists():
        folder.mkdir(parents=True)
        open_by_umask(folder, 0o777)
    work.mkdir()
    try:
        rows = _publish_models(connection, models, work)
        names = [*(f"{model.name}.parquet" for model in models), PUBLISHED_NAME]
        files = {name: (work / name).stat().st_size for name in names}
        manifest = _describe(connection, rows, files, failed_checks, now or datetime.now(UTC))
        (work / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        earlier = read_manifest(folder)
        # A reader that opened the old file for writing may have left its log, which must not
        # be taken for the new file's.
        (folder / f"{PUBLISHED_NAME}.wal").unlink(missing_ok=True)
        # The manifest last: where it stands, so do the files that it names.
        for name in (*names, MANIFEST_NAME):
            _replace(work / name, folder / name)
        # A mart that is no more would stay as it was, and look as if it were of today.
        for path in folder.glob("*.parquet"):
            if earlier and path.name in earlier.files and path.name not in files:
                path.unlink()
    finally:
        shutil.rmtree(work, ignore_errors=True)
    parquet_files = tuple(folder / name for name in names if name != PUBLISHED_NAME)
    return Publication(folder / PUBLISHED_NAME, parquet_files, manifest)


def _replace(new: Path, old: Path) -> None:
    """Puts a file in another's place, whole: also where the power fails right after."""
    open_by_umask(new)
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(old)


def _describe(
    connection: Connection,
    rows: Mapping[str, int],
    files: Mapping[str, int],
    failed_checks: Iterable[str],
    now: datetime,
) -> Manifest:
    newest = "select sync_id from m3ter_staging.syncs order by sync_number desc limit 1"
    return Manifest(
        published_at=now,
        as_of=_ask(connection, "select max(as_of) from m3ter.sync_status"),
        warehouse=_name_warehouse(connection),
        sync_id=_ask(connection, newest),
        load_id=_read_load_id(connection),
        failed_checks=[*failed_checks],
        schema_version=SCHEMA_VERSION,
        m3ter_sync_version=version("m3ter-sync"),
        duckdb_version=duckdb.__version__,
        storage_version=STORAGE_VERSION,
        rows=dict(rows),
        files=dict(files),
    )


def _name_warehouse(connection: Connection) -> str:
    """As `Location.publisher` does."""
    if not isinstance(connection, duckdb.DuckDBPyConnection):
        return POSTGRES
    path = "select path from duckdb_databases() where database_name = current_database()"
    return Path(str(_ask(connection, path))).name


def _read_load_id(connection: Connection) -> str | None:
    """The newest load that was completed; none where dlt never wrote here."""
    tables = connection.execute(
        "select table_name from information_schema.tables "
        "where table_catalog = current_database() and table_schema = 'm3ter_raw'"
    ).fetchall()
    if ("_dlt_loads",) not in tables:
        return None
    load_id = _ask(connection, "select max(load_id) from m3ter_raw._dlt_loads where status = 0")
    return str(load_id) if load_id else None


def _ask(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    return row and row[0]


def _publish_models(connection: Connection, models: Sequence[Model], work: Path) -> dict[str, int]:
    """Writes all files; returns how many rows each relation has."""
    if isinstance(connection, duckdb.DuckDBPyConnection):
        return _write(connection, models, work)
    from m3ter_sync.warehouse.postgres_reader import open_reader

    # Built of nothing, the models have the columns and types that they have in DuckDB.
    with duckdb.connect() as empty, open_reader() as reader:
        build_models(empty)
        return _write(empty, models, work, reader)


def _write(
    connection: duckdb.DuckDBPyConnection,
    models: Sequence[Model],
    work: Path,
    reader: "PostgresReader | None" = None,
) -> dict[str, int]:
    """Writes all files, of what the reader reads elsewhere if there is one."""
    connection.execute(
        f"attach {quote_text(str(work / PUBLISHED_NAME))} as publication "
        f"(storage_version '{STORAGE_VERSION}')"
    )
    try:
        with unordered(connection):
            rows = {model.name: _copy(connection, model, work, reader) for model in models}
        # What is still in the log beside the file would be lost with the work folder.
        connection.execute("checkpoint publication")
    finally:
        connection.execute("detach publication")
    return rows


def _copy(
    connection: duckdb.DuckDBPyConnection,
    model: Model,
    work: Path,
    reader: "PostgresReader | None",
) -> int:
    table = f"publication.main.{model.name}"
    # Until its transaction ends, a new table is held in memory, uncompressed.
    with transaction(connection):
        rows = "limit 0" if reader else ""
        connection.execute(f"create table {table} as from {model.full_name} {rows}")
        if reader:
            described = connection.execute(f"describe {table}").fetchall()
            types = {name: type_ for name, type_, *_ in described}
            with reader.read(model.full_name, types) as batches:
                connection.register("published_rows", batches)
                # The name is one of our own.
                connection.execute(f"insert into {table} from published_rows")
                connection.unregister("published_rows")
        connection.execute(f"comment on table {table} is {quote_text(model.comment)}")
        for column in model.columns:
            connection.execute(
                f'comment on column {table}."{column.name}" is {quote_text(column.comment)}'
            )
    file = quote_text(str(work / f"{model.name}.parquet"))
    return int(
        _ask(connection, f"copy (from {table}) to {file} (format parquet, compression zstd)")
    )
