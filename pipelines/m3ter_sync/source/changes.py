"""What of the rows that were fetched is new, and what the destination holds already."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from m3ter_sync.source.fan_out import Entity
from m3ter_sync.source.tables import Table


@dataclass(frozen=True, slots=True)
class Changes:
    """The rows worth loading, and how many of them are new; the others have changed."""

    rows: pa.Table
    new_count: int

    @property
    def changed_count(self) -> int:
        """Rows that the destination holds in another version."""
        return self.rows.num_rows - self.new_count


class KnownRows(Protocol):
    """Tells what the destination holds; see `warehouse.known_rows`.

    `is_append_only`: whether the destination keeps all that was ever written, and whoever reads
    it picks the newest version of each row (docs/lake.md).
    """

    is_append_only: bool

    def drop_unchanged(self, table: Table, rows: pa.Table) -> Changes:
        """The rows that the destination lacks or holds otherwise."""

    def find_missing(self, table: Table, rows: pa.Table) -> list[str]:
        """The keys of the rows that the destination holds as current and `rows` lacks."""

    def lacks(self, table: Table) -> bool:
        """Whether the destination may not have the table yet."""


class NothingKnown:
    """For a destination that is not looked into: every row counts as new, and is loaded."""

    is_append_only = False

    def drop_unchanged(self, table: Table, rows: pa.Table) -> Changes:
        """All rows. Loading a row twice is harmless: they are merged on their key."""
        return Changes(rows, rows.num_rows)

    def find_missing(self, table: Table, rows: pa.Table) -> list[str]:
        """None that are known of."""
        return []

    def lacks(self, table: Table) -> bool:
        """It may."""
        return True


@dataclass(slots=True)
class Tally:
    """How many rows of each table were fetched, found new, changed, deleted and rejected.

    `unread` has the entities of which a run was rejected.
    """

    fetched: Counter[str] = field(default_factory=Counter)
    new: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    unread: set[Entity] = field(default_factory=set)
    entities_listed: int = 0
    entities_gone: list[str] = field(default_factory=list)
