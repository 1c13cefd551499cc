"""`m3ter-sync verify`: proves the warehouse against the API."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.logs import current_run_id
from m3ter_sync.cli.options import database_option, destination_option
from m3ter_sync.cli.output import echo_table, to_json
from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.warehouse.verify import Difference, Verification

_SHOWN = 20


@click.command(cls=Command)
@database_option
@destination_option
@click.option(
    "--all", "is_all", is_flag=True, help="Every bill and notification, not a sample of 200."
)
@click.option("--repair", is_flag=True, help="Load what differs.")
@click.option(
    "--requests-per-second",
    type=click.FloatRange(min=0, min_open=True),
    help="m3ter allows 50 for the whole organization.  [default: 25]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def verify(
    database: Path | None,
    destination: str | None,
    is_all: bool,
    repair: bool,
    requests_per_second: float | None,
    as_json: bool,
) -> None:
    """List runs again and compare them with the warehouse; exit 5 where they differ.

    In the sample of 200 bills and notifications those with open runs come first. What changed at
    m3ter since the last sync differs too: sync first to see what a sync would miss.
    """
    from m3ter_sync.settings import load_settings
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.verify import verify as verify_warehouse

    location = Location.of(database, destination)
    settings = load_settings(requests_per_second=requests_per_second)
    found = verify_warehouse(
        settings, location, is_all=is_all, repairs=repair, run_id=current_run_id()
    )
    if as_json:
        click.echo(to_json(found.to_dict()))
    else:
        _print(found)
    if not found.is_clean:
        raise Exit(ExitCode.DIFFERENT)


def _print(found: "Verification") -> None:
    click.echo(
        f"Listed {found.entity_count:,} of {found.known_entity_count:,} bills and notifications "
        f"again, {found.run_count:,} runs."
    )
    if found.gone:
        click.echo(f"Gone, their runs stay: {', '.join(found.gone)}")
    if found.repaired_count:
        click.echo(f"Repaired: {found.repaired_count:,} runs loaded.")
    if found.is_clean:
        click.echo("API and warehouse agree.")
        return
    click.echo(f"{len(found.differences):,} runs differ:")
    columns = ("what", "entity", "run", "at m3ter", "in the warehouse")
    echo_table(
        columns,
        [dict(zip(columns, _cells(each), strict=True)) for each in found.differences[:_SHOWN]],
    )
    if len(found.differences) > _SHOWN:
        click.echo(f"… and {len(found.differences) - _SHOWN:,} more; --json names all")


def _cells(each: "Difference") -> tuple[str, ...]:
    served, held = (f"{side[1]} v{side[0]}" if side else "-" for side in (each.served, each.held))
    return each.kind, f"{each.entity_type} {each.entity_id}", each.run_id, served, held
