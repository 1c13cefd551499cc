"""The course of the failure rate, day by day."""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.charts import Chart, draw_course
from m3ter_sync.report.published import COUNTED, Published, Row
from m3ter_sync.report.sections import SENDS, Figures, Section, link, name_lane
from m3ter_sync.report.tables import Table, build_table
from m3ter_sync.report.words import say_count, say_rate, say_share

# What can be taken in at a glance; the table has them all.
_DRAWN = 8
_DAYS = 90
# Deliveries that a day must have to say how high the scale goes.
_BUSY = 10


def build_course(published: Published) -> Section:
    """The failure rate day by day."""
    daily = published.rows(
        f"""
        from integration_failure_rate_daily
        where {COUNTED}
            and started_on > (select max(started_on) from integration_failure_rate_daily) - ?
        order by started_on
        """,  # noqa: S608 - our own words
        _DAYS,
    )
    provisional, _ = published.count_in_flight()
    answer = Markup("Each day counts the deliveries that began on it (UTC).")
    if provisional:
        days = say_count(provisional, "day")
        answer += Markup(" Deliveries of {} are still in flight: those rates can change.").format(
            link("daily", days, {"State": ["provisional"]})
        )
    if not daily:
        answer = Markup("There are no deliveries yet.")
    return Section(
        "course",
        "How did it go, day by day?",
        "By day",
        answer,
        figures=_follow(daily) if daily else [],
        tables=[_list_days(published)],
    )


def _follow(daily: list[Row]) -> list[Figures]:
    lanes: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in daily:
        if row["delivery_failure_rate"] is None:
            continue
        lanes[row["entity_type"], row["destination"]].append(row)
    if not lanes:
        return []
    worst_first = sorted(
        lanes,
        key=lambda lane: (
            -sum(row["failed_delivery_count"] for row in lanes[lane]),
            -sum(row["delivery_count"] for row in lanes[lane]),
            name_lane(*lane),
        ),
    )[:_DRAWN]
    days = [row for lane in worst_first for row in lanes[lane]]
    # A day with one delivery, which failed, would flatten all the others.
    busy = [row for row in days if row["decided_delivery_count"] >= _BUSY] or days
    top = min(1.0, max(0.05, max(row["delivery_failure_rate"] for row in busy) * 1.1))
    last = daily[-1]["started_on"]
    first = max(daily[0]["started_on"], last - timedelta(days=_DAYS - 1))
    charts = [
        _follow_one(number, name_lane(*lane), lanes[lane], first, last, top)
        for number, lane in enumerate(worst_first)
    ]
    note = (
        "Line: the failure rate of the day. Bars: its 95% interval. Hollow: provisional days. "
        "All on one scale; triangles at its edge: few deliveries, and a rate above it."
    )
    if len(lanes) > len(charts):
        note += (
            f" Drawn are the {len(charts)} of {len(lanes)} with most failures; the table has all."
        )
    return [Figures("Failure rate by day", note, charts, is_wide=len(charts) == 1)]


def _follow_one(
    number: int, lane: str, rows: list[Row], first: date, last: date, top: float
) -> Chart:
    by_day = {row["started_on"]: row for row in rows}
    points: list[dict[str, Any]] = []
    for ahead in range((last - first).days + 1):
        day = first + timedelta(days=ahead)
        row = by_day.get(day)
        point: dict[str, Any] = {"day": day.isoformat(), "rate": None, "size": 0}
        if row:
            is_open = row["is_provisional"]
            share = say_share(row["failed_delivery_count"], row["decided_delivery_count"])
            point |= {
                "rate": row["delivery_failure_rate"],
                "low": row["delivery_failure_rate_low"],
                "high": row["delivery_failure_rate_high"],
                "shape": "triangle-up" if row["delivery_failure_rate"] > top else "circle",
                "fill": "var(--surface)" if is_open else "var(--accent)",
                "size": 34 if is_open else 18 if row["failed_delivery_count"] else 5,
                "tip": f"{lane}, {day}: {share} failed, {say_rate(row['delivery_failure_rate'])}"
                + (", provisional" if is_open else ""),
            }
        points.append(point)
    worst = max(rows, key=lambda row: row["delivery_failure_rate"])
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
            SENDS,
            tables.rate("delivery_failure_rate", "Failure rate"),
            tables.interval("delivery_failure_rate", "95% interval"),
            tables.share("failed_delivery_count", "decided_delivery_count", "Failed of decided"),
            tables.count("blocked_delivery_count", "Blocked"),
            tables.count("in_flight_delivery_count", "In flight"),
            tables.labelled(
                "is_provisional",
                "State",
                {True: ("provisional", "warn"), False: ("final", "muted")},
            ),
        ],
        mart="integration_failure_rate_daily",
        where=COUNTED,
        order_by="started_on desc nulls last, failed_delivery_count desc, destination, entity_type",
        order="newest first",
        empty="There are no deliveries.",
        is_open=False,
    )
