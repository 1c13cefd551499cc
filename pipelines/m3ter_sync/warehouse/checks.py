"""Runs the checks of the marts: each is a SELECT of the rows that should not be there."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from m3ter_sync.warehouse.memory import with_enough_memory
from m3ter_sync.warehouse.sql_files import ModelError, read_header, sql_folder

SAMPLE_SIZE = 20


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
    connection: duckdb.DuckDBPyConnection,
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
    instant = (now or datetime.now(UTC)).isoformat()
    connection.execute(f"set variable m3ter_now = timestamptz '{instant}'")
    try:
        paths = sorted(((folder or sql_folder()) / "checks").glob("*.sql"))
        return [_run_check(connection, path) for path in paths]
    finally:
        connection.execute("reset variable m3ter_now")


def _run_check(connection: duckdb.DuckDBPyConnection, path: Path) -> CheckResult:
    text = path.read_text()
    try:
        found = connection.execute(text)
        columns = tuple(name for name, *_ in found.description or ())
        rows = found.fetchmany(SAMPLE_SIZE)
        count = len(rows)
        if count == SAMPLE_SIZE:
            # The text is a file of our own.
            counted = connection.execute(f"select count(*) from (\n{text}\n)").fetchone()  # noqa: S608
            count = counted[0] if counted else count
    except duckdb.CatalogException as error:
        raise ModelError(
            f"Check {path.stem}: {str(error).strip().splitlines()[0]} Run m3ter-sync models first."
        ) from error
    return CheckResult(path.stem, " ".join(read_header(text)), count, columns, tuple(rows))
