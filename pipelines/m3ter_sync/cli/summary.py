"""What a sync did, for people and as JSON."""

from typing import TYPE_CHECKING, Any

import click

from m3ter_sync.cli.output import echo_table

if TYPE_CHECKING:
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.summary import SyncSummary

_OUTCOMES = {
    "succeeded": "Synced everything",
    "partial": "Synced what was asked for",
    "stopped": "Stopped; what was complete is loaded, and the next sync goes on from there",
    "failed": "Failed",
}


def build_report(summary: "SyncSummary | None", location: "Location | None") -> dict[str, Any]:
    """The summary and where the data went; what is not known yet is left out."""
    from m3ter_sync.warehouse.manifest import read_manifest

    report = summary.to_dict() if summary else {}
    if location and location.destination:
        report["destination"] = location.destination
    elif location:
        report["database"] = str(location.database)
    if location and location.is_readable:
        manifest = read_manifest(location.published_folder)
        report["published_database"] = str(location.published_database) if manifest else None
        page = location.published_report
        report["report"] = str(page) if page.exists() else None
        report["published_at"] = manifest.published_at if manifest else None
        # False: readers see an earlier copy, or none.
        report["is_published"] = bool(summary and manifest and manifest.sync_id == summary.sync_id)
    return report


def print_summary(summary: "SyncSummary", location: "Location") -> None:
    """Prints what a sync did."""
    report = build_report(summary, location)
    click.echo(f"{_OUTCOMES[summary.outcome]} in {summary.seconds:.1f} s.\n")
    print_tables(summary)
    click.echo()
    facts = [
        ("Entities", _describe_entities(summary)),
        *(("", f"{entity} is gone: its rows stay") for entity in summary.entities_gone),
        ("Requests", _describe_requests(summary)),
    ]
    if summary.rejected_count:
        where = "m3ter_raw.rejected_rows says which and why"
        facts.append(("Rejected", f"{summary.rejected_count:,} rows cannot be read; {where}"))
    if summary.failed_checks:
        names = ", ".join(summary.failed_checks)
        facts.append(("Checks", f"failed: {names}; m3ter-sync check shows the rows"))
    if location.destination:
        facts.append(("Destination", location.destination))
    else:
        facts.append(("Database", report["database"]))
    if location.is_readable:
        facts.append(("Published", _describe_publication(report)))
        if report["is_published"]:
            facts.append(("Report", str(report["report"])))
    for title, text in facts:
        click.echo(f"{title:<11}  {text}")


def print_tables(summary: "SyncSummary") -> None:
    """Prints the rows of each table that the API was asked for."""
    columns = ["fetched", "new", "changed", "deleted"]
    if summary.rejected_count:
        columns.append("rejected")
    echo_table(
        ["table", *columns],
        (
            {"table": name, **{column: getattr(table, column) for column in columns}}
            for name, table in summary.tables.items()
            if any(getattr(table, column) for column in columns)
        ),
    )


def _describe_publication(report: dict[str, Any]) -> str:
    if report["is_published"]:
        return str(report["published_database"])
    if not report["published_at"]:
        return "nothing yet"
    return f"still the copy of {report['published_at']:%Y-%m-%d %H:%M} UTC"


def _describe_entities(summary: "SyncSummary") -> str:
    asked = f"{summary.entities_listed:,} of {summary.entities_known:,} asked for their runs"
    return f"{asked}; {summary.entities_skipped:,} skipped as unchanged or gone"


def _describe_requests(summary: "SyncSummary") -> str:
    pace = f"{summary.requests:,}, {summary.requests_per_second:.1f} a second"
    refused = f"{summary.retries:,} repeated, {summary.throttled:,} answered 429"
    return f"{pace}; {refused}; {summary.mean_ms:,.0f} ms each"
