"""Rows of two engines, made comparable."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

Columns = tuple[str, ...]
Rows = Sequence[tuple[Any, ...]]


def assert_same_rows(name: str, columns: Columns, found: Rows, wanted: Rows) -> None:
    """The same rows in any order: floats to a part in a million million, all else exactly."""
    assert len(found) == len(wanted), f"{name}: {len(found)} rows, not {len(wanted)}"
    pairs = zip(
        sorted(map(plain, found), key=_order), sorted(map(plain, wanted), key=_order), strict=True
    )
    for one, other in pairs:
        differing = [
            f"{column}: {a!r}, not {b!r}"
            for column, a, b in zip(columns, one, other, strict=True)
            if not _equal(a, b)
        ]
        assert not differing, f"{name}: {differing} in {other}"


def plain(row: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(map(_plain, row))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return int(value)
    return value


def _order(row: tuple[Any, ...]) -> list[tuple[bool, str]]:
    # A float's last digits are no order that two engines share.
    return [
        (value is None, f"{value:.9g}" if isinstance(value, float) else str(value)) for value in row
    ]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= 1e-12 * max(abs(one), abs(other))
    return type(one) is type(other) and bool(one == other)
