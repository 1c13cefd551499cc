"""`m3ter-sync models` and `m3ter-sync check`: the SQL of a warehouse that is loaded."""

from pathlib import Path

import click

from m3ter_sync.cli.options import database_option
from m3ter_sync.cli.program import Command


@click.command(cls=Command)
@database_option
def models(database: Path | None) -> None:
    """Rebuild the views from what is loaded."""
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.models import build_models

    location = Location.of(database)
    location.connect(read_only=True).close()
    with location.acquire(), location.connect() as connection:
        result = build_models(connection)
    click.echo(f"Rebuilt {len(result.relations)} relations in {result.seconds:.1f} s.")
