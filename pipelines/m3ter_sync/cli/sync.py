"""`m3ter-sync sync`: extract, load, models, checks, publish."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from m3ter_sync.cli.alerts import tell_of_sync
from m3ter_sync.cli.errors import ExitCode, describe
from m3ter_sync.cli.logs import current_run_id
from m3ter_sync.cli.options import (
    Instant,
    check_order,
    database_option,
    destination_option,
    entity_types,
)
from m3ter_sync.cli.output import to_json
from m3ter_sync.cli.program import Command, Failure
from m3ter_sync.cli.progress import show_progress
from m3ter_sync.cli.signals import stop_on_signals
from m3ter_sync.cli.summary import build_report, print_summary

if TYPE_CHECKING:
    from m3ter_sync.warehouse.summary import SyncSummary


@click.command(cls=Command)
@database_option
@destination_option
@click.option("--full", is_flag=True, help="List everything again from the first run on.")
@click.option(
    "--since", type=Instant(), help="Go back at least to runs that started after this date."
)
@click.option("--until", type=Instant(), help="Leave out runs that started after this date.")
@click.option(
    "--entity-type",
    type=entity_types,
    metavar="[Bill|Notification]",
    help="Only the runs of bills, or of notifications.",
)
@click.option(
    "--entity-id",
    "entity_ids",
    multiple=True,
    metavar="ID",
    help="Only this entity's runs; may be repeated. Needs --entity-type.",
)
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="m3ter allows 50 for the whole organization.  [default: 25]",
)
@click.option(
    "--accept-shrink", is_flag=True, help="Load a listing even where it lost most of its rows."
)
@click.option("--no-alerts", is_flag=True, help="Tell nobody how it went.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def sync(
    database: Path | None,
    destination: str | None,
    full: bool,
    since: datetime | None,
    until: datetime | None,
    entity_type: str | None,
    entity_ids: tuple[str, ...],
    requests_per_second: float | None,
    accept_shrink: bool,
    no_alerts: bool,
    as_json: bool,
) -> None:
    """Load what is new or changed, then rebuild, check and publish.

    Dates are ISO 8601: a day alone is its midnight in UTC. --since never makes a gap: it only
    goes further back than a sync does by itself.
    """
    check_order(since, until, "--since and --until")
    if entity_ids and entity_type is None:
        raise click.UsageError("--entity-id needs --entity-type")
    from m3ter_sync.settings import load_settings
    from m3ter_sync.source import ENTITY_TYPES
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.refresh import check_model_settings
    from m3ter_sync.warehouse.sync import Monitor, Sync, SyncOptions

    options = SyncOptions(
        entity_types=[entity_type] if entity_type else ENTITY_TYPES,
        entity_ids=tuple(dict.fromkeys(entity_ids)),
        since=since,
        until=until,
        is_full=full,
        accepts_shrink=accept_shrink,
    )
    tell = partial(
        tell_of_sync,
        is_wanted=not no_alerts,
        is_whole=not options.is_limited,
    )
    monitor = Monitor()
    summary: SyncSummary | None = None
    location: Location | None = None
    with stop_on_signals(monitor.request_stop) as stop:
        try:
            location = Location.of(database, destination)
            settings = load_settings(requests_per_second=requests_per_second)
            check_model_settings()
            work = Sync(
                settings,
                location,
                options,
                monitor=monitor,
                sync_id=current_run_id(),
            )
            summary = work.summary
            with show_progress(monitor):
                work.run()
        except Exception as error:
            if as_json:
                is_stopped = summary is not None and summary.outcome == "stopped"
                outcome = "stopped" if is_stopped else "failed"
                report = {"outcome": outcome, "error": describe(error)}
                click.echo(to_json(build_report(summary, location) | report))
            tell(location, summary, error=error)
            if stop.signal_number:
                raise Failure(f"Stopped. {describe(error)}", stop.exit_code) from error
            raise
    if as_json:
        click.echo(to_json(build_report(summary, location)))
    else:
        print_summary(summary, location)
    tell(location, summary)
    if summary.outcome == "stopped":
        raise Exit(stop.exit_code)
    if summary.rejected_count or summary.failed_checks:
        raise Exit(ExitCode.CHECK_FAILED)
