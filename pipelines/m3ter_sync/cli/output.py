"""What rows look like: a table for people, CSV and JSON for programs."""

import re
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Self

import click

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.program import Failure

Row = Mapping[str, Any]
_GAP = "  "
_NARROWEST = 8
# What a spreadsheet takes for a formula, as OWASP lists it (docs/decisions/0014-publishing.md);
# with what stands in front of it already, so that what is put there can be taken away again.
_FORMULA = re.compile("'*[=+\\-@\uff1d\uff0b\uff0d\uff20\\t\\r\\n\\0]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_SPECIAL_IN_CSV = re.compile('[",\r\n]')
_SPECIAL_IN_MARKDOWN = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;"} | {mark: f"\\{mark}" for mark in "\\`*[]|~"}
)
# Of a HUGEINT every reader that takes numbers for doubles would lose digits, and orjson stops.
_JSON_BITS = 63


class RowWriter(ABC):
    """Writes rows to standard output as they come."""

    @abstractmethod
    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows."""

    def finish(self) -> None:  # noqa: B027 - most need not
        """Writes what stands after the last row."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After a failure JSON stays open: no reader can take a part for the whole.
        if kind is None:
            self.finish()


def build_writer(
    format_: str, columns: Sequence[str], *, keep: Sequence[str] = (), unfolds: bool = False
) -> RowWriter:
    """A writer of `table`, `csv`, `json`, `jsonl` or `markdown`.

    Args:
        format_: Which.
        columns: The columns of a table or of CSV; JSON has whatever a row has.
        keep: Columns that a table never cuts.
        unfolds: Whether a table that is too wide shows each row's values one below the other.
    """
    match format_:
        case "csv":
            return CsvWriter(columns)
        case "json":
            return JsonWriter()
        case "jsonl":
            return JsonLinesWriter()
        case "markdown":
            return MarkdownWriter(columns)
    return TableWriter(columns, keep=keep, unfolds=unfolds)


class TableWriter(RowWriter):
    """Columns as wide as the first rows need; cut to the terminal's width, if there is one."""

    def __init__(
        self,
        columns: Sequence[str],
        *,
        keep: Sequence[str] = (),
        unfolds: bool = False,
        width: int | None = None,
    ) -> None:
        self._columns = columns
        self._keep = set(keep)
        self._unfolds = unfolds
        is_seen = sys.stdout.isatty()
        self._width = width or (shutil.get_terminal_size().columns if is_seen else None)
        self._widths: list[int] = []
        self._right: list[bool] = []
        self._is_unfolded = False

    def finish(self) -> None:
        """Shows at least the header."""
        if not self._widths:
            self._begin([], [])

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows, under a header the first time."""
        cells = [[to_text(row.get(name)) for name in self._columns] for row in rows]
        if cells and not self._widths:
            self._begin(rows, cells)
        for row in cells:
            click.echo(self._record(row) if self._is_unfolded else self._line(row))

    def _begin(self, rows: Sequence[Row], cells: list[list[str]]) -> None:
        from rich.cells import cell_len

        for index, name in enumerate(self._columns):
            self._widths.append(max(map(cell_len, [name, *(row[index] for row in cells)])))
            self._right.append(_are_numbers([row.get(name) for row in rows]))
        excess = 0
        if self._width is not None:
            excess = sum(self._widths) + len(_GAP) * (len(self._widths) - 1) - self._width
        self._is_unfolded = self._unfolds and excess > 0
        if not self._is_unfolded:
            self._narrow(excess)
            click.secho(self._line(self._columns), bold=True)
            click.echo(self._line(["-" * width for width in self._widths]))

    def _narrow(self, excess: int) -> None:
        """Takes what is too much from the widest columns, as far as that goes."""
        cut = [i for i, name in enumerate(self._columns) if name not in self._keep]
        while excess > 0 and cut:
            widest = max(cut, key=self._widths.__getitem__)
            if self._widths[widest] <= _NARROWEST:
                return
            self._widths[widest] -= 1
            excess -= 1

    def _line(self, cells: Sequence[str]) -> str:
        parts = [
            _fit(cell, width, right=right, cut=self._width is not None)
            for cell, width, right in zip(cells, self._widths, self._right, strict=True)
        ]
        return _GAP.join(parts).rstrip()

    def _record(self, cells: Sequence[str]) -> str:
        width = max(map(len, self._columns))
        lines = (
            f"{name:<{width}}  {cell}" for name, cell in zip(self._columns, cells, strict=True)
        )
        return "\n".join(lines) + "\n"


class CsvWriter(RowWriter):
    """RFC 4180 with a header; times in ISO 8601, nothing for NULL, quotes for an empty text.

    A text that a spreadsheet would run as a formula has an apostrophe in front; numbers and all
    other texts are as they are. JSON is exact throughout.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._echo(columns)

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows."""
        for row in rows:
            self._echo([row.get(name) for name in self._columns])

    def _echo(self, values: Sequence[Any]) -> None:
        # Without click, which takes escape sequences out. An empty line would be no row at all.
        sys.stdout.write((",".join(map(_to_csv, values)) or '""') + "\n")


class MarkdownWriter(RowWriter):
    """A table of GitHub's Markdown; no text in it is taken for markup or HTML."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._has_begun = False

    def finish(self) -> None:
        """Shows at least the header."""
        if not self._has_begun:
            self._begin([])

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows, under a header the first time."""
        if rows and not self._has_begun:
            self._begin(rows)
        for row in rows:
            self._echo(to_text(row.get(name)) for name in self._columns)

    def _begin(self, rows: Sequence[Row]) -> None:
        self._has_begun = True
        self._echo(self._columns)
        numbers = (_are_numbers([row.get(name) for row in rows]) for name in self._columns)
        click.echo(f"|{'|'.join('---:' if right else '---' for right in numbers)}|")

    def _echo(self, cells: Iterable[str]) -> None:
        click.echo(f"| {' | '.join(cell.translate(_SPECIAL_IN_MARKDOWN) for cell in cells)} |")


class JsonLinesWriter(RowWriter):
    """One JSON object a line."""

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows."""
        for row in rows:
            click.echo(to_json(row))


class JsonWriter(RowWriter):
    """One JSON array, a row a line, written as the rows come."""

    def __init__(self) -> None:
        self._separator = "[\n"

    def finish(self) -> None:
        """Closes the array."""
        click.echo("[]" if self._separator == "[\n" else "\n]")

    def write(self, rows: Sequence[Row]) -> None:
        """Writes some more rows."""
        for row in rows:
            click.echo(self._separator + to_json(row), nl=False)
            self._separator = ",\n"


def echo_table(columns: Sequence[str], rows: Iterable[Row], *, width: int | None = None) -> None:
    """Prints a small table, cut to the terminal's width or the one that is given."""
    with TableWriter(columns, width=width) as table:
        table.write(list(rows))


def to_json(value: Any) -> str:
    """JSON with snake_case keys as they are, times in ISO 8601."""
    import orjson

    options = orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=_to_json_type, option=options).decode()
    except TypeError:
        pass
    try:
        plain = _spell_out_numbers(value)
        return orjson.dumps(plain, default=_to_json_type, option=options).decode()
    except (TypeError, RecursionError):
        message = "A value is nested too deeply to be printed as JSON."
        raise Failure(message, ExitCode.FAILED) from None


def to_text(value: Any) -> str:
    """A value as people read it, on one line and without control characters."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4f}".rstrip("0").rstrip(".") if abs(value) >= 0.001 else f"{value:.2g}"
        case Decimal():
            return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
        case datetime():
            return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%d %H:%M:%S}"
        case date():
            return value.isoformat()
        case dict() | list():
            return to_json(value)
    # What a destination says of an error is foreign text: it may hold anything.
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(str(value).split()))


def _are_numbers(values: list[Any]) -> bool:
    given = [value for value in values if value is not None]
    numbers = (isinstance(value, int | float | Decimal) for value in given)
    return (
        bool(given) and all(numbers) and not any(value is True or value is False for value in given)
    )


def _to_csv(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case Decimal():
            return f"{value:f}"
        case int() | float():
            return str(value)
        case datetime() | date():
            return value.isoformat()
        case dict() | list():
            text = to_json(value)
        case _:
            text = str(value)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        text = f"'{text}"
    if not text or _SPECIAL_IN_CSV.search(text):
        text = '"' + text.replace('"', '""') + '"'
    return text


def _to_json_type(value: Any) -> Any:
    if isinstance(value, Decimal):
        number = float(value)
        # A number where that says the same, text where a float would round the amount.
        return number if Decimal(repr(number)) == value else str(value)
    return str(value)


def _spell_out_numbers(value: Any) -> Any:
    """The same with text for the numbers that orjson has no place for."""
    match value:
        case dict():
            return {
                str(key) if isinstance(key, int | Decimal) else key: _spell_out_numbers(each)
                for key, each in value.items()
            }
        case list() | tuple():
            return [_spell_out_numbers(each) for each in value]
        case int() if value.bit_length() > _JSON_BITS:
            return str(value)
    return value


def _fit(text: str, width: int, *, right: bool, cut: bool) -> str:
    from rich.cells import cell_len, set_cell_size

    length = cell_len(text)
    if length > width and cut:
        return set_cell_size(text, width - 1) + "…"
    padding = " " * (width - length)
    return padding + text if right else text + padding
