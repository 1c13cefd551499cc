"""What happens while the world moves on."""

from bisect import bisect_left
from datetime import timedelta

from .bills import UNTIL_APPROVED, add_bill, approve, draw_total
from .build import SENDING_TIME
from .catalogue import RULES
from .deliveries import OPEN_STATUSES, Route
from .draw import DAY, HOUR, MINUTE, SECOND, instant_of, milliseconds
from .failures import DESTINATIONS
from .notifications import add_notification
from .tables import Row, parse_instant
from .world import World, WorldChanges


def advance(world: World, days: float) -> WorldChanges:
    """See `World.advance`."""
    changes = WorldChanges()
    since = milliseconds(world.now)
    world.now += timedelta(days=days)
    until = milliseconds(world.now)
    _change_notifications(world, changes, since, until)
    _move_open_runs(world, changes, since, until)
    _make_bills(world, changes, days, since, until)
    _send_again(world, changes, days, since, until)
    return changes


def _move_open_runs(world: World, changes: WorldChanges, since: int, until: int) -> None:
    """Most open runs go on, however long ago they started; the old ones are slower to."""
    draw, deliveries = world.draw, world.deliveries
    still_open = [row for row in world.integration_runs.values() if row["status"] in OPEN_STATUSES]
    for row in still_open:
        route = _route_of(world, row)
        is_old = milliseconds(parse_instant(row["dtCreated"])) < since - 2 * DAY
        if route is None or not draw.chance(0.4 if is_old else 0.8):
            continue
        at = draw.between(since, until)
        made: list[Row] = []
        if row["status"] == "AWAITING_RETRY":
            made = deliveries.retry(row, route, at, until)
        else:
            if row["status"] == "WAITING":
                deliveries.start(row, at)
                at += draw.between(2_000, 30_000)
            if at < until:
                made = deliveries.conclude(row, route, at, until)
        changes.changed_runs.append(row["id"])
        _put(world, changes, made)


def _make_bills(world: World, changes: WorldChanges, days: float, since: int, until: int) -> None:
    if not world.accounts:
        return
    for _ in range(max(1, round(world.bills_per_day * days))):
        bill = add_bill(world, _draw_time(world, since, until), until)
        changes.new_bills.append(bill["id"])
        at = min(milliseconds(parse_instant(bill["dtCreated"])) + 5 * MINUTE, until)
        _put(world, changes, world.send_bill(bill, at, until))
    # One bill comes from elsewhere, with a history that is older than any overlap.
    newcomer = add_bill(world, _draw_time(world, since, until), until)
    changes.newcomer_bills.append(newcomer["id"])
    for _ in range(3):
        at = until - world.draw.between(3 * DAY, 30 * DAY)
        _put(world, changes, world.send_bill(newcomer, at, until))


def _send_again(world: World, changes: WorldChanges, days: float, since: int, until: int) -> None:
    """Recalculates young bills and fires notifications, as often as in the past."""
    draw = world.draw
    young = _young_bills(world, until)
    firing = [
        route
        for row in world.notification_configurations.values()
        if row["active"] and row["id"] not in world.quiet_notifications
        for route in world.notification_routes(row["id"])
    ]
    due = len(changes.new_runs) + round(world.runs_per_day * days)
    while len(changes.new_runs) < due and (young or firing):
        at = _draw_time(world, since, until)
        # Now and then nothing more is heard of a run for the rest of the step.
        heard_until = min(until, at + draw.between(0, 6 * SECOND)) if draw.chance(0.1) else until
        if firing and (not young or draw.chance(world.notification_share)):
            _put(world, changes, world.deliveries.send(draw.pick(firing), at, heard_until))
        else:
            bill = draw.pick(young)
            bill["billTotal"] = draw_total(draw, world.account_of(bill))
            world.deliveries.change(bill, max(since, at - MINUTE))
            is_due = parse_instant(bill["dtCreated"]) < instant_of(at - UNTIL_APPROVED)
            if bill["status"] == "PENDING" and is_due:
                approve(world, bill, max(since, at - MINUTE))
            changes.changed_bills.append(bill["id"])
            _put(world, changes, world.send_bill(bill, at, heard_until))


def _young_bills(world: World, until: int) -> list[Row]:
    """Those that are still recalculated now and then."""
    oldest = instant_of(until - SENDING_TIME)
    keys = world.bills.keys_in_order()
    return [world.bills[bill_id] for _, _, bill_id in keys[bisect_left(keys, (oldest,)) :]]


def _change_notifications(world: World, changes: WorldChanges, since: int, until: int) -> None:
    """One is edited, one switched off, one removed, one set up; rarely all in the same step."""
    draw, table = world.draw, world.notification_configurations
    if not table:
        return
    edited = table[draw.pick(list(table))]
    at = _draw_time(world, since, until)
    world.deliveries.change(
        edited, at, description=f"{edited['description']}, since {draw.stamp(at)[:10]}"
    )
    changes.edited_notifications.append(edited["id"])
    active = [row for row in table.values() if row["active"]]
    if len(active) * 2 > len(table) and draw.chance(0.6):
        row = draw.pick(active)
        world.deliveries.change(row, _draw_time(world, since, until), active=False)
        changes.deactivated_notifications.append(row["id"])
    if len(table) > 3 and draw.chance(0.6):
        removed = draw.pick(list(table))
        del table[removed]
        changes.deleted_notifications.append(removed)
        links = world.integration_configurations
        for link in [row for row in links.values() if row.get("entityId") == removed]:
            del links[link["id"]]
    if draw.chance(0.7):
        number = draw.between(0, len(RULES)) + len(RULES) * (2 + until // DAY % 1000)
        row, _, _ = add_notification(world, number, _draw_time(world, since, until), until)
        changes.new_notifications.append(row["id"])


def _route_of(world: World, run: Row) -> Route | None:
    """The way a run went; None where its entity is gone, for then nobody can see it any more."""
    if not world.has_entity(run["entityType"], run["entityId"]):
        return None
    account = ""
    if run["entityType"] == "Bill":
        account = world.bills[run["entityId"]].get("accountCode", "")
    destination = DESTINATIONS.get(run["destination"], DESTINATIONS["WEBHOOK"])
    return Route(
        run["entityType"], run["entityId"], destination, run.get("destinationId", ""), account
    )


def _draw_time(world: World, since: int, until: int) -> int:
    """An instant within a step, not so near its end that everything is still on its way."""
    return world.draw.between(since, max(since, until - min(HOUR // 2, (until - since) // 10)))


def _put(world: World, changes: WorldChanges, rows: list[Row]) -> None:
    for row in rows:
        world.integration_runs[row["id"]] = row
        changes.new_runs.append(row["id"])
