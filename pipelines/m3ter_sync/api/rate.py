"""How many requests a second are sent, by all threads together.

GCRA, from pyrate-limiter, spaces the requests evenly. A 429 holds all of them until the next
second (or as long as the answer says), and then they come more slowly: the organization's limit
is shared with its own production traffic, which must win. The rate climbs back by itself.
"""

import math
import random
import threading

from pyrate_limiter import GCRA, Rate

from m3ter_sync.api.clock import Clock

# The server counts by calendar second, and the network makes even requests uneven: at the full
# rate, one that comes a millisecond late is one too many in the next second.
_SHARE_OF_RATE = 0.995
# A thread that wakes late may be caught up with for this long, or the rate would not be met.
_CATCH_UP_SECONDS = 0.02
_SLOWER = 0.85
_RECOVERY_PER_SECOND = 0.02
_PAUSE_JITTER_SECONDS = 0.1


class RequestRate:
    """Lets requests through one by one, evenly spaced, at most so many a second."""

    def __init__(self, requests_per_second: float, clock: Clock) -> None:
        if not 0 < requests_per_second < math.inf:
            raise ValueError(f"requests_per_second must be more than 0, not {requests_per_second}")
        self._clock = clock
        self._highest = requests_per_second
        self._lowest = min(1.0, requests_per_second)
        # The rate that the last 429 left, and when: it climbs from there.
        self._slowed_to = requests_per_second
        self._slowed_at = -math.inf
        self._paused_until = -math.inf
        self._algorithm = GCRA()
        self._spacing = _spacing(requests_per_second)
        self._state = self._algorithm.initial([self._spacing])
        self._lock = threading.Lock()
        # One thread waits for its slot and the others queue behind it: none wakes in vain.
        self._turn = threading.Lock()

    def current(self) -> float:
        """Requests per second that are let through now."""
        if self._slowed_to == self._highest:
            return self._highest
        climbing = max(0.0, self._clock.now() - self._paused_until)
        climbed = self._slowed_to + climbing * _RECOVERY_PER_SECOND * self._highest
        return min(self._highest, climbed)

    def wait_turn(self) -> None:
        """Return when the next request may be sent.

        Raises:
            Stopped: The clock was stopped.
        """
        with self._turn:
            while True:
                delay = self._take_slot()
                self._clock.wait(delay)
                if delay == 0:
                    return

    def slow_down(self, retry_after: float | None) -> float:
        """Hold all requests after a 429, then send fewer; return how long they are held.

        The refusals of one second count once: they answer requests that were sent at one rate.
        """
        now = self._clock.now()
        pause = 1 - self._clock.wall() % 1 if retry_after is None else retry_after
        # Spreads requests, guards nothing.
        pause += random.uniform(0, _PAUSE_JITTER_SECONDS)  # noqa: S311
        with self._lock:
            if now - self._slowed_at >= 1:
                self._slowed_to = max(self._lowest, self.current() * _SLOWER)
                self._slowed_at = now
            self._paused_until = max(self._paused_until, now + pause)
            return self._paused_until - now

    def _take_slot(self) -> float:
        """Take the next slot and return 0, or return the seconds until it may be free."""
        with self._lock:
            now = self._clock.now()
            if now < self._paused_until:
                return self._paused_until - now
            if self._slowed_to != self._highest:
                rate = self.current()
                self._spacing = _spacing(rate)
                if rate == self._highest:
                    self._slowed_to = rate
            self._state, decision = self._algorithm.step(
                [self._spacing], self._state, int(now * 1000), 1
            )
            return (decision.retry_after_ms or 0) / 1000


def _spacing(requests_per_second: float) -> Rate:
    """Say the rate in pyrate-limiter's whole milliseconds: how long a thousand requests take."""
    milliseconds = max(1, math.ceil(1_000_000 / (requests_per_second * _SHARE_OF_RATE)))
    burst = max(2, math.ceil(requests_per_second * _CATCH_UP_SECONDS))
    return Rate(limit=1000, interval=milliseconds, burst=burst)
