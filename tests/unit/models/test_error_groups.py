"""Errors that differ only in ids, numbers, addresses, quoted values and dates are one kind."""

from datetime import timedelta

import pytest

from .conftest import AS_OF, RawWarehouse


@pytest.mark.parametrize(
    ("error", "template"),
    [
        ("Account 6f9619ff-8b86-d011-b42d-00cf4fc964ff is gone", "Account <uuid> is gone"),
        ("took 12.5 s, 1,024 bytes, code 0x1F", "took <number> s, <number> bytes, code <number>"),
        ("GET https://a.example/x?y=1&z=2 failed.", "GET <url> failed."),
        ("read (https://a.example/1).", "read (<url>)."),
        ("No customer 'cus_9aB' or \"x y\"", "No customer <value> or <value>"),
        ("The customer's bill isn't there", "The customer's bill isn't there"),
        ("due 2025-06-30", "due <date>"),
        ("at 2025-06-30T10:11:12.345Z.", "at <date>."),
        ("at 2025-06-30 10:11:12 +02:00!", "at <date>!"),
        ("request req_1a2b3c of 3", "request <number> of <number>"),
        (
            "No mapping for Account 6f9619ff-8b86-d011-b42d-00cf4fc964ff (acme-ltd) here (sorry)",
            "No mapping for Account <uuid> (<value>) here (sorry)",
        ),
        ("plain", "plain"),
    ],
)
def test_what_differs_from_case_to_case_is_masked(
    raw: RawWarehouse, error: str, template: str
) -> None:
    raw.add_runs({"id": "r", "status": "ERROR", "error": error})
    raw.build()
    assert raw.read("error_template", "m3ter.integration_error_groups") == [(template,)]


def test_a_kind_of_error_counts_its_runs_and_is_new_for_a_week(raw: RawWarehouse) -> None:
    raw.add_sync()
    old, new = AS_OF - timedelta(days=8), AS_OF - timedelta(days=6)
    raw.add_runs(
        {"id": "a", "status": "ERROR", "error": "late by 1", "dt_started": old},
        {"id": "b", "status": "AWAITING_RETRY", "error": "late by 2", "dt_started": new,
         "entity_id": "other", "destination": "XERO"},
        {"id": "c", "status": "AUTH_FAILED", "dt_started": new},
        {"id": "d", "status": "ERROR", "error": "late by 3", "destination": "XERO_TEST"},
        {"id": "e", "status": "COMPLETE"},
        {"id": "f", "status": "ERROR", "error": "late by 4", "dt_started": None},
    )  # fmt: skip
    raw.build()
    columns = (
        "error_template, run_count, failed_run_count, entity_count, destinations, example_error,"
        " example_run_id, is_new, first_seen_at, last_seen_at"
    )
    assert raw.read(columns, "m3ter.integration_error_groups") == [
        ("(no text)", 1, 1, 1, "NETSUITE", None, "c", True, new, new),
        ("late by <number>", 3, 2, 2, "NETSUITE, XERO", "late by 2", "b", False, old, new),
    ]
