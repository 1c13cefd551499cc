"""Runs become deliveries: one attempt to bring one entity's state to one destination."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from .conftest import RawWarehouse

At = Callable[..., datetime]


def deliveries(raw: RawWarehouse, columns: str) -> list[tuple[Any, ...]]:
    raw.build()
    return raw.read(columns, "m3ter.integration_deliveries")


def run(
    run_id: str, started: datetime | None, status: str = "COMPLETE", **more: Any
) -> dict[str, Any]:
    ended = started + timedelta(seconds=30) if started else None
    row = {"id": run_id, "status": status, "dt_created": started, "dt_started": started}
    return row | {"dt_completed": ended} | more


def child(
    run_id: str, of: str, started: datetime | None, status: str = "COMPLETE", **more: Any
) -> dict[str, Any]:
    return run(run_id, started, status, parent_integration_run_id=of, **more)


def test_an_empty_warehouse_has_no_deliveries(raw: RawWarehouse) -> None:
    assert deliveries(raw, "*") == []


def test_a_run_alone_is_a_delivery_with_all_its_columns(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(run("r", at(3, 10), error="late"))
    columns = (
        "delivery_id, entity_type, entity_id, destination, destination_id, is_sandbox,"
        " delivery_class, attempt_count, first_attempt_failed, is_recovered, started_at,"
        " ended_at, seconds_to_recover, last_status, last_error, cast(started_on as varchar)"
    )
    assert deliveries(raw, columns) == [
        ("r", "Bill", "bill", "NETSUITE", "netsuite", False, "succeeded", 1, False, False,
         at(3, 10), at(3, 10, 0, 30), None, "COMPLETE", "late", "2025-06-03")
    ]  # fmt: skip


def test_a_retry_chain_is_one_delivery_that_recovered(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        run("r", at(3, 10), "ERROR", error="first"),
        child("s", "r", at(3, 11), "TIMEOUT_LIMIT_EXCEEDED", error="second"),
        child("t", "s", at(3, 12)),
    )
    columns = (
        "delivery_id, delivery_class, attempt_count, first_attempt_failed, is_recovered,"
        " seconds_to_recover, started_at, ended_at, last_status, last_error"
    )
    assert deliveries(raw, columns) == [
        ("r", "succeeded", 3, True, True, 7200.0, at(3, 10), at(3, 12, 0, 30), "COMPLETE", "second")
    ]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["COMPLETE", "ERROR"], "succeeded"),
        (["ERROR", "COMPLETE"], "succeeded"),
        (["COMPLETE", "STARTED"], "succeeded"),
        (["ERROR", "AWAITING_RETRY"], "in_flight"),
        (["STARTED", "ERROR"], "in_flight"),
        (["ERROR", "DISABLED"], "blocked"),
        (["DISABLED", "ERROR"], "failed"),
        (["ERROR", "INVOICE_ALREADY_PAID"], "superseded"),
        (["ERROR", "NEW_STATUS"], "unknown"),
        (["NEW_STATUS", "AUTH_FAILED"], "failed"),
        (["NEW_STATUS", "WAITING"], "in_flight"),
    ],
)
def test_the_outcome_is_success_then_flight_then_the_end(
    raw: RawWarehouse, at: At, statuses: list[str], expected: str
) -> None:
    first, second = statuses
    raw.add_runs(run("r", at(3, 10), first), child("s", "r", at(3, 11), second))
    assert deliveries(raw, "delivery_class, attempt_count") == [(expected, 2)]


def test_the_run_that_ended_last_decides_not_the_one_that_started_last(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(
        run("r", at(3, 10), "DISABLED", dt_completed=at(3, 15)),
        child("s", "r", at(3, 11), "ERROR", dt_completed=at(3, 12)),
    )
    assert deliveries(raw, "delivery_class, last_status") == [("blocked", "DISABLED")]


def test_a_run_whose_parent_is_unknown_is_a_root(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(child("s", "nobody", at(3, 10)), child("t", "s", at(3, 11)))
    assert deliveries(raw, "delivery_id, attempt_count") == [("s", 2)]


def test_a_child_that_started_before_its_parent_belongs_to_it(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(run("r", at(4, 10)), child("s", "r", at(3, 10), "ERROR"))
    columns = "delivery_id, attempt_count, cast(started_on as varchar), first_attempt_failed"
    assert deliveries(raw, columns) == [("r", 2, "2025-06-04", True)]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 8, 100])
def test_a_circle_of_parents_is_one_delivery_rooted_at_its_earliest_run(
    raw: RawWarehouse, at: At, size: int
) -> None:
    times = [at(3) + timedelta(minutes=(i + size // 2) % size) for i in range(size)]
    earliest = times.index(min(times))
    raw.add_runs(
        *(child(f"r{i}", f"r{(i + 1) % size}", times[i]) for i in range(size)),
        child("tail", "r0", at(2)),
        child("tip", "tail", at(1)),
    )
    assert deliveries(raw, "delivery_id, attempt_count, started_at") == [
        (f"r{earliest}", size + 2, at(3))
    ]


def test_two_circles_stay_apart(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        child("a", "b", at(3)), child("b", "a", at(4)),
        child("c", "d", at(6)), child("d", "e", at(5)), child("e", "c", at(7)),
    )  # fmt: skip
    assert deliveries(raw, "delivery_id, attempt_count") == [("a", 2), ("d", 3)]


def test_a_chain_of_a_thousand_runs_is_one_delivery(raw: RawWarehouse, at: At) -> None:
    raw.connection.execute(
        """
        insert into m3ter_raw.integration_runs (id, parent_integration_run_id, entity_type,
            entity_id, destination, status, dt_started)
        select 'r' || i, 'r' || (i - 1), 'Bill', 'bill', 'NETSUITE', 'ERROR',
            timestamptz '2025-06-01 00:00:00+00' + to_minutes(i)
        from range(1000) as numbers (i)
        """
    )
    assert deliveries(raw, "delivery_id, attempt_count") == [("r0", 1000)]


def test_a_tree_is_one_delivery_however_it_branches(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        run("r", at(3, 1), "ERROR"),
        child("s", "r", at(3, 2), "ERROR"), child("t", "r", at(3, 3), "ERROR"),
        child("u", "t", at(3, 4)),
    )  # fmt: skip
    assert deliveries(raw, "delivery_id, attempt_count, delivery_class") == [("r", 4, "succeeded")]


def test_one_bill_to_two_destinations_is_two_deliveries(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        run("r", at(3, 1)),
        child("s", "r", at(4, 2), "ERROR", destination="STRIPE", destination_id="stripe"),
        child("t", "r", at(4, 3), "ERROR", destination="STRIPE", destination_id="stripe"),
    )
    columns = "delivery_id, destination, delivery_class, attempt_count, cast(started_on as varchar)"
    assert deliveries(raw, columns) == [
        ("r", "NETSUITE", "succeeded", 1, "2025-06-03"),
        ("r", "STRIPE", "failed", 2, "2025-06-03"),
    ]


def test_destination_ids_and_entities_split_and_a_missing_id_is_one_of_them(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(
        run("r", at(3, 1), destination_id=None), child("s", "r", at(3, 2), destination_id=None),
        child("t", "r", at(3, 3), destination_id="other"),
        child("u", "r", at(3, 4), destination_id=None, entity_id="other bill"),
    )  # fmt: skip
    assert deliveries(raw, "entity_id, destination_id, attempt_count") == [
        ("bill", "other", 1), ("bill", None, 2), ("other bill", None, 1)
    ]  # fmt: skip


def test_a_bill_sent_again_is_a_delivery_of_its_own(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(run("r", at(3, 1)), run("s", at(3, 1), "ERROR"))
    assert deliveries(raw, "delivery_id, delivery_class") == [("r", "succeeded"), ("s", "failed")]


def test_a_replay_is_a_delivery_of_its_own_unless_it_names_a_parent(
    raw: RawWarehouse, at: At
) -> None:
    """m3ter links a replay to what it replays in a field of its own, not as to a parent."""
    raw.connection.execute("alter table m3ter_raw.integration_runs add column replayed_from text")
    raw.add_runs(
        run("r", at(3), "ERROR"),
        run("s", at(4), replayed_from="r"),
        child("t", "r", at(5), "ERROR", replayed_from="r"),
    )
    columns = "delivery_id, delivery_class, attempt_count, is_recovered"
    assert deliveries(raw, columns) == [("r", "failed", 2, False), ("s", "succeeded", 1, False)]


@pytest.mark.parametrize("of", [None, "r"])
def test_a_success_of_which_no_time_is_known_has_none(
    raw: RawWarehouse, at: At, of: str | None
) -> None:
    """Found: it counted as if it had come before all time, and every bill as changed since."""
    raw.add("bills", {"id": "bill", "dt_last_modified": at(5)})
    raw.add_runs({"id": "s", "status": "COMPLETE", "parent_integration_run_id": of})
    raw.add_runs(run("r", at(3), "ERROR", entity_id="bill" if of else "other"))
    raw.build()
    columns = "delivery_class, seconds_to_recover, last_succeeded_at"
    where = "m3ter.integration_deliveries where entity_id = 'bill'"
    assert raw.read(columns, where) == [("succeeded", None, None)]
    columns = "last_succeeded_at, is_stale_in_destination"
    assert raw.read(columns, "m3ter.bill_delivery_status where bill_id = 'bill'") == [(None, None)]


def test_nulls_everywhere_are_still_a_delivery(raw: RawWarehouse) -> None:
    raw.add("integration_runs", {"id": "r"}, {"id": "s", "parent_integration_run_id": "r"})
    columns = (
        "delivery_id, delivery_class, attempt_count, first_attempt_failed, started_on, ended_at"
    )
    assert deliveries(raw, columns) == [("r", "unknown", 2, False, None, None)]


def test_a_waiting_run_counts_on_the_day_it_was_made(raw: RawWarehouse, at: At) -> None:
    raw.add_runs({"id": "r", "status": "WAITING", "dt_created": at(3, 23, 59)})
    columns = "delivery_class, cast(started_on as varchar), started_at, ended_at"
    assert deliveries(raw, columns) == [("in_flight", "2025-06-03", at(3, 23, 59), None)]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Kiritimati"])
def test_days_are_cut_in_utc_whatever_the_sessions_zone(
    raw: RawWarehouse, at: At, zone: str
) -> None:
    raw.connection.execute(f"set TimeZone = '{zone}'")
    raw.add_runs(run("r", at(3, 23, 59, 59)), run("s", at(4)))
    assert deliveries(raw, "delivery_id, cast(started_on as varchar)") == [
        ("r", "2025-06-03"), ("s", "2025-06-04")
    ]  # fmt: skip


def test_sandbox_destinations_are_marked(raw: RawWarehouse, at: At) -> None:
    for name in ("STRIPE_TEST", "PADDLE_SANDBOX", "STRIPE", "TEST", "CONTEST", "SANDBOX_X"):
        raw.add_runs(run(name, at(3), destination=name))
    raw.build()
    marked = raw.read("destination", "m3ter.integration_deliveries where is_sandbox")
    assert marked == [("PADDLE_SANDBOX",), ("STRIPE_TEST",)]


def test_a_delivery_whose_first_end_is_unknown_recovers_in_an_unknown_time(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(run("r", at(3, 1), "ERROR", dt_completed=None), child("s", "r", at(3, 2)))
    assert deliveries(raw, "is_recovered, seconds_to_recover") == [(True, None)]
