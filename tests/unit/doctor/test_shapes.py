"""A page of the API is compared with what the reference promises; names are told, values never."""

from typing import Any

import pytest

from m3ter_sync.doctor.service import describe_shape
from m3ter_sync.source.tables import BILLS, INTEGRATION_CONFIGURATIONS, INTEGRATION_RUNS

RUN = {
    "id": "r1",
    "entityType": "Bill",
    "entityId": "b1",
    "status": "COMPLETE",
    "destination": "NETSUITE",
    "version": 1,
}


def judge(rows: list[Any]) -> list[tuple[str, str]]:
    return [(each.level, each.found) for each in describe_shape("runs", INTEGRATION_RUNS, rows)]


def test_rows_as_documented_are_fine_and_a_new_field_is_named() -> None:
    assert judge([RUN, RUN]) == [("ok", "2 rows as documented")]
    ((level, found),) = judge([RUN | {"replayedFrom": "hunter2"}])
    assert level == "ok"
    assert "loaded as text: replayedFrom" in found
    assert "hunter2" not in found


def test_a_field_beside_credentials_is_named_and_not_loaded() -> None:
    (finding,) = describe_shape("links", INTEGRATION_CONFIGURATIONS, [{"id": "1", "password": "x"}])
    assert "not loaded: password" in finding.found


def test_an_empty_page_says_that_nothing_was_seen() -> None:
    assert judge([]) == [("ok", "readable, and empty: its shape was not seen")]


@pytest.mark.parametrize("name", ["id", "entityType", "entityId", "status", "destination"])
def test_a_required_field_that_is_missing_is_a_problem(name: str) -> None:
    lacking = {key: value for key, value in RUN.items() if key != name}
    for row in (lacking, lacking | {name: None}):
        ((level, found),) = judge([RUN, row])
        assert level == "problem"
        assert f"required fields are missing: {name}" in found


def test_a_status_that_nobody_has_classed_is_a_warning() -> None:
    (warned, fine) = judge([RUN, RUN | {"status": "PAUSED"}])
    assert warned == ("warning", "unknown statuses: PAUSED")
    assert fine[0] == "ok"


@pytest.mark.parametrize("row", ["a text", None, 7])
def test_what_is_no_object_is_a_problem(row: Any) -> None:
    ((level, found),) = judge([row])
    assert level == "problem"
    assert "rows cannot be read" in found


def test_a_value_of_another_type_is_a_problem() -> None:
    (finding,) = describe_shape("bills", BILLS, [{"id": "1", "billDate": "someday"}])
    assert finding.level == "problem"
    assert "billDate" in finding.found or "bill_date" in finding.found
