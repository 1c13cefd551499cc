"""The published copy as the report reads it: rows, what they rest on, and of when they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from m3ter_sync.warehouse.manifest import read_manifest

Row = dict[str, Any]

# Sandbox destinations stay out of all that the report says, unless the settings count them.
COUNTED = "(not is_sandbox or (select counts_sandbox from settings))"
_HEADLINE_WINDOW = "28d"


class NothingPublished(Exception):
    """There is no published copy to report on, or it is not a whole one."""


@dataclass(frozen=True, slots=True)
class Window:
    """The window that the report's headlines are about."""

    name: str
    starts_after: datetime | None
    ends_at: datetime | None

    @property
    def condition(self) -> str:
        """The SQL for deliveries that began in it."""
        if self.starts_after is None or self.ends_at is None:
            return "true"
        return (
            f"started_at > timestamptz '{self.starts_after.isoformat()}' "
            f"and started_at <= timestamptz '{self.ends_at.isoformat()}'"
        )

    @property
    def words(self) -> str:
        """The window, to stand after "in": the last 28 days."""
        if self.name == "all":
            return "all that is loaded"
        days = int(self.name.removesuffix("d"))
        return "the last day" if days == 1 else f"the last {days} days"

    @property
    def words_before(self) -> str:
        """The window that it is compared with."""
        days = self.name.removesuffix("d")
        return "the day before" if days == "1" else f"the {days} days before"


class Published:
    """The published copy, open for reading."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, failed_checks: Sequence[str] = ()
    ) -> None:
        self._connection = connection
        # The checks that failed and were overruled: what rests on them may be wrong.
        self.failed_checks = failed_checks
        (self.settings,) = self.rows("from settings")
        (state,) = self.rows("select max(as_of) as as_of from sync_status")
        self.as_of: datetime | None = state["as_of"]
        self.window = self._choose_window()

    def rows(self, sql: str, *values: Any) -> list[Row]:
        """All rows of a query, by name; times are in UTC."""
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def count_in_flight(self) -> tuple[int, int]:
        """How many days are provisional, and how many deliveries are in flight."""
        (found,) = self.rows(
            f"""
            select
                count(distinct started_on) filter (where is_provisional) as day_count,
                coalesce(sum(in_flight_delivery_count), 0) as delivery_count
            from integration_failure_rate_daily
            where {COUNTED}
            """  # noqa: S608 - our own words
        )
        return found["day_count"], int(found["delivery_count"])

    def count_decided(self) -> int:
        """How many deliveries succeeded or failed in the window of the headlines."""
        (found,) = self.rows(
            f"""
            select coalesce(sum(decided_delivery_count), 0) as count
            from integration_failure_rate
            where window_name = ? and {COUNTED}
            """,  # noqa: S608 - our own words
            self.window.name,
        )
        return int(found["count"])

    def _choose_window(self) -> Window:
        windows = self.rows(
            "select distinct window_name, starts_after, ends_at from integration_failure_rate "
            "order by window_name = ? desc, starts_after nulls last limit 1",
            _HEADLINE_WINDOW,
        )
        if not windows:
            return Window("all", None, None)
        (found,) = windows
        return Window(found["window_name"], found["starts_after"], found["ends_at"])


@contextmanager
def open_published(database: Path) -> Iterator[Published]:
    """Opens a published copy; whoever replaces the file meanwhile does not disturb.

    Raises:
        NothingPublished: there is no such file, or a mart is missing from it.
    """
    if not database.exists():
        raise NothingPublished(
            f"Nothing is published at {database}. Run m3ter-sync sync or m3ter-sync publish first."
        )
    manifest = read_manifest(database.parent)
    try:
        with duckdb.connect(database, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            yield Published(connection, manifest.failed_checks if manifest else ())
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NothingPublished(
            f"{database} was published by another version of m3ter-sync: "
            f"{str(error).splitlines()[0]}. Run m3ter-sync publish."
        ) from error
