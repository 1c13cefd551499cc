"""Where each bill stands now, and how much money has not arrived."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from .conftest import RawWarehouse

At = Callable[..., datetime]

STATUS = "m3ter.bill_delivery_status"
UNDELIVERED = "m3ter.undelivered_amounts"


def sent(run_id: str, started: datetime | None, status: str, **more: Any) -> dict[str, Any]:
    row = {"id": run_id, "status": status, "dt_started": started, "dt_completed": started}
    return row | more


def test_a_bill_stands_as_its_newest_delivery_with_all_its_columns(
    raw: RawWarehouse, at: At
) -> None:
    raw.add(
        "bills",
        {
            "id": "bill",
            "account_id": "account",
            "account_code": "acme",
            "sequential_invoice_number": "INV-7",
            "status": "APPROVED",
            "currency": "EUR",
            "bill_total": "12.345678901",
            "bill_date": "2025-06-01",
            "dt_last_modified": at(2),
        },
    )
    raw.add_runs(
        sent("r", at(3), "ERROR", error="first"),
        sent("s", at(3, 1), "AUTH_FAILED", error="second", parent_integration_run_id="r"),
    )
    raw.build()
    columns = (
        "bill_id, destination, destination_id, delivery_id, delivery_class, last_status,"
        " last_error, account_id, account_code, sequential_invoice_number, bill_status, currency,"
        " bill_total, attempt_count, delivery_count, is_sandbox, is_stale_in_destination,"
        " cast(billed_on as varchar), since, started_at, last_succeeded_at, bill_modified_at"
    )
    assert raw.read(columns, STATUS) == [
        (
            "bill", "NETSUITE", "netsuite", "r", "failed", "AUTH_FAILED", "second",
            "account", "acme", "INV-7", "APPROVED", "EUR", Decimal("12.345678901"),
            2, 1, False, None,
            "2025-06-01", at(3), at(3), None, at(2),
        )
    ]  # fmt: skip


def test_an_old_success_never_hides_a_newer_failure(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(sent("r", at(3), "COMPLETE"), sent("s", at(4), "ERROR"))
    raw.build()
    columns = "delivery_id, delivery_class, delivery_count, since, last_succeeded_at"
    assert raw.read(columns, STATUS) == [("s", "failed", 2, at(4), at(3))]


def test_a_newer_success_ends_a_failure(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(sent("r", at(4), "COMPLETE"), sent("s", at(3), "ERROR"))
    raw.build()
    columns = "delivery_id, delivery_class, since, last_succeeded_at"
    assert raw.read(columns, STATUS) == [("r", "succeeded", at(4), at(4))]


def test_the_newest_is_the_one_whose_root_started_last_though_a_retry_of_another_came_later(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(
        sent("r", at(3), "ERROR"),
        sent("retry", at(9), "COMPLETE", parent_integration_run_id="r"),
        sent("s", at(4), "ERROR"),
    )
    raw.build()
    assert raw.read("delivery_id, delivery_class, last_succeeded_at", STATUS) == [
        ("s", "failed", at(9))
    ]


def test_it_has_been_so_since_the_first_of_its_latest_deliveries_of_one_outcome(
    raw: RawWarehouse, at: At
) -> None:
    raw.add_runs(
        sent("a", at(1), "ERROR"),
        sent("b", at(2), "COMPLETE"),
        sent("c", at(3), "ERROR"),
        sent("d", at(4), "AUTH_FAILED"),
        sent("e", at(5), "TIMEOUT_LIMIT_EXCEEDED"),
    )
    raw.build()
    assert raw.read("delivery_id, since, started_at", STATUS) == [("e", at(3), at(5))]


def test_destinations_and_destination_ids_stand_apart(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(
        sent("a", at(1), "ERROR", destination_id="us"),
        sent("b", at(2), "COMPLETE", destination_id="eu"),
        sent("c", at(3), "DISABLED", destination="STRIPE_TEST", destination_id=None),
        sent("d", at(4), "WAITING", destination="STRIPE_TEST", destination_id=None),
    )
    raw.build()
    assert raw.read("destination, destination_id, delivery_class, is_sandbox", STATUS) == [
        ("NETSUITE", "eu", "succeeded", False),
        ("NETSUITE", "us", "failed", False),
        ("STRIPE_TEST", None, "in_flight", True),
    ]


@pytest.mark.parametrize(
    ("modified", "is_stale"), [((3, 9), False), ((3, 10), False), ((3, 11), True), (None, None)]
)
def test_a_bill_that_changed_after_its_last_success_is_stale_in_the_destination(
    raw: RawWarehouse, at: At, modified: tuple[int, int] | None, is_stale: bool | None
) -> None:
    raw.add("bills", {"id": "bill", "dt_last_modified": at(*modified) if modified else None})
    raw.add_runs(
        sent("r", at(3, 8), "ERROR"),
        sent("s", at(3, 10), "COMPLETE", parent_integration_run_id="r"),
    )
    raw.build()
    assert raw.read("is_stale_in_destination", STATUS) == [(is_stale,)]


def test_a_bill_that_is_not_loaded_has_a_state_but_no_total(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(sent("r", at(3), "ERROR"))
    raw.build()
    assert raw.read("bill_id, delivery_class, currency, bill_total", STATUS) == [
        ("bill", "failed", None, None)
    ]
    columns = "currency, bill_count, bill_without_total_count, undelivered_amount"
    assert raw.read(columns, UNDELIVERED) == [(None, 1, 1, None)]


def test_notifications_are_no_bills(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(sent("r", at(3), "ERROR", entity_type="Notification"))
    raw.build()
    assert raw.read("*", STATUS) == []
    assert raw.read("*", UNDELIVERED) == []


def test_a_delivery_without_any_time_is_older_than_all_others(raw: RawWarehouse, at: At) -> None:
    raw.add_runs(sent("r", None, "ERROR"), sent("s", at(3), "COMPLETE"))
    raw.add_runs(sent("t", None, "ERROR", entity_id="other"))
    raw.build()
    assert raw.read("bill_id, delivery_id, delivery_class, since", STATUS) == [
        ("bill", "s", "succeeded", at(3)),
        ("other", "t", "failed", None),
    ]


def test_amounts_stand_by_currency_destination_and_class_and_are_never_summed_across_them(
    raw: RawWarehouse, at: At
) -> None:
    bills = {"a": ("EUR", "10.10"), "b": ("EUR", "0.20"), "c": ("USD", "5"), "d": ("EUR", "-3")}
    raw.add(
        "bills",
        *({"id": i, "currency": money, "bill_total": total} for i, (money, total) in bills.items()),
        {"id": "e", "currency": "EUR"},
    )
    raw.add_runs(
        sent("1", at(3), "ERROR", entity_id="a"),
        sent("2", at(2), "AUTH_FAILED", entity_id="b"),
        sent("3", at(1), "ERROR", entity_id="c"),
        sent("4", at(1), "DISABLED", entity_id="d"),
        sent("5", at(1), "WAITING", entity_id="a", destination="XERO"),
        sent("6", at(1), "NOVEL", entity_id="b", destination="XERO"),
        sent("7", at(1), "ERROR", entity_id="a", destination="XERO_TEST"),
        sent("8", at(9), "ERROR", entity_id="e"),
    )
    raw.build()
    columns = (
        "destination, currency, delivery_class, bill_count, bill_without_total_count,"
        " undelivered_amount, is_sandbox, oldest_since"
    )
    assert raw.read(columns, UNDELIVERED) == [
        ("NETSUITE", "EUR", "blocked", 1, 0, Decimal(-3), False, at(1)),
        ("NETSUITE", "EUR", "failed", 3, 1, Decimal("10.3"), False, at(2)),
        ("NETSUITE", "USD", "failed", 1, 0, Decimal(5), False, at(1)),
        ("XERO", "EUR", "in_flight", 1, 0, Decimal("10.1"), False, at(1)),
        ("XERO", "EUR", "unknown", 1, 0, Decimal("0.2"), False, at(1)),
        ("XERO_TEST", "EUR", "failed", 1, 0, Decimal("10.1"), True, at(1)),
    ]


def test_what_arrived_or_was_paid_before_is_no_amount(raw: RawWarehouse, at: At) -> None:
    raw.add("bills", {"id": "bill", "currency": "EUR", "bill_total": 1})
    raw.add_runs(
        sent("1", at(3), "COMPLETE"),
        sent("2", at(3), "INVOICE_ALREADY_PAID", destination="XERO"),
    )
    raw.build()
    assert raw.read("*", UNDELIVERED) == []


def test_a_bill_missing_from_two_systems_of_one_kind_counts_once(raw: RawWarehouse, at: At) -> None:
    raw.add("bills", {"id": "bill", "currency": "EUR", "bill_total": 7})
    raw.add_runs(
        sent("1", at(3), "ERROR", destination_id="us"),
        sent("2", at(4), "ERROR", destination_id="eu"),
    )
    raw.build()
    columns = "bill_count, undelivered_amount, oldest_since"
    assert raw.read(columns, UNDELIVERED) == [(1, Decimal(7), at(3))]
