"""m3ter's endpoints: the one place for each path, its parameters and its page limit.

All facts are from m3ter's public reference of its Config API.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, Literal
from urllib.parse import quote

from m3ter_sync.api.client import M3terClient
from m3ter_sync.api.errors import RequestRefused, UnexpectedAnswer
from m3ter_sync.api.pages import Row, fetch_pages

INTEGRATION_RUNS_PAGE_LIMIT = 200
NOTIFICATION_CONFIGURATIONS_PAGE_LIMIT = 100
INTEGRATION_CONFIGURATIONS_PAGE_LIMIT = 200
BILLS_PAGE_LIMIT = 100

EntityType = Literal["Bill", "Notification"]
Order = Literal["ASC", "DESC"]

# A hundred UUIDs make a URL of 4 kB, which every proxy lets through.
_IDS_PER_REQUEST = 100


def fetch_integration_runs(
    client: M3terClient,
    entity_type: str,
    entity_id: str,
    *,
    start_date: datetime | None = None,
    end_date: datetime | None = None,
    status: str | None = None,
    order: Order | None = None,
    page_size: int = INTEGRATION_RUNS_PAGE_LIMIT,
) -> Iterator[list[Row]]:
    """Yield the integration runs of one bill or notification.

    Args:
        client: Asks.
        entity_type: `Bill` or `Notification`.
        entity_id: Of the bill, or of the notification configuration.
        start_date: Only runs that started after it (exclusive).
        end_date: Only runs that started before or on it (inclusive).
        status: Only runs of this status.
        order: By start; m3ter's own order when not given.
        page_size: 1 to 200.

    Raises:
        EntityNotFound: There is no such entity.
    """
    return fetch_pages(
        client,
        f"integrationruns/{_segment(entity_type)}/{_segment(entity_id)}",
        _params(
            startDate=start_date,
            endDate=end_date,
            status=status,
            order=order,
        ),
        page_size=_checked(page_size, INTEGRATION_RUNS_PAGE_LIMIT),
        endpoint="integrationruns/{entityType}/{entityId}",
        entity=f"{entity_type} {entity_id}",
    )


def fetch_latest_integration_runs(
    client: M3terClient, entity_type: str, entity_ids: Sequence[str]
) -> Any:
    """Return what m3ter answers when asked for the latest run of each entity, in one request.

    Its published schema is in doubt, and so is how many ids it takes: the caller judges the
    shape, and asks with fewer ids after a `RequestRefused`.
    """
    return client.fetch(
        f"integrationruns/{_segment(entity_type)}/latest",
        [("ids", entity_id) for entity_id in entity_ids],
        endpoint="integrationruns/{entityType}/latest",
    )


def fetch_notification_configurations(
    client: M3terClient,
    *,
    active: bool | None = None,
    event_name: str | None = None,
    ids: Sequence[str] = (),
    page_size: int = NOTIFICATION_CONFIGURATIONS_PAGE_LIMIT,
) -> Iterator[list[Row]]:
    """Yield the notification configurations; all of them when no filter is given."""
    return _fetch_by_ids(
        client,
        "notifications/configurations",
        _params(active=active, eventName=event_name),
        ids,
        _checked(page_size, NOTIFICATION_CONFIGURATIONS_PAGE_LIMIT),
    )


def fetch_integration_configurations(
    client: M3terClient, page_size: int = INTEGRATION_CONFIGURATIONS_PAGE_LIMIT
) -> Iterator[list[Row]]:
    """Yield the integration configurations without `configData`, which can hold credentials."""
    pages = fetch_pages(
        client,
        "integrationconfigs",
        page_size=_checked(page_size, INTEGRATION_CONFIGURATIONS_PAGE_LIMIT),
    )
    for page in pages:
        for row in page:
            if isinstance(row, dict):
                row.pop("configData", None)
        yield page


def fetch_bills(
    client: M3terClient,
    *,
    ids: Sequence[str] = (),
    bill_date_start: date | None = None,
    bill_date_end: date | None = None,
    status: str | None = None,
    locked: bool | None = None,
    page_size: int = BILLS_PAGE_LIMIT,
) -> Iterator[list[Row]]:
    """Yield bills with their totals and without their line items, the newest first."""
    return _fetch_by_ids(
        client,
        "bills",
        _params(
            excludeLineItems=True,
            includeBillTotal=True,
            billDateStart=bill_date_start,
            billDateEnd=bill_date_end,
            status=status,
            locked=locked,
        ),
        ids,
        _checked(page_size, BILLS_PAGE_LIMIT),
    )


def fetch_event_types(client: M3terClient) -> list[str]:
    """Return the names of all event types, m3ter's and the organization's own.

    Raises:
        UnexpectedAnswer: The answer is no list of names.
    """
    content = client.fetch("events/types")
    events = content.get("events") if isinstance(content, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, str) for event in events):
        raise UnexpectedAnswer(
            "GET events/types: the answer has no list of names in 'events'. Check base_url; if it "
            "is right, m3ter's API has changed."
        )
    return events


def _fetch_by_ids(
    client: M3terClient,
    path: str,
    params: list[tuple[str, str | int]],
    ids: Sequence[str],
    page_size: int,
) -> Iterator[list[Row]]:
    """List once without ids, or once for each hundred of them."""
    for start in range(0, max(len(ids), 1), _IDS_PER_REQUEST):
        batch = [("ids", one) for one in ids[start : start + _IDS_PER_REQUEST]]
        yield from fetch_pages(client, path, [*params, *batch], page_size=page_size)


def _params(**given: str | bool | date | None) -> list[tuple[str, str | int]]:
    """Write the parameters that were given, as m3ter writes them."""
    return [(name, _text(value)) for name, value in given.items() if value is not None]


def _text(value: str | bool | date) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"a time needs its zone: {value.isoformat()}")
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value if isinstance(value, str) else value.isoformat()


def _checked(page_size: int, limit: int) -> int:
    if not 1 <= page_size <= limit:
        raise ValueError(f"a page holds 1 to {limit} rows here, not {page_size}")
    return page_size


def _segment(value: str) -> str:
    """Return a value as one segment of a path, whatever is in it.

    Raises:
        RequestRefused: No quoting keeps it a segment of its own.
    """
    if value in ("", ".", ".."):
        raise RequestRefused(f"{value!r} is no id of m3ter. Give one like 7d1c0a62-….")
    return quote(value, safe="")
