"""How the sandbox's server behaves, and what it saw."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qs

from starlette.responses import Response

from .faults import Fault, Faults

ORG_ID = "3f1c9d52-7a64-4c1e-b0d8-52c6f9a7e410"
ACCESS_KEY_ID = "sandbox-key"
API_SECRET = "sandbox-secret"  # noqa: S105 - opens nothing but the sandbox


@dataclass(slots=True)
class LoggedRequest:
    """One request as it came in; status 0 until it is answered, or where it never is."""

    method: str
    path: str
    query: str
    received_at: datetime
    status: int = 0

    @property
    def params(self) -> dict[str, list[str]]:
        """The query's parameters, each with all its values."""
        return parse_qs(self.query, keep_blank_values=True)


RequestHook = Callable[[LoggedRequest], Response | Fault | None]
"""Sees each request before it is answered; may answer it, spoil it, or change the world first."""

LatestShape = Literal["list", "object", "data", "none", "partial", "wrong"]


@dataclass
class Behaviour:
    """The server's settings; a change counts from the next request on."""

    requests_per_second: float | None = None
    """More than this within a second of the clock is answered 429 until the second is over."""
    retry_after: Literal["seconds", "date"] | None = None
    """Whether a 429 says when to come again, and how."""
    latency: float = 0.0
    """Seconds before each answer."""
    faults: Faults = field(default_factory=Faults)
    on_request: RequestHook | None = None
    expires_in: int = 18_000
    """Seconds that a bearer token lives."""
    latest_shape: LatestShape = "list"
    """What `integrationruns/{type}/latest` answers: a list, one object when asked for one, a page,
    404, a list that leaves every third entity out, or runs that are not the latest."""
    latest_most_ids: int = 100
    """More ids than this in one request are refused with `latest_refusal`."""
    latest_refusal: int = 413
    log_requests: bool = True
    org_id: str = ORG_ID
    access_key_id: str = ACCESS_KEY_ID
    api_secret: str = API_SECRET


def now() -> datetime:
    """The real time: the server's clock, not the world's."""
    return datetime.now(UTC)
