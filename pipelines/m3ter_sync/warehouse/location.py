"""Where a warehouse keeps its files, and what is refused as one."""

import os
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from m3ter_sync.warehouse.lock import Holder, WarehouseLock, read_holder
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.memory import limit_memory
from m3ter_sync.warehouse.permissions import make_data_folder

if TYPE_CHECKING:
    import duckdb

    from m3ter_sync.warehouse.connection import Connection
    from m3ter_sync.warehouse.postgres_lock import PostgresLock

PUBLISHED_NAME, REPORT_NAME = "m3ter.duckdb", "report.html"
DEFAULT_DATABASE = Path("data/warehouse.duckdb")
# The dlt destination that is a lake, and where the database goes that it is read through.
LAKE, DEFAULT_LAKE_DATABASE = "filesystem", Path("data/filesystem/lake.duckdb")
RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA = "m3ter_raw", "m3ter_staging", "m3ter"
# What a database that a lake is read through knows of the lake.
LAKE_SCHEMA = "m3ter_lake"
POSTGRES = "postgres"
_SCHEMAS = (RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA, LAKE_SCHEMA, "main")


class WarehouseError(Exception):
    """The warehouse cannot be used; the message says why and what to do."""


class WarehouseMisplaced(WarehouseError):
    """The path given is not one of a warehouse."""


class WarehouseBusy(WarehouseError):
    """Another sync is writing to the warehouse."""


class WarehouseLocked(WarehouseError):
    """Another program has the database open."""


class WarehouseUnreadable(WarehouseError):
    """The database is damaged, or of another DuckDB."""


class WarehouseIncomplete(WarehouseError):
    """The warehouse lacks a relation or column that was asked for."""


class WarehouseLockedOut(WarehouseError):
    """Somebody uses what must be changed for longer than is waited for."""


def is_damage(message: str) -> bool:
    """Whether DuckDB, or dlt in its name, says that the file is not as it was written."""
    return "Corrupt database file" in message or "Could not read enough bytes" in message


def describe_damage(database: Path, reason: str) -> str:
    """What to tell of a database that is not as it was written."""
    return (
        f"{database} cannot be read: {reason.rstrip('.')}. The database is damaged: put a copy of "
        "it back, or move it away and sync anew."
    )


