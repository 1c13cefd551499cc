"""What happens while the world moves on."""

from datetime import timedelta

from .bills import add_bill, draw_total
from .build import SENDING_TIME
from .catalogue import RULES
from .deliveries import OPEN_STATUSES, Route
from .draw import DAY, HOUR, MINUTE, milliseconds
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
    """Four in five of the open runs go on, however long ago they started."""
    draw, deliveries = world.draw, world.deliveries
    still_open = [row for row in world.integration_runs.values() if row["status"] in OPEN_STATUSES]
    for row in still_open:
        route = _route_of(world, row)
        if route is None or draw.chance(0.2):
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
        bill = add_bill(world, draw_time(world, since, until), until)
        changes.new_bills.append(bill["id"])
        for route in world.bill_routes(bill):
            at = min(milliseconds(parse_instant(bill["dtCreated"])) + 5 * MINUTE, until)
            _put(world, changes, world.deliveries.send(route, at, until))
    # One bill comes from elsewhere, with a history that is older than any overlap.
    newcomer = add_bill(world, draw_time(world, since, until), until)
    changes.newcomer_bills.append(newcomer["id"])
    for route in world.bill_routes(newcomer):
        for _ in range(3):
            at = until - world.draw.between(3 * DAY, 30 * DAY)
            _put(world, changes, world.deliveries.send(route, at, until))


def _send_again(world: World, changes: WorldChanges, days: float, since: int, until: int) -> None:
    """Recalculates young bills and fires notifications, as often as in the past."""
    draw = world.draw
    young = [row for _, _, row in _newest_bills(world, until - SENDING_TIME)]
    firing = [
        row
        for row in world.notification_configurations.values()
        if row["active"] and row["id"] not in world.quiet_notifications
    ]
    due = len(changes.new_runs) + round(world.runs_per_day * days)
    while len(changes.new_runs) < due and (young or firing):
        at = draw_time(world, since, until)
        if firing and (not young or draw.chance(0.4)):
            routes = list(world.notification_routes(draw.pick(firing)["id"]))
            if not routes:
                due -= 1
        else:
            bill = draw.pick(young)
            routes = world.bill_routes(bill)
            bill["billTotal"] = draw_total(draw, world.account_of(bill))
            world.deliveries.change(bill, max(since, at - MINUTE))
            changes.changed_bills.append(bill["id"])
        for route in routes:
            _put(world, changes, world.deliveries.send(route, at, until))


def _newest_bills(world: World, since: int) -> list[tuple[int, str, Row]]:
    young = []
    for created, _, bill_id in reversed(world.bills.keys_in_order()):
        if milliseconds(created) < since:
            break
        young.append((milliseconds(created), bill_id, world.bills[bill_id]))
    return young


def _change_notifications(world: World, changes: WorldChanges, since: int, until: int) -> None:
    """One is edited, one switched off, one removed, one set up; rarely all in the same step."""
    draw, table = world.draw, world.notification_configurations
    if not table:
        return
    edited = table[draw.pick(list(table))]
    at = draw_time(world, since, until)
    world.deliveries.change(
        edited, at, description=f"{edited['description']}, since {draw.stamp(at)[:10]}"
    )
    changes.edited_notifications.append(edited["id"])
    active = [row for row in table.values() if row["active"]]
    if len(active) * 2 > len(table) and draw.chance(0.6):
        row = draw.pick(active)
        world.deliveries.change(row, draw_time(world, since, until), active=False)
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
        row, _, _ = add_notification(world, number, draw_time(world, since, until), until)
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


def draw_time(world: World, since: int, until: int) -> int:
    """An instant within a step, not so near its end that everything is still on its way."""
    return world.draw.between(since, max(since, until - min(HOUR // 2, (until - since) // 10)))


def _put(world: World, changes: WorldChanges, rows: list[Row]) -> None:
    for row in rows:
        world.integration_runs[row["id"]] = row
        changes.new_runs.append(row["id"])
