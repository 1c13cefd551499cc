"""What a sync asks for: no more than it must, and no less than it needs where the probe lies."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import JSONResponse

from m3ter_sync.sandbox import LoggedRequest, Row, Sandbox, World, build_world
from m3ter_sync.source.fan_out import UNSTARTED_STATUSES

NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    """230 entities at rest for long, each with runs."""
    world = build_world(now=NOW, bills=230, notifications=0, runs=700, open_runs=0)
    for bill in list(world.bills.values()):
        if not world.integration_runs.of("Bill", bill["id"]):
            add_run(world, bill, timedelta(days=9))
    for run in list(world.integration_runs.values()):
        if run["status"] not in ("COMPLETE", "ERROR"):
            world.change_run(run["id"], status="ERROR", dtStarted=run["dtCreated"])
    return world


def add_run(world: World, bill: Row, ago: timedelta = timedelta()) -> Row:
    at = int((world.now - ago).timestamp() * 1000)
    row = world.deliveries.create(world.bill_routes(bill)[0], at)
    row |= {"status": "COMPLETE", "dtStarted": row["dtCreated"], "dtCompleted": row["dtCreated"]}
    with world.lock:
        world.integration_runs[row["id"]] = row
    return row


def kinds(requests: list[LoggedRequest]) -> Counter[str]:
    """How many requests of each kind."""
    named = Counter[str]()
    for each in requests:
        parts = each.path.strip("/").split("/")
        kind = parts[-1] if parts[0] == "oauth" else "/".join(parts[2:])
        if kind.startswith("integrationruns/") and not kind.endswith("/latest"):
            kind = "runs"
        if "ids" in each.params and kind == "bills":
            kind = "bills by id"
        named[kind] += 1
    return named


LISTINGS = {
    "token": 1, "bills": 1, "notifications/configurations": 1, "integrationconfigs": 1,
    "events/types": 1,
}  # fmt: skip


def test_a_sync_with_nothing_changed_probes_and_lists_no_runs(world: World, warehouse: Any) -> None:
    first = warehouse.sync()
    assert kinds(warehouse.sandbox.requests) == LISTINGS | {"bills": 3, "runs": 230}
    assert first.requests == 237
    second = warehouse.sync()
    assert kinds(warehouse.sandbox.requests) == LISTINGS | {"integrationruns/Bill/latest": 3}
    assert (second.entities_known, second.entities_listed, second.entities_skipped) == (230, 0, 230)


def test_a_sync_with_ten_changed_entities_lists_those_ten(world: World, warehouse: Any) -> None:
    warehouse.sync()
    changed = sorted(world.bills)[::23]
    assert len(changed) == 10
    world.now += timedelta(hours=1)
    for bill_id in changed:
        add_run(world, world.bills[bill_id])
    summary = warehouse.sync()
    assert kinds(warehouse.sandbox.requests) == LISTINGS | {
        "integrationruns/Bill/latest": 3, "runs": 10, "bills by id": 1,
    }  # fmt: skip
    asked = [each for each in warehouse.sandbox.requests if "/integrationruns/Bill/" in each.path]
    assert {each.path.rsplit("/")[-1] for each in asked} == {"latest", *changed}
    assert summary.tables["integration_runs"].new == 10
    assert summary.tables["integration_runs"].changed == 0
    warehouse.assert_equals_the_world()


def test_a_notification_that_was_deleted_costs_one_request(
    open_warehouse: Callable[..., Any],
) -> None:
    """Found: the probe left it out, was not believed, and whatever had no runs was listed."""
    world = build_world(now=NOW, bills=0, notifications=20, runs=100, open_runs=0)
    for run in list(world.integration_runs.values()):
        if run["status"] not in ("COMPLETE", "ERROR"):
            world.change_run(run["id"], status="ERROR", dtStarted=run["dtCreated"])
    with_runs = {run["entityId"] for run in world.integration_runs.values()}
    assert with_runs < world.notification_configurations.keys(), "some never ran"
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        gone = min(with_runs)
        with world.lock:
            del world.notification_configurations[gone]
        summary = warehouse.sync()
        assert kinds(sandbox.requests) == LISTINGS | {
            "integrationruns/Notification/latest": 1, "runs": 1,
        }  # fmt: skip
        assert summary.entities_gone == [f"Notification {gone}"]
        warehouse.assert_equals_the_world()


def test_an_entity_of_many_pages_is_listed_from_its_cursor(world: World, warehouse: Any) -> None:
    bill = world.bills[min(world.bills)]
    for number in range(300):
        add_run(world, bill, timedelta(days=10, hours=number))
    newest = add_run(world, bill, timedelta(hours=30))
    warehouse.sync(page_size=40)
    add_run(world, bill)
    warehouse.sync(page_size=40)
    listings = [
        {name: values for name, values in each.params.items() if name != "pageSize"}
        for each in warehouse.sandbox.requests
        if each.path.endswith(bill["id"])
    ]
    start = datetime.fromisoformat(newest["dtStarted"]) - timedelta(days=1)
    text = start.isoformat(timespec="microseconds").replace("+00:00", "Z")
    assert listings == [
        *({"status": [status], "order": ["ASC"]} for status in UNSTARTED_STATUSES),
        {"startDate": [text], "order": ["ASC"]},
    ]
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("shape", ["list", "data", "object"])
def test_the_probe_is_understood_in_all_its_shapes(
    shape: str, world: World, open_warehouse: Callable[..., Any]
) -> None:
    with Sandbox(world) as sandbox:
        sandbox.behaviour.latest_shape = shape
        if shape == "object":  # one object answers one id
            sandbox.behaviour.latest_most_ids = 1
            for bill_id in sorted(world.bills)[20:]:
                del world.bills[bill_id]
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        assert warehouse.sync().entities_listed == 0


@pytest.mark.parametrize("status", [400, 413, 414])
def test_the_probe_asks_for_fewer_where_so_many_are_refused(
    status: int, world: World, warehouse: Any
) -> None:
    behaviour = warehouse.sandbox.behaviour
    behaviour.latest_most_ids, behaviour.latest_refusal = 30, status
    warehouse.sync()
    assert warehouse.sync().entities_listed == 0
    sizes = [
        len(each.params["ids"])
        for each in warehouse.sandbox.requests
        if each.path.endswith("/latest") and each.status == 200
    ]
    assert sum(sizes) == 230
    assert max(sizes) <= 30


LIES: dict[str, Callable[[list[Row]], Any]] = {
    "something else": lambda runs: {"message": "Not implemented"},
    "no runs": lambda runs: ["run"] * len(runs),
    "text": lambda runs: "latest",
    "nothing": lambda runs: [],
    "null": lambda runs: None,
    "an empty object": lambda runs: {},
    "one run only": lambda runs: runs[0],
    "every second run": lambda runs: runs[::2],
    "two runs for one": lambda runs: [*runs, runs[0]],
    "a stranger's run": lambda runs: [runs[0] | {"entityId": "stranger"}, *runs[1:]],
    "another type's run": lambda runs: [run | {"entityType": "Notification"} for run in runs],
    "no ids": lambda runs: [{**run, "id": None} for run in runs],
}


def test_a_probe_that_cannot_be_believed_costs_requests_and_no_rows(
    world: World, warehouse: Any
) -> None:
    for bill_id in sorted(world.bills)[40:]:
        del world.bills[bill_id]
    warehouse.sync()
    for lie in LIES.values():
        warehouse.sandbox.behaviour.on_request = lambda log, lie=lie: (
            JSONResponse(lie(latest_runs(world, log))) if log.path.endswith("/latest") else None
        )
        world.now += timedelta(hours=1)
        for bill in list(world.bills.values())[::10]:
            add_run(world, bill)
        warehouse.sync()
        warehouse.assert_equals_the_world()


def latest_runs(world: World, log: LoggedRequest) -> list[Row]:
    """What the probe should answer."""
    return [
        max(world.integration_runs.of("Bill", bill_id), key=lambda run: run["dtCreated"])
        for bill_id in log.params["ids"]
    ]


@pytest.mark.parametrize("shape", ["wrong", "partial", "none"])
def test_a_probe_that_misbehaves_from_one_sync_to_the_next_costs_no_rows(
    shape: str, world: World, warehouse: Any
) -> None:
    """Found: the oldest run instead of the latest made an entity with one run look settled."""
    warehouse.sync()
    warehouse.sandbox.behaviour.latest_shape = shape
    world.advance(1)
    for bill in world.bills.values():
        runs = list(world.integration_runs.of("Bill", bill["id"]))
        if len(runs) == 1:
            add_run(world, bill)
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_silence_is_no_proof_where_no_run_is_known(open_warehouse: Callable[..., Any]) -> None:
    """Found: an answer without runs was believed even where it had never held any."""
    world = build_world(now=NOW, bills=5, notifications=5, runs=0)
    world.integration_runs.clear()
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        sandbox.behaviour.on_request = lambda log: (
            JSONResponse([]) if log.path.endswith("/latest") else None
        )
        add_run(world, next(iter(world.bills.values())))
        warehouse.sync()
        warehouse.assert_equals_the_world()


def test_what_changes_while_its_pages_are_read_is_loaded_in_the_end(
    world: World, warehouse: Any
) -> None:
    bill = world.bills[min(world.bills)]
    for number in range(30):
        add_run(world, bill, timedelta(days=20, hours=number))
    seen = Counter[str]()

    def change(log: LoggedRequest) -> None:
        if not log.path.endswith(bill["id"]):
            return
        seen["pages"] += 1
        runs = list(world.integration_runs.of("Bill", bill["id"]))
        if seen["pages"] in (2, 3, 4):
            world.change_run(runs[0]["id"], status="STARTED")
            add_run(world, bill)
            waiting = add_run(world, bill)
            world.change_run(waiting["id"], status="WAITING", dtStarted=None, dtCompleted=None)

    warehouse.sandbox.behaviour.on_request = change
    warehouse.sync(page_size=7)
    warehouse.sandbox.behaviour.on_request = None
    assert seen["pages"] > 4
    warehouse.sync(page_size=7)
    warehouse.assert_equals_the_world()
