"""The sandbox's world: the same again for the same seed, believable, and moving."""

from collections import Counter
from copy import deepcopy
from datetime import UTC, datetime, timedelta

import pytest

from m3ter_sync.sandbox import FAKE_CREDENTIAL, World, build_world
from m3ter_sync.sandbox.tables import RunTable, parse_instant

NOW = datetime(2025, 11, 3, 6, 0, tzinfo=UTC)
OPEN = {"WAITING", "STARTED", "AWAITING_RETRY", "RATE_LIMIT_RETRY"}
FAILED = {"ERROR", "AUTH_FAILED", "TIMEOUT_LIMIT_EXCEEDED", "ACCOUNTING_PERIOD_CLOSED"}


@pytest.fixture(scope="module")
def full_world() -> World:
    return build_world(now=NOW)


def contents(world: World) -> list[dict[str, object]]:
    return [
        dict(world.bills),
        dict(world.integration_runs),
        dict(world.notification_configurations),
        dict(world.integration_configurations),
    ]


def test_the_same_seed_and_steps_give_the_same_world() -> None:
    one, other = (build_world(3, now=NOW, bills=40, runs=500) for _ in range(2))
    assert contents(one) == contents(other)
    assert one.advance(1.5) == other.advance(1.5)
    assert contents(one) == contents(other)
    assert contents(one) != contents(build_world(4, now=NOW, bills=40, runs=500))


def test_it_has_the_size_that_was_asked_for(full_world: World) -> None:
    assert len(full_world.bills) == 300
    assert len(full_world.notification_configurations) == 40
    assert abs(len(full_world.integration_runs) - 6000) <= 10


@pytest.mark.parametrize(
    ("bills", "notifications", "runs"),
    [(0, 0, 0), (0, 3, 50), (5, 0, 40), (300, 2, 100), (10, 5, 3000)],
)
def test_any_size_can_be_asked_for(bills: int, notifications: int, runs: int) -> None:
    world = build_world(now=NOW, bills=bills, notifications=notifications, runs=runs)
    assert len(world.bills) == bills
    assert len(world.notification_configurations) == notifications
    assert abs(len(world.integration_runs) - runs) <= 10
    world.advance(2)


def test_a_few_percent_fail_and_destinations_differ(full_world: World) -> None:
    ended: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    for run in full_world.integration_runs.values():
        if run["status"] in FAILED:
            failed[run["destination"]] += 1
        if run["status"] in FAILED or run["status"] == "COMPLETE":
            ended[run["destination"]] += 1
    rates = {name: failed[name] / ended[name] for name in ended}
    assert set(rates) == {"NETSUITE", "STRIPE", "SALESFORCE", "XERO", "WEBHOOK", "STRIPE_TEST"}
    assert all(0.005 < rate < 0.12 for name, rate in rates.items() if name != "STRIPE_TEST")
    assert rates["STRIPE_TEST"] > rates["NETSUITE"] > rates["STRIPE"]


def test_one_destination_is_bad_for_two_days_within_the_last_four_weeks(full_world: World) -> None:
    by_day: dict[str, Counter[bool]] = {}
    for run in full_world.integration_runs.values():
        if run["destination"] == "NETSUITE" and run["dtStarted"]:
            day = by_day.setdefault(run["dtStarted"][:10], Counter())
            day[run["status"] == "AUTH_FAILED"] += 1
    bad = [day for day, count in by_day.items() if count[True] > 5]
    assert len(bad) in (2, 3)
    assert all(NOW - parse_instant(day) < timedelta(days=28) for day in bad)


def test_every_status_and_a_retry_that_helped_occur(full_world: World) -> None:
    runs = full_world.integration_runs
    statuses = {run["status"] for run in runs.values()}
    assert statuses >= OPEN | FAILED | {"COMPLETE", "DISABLED", "INVOICE_ALREADY_PAID"}
    children = [run for run in runs.values() if run["parentIntegrationRunId"]]
    assert all(run["parentIntegrationRunId"] in runs for run in children)
    assert Counter(run["status"] for run in children)["COMPLETE"] > 20
    assert any(run["status"] == "WAITING" and run["dtStarted"] is None for run in runs.values())


def test_no_run_is_from_the_future_or_before_its_bill(full_world: World) -> None:
    for run in full_world.integration_runs.values():
        times = [run.get(name) for name in ("dtCreated", "dtStarted", "dtCompleted")]
        instants = [parse_instant(time) for time in times if time]
        assert instants == sorted(instants)
        assert instants[-1] <= parse_instant(run["dtLastModified"]) <= NOW
        if run["entityType"] == "Bill":
            bill = full_world.bills[run["entityId"]]
            assert instants[0] >= parse_instant(bill["dtCreated"])


def test_a_notification_run_belongs_to_a_configuration_and_its_link(full_world: World) -> None:
    links = {
        (link["entityId"], link["destinationId"])
        for link in full_world.integration_configurations.values()
        if link["entityType"] == "Notification"
    }
    runs = [
        run for run in full_world.integration_runs.values() if run["entityType"] == "Notification"
    ]
    assert len(runs) > 1000
    assert {run["destination"] for run in runs} == {"WEBHOOK"}
    assert {(run["entityId"], run["destinationId"]) for run in runs} <= links


