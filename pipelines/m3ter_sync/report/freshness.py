"""How fresh all of this is, and what was left out of it."""

from markupsafe import Markup

from m3ter_sync.report import tables
from m3ter_sync.report.published import Published, Row
from m3ter_sync.report.sections import Section, join_names, link
from m3ter_sync.report.tables import Cell, Column, Table, build_table
from m3ter_sync.report.words import NOTHING, join_words, say_count, say_long_time

_OUTCOMES: dict[str | None, tuple[str, str]] = {
    "succeeded": ("succeeded", "good"),
    "partial": ("limited to some entities", "muted"),
    "stopped": ("stopped", "warn"),
    "failed": ("failed", "bad"),
}


def build_freshness(published: Published) -> Section:
    """The last section: what the others rest on."""
    return Section(
        "freshness",
        "How fresh is this, and what was left out?",
        "Freshness",
        _answer(published),
        remarks=_list_left_out(published),
        tables=[_list_tables(published), _list_syncs(published)],
    )


def _answer(published: Published) -> Markup:
    if published.as_of is None:
        return Markup("No sync has succeeded yet.")
    answer = Markup(
        'All windows end on <time datetime="{}">{}</time>, when the last sync that succeeded began.'
    ).format(published.as_of.isoformat(), say_long_time(published.as_of))
    (later,) = published.rows(
        """
        select
            count(*) filter (where outcome = 'partial') as partial,
            count(*) filter (where outcome != 'partial') as ended_early,
            max(started_at) filter (where outcome = 'partial') as newest_partial_at
        from load_history
        where started_at > ?
        """,
        published.as_of,
    )
    if later["partial"]:
        number = say_count(later["partial"], "later sync", "later syncs")
        answer += Markup(
            " {} {} limited to some entities, the last on {}: what they brought is in this report, "
            "except in its windows."
        ).format(
            link("syncs", number, {"Outcome": ["limited to some entities"], "Later": ["yes"]}),
            "was" if later["partial"] == 1 else "were",
            say_long_time(later["newest_partial_at"]),
        )
    if later["ended_early"]:
        number = say_count(later["ended_early"], "later sync", "later syncs")
        answer += Markup(" {} did not succeed.").format(
            link("syncs", number, {"Outcome": ["failed", "stopped"], "Later": ["yes"]})
        )
    return answer


def _list_left_out(published: Published) -> list[Markup]:
    (held,) = published.rows(
        "select coalesce(sum(rejected_row_count), 0) as rejected, "
        "list(table_name order by table_name) filter (where not is_loaded) as missing "
        "from sync_status"
    )
    provisional, in_flight = published.count_in_flight()
    (undecided,) = published.rows(
        "select coalesce(sum(unknown_delivery_count), 0) as unknown "
        "from integration_failure_rate_daily"
    )
    sandbox = published.rows(
        "select destination, count(*) as count from integration_runs where is_sandbox "
        "group by destination order by count desc, destination"
    )
    remarks = [
        Markup("<strong>Checks that failed, and were overruled:</strong> {}.").format(name)
        for name in [", ".join(published.failed_checks)]
        if name
    ]
    remarks += [
        Markup("<strong>{}</strong> could not be read and {} set aside.").format(
            say_count(held["rejected"], "row"), "was" if held["rejected"] == 1 else "were"
        )
        if held["rejected"]
        else Markup("Every row that m3ter served could be read."),
        Markup("Provisional: {} with {} in flight.").format(
            link("daily", say_count(provisional, "day"), {"State": ["provisional"]}),
            say_count(in_flight, "delivery", "deliveries"),
        )
        if provisional
        else Markup("No day is provisional."),
    ]
    if sandbox:
        names = join_names([row["destination"] for row in sandbox])
        runs = say_count(sum(row["count"] for row in sandbox), "sandbox run")
        is_counted = published.settings["counts_sandbox"]
        fate = "counted, as the settings say" if is_counted else "left out"
        remarks.append(Markup("{} ({}) are {}.").format(runs, names, fate))
    else:
        remarks.append(Markup("There are no sandbox runs to leave out."))
    if undecided["unknown"]:
        remarks.append(
            Markup(
                "<strong>{}</strong> ended with a status that is not known here: in no rate."
            ).format(say_count(undecided["unknown"], "delivery", "deliveries"))
        )
    if held["missing"]:
        remarks.append(
            Markup(
                "<strong>Never loaded:</strong> {}. What depends on it is not shown as a number."
            ).format(join_words(held["missing"], 9))
        )
    return remarks


def _list_tables(published: Published) -> Table:
    return build_table(
        published,
        "tables",
        "What is loaded",
        [
            tables.text("table_name", "Table"),
            tables.count("row_count", "Rows"),
            tables.count("rejected_row_count", "Rejected rows", tone="bad"),
            tables.labelled(
                "is_loaded", "Loaded", {True: ("yes", "good"), False: ("never", "bad")}
            ),
            tables.time("last_loaded_at", "Last loaded"),
            tables.time("last_changed_at", "Last change loaded"),
            tables.time("newest_record_at", "Newest change at m3ter"),
        ],
        mart="sync_status",
        order_by="table_name",
        order="by name",
        empty="Nothing is loaded.",
    )


def _list_syncs(published: Published) -> Table:
    def say_later(row: Row) -> Cell:
        is_later = published.as_of is not None and row["started_at"] > published.as_of
        return Cell("yes" if is_later else NOTHING, int(is_later), "" if is_later else "muted")

    return build_table(
        published,
        "syncs",
        "Syncs",
        [
            tables.time("started_at", "Began"),
            tables.labelled("outcome", "Outcome", _OUTCOMES),
            # Than the last that succeeded.
            Column("Later", say_later),
            tables.duration("sync_seconds", "Took"),
            tables.count("fetched_row_count", "Rows served"),
            tables.count("new_row_count", "New"),
            tables.count("changed_row_count", "Changed"),
            tables.count("rejected_row_count", "Rejected", tone="bad"),
            tables.count("request_count", "Requests"),
            tables.count("retry_count", "Of these, repeated"),
            tables.long_text("error", "Error"),
        ],
        mart="load_history",
        order_by="started_at desc",
        order="newest first",
        empty="There was no sync.",
        is_open=False,
    )
