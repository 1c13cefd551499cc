"""Which errors, by kind, with an example and since when."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.published import Published
from m3ter_sync.report.sections import Section, isolate, join_names, link
from m3ter_sync.report.tables import build_table
from m3ter_sync.report.words import NOTHING, say_count


def build_errors(published: Published) -> Section:
    """Which errors, by group."""
    days = published.settings["new_error_days"]
    table = build_table(
        published,
        "errors-table",
        "Errors by kind",
        [
            tables.long_text("error_template", "Error", unfolds=True),
            tables.labelled(
                "is_new",
                "New",
                {True: ("new", "warn"), False: (NOTHING, "muted"), None: (NOTHING, "muted")},
            ),
            tables.count("failed_run_count", "Failed runs"),
            tables.count("run_count", "Runs with it"),
            tables.time("first_seen_at", "Since"),
            tables.time("last_seen_at", "Last seen"),
            tables.text("destinations", "Destinations"),
            tables.count("entity_count", "Bills, notifi\u00adcations hit"),
            tables.long_text("example_error", "Newest example", unfolds=True),
            tables.text("example_run_id", "Its run id", is_code=True),
        ],
        mart="integration_error_groups",
        order_by="failed_run_count desc, run_count desc, last_seen_at desc, error_template",
        order="most failed runs first",
        empty="No run has an error.",
    )
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
        answer = (
            Markup("There are {} in all that is loaded.").format(
                link(table.id, say_count(totals["kinds"], "kind of error", "kinds of errors"))
            )
            if totals["kinds"] != 1
            else Markup("There is one kind of error in all that is loaded.")
        )
        if top:
            answer += Markup(" The one that failed most runs ({}, {}, since {}): <q>{}</q>").format(
                say_count(top[0]["failed_run_count"]),
                join_names((top[0]["destinations"] or "an unknown destination").split(", ")),
                f"{top[0]['first_seen_at']:%Y-%m-%d}"
                if top[0]["first_seen_at"]
                else "an unknown day",
                isolate(top[0]["error_template"]),
            )
        if totals["new_kinds"]:
            answer += Markup(" {} in the last {}.").format(
                link(table.id, f"{say_count(totals['new_kinds'])} first came up", {"New": ["new"]}),
                say_count(days, "day"),
            )
    return Section(
        "errors",
        "Which errors?",
        "Errors",
        answer,
        tables=[table],
    )
