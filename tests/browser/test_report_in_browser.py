"""The report as a browser shows it, from disk and without a network."""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from tests.browser.picture import FOLDER, take_pictures

README = FOLDER.parents[1] / "README.md"
Visitor = Callable[..., Any]


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
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator("[data-chart] svg").first.is_visible()


def test_the_readme_shows_pictures_of_it(report: Path, browser: Any, tmp_path: Path) -> None:
    shown = {path.name for path in FOLDER.glob("*.png")}
    taken = take_pictures(browser, report, tmp_path)
    assert {path.name for path in taken} == shown
    for picture in taken:
        assert f"docs/images/{picture.name}" in README.read_text("utf-8")
        # Nearly as long as the one that is shown: it shows the same.
        size, size_shown = picture.stat().st_size, (FOLDER / picture.name).stat().st_size
        assert 0.7 < size / size_shown < 1.4, "run `make pictures`"
