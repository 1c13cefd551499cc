"""Turns what the API serves (JSON objects) into Arrow tables, and sets aside what it cannot read.

A column is read at once where all its values have the expected JSON type, and value by value
where they have not; a row with a value that cannot be read is rejected as a whole, with the
reason, and never stops the others.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import orjson
import pendulum
import pyarrow as pa
import pyarrow.compute as pc

from m3ter_sync.source.tables import (
    ARROW_TYPES,
    DECIMAL_PRECISION,
    DECIMAL_SCALE,
    ColumnType,
    Table,
)

_STARTS_LIKE_A_DATE = re.compile(r"\d{4}(-?\d|-?W)")
_DECIMAL_STEP = Decimal(1).scaleb(-DECIMAL_SCALE)
_DECIMAL_CONTEXT = Context(prec=DECIMAL_PRECISION)
# PostgreSQL's; a name is the same in every destination.
_LONGEST_NAME = 63
_INT64 = range(-(2**63), 2**63)
# orjson reads 1,024 levels and writes 254.
_TOO_DEEP = "the value is nested too deeply to be kept"


class UnreadableValue(ValueError):
    """A value is not of its column's type."""


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that breaks its contract: which one, why, and what the API served."""

    index: int
    reason: str
    source: str
    id: str | None = None


@dataclass(slots=True)
class ParsedRows:
    """What was read of some rows: an Arrow table of the good ones, and the rejected ones."""

    table: pa.Table
    rejected: list[RejectedRow] = field(default_factory=list)


def parse_datetime(text: str) -> datetime:
    """Reads an ISO 8601 datetime of any precision or offset; one without an offset is UTC.

    Digits beyond the microsecond are cut off.

    Raises:
        UnreadableValue: the text is no datetime.
    """
    try:
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            value = _parse_unusual_datetime(text)
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableValue(f"{text!r} is not a date") from None


def _parse_unusual_datetime(text: str) -> datetime:
    # pendulum would read a bare time as today's and a duration as something else altogether.
    value = pendulum.parse(text.upper()) if _STARTS_LIKE_A_DATE.match(text) else None
    if not isinstance(value, datetime):
        raise ValueError
    return value


def _to_text(value: Any) -> str:
    try:
        return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    except TypeError:
        raise UnreadableValue(_TOO_DEEP) from None


def _to_bigint(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,19}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value not in _INT64:
        raise UnreadableValue(f"{value!r} is not a whole number")
    return value


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise UnreadableValue(f"{value!r} is neither true nor false")


def _to_timestamp(value: Any) -> datetime | None:
    if value == "":
        return None
    if not isinstance(value, str):
        raise UnreadableValue(f"{value!r} is not a date")
    return parse_datetime(value)


def _to_date(value: Any) -> date | None:
    moment = _to_timestamp(value)
    if moment is None:
        return None
    try:
        # The day as it is written: a bill's date is no instant, so its zone must not move it.
        return date.fromisoformat(value[:10])
    except ValueError:
        return moment.date()


def _to_decimal(value: Any) -> Decimal:
    if isinstance(value, bool):
        raise UnreadableValue(f"{value!r} is not a number")
    try:
        # repr() of a float is the shortest text that means it: 0.1 stays 0.1.
        number = Decimal(value if isinstance(value, str) else repr(value))
        if number.is_finite():
            return number.quantize(_DECIMAL_STEP, context=_DECIMAL_CONTEXT)
    except InvalidOperation:
        pass
    raise UnreadableValue(f"{value!r} is not a number of at most 29 digits")


_CONVERTERS: dict[ColumnType, Callable[[Any], Any]] = {
    "text": _to_text,
    "bigint": _to_bigint,
    "bool": _to_bool,
    "timestamp": _to_timestamp,
    "date": _to_date,
    "decimal": _to_decimal,
}
# The JSON types that pyarrow converts by itself, without loss.
_PLAIN: dict[ColumnType, set[type]] = {"text": {str}, "bigint": {int}, "bool": {bool}}


def parse_rows(table: Table, rows: Sequence[Any]) -> ParsedRows:
    """Reads rows of one table, as the API serves them.

    Args:
        table: The table that the rows are meant for.
        rows: The decoded JSON of each row.

    Returns:
        The Arrow table holds every column of `table` and, where the table loads unknown
        fields, one text column for each unknown field, nested values as JSON.
    """
    rejected: list[RejectedRow] = []
    good = list(rows) if table.loads_unknown_fields else [_keep_fields(table, row) for row in rows]
    positions = list(range(len(good)))
    while True:
        reasons: dict[int, str] = {}
        parsed = _parse_columns(table, good, reasons)
        if parsed is not None:
            return ParsedRows(parsed, rejected)
        rejected += [
            RejectedRow(positions[index], reasons[index], _dump(good[index]), _id_of(good[index]))
            for index in sorted(reasons)
        ]
        good = [row for index, row in enumerate(good) if index not in reasons]
        positions = [position for index, position in enumerate(positions) if index not in reasons]


def _parse_columns(table: Table, rows: list[Any], reasons: dict[int, str]) -> pa.Table | None:
    """Reads all columns, or returns None and leaves in `reasons` what is wrong with which row."""
    for index, row in enumerate(rows):
        if not isinstance(row, dict):
            reasons[index] = "the row is not an object"
    if reasons:
        return None
    arrays: list[pa.Array[Any]] = []
    for column in table.columns:
        values = [row.get(column.field) for row in rows]
        arrays.append(_parse_values(column.field, column.type, values, reasons))
        if column.is_required:
            for index, value in enumerate(values):
                if value is None or value == "":
                    reasons.setdefault(index, f"{column.field} is missing")
    if reasons:
        return None
    fields = list(table.arrow_schema)
    if table.loads_unknown_fields:
        for name, array in _unknown_columns(table, rows, reasons):
            fields.append(pa.field(name, pa.string()))
            arrays.append(array)
    if reasons:
        return None
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def _parse_values(
    name: str, kind: ColumnType, values: list[Any], reasons: dict[int, str]
) -> "pa.Array[Any]":
    kinds = set(map(type, values))
    kinds.discard(type(None))
    if kinds <= _PLAIN.get(kind, set()):
        try:
            return pa.array(values, ARROW_TYPES[kind])
        except (OverflowError, pa.ArrowInvalid):
            pass  # one of them does not fit: find out which
    if kind == "timestamp" and kinds <= {str}:
        try:
            moments = pc.cast(pa.array(values, pa.string()), ARROW_TYPES[kind])
            # Arrow holds moments that Python, and so whoever reads the cursors, does not.
            pc.min_max(moments).as_py()
            return moments
        except (ValueError, OverflowError):
            pass
    convert = _CONVERTERS[kind]
    converted: list[Any] = []
    for index, value in enumerate(values):
        try:
            converted.append(None if value is None else convert(value))
        except UnreadableValue as error:
            reasons.setdefault(index, f"{name}: {error}")
            converted.append(None)
    return pa.array(converted, ARROW_TYPES[kind])


def _unknown_columns(
    table: Table, rows: list[Any], reasons: dict[int, str]
) -> Iterator[tuple[str, "pa.Array[Any]"]]:
    names = set().union(*rows) - table.fields
    taken: set[str] = set()
    for unknown in sorted(names):
        values = [row.get(unknown) for row in rows]
        if all(value is None for value in values):
            continue
        column = unknown_column_name(table, unknown)
        if column in taken:
            digest = hashlib.sha256(unknown.encode()).hexdigest()[:8]
            column = _shorten(f"{column}_{digest}")
        taken.add(column)
        yield column, _parse_values(unknown, "text", values, reasons)


@lru_cache(maxsize=1024)
def unknown_column_name(table: Table, field_name: str) -> str:
    """The column of a field that `table` does not name: snake_case, clear of the named ones."""
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    name = NamingConvention().normalize_identifier(field_name.strip() or "field")
    taken = {column.name for column in table.columns}
    return _shorten(f"field_{name}" if name in taken or name.startswith("_dlt") else name)


def _shorten(name: str) -> str:
    """The name, or its ends and a digest where a destination could not hold all of it."""
    from dlt.common.normalizers.naming.snake_case import NamingConvention

    return NamingConvention.shorten_identifier(name, name, _LONGEST_NAME)


def _keep_fields(table: Table, row: Any) -> Any:
    """The row without fields that might hold a credential, should it be rejected."""
    if not isinstance(row, dict):
        return type(row).__name__
    return {name: value for name, value in row.items() if name in table.fields}


def _id_of(row: Any) -> str | None:
    row_id = row.get("id") if isinstance(row, dict) else None
    return row_id if isinstance(row_id, str) and row_id else None


def _dump(row: Any) -> str:
    """The row as JSON, but for what is nested too deeply to be written."""
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        if not isinstance(row, dict):
            return _dump(f"({_TOO_DEEP})")
        kept = {name: value for name, value in row.items() if _is_writable([value])}
        lost = dict.fromkeys(row.keys() - kept.keys(), f"({_TOO_DEEP})")
        return _dump(kept | lost)


def _is_writable(value: Any) -> bool:
    try:
        _to_text(value)
    except UnreadableValue:
        return False
    return True
