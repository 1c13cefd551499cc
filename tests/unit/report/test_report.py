"""What the page says, of whatever world."""

import html
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from m3ter_sync.report import NothingPublished, write_report
from m3ter_sync.report import page as page_module
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.publish import publish

MEGABYTE = 1_000_000
RUNS = """
insert into m3ter_raw.integration_runs by name
select
    'run-' || number as id,
    'Bill' as entity_type,
    'bill-' || number as entity_id,
    {destination} as destination,
    'there' as destination_id,
    {status} as status,
    {error} as error,
    1 as version,
    now() - to_hours(cast(number % 600 as integer)) as dt_started,
    now() - to_hours(cast(number % 600 as integer)) + to_seconds(9) as dt_completed,
    now() - to_hours(cast(number % 600 as integer)) as dt_created,
    'load' as _dlt_load_id
from range({count}) as made (number)
"""
BILLS = """
insert into m3ter_raw.bills by name
select
    'bill-' || number as id,
    {account} as account_code,
    'INV-' || number as sequential_invoice_number,
    'USD' as currency,
    cast(number as decimal(38, 9)) / 7 as bill_total,
    'load' as _dlt_load_id
from range({count}) as made (number)
"""
EMPTY = ";".join(
    f"delete from m3ter_raw.{table}"
    for table in (
        "integration_runs", "bills", "entities", "notification_configurations",
        "integration_configurations", "event_types",
    )
)  # fmt: skip
QUESTIONS = [
    "Is anything on fire?",
    "What share of deliveries fails?",
    "How did it go, day by day?",
    "Which errors?",
    "How much do retries repair?",
    "Who would be told?",
    "How fresh is this, and what was left out?",
]
HOSTILE = """'<script>alert(1)</script></script><img src=x onerror=alert(2)>"''&amp; {{7*7}} '"""

Report = Callable[..., Any]


def test_the_questions_are_answered_in_the_order_of_urgency(page: Any) -> None:
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page.markup) == QUESTIONS


def test_the_numbers_are_those_of_the_marts(page: Any, read: Report) -> None:
    failed, decided = read(
        page,
        "select sum(failed_delivery_count), sum(decided_delivery_count) "
        "from integration_failure_rate where window_name = '28d' and not is_sandbox",
    )[0]
    assert f"In the last 28 days, {failed} of {decided:,} deliveries failed" in page.text
    covered, of = read(
        page,
        "select covered_count, event_type_count from notification_coverage_summary "
        "where step = 'C3' and scope = 'all'",
    )[0]
    assert f"{covered} of {of} event types" in page.text


def test_the_figures_of_every_section_are_those_of_the_marts(
    report_on: Report, read: Report
) -> None:
    status = "case when number % 2 = 0 then 'ERROR' else 'STARTED' end"
    page = report_on(RUNS.format(destination="'D'", status=status, error="'no'", count=60))

    def count(sql: str) -> int:
        ((number,),) = read(page, f"select {sql}")
        return int(number)

    deliveries = (
        "from integration_deliveries, (select distinct starts_after, ends_at from "
        "integration_failure_rate where window_name = '28d') "
        "where not is_sandbox and started_at > starts_after and started_at <= ends_at"
    )
    figures = re.findall(r'class="figure">([\d,]+)<', page.markup)
    assert [int(figure.replace(",", "")) for figure in figures] == [
        count(
            "count(distinct (destination, destination_id)) from integration_incidents "
            "where is_open and not is_sandbox"
        ),
        count(
            "count(distinct bill_id) from bill_delivery_status "
            "where delivery_class in ('failed', 'blocked') and not is_sandbox"
        ),
        count("count(*) from stuck_runs where not is_sandbox"),
    ]
    assert all(int(figure) for figure in figures)
    retried = count(f"count(*) {deliveries} and attempt_count > 1")
    first_failed = count(f"count(*) {deliveries} and first_attempt_failed")
    recovered = count(f"count(*) {deliveries} and is_recovered")
    assert f", {retried} of {count(f'count(*) {deliveries}')} deliveries (" in page.text
    assert f"Of the {first_failed} whose first attempt failed, {recovered} (" in page.text
    kinds = count("count(*) from integration_error_groups")
    assert f"There are {kinds} kinds of errors in all that is loaded." in page.text
    most = count("max(failed_run_count) from integration_error_groups")
    assert f"The one that failed most runs ({most}, " in page.text