def test_notifications_are_in_every_state_that_matters(full_world: World) -> None:
    rules = full_world.notification_configurations.values()
    links = {
        link["entityId"]: link
        for link in full_world.integration_configurations.values()
        if "entityId" in link
    }
    live = set(full_world.event_types)
    assert any(not rule["active"] for rule in rules)
    assert any("eventName" not in rule for rule in rules)
    assert any(rule.get("eventName", "") not in live for rule in rules if "eventName" in rule)
    assert any(rule["id"] not in links for rule in rules if rule.get("eventName") in live)
    assert any(not link["enabled"] for link in links.values())
    assert any(link.get("authorized") is False for link in links.values())
    assert any("authorized" not in link for link in links.values())
    assert {rule["alwaysFireEvent"] for rule in rules} == {True, False}
    last_run = {
        rule["id"]: max(
            full_world.integration_runs.of("Notification", rule["id"]),
            key=lambda run: str(run["dtCreated"]),
            default=None,
        )
        for rule in rules
    }
    four_weeks_ago = (NOW - timedelta(days=28)).isoformat()
    assert any(run["dtCreated"] < four_weeks_ago for run in last_run.values() if run)
    assert any(
        run["status"] == "ERROR" and "410" in run["error"] for run in last_run.values() if run
    )


def test_event_types_are_named_as_m3ter_names_them(full_world: World) -> None:
    names = full_world.event_types
    own = [name for name in names if name.startswith("scheduled.")]
    assert len(names) - len(own) == 106
    assert len(own) == 3
    assert len(set(names)) == len(names)
    assert {
        "configuration.account.created",
        "billing.bill.updated",
        "ingest.validation.failure",
    } < set(names)
    assert sum(name.startswith("integration.") and name.endswith(".error") for name in names) == 5


def test_every_integration_configuration_holds_what_must_not_be_loaded(full_world: World) -> None:
    rows = full_world.integration_configurations.values()
    assert all(FAKE_CREDENTIAL in row["configData"].values() for row in rows)


def test_timestamps_can_come_in_any_form_of_iso_8601() -> None:
    world = build_world(now=NOW, bills=20, runs=300, varied_timestamps=True)
    texts = [run["dtCreated"] for run in world.integration_runs.values()]
    assert {len(text) for text in texts} > {17, 20, 24, 27, 30}
    assert {text[-6:] for text in texts} > {"+02:00", "+00:00"}
    assert all(parse_instant(text) <= NOW for text in texts)


def test_a_day_moves_the_world_on() -> None:
    world = build_world(now=NOW)
    before = deepcopy(dict(world.integration_runs))
    changes = world.advance(1)
    assert world.now == NOW + timedelta(days=1)
    assert changes.new_bills
    assert len(changes.new_runs) > 50
    assert changes.edited_notifications
    assert set(changes.changed_runs) == {
        run_id for run_id, run in before.items() if world.integration_runs[run_id] != run
    }
    for run_id in changes.changed_runs:
        then, now = before[run_id], world.integration_runs[run_id]
        assert then["status"] in OPEN
        assert now["version"] > then["version"]
        assert NOW <= parse_instant(now["dtLastModified"]) <= world.now
    started_long_ago = [
        before[run_id]
        for run_id in changes.changed_runs
        if before[run_id]["dtStarted"]
        and parse_instant(before[run_id]["dtStarted"]) < NOW - timedelta(days=2)
    ]
    assert started_long_ago


def test_an_entity_appears_whose_runs_are_older_than_itself() -> None:
    world = build_world(now=NOW)
    (newcomer,) = world.advance(1).newcomer_bills
    starts = [run["dtStarted"] for run in world.integration_runs.of("Bill", newcomer)]
    assert starts
    assert all(parse_instant(start) < NOW - timedelta(days=1) for start in starts)


def test_weeks_bring_edited_new_inactive_and_deleted_notifications_and_open_runs() -> None:
    world = build_world(now=NOW)
    steps = [world.advance(1) for _ in range(14)]
    assert any(step.new_notifications for step in steps)
    assert any(step.deactivated_notifications for step in steps)
    deleted = [each for step in steps for each in step.deleted_notifications]
    assert deleted
    assert not any(world.has_entity("Notification", each) for each in deleted)
    assert all(step.changed_runs for step in steps)
    gone = set(world.integration_runs) - set(world.listed_runs())
    assert {world.integration_runs[run_id]["entityId"] for run_id in gone} <= set(deleted)


def test_a_run_changed_by_hand_has_a_higher_version(world: World) -> None:
    run_id = next(iter(world.integration_runs))
    version = world.integration_runs[run_id]["version"]
    run = world.change_run(run_id, status="ERROR", error="by hand")
    assert (run["status"], run["version"]) == ("ERROR", version + 1)
    assert parse_instant(run["dtLastModified"]) == world.now


def test_a_table_keeps_its_order_and_its_entities_however_it_is_changed() -> None:
    def run(run_id: str, day: int, entity_id: str = "b") -> dict[str, object]:
        created = f"2025-01-{day:02d}T00:00:00Z"
        return {
            "id": run_id, "entityType": "Bill", "entityId": entity_id,
            "dtCreated": created, "dtStarted": created,
        }  # fmt: skip

    table = RunTable([run("x", 2), run("y", 1)])
    assert [key[2] for key in table.keys_in_order()] == ["y", "x"]
    table.update({"z": run("z", 3)})
    table["x"] = run("x", 4, "other")
    assert [key[2] for key in table.keys_in_order()] == ["y", "z", "x"]
    assert {row["id"] for row in table.of("Bill", "b")} == {"y", "z"}
    table.pop("y")
    assert [key[2] for key in table.keys_in_order()] == ["z", "x"]
    table.clear()
    assert not table.keys_in_order()
    assert not list(table.of("Bill", "b"))
