"""`m3ter-sync query`: asks the warehouse, and changes nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from m3ter_sync.cli.errors import ExitCode
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
@click.option("--list", "lists", is_flag=True, help="Show the questions that have a name.")
@click.option("--name", metavar="NAME", help="Answer one of them.")
def query(
    sql: str | None, database: Path | None, format_: str, lists: bool, name: str | None
) -> None:
    """Ask the warehouse in SQL, read-only.

    \b
    m3ter-sync query --list
    m3ter-sync query --name failure_rate_now
    m3ter-sync query "select * from m3ter.integration_failure_rate"
    """  # noqa: D301 - \b keeps click from joining lines
    from m3ter_sync.warehouse.location import DEFAULT_DATABASE, Location

    if lists:
        _print_names(format_)
        return
    if bool(sql) == bool(name):
        raise click.UsageError("Give the SQL to run, or a --name of those that --list shows")
    # Any database can be read: the published copy too, whose name a warehouse cannot have.
    location = Location(Path(database or DEFAULT_DATABASE).absolute())
    text = sql or _read_named(name or "")
    with location.connect(read_only=True) as connection:
        # Read-only is the database alone: COPY would write files, and read any.
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        _print_result(connection, text, format_)


def _print_names(format_: str) -> None:
    from m3ter_sync.warehouse.queries import list_queries

    rows = [{"name": each.name, "question": each.question} for each in list_queries()]
    with build_writer(format_, ["name", "question"], unfolds=True) as writer:
        writer.write(rows)


def _read_named(name: str) -> str:
    from m3ter_sync.warehouse.queries import read_query
    from m3ter_sync.warehouse.sql_files import ModelError

    try:
        return read_query(name).sql
    except ModelError as error:
        raise click.UsageError(str(error)) from None


def _print_result(connection: "duckdb.DuckDBPyConnection", sql: str, format_: str) -> None:
    import duckdb

    try:
        cursor = connection.execute(sql)
        columns = list(_distinct(column[0] for column in cursor.description or ()))
        with build_writer(format_, columns, unfolds=True) as writer:
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                writer.write([dict(zip(columns, row, strict=True)) for row in rows])
    except duckdb.PermissionException as error:
        message = f"A query reads the warehouse and no other file. {_first_lines(error)}"
        raise Failure(message, ExitCode.USAGE) from None
    except duckdb.Error as error:
        is_wrong = isinstance(error, duckdb.ProgrammingError)
        exit_code = ExitCode.USAGE if is_wrong else ExitCode.FAILED
        raise Failure(_first_lines(error), exit_code) from None


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
