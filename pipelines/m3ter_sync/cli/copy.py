"""`m3ter-sync copy`: moves a warehouse to another destination."""

from pathlib import Path

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.logs import current_run_id
from m3ter_sync.cli.options import database_option
from m3ter_sync.cli.output import echo_table
from m3ter_sync.cli.program import Command


@click.command(cls=Command)
@database_option
@click.option(
    "--to",
    "destination",
    type=click.Choice(["postgres", "filesystem"]),
    required=True,
    help="Where to, configured as dlt has it.",
)
def copy(database: Path | None, destination: str) -> None:
    """Copy a DuckDB warehouse to a server or a lake, without asking m3ter for anything again.

    The next sync --destination goes on from there. A copy that was cut short goes on where it
    was when it is run again.
    """
    from m3ter_sync.warehouse.copy import copy_warehouse
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import check_model_settings

    source = Location.of(database)
    target = source.beside(destination)
    check_model_settings()
    done = copy_warehouse(source, target, run_id=current_run_id())
    echo_table(["table", "rows"], [{"table": name, "rows": n} for name, n in done.rows.items()])
    kept = f", {done.kept_count:,} of them by an earlier attempt" if done.kept_count else ""
    click.echo(f"\nCopied {sum(done.rows.values()):,} rows to {target.name}{kept}.")
    if done.failed_checks:
        click.echo(f"These checks failed there: {', '.join(done.failed_checks)}.")
        raise Exit(ExitCode.CHECK_FAILED)
    where = f" --database {target.database}" if database else ""
    click.echo(f"Go on there: m3ter-sync sync --destination {destination}{where}")
