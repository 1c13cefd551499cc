"""The report as a browser shows it, from disk and without a network."""

import re
from collections.abc import Callable
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader
from tests.browser.picture import FOLDER, read_words, take_pictures

README = FOLDER.parents[1] / "README.md"
Visitor = Callable[..., Any]
# A4, landscape, without its margins, in pixels.
PAPER_WIDTH = round((297 - 2 * 14) / 25.4 * 96)


def read_pages(page: Any) -> list[str]:
    """What is printed, page by page."""
    paper = page.pdf(format="A4", prefer_css_page_size=True)
    return [each.extract_text() for each in PdfReader(BytesIO(paper)).pages]


def find_violations(page: Any) -> list[str]:
    page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8"))
    found = page.evaluate("axe.run(document).then(result => result.violations)")
    return [
        f"{rule['id']}: {node['html'][:120]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_from_disk_and_everyone_can_read_it(
    report: Path, visit: Visitor, width: int, scheme: str
) -> None:
    seen = visit(report, width, scheme)
    assert seen.complaints == []
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    assert find_violations(seen.page) == []
    # What is folded is read too.
    seen.page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert find_violations(seen.page) == []
    assert seen.complaints == []


def test_every_chart_is_drawn(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    charts = page.locator("[data-chart]")
    assert charts.count() >= 8
    for number in range(charts.count()):
        chart = charts.nth(number)
        box = chart.locator("svg").bounding_box()
        assert box["width"] > 200
        assert box["height"] > 50
        marks = chart.locator("svg [class*=mark-] path, svg [class*=mark-] line, svg text")
        assert marks.count() > 5
        assert len(chart.get_attribute("aria-label")) > 40


def test_a_chart_says_its_numbers_under_the_pointer(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    page.locator("[data-chart=chart-rates] .mark-symbol path").first.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    assert "95% interval" in tip.inner_text()


def test_tables_sort_both_ways(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    heading = page.locator("#bills th", has_text="Amount")
    rows = "[...document.querySelectorAll('#bills tbody tr')]"
    amounts = f"{rows}.map(row => Number(row.cells[2].dataset.order))"
    heading.locator("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    largest_first = page.evaluate(amounts)
    assert largest_first == sorted(largest_first, reverse=True)
    heading.locator("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert page.evaluate(amounts) == sorted(largest_first)


def test_tables_find_the_rows_with_all_words(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    search = page.get_by_label("Search: Bills that are not where they should be")
    search.fill("netsuite failed")
    rows = page.locator("#bills tbody tr:visible")
    assert rows.count() > 0
    assert all("NETSUITE" in text and "failed" in text for text in rows.all_inner_texts())
    search.fill("no such thing")
    assert rows.count() == 0
    assert "No row has all these words." in page.locator("#bills .shown").inner_text()


def test_a_table_shows_its_first_rows_until_all_are_asked_for(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    rows = page.locator("#bills tbody tr:visible")
    assert rows.count() == 10
    page.locator("#bills button.all").click()
    assert rows.count() == page.locator("#bills tbody tr").count() > 10


def test_a_number_leads_to_its_rows(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    assert not page.locator("#failed").evaluate("each => each.open")
    page.locator("#rates .answer a").click()
    assert page.locator("#failed").evaluate("each => each.open")
    assert page.locator("#failed tbody tr:visible").count() == 10


@pytest.mark.parametrize(
    # The last: what tells the things that are counted, where one has several rows.
    ("place", "which", "key"),
    [
        ("#fire .answer a", 0, ["Destination", "Which of several"]),
        ("#fire .answer a", 1, ["Bill id"]),
        ("#fire .answer a", 2, []),
        ("#fire .tile", 0, ["Destination", "Which of several"]),
        ("#fire .tile", 1, ["Bill id"]),
        ("#fire .tile", 2, []),
        ("#rates .answer a", 0, []),
        ("#course .answer a", 0, ["Day"]),
        ("#errors .answer a", 0, []),
        ("#errors .answer a", 1, []),
        ("#recovery .answer a", 0, []),
        ("#recovery .answer a", 1, []),
        ("#recovery .answer a", 2, []),
        ("#coverage .answer a", 0, []),
        ("#coverage .answer a", 1, []),
    ],
)
def test_the_rows_behind_a_number_are_as_many(
    report: Path, visit: Visitor, place: str, which: int, key: list[str]
) -> None:
    page = visit(report).page
    link = page.locator(place).nth(which)
    (said,) = re.findall(r"\d[\d,]*", link.locator(".figure").or_(link).last.inner_text())[:1]
    link.click()
    found = page.evaluate(
        """([place, key]) => {
            const table = document.querySelector(`${place} table`);
            document.querySelector(`${place} button.all:not([hidden])`)?.click();
            const headings = [...table.tHead.rows[0].cells].map(each => each.textContent);
            const rows = [...table.tBodies[0].rows].filter(row => !row.hidden);
            if (!key.length) return rows.length;
            const columns = key.map(each => headings.indexOf(each));
            const keyOf = row => columns.map(at => row.cells[at].textContent).join();
            return new Set(rows.map(keyOf)).size;
        }""",
        [link.get_attribute("href"), key],
    )
    assert int(said.replace(",", "")) == found > 0


def test_what_a_link_left_out_comes_back(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    page.locator("#fire .answer a").nth(1).click()
    lift = page.locator("#bills button.only")
    assert lift.inner_text() == "Only State: failed or blocked ✕"
    assert page.locator("#bills .shown").inner_text().endswith("found")
    lift.click()
    assert not lift.is_visible()
    rows = page.locator("#bills tbody tr").count()
    assert page.locator("#bills .shown").inner_text() == f"10 of {rows}"


@pytest.mark.parametrize("width", [390, 1280])
def test_an_id_is_shown_whole_and_apart_from_the_next(
    report: Path, visit: Visitor, width: int
) -> None:
    page = visit(report, width).page
    gaps = page.evaluate(
        """[...document.querySelectorAll("#stuck tbody .code")].map(cell => {
            const edge = cell.getBoundingClientRect().right;
            return edge - cell.firstElementChild.getBoundingClientRect().right;
        })"""
    )
    last_columns = gaps[1::2]
    assert min(gap for gap in gaps[::2]) >= 8
    assert min(last_columns) >= 0
    assert (
        page.evaluate("getComputedStyle(document.querySelector('#stuck td.code')).overflow")
        == "visible"
    )


def test_the_keyboard_reaches_what_the_mouse_does(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the report"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_an_old_report_says_that_it_is_stale(report: Path, visit: Visitor, tmp_path: Path) -> None:
    page = visit(report).page
    assert not page.locator("#stale").is_visible()
    old = tmp_path / "report.html"
    as_of = page.locator("#age").get_attribute("data-as-of")
    old.write_text(report.read_text("utf-8").replace(as_of, f"2020{as_of[4:]}"), "utf-8")
    assert "stale" in visit(old).page.locator("#stale").inner_text()


def test_hostile_texts_are_shown_and_do_nothing(hostile_report: Path, visit: Visitor) -> None:
    seen = visit(hostile_report, 390)
    assert seen.complaints == []
    assert "<img src=x onerror=alert(2)>" in seen.page.locator("#errors-table").inner_text()
    assert seen.page.locator("img").count() == 0
    assert hostile_report.stat().st_size < 6_000_000
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_scripts_every_row_is_there(report: Path, browser: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#bills tbody tr:visible").count() > 10
    assert "Scripts are off" in page.locator("main").inner_text()
    context.close()


def test_it_prints(report: Path, visit: Visitor) -> None:
    page = visit(report).page
    ids = page.locator("#bills tbody tr td:last-child").all_inner_texts()
    # What is searched for on the screen keeps nothing from the paper.
    page.get_by_label("Search: Bills that are not where they should be").fill("no such thing")
    pages = read_pages(page)
    printed = re.sub(r"\s", "", "".join(pages))
    assert len(ids) > 30
    assert all(each in printed for each in ids)
    assert printed.count("folded:unfoldthisonthescreentoprintthem") == 7
    with_bills = [text for text in pages if any(each[:8] in text for each in ids)]
    assert len(with_bills) > 2
    assert all("Latest error" in text for text in with_bills)
    assert not any(
        re.search(r"(Latest error|Newest example)[^\n]*\n?[^\n]*$", text) for text in pages
    )
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("[data-chart] svg").first.is_visible()


def test_nothing_is_wider_than_the_paper(wide_report: Path, visit: Visitor) -> None:
    page = visit(wide_report, PAPER_WIDTH).page
    query = page.locator("#bills .sql").inner_text()
    assert re.sub(r"\s", "", query) in re.sub(r"\s", "", "".join(read_pages(page)))
    page.emulate_media(media="print")
    widths = page.evaluate(
        """[...document.querySelectorAll("table, .sql")].filter(each => each.checkVisibility())
        .map(each => [each.closest("[id]").id, each.getBoundingClientRect().right])"""
    )
    assert [table for table, right in widths if right > PAPER_WIDTH] == []
    texts = page.evaluate(
        """[...document.querySelectorAll("#bills tbody td.long")]
        .map(each => each.getBoundingClientRect().width)"""
    )
    assert min(texts) > 120


def test_the_readme_shows_pictures_of_it(report: Path, browser: Any, tmp_path: Path) -> None:
    shown = {path.name for path in FOLDER.glob("*.png")}
    taken = take_pictures(browser, report, tmp_path)
    assert {path.name for path in taken} == shown
    readme = README.read_text("utf-8")
    for picture in taken:
        assert f"docs/images/{picture.name}" in readme
        words = read_words(picture)
        assert len(words) > 200
        assert read_words(FOLDER / picture.name) == words, "run `make pictures`"
    answer = re.search(r"Yes: .* runs stuck", read_words(tmp_path / "report-fire-light.png"))
    assert answer
    assert answer[0] in readme
    rates = read_words(tmp_path / "report-rates-light.png")
    in_table = re.findall(r"^[A-Z]+ +(?:Bills|Notifications) +(\d+) +(\d+) ", readme, re.MULTILINE)
    assert len(in_table) == 5
    assert all(f"{failed} of {decided} failed" in rates for decided, failed in in_table)
