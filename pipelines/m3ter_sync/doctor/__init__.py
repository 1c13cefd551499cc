"""Looks at everything that a sync needs, and says of each thing how it is and what to do.

    versions ─► configuration ─► folder, disk, warehouse ─► base_url ─► token ─► endpoints
                  last sync ◄─ pending ◄─ probe ◄─ entity ids ◄─ rate limit ◄─ clock ◄─┘

It sends about ten requests, each once, and writes nothing.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from m3ter_sync.api import Clock
from m3ter_sync.doctor import machine, service
from m3ter_sync.doctor.configuration import (
    Configuration,
    check_configuration,
    read_configuration,
)
from m3ter_sync.doctor.entities import (
    Held,
    Probe,
    check_entity_ids,
    check_latest,
    check_probe,
    choose_entities,
    read_held,
)
from m3ter_sync.doctor.findings import Finding, run_check
from m3ter_sync.doctor.versions import check_versions
from m3ter_sync.warehouse.location import Location, WarehouseError
from m3ter_sync.warehouse.status import Status, read_status

__all__ = ["Examination", "Finding"]


class Examination:
    """One look at everything; `run` yields each finding when it is there."""

    def __init__(self, location: Location, *, clock: Clock | None = None) -> None:
        self._location = location
        self._clock = clock or Clock()
        self._status: Status | None = None
        self._held = Held()
        self._probe = Probe()
        self.request_count = 0

    def run(self) -> Iterator[Finding]:
        """Checks one thing after another; none that fails stops the others."""
        visit = service.Visit(Configuration(), self._clock)
        try:
            for name, check in self._checks(visit):
                yield from run_check(name, check)
        finally:
            self.request_count = visit.request_count
            visit.close()

    def _checks(
        self, visit: service.Visit
    ) -> Iterator[tuple[str, Callable[[], Iterator[Finding]]]]:
        location, probe = self._location, self._probe
        yield "versions", check_versions
        yield "configuration", lambda: self._check_configuration(visit)
        yield "folder", lambda: machine.check_folder(location)
        yield "disk", lambda: machine.check_disk(location)
        yield "warehouse", lambda: self._check_warehouse(visit)
        yield "lock", lambda: machine.check_lock(location, self._status)
        yield "base_url", lambda: service.check_base_url(visit)
        yield "token", lambda: service.check_token(visit)
        yield "endpoints", lambda: service.check_listings(visit)
        yield "latest", lambda: check_latest(visit, self._held, probe)
        yield "integrationruns", lambda: self._check_runs(visit)
        yield "clock", lambda: service.check_clock(visit)
        yield "rate limit", lambda: service.check_rate(visit)
        yield "entity ids", lambda: check_entity_ids(visit, self._held)
        yield "probe", lambda: check_probe(visit, probe)
        yield "pending", lambda: machine.check_pending(location, self._status)
        yield "last sync", lambda: machine.check_last_sync(location, self._status)

    def _check_configuration(self, visit: service.Visit) -> Iterator[Finding]:
        visit.configuration = read_configuration()
        yield from check_configuration(visit.configuration)

    def _check_runs(self, visit: service.Visit) -> Iterator[Finding]:
        yield from service.check_runs(visit, choose_entities(visit, self._held, self._probe))

    def _check_warehouse(self, visit: service.Visit) -> Iterator[Finding]:
        location = self._location
        try:
            if location.exists():
                now = datetime.fromtimestamp(self._clock.wall(), UTC)
                self._status = read_status(location, now)
                self._held = read_held(location)
        except WarehouseError as error:
            yield machine.describe_unreachable(error)
            return
        yield from machine.check_warehouse(location, self._status, visit.configuration.org_id)
