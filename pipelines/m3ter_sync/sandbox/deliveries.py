"""How a bill or notification gets to a destination: a run, and its retries."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .draw import HOUR, MINUTE, SECOND, Draw
from .failures import PAID, Destination, Failure, pick_failure, write_text
from .tables import Row

RETRY_AFTER = (15 * MINUTE, 2 * HOUR)
"""How long the first and the second failed attempt wait; there is no fourth attempt."""

OPEN_STATUSES = ("WAITING", "STARTED", "AWAITING_RETRY", "RATE_LIMIT_RETRY")
SERVICE_USER = "5e0a7c52-6b1f-4d8e-a3c9-0f4b7d2e9a11"


class Route(NamedTuple):
    """One entity's way to one destination."""

    entity_type: str
    entity_id: str
    destination: Destination
    destination_id: str
    account: str


class Trouble(NamedTuple):
    """A time in which a destination, or one notification's link, fails far more than usual."""

    since: int
    until: int
    rate: float
    failure: Failure


class Deliveries:
    """Makes runs as a destination's reliability has it.

    `troubles` are kept by the id of what they strike: a destination or an entity.
    """

    def __init__(self, draw: Draw, troubles: Mapping[str, Sequence[Trouble]]) -> None:
        self._draw = draw
        self._troubles = troubles

    def send(
        self, route: Route, at: int, until: int, *, parent: Row | None = None, attempt: int = 1
    ) -> list[Row]:
        """Sends at an instant; the runs are as they stand at `until`, so perhaps still open."""
        row = self.create(route, at, parent)
        started = at + int(self._draw.random.lognormvariate(1.2, 0.8) * SECOND)
        if started > until:
            return [row]
        self.start(row, started)
        seconds = route.destination.seconds * self._draw.random.lognormvariate(0, 0.5)
        ended = started + int(seconds * SECOND)
        if ended > until:
            return [row]
        return [row, *self.conclude(row, route, ended, until, attempt=attempt)]

    def create(self, route: Route, at: int, parent: Row | None = None) -> Row:
        """A run that waits to be started."""
        created = self._draw.stamp(at)
        return {
            "id": self._draw.uuid(),
            "entityType": route.entity_type,
            "entityId": route.entity_id,
            "status": "WAITING",
            "destination": route.destination.name,
            "destinationId": route.destination_id,
            "version": 1,
            "dtCreated": created,
            "dtLastModified": created,
            "createdBy": SERVICE_USER,
            "lastModifiedBy": SERVICE_USER,
            "dtStarted": None,
            "parentIntegrationRunId": parent["id"] if parent else None,
        }

    def start(self, row: Row, at: int) -> None:
        """A waiting run starts."""
        self.change(row, at, status="STARTED", dtStarted=self._draw.stamp(at))

    def conclude(
        self, row: Row, route: Route, at: int, until: int, *, attempt: int = 1
    ) -> list[Row]:
        """A started run comes to its end; returns the runs that try again."""
        failure = self._draw_failure(route, at, attempt)
        if failure is None:
            self._complete(row, route, at)
            return []
        error = write_text(self._draw, failure.text, at, route.account)
        if failure.passes and attempt <= len(RETRY_AFTER):
            self.change(row, at, status="AWAITING_RETRY", error=error)
            again = at + RETRY_AFTER[attempt - 1]
            return [] if again > until else self.retry(row, route, again, until, attempt=attempt)
        self.change(row, at, status=failure.status, dtCompleted=self._draw.stamp(at), error=error)
        return []

    def retry(self, row: Row, route: Route, at: int, until: int, *, attempt: int = 1) -> list[Row]:
        """A run that awaited its retry gives way to a child run."""
        self.change(row, at, status="ERROR", dtCompleted=self._draw.stamp(at))
        return self.send(route, at, until, parent=row, attempt=attempt + 1)

    def change(self, row: Row, at: int, **fields: object) -> None:
        """Any change: the version rises and the modification time with it."""
        row.update(fields)
        row["version"] += 1
        row["dtLastModified"] = self._draw.stamp(at)

    def _complete(self, row: Row, route: Route, at: int) -> None:
        row.pop("error", None)
        self.change(row, at, status="COMPLETE", dtCompleted=self._draw.stamp(at))
        destination = route.destination
        if destination.external_id:
            made_up = self._draw.uuid()
            blanks = {
                "uuid": made_up, "hex": made_up[-12:], "number": int(made_up[:6], 16) + 1_000_000
            }  # fmt: skip
            row["externalId"] = destination.external_id.format_map(blanks)
            row["url"] = destination.url.format_map(blanks)

    def _draw_failure(self, route: Route, at: int, attempt: int) -> Failure | None:
        for struck in (route.entity_id, route.destination_id):
            for trouble in self._troubles.get(struck, ()):
                if trouble.since <= at < trouble.until:
                    return trouble.failure if self._draw.chance(trouble.rate) else None
        rate = 0.3 if attempt > 1 else route.destination.failure_rate * 1.4
        if self._draw.chance(rate):
            return pick_failure(self._draw, route.destination)
        is_invoice = route.destination.name in ("STRIPE", "XERO", "NETSUITE")
        return PAID if is_invoice and self._draw.chance(0.006) else None
