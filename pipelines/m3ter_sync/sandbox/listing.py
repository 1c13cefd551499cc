"""Pages of objects as m3ter cuts them: filtered, ordered, continued from a place, not a count."""

import base64
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zlib import crc32

from starlette.datastructures import QueryParams

from .bills import line_items
from .tables import Key, Row, parse_instant
from .world import World

ENTITY_TYPES = ("Bill", "Notification")
STATUSES = (
    "WAITING", "STARTED", "COMPLETE", "ERROR", "AWAITING_RETRY", "AUTH_FAILED",
    "ACCOUNTING_PERIOD_CLOSED", "INVOICE_ALREADY_PAID", "DISABLED", "TIMEOUT_LIMIT_EXCEEDED",
    "RATE_LIMIT_RETRY",
)  # fmt: skip

Page = dict[str, Any]


class ParameterError(ValueError):
    """A query parameter that m3ter refuses with 400."""


@dataclass(frozen=True)
class Window:
    """What a request asks of a listing: how much, and from where on."""

    size: int
    after: Key | None
    salt: int

    @classmethod
    def read(cls, params: QueryParams, most: int) -> "Window":
        """Reads `pageSize` and `nextToken`.

        Raises:
            ParameterError: one of the two cannot be.
        """
        text = params.get("pageSize", str(most))
        if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= most:
            raise ParameterError(f"pageSize must be between 1 and {most}")
        token = params.get("nextToken")
        if not token:
            return cls(int(text), None, 0)
        return cls(int(text), *_read_token(token))


def write_token(after: Key | None, salt: int = 0) -> str:
    """An opaque token for the place after a key; another salt makes another token of it."""
    place = "" if after is None else f"{after[0].isoformat()} {after[1].isoformat()} {after[2]}"
    return base64.urlsafe_b64encode(f"{salt} {place}".encode()).decode()


def _read_token(token: str) -> tuple[Key | None, int]:
    try:
        salt, *place = base64.urlsafe_b64decode(token).decode().split(" ", 3)
        if place == [""]:
            return None, int(salt)
        started, created, object_id = place
        return (datetime.fromisoformat(started), datetime.fromisoformat(created), object_id), int(
            salt
        )
    except ValueError as error:
        raise ParameterError("nextToken is not valid") from error


def cut_page(
    keys: Sequence[Key],
    window: Window,
    row_of: Callable[[Key], Row | None],
    *,
    is_ascending: bool = False,
) -> Page:
    """Cuts one page out of places in ascending order; `row_of` answers None to leave one out."""
    place = len(keys) if window.after is None else bisect_left(keys, window.after)
    step, end = -1, -1
    if is_ascending:
        place = 0 if window.after is None else bisect_right(keys, window.after)
        step, end = 1, len(keys)
    else:
        place -= 1
    data: list[Row] = []
    last: Key | None = None
    for number in range(place, end, step):
        row = row_of(keys[number])
        if row is None:
            continue
        if len(data) == window.size:
            return {"data": data, "nextToken": write_token(last)}
        data.append(row)
        last = keys[number]
    return _last_page(data)


def _last_page(data: list[Row]) -> Page:
    """m3ter ends a listing in one of three ways; here, always the same for the same page."""
    ending = crc32(data[-1]["id"].encode()) % 3 if data else 0
    if ending == 0:
        return {"data": data}
    return {"data": data, "nextToken": None if ending == 1 else ""}


def list_runs(world: World, entity_type: str, entity_id: str, params: QueryParams) -> Page:
    """Endpoint 1; whoever filters by start does not see what never started."""
    window = Window.read(params, 200)
    after, until = _instant(params, "startDate"), _instant(params, "endDate")
    status, order = params.get("status"), params.get("order", "DESC")
    if status is not None and status not in STATUSES:
        raise ParameterError(f"status must be one of {', '.join(STATUSES)}")
    if order not in ("ASC", "DESC"):
        raise ParameterError("order must be ASC or DESC")
    runs = world.integration_runs
    keys = []
    for row in runs.of(entity_type, entity_id):
        if status is not None and row["status"] != status:
            continue
        key = runs.place(row)
        if after is not None or until is not None:
            if not row.get("dtStarted"):
                continue
            if (after is not None and key[0] <= after) or (until is not None and key[0] > until):
                continue
        keys.append(key)
    keys.sort()
    return cut_page(keys, window, lambda key: runs[key[2]], is_ascending=order == "ASC")


