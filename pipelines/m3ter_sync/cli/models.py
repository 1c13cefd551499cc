"""`m3ter-sync models`, `check` and `publish`: the SQL of a warehouse that is loaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode, describe
from m3ter_sync.cli.logs import current_run_id
from m3ter_sync.cli.options import database_option, destination_option
from m3ter_sync.cli.output import echo_table
from m3ter_sync.cli.program import Command, Failure

if TYPE_CHECKING:
    from m3ter_sync.warehouse.checks import CheckResult
    from m3ter_sync.warehouse.connection import Connection
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.models import BuildResult


@contextmanager
def _open_for_writing(location: "Location", command: str) -> Iterator["Connection"]:
    """The database of a warehouse that is there, while nobody else writes to it."""
    location.check_free()
    # Whoever opens a database to write makes it where it is missing.
    location.connect(read_only=True).close()
    with location.acquire(command, current_run_id()), location.connect() as connection:
        yield connection


# Whose SQL each engine takes: `m3ter_sync.warehouse.dialects.DIALECTS`, which the command line does
# not import to show its help.
_DIALECT_OF_ENGINE = {
    "duckdb": "duckdb",
    "motherduck": "duckdb",
    "postgres": "postgres",
    "spark": "spark",
    "databricks": "databricks",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "redshift": "redshift",
    "clickhouse": "clickhouse",
}


@click.command(cls=Command)
@database_option
@destination_option
@click.option(
    "--engine",
    type=click.Choice(list(_DIALECT_OF_ENGINE)),
    help="Whose SQL the models are written in; spark builds them from a lake, and runs the checks."
    "  [default: the warehouse's own]",
)
@click.option(
    "--master",
    metavar="URL",
    help="The Spark cluster.  [default: what Spark is configured to use, else this machine]",
)
@click.option("--dry-run", is_flag=True, help="Print the SQL and build nothing.")
def models(
    database: Path | None,
    destination: str | None,
    engine: str | None,
    master: str | None,
    dry_run: bool,
) -> None:
    """Rebuild the views from what is loaded."""
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import check_model_settings, rebuild

    if master and engine != "spark":
        raise click.UsageError("--master needs --engine spark")
    check_model_settings()
    if dry_run:
        # A lake is read through DuckDB.
        _print_script(_DIALECT_OF_ENGINE.get(engine or destination or "duckdb", "duckdb"))
        return
    location = Location.of(database, destination)
    if engine == "spark":
        _build_on_spark(location, master)
        return
    if engine not in (None, destination or "duckdb"):
        raise Failure(
            f"The SQL for {engine} is generated only, not run from here: print it with "
            f"m3ter-sync models --engine {engine} --dry-run and run it in {engine}'s own client, "
            "beside the schema m3ter_raw.",
            ExitCode.USAGE,
        )
    with _open_for_writing(location, "models") as connection:
        result = rebuild(connection)
    _echo_built(result)


def _build_on_spark(location: "Location", master: str | None) -> None:
    if not location.is_lake:
        raise click.UsageError("--engine spark reads a lake: it needs --destination filesystem")
    from m3ter_sync.warehouse.refresh import read_model_settings
    from m3ter_sync.warehouse.spark import build_on_spark, check_on_spark, open_session

    with location.acquire("models", current_run_id()), open_session(location, master) as session:
        _echo_built(build_on_spark(session, location, read_model_settings()))
        results = check_on_spark(session)
    if not all(result.passed for result in results):
        _echo_checks(results)


def _echo_built(result: "BuildResult") -> None:
    click.echo(f"Rebuilt {len(result.relations)} relations in {result.seconds:.1f} s.")


def _print_script(dialect: str) -> None:
    """The statements of a build where every table was loaded, with the settings as they are."""
    from m3ter_sync.settings import read_settings
    from m3ter_sync.warehouse.models import setting_names
    from m3ter_sync.warehouse.rendering import list_raw_columns, render_script
    from m3ter_sync.warehouse.sql_files import read_models

    all_models = read_models()
    settings = read_settings(setting_names(all_models))
    columns = list_raw_columns(all_models)
    for statement in render_script(all_models, dialect, raw_columns=columns, settings=settings):
        click.echo(f"{statement};\n")


@click.command(cls=Command)
@database_option
@destination_option
def check(database: Path | None, destination: str | None) -> None:
    """Run the checks; one that fails shows the rows that break it."""
    from m3ter_sync.warehouse.checks import run_checks
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import catch_up

    location = Location.of(database, destination)
    catch_up(location)
    with location.connect(read_only=True) as connection:
        results = run_checks(connection)
    _echo_checks(results)


def _echo_checks(results: "list[CheckResult]") -> None:
    """Shows what each check found; exit 3 where one failed."""
    for result in results:
        if result.passed:
            click.echo(f"ok      {result.name}")
            continue
        click.echo(f"FAILED  {result.name}: {result.failing_row_count:,} rows. {result.meaning}")
        rows = [dict(zip(result.columns, row, strict=True)) for row in result.rows]
        echo_table(result.columns, rows)
        if result.failing_row_count > len(rows):
            click.echo(f"… and {result.failing_row_count - len(rows):,} more")
    failed = sum(not result.passed for result in results)
    click.echo(f"\n{len(results) - failed} of {len(results)} checks passed.")
    if failed:
        raise Exit(ExitCode.CHECK_FAILED)


@click.command(cls=Command)
@database_option
@destination_option
@click.option("--force", "is_forced", is_flag=True, help="Publish although a check fails.")
def publish(database: Path | None, destination: str | None, is_forced: bool) -> None:
    """Run the checks and replace the copy that others read: a DuckDB file, Parquet, the report."""
    import duckdb

    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import catch_up, check_and_publish, describe_refusal

    location = Location.of(database, destination)
    catch_up(location)
    with _open_for_writing(location, "publish") as connection:
        try:
            failed, publication = check_and_publish(connection, location, is_forced=is_forced)
        except duckdb.CatalogException as error:
            message = f"{describe(error).split('!')[0]}. Run m3ter-sync models first."
            raise Failure(message, ExitCode.FAILED) from None
    if publication is None:
        raise Failure(describe_refusal(failed, location), ExitCode.CHECK_FAILED)
    click.echo(f"Published {publication.database}")
    click.echo(f"and {len(publication.parquet_files)} Parquet files and the report beside it.")
    if failed:
        click.echo(f"These checks failed: {', '.join(check.name for check in failed)}.")
