"""Is anything on fire? Open incidents, bills that did not arrive, runs that are stuck."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.published import COUNTED, Published, Row
from m3ter_sync.report.sections import CLASSES, SENDS, Section, Tile, address, link
from m3ter_sync.report.tables import Cell, Column, Table, build_table
from m3ter_sync.report.words import (
    NOTHING,
    clip,
    join_words,
    say_count,
    say_duration,
    say_money,
    say_time,
)

_UNDELIVERED = f"delivery_class not in ('succeeded', 'superseded') and {COUNTED}"
_NEEDS_SOMEONE = f"delivery_class in ('failed', 'blocked') and {COUNTED}"
_CURRENCY_LIMIT = 4
_MISSING = {"State": [CLASSES[name][0] for name in ("failed", "blocked")]}


def build_fire(published: Published) -> Section:
    """The first section."""
    incidents = _list_incidents(published)
    stuck = _list_stuck(published)
    bills = _list_bills(published)
    amounts = _sum_amounts(published)
    failing = _count_failing(published)
    missing = sum(row["bill_count"] for row in amounts)
    hours = say_duration(3600 * published.settings["stuck_after_hours"])
    # Where nothing was decided lately, nothing bad says nothing good.
    good = "good" if published.count_decided() else ""
    tiles = [
        Tile(
            "Destinations failing now",
            say_count(failing),
            "each failed and has not succeeded since" if failing else "no open incident",
            "bad" if failing else good,
            address(incidents.id),
        ),
        Tile(
            "Bills not delivered",
            say_count(missing),
            _say_amounts(amounts) if missing else "no bill's newest delivery failed or was blocked",
            "bad" if missing else good,
            address(bills.id, _MISSING),
        ),
        Tile(
            "Runs stuck",
            say_count(stuck.total),
            f"neither done nor failed after {hours}"
            if stuck.total
            else f"none in flight for over {hours}",
            "warn" if stuck.total else good,
            address(stuck.id),
        ),
    ]
    tone = "bad" if failing or missing else "warn" if stuck.total else good
    return Section(
        "fire",
        "Is anything on fire?",
        "On fire?",
        _answer(published, failing, missing, stuck.total),
        tone if published.as_of else "",
        # Before the first sync a 0 would be a claim.
        tiles=tiles if published.as_of else [],
        tables=[incidents, _list_amounts(published), bills, stuck],
    )


def _answer(published: Published, failing: int, bills: int, stuck: int) -> Markup:
    if published.as_of is None:
        return Markup(
            "Nothing can be said yet: no sync has succeeded. Run <code>m3ter-sync sync</code>."
        )
    found = [
        link(table_id, say_count(number, one, many), only) + (" " + rest)
        for table_id, number, one, many, rest, only in (
            ("incidents", failing, "destination", "destinations", "failing now", None),
            ("bills", bills, "bill", "bills", "not delivered", _MISSING),
            ("stuck", stuck, "run", "runs", "stuck", None),
        )
        if number
    ]
    if found:
        start = Markup("Yes: ") if failing or bills else Markup("Nearly: ")
        return start + Markup(", ").join(found) + "."
    nothing = "No open incident, no bill whose newest delivery failed, and no stuck run"
    if published.count_decided():
        return Markup("No. {}.").format(nothing)
    return Markup("It cannot be told: no delivery succeeded or failed in {}. {}.").format(
        published.window.words, nothing
    )


def _count_failing(published: Published) -> int:
    """Systems with an open incident, of whatever it is that they do not take."""
    (found,) = published.rows(
        f"""
        select count(distinct (destination, destination_id)) as count
        from integration_incidents
        where is_open and {COUNTED}
        """  # noqa: S608 - our own words
    )
    return int(found["count"])


def _tell_apart(published: Published) -> list[Column]:
    """Where there are several systems of a kind: which of them."""
    several = {
        row["destination"]
        for row in published.rows(
            f"""
            select destination from integration_deliveries where {COUNTED}
            group by destination having count(distinct coalesce(destination_id, '')) > 1
            """  # noqa: S608 - our own words
        )
    }

    def name(row: Row) -> Cell:
        if row["destination"] not in several or row["destination_id"] is None:
            return Cell(NOTHING, tone="muted")
        return Cell(clip(row["destination_id"]), row["destination_id"][:40])

    return [Column("Which of several", name, "code")] if several else []


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
            *_tell_apart(published),
        ],
        mart="integration_incidents",
        where=f"is_open and {COUNTED}",
        order_by="failed_delivery_count desc, started_at, destination, destination_id",
        order="most failed deliveries first",
        empty="There is no open incident.",
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
            *_tell_apart(published),
            tables.text("bill_id", "Bill id", is_code=True),
        ],
        mart="bill_delivery_status",
        where=_UNDELIVERED,
        order_by="delivery_class = 'in_flight', since nulls last, bill_id",
        order="failed and blocked before in flight, the longest missing first; a bill has a row "
        "for each place that it is missing from",
        empty="No bill is missing from where it was sent.",
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
            count(*) filter (where bill_total is null) as unknown_count,
            sum(bill_total) as amount,
            min(since) as since
        from bills
        group by currency
        order by bill_count desc, currency
        """  # noqa: S608 - our own words
    )


def _say_amounts(amounts: list[Row]) -> str:
    said = [_say_amount(row) for row in amounts]
    oldest = min((row["since"] for row in amounts if row["since"]), default=None)
    since = f"; the oldest since {say_time(oldest)[:10]}" if oldest else ""
    return join_words(said, _CURRENCY_LIMIT) + since


def _say_amount(row: Row) -> str:
    currency = clip(row["currency"] or "", 12)
    unknown = f"{say_count(row['unknown_count'], 'bill')} of unknown amount"
    if row["amount"] is None:
        return f"{unknown} in {currency}" if currency else unknown
    known = f"{currency} {say_money(row['amount'], row['currency'])}".strip()
    return f"{known} (and {unknown})" if row["unknown_count"] else known
