"""Coverage: which event types would reach someone, and why a notification would not."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from m3ter_sync.warehouse.checks import run_checks

from .conftest import AS_OF, RawWarehouse

At = Callable[..., datetime]
LOADED = AS_OF - timedelta(days=60)
RECENT = AS_OF - timedelta(days=3)


def add_event_types(raw: RawWarehouse, *names: str, **more: Any) -> None:
    raw.add("event_types", *({"name": name, "_dlt_valid_from": LOADED} | more for name in names))


def add_notification(raw: RawWarehouse, name: str, event: str | None, **more: Any) -> None:
    usual = {"id": name, "name": name, "event_name": event, "active": True}
    raw.add("notification_configurations", usual | {"_dlt_valid_from": LOADED} | more)


def add_link(raw: RawWarehouse, notification: str, **more: Any) -> None:
    usual = {
        "id": f"link {notification} {len(more)}",
        "entity_type": "Notification",
        "entity_id": notification,
        "destination": "WEBHOOK",
        "enabled": True,
        "_dlt_valid_from": LOADED,
    }
    raw.add("integration_configurations", usual | more)


def add_run(
    raw: RawWarehouse, notification: str, started: datetime, status: str = "COMPLETE", **more: Any
) -> None:
    raw.add_runs(
        {
            "id": f"{notification} {started} {status}",
            "entity_type": "Notification",
            "entity_id": notification,
            "destination": "WEBHOOK",
            "dt_started": started,
            "dt_completed": started,
            "status": status,
        }
        | more
    )


def statuses(raw: RawWarehouse, **settings: object) -> dict[str, str | None]:
    raw.build(**settings)
    return dict(raw.read("notification_id, coverage_status", "m3ter.notification_coverage"))


def ladder(raw: RawWarehouse, scope: str = "all") -> dict[str, tuple[Any, ...]]:
    raw.build()
    columns = "step, covered_count, event_type_count, coverage_rate"
    where = f"m3ter.notification_coverage_summary where scope = '{scope}'"
    bounds = "coverage_rate is null, coverage_rate_low is null, coverage_rate_high is null"
    assert all(len(set(row)) == 1 for row in raw.read(bounds, where)), "a rate has an interval"
    return {step: tuple(rest) for step, *rest in raw.read(columns, where)}


def test_the_status_is_the_first_that_holds(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "live")
    add_event_types(raw, "gone", _dlt_valid_to=RECENT)
    add_notification(raw, "deleted", "live", _dlt_valid_to=RECENT)
    add_notification(raw, "inactive", "live", active=False)
    add_notification(raw, "says nothing", "live", active=None)
    add_notification(raw, "no event", None)
    add_notification(raw, "event gone", "gone")
    for name in (
        "unlinked", "disabled", "unauthorized", "failing", "silent", "late", "delivering", "tried"
    ):  # fmt: skip
        add_notification(raw, name, "live")
    add_link(raw, "unlinked", entity_type="Bill")
    add_link(raw, "unlinked", _dlt_valid_to=RECENT, id="removed")
    add_link(raw, "disabled", enabled=False)
    add_link(raw, "unauthorized", authorized=False)
    for name in ("failing", "silent", "late", "delivering", "tried"):
        add_link(raw, name)
    for name in ("deleted", "inactive", "unlinked", "disabled", "delivering"):
        add_run(raw, name, RECENT)
    add_run(raw, "failing", RECENT)
    add_run(raw, "failing", RECENT + timedelta(hours=1), "ERROR")
    add_run(raw, "failing", RECENT + timedelta(hours=2), "STARTED")
    add_run(raw, "late", AS_OF - timedelta(days=28))
    add_run(raw, "tried", RECENT, "ERROR")
    add_run(raw, "tried", RECENT + timedelta(hours=1), "DISABLED")
    assert statuses(raw) == {
        "deleted": "deleted",
        "inactive": "inactive",
        "says nothing": "inactive",
        "no event": "orphaned",
        "event gone": "orphaned",
        "unlinked": "unlinked",
        "disabled": "blocked",
        "unauthorized": "blocked",
        "failing": "failing",
        "silent": "silent",
        "late": "silent",
        "delivering": "delivering",
        "tried": "delivering",
    }


def test_one_good_link_is_enough(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "live")
    add_notification(raw, "n", "live")
    add_link(raw, "n", enabled=False)
    add_link(raw, "n", id="good", authorized=True)
    raw.build()
    columns = "coverage_status, link_count, deliverable_link_count, is_deliverable"
    assert raw.read(columns, "m3ter.notification_coverage") == [("silent", 2, 1, True)]


def test_a_deleted_notification_keeps_its_last_version(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_notification(raw, "n", "old", version=1, _dlt_valid_to=AS_OF - timedelta(days=9))
    add_notification(
        raw, "n", "new", version=2,
        _dlt_valid_from=AS_OF - timedelta(days=9), _dlt_valid_to=RECENT,
    )  # fmt: skip
    raw.build()
    columns = "event_name, is_deleted, is_active, deleted_at"
    assert raw.read(columns, "m3ter.notification_coverage") == [("new", True, False, RECENT)]


def test_a_notification_that_came_back_is_not_deleted(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_notification(raw, "n", "e", _dlt_valid_to=RECENT)
    add_notification(raw, "n", "e", _dlt_valid_from=RECENT)
    raw.build()
    columns = "is_deleted, deleted_at"
    assert raw.read(columns, "m3ter.notification_coverage") == [(False, None)]


def test_its_runs_and_its_rate_stand_beside_the_status(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "live")
    add_notification(raw, "n", "live")
    add_link(raw, "n")
    add_run(raw, "n", AS_OF - timedelta(days=40))
    add_run(raw, "n", RECENT, "ERROR")
    add_run(raw, "n", RECENT + timedelta(hours=1))
    add_run(raw, "n", RECENT + timedelta(hours=2), "WAITING")
    raw.build()
    columns = (
        "run_count, recent_run_count, delivery_count, failed_delivery_count,"
        " decided_delivery_count, delivery_failure_rate, last_succeeded_at, last_run_at"
    )
    assert raw.read(columns, "m3ter.notification_coverage") == [
        (4, 3, 4, 1, 3, pytest.approx(1 / 3), RECENT + timedelta(hours=1),
         RECENT + timedelta(hours=2))
    ]  # fmt: skip


def test_each_step_of_the_ladder_asks_for_more(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "e0", "e1", "e2", "e3", "e4", "e5", "e45")
    add_notification(raw, "n1", "e1", active=False)
    add_notification(raw, "n2", "e2", always_fire_event=True)
    for name in ("3", "4", "5", "45"):
        add_notification(raw, f"n{name}", f"e{name}", always_fire_event="4" in name)
        add_link(raw, f"n{name}")
    add_run(raw, "n2", RECENT)
    add_run(raw, "n5", RECENT)
    add_run(raw, "n45", RECENT)
    add_run(raw, "n3", AS_OF - timedelta(days=28))
    add_run(raw, "n4", RECENT, "ERROR")
    assert ladder(raw) == {
        "C1": (6, 7, pytest.approx(6 / 7)),
        "C2": (5, 7, pytest.approx(5 / 7)),
        "C3": (4, 7, pytest.approx(4 / 7)),
        "C4": (2, 7, pytest.approx(2 / 7)),
        "C5": (2, 7, pytest.approx(2 / 7)),
    }
    assert raw.read("event_type, highest_step", "m3ter.event_coverage") == [
        ("e0", None), ("e1", "C1"), ("e2", "C2"), ("e3", "C3"),
        ("e4", "C4"), ("e45", "C5"), ("e5", "C5"),
    ]  # fmt: skip


def test_a_step_needs_one_notification_that_meets_all_of_it(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "e")
    add_notification(raw, "linked but off", "e", active=False)
    add_link(raw, "linked but off")
    add_notification(raw, "on but unlinked", "e", always_fire_event=True)
    covered = {step: count for step, (count, _, _) in ladder(raw).items()}
    assert covered == {"C1": 1, "C2": 1, "C3": 0, "C4": 0, "C5": 0}


def test_critical_event_types_have_a_ladder_of_their_own(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(
        raw, "integration.netsuite.error", "integration.a.b.error", "ingest.validation.failure",
        "dataexport.job.failure", "integration.run.complete", "integrationx.y.error",
        "ingest.validation.failure.more",
    )  # fmt: skip
    add_notification(raw, "n", "ingest.validation.failure")
    assert ladder(raw, "critical")["C1"] == (1, 4, 0.25)
    assert ladder(raw, "all")["C1"] == (1, 7, pytest.approx(1 / 7))


def test_no_event_types_make_no_rate(raw: RawWarehouse) -> None:
    raw.add_sync()
    assert ladder(raw)["C1"] == (0, 0, None)


@pytest.mark.parametrize(
    ("missing", "unknown_steps", "status"),
    [
        ("integration_runs", {"C5"}, None),
        ("integration_configurations", {"C3", "C4", "C5"}, None),
        ("notification_configurations", {"C1", "C2", "C3", "C4", "C5"}, "none"),
        ("event_types", {"C1", "C2", "C3", "C4", "C5"}, None),
    ],
)
def test_what_was_never_loaded_is_null_not_a_guess(
    raw: RawWarehouse, missing: str, unknown_steps: set[str], status: str | None
) -> None:
    raw.add_sync()
    add_event_types(raw, "e")
    add_notification(raw, "n", "e")
    add_link(raw, "n")
    add_run(raw, "n", RECENT)
    raw.connection.execute(f"drop table m3ter_raw.{missing}")
    answers = ladder(raw)
    assert {step for step, (count, _, _) in answers.items() if count is None} == unknown_steps
    assert {step for step, (_, _, rate) in answers.items() if rate is None} == unknown_steps
    assert all(check.passed for check in run_checks(raw.connection, now=AS_OF))
    stated = dict(raw.read("notification_id, coverage_status", "m3ter.notification_coverage"))
    assert stated.get("n", "none") == status


def test_before_a_sync_succeeded_nothing_is_silent_or_proven(raw: RawWarehouse) -> None:
    add_event_types(raw, "e")
    add_notification(raw, "n", "e")
    add_link(raw, "n")
    add_run(raw, "n", RECENT)
    assert statuses(raw) == {"n": None}
    assert ladder(raw)["C5"] == (None, 1, None)
    assert ladder(raw)["C3"] == (1, 1, 1.0)


def test_a_sandbox_destination_covers_nothing_unless_it_is_set_to(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "e")
    add_notification(raw, "n", "e")
    add_link(raw, "n", destination="WEBHOOK_TEST")
    assert statuses(raw) == {"n": "unlinked"}
    assert statuses(raw, counts_sandbox=True) == {"n": "silent"}


def test_what_ran_after_the_sync_began_counts_from_the_next_sync_on(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "e")
    for name, after in (("on", 0), ("after", 1)):
        add_notification(raw, name, "e")
        add_link(raw, name)
        add_run(raw, name, AS_OF + timedelta(seconds=after))
    columns = "notification_id, coverage_status, run_count, recent_run_count, is_proven"
    raw.build()
    assert raw.read(columns, "m3ter.notification_coverage") == [
        ("after", "silent", 1, 0, False), ("on", "delivering", 1, 1, True)
    ]  # fmt: skip
    raw.add_sync(AS_OF + timedelta(hours=1))
    raw.build()
    assert ("after", "delivering", 1, 1, True) in raw.read(columns, "m3ter.notification_coverage")


def test_silence_is_as_long_as_it_is_set(raw: RawWarehouse) -> None:
    raw.add_sync()
    add_event_types(raw, "e")
    add_notification(raw, "n", "e")
    add_link(raw, "n")
    add_run(raw, "n", AS_OF - timedelta(days=10))
    assert statuses(raw) == {"n": "delivering"}
    assert statuses(raw, silent_after_days=7) == {"n": "silent"}


def test_an_empty_warehouse_has_a_ladder_without_numbers() -> None:
    import duckdb

    from m3ter_sync.warehouse.models import build_models

    with duckdb.connect() as connection:
        build_models(connection)
        summary = (
            "select distinct covered_count, coverage_rate from m3ter.notification_coverage_summary"
        )
        assert connection.execute(summary).fetchall() == [(None, None)]
        assert connection.execute("from m3ter.notification_coverage").fetchall() == []
