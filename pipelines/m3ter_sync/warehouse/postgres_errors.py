"""What it means that a PostgreSQL server refuses something, in one line, and what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2
from psycopg2 import errors

from m3ter_sync.redaction import redact
from m3ter_sync.warehouse.location import (
    WarehouseError,
    WarehouseIncomplete,
    WarehouseLockedOut,
    WarehouseMisplaced,
)

SETTING = "DESTINATION__POSTGRES__CREDENTIALS"
# Whoever waits for a lock keeps all others waiting behind it: not for long.
LOCK_TIMEOUT = "10s"


@contextmanager
def telling_errors() -> Iterator[None]:
    """Says in one line what the server refused, and what to do.

    Raises:
        WarehouseIncomplete: a relation or column is not there.
        WarehouseMisplaced: the role may not do it.
        WarehouseError: any other refusal.
    """
    try:
        yield
    except Exception as error:
        cause = getattr(error, "dbapi_exception", error)  # dlt hides it in one of its own
        if not isinstance(cause, psycopg2.Error):
            raise
        raise describe_error(cause) from error


def describe_error(error: "psycopg2.Error") -> WarehouseError:
    """What a refusal of the server means."""
    said = redact(first_line(error))
    match error:
        case errors.UndefinedTable() | errors.UndefinedColumn() | errors.InvalidSchemaName():
            return WarehouseIncomplete(f"{said}. Run m3ter-sync models first.")
        case errors.InsufficientPrivilege():
            return WarehouseMisplaced(
                f"PostgreSQL refuses: {said}. The role of {SETTING} must own what m3ter-sync "
                "made, and may make schemas: GRANT CREATE, TEMPORARY ON DATABASE … TO …"
            )
        case errors.ReadOnlySqlTransaction():
            return WarehouseMisplaced(
                f"PostgreSQL refuses: {said}. Name the primary server, not a copy of it, in "
                f"{SETTING}."
            )
        case errors.DiskFull():
            return WarehouseError(
                f"PostgreSQL's disk is full: {said}. Make room on the server and sync again: what "
                "was loaded is kept."
            )
        case errors.LockNotAvailable():
            return WarehouseLockedOut(
                f"PostgreSQL kept us waiting for longer than {LOCK_TIMEOUT}: {said}."
            )
        case errors.AdminShutdown() | errors.CrashShutdown() | errors.CannotConnectNow():
            return _lost(said)
        case errors.QueryCanceled():
            return WarehouseError(
                f"PostgreSQL ended a statement: {said}. Raise the role's statement_timeout, and "
                "sync again: what was loaded is kept."
            )
    if error.pgcode is None and isinstance(
        error, psycopg2.OperationalError | psycopg2.InterfaceError
    ):
        return _lost(said)
    return WarehouseError(f"PostgreSQL refuses: {said}.")


def _lost(said: str) -> WarehouseError:
    return WarehouseError(
        f"The connection to PostgreSQL was lost: {said}. Sync again when the server runs: what "
        "was loaded is kept."
    )


def refuse_entry(error: "psycopg2.Error") -> WarehouseError:
    """Why there is no connection; libpq tells the cases apart by words alone."""
    said = redact(first_line(error))
    if "FATAL:" not in said:
        if isinstance(error, psycopg2.OperationalError):
            return WarehouseError(
                f"PostgreSQL cannot be reached: {said}. Check host and port in {SETTING}, and "
                "that the server runs."
            )
        return WarehouseMisplaced(f"What {SETTING} holds is no address of a PostgreSQL database.")
    if re.search(r"too many|starting up|shutting down|recovery|remaining connection", said):
        return WarehouseError(f"PostgreSQL is not ready: {said}. Try again later.")
    return WarehouseMisplaced(
        f"PostgreSQL does not let us in: {said}. Check user, password and database in {SETTING}."
    )


def first_line(error: BaseException) -> str:
    """What an error says, without where in which statement."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
