"""An incident lasts from a first failure to the next success."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from .conftest import RawWarehouse

At = Callable[..., datetime]


def add_deliveries(raw: RawWarehouse, at: At, *statuses: str, **more: Any) -> None:
    """One delivery an hour, each of a bill of its own, each ended ten minutes after its start."""
    name = more.get("destination", "")
    raw.add_runs(
        *(
            {
                "id": f"{name}{hour}",
                "entity_id": f"bill {hour}",
                "status": status,
                "dt_started": at(3, hour),
                "dt_completed": at(3, hour, 10),
                "error": f"error {hour}" if status != "COMPLETE" else None,
            }
            | more
            for hour, status in enumerate(statuses)
        )
    )


def incidents(raw: RawWarehouse, columns: str) -> list[tuple[Any, ...]]:
    raw.build()
    return raw.read(columns, "m3ter.integration_incidents", "destination, started_at")


def test_an_incident_lasts_from_the_first_failure_to_the_next_success(
    raw: RawWarehouse, at: At
) -> None:
    add_deliveries(raw, at, "COMPLETE", "ERROR", "AUTH_FAILED", "COMPLETE", "COMPLETE", "ERROR")
    columns = (
        "entity_type, destination, is_sandbox, failed_delivery_count, entity_count, is_open,"
        " cast(started_on as varchar), started_at, last_failed_at, ended_at, seconds_to_recover,"
        " last_error"
    )
    assert incidents(raw, columns) == [
        (
            "Bill", "NETSUITE", False, 2, 2, False, "2025-06-03",
            at(3, 1), at(3, 2), at(3, 3, 10), 2 * 3600 + 600, "error 2",
        ),
        (
            "Bill", "NETSUITE", False, 1, 1, True, "2025-06-03",
            at(3, 5), at(3, 5), None, None, "error 5",
        ),
    ]  # fmt: skip


def test_what_is_neither_success_nor_failure_neither_begins_nor_ends_one(
    raw: RawWarehouse, at: At
) -> None:
    others = ("DISABLED", "INVOICE_ALREADY_PAID", "STARTED", "NOVEL")
    add_deliveries(raw, at, *others, "ERROR", *others, "ERROR", *others)
    columns = "failed_delivery_count, is_open, started_at, last_failed_at"
    assert incidents(raw, columns) == [(2, True, at(3, 4), at(3, 9))]


def test_a_failure_that_a_retry_made_good_is_no_incident(raw: RawWarehouse, at: At) -> None:
    add_deliveries(raw, at, "ERROR", "COMPLETE")
    raw.connection.execute(
        "update m3ter_raw.integration_runs set parent_integration_run_id = '0',"
        " entity_id = 'bill' where id = '1';"
        "update m3ter_raw.integration_runs set entity_id = 'bill'"
    )
    assert incidents(raw, "*") == []


def test_destinations_and_entity_types_have_incidents_of_their_own(
    raw: RawWarehouse, at: At
) -> None:
    add_deliveries(raw, at, "ERROR", "ERROR", "COMPLETE")
    add_deliveries(raw, at, "COMPLETE", "ERROR", "ERROR", destination="XERO_TEST")
    add_deliveries(raw, at, "ERROR", entity_type="Notification", destination="WEBHOOK")
    columns = "entity_type, destination, is_sandbox, failed_delivery_count, is_open"
    assert incidents(raw, columns) == [
        ("Bill", "NETSUITE", False, 2, False),
        ("Notification", "WEBHOOK", False, 1, True),
        ("Bill", "XERO_TEST", True, 2, True),
    ]


def test_a_system_that_works_does_not_hide_another_of_its_kind(raw: RawWarehouse, at: At) -> None:
    add_deliveries(raw, at, "ERROR", "COMPLETE", "COMPLETE", destination="WEBHOOK")
    raw.connection.execute("update m3ter_raw.integration_runs set destination_id = entity_id")
    columns = "destination, destination_id, failed_delivery_count, is_open"
    assert incidents(raw, columns) == [("WEBHOOK", "bill 0", 1, True)]


def test_one_bill_that_fails_again_and_again_is_struck_once(raw: RawWarehouse, at: At) -> None:
    add_deliveries(raw, at, "ERROR", "ERROR", "ERROR", entity_id="bill")
    assert incidents(raw, "failed_delivery_count, entity_count") == [(3, 1)]


def test_a_success_ends_what_failed_at_the_same_instant(raw: RawWarehouse, at: At) -> None:
    """A chain of several bills is a delivery of each, all begun at once."""
    add_deliveries(raw, at, "ERROR", "COMPLETE", "ERROR")
    raw.connection.execute(
        "update m3ter_raw.integration_runs set parent_integration_run_id = '0' where id != '0'"
    )
    columns = "failed_delivery_count, is_open, started_at, ended_at"
    assert incidents(raw, columns) == [(2, False, at(3), at(3, 1, 10))]


def test_a_success_of_which_no_time_is_known_still_ends_an_incident(
    raw: RawWarehouse, at: At
) -> None:
    add_deliveries(raw, at, "ERROR", "AUTH_FAILED")
    success = {"id": "s", "parent_integration_run_id": "1", "entity_id": "bill 1"}
    raw.add_runs(success | {"status": "COMPLETE"})
    columns = "failed_delivery_count, is_open, ended_at, seconds_to_recover"
    assert incidents(raw, columns) == [(1, False, None, None)]


def test_a_warehouse_without_failures_has_no_incident(raw: RawWarehouse, at: At) -> None:
    add_deliveries(raw, at, "COMPLETE")
    assert incidents(raw, "*") == []
