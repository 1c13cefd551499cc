"""What a sync is asked to do, and how far it is."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from m3ter_sync.api import M3terClient
from m3ter_sync.source import ENTITY_TYPES, Tally


@dataclass(frozen=True, slots=True)
class SyncOptions:
    """What of the organization to sync; by default all of it."""

    entity_types: Sequence[str] = ENTITY_TYPES
    entity_ids: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_full: bool = False
    accepts_shrink: bool = False

    @property
    def lists_bills(self) -> bool:
        """Whether the organization's bills are listed."""
        return "Bill" in self.entity_types and not self.entity_ids

    @property
    def is_limited(self) -> bool:
        """Whether there may be more than what is asked for."""
        return bool(self.entity_ids or self.until) or set(self.entity_types) != set(ENTITY_TYPES)


@dataclass(slots=True)
class Monitor:
    """How far a sync is; others may read it from another thread."""

    phase: str = "starting"
    entity_count: int = 0
    tally: Tally = field(default_factory=Tally)
    client: M3terClient | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def request_stop(self) -> None:
        """Ends the fetching; what is complete is loaded."""
        self.stop.set()
        if self.client and not self.entity_count:
            # No runs are listed yet, so there is nothing to load: give up at once.
            self.client.stop()
