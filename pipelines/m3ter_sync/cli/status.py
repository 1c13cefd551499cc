"""`m3ter-sync status`: how fresh a warehouse is, what it holds, and what is left to do."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.exceptions import Exit

from m3ter_sync.cli.errors import ExitCode, describe
from m3ter_sync.cli.options import Duration, database_option, destination_option, json_option
from m3ter_sync.cli.output import echo_table, to_json, to_text
from m3ter_sync.cli.program import Command

if TYPE_CHECKING:
    from m3ter_sync.warehouse.status import Status


@click.command(cls=Command)
@database_option
@destination_option
@click.option(
    "--max-age",
    type=Duration(),
    help="End with exit code 4 when the last sync that succeeded began longer ago: 36h, 2d.",
)
@json_option
def status(
    database: Path | None, destination: str | None, max_age: timedelta | None, as_json: bool
) -> None:
    """Show freshness, rows, cursors, what is pending and what is published.

    While a sync runs it shows what the published copy knows.
    """
    from m3ter_sync.warehouse.location import Location
    from m3ter_sync.warehouse.status import read_status

    now = datetime.now(UTC)
    found = read_status(Location.of(database, destination), now)
    is_stale = None
    if max_age is not None:
        age = found.age_seconds
        # What lies as far in the future was dated by a clock that was wrong: it is no proof.
        is_stale = age is None or abs(age) > max_age.total_seconds()
    if as_json:
        refusal = describe(found.refusal) if found.refusal else None
        report = asdict(found) | {"refusal": refusal, "is_stale": is_stale}
        click.echo(to_json(report))
    else:
        _print(found, now, is_stale=bool(is_stale))
    # A sync that runs is no failure where the copy, or at least its age, answers what was asked.
    if found.refusal and not (found.is_locked and (found.source or is_stale is not None)):
        raise found.refusal
    if is_stale:
        raise Exit(ExitCode.STALE)


def _print(found: "Status", now: datetime, *, is_stale: bool) -> None:
    facts = [
        ("Warehouse", f"{found.database} ({_describe_sizes(found.sizes)})"),
        *_describe_source(found, now),
        ("Fresh to", _describe_freshness(found, is_stale=is_stale)),
    ]
    if last := found.last_sync:
        took = "" if last["seconds"] is None else f" after {last['seconds']:.1f} s"
        facts.append(("Last sync", f"{to_text(last['started_at'])} UTC, {last['outcome']}{took}"))
    facts.append(("Published", _describe_published(found)))
    if found.pending:
        facts.append(("Pending", _describe_pending(found)))
    if found.unread_row_count:
        count = f"{found.unread_row_count:,} rows of the last full sync cannot be read"
        facts.append(("Rejected", f"{count}; m3ter_raw.rejected_rows has them"))
    for title, text in facts:
        click.echo(f"{title:<9}  {text}")
    if found.tables:
        click.echo("\nRows")
        rows = [_describe_table(row, now) for row in found.tables]
        echo_table([*dict.fromkeys(name for row in rows for name in row)], rows)
    if found.entities:
        click.echo("\nCursors")
        echo_table([*_CURSORS.values()], [_shorten(row) for row in found.entities])
    elif found.open_run_count is not None:
        click.echo(f"\nOpen runs  {found.open_run_count:,}")
    if found.rejected:
        click.echo("\nNewest rejected rows")
        echo_table(["table_name", "reason", "rejected_at"], found.rejected)
    if found.errors:
        click.echo("\nLast errors")
        for sync in found.errors:
            click.echo(f"{to_text(sync['started_at'])}  {to_text(sync['error'])}")


def _describe_source(found: "Status", now: datetime) -> list[tuple[str, str]]:
    """Where the facts are from, if that is not the warehouse itself."""
    writing = []
    if found.held_by:
        writing = [("Writing", found.held_by.describe(now))]
    if found.refusal is None:
        return writing
    origin = (
        "what follows is what the published copy knows"
        if found.source
        else "there is no published copy that could tell"
    )
    return [*writing, ("", describe(found.refusal)), ("", f"So {origin}.")]


def _describe_freshness(found: "Status", *, is_stale: bool) -> str:
    if found.as_of is None or found.age_seconds is None:
        return "never: no sync of everything has succeeded"
    stale = ", stale" if is_stale else ""
    return f"{to_text(found.as_of)} UTC, {describe_age(found.age_seconds)} ago{stale}"


def _describe_published(found: "Status") -> str:
    copy = found.published
    if copy.published_at is None:
        return f"nothing: {copy.behind_because}" if copy.behind_because else "nothing"
    text = f"{to_text(copy.published_at)} UTC"
    if copy.failed_checks:
        text += f", by force: {', '.join(copy.failed_checks)} failed"
    if copy.is_behind:
        text += f", behind: {copy.behind_because}"
    return text


def _describe_pending(found: "Status") -> str:
    count = len(found.pending)
    size = describe_size(sum(package["bytes"] for package in found.pending))
    since = min(package["began_at"] for package in found.pending)
    packages = "1 load" if count == 1 else f"{count} loads"
    then = "a sync is at it" if found.is_locked else "the next sync finishes it"
    return f"{packages} ({size}) since {to_text(since)} UTC; {then}"


def _describe_sizes(sizes: dict[str, int]) -> str:
    return ", ".join(
        f"{title} {describe_size(sizes[name])}" if title else describe_size(sizes[name])
        for name, title in _SIZES.items()
        if sizes[name] or not title
    )


_SIZES = {
    "database": "",
    "wal": "log",
    "work_folder": "working folder",
    "published_folder": "published",
}


def _describe_table(row: dict[str, Any], now: datetime) -> dict[str, Any]:
    newest, changed, age = row["newest_record_at"], row["last_changed_at"], row["age_seconds"]
    cells = {
        "table": row["table"],
        "rows": row["rows"],
        "past": row.get("past_versions"),
        "last_load": changed and _describe_briefly((now - changed).total_seconds()),
        "newest_record": newest and f"{newest.astimezone(UTC):%Y-%m-%d %H:%M}",
        "age": None if age is None else _describe_briefly(age),
    }
    return cells | ({"rejected": row["rejected_rows"]} if row["rejected_rows"] else {})


_CURSORS = {
    "entity_type": "entity_type",
    "entity_count": "known",
    "never_asked_count": "unasked",
    "gone_count": "gone",
    "open_run_count": "open",
    "newest_run_started_at": "newest_run",
    "listed_since": "listed_since",
}


def _shorten(row: dict[str, Any]) -> dict[str, Any]:
    """The same under names, and times, that leave the table narrower than a terminal."""
    return {
        _CURSORS[name]: f"{value.astimezone(UTC):%Y-%m-%d %H:%M}"
        if isinstance(value, datetime)
        else value
        for name, value in row.items()
    }


def describe_age(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}s"
    return f"{max(seconds, 0):.0f} seconds"


def _describe_briefly(seconds: float) -> str:
    return describe_age(seconds).replace(" seconds", " s").replace(" minutes", " min")


def describe_size(size: int) -> str:
    """A number of bytes as people say it."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"
