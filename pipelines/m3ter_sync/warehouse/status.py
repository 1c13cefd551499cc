"""How a warehouse stands: how fresh, how large, what is pending and what readers see of it.

Nobody can open the database while a sync writes to it. Then the published copy tells what it
knows, and so it does where the database is damaged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from m3ter_sync.warehouse.connection import as_postgres
from m3ter_sync.warehouse.dlt_pipeline import list_pending
from m3ter_sync.warehouse.held import Facts, Rows, read_copy, read_raw
from m3ter_sync.warehouse.location import (
    POSTGRES,
    Location,
    WarehouseBusy,
    WarehouseError,
    WarehouseLocked,
    WarehouseMisplaced,
    WarehouseUnreadable,
    describe_damage,
    measure,
)
from m3ter_sync.warehouse.lock import Holder
from m3ter_sync.warehouse.manifest import read_manifest

if TYPE_CHECKING:
    from m3ter_sync.warehouse.connection import Connection
    from m3ter_sync.warehouse.manifest import Manifest

Source = Literal["warehouse", "published"]


@dataclass(slots=True, kw_only=True)
class Reading:
    """A database that is open for reading: the warehouse or, where that cannot be, the copy.

    Attributes:
        source: Which of the two; None where there is no copy either.
        connection: None where neither can be read.
        refusal: Why the warehouse itself is not read; None where it is.
    """

    source: Source | None
    connection: "Connection | None" = None
    refusal: WarehouseError | None = None


@contextmanager
def open_newest(location: Location) -> Iterator[Reading]:
    """Opens the warehouse or, where it cannot be opened now, the published copy.

    Raises:
        WarehouseMisplaced: there is no warehouse.
    """
    if location.destination is None:
        location.check_exists()
    try:
        reading = Reading(source="warehouse", connection=_open(location))
    except WarehouseMisplaced as refusal:
        if location.destination:
            raise
        reading = _read_copy_instead(location, refusal)
    except WarehouseError as refusal:
        reading = _read_copy_instead(location, refusal)
    try:
        yield reading
    finally:
        if reading.connection:
            reading.connection.close()


def _read_copy_instead(location: Location, refusal: WarehouseError) -> Reading:
    """The published copy, where there is one that can be read."""
    copy = Location(location.published_database)
    try:
        return Reading(source="published", connection=_open(copy), refusal=refusal)
    except WarehouseError:
        # What keeps the warehouse from being read matters more.
        return Reading(source=None, refusal=refusal)


def _open(location: Location) -> "Connection":
    import duckdb

    try:
        return location.connect(read_only=True)
    except duckdb.Error as error:
        raise _unreadable(location, error) from error


def _unreadable(location: Location, error: Exception) -> WarehouseError:
    return WarehouseUnreadable(
        describe_damage(location.database, str(error).strip().splitlines()[0])
    )


@dataclass(slots=True, kw_only=True)
class Published:
    """What readers see.

    Attributes:
        database: The file that they open.
        published_at: When it was made; None where nothing is published.
        as_of: The start of the last sync that succeeded before.
        sync_id: The last sync before, however it ended.
        failed_checks: Those that failed and were overruled.
        m3ter_sync_version: What published it.
        is_behind: Whether the warehouse holds more; None where that cannot be read.
        behind_because: Why.
    """

    database: str
    published_at: datetime | None = None
    as_of: datetime | None = None
    sync_id: str | None = None
    failed_checks: list[str] = field(default_factory=list)
    m3ter_sync_version: str | None = None
    is_behind: bool | None = None
    behind_because: str | None = None


@dataclass(slots=True, kw_only=True)
class Status:
    """All that is known of a warehouse without asking m3ter.

    Attributes:
        database: The warehouse.
        source: Where the facts are from: `warehouse`, `published`, or None: neither can be read.
        refusal: Why they are not from the warehouse itself.
        held_by: Which command is writing to the warehouse now; None: none is.
        organization_id: Whose rows it holds; None where it is not known.
        as_of: The start of the last sync of everything that succeeded.
        age_seconds: How long ago that was.
        last_sync: The newest row of the log of syncs.
        tables: By table: rows, past versions, rejected rows, when the last load began that changed
            it, when m3ter last changed any of its rows, and how many seconds ago that was.
        entities: Bills and notifications: known, never asked, gone, open runs, where the next
            listing begins; None where only the published copy can be read.
        open_run_count: Runs that may still change.
        unread_row_count: Rows that the last sync of everything could not read.
        rejected: The newest rejected rows with their reasons; None as with `entities`.
        errors: The newest syncs that failed.
        pending: Load packages that an earlier sync left in the working folder.
        published: What readers see.
        sizes: Bytes of `database`, `wal`, `work_folder`, `published_folder`.
    """

    database: str
    source: Source | None = None
    refusal: WarehouseError | None = None
    held_by: Holder | None = None
    organization_id: str | None = None
    as_of: datetime | None = None
    age_seconds: float | None = None
    last_sync: dict[str, Any] | None = None
    tables: Rows = field(default_factory=list)
    entities: Rows | None = None
    open_run_count: int | None = None
    unread_row_count: int | None = None
    rejected: Rows | None = None
    errors: Rows = field(default_factory=list)
    pending: Rows = field(default_factory=list)
    published: Published
    sizes: dict[str, int]

    @property
    def is_locked(self) -> bool:
        """Whether the warehouse is not read because another program has it open."""
        return isinstance(self.refusal, WarehouseLocked | WarehouseBusy)


def read_status(location: Location, now: datetime) -> Status:
    """Reads how a warehouse stands; changes nothing.

    Raises:
        WarehouseMisplaced: there is none.
    """
    import duckdb

    manifest = read_manifest(location.published_folder)
    status = Status(
        database=location.name,
        pending=list_pending(location),
        published=_describe_published(location, manifest),
        sizes=_measure(location),
    )
    with open_newest(location) as reading:
        if location.destination is None or reading.source == "warehouse":
            # A server that does not answer does not tell who writes there either.
            status.held_by = location.read_holder()
        status.source, status.refusal = reading.source, reading.refusal
        if reading.connection and reading.source == "warehouse":
            try:
                _read_warehouse(status, reading.connection, manifest, location)
                if location.destination == POSTGRES:
                    status.sizes["database"] = as_postgres(reading.connection).measure()
            except duckdb.Error as error:
                # It opens well, and is damaged further in.
                status.refusal = _unreadable(location, error)
                copy = _read_copy_instead(location, status.refusal)
                status.source = copy.source
                _read_published(status, copy.connection)
        else:
            _read_published(status, reading.connection)
    if status.as_of is None and status.source != "warehouse" and manifest:
        status.as_of = manifest.as_of
    if status.as_of:
        status.age_seconds = (now - status.as_of).total_seconds()
    for table in status.tables:
        newest = table["newest_record_at"]
        table["age_seconds"] = newest and (now - newest).total_seconds()
    return status


def _read_warehouse(
    status: Status, connection: "Connection", manifest: "Manifest | None", location: Location
) -> None:
    facts = read_raw(connection)
    _set_facts(status, facts)
    because = _why_behind(status, facts, manifest, location)
    status.published.is_behind = because is not None
    status.published.behind_because = because


def _read_published(status: Status, connection: "Connection | None") -> None:
    import duckdb

    if connection is None:
        return
    try:
        _set_facts(status, read_copy(connection))
    except duckdb.Error:
        # Of another version, or damaged.
        status.source = None
    finally:
        connection.close()


def _set_facts(status: Status, facts: Facts) -> None:
    for name, value in facts.status.items():
        setattr(status, name, value)


def _describe_published(location: Location, manifest: "Manifest | None") -> Published:
    published = Published(database=str(location.published_database))
    if manifest and location.published_database.exists():
        published.published_at = manifest.published_at
        published.as_of = manifest.as_of
        published.sync_id = manifest.sync_id
        published.failed_checks = manifest.failed_checks
        published.m3ter_sync_version = manifest.m3ter_sync_version
    return published


def _why_behind(
    status: Status, facts: Facts, manifest: "Manifest | None", location: Location
) -> str | None:
    """Why readers see less than the warehouse holds; None where they see all of it."""
    last = status.last_sync
    if last is None:
        return None if status.published.published_at else "no sync has ended yet"
    if manifest and status.published.published_at:
        if last["sync_id"] == manifest.sync_id:
            return None
        if (manifest.load_id, manifest.as_of) == (facts.newest_load_id, status.as_of):
            # The syncs since then brought nothing that a reader would miss.
            return None
    if last["outcome"] in ("failed", "stopped"):
        return f"the last sync {_PAST[last['outcome']]}"
    if status.as_of != facts.models_as_of:
        return "the views could not be built after the last sync; run m3ter-sync models"
    if manifest is None and location.destination:
        # Whoever syncs it may do so from another machine.
        return f"nothing was published to {location.published_folder}; run m3ter-sync publish"
    return "a check failed after the last sync; run m3ter-sync check to see the rows"


_PAST = {"failed": "failed", "stopped": "was stopped"}


def _measure(location: Location) -> dict[str, int]:
    return {
        "database": measure(location.database),
        "wal": measure(location.write_ahead_log),
        "work_folder": measure(location.work_folder),
        "published_folder": measure(location.published_folder),
    }
