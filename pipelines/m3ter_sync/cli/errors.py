"""Which failure ends the program with which exit code."""

from enum import IntEnum


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
        case OSError() | duckdb.OperationalError():  # a full disk, say
            return ExitCode.FAILED
    # Met while the database is read, it comes as an error of dlt.
    return ExitCode.FAILED if is_damage(str(error)) else None


def describe(error: BaseException) -> str:
    """What happened, on one line."""
    from m3ter_sync.warehouse.location import is_damage

    text = " ".join(str(error).split()) or type(error).__name__
    if is_damage(text):
        text = f"{text.rstrip('.')}. The database is damaged: put a copy of it back, or move it "
        text += "away and sync anew."
    return text
