"""`m3ter-sync demo`: two syncs of a local m3ter, and the answers to the two questions."""

import logging
import shlex
import shutil
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m3ter_sync.cli.answers import print_answers
from m3ter_sync.cli.program import Command
from m3ter_sync.cli.progress import show_progress
from m3ter_sync.cli.signals import stop_on_signals
from m3ter_sync.cli.summary import print_tables

if TYPE_CHECKING:
    from m3ter_sync.sandbox import Sandbox
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.summary import SyncSummary

# Whoever finds it in a folder may empty that folder: nothing but demos wrote there.
_MARK = ".m3ter-sync-demo"
_NO_LIMIT = 100_000.0


@click.command(cls=Command)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/demo"),
    metavar="PATH",
    help="Where to put the files; an earlier demo's are replaced.  [default: data/demo]",
)
def demo(folder: Path) -> None:
    """Sync a made-up m3ter twice and answer the two questions; needs no account."""
    logging.getLogger("m3ter_sync").setLevel(logging.WARNING)
    from m3ter_sync.sandbox import Sandbox, build_world
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import check_model_settings

    location = Location.of(folder / "warehouse.duckdb")
    check_model_settings()
    _empty(location)
    world = build_world(now=datetime.now(UTC) - timedelta(days=1))
    with Sandbox(world) as sandbox:
        click.echo(f"A made-up m3ter answers at {sandbox.base_url}.\n")
        _report("First sync", _sync(sandbox, location))
        world.advance(days=1)
        _report("A day later", _sync(sandbox, location))
    with location.connect_duckdb(read_only=True) as connection:
        print_answers(connection)
    program, copy = _name_program(), _show_path(location.published_database)
    click.secho("What next", bold=True)
    click.echo(f"""\
Open {_show_path(location.published_report)} in a browser.
{program} query --list
{program} query --database {copy} \\
  --name error_to_fix_first
{program} query --database {copy} \\
  "from m3ter.integration_failure_rate_daily order by started_on desc limit 20"
BI tools open what else is in {_show_path(location.published_folder)}.
With an account: set M3TER_ORG_ID, M3TER_API_KEY and M3TER_API_SECRET, then run
{program} sync""")


def _sync(sandbox: "Sandbox", location: "Location") -> "SyncSummary":
    from m3ter_sync.settings import load_settings
    from m3ter_sync.warehouse.sync import Monitor, Sync

    settings = load_settings(
        org_id=sandbox.org_id,
        access_key_id=sandbox.access_key_id,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        requests_per_second=_NO_LIMIT,
    )
    monitor = Monitor()
    with stop_on_signals(monitor.request_stop) as stop:
        work = Sync(settings, location, monitor=monitor)
        with show_progress(monitor):
            summary = work.run()
    if stop.signal_number:
        click.get_current_context().exit(stop.exit_code)
    return summary


def _report(title: str, summary: "SyncSummary") -> None:
    click.secho(title, bold=True)
    print_tables(summary)
    asked = f"{summary.entities_listed:,} of {summary.entities_known:,} bills and notifications"
    click.echo(f"Asked {asked} for their runs:")
    click.echo(f"{summary.requests:,} requests in {summary.seconds:.1f} s.")
    if summary.failed_checks:
        click.echo(f"Failed checks: {', '.join(summary.failed_checks)}")
    click.echo()


def _empty(location: "Location") -> None:
    """Removes what an earlier demo made; refuses a folder in which something else did.

    Raises:
        UsageError: the folder holds files, and no demo's mark.
    """
    from m3ter_sync.warehouse.permissions import make_data_folder

    folder, database = location.folder, location.database
    make_data_folder(folder)
    if any(folder.iterdir()) and not (folder / _MARK).exists():
        raise click.UsageError(f"{folder} holds files that no demo made; choose another --folder")
    (folder / _MARK).write_text("m3ter-sync demo replaces the files that it made here.\n")
    for name in (database.name, f"{database.name}.wal", f"{database.stem}.lock"):
        (folder / name).unlink(missing_ok=True)
    for made in (location.work_folder, location.published_folder):
        shutil.rmtree(made, ignore_errors=True)


def _name_program() -> str:
    """What to type for this program: its name where that is found, else its path."""
    found, own = shutil.which("m3ter-sync"), Path(sys.argv[0]).absolute()
    return "m3ter-sync" if found and Path(found).absolute() == own else _show_path(own)


def _show_path(path: Path) -> str:
    near = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    return shlex.quote(str(near))
