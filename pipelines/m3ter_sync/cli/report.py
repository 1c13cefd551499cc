"""`m3ter-sync report`: the page that people look at."""

import webbrowser
from pathlib import Path

import click

from m3ter_sync.cli.logs import note
from m3ter_sync.cli.options import database_option, destination_option
from m3ter_sync.cli.program import Command


@click.command(cls=Command)
@database_option
@destination_option
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def report(database: Path | None, destination: str | None, opens: bool) -> None:
    """Write the report on what is published: one HTML file, to read, mail or print.

    A sync does so too, whenever it publishes. It reads the published copy, so it also works while
    a sync runs.
    """
    from m3ter_sync.report import write_report
    from m3ter_sync.warehouse.location import Location

    location = Location.of(database, destination)
    page = write_report(
        location.published_database,
        location.published_report,
        script_folder=location.work_folder,
    )
    click.echo(f"Wrote {page} ({page.stat().st_size / 1e6:.1f} MB).")
    if opens and not webbrowser.open(page.as_uri()):
        note("No browser could be opened here; open the file by hand.")
