"""A check that fails is a finding, and stops no other."""

import logging
from collections.abc import Iterator

import pytest

from m3ter_sync.doctor.findings import Finding, ok, run_check


def test_what_a_check_finds_before_it_fails_is_kept_and_the_failure_is_told_with_its_type(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def failing() -> Iterator[Finding]:
        yield ok("first", "fine")
        raise KeyError("hunter2")

    with caplog.at_level(logging.DEBUG):
        first, second = run_check("second", failing)
    assert first.level == "ok"
    assert second.level == "problem"
    assert "KeyError in test_findings.py, line" in second.found
    assert "hunter2" not in f"{second.found} {second.advice}", "it could be a secret"
    assert caplog.records[0].exc_info, "the log has the rest"


def test_a_program_that_is_stopped_stops() -> None:
    def stopped() -> Iterator[Finding]:
        yield ok("first", "fine")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_check("first", stopped))
