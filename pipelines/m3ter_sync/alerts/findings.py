"""What is so now: what needs someone, and what is over that may have been told."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What alerts are about, the worst first."""

    SYNC = "sync"
    STALE = "stale"
    CHECK = "check"
    REJECTED = "rejected"
    INCIDENT = "incident"
    RATE = "rate"
    COVER = "cover"


# These rest on the published copy; where it cannot be read nothing is known of them.
OF_THE_MARTS = frozenset({Kind.INCIDENT, Kind.RATE, Kind.COVER})


class Verdict(StrEnum):
    """Whether somebody should know.

    HOLDING is too little to tell, and too much to say that it is over: without it, what
    swings around a limit would be told each time.
    """

    OPEN = "open"
    HOLDING = "holding"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing, as it is now.

    Attributes:
        subject: Which of its kind, such as `Bill NETSUITE`.
        label: The same in words.
        headline: What to say of it, in a few words.
        details: What there is to know more, a line each.
        advice: The command that shows the rest.
        since: Since when it has been so.
        until: Of an incident, its last failure: a finding is the one that was told when that
            began between its `since` and this.
        ended_at: When it was over; of what ended before a channel was last told, or is not
            worth a message of its own, nothing is said to who never heard of it.
        mark: It is told again when this changes.
    """

    kind: Kind
    subject: str
    verdict: Verdict
    label: str
    headline: str
    details: tuple[str, ...] = ()
    advice: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ended_at: datetime | None = None
    mark: str = ""
