"""What rows look like to people, and what is exact for programs."""

import csv
import io
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from m3ter_sync.cli.output import TableWriter, build_writer, to_json, to_text
from m3ter_sync.cli.program import Failure


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (7, "7"),
        (0.5, "0.5"),
        (0.0, "0"),
        (100.0, "100"),
        (0.00001, "1e-05"),
        (float("nan"), "nan"),
        (Decimal("1234567890123456789.100000000"), "1234567890123456789.1"),
        (Decimal("100"), "100"),
        (datetime(2025, 11, 3, 6, 30, tzinfo=UTC), "2025-11-03 06:30:00"),
        (date(2025, 11, 3), "2025-11-03"),
        (["a", {"b": 1}], '["a",{"b":1}]'),
        ("two\nlines \x1b[31mred", "two lines \ufffd[31mred"),
    ],
)
def test_a_value_is_one_short_line(value: Any, text: str) -> None:
    assert to_text(value) == text


def test_json_keeps_an_amount_that_a_float_would_round() -> None:
    amounts = {"exact": Decimal("12.500000000"), "long": Decimal("1234567890123456789.1")}
    assert to_json(amounts) == '{"exact":12.5,"long":"1234567890123456789.1"}'


def test_json_has_text_for_the_integers_that_readers_would_round() -> None:
    numbers = {"huge": 2**100, "list": [-(2**80), 2**62], "map": {2**70: Decimal("0.5")}}
    assert orjson.loads(to_json(numbers)) == {
        "huge": str(2**100),
        "list": [str(-(2**80)), 2**62],
        "map": {str(2**70): 0.5},
    }


def print_table(capsys: pytest.CaptureFixture[str], rows: list[Any], **options: Any) -> list[str]:
    with TableWriter([*rows[0]], **options) as table:
        table.write(rows)
    return capsys.readouterr().out.splitlines()


def test_numbers_stand_right_and_words_left(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "a", "count": 5, "on": True}, {"name": "long", "count": 1200, "on": False}]
    assert print_table(capsys, rows) == [
        "name  count  on",
        "----  -----  ---",
        "a         5  yes",
        "long   1200  no",
    ]


def test_wide_characters_keep_the_columns_in_line(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "日本", "n": 1}, {"name": "Ola", "n": 2}]
    assert print_table(capsys, rows)[2:] == ["日本  1", "Ola   2"]


def test_a_narrow_terminal_cuts_the_widest_column_and_never_an_id(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [{"id": "0123456789" * 3, "error": "it failed for many reasons"}]
    lines = print_table(capsys, rows, keep=("id",), width=45)
    assert lines[2] == f"{rows[0]['id']}  it failed fo…"


def test_a_row_too_wide_can_be_unfolded(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": "0123456789" * 3, "error": "it failed for many reasons"}]
    lines = print_table(capsys, rows, unfolds=True, width=45)
    assert lines == [f"id     {rows[0]['id']}", "error  it failed for many reasons", ""]


def print_rows(capsys: pytest.CaptureFixture[str], format_: str, rows: list[Any]) -> str:
    with build_writer(format_, [*rows[0]]) as writer:
        writer.write(rows)
    return capsys.readouterr().out


def print_csv_cells(capsys: pytest.CaptureFixture[str], values: list[Any]) -> list[str]:
    rows = [{"n": 1, "value": value} for value in values]
    lines = [*csv.reader(io.StringIO(print_rows(capsys, "csv", rows), newline=""), strict=True)]
    assert lines[0] == ["n", "value"]
    assert all(len(line) == 2 for line in lines)
    return [value for _, value in lines[1:]]


def test_csv_keeps_numbers_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    values = [-5, -0.25, 1e-7, Decimal("-12.500000000"), Decimal("0.000000000"), 2**100, "-5", "+1"]
    assert print_csv_cells(capsys, values) == [
        "-5",
        "-0.25",
        "1e-07",
        "-12.500000000",
        "0.000000000",
        str(2**100),
        "-5",
        "+1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "=cmd|' /C calc'!A0",
        "+1+cmd",
        "-2+3",
        "- a list",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'=1",
        "\uff1d1",
        timedelta(days=-1),
    ],
)
def test_csv_has_no_cell_that_a_spreadsheet_would_run(
    text: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert print_csv_cells(capsys, [text]) == [f"'{text}"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from("'=+-@\t\r\n,\"")), min_size=1)
)
def test_whatever_a_text_is_csv_can_be_read_back_to_it_and_holds_no_formula(
    capsys: pytest.CaptureFixture[str], texts: list[str]
) -> None:
    for text, cell in zip(texts, print_csv_cells(capsys, texts), strict=True):
        assert not cell.startswith(("=", "@", "\t", "\r", "\n"))
        if cell.startswith(("+", "-")):
            float(cell)
        assert re.sub(r"^'('*[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n\0])", r"\1", cell) == text


def test_a_value_that_is_nested_too_deeply_to_be_printed_is_told_in_one_line() -> None:
    with pytest.raises(Failure, match="nested too deeply"):
        to_json({"a": orjson.loads("[" * 1000 + "]" * 1000)})


def test_csv_tells_nothing_from_an_empty_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_rows(capsys, "csv", [{"a": None, "b": ""}]) == 'a,b\n,""\n'
    assert print_rows(capsys, "csv", [{"a": None}]) == 'a\n""\n'


def test_markdown_shows_markup_and_runs_none(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"error": "<script>alert(1)</script> a|b\n[x](javascript:y) `*&lt;", "n": 5}]
    assert print_rows(capsys, "markdown", rows) == (
        "| error | n |\n|---|---:|\n"
        "| &lt;script&gt;alert(1)&lt;/script&gt; a\\|b \\[x\\](javascript:y) \\`\\*&amp;lt; | 5 |\n"
    )
    with build_writer("markdown", ["a", "b"]):
        pass
    assert capsys.readouterr().out == "| a | b |\n|---|---|\n"
