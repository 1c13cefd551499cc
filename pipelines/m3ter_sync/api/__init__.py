"""Speaks HTTP to m3ter, and knows nothing of dlt or DuckDB.

`endpoints` (what to ask) → `pages` (a listing, page by page) → `client` (one request, repeated
until it is answered) → `tokens`, `rate`, `retry`, `connection` (one concern each).

    with M3terClient(org_id=…, access_key_id=…, api_secret=…) as client:
        for page in fetch_notification_configurations(client): …
"""

from m3ter_sync.api.client import (
    DEFAULT_BASE_URL,
    DEFAULT_REQUESTS_PER_SECOND,
    M3terClient,
)
from m3ter_sync.api.clock import Clock
from m3ter_sync.api.endpoints import (
    BILLS_PAGE_LIMIT,
    INTEGRATION_CONFIGURATIONS_PAGE_LIMIT,
    INTEGRATION_RUNS_PAGE_LIMIT,
    NOTIFICATION_CONFIGURATIONS_PAGE_LIMIT,
    Order,
    fetch_bills,
    fetch_event_types,
    fetch_integration_configurations,
    fetch_integration_runs,
    fetch_latest_integration_runs,
    fetch_notification_configurations,
)
from m3ter_sync.api.errors import (
    AccessRefused,
    CredentialsRefused,
    EntityNotFound,
    InsecureUrl,
    M3terError,
    RequestRefused,
    ServiceUnavailable,
    Stopped,
    TooLarge,
    UnexpectedAnswer,
)
from m3ter_sync.api.observation import (
    ClockSkew,
    Observation,
    measure_clock_skew,
    read_rate_limits,
)
from m3ter_sync.api.pages import Row, fetch_pages
from m3ter_sync.api.statistics import EndpointStatistics, RequestStatistics

__all__ = [
    "BILLS_PAGE_LIMIT",
    "DEFAULT_BASE_URL",
    "DEFAULT_REQUESTS_PER_SECOND",
    "INTEGRATION_CONFIGURATIONS_PAGE_LIMIT",
    "INTEGRATION_RUNS_PAGE_LIMIT",
    "NOTIFICATION_CONFIGURATIONS_PAGE_LIMIT",
    "AccessRefused",
    "Clock",
    "ClockSkew",
    "CredentialsRefused",
    "EndpointStatistics",
    "EntityNotFound",
    "InsecureUrl",
    "M3terClient",
    "M3terError",
    "Observation",
    "Order",
    "RequestRefused",
    "RequestStatistics",
    "Row",
    "ServiceUnavailable",
    "Stopped",
    "TooLarge",
    "UnexpectedAnswer",
    "fetch_bills",
    "fetch_event_types",
    "fetch_integration_configurations",
    "fetch_integration_runs",
    "fetch_latest_integration_runs",
    "fetch_notification_configurations",
    "fetch_pages",
    "measure_clock_skew",
    "read_rate_limits",
]
