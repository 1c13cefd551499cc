"""Recovery: how many deliveries need retries, and how long it takes until they arrive."""

from typing import Any

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.charts import Chart, draw_counts
from m3ter_sync.report.published import COUNTED, Published, Window
from m3ter_sync.report.sections import CLASSES, SENDS, Figures, Section, link
from m3ter_sync.report.tables import Table, build_table
from m3ter_sync.report.words import say_count, say_duration, say_rate

_STEPS = (
    ("< 1 min", 60.0),
    ("to 10 min", 600.0),
    ("to 1 h", 3600.0),
    ("to 6 h", 21600.0),
    ("to 1 day", 86400.0),
    ("longer", float("inf")),
)
_FAILED_FIRST = {"First attempt": [CLASSES["failed"][0]]}
_ARRIVED = {"Outcome": [CLASSES["succeeded"][0]]}
# What the rates of a window lack, beside them.
_RETRIES = """
integration_failure_rate
left join (
    select
        entity_type as sent,
        destination as sent_to,
        count(*) filter (where attempt_count > 1) as retried_count,
        quantile_cont(seconds_to_recover, 0.5) as half_seconds,
        quantile_cont(seconds_to_recover, 0.95) as most_seconds
    from integration_deliveries
    where {condition}
    group by all
) on entity_type is not distinct from sent and destination is not distinct from sent_to
"""


def build_recovery(published: Published) -> Section:
    """How many deliveries need retries, and what those are worth."""
    window = published.window
    deliveries = f"integration_deliveries where {window.condition} and {COUNTED}"
    (totals,) = published.rows(
        f"""
        select
            count(*) as deliveries,
            count(*) filter (where attempt_count > 1) as retried,
            count(*) filter (where first_attempt_failed) as first_failed,
            count(*) filter (where is_recovered) as recovered,
            quantile_cont(seconds_to_recover, [0.5, 0.95]) as seconds_to_recover
        from {deliveries}
        """  # noqa: S608 - our own words
    )
    answer = Markup("There are no deliveries in {}.").format(window.words)
    if totals["deliveries"]:
        answer = Markup("In {}, {} of {} deliveries ({}) needed more than one attempt.").format(
            window.words,
            link("retried", say_count(totals["retried"]), {"Retried": ["yes"]}),
            say_count(totals["deliveries"]),
            say_rate(totals["retried"] / totals["deliveries"]),
        )
    if totals["first_failed"]:
        answer += Markup(" Of the {} whose first attempt failed, {} ({}) arrived after all").format(
            link("retried", say_count(totals["first_failed"]), _FAILED_FIRST),
            link("retried", say_count(totals["recovered"]), _FAILED_FIRST | _ARRIVED),
            say_rate(totals["recovered"] / totals["first_failed"]),
        )
        if totals["seconds_to_recover"]:
            half, most = totals["seconds_to_recover"]
            answer += f": half of them within {say_duration(half)}, 95% within {say_duration(most)}"
        answer += "."
    return Section(
        "recovery",
        "How much do retries repair?",
        "Recovery",
        answer,
        figures=_draw(published, deliveries) if totals["recovered"] else [],
        tables=[
            _list_recovery(published, window),
            _list_retried(published, window),
            _list_ended(published),
        ],
    )


def _draw(published: Published, deliveries: str) -> list[Figures]:
    found = published.rows(
        f"""
        select seconds_to_recover as seconds, count(*) as count
        from {deliveries} and seconds_to_recover is not null
        group by seconds_to_recover
        """  # noqa: S608 - our own words
    )
    counts = dict.fromkeys((label for label, _ in _STEPS), 0)
    for row in found:
        counts[next(label for label, limit in _STEPS if row["seconds"] < limit)] += row["count"]
    rows: list[dict[str, Any]] = [
        {
            "step": label,
            "count": number,
            "tip": f"{label}: {say_count(number, 'delivery', 'deliveries')}",
        }
        for label, number in counts.items()
    ]
    if not any(counts.values()):
        return []
    summary = "Time to recover. " + "; ".join(row["tip"] for row in rows) + "."
    chart = Chart("chart-recovery", "Time to recover", summary, "recovery-table", draw_counts(rows))
    note = "Deliveries that recovered, by the time from the first failure to the success."
    return [Figures("Time to recover", note, [chart])]


def _list_recovery(published: Published, window: Window) -> Table:
    return build_table(
        published,
        "recovery-table",
        f"Retries and recovery by destination, {window.words}",
        [
            tables.text("destination", "Destination"),
            SENDS,
            tables.share("retried_count", "delivery_count", "Needed retries"),
            tables.rate("first_attempt_failure_rate", "First attempts failing"),
            tables.share(
                "recovered_count", "first_attempt_failed_count", "Recovered of failed first"
            ),
            tables.rate("recovery_rate", "Recovery rate"),
            tables.interval("recovery_rate", "95% interval"),
            tables.duration("half_seconds", "Half within"),
            tables.duration("most_seconds", "95% within"),
        ],
        mart="integration_deliveries",
        source=_RETRIES.format(condition=window.condition),
        where=f"window_name = '{window.name}' and {COUNTED}",
        order_by="retried_count desc nulls last, destination, entity_type",
        order="most retried first",
        empty="There are no deliveries.",
    )


def _list_retried(published: Published, window: Window) -> Table:
    return build_table(
        published,
        "retried",
        f"Deliveries that were retried or failed at first, {window.words}",
        [
            tables.time("started_at", "Began"),
            tables.text("destination", "Destination"),
            SENDS,
            tables.labelled("first_attempt_class", "First attempt", CLASSES),
            tables.labelled("is_retried", "Retried", {True: ("yes", ""), False: ("no", "muted")}),
            tables.count("attempt_count", "Attempts"),
            tables.labelled("delivery_class", "Outcome", CLASSES),
            tables.duration("seconds_to_recover", "Time to recover"),
            tables.long_text("last_error", "Latest error"),
            tables.text("entity_id", "Bill or notification id", is_code=True),
            tables.text("delivery_id", "Delivery id", is_code=True),
        ],
        mart="integration_deliveries",
        source="(select *, attempt_count > 1 as is_retried from integration_deliveries)",
        where=f"(is_retried or first_attempt_failed) and {window.condition} and {COUNTED}",
        order_by="is_retried desc, started_at desc nulls last, delivery_id, destination",
        order="retried ones first, newest first",
        empty="No delivery was retried or failed at first.",
        is_open=False,
    )


def _list_ended(published: Published) -> Table:
    return build_table(
        published,
        "ended",
        "Incidents that are over",
        [
            tables.text("destination", "Destination"),
            SENDS,
            tables.time("started_at", "Began"),
            tables.time("ended_at", "Ended"),
            tables.duration("seconds_to_recover", "Lasted"),
            tables.count("failed_delivery_count", "Failed deliveries"),
            tables.count("entity_count", "Bills, notifi\u00adcations hit"),
            tables.long_text("last_error", "Latest error"),
        ],
        mart="integration_incidents",
        where=f"not is_open and {COUNTED}",
        order_by="started_at desc, destination, entity_type",
        order="newest first",
        empty="No incident has ended yet.",
        is_open=False,
    )
