"""Failures are counted: one keeps no other back, many in a row end the stream, 404s are doubted."""

import pytest

from m3ter_sync.api import AccessRefused, RequestRefused, ServiceUnavailable
from m3ter_sync.source.failures import Failures


def fail(failures: Failures, error: Exception, times: int) -> None:
    for _ in range(times):
        failures.count_failure(error)


def test_the_first_failure_is_told_with_its_kind_and_of_how_many() -> None:
    failures = Failures(7, 0, 0.5)
    assert failures.error is None
    fail(failures, RequestRefused("GET a: no.", 400), 1)
    fail(failures, AccessRefused("GET b: no."), 1)
    assert isinstance(failures.error, RequestRefused)
    assert failures.error.status == 400
    said = "GET a: no. 2 of 7 listings of integration runs failed; what the others brought"
    assert str(failures.error).startswith(said)


@pytest.mark.parametrize(
    ("error", "most"), [(RequestRefused("no"), 99), (ServiceUnavailable("no"), 9)]
)
def test_so_many_in_a_row_are_hopeless_and_one_success_is_hope(error: Exception, most: int) -> None:
    failures = Failures(1000, 0, 0.5)
    fail(failures, error, most)
    assert not failures.is_hopeless
    failures.count_success()
    fail(failures, error, most)
    assert not failures.is_hopeless
    fail(failures, error, 1)
    assert failures.is_hopeless
    assert "too many in a row to try more" in str(failures.error)


@pytest.mark.parametrize(
    ("listed", "limit", "gone", "believed"),
    [
        (12, 0.5, 10, True),
        (12, 0.5, 11, False),
        (40, 0.5, 20, True),
        (40, 0.5, 21, False),
        (40, 0.0, 10, True),
        (40, 0.0, 11, False),
        (400, 1.0, 400, True),
    ],
)
def test_too_large_a_share_of_404s_is_not_believed(
    listed: int, limit: float, gone: int, believed: bool
) -> None:
    failures = Failures(listed, listed, limit)
    for number in range(gone):
        failures.count_gone(f"Bill {number}")
    assert (failures.vanished is None) == believed
    assert not failures.is_hopeless


def test_a_hundred_404s_in_a_row_are_not_believed_however_many_others_there_are() -> None:
    failures = Failures(100_000, 100_000, 0.5)
    for number in range(100):
        failures.count_gone(f"Bill {number}")
    assert failures.is_hopeless
    assert "Bill 0 and 99 others" in str(failures.vanished)
