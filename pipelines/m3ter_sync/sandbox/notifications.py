"""Notification rules, their webhooks, and what has become of each."""

from .bills import integration_row
from .catalogue import RULES, Rule
from .deliveries import SERVICE_USER, Trouble
from .draw import DAY
from .failures import DISABLED, GONE, REFUSED
from .tables import Row
from .world import World

FOREVER = 1 << 62
_UNLINKED = ("unlinked", "orphaned_none")
_KINDS_THAT_FIRE = (
    "delivering", "failing", "silent", "inactive", "blocked_disabled", "blocked_unauthorized"
)  # fmt: skip


def add_notification(world: World, number: int, created: int, now: int) -> tuple[Row, int, int]:
    """Sets a rule up, with its link; returns it and the time within which it fires."""
    rule = RULES[number % len(RULES)]
    generation = number // len(RULES)
    row = _notification_row(world, rule, f"_{generation + 1}" if generation else "", created)
    world.notification_configurations[row["id"]] = row
    fires_from, fires_until = created, now
    if rule.kind == "inactive":
        fires_until = max(created, now - world.draw.between(8, 40) * DAY)
        world.deliveries.change(row, fires_until, active=False)
    if rule.kind == "silent":
        fires_until = max(created, now - world.draw.between(32, 50) * DAY)
        world.quiet_notifications.add(row["id"])
    if rule.kind not in _UNLINKED:
        link = integration_row(
            world.draw, created, f"{rule.name} webhook", "WEBHOOK", "Notification"
        )
        link["entityId"] = row["id"]
        world.integration_configurations[link["id"]] = link
        _strike(world, rule.kind, row, link, now)
    if rule.kind not in _KINDS_THAT_FIRE:
        world.quiet_notifications.add(row["id"])
        fires_until = fires_from
    return row, fires_from, fires_until


def _notification_row(world: World, rule: Rule, suffix: str, created: int) -> Row:
    stamp = world.draw.stamp(created)
    row: Row = {
        "id": world.draw.uuid(),
        "name": rule.name,
        "description": f"Tells the {world.draw.pick(('billing', 'finance', 'platform', 'sales'))} "
        f"team: {rule.name.lower()}",
        "code": f"{rule.code}{suffix}",
        "version": 1,
        "dtCreated": stamp,
        "dtLastModified": stamp,
        "createdBy": SERVICE_USER,
        "lastModifiedBy": SERVICE_USER,
        "active": True,
        "alwaysFireEvent": rule.calculation is None,
    }
    if rule.event_name is not None:
        row["eventName"] = rule.event_name
    if rule.calculation is not None:
        row["calculation"] = rule.calculation
    return row


def _strike(world: World, kind: str, row: Row, link: Row, now: int) -> None:
    """What is wrong with the link, and since when."""
    since = now - world.draw.between(2 * DAY, 6 * DAY)
    change = world.deliveries.change
    if kind == "failing":
        world.troubles[row["id"]] = [Trouble(since, FOREVER, 1.0, GONE)]
    elif kind == "blocked_disabled":
        change(link, since, enabled=False)
        world.troubles[row["id"]] = [Trouble(since, FOREVER, 1.0, DISABLED)]
    elif kind == "blocked_unauthorized":
        change(link, since, authorized=False)
        world.troubles[row["id"]] = [Trouble(since, FOREVER, 1.0, REFUSED)]
    elif world.draw.chance(0.25):
        # m3ter may say nothing of it.
        del link["authorized"]
