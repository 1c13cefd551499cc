"""The two headlines, read from a warehouse: what fails, and who would be told."""

from typing import TYPE_CHECKING, Any

import click

from m3ter_sync.cli.output import echo_table
from m3ter_sync.warehouse.location import fetch_rows

if TYPE_CHECKING:
    import duckdb

_MOST_ROWS = 12
_WIDTH = 80

_FAILURES = """
select destination, entity_type, decided_delivery_count, failed_delivery_count,
    delivery_failure_rate, delivery_failure_rate_low, delivery_failure_rate_high,
    previous_delivery_failure_rate, is_significant_change
from m3ter.integration_failure_rate
where window_name = '28d' and not is_sandbox and decided_delivery_count > 0
order by delivery_failure_rate desc, destination, entity_type
"""
_LADDER = """
select step, step_name,
    max(event_type_count) filter (where scope = 'all') as event_type_count,
    max(covered_count) filter (where scope = 'all') as covered_count,
    max(coverage_rate) filter (where scope = 'all') as coverage_rate,
    max(covered_count) filter (where scope = 'critical') as critical_covered_count,
    max(event_type_count) filter (where scope = 'critical') as critical_count
from m3ter.notification_coverage_summary
group by step, step_name order by step
"""
_MEANINGS = {
    "C1": "a notification listens to it",
    "C2": "… and is switched on",
    "C3": "… and its link works",
    "C4": "C3, and it always fires",
    "C5": "C3, and it arrived lately",
}
_UNHEARD = """
select event_type, highest_step
from m3ter.event_coverage where is_critical and is_deliverable is not true
order by event_type
"""
_PROBLEMS = """
select coverage_status as status, notification_name as notification, event_name as event
from m3ter.notification_coverage
where coverage_status not in ('delivering', 'deleted', 'inactive')
order by array_position(['failing', 'blocked', 'unlinked', 'orphaned', 'silent'], coverage_status),
    notification_name
"""


def print_answers(connection: "duckdb.DuckDBPyConnection") -> None:
    """Prints both answers; every figure is read from the marts."""
    click.secho("What share of integrations fails? (deliveries of the last 28 days)", bold=True)
    echo_table(
        ["destination", "of", "decided", "failed", "rate", "95 % interval", "28 days before"],
        map(_describe_failures, fetch_rows(connection, _FAILURES)),
    )
    click.echo("A delivery is a run with its retries; it is decided when it succeeded or failed.")
    click.echo("* marks a change beyond chance.\n")
    click.secho("Who would be told? (event types with a notification on them)", bold=True)
    echo_table(
        ["step", "which means", "covered", "share", "critical"],
        map(_describe_step, fetch_rows(connection, _LADDER)),
    )
    unheard = fetch_rows(connection, _UNHEARD)
    if unheard:
        click.echo("\nCritical events that nobody would hear of:")
        for row in unheard:
            click.echo(f"  {row['event_type']}")
    problems = fetch_rows(connection, _PROBLEMS)
    if problems:
        click.echo("\nActive notifications that do not do their work:")
        echo_table([*problems[0]], problems[:_MOST_ROWS], width=_WIDTH)
        if len(problems) > _MOST_ROWS:
            click.echo(f"… and {len(problems) - _MOST_ROWS} more in m3ter.notification_coverage")
        click.echo("blocked: its link is off; unlinked: it has none; orphaned: no such event;")
        click.echo("failing: its last delivery failed; silent: no run in a while.")
    click.echo()


def _describe_failures(row: dict[str, Any]) -> dict[str, Any]:
    low, high = row["delivery_failure_rate_low"], row["delivery_failure_rate_high"]
    mark = " *" if row["is_significant_change"] else ""
    return {
        "destination": row["destination"],
        "of": f"{row['entity_type']}s",
        "decided": row["decided_delivery_count"],
        "failed": row["failed_delivery_count"],
        "rate": _percent(row["delivery_failure_rate"]),
        "95 % interval": f"{_percent(low)} to {_percent(high)}",
        "28 days before": f"{_percent(row['previous_delivery_failure_rate'])}{mark}",
    }


def _describe_step(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "step": f"{row['step']} {row['step_name']}",
        "which means": _MEANINGS[row["step"]],
        "covered": f"{row['covered_count']} of {row['event_type_count']}",
        "share": _percent(row["coverage_rate"]),
        "critical": f"{row['critical_covered_count']} of {row['critical_count']}",
    }


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"
