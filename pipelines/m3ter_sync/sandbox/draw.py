"""Seeded draws in the shapes that m3ter serves: ids, instants, and dates."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TypeVar

Choice = TypeVar("Choice")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
"""The world counts time in whole milliseconds since 1970, as m3ter's timestamps do."""


def milliseconds(instant: datetime) -> int:
    """Converts an aware datetime to the world's time."""
    return (instant - EPOCH) // timedelta(milliseconds=1)


def instant_of(at: int) -> datetime:
    """Converts the world's time to an aware datetime."""
    return EPOCH + timedelta(milliseconds=at)


def _plus_two(instant: datetime) -> str:
    return f"{(instant + timedelta(hours=2)).isoformat(timespec='milliseconds')[:-6]}+02:00"


def _minus_half_past_three(instant: datetime) -> str:
    return f"{(instant - timedelta(hours=3.5)).isoformat(timespec='seconds')[:-6]}-0330"


VARIED_STYLES = (
    lambda instant: f"{instant.isoformat(timespec='milliseconds')[:-6]}Z",
    lambda instant: f"{instant.isoformat(timespec='seconds')[:-6]}Z",
    lambda instant: f"{instant.isoformat(timespec='milliseconds')[:-6]}417Z",
    lambda instant: f"{instant.isoformat(timespec='milliseconds')[:-6]}417903Z",
    lambda instant: f"{instant.isoformat(timespec='minutes')[:-6]}Z",
    lambda instant: instant.isoformat(timespec="milliseconds"),
    _plus_two,
    _minus_half_past_three,
)


class Draw:
    """A source of random choices that is the same for the same seed."""

    def __init__(self, seed: int, *, varied_timestamps: bool = False) -> None:
        self.random = Random(seed)  # noqa: S311 - a world that can be drawn again, not a secret
        self.varied_timestamps = varied_timestamps

    def uuid(self) -> str:
        """A random UUID; made by hand because `uuid.UUID` takes three times as long."""
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def stamp(self, at: int) -> str:
        """An instant as m3ter writes it, or in any way that ISO 8601 allows."""
        instant = EPOCH + timedelta(milliseconds=at)
        if self.varied_timestamps:
            return self.random.choice(VARIED_STYLES)(instant)
        return f"{instant.isoformat(timespec='milliseconds')[:-6]}Z"

    def chance(self, probability: float) -> bool:
        """True as often as that."""
        return self.random.random() < probability

    def between(self, low: int, high: int) -> int:
        """A whole number from low up to, but not, high (or low where there is nothing between)."""
        return low + int(self.random.random() * (high - low)) if high > low else low

    def pick(self, choices: Sequence[Choice]) -> Choice:
        """One of them, all alike."""
        return choices[int(self.random.random() * len(choices))]
