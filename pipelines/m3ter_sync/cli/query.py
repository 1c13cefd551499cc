"""`m3ter-sync query`: asks the published copy or a warehouse, and changes nothing."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.output import build_writer
from m3ter_sync.cli.program import Command, Failure

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from m3ter_sync.warehouse.location import Location

_LOG = logging.getLogger(__name__)
_ROWS_AT_ONCE = 1000
# The rows of a group in a Parquet file: few are slow to read, many are held at once.
_ROWS_A_GROUP = 50_000
# The last one alone closes files, extensions and Python's variables; the others keep it from
# being tried, and say so.
_CLOSED = """
set python_enable_replacements = false;
set autoinstall_known_extensions = false;
set autoload_known_extensions = false;
set enable_external_access = false;
"""


@click.command(cls=Command)
@click.argument("sql", required=False)
@click.option(
    "--database",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The DuckDB file to ask; a warehouse cannot be asked while a sync writes to it."
    "  [default: data/published/m3ter.duckdb]",
)
@click.option(
    "--destination",
    metavar="NAME",
    help="postgres: ask the warehouse on that server, in PostgreSQL's SQL; filesystem: the lake.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "jsonl", "markdown", "parquet"]),
    default="table",
    help="How to print the rows; parquet takes an --output.  [default: table]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write Parquet.",
)
@click.option("--list", "lists", is_flag=True, help="Show the questions that have a name.")
@click.option("--name", metavar="NAME", help="Answer one of them.")
def query(
    sql: str | None,
    database: Path | None,
    destination: str | None,
    format_: str,
    output: Path | None,
    lists: bool,
    name: str | None,
) -> None:
    """Ask the published copy or a warehouse in SQL, read-only.

    \b
    m3ter-sync query --list
    m3ter-sync query --name failure_rate_now
    m3ter-sync query "select * from m3ter.integration_failure_rate"
    """  # noqa: D301 - \b keeps click from joining lines
    if (format_ == "parquet") != (output is not None):
        raise click.UsageError(
            "Give --format parquet and --output FILE together; send other formats to a file with >"
        )
    if lists:
        if output:
            raise click.UsageError("--list is printed, not written as Parquet")
        _print_names(format_)
        return
    if bool(sql) == bool(name):
        raise click.UsageError("Give the SQL to run, or a --name of those that --list shows")
    from m3ter_sync.warehouse.location import POSTGRES

    is_server = destination == POSTGRES
    text = sql or _read_named(name or "", POSTGRES if is_server else "duckdb")
    if is_server:
        _ask_server(text, format_, output)
        return
    location = _locate(database, destination)
    with location.open_database(read_only=True) as connection, _one_line_errors(location, text):
        question = _prepare(connection, text)
        if output:
            _write_parquet(connection, question, output)
        else:
            _print_result(connection, question, format_)


def _ask_server(text: str, format_: str, output: Path | None) -> None:
    """Asks the warehouse on a PostgreSQL server."""
    from m3ter_sync.warehouse.location import check_packages

    check_packages()
    from m3ter_sync.warehouse.postgres_reader import QuestionRefused, open_reader, to_python

    try:
        with open_reader() as reader, reader.ask(text) as batches:
            if output:
                _write_batches(batches, output)
                return
            columns = list(_distinct(batches.schema.names))
            with build_writer(format_, columns, unfolds=True) as writer:
                for batch in batches:
                    values = map(to_python, batch.columns)
                    rows = zip(*values, strict=True)
                    writer.write([dict(zip(columns, row, strict=True)) for row in rows])
    except QuestionRefused as error:
        raise Failure(str(error), ExitCode.USAGE) from None


def _prepare(connection: "duckdb.DuckDBPyConnection", text: str) -> "duckdb.Statement":
    """The one statement that a text is, on a connection that has nothing but its database.

    Read-only is the database alone: files, extensions and settings are closed by themselves. The
    database's own file stays open to them, so a COPY would write over it: no statement runs that
    does not only ask.

    Raises:
        Failure: it is no question, or not one.
    """
    import duckdb

    statements = duckdb.extract_statements(text)
    # DuckDB makes two of a PIVOT; the first has no text.
    if not statements or any(each.query for each in statements[:-1]):
        raise Failure(f"Give one statement; this is {len(statements) or 'none'}.", ExitCode.USAGE)
    *before, question = statements
    if question.type not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise Failure(
            "A query only asks: SELECT, FROM, WITH, DESCRIBE, SUMMARIZE, SHOW or EXPLAIN, not "
            f"{question.type.name}.",
            ExitCode.USAGE,
        )
    connection.execute(_CLOSED)
    if question.type == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs whatever it explains. What only asks keeps the disk to sort on.
        connection.execute("set disabled_filesystems = 'LocalFileSystem'")
    connection.execute("set lock_configuration = true")
    for each in before:
        connection.execute(each)
    return question


def _locate(database: Path | None, destination: str | None) -> "Location":
    """The database that is named, whatever it is, else what was published."""
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import catch_up

    if destination:
        location = Location.of(database, destination)
        # A lake's is brought to what the lake holds now; where there is none to read, that is told.
        location.connect(read_only=True).close()
        catch_up(location)
        return location
    if database:
        # Not every database can be a warehouse; the published copy for its name cannot.
        location = Location(database.absolute())
        location.check_exists()
        return location
    location = Location.of()
    if location.published_database.exists():
        return Location(location.published_database)
    if location.database.exists():
        _LOG.warning("No copy is published yet: this is the warehouse itself, checked or not.")
    location.check_exists()
    return location


def _print_names(format_: str) -> None:
    from m3ter_sync.warehouse.queries import list_queries

    rows = [{"name": each.name, "question": each.question} for each in list_queries()]
    with build_writer(format_, ["name", "question"], unfolds=True) as writer:
        writer.write(rows)


def _read_named(name: str, dialect: str) -> str:
    from m3ter_sync.warehouse.dialects import translate
    from m3ter_sync.warehouse.queries import read_query
    from m3ter_sync.warehouse.sql_files import ModelError

    try:
        return translate(read_query(name).sql, dialect)
    except ModelError as error:
        raise click.UsageError(str(error)) from None


def _print_result(
    connection: "duckdb.DuckDBPyConnection", question: "duckdb.Statement", format_: str
) -> None:
    cursor = connection.execute(question)
    columns = list(_distinct(column[0] for column in cursor.description or ()))
    with build_writer(format_, columns, unfolds=True) as writer:
        while rows := cursor.fetchmany(_ROWS_AT_ONCE):
            writer.write([dict(zip(columns, row, strict=True)) for row in rows])


def _write_parquet(
    connection: "duckdb.DuckDBPyConnection", question: "duckdb.Statement", output: Path
) -> None:
    with connection.execute(question).to_arrow_reader(_ROWS_A_GROUP) as batches:
        _write_batches(batches, output)


def _write_batches(batches: "pa.RecordBatchReader", output: Path) -> None:
    """Writes the rows beside the file first, which is replaced when they are all there."""
    import pyarrow as pa
    from pyarrow import parquet

    from m3ter_sync.warehouse.permissions import open_by_umask

    part = output.with_name(f"{output.name}.part")
    try:
        names = _distinct(batches.schema.names)
        fields = zip(names, map(_plain, batches.schema), strict=True)
        schema = pa.schema([field.with_name(name) for name, field in fields])
        with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
            for batch in batches:
                columns = [
                    (column.storage if isinstance(column, pa.ExtensionArray) else column).cast(
                        type_
                    )
                    for column, type_ in zip(batch.columns, schema.types, strict=True)
                ]
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        open_by_umask(part)
        part.replace(output)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:  # a numeric that is too wide
        message = f"Parquet has no place for a column; cast it to varchar. {_first_lines(error)}"
        raise Failure(message, ExitCode.USAGE) from None
    finally:
        part.unlink(missing_ok=True)


def _plain(field: "pa.Field[Any]") -> "pa.Field[Any]":
    """A column as Parquet has it; PostgreSQL's numeric is as wide as our amounts."""
    import pyarrow as pa

    if not isinstance(field.type, pa.BaseExtensionType):
        return field
    from m3ter_sync.source.tables import ARROW_TYPES
    from m3ter_sync.warehouse.postgres_reader import is_numeric

    return field.with_type(
        ARROW_TYPES["decimal"] if is_numeric(field.type) else field.type.storage_type
    )


