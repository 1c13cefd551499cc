"""What fails: the rate by destination, its course, the errors, and what retries make good."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.charts import Chart, draw_course, draw_intervals
from m3ter_sync.report.published import COUNTED, Published, Row, Window
from m3ter_sync.report.sections import (
    CLASSES,
    Figures,
    Section,
    link,
    name_lane,
)
from m3ter_sync.report.tables import Cell, Column, Table, build_table
from m3ter_sync.report.words import (
    join_words,
    say_count,
    say_interval,
    say_rate,
    say_share,
)

_CHANGES = {
    (True, True): ("worse", "badge bad"),
    (True, False): ("better", "badge good"),
    (False, True): ("no clear change", "muted"),
    (False, False): ("no clear change", "muted"),
}
# What can be taken in at a glance; the tables have them all.
_LANES_COMPARED = 15
_LANES_FOLLOWED = 8
_DAYS_FOLLOWED = 90
_INTERVAL = (
    "95% interval",
    "Where the true rate plausibly lies (Wilson). Few deliveries make it wide. A change is called "
    "clear only when the intervals of the two windows do not overlap.",
)


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
    drawn = sorted(worst_first[:_LANES_COMPARED], key=lambda row: -row["delivery_failure_rate"])
    return Section(
        "rates",
        "What share of deliveries fails?",
        "Failure rate",
        _answer_rates(window, decided),
        figures=[_compare(window, drawn, len(decided))] if drawn else [],
        tables=[
            _list_rates(published, "rates-table", f"Failure rate by destination, {window.words}", f"window_name = '{window.name}'"),
            _list_rates(published, "windows", "The same for other windows", f"window_name != '{window.name}'"),
            _list_failed(published),
        ],
        definitions=[
            ("Delivery", "One attempt to bring one bill or notification to one destination, with all its retries. It succeeded if any of its runs did."),
            ("Failure rate", "Failed deliveries divided by those that succeeded or failed. Blocked (the integration is disabled), superseded (the invoice was paid already) and in-flight deliveries are counted beside it."),
            _INTERVAL,
            ("Windows", "They end where the last sync that succeeded began, so a number does not drift when syncs stop."),
        ],
    )  # fmt: skip


def _answer_rates(window: Window, decided: list[Row]) -> Markup:
    if not decided:
        return Markup("No delivery has succeeded or failed in {}.").format(window.words)
    failed = sum(row["failed_delivery_count"] for row in decided)
    total = sum(row["decided_delivery_count"] for row in decided)
    answer = Markup("In {}, {} of {} deliveries failed ({}).").format(
        window.words,
        link("failed", say_count(failed)),
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
            answer += f" Clearly {word} than {window.words_before}: {join_words(changed)}."
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
        tables.text("entity_type", "Sends"),
        tables.rate("delivery_failure_rate", "Failure rate"),
        tables.interval("delivery_failure_rate", "95% interval"),
        _failed_of("failed_delivery_count", "decided_delivery_count", "Failed of decided"),
        tables.rate("previous_delivery_failure_rate", "Rate before"),
        _failed_of("previous_failed_delivery_count", "previous_decided_delivery_count", "Before"),
        Column("Change", _say_change),
        tables.count("blocked_delivery_count", "Blocked"),
        tables.count("in_flight_delivery_count", "In flight"),
        tables.count("superseded_delivery_count", "Superseded"),
        tables.count("unknown_delivery_count", "Unknown"),
    ]
    if table_id == "windows":
        columns.insert(2, tables.text("window_name", "Window"))
    return build_table(
        published,
        table_id,
        caption,
        columns,
        mart="integration_failure_rate",
        where=f"{where} and {COUNTED}",
        order_by="delivery_failure_rate desc nulls last, destination, entity_type, window_name",
        order="highest failure rate first",
        empty="There are no deliveries.",
    )


def _failed_of(failed: str, decided: str, label: str) -> Column:
    def make(row: Row) -> Cell:
        return Cell(say_share(row[failed], row[decided]), row[failed])

    return Column(label, make, is_number=True)


def _say_change(row: Row) -> Cell:
    if row["is_significant_change"] is None:
        return Cell("cannot be told", tone="muted")
    word, tone = _CHANGES[row["is_significant_change"], _is_worse(row)]
    return Cell(word, word, tone)


def _list_failed(published: Published) -> Table:
    window = published.window
    return build_table(
        published,
        "failed",
        f"Deliveries that failed or were blocked, {window.words}",
        [
            tables.time("started_at", "Began"),
            tables.text("destination", "Destination"),
            tables.text("entity_type", "Sends"),
            tables.labelled("delivery_class", "Outcome", CLASSES),
            tables.text("last_status", "Last status"),
            tables.count("attempt_count", "Attempts"),
            tables.example("last_error", "Latest error"),
            tables.text("entity_id", "Bill or notification id", is_code=True),
            tables.text("delivery_id", "Delivery id", is_code=True),
        ],
        mart="integration_deliveries",
        where=f"delivery_class in ('failed', 'blocked') and {within(window)} and {COUNTED}",
        order_by="started_at desc nulls last, delivery_id, destination",
        order="newest first",
        empty="No delivery failed or was blocked.",
    )


def within(window: Window) -> str:
    """The SQL for deliveries that began in a window."""
    if window.starts_after is None:
        return "true"
    return (
        f"started_at > timestamptz '{window.starts_after.isoformat()}' "
        f"and started_at <= timestamptz '{window.ends_at and window.ends_at.isoformat()}'"
    )


def build_course(published: Published) -> Section:
    """The failure rate day by day."""
    daily = published.rows(
        f"from integration_failure_rate_daily where {COUNTED} and started_on > "
        "(select max(started_on) from integration_failure_rate_daily) - ? order by started_on",
        _DAYS_FOLLOWED,
    )
    provisional = {row["started_on"] for row in daily if row["is_provisional"]}
    answer = Markup("Each day counts the deliveries that began on it (UTC).")
    if provisional:
        answer += Markup(
            " {} still has deliveries in flight, so its rate can change: {} provisional."
            if len(provisional) == 1
            else " {} still have deliveries in flight, so their rates can change: they are {} provisional."
        ).format(say_count(len(provisional), "day"), link("daily", "marked", "provisional"))
    if not daily:
        answer = Markup("There are no deliveries yet.")
    return Section(
        "course",
        "How did it go, day by day?",
        "By day",
        answer,
        figures=_follow(daily) if daily else [],
        tables=[_list_days(published)],
        definitions=[
            ("Day", "The UTC day on which a delivery's first run began. A rate does not move to another day as retries finish."),
            ("Provisional", "Deliveries of that day are still in flight; its rate can still go either way."),
        ],
    )  # fmt: skip


def _follow(daily: list[Row]) -> list[Figures]:
    lanes: dict[str, list[Row]] = defaultdict(list)
    for row in daily:
        lanes[name_lane(row["entity_type"], row["destination"])].append(row)
    worst_first = sorted(
        lanes,
        key=lambda lane: (
            -sum(row["failed_delivery_count"] for row in lanes[lane]),
            -sum(row["delivery_count"] for row in lanes[lane]),
            lane,
        ),
    )[:_LANES_FOLLOWED]
    rates = [row["delivery_failure_rate"] or 0 for lane in worst_first for row in lanes[lane]]
    top = min(1.0, max(0.05, max(rates) * 1.1))
    last = daily[-1]["started_on"]
    first = max(daily[0]["started_on"], last - timedelta(days=_DAYS_FOLLOWED - 1))
    charts = [_follow_one(number, lane, lanes[lane], first, last, top) for number, lane in enumerate(worst_first)]
    note = "Line: the failure rate of the day. Band: its 95% interval. Hollow dots: provisional. All on one scale."
    if len(lanes) > len(charts):
        note += f" Drawn are the {len(charts)} of {len(lanes)} with most failures; the table has all."
    return [Figures("Failure rate by day", note, charts, is_wide=len(charts) == 1)]


def _follow_one(number: int, lane: str, rows: list[Row], first: date, last: date, top: float) -> Chart:
    by_day = {row["started_on"]: row for row in rows}
    points: list[dict[str, Any]] = []
    for ahead in range((last - first).days + 1):
        day = first + timedelta(days=ahead)
        row = by_day.get(day)
        point: dict[str, Any] = {"day": day.isoformat(), "rate": None, "size": 0}
        if row and row["delivery_failure_rate"] is not None:
            is_open = row["is_provisional"]
            share = say_share(row["failed_delivery_count"], row["decided_delivery_count"])
            point |= {
                "rate": row["delivery_failure_rate"],
                "low": row["delivery_failure_rate_low"],
                "high": min(row["delivery_failure_rate_high"], top),
                "fill": "var(--surface)" if is_open else "var(--accent)",
                "size": 34 if is_open else 14,
                "tip": f"{lane}, {day}: {share} failed, {say_rate(row['delivery_failure_rate'])}"
                + (", provisional" if is_open else ""),
            }
        points.append(point)
    worst = max(rows, key=lambda row: row["delivery_failure_rate"] or 0)
    failed = sum(row["failed_delivery_count"] for row in rows)
    decided = sum(row["decided_delivery_count"] for row in rows)
    summary = (
        f"{lane}, {first} to {last}: {say_share(failed, decided)} deliveries failed. Worst day: "
        f"{worst['started_on']}, {say_rate(worst['delivery_failure_rate'])}."
    )
    return Chart(f"chart-course-{number}", lane, summary, "daily", draw_course(points, top))


def _list_days(published: Published) -> Table:
    return build_table(
        published,
        "daily",
        "Failure rate by day and destination",
        [
            tables.time("started_on", "Day"),
            tables.text("destination", "Destination"),
            tables.text("entity_type", "Sends"),
            tables.rate("delivery_failure_rate", "Failure rate"),
            tables.interval("delivery_failure_rate", "95% interval"),
            _failed_of("failed_delivery_count", "decided_delivery_count", "Failed of decided"),
            tables.count("blocked_delivery_count", "Blocked"),
            tables.count("in_flight_delivery_count", "In flight"),
            tables.labelled(
                "is_provisional", "State", {True: ("provisional", "warn"), False: ("final", "muted")}
            ),
        ],
        mart="integration_failure_rate_daily",
        where=COUNTED,
        order_by="started_on desc nulls last, failed_delivery_count desc, destination, entity_type",
        order="newest first",
        empty="There are no deliveries.",
    )


def build_errors(published: Published) -> Section:
    """Which errors, by group."""
    days = published.settings["new_error_days"]
    table = build_table(
        published,
        "errors-table",
        "Errors by kind",
        [
            tables.example("error_template", "Error"),
            tables.labelled("is_new", "New", {True: ("new", "warn"), False: ("known", "muted"), None: ("–", "muted")}),
            tables.count("run_count", "Runs"),
            tables.count("failed_run_count", "Of these, failed"),
            tables.count("entity_count", "Bills or notifications hit"),
            tables.text("destinations", "Destinations"),
            tables.time("first_seen_at", "First seen"),
            tables.time("last_seen_at", "Last seen"),
            tables.example("example_error", "Newest example"),
            tables.text("example_run_id", "Its run id", is_code=True),
        ],
        mart="integration_error_groups",
        order_by="failed_run_count desc, run_count desc, last_seen_at desc, error_template",
        order="most failed runs first",
        empty="No run has an error.",
    )  # fmt: skip
    (totals,) = published.rows(
        "select count(*) as kinds, count(*) filter (where is_new) as new_kinds, "
        "coalesce(sum(failed_run_count), 0) as failed from integration_error_groups"
    )
    answer = Markup("No run has an error.")
    if totals["kinds"]:
        top = published.rows(
            "select error_template, failed_run_count, destinations, first_seen_at "
            "from integration_error_groups where failed_run_count > 0 "
            "order by failed_run_count desc, run_count desc, last_seen_at desc limit 1"
        )
        answer = Markup("There are {} in all that is loaded.").format(
            link(table.id, say_count(totals["kinds"], "kind of error", "kinds of errors"))
        ) if totals["kinds"] != 1 else Markup("There is one kind of error in all that is loaded.")
        if top:
            answer += Markup(" The one that failed most runs ({}, {}, since {}): <q>{}</q>").format(
                say_count(top[0]["failed_run_count"]),
                top[0]["destinations"],
                f"{top[0]['first_seen_at']:%Y-%m-%d}" if top[0]["first_seen_at"] else "an unknown day",
                tables.clip(top[0]["error_template"]),
            )
        if totals["new_kinds"]:
            answer += Markup(" {} in the last {}.").format(
                link(table.id, f"{say_count(totals['new_kinds'])} first came up", "new"),
                say_count(days, "day"),
            )
    return Section(
        "errors",
        "Which errors?",
        "Errors",
        answer,
        tables=[table],
        definitions=[
            ("Kind of error", "Texts that differ only in ids, numbers, addresses, quoted values and dates are one kind; what varies is shown as <number>, <uuid> and so on."),
            ("New", f"First seen in the last {say_count(days, 'day')} before the last sync that succeeded."),
            ("Runs", "All runs with that error, over all that is loaded; some of them await a retry, so not all have failed."),
        ],
    )  # fmt: skip
