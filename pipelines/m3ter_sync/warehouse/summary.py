"""What a sync did, for people and for programs."""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

Outcome = Literal["succeeded", "partial", "stopped", "failed"]
_ENDPOINTS_TOLD = 3


@dataclass(slots=True)
class TableSummary:
    """Rows of one table: fetched from the API, and what of them was new to the warehouse."""

    fetched: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    rejected: int = 0


@dataclass(slots=True)
class EndpointSummary:
    """The requests to one endpoint, repeated ones included, and how long the answers took."""

    endpoint: str
    requests: int
    mean_ms: float
    max_ms: float


@dataclass(slots=True)
class SyncSummary:
    """What a sync did.

    Attributes:
        outcome: `succeeded`; `partial` where only some entities or times were asked for;
            `stopped` by a signal; `failed`.
        entities_known: Bills and notifications that there are or were.
        entities_listed: Those whose runs were listed to the end.
        entities_skipped: Those that the probe found unchanged, or that are gone.
        entities_gone: Those that the API answered 404 for in this sync.
        endpoints: Those that were asked; the one that took longest in all comes first.
        loads: The ids of dlt's load packages.
    """

    sync_id: str
    started_at: datetime
    outcome: Outcome = "failed"
    finished_at: datetime | None = None
    seconds: float = 0.0
    tables: dict[str, TableSummary] = field(default_factory=dict)
    entities_known: int = 0
    entities_listed: int = 0
    entities_skipped: int = 0
    entities_gone: list[str] = field(default_factory=list)
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    requests_per_second: float = 0.0
    endpoints: list[EndpointSummary] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    failed_checks: list[str] = field(default_factory=list)
    error: str | None = None

    @property
    def rejected_count(self) -> int:
        """Rows that could not be read."""
        return sum(table.rejected for table in self.tables.values())

    @property
    def mean_ms(self) -> float:
        """Milliseconds that m3ter took for an answer on average."""
        asked = sum(each.requests for each in self.endpoints)
        return (
            sum(each.requests * each.mean_ms for each in self.endpoints) / asked if asked else 0.0
        )

    def describe_requests(self) -> str:
        """The requests in figures, and the endpoints that took longest in all, on one line."""
        longest = "; ".join(
            f"{each.endpoint} {each.requests:,} of {each.mean_ms:.0f} ms, at most {each.max_ms:.0f}"
            for each in self.endpoints[:_ENDPOINTS_TOLD]
        )
        return (
            f"{self.requests:,} requests, {self.requests_per_second:.1f} a second; "
            f"{self.retries:,} repeated, {self.throttled:,} answered 429. "
            f"What took longest: {longest or 'nothing'}."
        )

    def request_fields(self) -> dict[str, Any]:
        """The same as fields of a log line."""
        names = ("requests", "requests_per_second", "retries", "throttled")
        endpoints = [asdict(each) for each in self.endpoints]
        return {name: getattr(self, name) for name in names} | {"endpoints": endpoints}

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON types but for the times."""
        return {**asdict(self), "rejected_rows": self.rejected_count}
