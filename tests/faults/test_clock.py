"""A clock that is wrong or jumps: nothing is missed, and no number stays wrong."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest
from tests.conftest import NOW, SimulatedClock, Warehouse

from m3ter_sync.api import M3terClient
from m3ter_sync.sandbox import Row, Sandbox, World, build_world
from m3ter_sync.warehouse.checks import run_checks
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.refresh import refresh
from m3ter_sync.warehouse.state import read_newest_load_id

HOUR, DAY, YEAR = timedelta(hours=1), timedelta(days=1), timedelta(days=365)


@pytest.fixture
def world() -> World:
    """One at rest: a sync that follows another has nobody to ask."""
    world = build_world(now=NOW - 3 * DAY, bills=120, notifications=12, runs=300, open_runs=0)
    world.now = NOW
    return world


@pytest.fixture
def add_run(world: World) -> Callable[..., Row]:
    """Adds a run that was created and ended so long ago, and shows only now."""

    def add(bill: Row, ago: timedelta = timedelta()) -> Row:
        created = int((world.now - ago).timestamp() * 1000)
        row = world.deliveries.create(world.bill_routes(bill)[0], created)
        row |= {
            "status": "COMPLETE",
            "dtStarted": row["dtCreated"],
            "dtCompleted": row["dtCreated"],
        }
        with world.lock:
            world.integration_runs[row["id"]] = row
        return row

    return add


@pytest.fixture
def bill(world: World) -> Row:
    """An old one."""
    return min(world.bills.values(), key=lambda each: each["dtCreated"])


@pytest.mark.parametrize("jump", [-3 * HOUR, -DAY, YEAR])
def test_what_happened_before_and_after_a_jump_is_all_there(
    jump: timedelta, world: World, warehouse: Warehouse
) -> None:
    """The clock jumps between two syncs: both load all there is."""
    warehouse.sync(at=world.now)
    for off in (jump, jump, timedelta()):
        world.advance(1 / 24)
        warehouse.sync(at=world.now + off)
        warehouse.assert_equals_the_world()


@pytest.mark.parametrize("jump", [3 * HOUR, YEAR])
def test_a_listing_of_the_future_puts_off_no_sweep(
    jump: timedelta, world: World, bill: Row, add_run: Callable[..., Row], warehouse: Warehouse
) -> None:
    """Found: swept while the clock was ahead, an entity would not have been swept until then.

    Once the clock is right again, whatever was listed in the future is listed in full at once.
    """
    # So many that they are listed from the cursor, unless a sweep is due.
    for number in range(100):
        add_run(bill, 30 * DAY + number * HOUR)
    warehouse.sync(at=world.now + jump, page_size=10)
    runs = world.integration_runs.of("Bill", bill["id"])
    oldest = min(runs, key=lambda run: run["dtCreated"])
    world.change_run(oldest["id"], status="ERROR", error="found out later")
    with world.lock:
        bill["billTotal"] = 4711.5
        world.deliveries.change(bill, int(world.now.timestamp() * 1000))
    world.now += HOUR
    warehouse.sync(at=world.now, page_size=10)
    warehouse.assert_equals_the_world()
    assert warehouse.sync(at=world.now + HOUR).entities_listed == 0, "and once is enough"


def test_an_entity_that_was_listed_in_the_future_is_not_settled(
    world: World, bill: Row, add_run: Callable[..., Row], warehouse: Warehouse
) -> None:
    """Found: one that was listed while the clock was ahead counted as at rest ever after.

    A run that shows late, beside one that is held, is found at the next sync.
    """
    for number in range(100):
        add_run(bill, 30 * DAY + number * HOUR)
    warehouse.sync(at=world.now, page_size=10)
    add_run(bill)
    # No sweep is due and the bill is large, so that only its `listed_at` is of the future.
    warehouse.sync(at=world.now + 6 * DAY, page_size=10)
    add_run(bill, HOUR)
    warehouse.sync(at=world.now + HOUR, page_size=10)
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("skew", [-HOUR, HOUR, 20 * HOUR])
def test_a_clock_that_differs_from_the_servers_misses_nothing(
    skew: timedelta, world: World, bill: Row, add_run: Callable[..., Row], warehouse: Warehouse
) -> None:
    """The machine's clock is ahead of m3ter's or behind: late runs are found all the same.

    The overlap covers it; beyond the overlap (24 hours) a late run is found by the sweep.
    """
    add_run(bill)
    warehouse.sync(at=world.now + skew)
    # Older than the newest that is held.
    add_run(bill, HOUR / 2)
    world.now += HOUR
    warehouse.sync(at=world.now + skew)
    warehouse.assert_equals_the_world()


@pytest.fixture
def refreshed(warehouse: Warehouse, world: World) -> Callable[[datetime], list[str]]:
    """Syncs and builds at an instant; returns the names of the checks that fail."""

    def sync(at: datetime) -> list[str]:
        warehouse.sync(at=at)
        with warehouse.location.connect() as connection:
            return [check.name for check in refresh(connection, warehouse.location, now=at)]

    return sync


@pytest.mark.parametrize("jump", [3 * HOUR, YEAR])
def test_the_windows_roll_back_from_the_last_sync_not_from_the_future(
    jump: timedelta, world: World, warehouse: Warehouse, refreshed: Callable[[datetime], list[str]]
) -> None:
    """Found: a sync of the future was the newest for as long as the clock had been ahead.

    The last sync is the one that was written down last: freshness, windows and the coverage of
    each day go by it.
    """
    refreshed(world.now)
    world.advance(1 / 24)
    refreshed(world.now + jump)
    world.advance(1 / 24)
    assert refreshed(world.now) == []
    (row,) = warehouse.query(
        "select max(as_of) as as_of, max(last_loaded_at) as loaded_at from m3ter.sync_status"
    )
    assert row == {"as_of": world.now, "loaded_at": world.now}
    (row,) = warehouse.query("select max(covered_on) as day from m3ter.notification_coverage_daily")
    assert row == {"day": world.now.date()}
    with warehouse.location.connect() as connection:
        for late, fails in ((DAY, False), (2 * DAY, True)):
            checks = run_checks(connection, now=world.now + late)
            assert ("freshness" in [each.name for each in checks if not each.passed]) is fails


def test_a_sync_of_the_future_does_not_count_as_fresh(
    world: World, warehouse: Warehouse, refreshed: Callable[[datetime], list[str]]
) -> None:
    """Found: syncs that stopped after the clock was put back looked fresh until that day came."""
    assert refreshed(world.now + YEAR) == []
    with warehouse.location.connect() as connection:
        failed = [each.name for each in run_checks(connection, now=world.now) if not each.passed]
    assert failed == ["freshness"]


def test_a_load_is_told_from_the_one_before_also_where_the_clock_was_put_back(
    world: World, warehouse: Warehouse
) -> None:
    """Found: after the clock was put back, the newest load looked like the one before.

    By it a sync tells whether another machine synced since a killed one left a package behind,
    which it then drops (tests/end_to_end/test_sync_interrupted.py).
    """
    warehouse.sync()
    with warehouse.location.connect() as connection:
        connection.execute("update m3ter_raw._dlt_loads set load_id = '9999999999.9'")
        connection.execute("update m3ter_raw.entities set _dlt_load_id = '9999999999.9'")
    before = read_newest_load_id(build_pipeline(warehouse.location))
    world.advance(1)
    warehouse.sync()
    assert read_newest_load_id(build_pipeline(warehouse.location)) != before


class TestToken:
    """The token's age is told by a clock that only moves forward."""

    @pytest.fixture
    def clock(self) -> SimulatedClock:
        return SimulatedClock(NOW)

    @pytest.fixture
    def client(self, sandbox: Sandbox, clock: SimulatedClock) -> Iterator[M3terClient]:
        with M3terClient(
            org_id=sandbox.org_id,
            access_key_id=sandbox.access_key_id,
            api_secret=sandbox.api_secret,
            base_url=sandbox.base_url,
            requests_per_second=100_000,
            clock=clock,
        ) as client:
            yield client

    @staticmethod
    def statuses(sandbox: Sandbox) -> list[tuple[str, int]]:
        return [(each.method, each.status) for each in sandbox.requests]

    @pytest.mark.parametrize("jump", [-YEAR, -3 * HOUR, 3 * HOUR, YEAR])
    def test_a_jump_does_not_age_the_token(
        self, jump: timedelta, sandbox: Sandbox, client: M3terClient, clock: SimulatedClock
    ) -> None:
        """The clock jumps during a sync: the token is used on, and nothing is refused."""
        client.fetch("events/types")
        clock.at += jump
        client.fetch("events/types")
        assert self.statuses(sandbox) == [("POST", 200), ("GET", 200), ("GET", 200)]

    def test_a_token_that_expired_while_the_machine_slept_is_renewed(
        self, sandbox: Sandbox, client: M3terClient, clock: SimulatedClock
    ) -> None:
        """A laptop sleeps for a day: one request is refused, and sent with a new token."""
        client.fetch("events/types")
        clock.at += DAY
        sandbox.expire_tokens()
        client.fetch("events/types")
        told = [("POST", 200), ("GET", 200), ("GET", 403), ("POST", 200), ("GET", 200)]
        assert self.statuses(sandbox) == told
