"""What changes late, appears late, waits, vanishes or comes back: no sync misses it for good."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m3ter_sync.sandbox import Row, Sandbox, World, build_world
from m3ter_sync.warehouse.sync import ListingShrank, SyncOptions


@pytest.fixture
def world() -> World:
    """One that ends now, so that some of its runs are younger than the overlap."""
    now = datetime.now(UTC) - timedelta(minutes=10)
    return build_world(now=now, bills=12, notifications=20, runs=150, open_runs=0)


@pytest.fixture
def long_ago() -> World:
    """One whose runs are all older than the overlap: its entities are settled once listed."""
    return build_world(now=datetime(2025, 11, 3, tzinfo=UTC), bills=12, runs=150, open_runs=0)


def add_run(world: World, entity: Row, ago: timedelta = timedelta(), **fields: Any) -> Row:
    """A run of a bill as `fields` have it; otherwise complete, and created `ago`."""
    route = world.bill_routes(entity)[0]
    at = int((world.now - ago).timestamp() * 1000)
    row = world.deliveries.create(route, at)
    row |= {"status": "COMPLETE", "dtStarted": row["dtCreated"], "dtCompleted": row["dtCreated"]}
    row |= fields
    with world.lock:
        world.integration_runs[row["id"]] = row
    return row


def a_bill(world: World) -> Row:
    return min(world.bills.values(), key=lambda bill: bill["dtCreated"])


def make_large(world: World, bill: Row) -> None:
    """More runs than six pages hold, so that the bill is listed from its cursor."""
    for number in range(230):
        add_run(world, bill, timedelta(days=30, hours=number))


@pytest.fixture
def warehouse(sandbox: Sandbox, open_warehouse: Callable[..., Any]) -> Any:
    """Of small pages, so that 230 runs are many."""
    return open_warehouse(sandbox, page_size=30)


@pytest.fixture
def bills(world: World) -> list[Row]:
    """Two bills: one is listed in full each time, the other from its cursor."""
    small, large = sorted(world.bills.values(), key=lambda bill: bill["dtCreated"])[:2]
    make_large(world, large)
    return [small, large]


WAITING = {"status": "WAITING", "dtStarted": None, "dtCompleted": None}


def test_a_run_that_waits_beside_a_later_one_is_found(
    world: World, bills: list[Row], warehouse: Any
) -> None:
    """Found: a listing from a start date leaves it out, and the probe shows the later one."""
    warehouse.sync()
    for bill in bills:
        add_run(world, bill, timedelta(minutes=5), **WAITING)
        add_run(world, bill, timedelta(minutes=4))
    warehouse.sync()
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("status", ["DISABLED", "AUTH_FAILED", "RATE_LIMIT_RETRY"])
@pytest.mark.parametrize("shape", ["none", "list"])
def test_a_run_that_never_started_is_found_whatever_its_status(
    shape: str, status: str, world: World, bills: list[Row], warehouse: Any
) -> None:
    """Found: of a bill of many runs only those that wait were asked for."""
    warehouse.sync()
    warehouse.sandbox.behaviour.latest_shape = shape
    for bill in bills:
        add_run(world, bill, timedelta(minutes=5), status=status, dtStarted=None)
        add_run(world, bill, timedelta(minutes=4))
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_run_that_waits_is_found_with_and_without_the_probe(
    world: World, bills: list[Row], warehouse: Any
) -> None:
    """Found: without the probe nothing asked for it."""
    warehouse.sync()
    for shape in ("none", "list"):
        warehouse.sandbox.behaviour.latest_shape = shape
        for bill in bills:
            add_run(world, bill, **WAITING)
        warehouse.sync()
        warehouse.assert_equals_the_world()


FATES: list[dict[str, str | None]] = [
    {"status": "DISABLED"},
    {"status": "STARTED", "dtStarted": "now"},
    {"status": "COMPLETE", "dtStarted": "now", "dtCompleted": "now"},
    {"status": "NOBODY_KNOWS"},
]


@pytest.mark.parametrize(
    "fates", [FATES, FATES[:1], FATES[1:2]], ids=["all", "disabled", "started"]
)
def test_runs_that_waited_are_followed_to_their_end(
    fates: list[dict[str, str | None]], world: World, bills: list[Row], warehouse: Any
) -> None:
    waiting = {
        add_run(world, bill, timedelta(days=3), **WAITING)["id"]: fate
        for bill in bills
        for fate in fates
    }
    warehouse.sync()
    for run_id, fate in waiting.items():
        now = world.integration_runs[run_id]["dtCreated"]
        world.change_run(run_id, **{k: now if v == "now" else v for k, v in fate.items()})
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_run_that_was_disabled_before_it_started_is_found(world: World, warehouse: Any) -> None:
    bill = a_bill(world)
    warehouse.sync()
    add_run(world, bill, timedelta(minutes=5), status="DISABLED", dtStarted=None)
    add_run(world, bill, timedelta(minutes=4))
    warehouse.sync()
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("statuses", [("STARTED", "NOBODY_KNOWS"), ("NOBODY_KNOWS", "STARTED")])
def test_an_open_run_is_followed_however_long_ago_it_started(
    statuses: tuple[str, str], world: World, bills: list[Row], warehouse: Any
) -> None:
    open_runs = [
        add_run(world, bill, timedelta(days=60), status=status, dtCompleted=None)
        for bill, status in zip(bills, statuses, strict=True)
    ]
    warehouse.sync()
    for run in open_runs:
        world.change_run(run["id"], status="COMPLETE", dtCompleted=run["dtStarted"])
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_run_that_comes_late_within_the_overlap_is_found(
    world: World, bills: list[Row], warehouse: Any
) -> None:
    for bill in bills:
        add_run(world, bill)
    warehouse.sync()
    for bill in bills:
        add_run(world, bill, timedelta(hours=2))
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_runs_of_the_same_instant_are_all_found(
    world: World, bills: list[Row], warehouse: Any
) -> None:
    first, _ = [add_run(world, bill) for bill in bills]
    warehouse.sync(overlap_hours=1)
    for _ in range(3):
        for bill in bills:
            add_run(world, bill, dtCreated=first["dtCreated"], dtStarted=first["dtStarted"])
        warehouse.sync(overlap_hours=1)
        warehouse.assert_equals_the_world()


def test_an_old_change_to_a_run_at_rest_is_found_by_the_sweep(
    long_ago: World, open_warehouse: Callable[..., Any]
) -> None:
    with Sandbox(long_ago) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        runs = long_ago.integration_runs.of("Bill", a_bill(long_ago)["id"])
        oldest = min(runs, key=lambda run: run["dtCreated"])
        long_ago.change_run(oldest["id"], status="ERROR", error="found out later")
        skipped = warehouse.sync()
        assert skipped.entities_listed == 0
        assert warehouse.rows("integration_runs")[oldest["id"]]["status"] != "ERROR"
        assert warehouse.sync(full_sweep_days=0).entities_skipped == 0
        warehouse.assert_equals_the_world()


@pytest.mark.parametrize("how", ["--full", "--since"])
def test_an_old_change_is_found_at_once_by_who_asks(
    how: str, long_ago: World, open_warehouse: Callable[..., Any]
) -> None:
    """Found: --since moved the starts of entities back that were then skipped as settled."""
    options = {
        "--full": SyncOptions(is_full=True),
        "--since": SyncOptions(since=long_ago.now - timedelta(days=400)),
    }
    with Sandbox(long_ago) as sandbox:
        warehouse = open_warehouse(sandbox)
        make_large(long_ago, a_bill(long_ago))
        warehouse.sync()
        for run in list(long_ago.integration_runs.values())[::7]:
            long_ago.change_run(run["id"], status="ERROR", error="found out later")
        warehouse.sync(options[how])
        warehouse.assert_equals_the_world()


def test_since_makes_no_gap(long_ago: World, open_warehouse: Callable[..., Any]) -> None:
    with Sandbox(long_ago) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync(SyncOptions(since=long_ago.now + timedelta(days=1)))
        warehouse.assert_equals_the_world()


def test_until_makes_no_gap(world: World, warehouse: Any) -> None:
    make_large(world, a_bill(world))
    add_run(world, a_bill(world), **WAITING)
    for days in (60, 20, 40):
        summary = warehouse.sync(SyncOptions(until=world.now - timedelta(days=days)))
        assert summary.outcome == "partial"
    assert 0 < len(warehouse.rows("integration_runs")) < len(world.integration_runs)
    warehouse.sync()
    warehouse.assert_equals_the_world()
    add_run(world, a_bill(world))
    add_run(world, a_bill(world), **WAITING)
    warehouse.sync(SyncOptions(until=world.now - timedelta(days=1)))
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_one_entity_alone_is_synced_without_harm_to_the_others(
    world: World, warehouse: Any
) -> None:
    bill = a_bill(world)
    only = SyncOptions(entity_types=["Bill"], entity_ids=[bill["id"]])
    assert warehouse.sync(only).outcome == "partial"
    held = warehouse.rows("integration_runs")
    assert held.keys() == {run["id"] for run in world.integration_runs.of("Bill", bill["id"])}
    warehouse.sync()
    warehouse.assert_equals_the_world()
    add_run(world, bill)
    warehouse.sync(only)
    warehouse.assert_equals_the_world()
    warehouse.sync(SyncOptions(entity_types=["Notification"]))
    warehouse.assert_equals_the_world()


def test_the_whole_history_of_a_bill_that_is_found_later_is_loaded(
    world: World, warehouse: Any
) -> None:
    warehouse.sync()
    changes = world.advance(0.01)
    for number in range(250):
        add_run(world, world.bills[changes.newcomer_bills[0]], timedelta(days=number))
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_bill_that_is_sent_again_is_loaded_as_it_is_now(
    open_warehouse: Callable[..., Any],
) -> None:
    """Found: of bills only the newest page was seen to change."""
    world = build_world(now=datetime(2025, 11, 3, tzinfo=UTC), bills=250, runs=400, open_runs=0)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        bill = a_bill(world)
        bill["billTotal"] = 1234.5
        world.deliveries.change(bill, int(world.now.timestamp() * 1000))
        add_run(world, bill)
        warehouse.sync()
        warehouse.assert_equals_the_world()
        asked = [each.params for each in sandbox.requests if each.path.endswith("/bills")]
        assert [params.get("ids") for params in asked] == [None, [bill["id"]]]


class TestHistory:
    """Snapshots keep their past: what is edited or deleted is closed, never overwritten."""

    def history(self, warehouse: Any, table: str, key: str) -> list[dict[str, Any]]:
        column = "name" if table == "event_types" else "id"
        rows = warehouse.query(
            f"from m3ter_raw.{table} where {column} = '{key}' order by _dlt_valid_from"
        )
        return list(rows)

    def test_an_edit_closes_the_old_version(self, world: World, warehouse: Any) -> None:
        warehouse.sync()
        row = next(iter(world.notification_configurations.values()))
        before = row["description"]
        world.deliveries.change(row, int(world.now.timestamp() * 1000), description="edited")
        summary = warehouse.sync()
        old, new = self.history(warehouse, "notification_configurations", row["id"])
        assert (old["description"], new["description"]) == (before, "edited")
        assert old["_dlt_valid_to"] == new["_dlt_valid_from"]
        assert new["_dlt_valid_to"] is None
        assert summary.tables["notification_configurations"].changed == 1
        others = warehouse.query(
            "select count(distinct _dlt_valid_from) as n from m3ter_raw.notification_configurations"
        )
        assert others == [{"n": 2}], "the others were left alone"

    def test_deleted_ones_are_closed_and_come_back_as_new_versions(
        self, world: World, warehouse: Any
    ) -> None:
        removed: dict[str, Any] = {}
        warehouse.sync()
        for table in ("notification_configurations", "integration_configurations"):
            key = next(iter(getattr(world, table)))
            removed[table] = getattr(world, table).pop(key)
        event = world.event_types.pop()
        summary = warehouse.sync()
        warehouse.assert_equals_the_world()
        keys = {table: row["id"] for table, row in removed.items()} | {"event_types": event}
        for table, key in keys.items():
            (row,) = self.history(warehouse, table, key)
            assert row["_dlt_valid_to"] is not None
            assert summary.tables[table].deleted == 1
        assert warehouse.sync().tables["event_types"].deleted == 0
        for table, row in removed.items():
            getattr(world, table)[row["id"]] = row
        world.event_types.append(event)
        warehouse.sync()
        warehouse.assert_equals_the_world()
        for table, key in keys.items():
            old, new = self.history(warehouse, table, key)
            assert old["_dlt_valid_to"] is not None
            assert new["_dlt_valid_to"] is None
        before = warehouse.dump()
        warehouse.sync()
        assert warehouse.dump() == before

    def test_a_listing_that_shrank_is_refused_until_it_is_accepted(
        self, world: World, warehouse: Any
    ) -> None:
        warehouse.sync()
        before = warehouse.dump()
        del world.event_types[5:]
        with pytest.raises(ListingShrank, match=r"event_types: m3ter lists 5 .* --accept-shrink"):
            warehouse.sync()
        assert warehouse.dump() == before
        warehouse.sync(SyncOptions(accepts_shrink=True))
        warehouse.assert_equals_the_world()

    def test_few_rows_may_all_go(self, world: World, warehouse: Any) -> None:
        del world.event_types[10:]
        warehouse.sync()
        world.event_types.clear()
        warehouse.sync()
        warehouse.assert_equals_the_world()


def test_a_deleted_notification_keeps_its_runs_and_is_asked_for_once(
    long_ago: World, open_warehouse: Callable[..., Any]
) -> None:
    """Found: one that was deleted turned the probe off, and everything was listed."""
    with Sandbox(long_ago) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        before = warehouse.rows("integration_runs")
        run = next(
            run for run in long_ago.integration_runs.values()
            if run["entityType"] == "Notification"
        )  # fmt: skip
        gone = run["entityId"]
        del long_ago.notification_configurations[gone]
        summary = warehouse.sync()
        assert summary.entities_gone == [f"Notification {gone}"]
        assert summary.entities_listed == 1
        assert warehouse.rows("integration_runs") == before
        warehouse.assert_equals_the_world()
        (row,) = warehouse.query(f"from m3ter_raw.entities where entity_id = '{gone}'")
        assert row["is_gone"]
        summary = warehouse.sync()
        assert (summary.entities_listed, summary.entities_gone) == (0, [])
        assert warehouse.sync(full_sweep_days=0).entities_gone == [f"Notification {gone}"]


def test_a_deleted_bill_stops_nothing(long_ago: World, open_warehouse: Callable[..., Any]) -> None:
    with Sandbox(long_ago) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        del long_ago.bills[a_bill(long_ago)["id"]]
        for _ in range(2):
            assert warehouse.sync().outcome == "succeeded"
        assert len(warehouse.rows("integration_runs")) == len(long_ago.integration_runs)
