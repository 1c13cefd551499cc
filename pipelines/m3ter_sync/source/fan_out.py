"""Lists the integration runs of many entities at once, in a pool of threads.

Integration runs are listed one entity at a time (m3ter-api.md, endpoint 1), so the time of a
sync is the time of its requests: they are sent by a few threads, and what they bring is handed
on page by page, through a short queue. A reader that is busy loading holds the threads back,
so memory stays bounded however much there is to fetch.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from queue import Empty, Full, Queue
from typing import Any

from m3ter_sync.api import EntityNotFound, M3terClient, Order, Stopped, fetch_integration_runs
from m3ter_sync.source.failures import OF_ONE_LISTING, Failures

_LOG = logging.getLogger(__name__)
_PAGES_AHEAD_PER_THREAD = 4
# A run of these may have no start yet, or never get one: it was held back, or not let in.
UNSTARTED_STATUSES = (
    "WAITING", "AWAITING_RETRY", "RATE_LIMIT_RETRY", "AUTH_FAILED", "DISABLED",
)  # fmt: skip
_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Entity:
    """What runs belong to: a bill or a notification configuration."""

    entity_type: str
    entity_id: str

    def __str__(self) -> str:
        return f"{self.entity_type} {self.entity_id}"

    @property
    def is_bill(self) -> bool:
        """Whether it is a bill."""
        return self.entity_type == "Bill"


@dataclass(frozen=True, slots=True, eq=False)
class ListingRequest:
    """One entity to list, from where on.

    `start_date` is exclusive, as the API has it, and leaves out the runs that never started;
    None asks for all runs. `with_unstarted` asks apart for those that may not have started.
    `is_listed` says that m3ter lists the entity now, so that a 404 contradicts it.
    """

    entity: Entity
    start_date: datetime | None = None
    end_date: datetime | None = None
    status: str | None = None
    swept_at: datetime | None = None
    with_unstarted: bool = False
    is_listed: bool = False

    @property
    def is_open_ended(self) -> bool:
        """Whether everything from `start_date` on is listed, up to now."""
        return self.end_date is None and self.status is None

    @property
    def is_whole(self) -> bool:
        """Whether everything is listed."""
        return self.is_open_ended and self.start_date is None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of an entity's runs, as the API served them."""

    request: ListingRequest
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """An entity was listed to the end, or is gone."""

    request: ListingRequest
    began_at: datetime
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class _Failed:
    """A listing failed for good; without a request, the whole stream."""

    error: BaseException
    request: ListingRequest | None = None


