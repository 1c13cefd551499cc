"""How much memory DuckDB takes while a warehouse is written to.

Left alone it takes most of the machine's before it turns to the disk. The disk is hardly slower,
so it is given what was measured to be enough, and all there is where that is too little: long
texts take more than their rows do (docs/decisions/0007-time-and-memory.md).
"""

import functools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from m3ter_sync.warehouse.connection import Connection

_P = ParamSpec("_P")
_T = TypeVar("_T")
_C = TypeVar("_C", bound="Connection")
_LOG = logging.getLogger(__name__)
# Twice what was needed, of whichever is more: a load needs it for each thread, the models of
# 10 million runs for each run.
_BYTES_A_THREAD, _BYTES_A_RUN = 100_000_000, 200
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def limit_memory(connection: "Connection") -> None:
    """Limits DuckDB to what writing to this warehouse takes, as large as it is now."""
    row = connection.execute(
        """
        select greatest($a_thread * current_setting('threads'), $a_run * max(estimated_size))
        from duckdb_tables()
        where database_name = current_database() and table_name = 'integration_runs'
        """,
        {"a_thread": _BYTES_A_THREAD, "a_run": _BYTES_A_RUN},
    ).fetchone()
    enough = int(row[0]) if row else 0
    lift_limit(connection)
    number, unit = _read_limit(connection).split()
    if enough < float(number) * 1024 ** _UNITS.index(unit):
        connection.execute(f"set memory_limit = '{enough} B'")
    # What it frees it gives back at once, and not from 512 MB on.
    connection.execute("set allocator_bulk_deallocation_flush_threshold = '1 MiB'")


def lift_limit(connection: "Connection") -> None:
    """Lets DuckDB take as much memory as it does by itself: most of the machine's."""
    # Resetting alone tells DuckDB's setting, not its allocator (DuckDB 1.5).
    connection.execute("reset memory_limit")
    connection.execute(f"set memory_limit = '{_read_limit(connection)}'")


def is_out_of_memory(text: str) -> bool:
    """Whether it is DuckDB's word for too little memory: at a commit it is no error of its own."""
    return "Out of Memory Error" in text or "could not allocate block of size" in text


def with_enough_memory(
    work: Callable[Concatenate[_C, _P], _T],
) -> Callable[Concatenate[_C, _P], _T]:
    """Does the work once more, with all the memory there is, where the limit is too low for it."""

    @functools.wraps(work)
    def wrapped(connection: _C, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        import duckdb

        try:
            return work(connection, *args, **kwargs)
        except duckdb.Error as error:
            if not is_out_of_memory(str(error)):
                raise
            _LOG.info("%s was too little memory for DuckDB.", _read_limit(connection))
            lift_limit(connection)
            return work(connection, *args, **kwargs)

    return wrapped


def _read_limit(connection: "Connection") -> str:
    row = connection.execute("select current_setting('memory_limit')").fetchone()
    return str(row and row[0])
