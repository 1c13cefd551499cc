"""`m3ter-sync status`: how fresh a warehouse is, and what it holds."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode
from m3ter_sync.cli.options import Duration, database_option, json_option
from m3ter_sync.cli.output import echo_table, to_json, to_text
from m3ter_sync.cli.program import Command
from m3ter_sync.cli.query import fetch_rows

if TYPE_CHECKING:
    import duckdb

_ERROR_COUNT = 5


@click.command(cls=Command)
@database_option
@click.option(
    "--max-age",
    type=Duration(),
    help="End with exit code 4 when the last sync that succeeded began longer ago: 36h, 2d.",
)
@json_option
def status(database: Path | None, max_age: timedelta | None, as_json: bool) -> None:
    """Show freshness, rows, cursors and the last errors."""
    from m3ter_sync.warehouse.location import Location

    location = Location.of(database)
    with location.connect(read_only=True) as connection:
        report = {"database": str(location.database), **_read(connection, datetime.now(UTC))}
    age = report["age_seconds"]
    if max_age is not None:
        report["is_stale"] = age is None or age > max_age.total_seconds()
    if as_json:
        click.echo(to_json(report))
    else:
        _print(report)
    if report.get("is_stale"):
        raise Exit(ExitCode.STALE)


def _read(connection: "duckdb.DuckDBPyConnection", now: datetime) -> dict[str, Any]:
    from m3ter_sync.source.tables import TABLES
    from m3ter_sync.warehouse.location import RAW_SCHEMA
    from m3ter_sync.warehouse.state import closed_statuses

    names = fetch_rows(
        connection,
        "select table_name, list(column_name) as columns from duckdb_columns() "
        "where database_name = current_database() and schema_name = ? group by all",
        [RAW_SCHEMA],
    )
    held = {row["table_name"]: row["columns"] for row in names}
    syncs = fetch_rows(connection, _SYNCS) if "syncs" in held else []
    as_of = next((sync["started_at"] for sync in syncs if sync["outcome"] == "succeeded"), None)
    is_loaded = {"entities", "integration_runs"} <= held.keys()
    return {
        "as_of": as_of,
        "age_seconds": (now - as_of).total_seconds() if as_of else None,
        "last_sync": syncs[0] if syncs else None,
        "tables": [
            _count(connection, table.name, "_dlt_valid_to" in held[table.name])
            for table in TABLES
            if table.name in held
        ],
        "entities": fetch_rows(connection, _ENTITIES, [list(closed_statuses())])
        if is_loaded
        else [],
        "errors": [sync for sync in syncs if sync["error"]][:_ERROR_COUNT],
    }


_SYNCS = """
select started_at, finished_at, outcome, error, seconds, request_count,
    new_row_count, changed_row_count, rejected_row_count
from m3ter_raw.syncs order by started_at desc
"""
# A run that is open, and the newest start, are where the next listing of an entity begins.
_ENTITIES = """
with listed as (
    select entity_type, count(*) as entity_count, count(*) filter (where is_gone) as gone_count,
        min(listed_at) filter (where is_gone is not true) as listed_since
    from m3ter_raw.entities group by entity_type
),
runs as (
    select entity_type, count(*) filter (where not list_contains(?, status)) as open_run_count,
        max(dt_started) as newest_run_started_at
    from m3ter_raw.integration_runs group by entity_type
)
select entity_type, coalesce(entity_count, 0) as entity_count,
    coalesce(gone_count, 0) as gone_count, coalesce(open_run_count, 0) as open_run_count,
    newest_run_started_at, listed_since
from listed full join runs using (entity_type)
where entity_type != 'Organization'
order by entity_type
"""


def _count(connection: "duckdb.DuckDBPyConnection", name: str, has_history: bool) -> dict[str, Any]:
    current = "_dlt_valid_to is null" if has_history else "true"
    (row,) = fetch_rows(
        connection,
        f"select count(*) filter (where {current}) as rows, "  # noqa: S608 - names of our own
        f"count(*) filter (where not ({current})) as past_versions from m3ter_raw.{name}",
    )
    return {"table": name, **row}


def _print(report: dict[str, Any]) -> None:
    click.echo(f"Warehouse  {report['database']}")
    if report["as_of"]:
        stale = ", stale" if report.get("is_stale") else ""
        age = _describe_age(report["age_seconds"])
        click.echo(f"Fresh to   {to_text(report['as_of'])} UTC, {age} ago{stale}")
    else:
        click.echo("Fresh to   never: no sync of everything has succeeded")
    if last := report["last_sync"]:
        took = f"{last['outcome']} after {last['seconds']:.1f} s"
        click.echo(f"Last sync  {to_text(last['started_at'])} UTC, {took}")
    if report["tables"]:
        click.echo("\nRows")
        echo_table([*report["tables"][0]], report["tables"])
    if report["entities"]:
        click.echo("\nCursors")
        columns = ["entity_type", *_CURSORS.values()]
        echo_table(columns, [_shorten(row) for row in report["entities"]])
    if report["errors"]:
        click.echo("\nLast errors")
        for sync in report["errors"]:
            click.echo(f"{to_text(sync['started_at'])}  {to_text(sync['error'])}")


_CURSORS = {
    "entity_count": "known",
    "gone_count": "gone",
    "open_run_count": "open_runs",
    "newest_run_started_at": "newest_run",
    "listed_since": "listed_since",
}


def _shorten(row: dict[str, Any]) -> dict[str, Any]:
    """The same under names that leave the table narrower than a terminal."""
    return {_CURSORS.get(name, name): value for name, value in row.items()}


def _describe_age(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{max(seconds, 0):.0f} seconds"