class FanOut:
    """A stream of pages and ends of listings, made by a pool of threads.

    It ends early when it is stopped or fails as a whole; what it handed on until then is a
    complete prefix of each entity's runs, so it can be loaded. With `defers_errors` a failure
    waits in `error` for the caller to raise once that is done, and a listing that fails alone
    keeps none of the others back (docs/decisions/0030-one-listing-that-fails.md).
    """

    def __init__(
        self,
        client: M3terClient,
        requests: Iterable[ListingRequest],
        *,
        threads: int,
        page_size: int,
        order: Order = "ASC",
        stop: threading.Event | None = None,
        defers_errors: bool = False,
        gone_limit: float = 1.0,
    ) -> None:
        """Remembers what to list.

        Args:
            client: Speaks to the API.
            requests: What to list; the first ones first.
            threads: How many requests may be under way at once.
            page_size: Runs in a page.
            order: Of an entity's runs, by start.
            stop: Ends the stream when it is set.
            defers_errors: See above.
            gone_limit: If m3ter lists a larger share of these (and more than 10) and answers 404
                for them, none of them is believed to be gone; 1 believes all.
        """
        self.clock = client.clock
        self._client = client
        self._requests = deque(requests)
        self._unfinished = len(self._requests)
        self._page_size = page_size
        self._order = order
        self._defers_errors = defers_errors
        self._stop = stop or threading.Event()
        self._cancelled = threading.Event()
        self._queue: Queue[Page | Listed | _Failed] = Queue(threads * _PAGES_AHEAD_PER_THREAD)
        self._thread_count = min(threads, len(self._requests))
        self._threads: list[threading.Thread] = []
        listed_count = sum(request.is_listed for request in self._requests)
        self._failures = Failures(len(self._requests), listed_count, gone_limit)
        self._end: BaseException | None = None
        # Gone, though m3ter lists them: handed on when all others are, if they are believed.
        self._doubted: deque[Listed] = deque()

    @property
    def error(self) -> BaseException | None:
        """What failed, if anything did."""
        return self._end or self._failures.error

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing more to come."""
        return not self._unfinished or self._end is not None or self._stop.is_set()

    def __enter__(self) -> "FanOut":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the threads; what they were about to hand on is dropped."""
        self._cancelled.set()
        if any(thread.is_alive() for thread in self._threads):
            self._client.stop()
        for thread in self._threads:
            thread.join()

    def events(self) -> Iterator[Page | Listed]:
        """Pages and ends of listings as they come; may be left and taken up again."""
        if not self._threads:
            self._start()
        while not self.is_exhausted:
            is_last = self._unfinished == len(self._doubted)
            event = self._settle() if is_last else self._receive()
            if isinstance(event, Listed):
                self._unfinished -= 1
            if event:
                yield event
        if self._end and not self._defers_errors:
            raise self._end

    def _receive(self) -> Page | Listed | None:
        """What comes next; None where that is nothing yet, or nothing to hand on."""
        try:
            event = self._queue.get(timeout=_POLL_SECONDS)
        except Empty:
            return None
        if isinstance(event, Page):
            return event
        if isinstance(event, Listed):
            if not (event.is_gone and event.request.is_listed):
                self._failures.count_success()
                return event
            self._doubted.append(event)
            self._failures.count_gone(str(event.request.entity))
        elif event.request:
            self._unfinished -= 1
            self._failures.count_failure(event.error)
        else:
            self._end = event.error
        if self._failures.is_hopeless:
            self._requests.clear()
            self._end = self._failures.error or self._failures.vanished
        return None

    def _settle(self) -> Listed | None:
        """The next of those that are gone; none where too many are said to be."""
        self._end = self._failures.vanished
        return None if self._end else self._doubted.popleft()

    def _start(self) -> None:
        for number in range(self._thread_count):
            thread = threading.Thread(target=self._work, name=f"list-runs-{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # So it is told that there is no memory, or no thread left for this user.
                if not self._threads:
                    raise MemoryError("No thread can be started") from None
                _LOG.warning("Only %d of %d threads can be started.", number, self._thread_count)
                return
            self._threads.append(thread)

    def _work(self) -> None:
        try:
            while not self._cancelled.is_set() and not self._stop.is_set():
                try:
                    request = self._requests.popleft()
                except IndexError:
                    return
                try:
                    self._list(request)
                except OF_ONE_LISTING as error:
                    if not self._defers_errors:
                        raise
                    _LOG.warning("The others are listed first: %s", error)
                    self._put(_Failed(error, request))
        except Stopped:
            return
        except BaseException as error:  # noqa: BLE001 - handed to the reader, who raises it
            # The others finish what they are at, and begin nothing.
            self._requests.clear()
            with suppress(Stopped):
                self._put(_Failed(error))

    def _list(self, request: ListingRequest) -> None:
        began_at = self.clock.utc()
        try:
            # They are asked for first: one that starts meanwhile is listed again, with its start.
            # They are handed on last: loaded ahead of their elders they would hide these from the
            # cursor, should what follows fail.
            unstarted = [
                page
                for status in (UNSTARTED_STATUSES if request.with_unstarted else ())
                for page in self._fetch(ListingRequest(request.entity, status=status))
            ]
            for page in chain(self._fetch(request), unstarted):
                self._put(Page(request, page))
        except EntityNotFound:
            _LOG.info("%s: the API answers 404; its rows stay.", request.entity)
            self._put(Listed(request, began_at, is_gone=True))
        else:
            self._put(Listed(request, began_at))

    def _fetch(self, request: ListingRequest) -> Iterator[list[Any]]:
        entity = request.entity
        for rows in fetch_integration_runs(
            self._client,
            entity.entity_type,
            entity.entity_id,
            start_date=request.start_date,
            end_date=request.end_date,
            status=request.status,
            order=self._order,
            page_size=self._page_size,
        ):
            yield _name_entity(rows, entity)

    def _put(self, event: Page | Listed | _Failed) -> None:
        """Waits for room; gives up when the reader has gone."""
        while not self._cancelled.is_set():
            try:
                self._queue.put(event, timeout=_POLL_SECONDS)
            except Full:
                continue
            return
        raise Stopped


def _name_entity(rows: list[Any], entity: Entity) -> list[Any]:
    """The runs as they were served; one that does not say whose it is is the entity's asked."""
    for row in rows:
        if isinstance(row, dict):
            row["entityType"] = row.get("entityType") or entity.entity_type
            row["entityId"] = row.get("entityId") or entity.entity_id
    return rows