@contextmanager
def _one_line_errors(location: "Location", sql: str) -> Iterator[None]:
    import duckdb

    from m3ter_sync.warehouse.location import DEFAULT_DATABASE, PUBLISHED_NAME

    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.PermissionException as error:
        message = f"A query reads the database and no other file. {_first_lines(error)}"
        raise Failure(message, ExitCode.USAGE) from None
    except duckdb.Error as error:
        is_wrong = isinstance(error, duckdb.ProgrammingError)
        exit_code = ExitCode.USAGE if is_wrong else ExitCode.FAILED
        message = _first_lines(error)
        if is_wrong and location.database.name == PUBLISHED_NAME and "m3ter_" in sql:
            message += (
                " The published copy has the marts alone; the warehouse has m3ter_raw and "
                f"m3ter_staging: --database {DEFAULT_DATABASE}"
            )
        raise Failure(message, exit_code) from None


def _distinct(names: Iterable[str]) -> Iterator[str]:
    """Names that differ, so that a row can be an object: a, a_1, a_2."""
    seen: dict[str, int] = {}
    for name in names:
        count = seen.get(name, 0)
        seen[name] = count + 1
        yield f"{name}_{count}" if count else name


def _first_lines(error: Exception) -> str:
    """What DuckDB says without the drawing of where."""
    return " ".join(str(error).split("\n\n")[0].split())