def test_nothing_is_loaded_from_anywhere(page: Any) -> None:
    linked = [value for _, attrs in page.tags for name, value in attrs.items()
              if name in ("src", "href", "action", "data", "srcset")]  # fmt: skip
    assert linked
    assert all(value.startswith("#") for value in linked)
    assert not {"link", "iframe", "img", "object", "base", "form"} & {tag for tag, _ in page.tags}
    assert "@import" not in page.source.split("</style>")[0]


def test_every_link_leads_to_a_place_in_the_page(page: Any) -> None:
    places = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(places) == len(set(places))
    assert {attrs["href"][1:] for tag, attrs in page.tags if tag == "a"} <= set(places)


def test_only_the_scripts_of_the_page_may_run(page: Any) -> None:
    (policy,) = (a["content"] for tag, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    scripts = [a for tag, a in page.tags if tag == "script" and a.get("type") is None]
    assert len(re.findall(r"'sha256-[\w+/=]+'", policy.split("style-src")[0])) == len(scripts)
    assert "unsafe-eval" not in policy


def test_an_error_with_markup_is_shown_not_run(report_on: Report) -> None:
    page = report_on(
        RUNS.format(destination=HOSTILE, status="'ERROR'", error=HOSTILE, count=3),
        BILLS.format(account=HOSTILE, count=3),
        f"update m3ter_raw.notification_configurations set name = {HOSTILE}",
        f"update m3ter_raw.event_types set name = name || {HOSTILE}",
    )
    scripts = sum(tag == "script" and not attrs.get("type") for tag, attrs in page.tags)
    assert (page.count("img"), scripts) == (0, 2)
    assert "<script>alert(1)</script></script><img src=x onerror=alert(2)>" in page.text
    assert "{{7*7}}" in page.text


def test_texts_that_break_pages_and_spreadsheets_stay_text(report_on: Report) -> None:
    texts = "['=HYPERLINK(1)', '🧾 émigré', '\u202eevil', ']]><!--', repeat('a', 100_000), chr(27)]"
    error = f"{texts}[number + 1]"
    page = report_on(RUNS.format(destination="'D'", status="'ERROR'", error=error, count=6))
    assert page.path.stat().st_size < 3 * MEGABYTE
    for text in ("=HYPERLINK(", "🧾 émigré", "]]><!--", "a" * 500 + "…", "How fresh is this"):
        assert text in page.text


def test_a_text_that_turns_round_turns_nothing_beside_it_round(report_on: Report) -> None:
    page = report_on(
        RUNS.format(
            destination="chr(8238) || 'SUITE'",
            status="'ERROR'",
            error="chr(8238) || 'no'",
            count=60,
        )
    )
    assert "\u202eSUITE" in page.text
    apart = r'<bdi[^>]*>[^<]*</bdi>|<pre[^>]*>[^<]*</pre>|data-order="[^"]*"'
    outside = re.sub(apart, "", page.markup)
    assert "\u202e" not in outside
    assert "\\u202e" not in outside
    assert "<U+202E>SUITE bills" in html.unescape(outside)


def test_an_empty_world_says_so(report_on: Report) -> None:
    page = report_on(EMPTY)
    assert "It cannot be told: no delivery succeeded or failed in all that is loaded." in page.text
    assert "answer good" not in page.markup
    assert "tile good" not in page.markup
    assert "No delivery has succeeded or failed in all that is loaded" in page.text
    assert "No run has an error." in page.text
    assert page.count("figure") == 0


def test_before_the_first_sync_nothing_is_claimed(report_on: Report) -> None:
    page = report_on(EMPTY, "delete from m3ter_raw.syncs")
    assert "Nothing can be said yet: no sync has succeeded." in page.text
    assert "No sync has succeeded yet." in page.text
    assert "None%" not in page.text
    assert "nan" not in page.text.lower().split()


def test_one_destination_has_one_chart_of_its_course(report_on: Report) -> None:
    page = report_on(
        EMPTY, RUNS.format(destination="'ONLY'", status="'COMPLETE'", error="null", count=50)
    )
    assert len(re.findall(r'data-chart="chart-course-', page.markup)) == 1


def test_of_fifty_destinations_the_worst_are_drawn_and_all_are_listed(report_on: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(
            destination="'SYSTEM_' || (number % 50)",
            status="case when number % 50 < number // 50 then 'ERROR' else 'COMPLETE' end",
            error="null",
            count=3000,
        ),
    )
    assert page.rows_of("rates-table") == 50
    assert len(re.findall(r'data-chart="chart-course-', page.markup)) == 8
    assert "Drawn are the 8 of 50 with most failures; the table has all." in page.text
    assert page.path.stat().st_size < 6 * MEGABYTE


def test_of_ten_thousand_missing_bills_the_rest_are_named(report_on: Report, read: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(
            destination="'NETSUITE'", status="'ERROR'", error="repeat('<\"&>', 300)", count=10_000
        ),
        BILLS.format(account="repeat('<', 200)", count=10_000),
    )
    assert page.rows_of("bills") == 500
    assert (
        "9,500 more rows are not in this page. All 10,000 are in bill_delivery_status.parquet"
        in page.text
    )
    query = re.search(
        r"The query for all rows: Bills that[^>]*>(.*?)</pre>", page.markup, re.DOTALL
    )
    assert query
    sql = query[1].replace("&#39;", "'").replace("&gt;", ">").replace("&lt;", "<")
    assert len(read(page, sql)) == 10_000
    assert page.path.stat().st_size < 6 * MEGABYTE


@pytest.mark.parametrize("systems", [50, 3_000])
def test_the_page_stays_below_6_mb_whatever_the_texts_are(report_on: Report, systems: int) -> None:
    letters = "chr(cast(65 + number // 26 % 26 as int)) || chr(cast(65 + number % 26 as int))"
    page = report_on(
        RUNS.format(
            destination=f"'SYSTEM ' || number % {systems} || repeat('\"', 900)",
            status="'ERROR'",
            error=f"{letters} || repeat('\"&<', 300)",
            count=3_000,
        ),
        BILLS.format(account="repeat('\"', 200)", count=3_000),
    )
    assert 3 * MEGABYTE < page.path.stat().st_size < 6 * MEGABYTE
    assert "more rows are not in this page." in page.text
    answer = page.part("errors").split("</p>")[0]
    assert len(answer) < 3_000


def test_sandbox_destinations_are_left_out_and_counted(report_on: Report) -> None:
    page = report_on(
        EMPTY, RUNS.format(destination="'STRIPE_TEST'", status="'ERROR'", error="'no'", count=7)
    )
    assert "7 sandbox runs ( STRIPE_TEST ) are left out." in page.text
    assert "no open incident" in page.text


def test_amounts_are_not_added_up_across_currencies(report_on: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(destination="'NETSUITE'", status="'ERROR'", error="null", count=2),
        BILLS.format(account="'a'", count=2),
        "update m3ter_raw.bills set bill_total = 1000.5, "
        "currency = case id when 'bill-0' then 'JPY' else 'EUR' end",
    )
    assert "EUR 1,000.50 and JPY 1,000" in page.text


def test_a_sum_says_which_bills_it_lacks(report_on: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(destination="'NETSUITE'", status="'ERROR'", error="null", count=4),
        BILLS.format(account="'a'", count=4),
        "update m3ter_raw.bills set bill_total = case id when 'bill-0' then 61.14 end, "
        "currency = case when id = 'bill-3' then 'EUR' else 'USD' end",
    )
    assert (
        "USD 61.14 (and 2 bills of unknown amount) and 1 bill of unknown amount in EUR" in page.text
    )


def test_a_later_sync_that_failed_is_told(report_on: Report) -> None:
    page = report_on(
        "insert into m3ter_raw.syncs by name select * replace ('failed' as outcome, 'later' as "
        "sync_id, started_at + to_hours(1) as started_at) from m3ter_raw.syncs limit 1"
    )
    assert "1 later sync did not succeed." in page.text


def test_what_a_later_sync_of_some_entities_brought_is_not_hidden(report_on: Report) -> None:
    page = report_on(
        "insert into m3ter_raw.syncs by name select * replace ('partial' as outcome, 'later' as "
        "sync_id, started_at + to_hours(1) as started_at) from m3ter_raw.syncs limit 1"
    )
    assert "1 later sync was limited to some entities, the last on " in page.text
    assert "nothing that happened later is in the report" not in page.text


def test_a_forced_publication_says_which_checks_failed(published: Report, tmp_path: Path) -> None:
    published()
    with Location.of(tmp_path / "warehouse.duckdb").connect() as connection:
        copy = publish(connection, tmp_path / "published", failed_checks=["run_keys", "freshness"])
    text = write_report(copy.database, tmp_path / "published" / "report.html").read_text("utf-8")
    assert "this was published although checks failed: run_keys, freshness." in text
    assert "overruled:</strong> run_keys, freshness." in text


def test_of_several_systems_of_a_kind_each_is_named_and_counted(report_on: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(destination="'NETSUITE'", status="'ERROR'", error="null", count=9),
        "update m3ter_raw.integration_runs set destination_id = 'system-' || (hash(id) % 3)",
        "update m3ter_raw.integration_runs set entity_type = 'Notification' where id = 'run-1'",
    )
    rows = page.rows_of("incidents")
    systems = set(re.findall(r"system-\d", page.part("incidents")))
    assert len(systems) in (2, 3)
    assert f"Yes: {len(systems)} destinations failing now" in page.text
    assert rows >= len(systems)


def test_an_interval_never_says_all_or_none_of_what_is_not_quite(report_on: Report) -> None:
    page = report_on(
        EMPTY, RUNS.format(destination="'D'", status="'ERROR'", error="null", count=9_983)
    )
    assert "over 99.9% to 100.0%" in page.text


def test_every_column_sorts_by_numbers_or_by_words(page: Any) -> None:
    orders = {attrs["data-order"] for _, attrs in page.tags if "data-order" in attrs}
    assert orders
    assert not orders & {"inf", "-inf", "nan", "None"}


def test_one_bad_day_of_one_delivery_does_not_set_the_scale(report_on: Report) -> None:
    page = report_on(
        EMPTY,
        RUNS.format(
            destination="'D'",
            status="case when number = 30 or number % 24 = 1 then 'ERROR' else 'COMPLETE' end",
            error="null",
            count=600,
        ),
        "delete from m3ter_raw.integration_runs where id != 'run-30' and dt_started < "
        "(select max(dt_started) - to_hours(20) from m3ter_raw.integration_runs) and dt_started > "
        "(select max(dt_started) - to_hours(80) from m3ter_raw.integration_runs)",
    )
    spec = page.read_chart("chart-course-0")
    points = [point for point in spec["data"]["values"] if point["rate"] is not None]
    (top,) = {layer["encoding"]["y"]["scale"]["domain"][1] for layer in spec["layer"]}
    lonely = [point for point in points if point["rate"] == 1]
    assert [point["shape"] for point in lonely] == ["triangle-up"]
    assert top < 0.5
    assert spec["layer"][0]["mark"]["type"] == "rule"


def test_the_old_report_stays_until_the_new_one_is_whole(published: Report, tmp_path: Path) -> None:
    database = published()
    target = database.with_name("report.html")
    target.write_text("old")
    with duckdb.connect(database) as connection:
        connection.execute("drop table stuck_runs")
    with pytest.raises(NothingPublished, match="Run m3ter-sync publish"):
        write_report(database, target)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.glob(".report-*")] == []


