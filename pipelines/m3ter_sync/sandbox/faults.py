"""What can go wrong on the way, on purpose and again in the same order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Any


class Fault(StrEnum):
    """One way to spoil one answer."""

    THROTTLED = "429"
    SERVER_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    RESET = "reset"
    """The connection is reset before any answer."""
    HANG = "hang"
    """No answer comes until the client gives up."""
    CUT_OFF = "cut off"
    """The connection closes in the middle of the body."""
    HTML = "html"
    """A proxy's page, with status 200."""
    EMPTY_PAGE = "empty page"
    """No objects, but a token to go on with from the same place."""
    REPEATED_TOKEN = "repeated token"  # noqa: S105 - a name, not a secret
    """The page's token is the one it was asked with."""
    TOKEN_EXPIRED = "token expired"  # noqa: S105 - a name, not a secret
    """All bearer tokens stop working before their time; this request is refused first."""


STATUS_OF = {
    Fault.THROTTLED: 429,
    Fault.SERVER_ERROR: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.UNAVAILABLE: 503,
    Fault.GATEWAY_TIMEOUT: 504,
}


@dataclass
class Faults:
    """Which answers are spoiled; requests for tokens and control are never.

    The first requests get what `script` says (None: nothing), later ones a fault with its
    `probabilities`, drawn from the seed and the number of the request.
    """

    probabilities: Mapping[Fault, float] = field(default_factory=dict)
    script: Sequence[Fault | None] = ()
    seed: int = 7
    too_large_above: int | None = None
    """A `pageSize` above it is answered 413."""
    extra_fields: dict[str, Any] = field(default_factory=dict)
    """Put into every object of every page: fields that nobody knows yet."""

    def draw(self, request_number: int) -> Fault | None:
        """The fault of one request, counted from 0."""
        if request_number < len(self.script):
            return self.script[request_number]
        if not self.probabilities:
            return None
        left = Random(f"{self.seed} {request_number}").random()  # noqa: S311 - drawn again at will
        for fault, probability in self.probabilities.items():
            left -= probability
            if left < 0:
                return fault
        return None
