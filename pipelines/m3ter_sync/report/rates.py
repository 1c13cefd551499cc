"""What share of deliveries fails, by destination: now against before."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.charts import Chart, draw_intervals
from m3ter_sync.report.published import COUNTED, Published, Row, Window
from m3ter_sync.report.sections import CLASSES, SENDS, Figures, Section, join_names, link, name_lane
from m3ter_sync.report.tables import Cell, Column, Table, build_table
from m3ter_sync.report.words import (
    NOTHING,
    say_count,
    say_interval,
    say_rate,
    say_share,
)

# What can be taken in at a glance; the table has them all.
_DRAWN = 15
# What "all" sorts by among windows of so many days.
_MORE_DAYS = 1_000_000


def build_rates(published: Published) -> Section:
    """The failure rate by destination, now against before."""
    window = published.window
    found = published.rows(
        f"from integration_failure_rate where window_name = ? and {COUNTED} "
        "order by delivery_failure_rate desc nulls last, destination, entity_type",
        window.name,
    )
    decided = [row for row in found if row["decided_delivery_count"]]
    worst_first = sorted(decided, key=lambda row: -row["failed_delivery_count"])
    drawn = sorted(worst_first[:_DRAWN], key=lambda row: -row["delivery_failure_rate"])
    return Section(
        "rates",
        "What share of deliveries fails?",
        "Failure rate",
        _answer_rates(window, decided),
        figures=[_compare(window, drawn, len(decided))] if drawn else [],
        tables=[
            _list_rates(
                published,
                "rates-table",
                f"Failure rate by destination, {window.words}",
                f"window_name = '{window.name}'",
            ),
            _list_rates(
                published,
                "windows",
                "The same for other windows",
                f"window_name != '{window.name}'",
            ),
            _list_failed(published),
        ],
    )


def _answer_rates(window: Window, decided: list[Row]) -> Markup:
    if not decided:
        return Markup("No delivery has succeeded or failed in {}.").format(window.words)
    failed = sum(row["failed_delivery_count"] for row in decided)
    total = sum(row["decided_delivery_count"] for row in decided)
    answer = Markup("In {}, {} of {} deliveries failed ({}).").format(
        window.words,
        link("failed", say_count(failed), {"Outcome": ["failed"]}),
        say_count(total),
        say_rate(failed / total),
    )
    for word, is_worse in (("worse", True), ("better", False)):
        changed = [
            name_lane(row["entity_type"], row["destination"])
            for row in decided
            if row["is_significant_change"] and _is_worse(row) == is_worse
        ]
        if changed:
            answer += Markup(" Clearly {} than {}: {}.").format(
                word, window.words_before, join_names(changed)
            )
    return answer


def _is_worse(row: Row) -> bool:
    return bool(row["delivery_failure_rate"] > (row["previous_delivery_failure_rate"] or 0))


def _compare(window: Window, drawn: list[Row], total: int) -> Figures:
    rows = []
    for row in drawn:
        lane = name_lane(row["entity_type"], row["destination"])
        before = row["previous_delivery_failure_rate"]
        tip = (
            f"{lane}: {say_share(row['failed_delivery_count'], row['decided_delivery_count'])} "
            f"failed, {say_rate(row['delivery_failure_rate'])}; 95% interval "
            f"{say_interval(row['delivery_failure_rate_low'], row['delivery_failure_rate_high'])}"
            f"; before {say_rate(before)}"
        )
        is_worse = row["is_significant_change"] and _is_worse(row)
        rows.append(
            {
                "lane": lane,
                "rate": row["delivery_failure_rate"],
                "low": row["delivery_failure_rate_low"],
                "high": row["delivery_failure_rate_high"],
                "before": before,
                "colour": "var(--bad)" if is_worse else "var(--accent)",
                "tip": tip,
            }
        )
    summary = "Failure rate by destination. " + ". ".join(row["tip"] for row in rows[:5]) + "."
    note = "Dot: the rate now, red where clearly worse. Band: its 95% interval."
    if window.name != "all":
        note += f" Upright line: {window.words_before}."
    if total > len(drawn):
        note += f" Drawn are the {len(drawn)} of {total} with most failures; the table has all."
    chart = Chart("chart-rates", "Failure rate", summary, "rates-table", draw_intervals(rows))
    return Figures(f"Failure rate by destination, {window.words}", note, [chart])


def _list_rates(published: Published, table_id: str, caption: str, where: str) -> Table:
    columns = [
        tables.text("destination", "Destination"),
        SENDS,
        tables.rate("delivery_failure_rate", "Failure rate"),
        tables.interval("delivery_failure_rate", "95% interval"),
        tables.share("failed_delivery_count", "decided_delivery_count", "Failed of decided"),
        tables.rate("previous_delivery_failure_rate", "Rate before"),
        tables.share("previous_failed_delivery_count", "previous_decided_delivery_count", "Before"),
        Column("Change", _say_change),
        tables.count("blocked_delivery_count", "Blocked"),
        tables.count("in_flight_delivery_count", "In flight"),
        tables.count("superseded_delivery_count", "Superseded"),
        tables.count("unknown_delivery_count", "Unknown"),
    ]
    if table_id == "windows":
        columns.insert(2, Column("Window", _name_window))
    return build_table(
        published,
        table_id,
        caption,
        columns,
        mart="integration_failure_rate",
        where=f"{where} and {COUNTED}",
        order_by="starts_after desc nulls last, delivery_failure_rate desc nulls last, "
        "destination, entity_type",
        order="shortest window first" if table_id == "windows" else "highest failure rate first",
        empty="There are no deliveries.",
        is_open=table_id != "windows",
    )


def _name_window(row: Row) -> Cell:
    name = row["window_name"]
    if name == "all":
        return Cell("all", _MORE_DAYS)
    days = int(name.removesuffix("d"))
    return Cell(say_count(days, "day"), days)


def _say_change(row: Row) -> Cell:
    if row["is_significant_change"] is None:
        return Cell(NOTHING, tone="muted")
    if not row["is_significant_change"]:
        return Cell("no clear change", "no clear change", "muted")
    return (
        Cell("worse", "worse", "badge bad")
        if _is_worse(row)
        else Cell("better", "better", "badge good")
    )


def _list_failed(published: Published) -> Table:
    window = published.window
    return build_table(
        published,
        "failed",
        f"Deliveries that failed or were blocked, {window.words}",
        [
            tables.time("started_at", "Began"),
            tables.text("destination", "Destination"),
            SENDS,
            tables.labelled("delivery_class", "Outcome", CLASSES),
            tables.text("last_status", "Last status"),
            tables.count("attempt_count", "Attempts"),
            tables.long_text("last_error", "Latest error"),
            tables.text("entity_id", "Bill or notification id", is_code=True),
            tables.text("delivery_id", "Delivery id", is_code=True),
        ],
        mart="integration_deliveries",
        where=f"delivery_class in ('failed', 'blocked') and {window.condition} and {COUNTED}",
        order_by="started_at desc nulls last, delivery_id, destination",
        order="newest first",
        empty="No delivery failed or was blocked.",
        is_open=False,
    )
