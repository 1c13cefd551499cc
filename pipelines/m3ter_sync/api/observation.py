"""What answers tell beside their content: the server's clock, and its limits."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from m3ter_sync.api.retry import parse_date

_LIMIT_HEADER = re.compile(r"(x-)?rate-?limit(-.*)?|retry-after", re.IGNORECASE)
# HTTP's Date has no fractions: the true time is anywhere within the second that it names.
_DATE_STEP = 1.0


@dataclass(frozen=True, slots=True)
class Observation:
    """One answer from outside; times are seconds since 1970 on this machine's clock."""

    status: int
    headers: Mapping[str, str]
    sent_at: float
    received_at: float


@dataclass(frozen=True, slots=True)
class ClockSkew:
    """How many seconds the server's clock is ahead of ours, give or take `uncertainty`."""

    seconds: float
    uncertainty: float

    @property
    def at_least(self) -> float:
        """The smallest distance between the clocks that explains what was seen."""
        return max(0.0, abs(self.seconds) - self.uncertainty)


def measure_clock_skew(observations: Iterable[Observation]) -> ClockSkew | None:
    """Compare the answers' `Date` with our clock; None where none has one.

    The quickest answer says it best.
    """
    best: ClockSkew | None = None
    for each in observations:
        date = parse_date(each.headers.get("Date", ""))
        if date is None:
            continue
        uncertainty = (_DATE_STEP + abs(each.received_at - each.sent_at)) / 2
        if best is None or uncertainty < best.uncertainty:
            middle = (each.sent_at + each.received_at) / 2
            best = ClockSkew(date + _DATE_STEP / 2 - middle, uncertainty)
    return best


def read_rate_limits(observations: Iterable[Observation]) -> dict[str, str]:
    """The headers in which the answers speak of a limit, each as it was seen last."""
    return {
        name: value
        for each in observations
        for name, value in each.headers.items()
        if _LIMIT_HEADER.fullmatch(name)
    }
