"""Which failure ends the program with which exit code."""

import re
from enum import IntEnum

from m3ter_sync.redaction import redact


class ExitCode(IntEnum):
    """What a caller can go by; part of the command line's contract."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    CHECK_FAILED = 3
    STALE = 4
    DIFFERENT = 5
    BUSY = 75


def find_exit_code(error: Exception) -> ExitCode | None:
    """The exit code of a failure that was foreseen; None for any other, which is a defect."""
    import duckdb

    from m3ter_sync.api import (
        AccessRefused,
        CredentialsRefused,
        InsecureUrl,
        M3terError,
        RequestRefused,
    )
    from m3ter_sync.report import NothingPublished, ReportNotWritten
    from m3ter_sync.settings import SettingsError
    from m3ter_sync.warehouse.location import (
        WarehouseBusy,
        WarehouseError,
        WarehouseMisplaced,
        is_damage,
    )
    from m3ter_sync.warehouse.sql_files import ModelError

    match error:
        case WarehouseBusy():
            return ExitCode.BUSY
        case SettingsError() | WarehouseMisplaced():
            return ExitCode.USAGE
        case InsecureUrl() | CredentialsRefused() | AccessRefused():
            return ExitCode.USAGE
        case RequestRefused(status=None):  # what was given could not even be sent
            return ExitCode.USAGE
        case M3terError() | WarehouseError() | ModelError():
            return ExitCode.FAILED
        case NothingPublished() | ReportNotWritten():
            return ExitCode.FAILED
        case OSError() | MemoryError() | duckdb.OperationalError():  # a full disk, say
            return ExitCode.FAILED
    # Met while the database is read, it comes as an error of dlt.
    return ExitCode.FAILED if is_damage(str(error)) else None


# What the machine says when it is at its end, and what to do.
_ADVICE = {
    "No space left on device": "Make room there and sync again: what was loaded is kept.",
    "Disk quota exceeded": "Make room there and sync again: what was loaded is kept.",
    "File too large": "Raise the limit on file sizes (ulimit -f) and sync again.",
    "Too many open files": "Raise the limit on open files (ulimit -n), or lower threads.",
    "Read-only file system": "Check how it is mounted.",
    "Permission denied": "Check whose it is, and as who this runs.",
    "Is a directory": "Move that folder away: a file belongs there.",
    "No thread can be started": "Give it more memory or processes, or lower threads.",
    "Out of Memory Error": "Give it more memory; what was loaded is kept.",
    "could not allocate block of size": "Give it more memory; what was loaded is kept.",
}


def describe(error: BaseException) -> str:
    """What happened, on one line, without a secret; of what the machine refuses, what to do too."""
    from m3ter_sync.api import M3terError
    from m3ter_sync.warehouse.location import WarehouseUnreadable, is_damage

    text = redact(" ".join(str(error).split())) or type(error).__name__
    for reason, advice in _ADVICE.items():
        if reason in text and not isinstance(error, M3terError):
            # DuckDB tells at length what else came of it; the file and the reason are enough.
            found = re.search(rf'Could not write file "([^"]+)": {reason}|$', text)
            if found and found[1]:
                text = f"{found[1]}: {reason}"
            return f"{text.rstrip('.')}. {advice}"
    if is_damage(text) and not isinstance(error, WarehouseUnreadable):
        text = f"{text.rstrip('.')}. The database is damaged: put a copy of it back, or move it "
        text += "away and sync anew."
    return text
