"""Whether what the API serves has the shape that m3ter's reference describes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.tables import (
    BILLS,
    INTEGRATION_CONFIGURATIONS,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    Table,
)
from m3ter_sync.warehouse.state import known_statuses

# What m3ter's reference says is always there; a warehouse needs only the id.
REQUIRED: Mapping[str, frozenset[str]] = {
    INTEGRATION_RUNS.name: frozenset(("id", "entityType", "entityId", "status", "destination")),
    NOTIFICATION_CONFIGURATIONS.name: frozenset(("id", "name", "description", "code")),
    INTEGRATION_CONFIGURATIONS.name: frozenset(("id",)),
    BILLS.name: frozenset(("id",)),
}


@dataclass(frozen=True, slots=True)
class Shape:
    """What some rows have, and lack.

    Attributes:
        row_count: How many there were to judge by.
        missing: Fields that the reference promises and a row lacks.
        unknown: Fields that the reference as we know it does not have: names only.
        unknown_statuses: Statuses of runs that nobody has classed.
        unreadable: Why rows cannot be read.
    """

    row_count: int
    missing: list[str]
    unknown: list[str]
    unknown_statuses: list[str]
    unreadable: list[str]

    @property
    def is_broken(self) -> bool:
        """Whether rows would be lost to the views."""
        return bool(self.missing or self.unreadable)


def judge_rows(table: Table, rows: Sequence[Any]) -> Shape:
    """Compares rows with the columns of their table, as a sync reads them."""
    objects = [row for row in rows if isinstance(row, dict)]
    served = set().union(*objects) if objects else set()
    missing = {name for row in objects for name in REQUIRED[table.name] if row.get(name) is None}
    statuses: set[str] = set()
    if table is INTEGRATION_RUNS:
        statuses = {str(row["status"]) for row in objects if row.get("status")}
    return Shape(
        row_count=len(rows),
        missing=sorted(missing),
        unknown=sorted(served - table.fields),
        unknown_statuses=sorted(statuses - known_statuses()),
        unreadable=sorted({each.reason for each in parse_rows(table, list(rows)).rejected}),
    )
