"""What rows look like to people, and what is exact for programs."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest

from m3ter_sync.cli.output import TableWriter, to_json, to_text


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