def test_a_report_never_takes_the_place_of_a_newer_one(
    published: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = published()
    target = copy.with_name("report.html")
    waits = [True]

    def replace_meanwhile(folder: Path | None = None) -> str:
        if waits.pop():
            waits.append(False)
            with Location.of(tmp_path / "warehouse.duckdb").connect() as connection:
                publish(connection, tmp_path / "published", failed_checks=["newer"])
        else:
            waits.append(False)
        return ""

    monkeypatch.setattr(page_module, "read_script", replace_meanwhile)
    write_report(copy, target)
    assert "this was published although a check failed: newer." in target.read_text("utf-8")


def test_what_a_killed_report_left_behind_is_removed(published: Report) -> None:
    copy = published()
    old, new = copy.with_name(".report-old.html"), copy.with_name(".report-new.html")
    old.touch()
    new.touch()
    os.utime(old, (0, 0))
    write_report(copy, copy.with_name("report.html"))
    assert (old.exists(), new.exists()) == (False, True)


def test_without_a_published_copy_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NothingPublished, match="Run m3ter-sync sync or m3ter-sync publish first"):
        write_report(tmp_path / "m3ter.duckdb", tmp_path / "report.html")


def test_whoever_may_read_the_folder_may_read_the_report(page: Any) -> None:
    assert stat.S_IMODE(page.path.stat().st_mode) & 0o444 == 0o444


def test_it_can_be_written_while_another_reads_the_copy(published: Report) -> None:
    database = published()
    with duckdb.connect(database, read_only=True):
        assert write_report(database, database.with_name("report.html")).exists()
