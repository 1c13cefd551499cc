"""Is anything on fire? Open incidents, bills that did not arrive, runs that are stuck."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.published import COUNTED, Published, Row
from m3ter_sync.report.sections import CLASSES, SENDS, Section, Tile, link
from m3ter_sync.report.tables import Table, build_table
from m3ter_sync.report.words import (
    join_words,
    say_count,
    say_duration,
    say_money,
    say_time,
)

_UNDELIVERED = f"delivery_class not in ('succeeded', 'superseded') and {COUNTED}"
_NEEDS_SOMEONE = f"delivery_class in ('failed', 'blocked') and {COUNTED}"
_CURRENCY_LIMIT = 4


def build_fire(published: Published) -> Section:
    """The first section."""
    incidents = _list_incidents(published)
    stuck = _list_stuck(published)
    bills = _list_bills(published)
    amounts = _sum_amounts(published)
    missing = sum(row["bill_count"] for row in amounts)
    hours = say_duration(3600 * published.settings["stuck_after_hours"])
    tiles = [
        Tile(
            "Destinations failing now",
            say_count(incidents.total),
            "each failed and has not succeeded since"
            if incidents.total
            else "the newest delivery to each arrived",
            "bad" if incidents.total else "good",
            incidents.id,
        ),
        Tile(
            "Bills not delivered",
            say_count(missing),
            _say_amounts(amounts)
            if missing
            else "every bill that was sent arrived or is on its way",
            "bad" if missing else "good",
            bills.id,
        ),
        Tile(
            "Runs stuck",
            say_count(stuck.total),
            f"neither done nor failed after {hours}"
            if stuck.total
            else f"none in flight for over {hours}",
            "warn" if stuck.total else "good",
            stuck.id,
        ),
    ]
    is_on_fire = incidents.total or missing
    return Section(
        "fire",
        "Is anything on fire?",
        "On fire?",
        _answer(published, incidents.total, missing, stuck.total),
        ("bad" if is_on_fire else "warn" if stuck.total else "good") if published.as_of else "",
        # Before the first sync a 0 would be a claim.
        tiles=tiles if published.as_of else [],
        tables=[incidents, _list_amounts(published), bills, stuck],
    )


def _answer(published: Published, incidents: int, bills: int, stuck: int) -> Markup:
    if published.as_of is None:
        return Markup(
            "Nothing can be said yet: no sync has succeeded. Run <code>m3ter-sync sync</code>."
        )
    found = [
        link(table_id, say_count(number, one, many)) + (" " + rest)
        for table_id, number, one, many, rest in (
            ("incidents", incidents, "destination", "destinations", "failing now"),
            ("bills", bills, "bill", "bills", "not delivered"),
            ("stuck", stuck, "run", "runs", "stuck"),
        )
        if number
    ]
    if not found:
        return Markup("No. No destination is failing, no bill is missing, and no run is stuck.")
    start = Markup("Yes: ") if incidents or bills else Markup("Nearly: ")
    return start + Markup(", ").join(found) + "."


def _list_incidents(published: Published) -> Table:
    return build_table(
        published,
        "incidents",
        "Destinations that are failing now",
        [
            tables.text("destination", "Destination"),
            SENDS,
            tables.time("started_at", "Failing since"),
            tables.time("last_failed_at", "Last failure"),
            tables.count("failed_delivery_count", "Failed deliveries"),
            tables.count("entity_count", "Bills, notifi\u00adcations hit"),
            tables.long_text("last_error", "Latest error"),
        ],
        mart="integration_incidents",
        where=f"is_open and {COUNTED}",
        order_by="failed_delivery_count desc, started_at",
        order="most failed deliveries first",
        empty="No destination is failing now.",
    )


def _list_amounts(published: Published) -> Table:
    return build_table(
        published,
        "amounts",
        "Money not delivered, by currency and destination",
        [
            tables.text("currency", "Currency"),
            tables.money("undelivered_amount", "Amount"),
            tables.count("bill_count", "Bills"),
            tables.text("destination", "Missing from"),
            tables.labelled("delivery_class", "Because", CLASSES),
            tables.time("oldest_since", "Oldest since"),
            tables.count("bill_without_total_count", "Bills of unknown amount"),
        ],
        mart="undelivered_amounts",
        where=COUNTED,
        order_by="currency nulls last, delivery_class = 'in_flight', "
        "undelivered_amount desc nulls last, destination",
        order="by currency, largest amount first",
        empty="No bill is missing from any destination.",
    )


def _list_bills(published: Published) -> Table:
    return build_table(
        published,
        "bills",
        "Bills that are not where they should be",
        [
            tables.text("sequential_invoice_number", "Invoice"),
            tables.text("currency", "Currency"),
            tables.money("bill_total", "Amount"),
            tables.text("destination", "Missing from"),
            tables.labelled("delivery_class", "State", CLASSES),
            tables.time("since", "Since"),
            tables.text("account_code", "Account"),
            tables.count("attempt_count", "Attempts"),
            tables.long_text("last_error", "Latest error"),
            tables.text("bill_id", "Bill id", is_code=True),
        ],
        mart="bill_delivery_status",
        where=_UNDELIVERED,
        order_by="delivery_class = 'in_flight', since nulls last, bill_id",
        order="failed and blocked before in flight, the longest missing first",
        empty="Every bill that was ever sent has arrived.",
    )


def _list_stuck(published: Published) -> Table:
    return build_table(
        published,
        "stuck",
        "Runs that are stuck",
        [
            tables.text("destination", "Destination"),
            SENDS,
            tables.text("status", "Status"),
            tables.duration("in_flight_seconds", "In flight for"),
            tables.time("started_at", "Started"),
            tables.long_text("error", "Latest error"),
            tables.text("entity_id", "Bill or notification id", is_code=True),
            tables.text("run_id", "Run id", is_code=True),
        ],
        mart="stuck_runs",
        where=COUNTED,
        order_by="in_flight_seconds desc, run_id",
        order="the longest in flight first",
        empty="No run is stuck.",
    )


def _sum_amounts(published: Published) -> list[Row]:
    return published.rows(
        f"""
        with bills as (
            select
                bill_id,
                any_value(currency) as currency,
                any_value(bill_total) as bill_total,
                min(since) as since
            from bill_delivery_status
            where {_NEEDS_SOMEONE}
            group by bill_id
        )

        select
            currency,
            count(*) as bill_count,
            sum(bill_total) as amount,
            min(since) as since
        from bills
        group by currency
        order by bill_count desc, currency
        """  # noqa: S608 - our own words
    )


def _say_amounts(amounts: list[Row]) -> str:
    said = [
        f"{row['currency']} {say_money(row['amount'], row['currency'])}"
        if row["currency"]
        else f"{say_count(row['bill_count'], 'bill')} of unknown amount"
        for row in amounts
    ]
    oldest = min((row["since"] for row in amounts if row["since"]), default=None)
    since = f"; the oldest since {say_time(oldest)[:10]}" if oldest else ""
    return join_words(said, _CURRENCY_LIMIT) + since
