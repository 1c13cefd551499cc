"""Time, passed in wherever it is needed, so that tests need not wait."""

import threading
import time
from datetime import UTC, datetime

from m3ter_sync.api.errors import Stopped


class Clock:
    """The machine's clock, whose waits end at once when the work is called off."""

    def __init__(self) -> None:
        self._stopped = threading.Event()

    def now(self) -> float:
        """Seconds on a clock that only moves forward."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970, for what servers say in dates."""
        return time.time()

    def utc(self) -> datetime:
        """`wall` as an instant: when something is done, for whatever is written down."""
        return datetime.fromtimestamp(self.wall(), UTC)

    def wait(self, seconds: float) -> None:
        """Wait, or raise `Stopped` as soon as `stop` is called."""
        if self._stopped.is_set() or (seconds > 0 and self._stopped.wait(seconds)):
            raise Stopped("stopped before m3ter answered everything; what was complete is kept")

    def stop(self) -> None:
        """End every wait now and from now on."""
        self._stopped.set()
