"""Coverage: who would be told. The ladder, the critical events nobody hears of, and each reason."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.charts import Chart, draw_ladder
from m3ter_sync.report.published import Published, Row
from m3ter_sync.report.sections import Figures, Section, link
from m3ter_sync.report.tables import Cell, Column, Table, build_table
from m3ter_sync.report.words import NOTHING, clip, say_count, say_rate, say_share

_HEADLINE_STEP = "C3"
_STATUSES: dict[str | None, tuple[str, str]] = {
    "deleted": ("deleted", "muted"),
    "inactive": ("inactive", "muted"),
    "orphaned": ("orphaned", "bad"),
    "unlinked": ("unlinked", "bad"),
    "blocked": ("blocked", "bad"),
    "failing": ("failing", "bad"),
    "silent": ("silent", "warn"),
    "delivering": ("delivering", "good"),
    None: ("cannot be told", "warn"),
}
_WORST_FIRST = [
    *("failing", "blocked", "unlinked", "orphaned", "silent", "inactive", "delivering", "deleted"),
]
_SCOPES = {"all": "all event types", "critical": "critical event types"}


def build_coverage(published: Published) -> Section:
    """The ladder, and where it breaks off."""
    days = say_count(published.settings["silent_after_days"], "day")
    steps = published.rows("from notification_coverage_summary order by step, scope")
    means = {
        "C1": "a notification listens to it",
        "C2": "… and is switched on",
        "C3": "… and its link to a destination works",
        "C4": "C3, and it fires always",
        "C5": f"C3, and something arrived in the last {days}",
    }
    notifications = _list_notifications(published, days)
    return Section(
        "coverage",
        "Who would be told?",
        "Coverage",
        _answer(published, steps),
        figures=_draw(steps),
        tables=[
            _list_steps(published, means),
            _list_unheard(published),
            notifications,
            _list_event_types(published),
        ],
    )


def _answer(published: Published, steps: list[Row]) -> Markup:
    headline = {row["scope"]: row for row in steps if row["step"] == _HEADLINE_STEP}
    every = headline.get("all")
    if every is None or every["covered_count"] is None:
        return Markup("It cannot be told yet: a table that it needs has not been loaded.")
    if not every["event_type_count"]:
        return Markup("The organization has no event types.")
    answer = Markup("{} of {} event types ({}) would reach someone.").format(
        link("event-types", say_count(every["covered_count"]), {"Reaches someone": ["yes"]}),
        say_count(every["event_type_count"]),
        say_rate(every["coverage_rate"]),
    )
    critical = headline["critical"]
    if not critical["event_type_count"]:
        return answer
    unheard = critical["event_type_count"] - critical["covered_count"]
    if not unheard:
        return answer + " Every critical one would."
    return answer + Markup(" Of the {} critical ones, {}.").format(
        say_count(critical["event_type_count"]),
        link("unheard", f"nobody hears of {say_count(unheard)}"),
    )


def _draw(steps: list[Row]) -> list[Figures]:
    known = [row for row in steps if row["coverage_rate"] is not None]
    if not known:
        return []
    rows = [
        {
            "step": f"{row['step']} {row['step_name']}",
            "scope": row["scope"],
            "rate": row["coverage_rate"],
            "label": say_share(row["covered_count"], row["event_type_count"]),
            "colour": "var(--accent)" if row["scope"] == "all" else "var(--accent-2)",
            "tip": f"{row['step']} {row['step_name']}, {_SCOPES[row['scope']]}: "
            f"{say_share(row['covered_count'], row['event_type_count'])}, "
            f"{say_rate(row['coverage_rate'])}",
        }
        for row in known
    ]
    summary = "The coverage ladder. " + ". ".join(row["tip"] for row in rows) + "."
    chart = Chart("chart-ladder", "Coverage", summary, "ladder", draw_ladder(rows))
    note = "Upper bar of each step: all event types. Lower bar: the critical ones."
    return [Figures("The coverage ladder", note, [chart])]


def _list_steps(published: Published, means: dict[str, str]) -> Table:
    def say_step(row: Row) -> Cell:
        return Cell(f"{row['step']} {row['step_name']}", row["step"])

    return build_table(
        published,
        "ladder",
        "The steps of the ladder",
        [
            Column("Step", say_step),
            Column("Counts an event type when", lambda row: Cell(means[row["step"]]), "long"),
            tables.share("all_covered_count", "all_event_type_count", "All event types"),
            tables.rate("all_coverage_rate", "Share"),
            tables.share("critical_covered_count", "critical_event_type_count", "Critical ones"),
            tables.rate("critical_coverage_rate", "Share of these"),
        ],
        mart="notification_coverage_summary",
        source="""(
            pivot notification_coverage_summary on scope in ('all', 'critical')
            using
                any_value(covered_count) as covered_count,
                any_value(event_type_count) as event_type_count,
                any_value(coverage_rate) as coverage_rate
            group by step, step_name
        )""",
        order_by="step",
        order="lowest step first",
        empty="Nothing is loaded yet.",
    )


def _list_unheard(published: Published) -> Table:
    return build_table(
        published,
        "unheard",
        "Critical events that nobody hears of",
        [
            tables.text("event_type", "Event type"),
            Column("Why nobody hears of it", _why_unheard),
            tables.count("notification_count", "Notifications on it"),
            tables.count("active_notification_count", "Of these, active"),
            tables.count("deliverable_notification_count", "Of these, deliverable"),
        ],
        mart="event_coverage",
        where="is_critical and not is_deliverable",
        order_by="event_type",
        order="by name",
        empty="None: every critical event would reach someone, or coverage cannot be told yet.",
    )


def _why_unheard(row: Row) -> Cell:
    if not row["notification_count"]:
        return Cell("no notification listens to it", tone="bad")
    if not row["active_notification_count"]:
        return Cell("what listens to it is switched off", tone="bad")
    return Cell("what listens to it has no link that works", tone="bad")


def _list_notifications(published: Published, days: str) -> Table:
    def why(row: Row) -> Cell:
        said = _say_why(row, days)
        return Cell(said, said.casefold())

    return build_table(
        published,
        "notifications",
        "Notifications, each with its state and why",
        [
            tables.text("notification_name", "Notification"),
            tables.labelled("coverage_status", "State", _STATUSES),
            Column("Why", why),
            tables.text("event_name", "Listens to"),
            tables.count("recent_run_count", f"Runs in {days}"),
            tables.rate("delivery_failure_rate", "Failure rate"),
            tables.share("failed_delivery_count", "decided_delivery_count", "Failed of decided"),
            tables.time("last_succeeded_at", "Last success"),
            tables.text("notification_code", "Code", is_code=True),
            tables.text("notification_id", "Notification id", is_code=True),
        ],
        mart="notification_coverage",
        order_by=f"list_position({_WORST_FIRST}, coverage_status) nulls first, "
        "notification_name, notification_id",
        order="what fails us first",
        empty="No notification was ever listed.",
    )


def _say_why(row: Row, days: str) -> str:
    links = row["link_count"]
    if not links and row["sandbox_link_count"]:
        unlinked = "linked to a sandbox only"
    else:
        unlinked = "no integration brings it to anyone"
    event = (
        f"{clip(row['event_name'], 60)} is no event type here"
        if row["event_name"]
        else "it listens to no event"
    )
    fires = "fires always" if row["is_unconditional"] else "fires when its calculation is true"
    reasons: dict[str | None, str] = {
        "deleted": f"no longer listed since {row['deleted_at']:%Y-%m-%d}"
        if row["deleted_at"]
        else "no longer listed",
        "inactive": "switched off",
        "orphaned": event,
        "unlinked": unlinked,
        "blocked": f"{say_count(links, 'link')}, disabled or not authorized",
        "failing": "its last delivery failed",
        "silent": f"deliverable, but no run in {days}",
        "delivering": f"deliverable, and {fires}",
    }
    return reasons.get(row["coverage_status"], "a table that tells was not loaded")


def _list_event_types(published: Published) -> Table:
    def step(row: Row) -> Cell:
        if row["highest_step"] is None:
            return Cell("none" if row["notification_count"] == 0 else NOTHING, "", "muted")
        return Cell(row["highest_step"], row["highest_step"])

    return build_table(
        published,
        "event-types",
        "Event types, and the highest step each reaches",
        [
            tables.text("event_type", "Event type"),
            tables.labelled(
                "is_critical", "Critical", {True: ("critical", "warn"), False: ("no", "muted")}
            ),
            Column("Highest step", step),
            tables.labelled(
                "is_deliverable",
                "Reaches someone",
                {True: ("yes", "good"), False: ("no", "muted"), None: ("cannot be told", "warn")},
            ),
            tables.count("notification_count", "Notifications"),
            tables.count("active_notification_count", "Active"),
            tables.count("deliverable_notification_count", "Deliverable"),
            tables.count("proven_notification_count", "Proven"),
        ],
        mart="event_coverage",
        order_by="is_critical desc, is_deliverable, event_type",
        order="critical ones first",
        empty="The organization's event types were not loaded.",
        is_open=False,
    )