def list_notifications(world: World, params: QueryParams) -> Page:
    """Endpoint 2."""
    window = Window.read(params, 100)
    active, event_name = _flag(params, "active"), params.get("eventName")
    ids, table = set(read_ids(params)), world.notification_configurations

    def row_of(key: Key) -> Row | None:
        row = table[key[2]]
        if ids and row["id"] not in ids:
            return None
        if active is not None and row.get("active", False) is not active:
            return None
        return None if event_name is not None and row.get("eventName") != event_name else row

    return cut_page(table.keys_in_order(), window, row_of)


def list_integrations(world: World, params: QueryParams) -> Page:
    """Integration configurations, credentials and all."""
    window = Window.read(params, 200)
    destination_id, table = params.get("destinationId"), world.integration_configurations

    def row_of(key: Key) -> Row | None:
        row = table[key[2]]
        is_wanted = destination_id is None or row.get("destinationId") == destination_id
        return row if is_wanted else None

    return cut_page(table.keys_in_order(), window, row_of)


def list_bills(world: World, params: QueryParams) -> Page:
    """Bills; line items unless they are excluded, the total only where it is asked for."""
    window = Window.read(params, 100)
    since, before = _day(params, "billDateStart"), _day(params, "billDateEnd")
    status, locked = params.get("status"), _flag(params, "locked")
    without_lines = _flag(params, "excludeLineItems")
    with_total = _flag(params, "includeBillTotal")
    account_id, table = params.get("accountId"), world.bills
    if status not in (None, "PENDING", "APPROVED"):
        raise ParameterError("status must be PENDING or APPROVED")
    keys: Sequence[Key] = table.keys_in_order()
    if ids := set(read_ids(params)):
        keys = sorted(table.place(table[bill_id]) for bill_id in ids if bill_id in table)

    def row_of(key: Key) -> Row | None:
        row = table[key[2]]
        if since is not None and row["billDate"] < since:
            return None
        if before is not None and row["billDate"] >= before:
            return None
        if status is not None and row["status"] != status:
            return None
        if locked is not None and row["locked"] is not locked:
            return None
        if account_id is not None and row["accountId"] != account_id:
            return None
        if with_total and without_lines:
            return row
        shown = dict(row) if with_total else {k: v for k, v in row.items() if k != "billTotal"}
        return shown if without_lines else shown | {"lineItems": line_items(row)}

    return cut_page(keys, window, row_of)


def latest_runs(world: World, entity_type: str, ids: Sequence[str], *, is_wrong: bool) -> list[Row]:
    """The run of each entity that was created last (or, wrongly, first)."""
    latest = []
    for entity_id in dict.fromkeys(ids):
        runs = world.integration_runs.of(entity_type, entity_id)
        if not runs or not world.has_entity(entity_type, entity_id):
            continue
        choose = min if is_wrong else max
        latest.append(choose(runs, key=lambda row: (parse_instant(row["dtCreated"]), row["id"])))
    return latest


def read_ids(params: QueryParams) -> list[str]:
    """`ids` repeated, as documented, or with commas between, as m3ter's SDK sends them."""
    return [each for value in params.getlist("ids") for each in value.split(",") if each]


def _instant(params: QueryParams, name: str) -> datetime | None:
    if (text := params.get(name)) is None:
        return None
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ParameterError(f"{name} must be a date and time in ISO 8601 format") from error


def _day(params: QueryParams, name: str) -> str | None:
    if (text := params.get(name)) is None:
        return None
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise ParameterError(f"{name} must be a date in ISO 8601 format") from error


def _flag(params: QueryParams, name: str) -> bool | None:
    text = params.get(name)
    if text not in (None, "true", "false"):
        raise ParameterError(f"{name} must be true or false")
    return None if text is None else text == "true"
