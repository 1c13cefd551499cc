"""`m3ter-sync list`: asks the API live, and loads nothing."""

from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import click

from m3ter_sync.cli.logs import note
from m3ter_sync.cli.options import Instant, check_order, entity_types, json_option
from m3ter_sync.cli.output import build_writer
from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.source.tables import Table

_RUN_COLUMNS = ("id", "dtStarted", "status", "destination", "error")
_NOTIFICATION_COLUMNS = ("id", "code", "active", "eventName", "name")

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["table", "csv", "json", "jsonl"]),
    default="table",
    help="A table shows the main fields, CSV the documented ones, JSON all.  [default: table]",
)


@click.group("list")
def list_() -> None:
    """Ask the API live, and load nothing."""


@list_.command("runs", cls=Command)
@click.option(
    "--entity-type",
    type=entity_types,
    metavar="[Bill|Notification]",
    required=True,
    help="Whose runs.",
)
@click.option(
    "--entity-id",
    required=True,
    metavar="ID",
    help="The id of the bill or of the notification configuration.",
)
@click.option("--start-date", type=Instant(), help="Only runs that started after it.")
@click.option("--end-date", type=Instant(), help="Only runs that started before or on it.")
@click.option("--status", metavar="STATUS", help="Only runs of this status, such as ERROR.")
@click.option(
    "--order",
    type=click.Choice(["ASC", "DESC"], case_sensitive=False),
    metavar="[ASC|DESC]",
    help="By their start.",
)
@click.option("--page-size", type=click.IntRange(1, 200), default=200, help="Runs a request.")
@format_option
@json_option
def list_runs(
    entity_type: str,
    entity_id: str,
    start_date: datetime | None,
    end_date: datetime | None,
    status: str | None,
    order: Literal["ASC", "DESC"] | None,
    page_size: int,
    format_: str,
    as_json: bool,
) -> None:
    """List the integration runs of one bill or notification."""
    check_order(start_date, end_date, "--start-date and --end-date")
    from m3ter_sync.api import fetch_integration_runs
    from m3ter_sync.settings import load_settings
    from m3ter_sync.source import connect
    from m3ter_sync.source.tables import INTEGRATION_RUNS

    with closing(connect(load_settings())) as client:
        pages = fetch_integration_runs(
            client,
            entity_type,
            entity_id,
            start_date=start_date,
            end_date=end_date,
            status=status,
            order=order,
            page_size=page_size,
        )
        _print(pages, INTEGRATION_RUNS, _RUN_COLUMNS, "json" if as_json else format_)


@list_.command("notifications", cls=Command)
@click.option("--active/--inactive", default=None, help="Only those that are switched on, or off.")
@click.option("--event-name", metavar="NAME", help="Only those on this event type.")
@click.option("--id", "ids", multiple=True, metavar="ID", help="Only this one; may be repeated.")
@click.option("--page-size", type=click.IntRange(1, 100), default=100, help="Rows a request.")
@format_option
@json_option
def list_notifications(
    active: bool | None,
    event_name: str | None,
    ids: tuple[str, ...],
    page_size: int,
    format_: str,
    as_json: bool,
) -> None:
    """List the notification configurations."""
    from m3ter_sync.api import fetch_notification_configurations
    from m3ter_sync.settings import load_settings
    from m3ter_sync.source import connect
    from m3ter_sync.source.tables import NOTIFICATION_CONFIGURATIONS

    with closing(connect(load_settings())) as client:
        pages = fetch_notification_configurations(
            client, active=active, event_name=event_name, ids=ids, page_size=page_size
        )
        _print(
            pages,
            NOTIFICATION_CONFIGURATIONS,
            _NOTIFICATION_COLUMNS,
            "json" if as_json else format_,
        )


def _print(
    pages: Iterable[list[Any]], table: "Table", main_columns: tuple[str, ...], format_: str
) -> None:
    """Prints each page as it comes, just as the API served it."""
    documented = [column.field for column in table.columns]
    columns = documented if format_ == "csv" else main_columns
    count = 0
    with build_writer(format_, columns, keep=("id",)) as writer:
        for page in pages:
            writer.write(page)
            count += len(page)
    if format_ == "table":
        note(f"\n{count:,} {table.name.replace('_', ' ')}")
