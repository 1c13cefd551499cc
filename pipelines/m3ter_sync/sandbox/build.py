"""Draws a world whose history is believable."""

import gc
from datetime import UTC, datetime

from .bills import add_accounts, add_bill, add_bill_integrations
from .deliveries import OPEN_STATUSES, Trouble
from .draw import DAY, HOUR, MINUTE, milliseconds
from .failures import DISABLED, EXPIRED, pick_failure, write_text
from .notifications import add_notification
from .tables import Row, parse_instant
from .world import World

SENDING_TIME = 35 * DAY
"""A bill is recalculated, and sent again, for about this long."""

_MOST_RUNS_OF_A_NOTIFICATION = 250


def build_world(
    seed: int = 7,
    *,
    now: datetime,
    bills: int = 300,
    notifications: int = 40,
    runs: int = 6000,
    days: int = 90,
    open_runs: int | None = None,
    varied_timestamps: bool = False,
) -> World:
    """Draws an organization's last `days`; the same arguments give the same world.

    `runs` is met to within a few. `open_runs` of them, 1 in 300 unless told, have not ended
    (a few more may be on their way at `now`). `varied_timestamps` writes instants in any form
    that ISO 8601 allows instead of m3ter's usual one.
    """
    world = World(seed, now.astimezone(UTC), varied_timestamps=varied_timestamps)
    world.bills_per_day = bills / days
    world.runs_per_day = runs / days
    until = milliseconds(world.now)
    since = until - days * DAY
    # A million dicts of strings hold no cycles: looking for them would take longer than the rest.
    gc_was_on = gc.isenabled()
    gc.disable()
    try:
        add_bill_integrations(world, since - 200 * DAY)
        _add_troubles(world, until)
        add_accounts(world, max(20, bills // 6))
        for number in range(bills):
            add_bill(
                world,
                since + int((number + world.draw.random.random()) * (until - since) / bills),
                until,
            )
        _add_notification_runs(
            world, notifications, runs if not bills else runs * 2 // 5, since, until
        )
        world.notification_share = len(world.integration_runs) / max(1, runs)
        if bills:
            left = runs - len(world.integration_runs)
            stuck = min(left, max(6, runs // 300) if open_runs is None else open_runs)
            _add_bill_runs(world, left - stuck, until)
            _add_open_runs(world, stuck, since, until)
    finally:
        if gc_was_on:
            gc.enable()
    return world


def _add_troubles(world: World, until: int) -> None:
    """NetSuite's credential expires for two days; Salesforce was switched off for a while."""
    ids = {row["name"]: row["destinationId"] for row in world.integration_configurations.values()}
    incident = until - 11 * DAY
    world.troubles[ids["NetSuite US"]] = [Trouble(incident, incident + 2 * DAY, 0.85, EXPIRED)]
    world.troubles[ids["Salesforce"]] = [Trouble(until - 41 * DAY, until - 38 * DAY, 1.0, DISABLED)]


def _add_notification_runs(world: World, count: int, runs: int, since: int, until: int) -> None:
    windows: list[tuple[Row, int, int]] = []
    for number in range(count):
        created = since - world.draw.between(10 * DAY, 300 * DAY)
        row, fires_from, fires_until = add_notification(world, number, created, until)
        if fires_until > max(fires_from, since):
            windows.append((row, max(fires_from, since), fires_until))
    whole = sum(window[2] - window[1] for window in windows)
    for row, fires_from, fires_until in windows:
        share = round(runs * (fires_until - fires_from) / whole)
        for route in world.notification_routes(row["id"]):
            # One stands near the end, so that what is wrong with a link shows.
            at = max(fires_from, fires_until - world.draw.between(HOUR, 20 * HOUR))
            made = 0
            while made < min(share, _MOST_RUNS_OF_A_NOTIFICATION):
                made += _put(world, world.deliveries.send(route, at, until))
                at = world.draw.between(fires_from, fires_until)


def _add_bill_runs(world: World, runs: int, until: int) -> None:
    """Spreads runs over the bills, more to those that have been there for longer."""
    bills = list(world.bills.values())
    ages = [until - _created(bill) for bill in bills]
    weights = [
        (min(age, SENDING_TIME) + 12 * HOUR) * world.draw.random.lognormvariate(0, 0.4)
        for age in ages
    ]
    whole = sum(weights)
    due = 0.0
    made = 0
    for bill, age, weight in zip(bills, ages, weights, strict=True):
        due += runs * weight / whole
        created = until - age
        last_sent = created
        at = min(created + 5 * MINUTE, until)
        while made < round(due):
            made += _put(world, world.send_bill(bill, at, until))
            last_sent = max(last_sent, at)
            bill["version"] += 1
            at = world.draw.between(created, min(until, created + SENDING_TIME))
        if bill["version"] > 1:
            # Now and then a bill was changed since and has not been sent again.
            lag = world.draw.between(0, min(12 * HOUR, until - last_sent))
            modified = last_sent + lag if world.draw.chance(0.04) else last_sent - MINUTE
            bill["dtLastModified"] = world.draw.stamp(max(created, modified))


def _add_open_runs(world: World, count: int, since: int, until: int) -> None:
    """Runs that wait, run, or are to be tried again: most for hours, every third for weeks."""
    draw, bills = world.draw, list(world.bills.values())
    for number in range(count):
        status = OPEN_STATUSES[number % len(OPEN_STATUSES)]
        bill = draw.pick(bills)
        age = (
            draw.between(2 * DAY, 40 * DAY) if number % 3 == 2 else draw.between(MINUTE, 20 * HOUR)
        )
        at = max(until - age, min(_created(bill), until - MINUTE), since)
        route = draw.pick(world.bill_routes(bill))
        row = world.deliveries.create(route, at)
        if status != "WAITING":
            world.deliveries.start(row, min(at + 20_000, until))
        if status == "AWAITING_RETRY":
            failure = pick_failure(draw, route.destination)
            error = write_text(draw, failure.text, at, route.account)
            world.deliveries.change(row, min(at + 40_000, until), status=status, error=error)
        if status == "RATE_LIMIT_RETRY":
            world.deliveries.change(row, min(at + 40_000, until), status=status)
        _put(world, [row])


def _put(world: World, rows: list[Row]) -> int:
    for row in rows:
        world.integration_runs[row["id"]] = row
    return len(rows)


def _created(bill: Row) -> int:
    return milliseconds(parse_instant(bill["dtCreated"]))
