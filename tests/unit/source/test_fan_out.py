"""Many entities are listed at once; what is handed on is complete, bounded, and ends well."""

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.responses import JSONResponse

from m3ter_sync.api import M3terClient, RequestRefused
from m3ter_sync.sandbox import LoggedRequest, Sandbox, World, build_world
from m3ter_sync.source import Entity, FanOut, ListingRequest
from m3ter_sync.source.fan_out import UNSTARTED_STATUSES, Listed, Page


@pytest.fixture
def world() -> World:
    now = datetime(2025, 11, 3, 6, tzinfo=UTC)
    return build_world(now=now, bills=20, notifications=0, runs=200)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[M3terClient]:
    with M3terClient(
        org_id=sandbox.org_id,
        access_key_id=sandbox.access_key_id,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        requests_per_second=100_000,
    ) as client:
        yield client


def requests_for(world: World) -> list[ListingRequest]:
    return [ListingRequest(Entity("Bill", bill_id)) for bill_id in world.bills]


@pytest.mark.parametrize("threads", [1, 4, 50])
@pytest.mark.parametrize("page_size", [1, 7, 200])
def test_every_run_comes_before_the_end_of_its_listing(
    threads: int, page_size: int, world: World, client: M3terClient
) -> None:
    runs: Counter[str] = Counter()
    ended: set[str] = set()
    with FanOut(client, requests_for(world), threads=threads, page_size=page_size) as fan_out:
        for event in fan_out.events():
            entity_id = event.request.entity.entity_id
            assert entity_id not in ended
            if isinstance(event, Page):
                assert {row["entityId"] for row in event.rows} == {entity_id}
                runs.update(row["id"] for row in event.rows)
            else:
                ended.add(entity_id)
        assert fan_out.is_exhausted
    assert runs == Counter(world.integration_runs.keys())
    assert ended == world.bills.keys()


def test_an_entity_that_is_gone_ends_its_listing_and_no_other(
    world: World, client: M3terClient
) -> None:
    requests = [*requests_for(world), ListingRequest(Entity("Bill", "gone"))]
    with FanOut(client, requests, threads=4, page_size=200) as fan_out:
        ends = [event for event in fan_out.events() if isinstance(event, Listed)]
    assert [str(event.request.entity) for event in ends if event.is_gone] == ["Bill gone"]
    assert len(ends) == 21


def test_nothing_to_list_ends_at_once(client: M3terClient) -> None:
    with FanOut(client, [], threads=4, page_size=200) as fan_out:
        assert list(fan_out.events()) == []


@pytest.mark.parametrize("defers", [False, True])
def test_a_failure_ends_the_stream_and_is_told(
    defers: bool, sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    last = list(world.bills)[-1]
    sandbox.behaviour.on_request = lambda log: (
        JSONResponse({"message": "no"}, 400) if log.path.endswith(last) else None
    )
    requests = requests_for(world)
    with FanOut(client, requests, threads=3, page_size=50, defers_errors=defers) as fan_out:
        if defers:
            list(fan_out.events())
            assert isinstance(fan_out.error, RequestRefused)
        else:
            with pytest.raises(RequestRefused, match=last):
                list(fan_out.events())
        assert fan_out.is_exhausted


def test_the_stream_may_be_left_and_taken_up_again(world: World, client: M3terClient) -> None:
    ended = 0
    with FanOut(client, requests_for(world), threads=4, page_size=20) as fan_out:
        while not fan_out.is_exhausted:
            for event in fan_out.events():
                if isinstance(event, Listed):
                    ended += 1
                    break
    assert ended == 20


def test_a_slow_reader_holds_the_requests_back(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    with FanOut(client, requests_for(world), threads=2, page_size=1) as fan_out:
        events = fan_out.events()
        next(events)
        seen = 0
        while seen < len(sandbox.requests):
            seen = len(sandbox.requests)
            threading.Event().wait(0.2)
        # Two threads have four pages each waiting, and one in the hand, beside the one read.
        assert seen <= 2 + 2 * 4 + 2
        assert 1 + sum(isinstance(event, Page) for event in events) == len(world.integration_runs)


def test_a_stop_ends_the_stream_and_closing_waits_for_the_threads(
    world: World, client: M3terClient
) -> None:
    stop = threading.Event()
    before = threading.active_count()
    with FanOut(client, requests_for(world), threads=4, page_size=1, stop=stop) as fan_out:
        events = fan_out.events()
        next(events)
        stop.set()
        assert len(list(events)) <= 1
        assert fan_out.is_exhausted
    assert threading.active_count() <= before


def test_those_that_may_have_no_start_are_listed_first_and_apart(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    start = datetime(2025, 10, 1, tzinfo=UTC)
    bill_id = next(iter(world.bills))
    request = ListingRequest(Entity("Bill", bill_id), start_date=start, with_unstarted=True)
    with FanOut(client, [request], threads=1, page_size=200) as fan_out:
        list(fan_out.events())
    asked: list[dict[str, Any]] = [
        each.params for each in sandbox.requests if isinstance(each, LoggedRequest)
    ]
    statuses = [params.get("status") for params in asked[1:]]
    assert statuses == [*([status] for status in UNSTARTED_STATUSES), None]
    assert ["startDate" in params for params in asked[1:]] == [False] * 5 + [True]


def test_without_memory_for_a_thread_it_says_so(world: World, client: M3terClient) -> None:
    before = threading.stack_size(1 << 46)
    try:
        with (
            FanOut(client, requests_for(world), threads=4, page_size=200) as fan_out,
            pytest.raises(MemoryError, match="No thread can be started"),
        ):
            list(fan_out.events())
    finally:
        threading.stack_size(before)
