"""Decides which entities to list, and from where on. Pure: it asks nothing of anybody.

The rules and their reasons: docs/decisions/0004-what-to-ask.md.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from m3ter_sync.api import INTEGRATION_RUNS_PAGE_LIMIT
from m3ter_sync.source import Entity, ListingRequest
from m3ter_sync.source.fan_out import UNSTARTED_STATUSES
from m3ter_sync.source.probe import read_moment
from m3ter_sync.warehouse.state import EntityState

_UNSEEN = EntityState()


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan goes by.

    Attributes:
        now: When the sync began.
        overlap: How far before its newest run an entity is listed again.
        sweep_after: After what time an entity is listed in full anyway.
        page_size: How many runs a page holds.
        since: Moves starts back, never forward: no gap can be made by hand.
        until: Only runs that started before or on this instant.
        is_full: List everything in full.
    """

    now: datetime
    overlap: timedelta
    sweep_after: timedelta
    page_size: int = INTEGRATION_RUNS_PAGE_LIMIT
    since: datetime | None = None
    until: datetime | None = None
    is_full: bool = False


def is_recent(listed_at: datetime | None, rules: Rules) -> bool:
    """Whether a full listing was not too long ago.

    One in the future was dated by a clock that was wrong: it says nothing.
    """
    return listed_at is not None and timedelta() <= rules.now - listed_at < rules.sweep_after


def is_swept(state: EntityState, rules: Rules) -> bool:
    """Whether an entity was listed in full, to the end, not too long ago."""
    return is_recent(state.swept_at, rules)


def build_request(
    entity: Entity, state: EntityState | None, rules: Rules, *, is_expected: bool = False
) -> ListingRequest | None:
    """What to ask for one entity; None for one that is gone, until the next sweep.

    One that is expected to be there (m3ter lists it, or it was asked for by name) is asked all
    the same: what answered 404 once may be there now.

    A listing from a start date on leaves out the runs that never started, so they are asked for
    by status too. An entity that can be listed in full with no more requests than that is.
    """
    state = state or _UNSEEN
    is_due = rules.is_full or not is_swept(state, rules)
    if state.is_gone and not (is_due or is_expected or rules.since):
        return None
    whole = ListingRequest(entity, end_date=rules.until, swept_at=state.swept_at)
    is_small = state.run_count < rules.page_size * (len(UNSTARTED_STATUSES) + 1)
    if is_due or is_small or state.waiting_count or not state.newest_started_at:
        return whole
    try:
        start = (state.open_started_at or state.newest_started_at) - rules.overlap
    except OverflowError:  # some servers write the year 1 for never
        return whole
    if rules.since:
        start = min(start, rules.since)
    return replace(whole, start_date=start, with_unstarted=True)


def is_settled(state: EntityState, latest: Mapping[str, Any] | None, rules: Rules) -> bool:
    """Whether an entity need not be listed, given the latest run that the probe answered.

    It is settled when that is the newest run we hold, in the version we hold, no run of it is
    open, and its newest run had started more than the overlap before it was last listed: a
    younger one may still get late neighbours. A run that was created since then came with a
    listing that was not brought to its end.
    """
    if state.listed_at is None or state.listed_at > rules.now or state.open_count:
        return False
    if state.newest_created_at and state.newest_created_at >= state.listed_at:
        return False
    if latest is None or state.newest_run is None:
        return latest is None and state.newest_run is None
    answered = (latest.get("id"), latest.get("version"), read_moment(latest, "dtLastModified"))
    if answered != state.newest_run:
        return False
    newest = state.newest_started_at
    return newest is None or newest < state.listed_at - rules.overlap


def refine_requests(
    requests: Iterable[ListingRequest],
    states: Mapping[Entity, EntityState],
    latest: Mapping[Entity, Mapping[str, Any] | None],
    rules: Rules,
) -> list[ListingRequest]:
    """Drops the settled entities, and sees to it that the latest run of the others is listed.

    The latest runs are not loaded as the probe answered them: the cursor is read from the rows,
    and a run loaded ahead of its elders would hide them.
    """
    refined: list[ListingRequest] = []
    for request in requests:
        if request.entity not in latest:
            refined.append(request)
            continue
        run = latest[request.entity]
        if is_settled(states[request.entity], run, rules):
            continue
        if request.start_date and run:
            started_at = read_moment(run, "dtStarted")
            if started_at is None or started_at <= request.start_date:
                # It may not be the only one that a listing from that date on leaves out.
                refined.append(replace(request, start_date=None, with_unstarted=False))
                continue
        refined.append(request)
    return refined
