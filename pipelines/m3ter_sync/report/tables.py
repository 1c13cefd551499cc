"""A table of the page: its columns, its rows, and what is left out of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate
from typing import Any

from m3ter_sync.report.published import Published, Row
from m3ter_sync.report.words import (
    NOTHING,
    clip,
    cut,
    say_count,
    say_duration,
    say_interval,
    say_money,
    say_rate,
    say_share,
    say_time,
    weigh,
)

# More rows than this nobody reads on a page; they would make it heavy to send.
ROW_LIMIT = 500
# Bytes for the rows of all tables, and what the markup of a cell takes: with 1 MB for what draws
# the charts, the page stays below 6 MB whatever the texts are.
_BUDGET = 4_000_000
_CELL_MARKUP = 100
# What of a long text can be unfolded, and what rows are sorted by.
_UNFOLDED_LENGTH = 600
_ORDER_LENGTH = 40


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in one cell."""

    text: str
    # What it sorts by; None: it has no value, and comes last.
    order: str | float | None = None
    # Its meaning beside the text: bad, warn, good, muted; a class of the style.
    tone: str = ""
    # A longer text, shown on demand.
    more: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and how a row's cell is made."""

    label: str
    make: Callable[[Row], Cell]
    # How it is set: number, code, or long for texts that need room.
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the page."""

    id: str
    caption: str
    columns: list[Column]
    rows: list[list[Cell]]
    # Rows that there are, of which the page holds the first.
    total: int
    # Where all of them are: the mart, which is a Parquet file too, and the SQL.
    mart: str
    sql: str
    # What puts a row among the first.
    order: str
    empty: str
    # Whether it is unfolded from the start.
    is_open: bool

    @property
    def left_out(self) -> int:
        """Rows that are not in the page."""
        return self.total - len(self.rows)


def build_table(
    published: Published,
    id: str,  # noqa: A002 - HTML's own word
    caption: str,
    columns: list[Column],
    *,
    mart: str,
    source: str = "",
    where: str = "true",
    order_by: str,
    order: str,
    empty: str,
    is_open: bool = True,
) -> Table:
    """A table of a mart's rows.

    Args:
        published: Where they are.
        id: The anchor that numbers link to.
        caption: What its rows are.
        columns: Its columns; the first names the row.
        mart: The mart that they are in.
        source: What stands after FROM, where it is more than the mart.
        where: Which of its rows.
        order_by: Which of them come first.
        order: The same in words.
        empty: What to say when there is none.
        is_open: Whether it is unfolded from the start.
    """
    sql = f"from {source or mart} where {where} order by {order_by}"
    found = published.rows(f"select *, count(*) over () as total_count {sql} limit {ROW_LIMIT}")
    return Table(
        id=id,
        caption=caption,
        columns=columns,
        rows=[[column.make(row) for column in columns] for row in found],
        total=found[0]["total_count"] if found else 0,
        mart=mart,
        sql=sql,
        order=order,
        empty=empty,
        is_open=is_open,
    )


def fit_tables(all_tables: Sequence[Table], budget: int = _BUDGET) -> None:
    """Leaves the last rows out of the heaviest tables, until all fit in a budget of bytes."""
    weights = [[sum(map(_weigh_cell, row)) for row in table.rows] for table in all_tables]
    # What each may take: the light ones leave what they do not need to the others.
    share = left = budget
    for place, total in enumerate(sorted(map(sum, weights))):
        share = left // (len(weights) - place)
        if total > share:
            break
        left -= total
    for table, rows in zip(all_tables, weights, strict=True):
        if sum(rows) > share:
            kept = sum(weight <= share for weight in accumulate(rows))
            del table.rows[kept:]


def _weigh_cell(cell: Cell) -> int:
    return _CELL_MARKUP + sum(map(weigh, (cell.text, str(cell.order or ""), cell.more)))


def text(name: str, label: str, *, is_code: bool = False) -> Column:
    """A column of short texts."""

    def make(row: Row) -> Cell:
        value = row[name]
        if value is None:
            return Cell(NOTHING, tone="muted")
        return Cell(clip(str(value)), str(value)[:_ORDER_LENGTH].casefold())

    return Column(label, make, "code" if is_code else "")


def long_text(name: str, label: str, *, unfolds: bool = False) -> Column:
    """A column of long texts: the beginning, and where it unfolds, more of it on demand."""

    def make(row: Row) -> Cell:
        value = row[name]
        if value is None:
            return Cell(NOTHING, tone="muted")
        beginning, more = clip(value), ""
        if unfolds and beginning != value:
            more = cut(value, _UNFOLDED_LENGTH)
        return Cell(beginning, value[:_ORDER_LENGTH].casefold(), more=more)

    return Column(label, make, "long")


def count(name: str, label: str, tone: str = "") -> Column:
    """A column of whole numbers; those above 0 can have a tone."""

    def make(row: Row) -> Cell:
        value = row[name]
        return Cell(say_count(value), value, tone if value else "")

    return Column(label, make, kind="number")


def rate(name: str, label: str) -> Column:
    """A column of rates."""
    return Column(label, lambda row: Cell(say_rate(row[name]), row[name]), kind="number")


def interval(name: str, label: str) -> Column:
    """A column of 95 % intervals, which sort by their lower end."""

    def make(row: Row) -> Cell:
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        return Cell(say_interval(low, high), low, "muted")

    return Column(label, make, kind="number")


def share(part: str, whole: str, label: str) -> Column:
    """A column of parts of a whole: 53 of 798."""

    def make(row: Row) -> Cell:
        return Cell(say_share(row[part], row[whole]), row[part])

    return Column(label, make, kind="number")


def money(name: str, label: str) -> Column:
    """A column of amounts in the row's currency."""

    def make(row: Row) -> Cell:
        amount: Decimal | None = row[name]
        order = None if amount is None else float(amount)
        return Cell(
            say_money(amount, row["currency"]), order, "" if amount is not None else "muted"
        )

    return Column(label, make, kind="number")


def time(name: str, label: str) -> Column:
    """A column of instants, or of days."""

    def make(row: Row) -> Cell:
        value: datetime | date | None = row[name]
        said = say_time(value) if isinstance(value, datetime) or value is None else f"{value}"
        return Cell(said, None if value is None else said, "" if value is not None else "muted")

    return Column(label, make, kind="number")


def duration(name: str, label: str) -> Column:
    """A column of lengths of time."""
    return Column(label, lambda row: Cell(say_duration(row[name]), row[name]), kind="number")


def labelled(name: str, label: str, meanings: Mapping[Any, tuple[str, str]]) -> Column:
    """A column of codes, each with its word and its tone."""

    def make(row: Row) -> Cell:
        word, tone = meanings.get(row[name], (str(row[name]), ""))
        is_remarkable = tone not in ("", "muted")
        return Cell(word, word.casefold(), f"badge {tone}" if is_remarkable else tone)

    return Column(label, make)
