"""The options that several commands take, and what may be given for them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Instant(click.ParamType[datetime]):
    """A moment in ISO 8601."""

    name = "date"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Reads the moment; UTC where no offset is given."""
        if isinstance(value, datetime):
            return value
        from m3ter_sync.source.parsing import UnreadableValue, parse_datetime

        try:
            moment = parse_datetime(value)
        except (UnreadableValue, OverflowError):
            self.fail(
                f"{value!r} is no date. Give ISO 8601: 2025-11-03 (midnight UTC), "
                "2025-11-03T06:30:00Z or 2025-11-03T08:30:00+02:00",
                param,
                ctx,
            )
        return moment.astimezone(UTC)


class Duration(click.ParamType[timedelta]):
    """A length of time, such as 36h."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Reads a number and its unit."""
        if isinstance(value, timedelta):
            return value
        match = _DURATION.fullmatch(value.strip().lower())
        if match is None:
            self.fail(
                f"{value!r} is no length of time. Give one like 90m, 36h, 2d or 1w", param, ctx
            )
        number, unit = match.groups()
        try:
            return timedelta(**{_UNITS[unit]: float(number)})
        except OverflowError:
            self.fail(f"{value!r} is too long", param, ctx)


database_option = click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The warehouse's DuckDB file.  [default: data/warehouse.duckdb]",
)
destination_option = click.option(
    "--destination",
    metavar="NAME",
    help="The dlt destination that holds the warehouse, configured as dlt has it: postgres,"
    " filesystem (a lake).  [default: the DuckDB file]",
)
entity_types = click.Choice(["Bill", "Notification"], case_sensitive=False)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def check_order(first: datetime | None, last: datetime | None, names: str) -> None:
    """Refuses a span that ends before it begins.

    Raises:
        BadParameter: it does.
    """
    if first and last and first > last:
        raise click.UsageError(f"{names}: {first:%Y-%m-%d %H:%M} is after {last:%Y-%m-%d %H:%M}")
