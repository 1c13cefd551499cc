"""Accounts, the integrations that their bills go through, and the bills."""

from datetime import date, timedelta

from .catalogue import ACCOUNT_FIRST_NAMES, ACCOUNT_LAST_NAMES
from .deliveries import SERVICE_USER
from .draw import DAY, HOUR, Draw, instant_of
from .tables import Row
from .world import FAKE_CREDENTIAL, Account, World

UNTIL_APPROVED = 5 * DAY
"""Bills of this age are approved, most of them."""

_INTEGRATIONS = (
    ("NetSuite US", "NETSUITE"),
    ("NetSuite EMEA", "NETSUITE"),
    ("Stripe", "STRIPE"),
    ("Xero", "XERO"),
    ("Salesforce", "SALESFORCE"),
    ("Stripe (test mode)", "STRIPE_TEST"),
)
_CURRENCIES = {"USD": 50, "EUR": 26, "GBP": 18, "JPY": 6}
_LINES = (("Platform fee", "STANDING_CHARGE", 0.2), ("API calls", "USAGE", 0.55))


def add_bill_integrations(world: World, at: int) -> None:
    """Sets up one integration for each system that bills go to."""
    for name, destination in _INTEGRATIONS:
        row = integration_row(world.draw, at, name, destination, "Bill")
        row["triggerType"] = "EVENT"
        world.integration_configurations[row["id"]] = row


def integration_row(draw: Draw, at: int, name: str, destination: str, entity_type: str) -> Row:
    """An integration configuration; its `configData` holds what must never be loaded."""
    created = draw.stamp(at)
    return {
        "id": draw.uuid(),
        "name": name,
        "entityType": entity_type,
        "destination": destination,
        "destinationId": draw.uuid(),
        "enabled": True,
        "authorized": True,
        "version": 1,
        "dtCreated": created,
        "dtLastModified": created,
        "createdBy": SERVICE_USER,
        "lastModifiedBy": SERVICE_USER,
        "integrationCredentialsId": draw.uuid(),
        "configData": {"accessToken": FAKE_CREDENTIAL, "retry": True, "batchSize": 50},
    }


def add_accounts(world: World, count: int) -> None:
    """Takes on customers, each with its currency, size and destinations."""
    draw = world.draw
    by_name = {row["name"]: row["id"] for row in world.integration_configurations.values()}
    for number in range(count):
        first = ACCOUNT_FIRST_NAMES[number % len(ACCOUNT_FIRST_NAMES)]
        last = ACCOUNT_LAST_NAMES[number % len(ACCOUNT_LAST_NAMES)]
        generation = number // (len(ACCOUNT_FIRST_NAMES) * len(ACCOUNT_LAST_NAMES))
        currency = draw.random.choices(list(_CURRENCIES), list(_CURRENCIES.values()))[0]
        ledger = "NetSuite US" if currency in ("USD", "JPY") else "NetSuite EMEA"
        main = draw.random.choices([ledger, "Stripe", "Xero"], [55, 28, 17])[0]
        names = [main]
        if draw.chance(0.3):
            names.append("Salesforce")
        elif draw.chance(0.08):
            names.append("Stripe (test mode)")
        world.add_account(
            Account(
                draw.uuid(),
                f"{first}_{last}" + (f"_{generation + 1}" if generation else ""),
                currency,
                round(draw.random.lognormvariate(8.2, 1.1), 2),
                tuple(by_name[name] for name in names),
            )
        )


def add_bill(world: World, created: int, now: int) -> Row:
    """Bills an account for the month before; older bills are approved, then locked."""
    draw = world.draw
    account = draw.pick(world.accounts)
    billed_on = instant_of(created).date()
    stamp = draw.stamp(created)
    row: Row = {
        "id": draw.uuid(),
        "accountId": account.id,
        "accountCode": account.code,
        "billDate": billed_on.isoformat(),
        "startDate": _month_before(billed_on).isoformat(),
        "endDate": billed_on.isoformat(),
        "dueDate": (billed_on + timedelta(days=30)).isoformat(),
        "currency": account.currency,
        "billTotal": draw_total(draw, account),
        "status": "PENDING",
        "locked": False,
        "version": 1,
        "dtCreated": stamp,
        "dtLastModified": stamp,
        "createdBy": SERVICE_USER,
        "lastModifiedBy": SERVICE_USER,
    }
    if now - created > UNTIL_APPROVED and draw.chance(0.9):
        approve(world, row, created + UNTIL_APPROVED - draw.between(0, 20 * HOUR))
        row["locked"] = now - created > 40 * DAY
    world.bills[row["id"]] = row
    return row


def approve(world: World, bill: Row, at: int) -> None:
    """A bill becomes an invoice with a number."""
    world.invoice_count += 1
    bill["status"] = "APPROVED"
    bill["dtApproved"] = world.draw.stamp(at)
    bill["sequentialInvoiceNumber"] = f"INV-{world.invoice_count + 10_000:08d}"


def draw_total(draw: Draw, account: Account) -> float:
    """What a bill comes to: around the account's usual amount, now and then nothing or a credit."""
    if draw.chance(0.015):
        return 0.0
    total = account.typical_total * draw.random.lognormvariate(0, 0.25)
    if draw.chance(0.01):
        total = -total / 10
    return float(round(total * 150)) if account.currency == "JPY" else round(total, 2)


def line_items(bill: Row) -> list[Row]:
    """A bill's line items, which the API adds unless it is asked not to."""
    total = bill.get("billTotal") or 0.0
    lines = [(*line[:2], round(total * line[2], 2)) for line in _LINES]
    lines.append(("Storage", "USAGE", round(total - sum(line[2] for line in lines), 2)))
    return [
        {
            "id": f"{bill['id'][:-2]}{number:02x}",
            "description": description,
            "lineItemType": kind,
            "quantity": 1.0,
            "unit": "UNIT",
            "units": 1.0,
            "averageUnitPrice": amount,
            "subtotal": amount,
            "conversionRate": 1.0,
            "convertedSubtotal": amount,
            "currency": bill.get("currency", "USD"),
        }
        for number, (description, kind, amount) in enumerate(lines)
    ]


def _month_before(day: date) -> date:
    last_of_month_before = day.replace(day=1) - timedelta(days=1)
    return last_of_month_before.replace(day=min(day.day, last_of_month_before.day))
