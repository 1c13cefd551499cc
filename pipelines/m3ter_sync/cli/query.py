"""`m3ter-sync query`: asks the warehouse, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from m3ter_sync.cli.options import database_option
from m3ter_sync.cli.output import build_writer
from m3ter_sync.cli.program import Command, Failure

if TYPE_CHECKING:
    import duckdb

_ROWS_AT_ONCE = 1000


@click.command(cls=Command)
@click.argument("sql", required=False)
@database_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "jsonl"]),
    default="table",
    help="How to print the rows.  [default: table]",
)
def query(sql: str | None, database: Path | None, format_: str) -> None:
    """Run SQL on the warehouse, read-only.

    \b
    m3ter-sync query "select * from m3ter.integration_failure_rate"
    """  # noqa: D301 - \b keeps click from joining lines
    import duckdb

    from m3ter_sync.warehouse.location import DEFAULT_DATABASE, Location

    if not sql:
        raise click.UsageError("Give the SQL to run")
    # Any database can be read: the published copy too, whose name a warehouse cannot have.
    location = Location(Path(database or DEFAULT_DATABASE).absolute())
    with location.connect(read_only=True) as connection:
        try:
            cursor = connection.execute(sql)
            columns = list(_distinct(column[0] for column in cursor.description or ()))
            with build_writer(format_, columns, unfolds=True) as writer:
                while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                    writer.write([dict(zip(columns, row, strict=True)) for row in rows])
        except duckdb.Error as error:
            is_wrong = isinstance(error, duckdb.ProgrammingError)
            raise Failure(_first_lines(error), 2 if is_wrong else 1) from None


def fetch_rows(
    connection: "duckdb.DuckDBPyConnection", sql: str, values: list[Any] | None = None
) -> list[dict[str, Any]]:
    """All rows of a query, by name."""
    cursor = connection.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _distinct(names: Iterator[str]) -> Iterator[str]:
    """Names that differ, so that a row can be an object: a, a_1, a_2."""
    seen: dict[str, int] = {}
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield f"{name}_{count}" if count else name


def _first_lines(error: Exception) -> str:
    """What DuckDB says without the drawing of where."""
    return " ".join(str(error).split("\n\n")[0].split())
