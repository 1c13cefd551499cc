"""Puts the page together, and in its place."""

import base64
import hashlib
import os
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from m3ter_sync.report.charts import read_script
from m3ter_sync.report.course import build_course
from m3ter_sync.report.coverage import build_coverage
from m3ter_sync.report.errors import build_errors
from m3ter_sync.report.fire import build_fire
from m3ter_sync.report.freshness import build_freshness
from m3ter_sync.report.published import Published, open_published
from m3ter_sync.report.rates import build_rates
from m3ter_sync.report.recovery import build_recovery
from m3ter_sync.report.tables import fit_tables
from m3ter_sync.report.words import say_count, say_duration, say_long_time
from m3ter_sync.warehouse.manifest import MANIFEST_NAME
from m3ter_sync.warehouse.permissions import open_by_umask

# In the order in which they are asked.
_SECTIONS = (
    build_fire,
    build_rates,
    build_course,
    build_errors,
    build_recovery,
    build_coverage,
    build_freshness,
)
# How a page is called until it is in its place, and how long none takes.
_ASIDE = ".report-"
_ABANDONED_AFTER_SECONDS = 3600
_Copy = tuple[tuple[int, int], ...]


class ReportNotWritten(Exception):
    """The report cannot be put in its place; the message says why."""


def write_report(database: Path, target: Path, *, script_folder: Path | None = None) -> Path:
    """Writes the report on a published copy.

    It is written beside the old one and then takes its place: a reader sees the one or the other.

    Args:
        database: The published copy, `published/m3ter.duckdb`; it is only read.
        target: The HTML file.
        script_folder: Where the charts' script is kept for the next report.

    Raises:
        NothingPublished: there is no published copy, or it is not whole.
        ReportNotWritten: the file cannot be written; the old one is as it was.
    """
    try:
        _remove_leftovers(target.parent)
        while True:
            copy = _identify(database)
            with open_published(database) as published:
                page = _render(published, datetime.now(UTC), script_folder)
            # What was published meanwhile has a newer report, or gets it here.
            if _replace(target, page, database, copy):
                return target
    except OSError as error:
        raise ReportNotWritten(
            f"{target} cannot be written: {error.strerror}. What was published for SQL is "
            "whole; once there is room, m3ter-sync report writes the report."
        ) from error


def _identify(database: Path) -> _Copy:
    """What tells a publication from the next: its manifest is the last of its files."""
    files = [path for path in (database, database.with_name(MANIFEST_NAME)) if path.exists()]
    return tuple((state.st_ino, state.st_mtime_ns) for state in map(Path.stat, files))


def _replace(target: Path, page: str, database: Path, copy: _Copy) -> bool:
    """Puts a page in its place, unless another copy is published by now."""
    descriptor, name = tempfile.mkstemp(prefix=_ASIDE, suffix=".html", dir=target.parent)
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(page)
        # A temporary file is its owner's alone; a report is for whoever may read the folder.
        open_by_umask(aside)
        if _identify(database) != copy:
            return False
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return True


def _remove_leftovers(folder: Path) -> None:
    """Removes what was left behind by those that were killed; others may be writing just now."""
    for path in folder.glob(f"{_ASIDE}*.html"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _ABANDONED_AFTER_SECONDS:
                path.unlink()


def _render(published: Published, now: datetime, script_folder: Path | None) -> str:
    settings = published.settings
    sections = [build(published) for build in _SECTIONS]
    fit_tables([table for section in sections for table in section.tables])
    environment = Environment(
        loader=PackageLoader("m3ter_sync.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [_read_asset("report.js")]
    if any(section.figures for section in sections):
        scripts.insert(0, read_script(script_folder))
    style = _read_asset("report.css")
    return environment.get_template("report.html").render(
        sections=sections,
        failed_checks=published.failed_checks,
        as_of=published.as_of,
        as_of_words=published.as_of and say_long_time(published.as_of),
        stale_after_seconds=3600 * settings["stale_after_hours"],
        stale_after=say_duration(3600 * settings["stale_after_hours"]),
        stuck_after=say_duration(3600 * settings["stuck_after_hours"]),
        new_error_days=say_count(settings["new_error_days"], "day"),
        silent_after_days=say_count(settings["silent_after_days"], "day"),
        written_at=now,
        written_at_words=say_long_time(now),
        style=Markup(style),  # noqa: S704 - our own file
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own and the library's
        script_hashes=[_hash(script) for script in scripts],
    )


def _read_asset(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


@cache
def _hash(text: str) -> str:
    """What a Content-Security-Policy knows a script by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
