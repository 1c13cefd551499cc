"""Where a warehouse keeps its files, and what is refused as one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import Timeout

from m3ter_sync.warehouse.lock import Holder, WarehouseLock, read_holder
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.memory import limit_memory
from m3ter_sync.warehouse.permissions import make_data_folder

if TYPE_CHECKING:
    import duckdb

PUBLISHED_NAME, REPORT_NAME = "m3ter.duckdb", "report.html"
DEFAULT_DATABASE = Path("data/warehouse.duckdb")
RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA = "m3ter_raw", "m3ter_staging", "m3ter"
_SCHEMAS = (RAW_SCHEMA, STAGING_SCHEMA, MARTS_SCHEMA, "main")


class WarehouseError(Exception):
    """The warehouse cannot be used; the message says why and what to do."""


class WarehouseMisplaced(WarehouseError):
    """The path given is not one of a warehouse."""


class WarehouseBusy(WarehouseError):
    """Another sync is writing to the warehouse."""


class WarehouseLocked(WarehouseError):
    """Another program has the database open."""


@dataclass(frozen=True, slots=True)
class Location:
    """The files of one warehouse: the database, and beside it all else."""

    database: Path

    @classmethod
    def of(cls, database: Path | str | None = None) -> "Location":
        """The location of a database file.

        Raises:
            WarehouseMisplaced: the name clashes with a schema, or the path is no file's.
        """
        path = Path(database or DEFAULT_DATABASE).absolute()
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
        return cls(path)

    @property
    def folder(self) -> Path:
        """The folder that holds everything."""
        return self.database.parent

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

    def acquire(self, command: str = "m3ter-sync", run_id: str | None = None) -> WarehouseLock:
        """Takes the lock that is held while a command writes to the warehouse, or refuses at once.

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
        except WarehouseMisplaced:
            lock.release()
            raise
        return lock

    def read_holder(self) -> Holder | None:
        """Who is writing to the warehouse now; None: nobody.

        Raises:
            WarehouseMisplaced: the lock file cannot be read.
        """
        try:
            return read_holder(self.lock_file)
        except OSError as error:
            raise WarehouseMisplaced(
                f"Cannot see whether somebody writes to {self.database}: {self.lock_file}: "
                f"{error.strerror}."
            ) from None

    def check_free(self) -> None:
        """Refuses to go on while another command writes to the warehouse.

        Raises:
            WarehouseBusy: one does; the message says which, and since when.
        """
        if holder := self.read_holder():
            raise self._busy(holder)

    def _busy(self, holder: Holder) -> WarehouseBusy:
        return WarehouseBusy(
            f"Another m3ter-sync is writing to {self.database}: "
            f"{holder.describe(datetime.now(UTC))}. Wait until it is done."
        )

    def _check_publisher(self) -> None:
        """Refuses to replace what another database in the same folder published."""
        manifest = read_manifest(self.published_folder)
        if manifest and manifest.warehouse != self.database.name:
            raise WarehouseMisplaced(
                f"{self.published_folder} holds what {manifest.warehouse} published. Give "
                f"{self.database.name} a folder of its own: --database FOLDER/warehouse.duckdb."
            )

    def check_exists(self) -> None:
        """Refuses to go on without a warehouse.

        Raises:
            WarehouseMisplaced: there is none.
        """
        if not self.database.exists():
            raise WarehouseMisplaced(
                f"There is no warehouse at {self.database}. Run m3ter-sync sync first, or name "
                "another with --database."
            )

    def connect(self, *, read_only: bool = False) -> "duckdb.DuckDBPyConnection":
        """Opens the database; one that is only read must exist.

        Raises:
            WarehouseMisplaced: there is none, or the file is no DuckDB database.
            WarehouseLocked: another program has it open.
        """
        import duckdb

        if read_only:
            self.check_exists()
        try:
            connection = duckdb.connect(self.database, read_only=read_only)
        except duckdb.IOException as error:
            if "lock" in str(error).lower():
                copy = self.published_database
                hint = f" To read while a sync runs, open {copy}." if copy.exists() else ""
                raise WarehouseLocked(
                    f"{self.database} is open in another program; close it there and try again."
                    f"{hint if self.database.name != PUBLISHED_NAME else ''}"
                ) from None
            raise WarehouseMisplaced(
                f"{self.database} cannot be opened as a DuckDB database: "
                f"{str(error).strip().splitlines()[0]}"
            ) from None
        connection.execute("set TimeZone = 'UTC'")
        if not read_only:
            limit_memory(connection)
        return connection
