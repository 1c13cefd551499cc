"""What is to be found on this machine: the folder, the disk, the warehouse, what is left to do."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from m3ter_sync.doctor.findings import Finding, misconfigured, ok, problem, warning
from m3ter_sync.warehouse.dlt_pipeline import list_pending
from m3ter_sync.warehouse.location import Location, WarehouseError, WarehouseMisplaced
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.status import Status

# What a small warehouse and dlt's working folder take in any case.
_LEAST_BYTES = 200_000_000


def check_folder(location: Location) -> Iterator[Finding]:
    """Whether a sync could write there; nothing is written to find out."""
    folder = location.folder
    existing = _nearest(folder)
    advice = "Give the user that syncs the right to write there, or choose another --database."
    if not existing.is_dir():
        yield misconfigured("folder", f"{existing} is no folder", "Choose another --database.")
        return
    unwritable = [
        path
        for path in (existing, location.work_folder, location.published_folder, location.database)
        if path.exists() and not _is_writable(path)
    ]
    if unwritable:
        names = ", ".join(map(str, unwritable))
        yield misconfigured("folder", f"not writable: {names}", advice)
    elif existing == folder:
        yield ok("folder", f"{folder} is writable")
    else:
        yield ok("folder", f"{folder} is not there yet; {existing} is writable")


def _is_writable(path: Path) -> bool:
    wanted = os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, wanted, effective_ids=os.access in os.supports_effective_ids)


def _nearest(path: Path) -> Path:
    """The path, or the nearest above it that exists."""
    return next(each for each in (path, *path.parents) if each.exists())


def check_disk(location: Location) -> Iterator[Finding]:
    """Whether there is room for a copy to publish, which is at most as large as the warehouse."""
    free = shutil.disk_usage(_nearest(location.folder)).free
    size = location.database.stat().st_size if location.database.exists() else 0
    facts = {"free_bytes": free, "database_bytes": size}
    found = f"{free / 1e9:.1f} GB free"
    if location.destination is None:
        found += f"; the warehouse takes {size / 1e9:.2f} GB"
    advice = (
        "Make room: while a sync publishes, the new copy stands beside the old one and the "
        "warehouse."
    )
    if free < max(size, _LEAST_BYTES):
        yield problem("disk", found, advice, **facts)
    elif free < 2 * max(size, _LEAST_BYTES):
        yield warning("disk", found, advice, **facts)
    else:
        yield ok("disk", found, **facts)


def check_warehouse(
    location: Location, status: Status | None, org_id: str | None
) -> Iterator[Finding]:
    """Whether it opens, whose it is, and whether it may publish where it is."""
    manifest = read_manifest(location.published_folder)
    if manifest and manifest.warehouse != location.publisher:
        yield misconfigured(
            "warehouse",
            f"{location.published_folder} holds what {manifest.warehouse} published",
            f"Give {location.publisher} a folder of its own.",
        )
    if status is None:
        yield ok("warehouse", f"none at {location.name}: the first sync makes it")
        return
    if status.is_locked:
        copy = (
            "the published copy tells of it" if status.source else "there is no copy to tell of it"
        )
        yield ok("warehouse", f"{location.name} cannot be opened now; {copy}")
    elif status.refusal:
        yield problem("warehouse", str(status.refusal))
    elif status.organization_id and org_id and status.organization_id != org_id:
        yield misconfigured(
            "warehouse",
            f"{location.name} holds organization {status.organization_id}, and the settings "
            f"name {org_id}",
            "Correct org_id, or give each organization a --database in a folder of its own.",
        )
    else:
        whose = status.organization_id or "no organization yet"
        rows = sum(table["rows"] for table in status.tables)
        yield ok("warehouse", f"{location.name} opens: {rows:,} rows of {whose}")


def describe_unreachable(error: WarehouseError) -> Finding:
    """That a server does not let us in, or does not answer."""
    level = misconfigured if isinstance(error, WarehouseMisplaced) else problem
    return level("warehouse", str(error))


def check_lock(location: Location, status: Status | None) -> Iterator[Finding]:
    """Whether somebody has the warehouse open; a sync that runs is no problem."""
    try:
        holder = location.read_holder()
    except WarehouseError:
        yield warning("lock", "not known", "Mend what is said of the warehouse first.")
        return
    if holder:
        writer = holder.describe(datetime.now(UTC))
        yield ok("lock", f"a command is writing to the warehouse: {writer}")
    elif status and status.is_locked:
        yield warning(
            "lock",
            f"{str(status.refusal).partition(';')[0]}: it keeps the next sync out",
            "Close it there; readers open the published copy.",
        )
    else:
        yield ok("lock", "nobody else has the warehouse open")


def check_pending(location: Location, status: Status | None) -> Iterator[Finding]:
    """Whether an earlier sync left a load behind; the first one may have before it loaded any."""
    pending = list_pending(location)
    if not pending:
        yield ok("pending", "no load is pending")
        return
    since = min(package["began_at"] for package in pending)
    loads = "1 load" if len(pending) == 1 else f"{len(pending)} loads"
    found = f"{loads} pending since {since:%Y-%m-%d %H:%M} UTC"
    if status and status.is_locked:
        yield ok("pending", f"{found}: the sync that runs is at it")
    else:
        yield warning(
            "pending",
            f"{found}: a sync was cut off",
            "Sync again: it finishes the load, or fetches it again where it cannot be relied on.",
        )


def check_last_sync(location: Location, status: Status | None) -> Iterator[Finding]:
    """How the last sync ended, what it could not read, and whether readers see it."""
    if status is None or (status.last_sync is None and status.refusal is None):
        yield ok("last sync", "there was none yet; m3ter-sync sync is next")
        return
    last = status.last_sync
    if last is None:
        yield warning(
            "last sync",
            "not known: neither the warehouse nor a published copy can be read",
            f"Look again when nobody has {location.name} open.",
        )
        return
    ended = f"{last['outcome']}, begun {last['started_at']:%Y-%m-%d %H:%M} UTC"
    if status.source == "published":
        ended = f"{ended}, as the published copy knows"
    if last["outcome"] in ("failed", "stopped"):
        because = f": {last['error']}" if last["error"] else ""
        yield warning("last sync", f"{ended}{because}", "Mend the reason, then sync again.")
    else:
        yield ok("last sync", ended)
    if status.unread_row_count:
        yield warning(
            "last sync",
            f"{status.unread_row_count:,} rows could not be read",
            "Look at m3ter_raw.rejected_rows for the reasons; each sync tries them again.",
        )
    if status.published.is_behind:
        yield warning(
            "published",
            f"readers see less than the warehouse holds: {status.published.behind_because}",
            "Sync again; where a check failed, m3ter-sync check shows the rows.",
        )
