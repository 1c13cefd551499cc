"""The failure views: counts by outcome, rates with their intervals, windows that roll back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import AS_OF, RawWarehouse

At = Callable[..., datetime]


def run(
    run_id: str, started: datetime | None, status: str = "COMPLETE", **more: Any
) -> dict[str, Any]:
    return {"id": run_id, "status": status, "dt_started": started, "dt_created": started} | more


def add(raw: RawWarehouse, started: datetime, **counts: int) -> None:
    """So many deliveries of each status."""
    for status, count in counts.items():
        raw.add_runs(*(run(f"{started} {status} {i}", started, status) for i in range(count)))


def test_a_day_counts_every_class_in_its_own_column(raw: RawWarehouse, at: At) -> None:
    add(raw, at(3), COMPLETE=6, ERROR=1, TIMEOUT_LIMIT_EXCEEDED=1, DISABLED=3,
        INVOICE_ALREADY_PAID=4, WAITING=5, NOVEL=2)  # fmt: skip
    raw.build()
    counts = (
        "cast(started_on as varchar), entity_type, destination, is_sandbox, delivery_count,"
        " succeeded_delivery_count, failed_delivery_count, blocked_delivery_count,"
        " superseded_delivery_count, in_flight_delivery_count, unknown_delivery_count,"
        " decided_delivery_count, undelivered_delivery_count, due_delivery_count, run_count,"
        " delivery_failure_rate, undelivered_rate, first_attempt_failure_rate, recovery_rate,"
        " run_failure_rate, is_provisional"
    )
    assert raw.read(counts, "m3ter.integration_failure_rate_daily") == [
        ("2025-06-03", "Bill", "NETSUITE", False, 22, 6, 2, 3, 4, 5, 2, 8, 5, 11, 22,
         0.25, pytest.approx(5 / 11), 0.25, 0.0, 0.25, True)
    ]  # fmt: skip


def test_the_interval_is_wilsons(raw: RawWarehouse, at: At) -> None:
    add(raw, at(3), COMPLETE=8, ERROR=2)
    raw.build()
    columns = "delivery_failure_rate_low, delivery_failure_rate_high, run_failure_rate_low"
    # Of a textbook: 2 of 10 at 95 %.
    assert raw.read(columns, "m3ter.integration_failure_rate_daily") == [
        (pytest.approx(0.0566822, abs=1e-6), pytest.approx(0.5098375, abs=1e-6),
         pytest.approx(0.0566822, abs=1e-6))
    ]  # fmt: skip


@pytest.mark.parametrize(("status", "rate"), [("COMPLETE", 0.0), ("ERROR", 1.0)])
def test_one_run_only_has_a_rate_at_the_end_of_its_interval(
    raw: RawWarehouse, at: At, status: str, rate: float
) -> None:
    add(raw, at(3), **{status: 1})
    raw.build()
    columns = "delivery_failure_rate, delivery_failure_rate_low, delivery_failure_rate_high"
    ((stated, low, high),) = raw.read(columns, "m3ter.integration_failure_rate_daily")
    assert stated == rate
    assert (low if rate == 0 else high) == rate
    assert high - low == pytest.approx(0.793450, abs=1e-5)


def test_a_rate_without_a_denominator_is_null_never_zero(raw: RawWarehouse, at: At) -> None:
    add(raw, at(3), DISABLED=1, WAITING=1)
    raw.build()
    columns = (
        "delivery_failure_rate, delivery_failure_rate_low, delivery_failure_rate_high,"
        " undelivered_rate, first_attempt_failure_rate, recovery_rate, run_failure_rate"
    )
    assert raw.read(columns, "m3ter.integration_failure_rate_daily") == [
        (None, None, None, 1.0, None, None, None)
    ]


def test_a_run_counts_on_the_day_of_its_delivery(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        run("r", at(3, 23), "ERROR"),
        run("s", at(4, 1), parent_integration_run_id="r"),
    )
    raw.build()
    columns = (
        "cast(started_on as varchar), delivery_count, run_count, failed_run_count,"
        " first_attempt_failed_count, recovered_count, recovery_rate, delivery_failure_rate"
    )
    assert raw.read(columns, "m3ter.integration_failure_rate_daily") == [
        ("2025-06-03", 1, 2, 1, 1, 1, 1.0, 0.0)
    ]


def test_deliveries_without_any_time_are_counted_without_a_day(raw: RawWarehouse) -> None:
    raw.add_runs(run("r", None))
    raw.add_sync()
    raw.build()
    assert raw.read("started_on, delivery_count", "m3ter.integration_failure_rate_daily") == [
        (None, 1)
    ]
    assert raw.read("window_name, delivery_count", "m3ter.integration_failure_rate") == [
        ("1d", 0), ("28d", 0), ("7d", 0), ("all", 1)
    ]  # fmt: skip


def test_an_empty_warehouse_has_empty_failure_views(raw: RawWarehouse) -> None:
    raw.build()
    assert raw.read("*", "m3ter.integration_failure_rate_daily") == []
    assert raw.read("*", "m3ter.integration_failure_rate") == []


def test_before_a_sync_succeeded_there_is_no_window_but_all(raw: RawWarehouse, at: At) -> None:
    add(raw, at(30), COMPLETE=1)
    raw.add_sync(outcome="failed")
    raw.add_sync(outcome="partial")
    raw.build()
    assert raw.read("window_name, delivery_count", "m3ter.integration_failure_rate") == [("all", 1)]


def test_windows_roll_back_from_the_start_of_the_last_sync_that_succeeded(
    raw: RawWarehouse,
) -> None:
    a_moment = timedelta(microseconds=1)
    for number, days in enumerate((0, 1, 7, 28)):
        edge = AS_OF - timedelta(days=days)
        # On the edge outside, but for as_of itself; just after it inside.
        raw.add_runs(run(f"on {number}", edge), run(f"after {number}", edge + a_moment))
    raw.add_sync(AS_OF - timedelta(days=3))
    raw.add_sync(AS_OF)
    raw.add_sync(AS_OF + timedelta(days=3), outcome="failed")
    raw.build()
    columns = "window_name, delivery_count, starts_after, ends_at"
    assert raw.read(columns, "m3ter.integration_failure_rate") == [
        ("1d", 2, AS_OF - timedelta(days=1), AS_OF),
        ("28d", 6, AS_OF - timedelta(days=28), AS_OF),
        ("7d", 4, AS_OF - timedelta(days=7), AS_OF),
        ("all", 8, None, None),
    ]


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/London"])
def test_a_window_is_whole_days_of_24_hours_across_a_clock_change(
    raw: RawWarehouse, zone: str
) -> None:
    as_of = datetime(2025, 4, 1, 12, tzinfo=UTC)
    raw.connection.execute(f"set TimeZone = '{zone}'")
    raw.add_runs(run("in", as_of - timedelta(days=28) + timedelta(seconds=1)))
    raw.add_runs(run("out", as_of - timedelta(days=28)))
    raw.add_sync(as_of)
    raw.build()
    where = "m3ter.integration_failure_rate where window_name = '28d'"
    assert raw.read("delivery_count", where) == [(1,)]


def test_the_window_before_tells_whether_the_change_is_significant(raw: RawWarehouse) -> None:
    add(raw, AS_OF - timedelta(hours=1), COMPLETE=20, ERROR=20)
    add(raw, AS_OF - timedelta(hours=25), COMPLETE=39, ERROR=1)
    raw.add_sync()
    raw.build()
    columns = (
        "window_name, delivery_failure_rate, previous_delivery_failure_rate, is_significant_change"
    )
    assert raw.read(columns, "m3ter.integration_failure_rate") == [
        ("1d", 0.5, 0.025, True),
        ("28d", 0.2625, None, None),
        ("7d", 0.2625, None, None),
        ("all", 0.2625, None, None),
    ]


def test_a_change_within_the_intervals_is_not_significant(raw: RawWarehouse) -> None:
    add(raw, AS_OF - timedelta(hours=1), COMPLETE=2, ERROR=2)
    add(raw, AS_OF - timedelta(hours=25), COMPLETE=3, ERROR=1)
    raw.add_sync()
    raw.build()
    where = "m3ter.integration_failure_rate where window_name = '1d'"
    assert raw.read("is_significant_change", where) == [(False,)]


def test_a_destination_that_fell_silent_has_zeros_and_no_rate(raw: RawWarehouse) -> None:
    add(raw, AS_OF - timedelta(days=10), COMPLETE=1, ERROR=1)
    raw.add_sync()
    raw.build()
    where = "m3ter.integration_failure_rate where window_name = '7d'"
    columns = (
        "delivery_count, delivery_failure_rate, previous_delivery_failure_rate, is_provisional"
    )
    assert raw.read(columns, where) == [(0, None, 0.5, False)]


def test_windows_come_from_the_settings(raw: RawWarehouse) -> None:
    add(raw, AS_OF - timedelta(days=2), COMPLETE=1)
    raw.add_sync()
    raw.build(window_days=[3, 90])
    assert raw.read("window_name", "m3ter.integration_failure_rate") == [
        ("3d",),
        ("90d",),
        ("all",),
    ]
    assert raw.read("window_days", "m3ter_staging.settings") == [([3, 90],)]


def test_a_window_that_is_set_twice_counts_once(raw: RawWarehouse) -> None:
    add(raw, AS_OF - timedelta(hours=2), COMPLETE=1)
    raw.add_sync()
    raw.build(window_days=[7, 7])
    assert raw.read("window_name, delivery_count", "m3ter.integration_failure_rate") == [
        ("7d", 1), ("all", 1)
    ]  # fmt: skip