@dataclass(frozen=True, slots=True)
class Location:
    """Where one warehouse is: the database, and beside it all else.

    Attributes:
        database: The DuckDB file. A lake is read through one, which can be made anew at any time.
            What another destination holds has none; its working folder, its lock and its
            published copy stand in a folder beside that path.
        destination: Name of the dlt destination that holds the rows; None for the DuckDB file.
    """

    database: Path
    destination: str | None = None

    @classmethod
    def of(cls, database: Path | str | None = None, destination: str | None = None) -> "Location":
        """The location of a database file, or of what another destination holds.

        Raises:
            WarehouseMisplaced: the name clashes with a schema, or the path is no file's.
        """
        default = DEFAULT_LAKE_DATABASE if destination == LAKE else DEFAULT_DATABASE
        path = Path(database or default).absolute()
        # DuckDB names a catalog after its file: in m3ter.duckdb, `m3ter.bills` is ambiguous.
        if path.stem.lower() in _SCHEMAS:
            raise WarehouseMisplaced(
                f"The database cannot be named {path.name}: DuckDB would take the schema "
                f"{path.stem} for the file. Choose another name, such as warehouse.duckdb."
            )
        if path.is_dir():
            raise WarehouseMisplaced(f"{path} is a folder; --database takes a file's path.")
        if "'" in str(path):
            # dlt 1.31 writes the path of what it loads into its SQL as it is.
            raise WarehouseMisplaced(
                f"dlt cannot load from a folder with an apostrophe in its path: {path}. Choose "
                "another --database."
            )
        if destination and not re.fullmatch(r"\w+(\.\w+)*", destination):
            # Its files stand in a folder of its name.
            raise WarehouseMisplaced(
                f"dlt knows no destination {destination}; name one such as postgres or bigquery."
            )
        return cls(path, destination)

    def beside(self, destination: str) -> "Location":
        """Where what another destination holds is used from, beside a DuckDB warehouse."""
        if destination != LAKE:
            return Location.of(self.database, destination)
        parts = DEFAULT_LAKE_DATABASE.relative_to(DEFAULT_DATABASE.parent)
        return Location.of(self.database.parent / parts, destination)

    @property
    def name(self) -> str:
        """What to call the warehouse in a message."""
        return self.destination or str(self.database)

    @property
    def is_readable(self) -> bool:
        """Whether m3ter-sync can read what it loaded there, and so build, check and publish."""
        return self.destination in (None, POSTGRES, LAKE)

    @property
    def is_lake(self) -> bool:
        """Whether the rows are in a lake: files that are only ever added to."""
        return self.destination == LAKE

    @property
    def has_database(self) -> bool:
        """Whether it is read through a DuckDB file of its own."""
        return self.destination is None or self.is_lake

    @property
    def publisher(self) -> str:
        """What a published copy says of where it was made from."""
        return POSTGRES if self.destination == POSTGRES else self.database.name

    @property
    def folder(self) -> Path:
        """The folder that holds everything; for what another destination holds, one of its own."""
        return self.database.parent / ("" if self.has_database else str(self.destination))

    @property
    def write_ahead_log(self) -> Path:
        """What DuckDB has not yet put into the database; gone when nobody has it open."""
        return self.database.with_name(f"{self.database.name}.wal")

    @property
    def work_folder(self) -> Path:
        """The working folder of dlt; losing it costs time, not data."""
        return self.folder / f"{self.database.stem}.dlt"

    @property
    def published_folder(self) -> Path:
        """What others may open."""
        return self.folder / "published"

    @property
    def published_database(self) -> Path:
        """The copy of the marts; whoever has it open keeps nobody from writing."""
        return self.published_folder / PUBLISHED_NAME

    @property
    def published_report(self) -> Path:
        """The page that people look at."""
        return self.published_folder / REPORT_NAME

    @property
    def lock_file(self) -> Path:
        """What a command locks while it writes; it stays there when nobody does."""
        return self.folder / f"{self.database.stem}.lock"

    def acquire(
        self, command: str = "m3ter-sync", run_id: str | None = None
    ) -> "WarehouseLock | PostgresLock":
        """Takes the lock that is held while a command writes to the warehouse, or refuses at once.

        What a server holds is locked there too, for those who use it from elsewhere.

        Args:
            command: What others are told is writing.
            run_id: What the log lines of that command carry.

        Raises:
            WarehouseBusy: another command holds it; the message says which, and since when.
            WarehouseMisplaced: the folder cannot be written to.
        """
        lock = WarehouseLock(self.lock_file, command, run_id)
        try:
            make_data_folder(self.folder)
            lock.take()
        except Timeout:
            raise self._busy(self.read_holder() or Holder()) from None
        except OSError as error:
            raise WarehouseMisplaced(
                f"Cannot write to {self.folder}: {error.strerror}. Choose another --database."
            ) from None
        try:
            self._check_publisher()
            if self.destination == POSTGRES:
                return self._lock_server(lock, command)
        except BaseException:
            lock.release()
            raise
        return lock

    def _lock_server(self, beside: WarehouseLock, command: str) -> "PostgresLock":
        from m3ter_sync.warehouse.postgres_lock import LockTaken, PostgresLock

        try:
            return PostgresLock(beside, command)
        except LockTaken as taken:
            raise self._busy(taken.holder) from None

    def read_holder(self) -> Holder | None:
        """Who is writing to the warehouse now; None: nobody.

        Raises:
            WarehouseMisplaced: the lock file cannot be read.
        """
        try:
            holder = read_holder(self.lock_file)
        except OSError as error:
            raise WarehouseMisplaced(
                f"Cannot see whether somebody writes to {self.name}: {self.lock_file}: "
                f"{error.strerror}."
            ) from None
        if holder is None and self.destination == POSTGRES:
            check_packages()
            from m3ter_sync.warehouse import postgres_lock

            return postgres_lock.read_holder()
        return holder

    def check_free(self) -> None:
        """Refuses to go on while another command writes to the warehouse.

        Raises:
            WarehouseBusy: one does; the message says which, and since when.
        """
        if holder := self.read_holder():
            raise self._busy(holder)

    def _busy(self, holder: Holder) -> WarehouseBusy:
        return WarehouseBusy(
            f"Another m3ter-sync is writing to {self.name}: "
            f"{holder.describe(datetime.now(UTC))}. Wait until it is done."
        )

    def _check_publisher(self) -> None:
        """Refuses to replace what another database in the same folder published."""
        manifest = read_manifest(self.published_folder)
        if manifest and manifest.warehouse != self.publisher:
            raise WarehouseMisplaced(
                f"{self.published_folder} holds what {manifest.warehouse} published. Give "
                f"{self.publisher} a folder of its own: --database FOLDER/warehouse.duckdb."
            )

    def remove_spilled(self) -> None:
        """Removes what DuckDB had put aside on the disk for a process that was killed.

        To be called once the database is open for writing, and so in no other process, and
        before anything is done with it.
        """
        shutil.rmtree(f"{self.database}.tmp", ignore_errors=True)

    def exists(self) -> bool:
        """Whether something was loaded there.

        Raises:
            WarehouseError: it cannot be found out.
        """
        if self.destination == POSTGRES:
            check_packages()
            from m3ter_sync.warehouse import postgres

            with postgres.connect(read_only=True) as connection:
                return connection.holds_warehouse()
        return self.database.exists()

    def check_exists(self) -> None:
        """Refuses to go on without a warehouse.

        Raises:
            WarehouseMisplaced: there is none. Of a lake, `connect` says so.
        """
        if self.destination == POSTGRES:
            self.connect(read_only=True).close()
        elif not self.is_lake and not self.database.exists():
            raise WarehouseMisplaced(
                f"There is no warehouse at {self.database}. Run m3ter-sync sync first, or name "
                "another with --database."
            )

    def connect(self, *, read_only: bool = False) -> "Connection":
        """Opens the warehouse; one that is only read must exist.

        A lake's is made where it is missing, and brought to what the lake holds now.

        Raises:
            WarehouseMisplaced: another destination holds the rows, one that only dlt can use.
            WarehouseMisplaced: there is none, or the file is no DuckDB database.
            WarehouseLocked: another program has it open.
            WarehouseUnreadable: it is damaged, or of another DuckDB.
            WarehouseError: the lake cannot be read.
        """
        if self.destination == POSTGRES:
            check_packages()
            from m3ter_sync.warehouse import postgres

            return postgres.open_existing() if read_only else postgres.connect()
        return self.connect_duckdb(read_only=read_only)

    def connect_duckdb(self, *, read_only: bool = False) -> "duckdb.DuckDBPyConnection":
        """The same, of a warehouse that is read through DuckDB."""
        if not self.is_readable:
            raise WarehouseMisplaced(
                f"m3ter-sync loads into {self.destination}, and cannot read it: ask it there."
            )
        if self.is_lake:
            from m3ter_sync.warehouse.lake import Lake

            return Lake.open(self, read_only=read_only).connection
        if read_only:
            self.check_exists()
        connection = self.open_database(read_only=read_only)
        if not read_only and is_of_lake(connection):
            connection.close()
            raise WarehouseMisplaced(
                f"{self.database} is what a lake is read through: add --destination {LAKE}, or "
                "name another --database."
            )
        return connection

    def open_database(self, *, read_only: bool = False) -> "duckdb.DuckDBPyConnection":
        """Opens the DuckDB file as it is."""
        import duckdb

        try:
            connection = duckdb.connect(self.database, read_only=read_only)
        except duckdb.IOException as error:
            raise self._refusal(str(error)) from None
        connection.execute("set TimeZone = 'UTC'")
        if not read_only:
            limit_memory(connection)
        return connection

    def _refusal(self, message: str) -> WarehouseError:
        """What it means that DuckDB cannot open the file; it tells the cases apart by words."""
        reason = message.strip().splitlines()[0]
        if "Could not set lock" in reason:
            copy = self.published_database
            hint = f" To read while a sync runs, open {copy}." if copy.exists() else ""
            holder = self.read_holder()
            if holder and holder.pid != os.getpid():
                return WarehouseBusy(f"{self._busy(holder)}{hint}")
            process = re.search(r"PID (\d+)", message)
            which = f" (process {process[1]})" if process else ""
            return WarehouseLocked(
                f"{self.database} is open in another program{which}; close it there and try again."
                f"{hint if self.database.name != PUBLISHED_NAME else ''}"
            )
        if "version number" in reason:
            return WarehouseUnreadable(
                f"{self.database} is of another DuckDB than this one: {reason} Sync with the "
                "m3ter-sync that wrote it, or move it away and sync anew."
            )
        if is_damage(reason):
            return WarehouseUnreadable(describe_damage(self.database, reason))
        return WarehouseMisplaced(
            f"{self.database} cannot be opened as a DuckDB database: {reason.rstrip('.')}. If it "
            "is a damaged warehouse, put a copy of it back or move it away and sync anew."
        )


def check_packages() -> None:
    """Refuses to use PostgreSQL without its drivers.

    Raises:
        WarehouseMisplaced: they are not installed; the message says how to.
    """
    if not all(map(find_spec, ("psycopg2", "adbc_driver_postgresql"))):
        raise WarehouseMisplaced(
            "The packages of the destination postgres are missing; run: "
            "pip install 'm3ter-sync[postgres]'"
        )


def is_of_lake(connection: "duckdb.DuckDBPyConnection") -> bool:
    """Whether a database is one that a lake is read through."""
    here = "database_name = current_database()"
    sql = f"select 1 from duckdb_schemas() where {here} and schema_name = ?"  # noqa: S608 - our own
    return connection.execute(sql, [LAKE_SCHEMA]).fetchone() is not None


def measure(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 where there is nothing."""
    try:
        if path.is_dir():
            return sum(map(measure, path.iterdir()))
        return path.stat().st_size
    except OSError:
        # A sync that runs removes files while they are counted.
        return 0


def fetch_rows(
    connection: "Connection", sql: str, values: list[Any] | None = None
) -> list[dict[str, Any]]:
    """All rows of a query, by name."""
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
