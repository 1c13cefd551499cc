"""What a client asked, how often, and how long m3ter took to answer."""

import threading
from dataclasses import dataclass, replace

# m3ter has fewer than ten that are asked; what a caller makes up is summed into one.
_MOST_ENDPOINTS = 50
OTHER_ENDPOINTS = "(other)"


@dataclass(slots=True)
class EndpointStatistics:
    """The requests to one endpoint, as m3ter's reference writes it: without ids.

    Attributes:
        requests: Sent, repeated ones included.
        seconds: From sending to the whole answer, summed; what was waited before is not in it.
        slowest: The longest of them, in seconds.
    """

    endpoint: str
    requests: int = 0
    seconds: float = 0.0
    slowest: float = 0.0

    @property
    def mean_ms(self) -> float:
        """Milliseconds that a request took on average."""
        return 1000 * self.seconds / self.requests if self.requests else 0.0


class RequestStatistics:
    """What a client did so far; safe to read at any time.

    Attributes:
        requests: Requests sent, repeated ones and those for tokens included.
        retries: Requests that were repeated.
        throttled: Answers that were 429.
        seconds_waited: Waited before repeating a request, summed over all threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._endpoints: dict[str, EndpointStatistics] = {}
        self.requests = 0
        self.retries = 0
        self.throttled = 0
        self.seconds_waited = 0.0

    def count(
        self, *, requests: int = 0, retries: int = 0, throttled: int = 0, seconds: float = 0.0
    ) -> None:
        """Add to the figures."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.throttled += throttled
            self.seconds_waited += seconds

    def record(self, endpoint: str, seconds: float) -> None:
        """Add what one request took, answered or not."""
        with self._lock:
            figures = self._endpoints.get(endpoint)
            if figures is None:
                if len(self._endpoints) >= _MOST_ENDPOINTS:
                    endpoint = OTHER_ENDPOINTS
                figures = self._endpoints.setdefault(endpoint, EndpointStatistics(endpoint))
            figures.requests += 1
            figures.seconds += seconds
            if seconds > figures.slowest:
                figures.slowest = seconds

    def endpoints(self) -> list[EndpointStatistics]:
        """The endpoints that were asked; the one that took longest in all comes first."""
        with self._lock:
            figures = [replace(one) for one in self._endpoints.values()]
        return sorted(figures, key=lambda one: one.seconds, reverse=True)
