"""Which failures are worth another try, how long to wait before it, and when to give up."""

import logging
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_exponential, wait_random_exponential

from m3ter_sync.api.clock import Clock
from m3ter_sync.api.errors import ServiceUnavailable

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

# Half of each wait is fixed, half is chance: threads that failed together do not return together.
_BACKOFF = wait_exponential(multiplier=0.25, max=15) + wait_random_exponential(
    multiplier=0.25, max=15
)
# A server that asks for a longer wait than this is asked again after it all the same.
LONGEST_RETRY_AFTER = 300.0
# An address that has never answered is more likely wrong than down for a moment.
_ATTEMPTS_AT_UNPROVEN_ADDRESS = 3
# Whoever watches wonders after so many seconds why nothing happens; a shorter wait is a detail.
_SECONDS_WORTH_TELLING = 5.0


@dataclass(slots=True)
class Call:
    """One request as the caller sees it, however often it is sent."""

    method: str
    url: str
    label: str
    endpoint: str
    first_sent_at: float = field(default=math.inf, init=False)
    times_sent: int = field(default=0, init=False)


class Transient(Exception):
    """A failure that may be gone at the next attempt.

    Attributes:
        advice: What to do when it is not.
        wait_at_least: Seconds that the server, or its rate limit, asks to wait.
        suspects_address: Whether a wrong address would look the same.
    """

    def __init__(
        self,
        what: str,
        *,
        advice: str = "Try again later",
        wait_at_least: float = 0.0,
        suspects_address: bool = False,
    ) -> None:
        super().__init__(what)
        self.advice = advice
        self.wait_at_least = wait_at_least
        self.suspects_address = suspects_address


class Retries:
    """Repeats a call while it fails for a passing reason, a bounded number of times and seconds."""

    def __init__(
        self,
        clock: Clock,
        *,
        max_attempts: int,
        max_seconds: float,
        on_retry: Callable[[float], None],
    ) -> None:
        self._clock = clock
        self._max_attempts = max_attempts
        self._max_seconds = max_seconds
        self._on_retry = on_retry
        self._proven = False
        self._retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            wait=_wait,
            stop=self._is_enough,
            sleep=clock.wait,
            before_sleep=self._note,
            retry_error_callback=self._give_up,
        )

    def run(self, attempt: Callable[[Call], _T], call: Call) -> _T:
        """Return what `attempt(call)` returns at last.

        Raises:
            ServiceUnavailable: It failed for passing reasons until it was enough.
        """
        result = self._retrying(attempt, call)
        self._proven = True
        return result

    def _is_enough(self, state: RetryCallState) -> bool:
        failure = _failure(state)
        attempts = self._max_attempts
        if failure.suspects_address and not self._proven:
            attempts = min(attempts, _ATTEMPTS_AT_UNPROVEN_ADDRESS)
        seconds = self._seconds(state) + state.upcoming_sleep
        return state.attempt_number >= attempts or seconds > self._max_seconds

    def _seconds(self, state: RetryCallState) -> float:
        call: Call = state.args[0]
        return self._clock.now() - call.first_sent_at

    def _note(self, state: RetryCallState) -> None:
        self._on_retry(state.upcoming_sleep)
        logger.log(
            logging.INFO if state.upcoming_sleep >= _SECONDS_WORTH_TELLING else logging.DEBUG,
            "%s: %s; attempt %d follows in %.1f s",
            state.args[0].label,
            _failure(state),
            state.attempt_number + 1,
            state.upcoming_sleep,
        )

    def _give_up(self, state: RetryCallState) -> None:
        failure = _failure(state)
        raise ServiceUnavailable(
            f"{state.args[0].label}: {failure} (gave up after {state.attempt_number} attempts in "
            f"{self._seconds(state):.0f} s). {failure.advice}."
        )


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After`, in seconds or as a date, as seconds from now; None if there is none.

    A date is measured from the server's own `Date`, so that a wrong clock here does no harm.

    Args:
        headers: Of the answer; names in any case.
        now: Seconds since 1970 here.
    """
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        seconds = float(value)
    else:
        until = parse_date(value)
        if until is None:
            return None
        seconds = until - (parse_date(headers.get("Date", "")) or now)
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def parse_date(value: str) -> float | None:
    """Read a date of HTTP as seconds since 1970; None where it is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def _failure(state: RetryCallState) -> Transient:
    failure = state.outcome.exception() if state.outcome else None
    if not isinstance(failure, Transient):
        raise TypeError(f"only a Transient is repeated, not {failure!r}")
    return failure


def _wait(state: RetryCallState) -> float:
    return max(_BACKOFF(state), _failure(state).wait_at_least)
