"""Runs one by one: what each is, which are stuck, how long they usually take."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from .conftest import AS_OF, RawWarehouse

At = Callable[..., datetime]

CLASSES = {
    "COMPLETE": "succeeded",
    "ERROR": "failed",
    "AUTH_FAILED": "failed",
    "TIMEOUT_LIMIT_EXCEEDED": "failed",
    "ACCOUNTING_PERIOD_CLOSED": "failed",
    "INVOICE_ALREADY_PAID": "superseded",
    "DISABLED": "blocked",
    "WAITING": "in_flight",
    "STARTED": "in_flight",
    "AWAITING_RETRY": "in_flight",
    "RATE_LIMIT_RETRY": "in_flight",
    "complete": "unknown",
    "NOVEL": "unknown",
    "": "unknown",
}


def test_a_run_is_shown_as_m3ter_stores_it_with_its_class_and_durations(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(
        {
            "id": "r",
            "parent_integration_run_id": "p",
            "status": "AUTH_FAILED",
            "error": "no",
            "url": "https://a.example",
            "external_id": "7",
            "version": 3,
            "dt_created": at(3, 23, 59, 58),
            "dt_started": at(4, 0, 0, 1),
            "dt_completed": at(4, 0, 1, 1),
            "dt_last_modified": at(5),
        },
        {"id": "p", "dt_started": at(3, 12)},
    )
    raw.build()
    columns = (
        "run_id, delivery_id, parent_run_id, entity_type, entity_id, destination, destination_id,"
        " status, run_class, error, url, external_id, version, queue_seconds, run_seconds,"
        " is_sandbox, cast(started_on as varchar), created_at, started_at, completed_at,"
        " modified_at"
    )
    assert raw.read(columns, "m3ter.integration_runs where run_id = 'r'") == [
        (
            "r", "p", "p", "Bill", "bill", "NETSUITE", "netsuite",
            "AUTH_FAILED", "failed", "no", "https://a.example", "7", 3, 3.0, 60.0,
            False, "2025-06-04", at(3, 23, 59, 58), at(4, 0, 0, 1), at(4, 0, 1, 1), at(5),
        )
    ]  # fmt: skip


def test_every_status_has_the_class_that_is_defined_and_any_other_is_unknown(
    raw: RawWarehouse,
) -> None:
    raw.add_runs(*({"id": f"run {status}", "status": status} for status in CLASSES))
    raw.add_runs({"id": "none", "status": None})
    raw.build()
    rows = raw.read("status, run_class", "m3ter.integration_runs")
    assert dict(rows) == CLASSES | {None: "unknown"}
    known = raw.read("status, class", "m3ter_staging.status_class")
    assert dict(known) == {name: kind for name, kind in CLASSES.items() if kind != "unknown"}


def test_a_run_of_nothing_but_an_id_is_kept(raw: RawWarehouse) -> None:
    raw.add("integration_runs", {"id": "r"})
    raw.build()
    columns = "run_id, delivery_id, run_class, is_sandbox, queue_seconds, run_seconds, started_on"
    assert raw.read(columns, "m3ter.integration_runs") == [
        ("r", "r", "unknown", False, None, None, None)
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_seconds_and_days_are_the_same_in_every_session(
    raw: RawWarehouse, at: At, zone: str
) -> None:
    # New York put its clocks back within this run.
    begun = datetime.fromisoformat("2025-11-02T05:30:00+00:00")
    raw.connection.execute(f"set TimeZone = '{zone}'")
    raw.add_runs({"id": "r", "dt_started": begun, "dt_completed": begun + timedelta(hours=24)})
    raw.build()
    columns = "run_seconds, cast(started_on as varchar)"
    assert raw.read(columns, "m3ter.integration_runs") == [(86400.0, "2025-11-02")]


def test_a_run_is_stuck_when_it_is_in_flight_for_longer_than_a_day(raw: RawWarehouse) -> None:
    raw.add_sync()
    day = timedelta(days=1)
    raw.add_runs(
        {"id": "day", "status": "STARTED", "dt_started": AS_OF - day},
        {"id": "longer", "status": "STARTED", "dt_started": AS_OF - day - timedelta(seconds=1)},
        {"id": "waiting", "status": "WAITING", "dt_created": AS_OF - 2 * day, "error": "later"},
        {"id": "made early", "status": "STARTED", "dt_created": AS_OF - 9 * day,
         "dt_started": AS_OF},
        {"id": "ended", "status": "ERROR", "dt_started": AS_OF - 9 * day},
        {"id": "novel", "status": "NOVEL", "dt_started": AS_OF - 9 * day},
        {"id": "timeless", "status": "STARTED"},
        {"id": "child", "status": "AWAITING_RETRY", "dt_started": AS_OF - 3 * day,
         "parent_integration_run_id": "ended", "destination": "XERO_TEST"},
    )  # fmt: skip
    raw.build()
    columns = "run_id, delivery_id, status, error, in_flight_seconds, is_sandbox"
    assert raw.read(columns, "m3ter.stuck_runs") == [
        ("child", "ended", "AWAITING_RETRY", None, 3 * 86400.0, True),
        ("longer", "longer", "STARTED", None, 86401.0, False),
        ("waiting", "waiting", "WAITING", "later", 2 * 86400.0, False),
    ]


@pytest.mark.parametrize(("hours", "stuck"), [(0.5, ["r"]), (1, []), (None, [])])
def test_how_long_is_stuck_is_a_setting(
    raw: RawWarehouse, hours: float | None, stuck: list[str]
) -> None:
    raw.add_sync()
    raw.add_runs({"id": "r", "status": "STARTED", "dt_started": AS_OF - timedelta(hours=1)})
    raw.build(stuck_after_hours=hours)
    assert [name for (name,) in raw.read("run_id", "m3ter.stuck_runs")] == stuck


def test_before_a_sync_succeeded_nothing_is_stuck(raw: RawWarehouse) -> None:
    raw.add_sync(outcome="failed")
    raw.add_runs({"id": "r", "status": "STARTED", "dt_started": AS_OF - timedelta(days=99)})
    raw.build()
    assert raw.read("*", "m3ter.stuck_runs") == []


def test_usual_durations_are_quantiles_by_destination_and_entity_type(
    raw: RawWarehouse, at: At
) -> None:
    start = at(3)
    raw.add_runs(
        *(
            {
                "id": f"{i}",
                "dt_created": start - timedelta(seconds=2 * i),
                "dt_started": start,
                "dt_completed": start + timedelta(seconds=i),
            }
            for i in range(101)
        ),
        {"id": "waiting", "dt_created": start},
        {"id": "running", "dt_started": start},
        {"id": "sandbox", "destination": "XERO_TEST", "dt_created": start},
        {"id": "other", "entity_type": "Notification", "dt_created": start, "dt_started": start},
    )
    raw.build()
    columns = (
        "entity_type, destination, started_run_count, p50_queue_seconds, p95_queue_seconds,"
        " p99_queue_seconds, completed_run_count, p50_run_seconds, p95_run_seconds,"
        " p99_run_seconds, is_sandbox"
    )
    assert raw.read(columns, "m3ter.run_durations") == [
        ("Bill", "NETSUITE", 101, 100.0, 190.0, 198.0, 101, 50.0, 95.0, 99.0, False),
        ("Bill", "XERO_TEST", 0, None, None, None, 0, None, None, None, True),
        ("Notification", "NETSUITE", 1, 0.0, 0.0, 0.0, 0, None, None, None, False),
    ]
