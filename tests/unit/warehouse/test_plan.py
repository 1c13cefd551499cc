"""Which entities are asked, and from where on: the rules one by one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m3ter_sync.source import Entity, ListingRequest
from m3ter_sync.warehouse.plan import Rules, build_request, is_settled, refine_requests
from m3ter_sync.warehouse.state import EntityState

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)
DAY = timedelta(days=1)
BILL = Entity("Bill", "b")
RULES = Rules(now=NOW, overlap=DAY, sweep_after=7 * DAY, page_size=200)
MANY = 1_200

LARGE = EntityState(
    run_count=MANY,
    newest_created_at=NOW - 5 * DAY,
    newest_started_at=NOW - 5 * DAY,
    newest_run=("r", 3, NOW - 4 * DAY),
    listed_at=NOW - 2 * DAY,
    swept_at=NOW - 3 * DAY,
)
LATEST: dict[str, Any] = {
    "id": "r",
    "version": 3,
    "dtCreated": (NOW - 5 * DAY).isoformat(),
    "dtStarted": (NOW - 5 * DAY).isoformat(),
    "dtLastModified": (NOW - 4 * DAY).isoformat(),
}


def build(state: EntityState | None, rules: Rules = RULES) -> ListingRequest:
    request = build_request(BILL, state, rules)
    assert request is not None
    return request


def test_an_entity_of_many_pages_is_listed_from_its_newest_start_less_the_overlap() -> None:
    assert build(LARGE).start_date == NOW - 6 * DAY


def test_those_without_a_start_are_asked_for_apart_where_a_start_date_leaves_them_out() -> None:
    assert build(LARGE).with_unstarted
    assert not build(None).with_unstarted


def test_an_open_run_holds_the_start_back() -> None:
    state = replace(LARGE, open_count=1, open_started_at=NOW - 90 * DAY)
    assert build(state).start_date == NOW - 91 * DAY


@pytest.mark.parametrize(
    "state",
    [
        None,
        EntityState(),
        replace(LARGE, run_count=1_199),
        replace(LARGE, listed_at=None, swept_at=None),
        replace(LARGE, swept_at=NOW - 7 * DAY),
        replace(LARGE, open_count=1, waiting_count=1),
        replace(LARGE, newest_started_at=None),
        replace(LARGE, open_count=1, open_started_at=datetime(1, 1, 1, 5, tzinfo=UTC)),
    ],
    ids=[
        "never seen", "no runs", "six pages", "never listed to the end", "due for a sweep",
        "a run that never started", "no run that started", "started in the year 1",
    ],
)  # fmt: skip
def test_an_entity_is_listed_in_full(state: EntityState | None) -> None:
    assert build(state).start_date is None
    assert build(state).is_whole


def test_full_lists_everything_in_full() -> None:
    assert build(LARGE, replace(RULES, is_full=True)).is_whole


def test_since_moves_a_start_back_and_never_forward() -> None:
    assert build(LARGE, replace(RULES, since=NOW - 20 * DAY)).start_date == NOW - 20 * DAY
    assert build(LARGE, replace(RULES, since=NOW)).start_date == NOW - 6 * DAY
    assert build(None, replace(RULES, since=NOW)).is_whole


def test_until_never_counts_as_a_whole_listing() -> None:
    request = build(None, replace(RULES, until=NOW))
    assert request.end_date == NOW
    assert not request.is_open_ended
    assert not request.is_whole


def test_one_that_is_gone_is_asked_for_at_its_sweep_only() -> None:
    gone = replace(LARGE, is_gone=True)
    assert build_request(BILL, gone, RULES) is None
    assert build(replace(gone, swept_at=NOW - 8 * DAY)).is_whole
    assert build(gone, replace(RULES, is_full=True)).is_whole


def test_an_unchanged_entity_at_rest_is_settled() -> None:
    assert is_settled(LARGE, LATEST, RULES)
    assert is_settled(EntityState(listed_at=NOW), None, RULES)


@pytest.mark.parametrize(
    ("state", "latest"),
    [
        (LARGE, LATEST | {"id": "another"}),
        (LARGE, LATEST | {"version": 4}),
        (LARGE, LATEST | {"version": "3"}),
        (LARGE, LATEST | {"dtLastModified": NOW.isoformat()}),
        (LARGE, LATEST | {"dtLastModified": "soon"}),
        (LARGE, LATEST | {"dtLastModified": "0001-01-01T00:00:00+05:00"}),
        (LARGE, LATEST | {"dtLastModified": None}),
        (LARGE, None),
        (EntityState(listed_at=NOW), LATEST),
        (replace(LARGE, open_count=1), LATEST),
        (replace(LARGE, listed_at=None), LATEST),
        (replace(LARGE, newest_started_at=NOW - 2 * DAY), LATEST),
        # Came with a listing that was not brought to its end.
        (replace(LARGE, newest_created_at=LARGE.listed_at), LATEST),
    ],
)
def test_one_that_may_have_changed_is_not_settled(
    state: EntityState, latest: dict[str, Any] | None
) -> None:
    assert not is_settled(state, latest, RULES)


def test_a_settled_entity_is_dropped_and_one_without_an_answer_is_listed() -> None:
    request = build(LARGE)
    assert refine_requests([request], {BILL: LARGE}, {BILL: LATEST}, RULES) == []
    assert refine_requests([request], {BILL: LARGE}, {}, RULES) == [request]


@pytest.mark.parametrize("started", [None, "soon", (NOW - 6 * DAY).isoformat()])
def test_a_latest_run_that_the_listing_would_leave_out_makes_it_a_full_one(
    started: str | None,
) -> None:
    latest = LATEST | {"id": "new", "dtStarted": started}
    (request,) = refine_requests([build(LARGE)], {BILL: LARGE}, {BILL: latest}, RULES)
    assert request.is_whole
    assert not request.with_unstarted


def test_a_latest_run_that_the_listing_brings_leaves_it_as_it_is() -> None:
    latest = LATEST | {"id": "new", "dtStarted": NOW.isoformat()}
    (request,) = refine_requests([build(LARGE)], {BILL: LARGE}, {BILL: latest}, RULES)
    assert request.start_date == NOW - 6 * DAY
