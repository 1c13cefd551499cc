"""The bearer token: fetched once however many threads ask, and renewed before it expires."""

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from m3ter_sync.api.clock import Clock
from m3ter_sync.api.errors import M3terError

# m3ter's tokens live five hours; a request may wait for its turn and be repeated for minutes.
_RENEW_BEFORE_EXPIRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token; its value is never shown."""

    value: str = field(repr=False)
    expires_in: float


class TokenProvider:
    """Keeps the one token that all threads use.

    Args:
        fetch: Asks m3ter for a new token.
        clock: Decides when a token is too old.
    """

    def __init__(self, fetch: Callable[[], Token], clock: Clock) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        # Both at once in one name: what is read without the lock always belongs together.
        self._held: tuple[str, float] | None = None
        self._failures = 0
        self._failure: M3terError | None = None

    def current(self) -> str:
        """Return a token that does not expire soon."""
        held = self._held
        if held and self._clock.now() < held[1]:
            return held[0]
        return self._renew(held[0] if held else None)

    def renew(self, refused: str) -> str:
        """Return a token other than the one that m3ter refused.

        Threads that were refused with one token share its successor.
        """
        return self._renew(refused)

    def _renew(self, old: str | None) -> str:
        failures = self._failures
        with self._lock:
            if self._held and self._held[0] != old:
                return self._held[0]
            if self._failure and self._failures != failures:
                # It failed while this thread waited: the same attempt, the same answer.
                raise copy.copy(self._failure)
            try:
                token = self._fetch()
            except M3terError as error:
                self._failure = error
                self._failures += 1
                raise
            margin = min(_RENEW_BEFORE_EXPIRY_SECONDS, token.expires_in / 2)
            self._held = (token.value, self._clock.now() + token.expires_in - margin)
            return token.value
