"""Runs the checks of the marts: each is a SELECT of the rows that should not be there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from m3ter_sync.warehouse.connection import Connection, as_postgres
from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.location import WarehouseIncomplete
from m3ter_sync.warehouse.memory import with_enough_memory
from m3ter_sync.warehouse.sql_files import ModelError, read_header, sql_folder

SAMPLE_SIZE = 20

# Runs a SELECT: its columns, and no more of its rows than are asked for.
Ask = Callable[[str, int], tuple[tuple[str, ...], Sequence[tuple[Any, ...]]]]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: The check's file name.
        meaning: What holds when it passes, in a sentence.
        failing_row_count: How many rows break it.
        columns: Names of the columns of `rows`.
        rows: Up to `SAMPLE_SIZE` of the rows that break it.
    """

    name: str
    meaning: str
    failing_row_count: int
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def passed(self) -> bool:
        """Whether no row breaks it."""
        return self.failing_row_count == 0


@with_enough_memory
def run_checks(
    connection: Connection,
    *,
    now: datetime | None = None,
    folder: Path | None = None,
) -> list[CheckResult]:
    """Runs every check of `sql/checks`, those that fail included.

    Args:
        connection: A warehouse with its models built.
        now: What freshness is measured against; by default the clock.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a check cannot be run, for example because the models were never built.
    """
    now = now or datetime.now(UTC)
    is_duckdb = isinstance(connection, duckdb.DuckDBPyConnection)

    def ask(sql: str, most: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        try:
            found = connection.execute(sql) if is_duckdb else as_postgres(connection).run(sql)
        except WarehouseIncomplete as error:
            raise ModelError(str(error)) from error
        except duckdb.CatalogException as error:
            message = f"{str(error).strip().splitlines()[0]} Run m3ter-sync models first."
            raise ModelError(message) from error
        return tuple(name for name, *_ in found.description or ()), found.fetchmany(most)

    if not is_duckdb:
        return run_checks_on("postgres", ask, now=now, folder=folder)
    connection.execute(f"set variable m3ter_now = timestamptz '{now.isoformat()}'")
    try:
        return run_checks_on("duckdb", ask, now=now, folder=folder)
    finally:
        connection.execute("reset variable m3ter_now")


def run_checks_on(
    dialect: str, ask: Ask, *, now: datetime, folder: Path | None = None
) -> list[CheckResult]:
    """Runs every check of `sql/checks` on an engine, those that fail included.

    Args:
        dialect: One of `dialects.DIALECTS`.
        ask: Runs a SELECT, and gives the names of its columns and so many of its rows at most.
        now: What freshness is measured against.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a check cannot be written in that dialect, or `ask` raised it.
    """
    paths = sorted(((folder or sql_folder()) / "checks").glob("*.sql"))
    return [_run_check(path, dialect, ask, now) for path in paths]


def _run_check(path: Path, dialect: str, ask: Ask, now: datetime) -> CheckResult:
    text = path.read_text()
    try:
        sql = translate(text, dialect, now=now)
        columns, rows = ask(sql, SAMPLE_SIZE)
        count = len(rows)
        if count == SAMPLE_SIZE:
            # The text is a file of our own.
            _, [(count,)] = ask(f"select count(*) from (\n{sql}\n) as failing", 1)  # noqa: S608 - our own file
    except ModelError as error:
        raise ModelError(f"Check {path.stem}: {error}") from error
    return CheckResult(path.stem, " ".join(read_header(text)), count, columns, tuple(rows))
