"""After the rows: models, checks, and the copy that others read."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from m3ter_sync.report import write_report
from m3ter_sync.settings import SettingsError, read_settings
from m3ter_sync.warehouse.checks import CheckResult, run_checks
from m3ter_sync.warehouse.held import read_raw
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.models import BuildResult, build_models, read_setting, setting_names
from m3ter_sync.warehouse.publish import Publication, publish
from m3ter_sync.warehouse.sql_files import ModelError, parse_model, read_models, sql_folder

if TYPE_CHECKING:
    from m3ter_sync.warehouse.connection import Connection

_LOG = logging.getLogger(__name__)
# Days or hours; more would reach back before there are dates.
_LARGEST = 100_000
_NUMBER = f"a number from 0 to {_LARGEST:,}"
_TAKES = {
    "window_days": "a list of days, such as [1, 7, 28]",
    "counts_sandbox": "true or false",
}


def rebuild(connection: "Connection") -> BuildResult:
    """Builds the models, with the settings that `[sources.m3ter]` gives for the numbers.

    Raises:
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    import duckdb

    from m3ter_sync.warehouse.connection import as_postgres

    settings = read_model_settings()
    if isinstance(connection, duckdb.DuckDBPyConnection):
        return build_models(connection, settings=settings)
    from m3ter_sync.warehouse.postgres_models import build_models_on_postgres

    return build_models_on_postgres(as_postgres(connection).native, settings=settings)


def catch_up(location: Location) -> None:
    """Builds the models of a lake where another machine synced into it since they were built here.

    What was added to a lake is taken in when it is opened; models that are tables are not.

    Raises:
        WarehouseError: the lake cannot be read, or a command here is writing.
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    if not location.is_lake:
        return
    with location.connect(read_only=True) as connection:
        facts = read_raw(connection)
    if facts.status.get("as_of") != facts.models_as_of:
        with location.acquire("models"), location.connect() as connection:
            rebuild(connection)


def read_model_settings() -> dict[str, Any]:
    """What `[sources.m3ter]` gives for the numbers."""
    return read_settings(setting_names(read_models(sql_folder())))


def check_model_settings() -> None:
    """Refuses what cannot be used for a number, before anything is asked or loaded.

    Raises:
        SettingsError: names the setting and what it takes.
    """
    import duckdb

    model = parse_model(sql_folder() / "staging" / "settings.sql")
    given = read_settings(setting_names([model]))
    if not given:
        return
    with duckdb.connect() as connection:
        for name, value in given.items():
            try:
                used = read_setting(connection, model, name, value)
            except ModelError:
                used = None
            numbers = used if isinstance(used, list) else [used]
            low = 1 if name == "window_days" else 0
            if not numbers or not all(n is not None and low <= n <= _LARGEST for n in numbers):
                raise SettingsError(f"{name} is {value!r}; it must be {_TAKES.get(name, _NUMBER)}.")


def read_stale_after() -> timedelta:
    """How old the last sync that succeeded may be; known also where nothing is loaded.

    Raises:
        SettingsError: what is given for it is no number.
    """
    import duckdb

    name = "stale_after_hours"
    model = parse_model(sql_folder() / "staging" / "settings.sql")
    value = read_settings([name]).get(name)
    try:
        with duckdb.connect() as connection:
            return timedelta(hours=read_setting(connection, model, name, value))
    except (ModelError, OverflowError):
        raise SettingsError(f"{name} is {value!r}; it must be {_NUMBER}.") from None


def refresh(
    connection: "Connection", location: Location, *, now: datetime | None = None
) -> list[CheckResult]:
    """Builds the models, runs the checks and publishes; returns the checks that failed.

    Where one failed, nothing is published: readers keep the last copy that passed. `now` is for
    the freshness and the manifest; by default the clock.

    Raises:
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    rebuild(connection)
    failed, publication = check_and_publish(connection, location, now=now)
    if publication is None:
        _LOG.warning("%s", describe_refusal(failed, location))
    return failed


def check_and_publish(
    connection: "Connection",
    location: Location,
    *,
    is_forced: bool = False,
    now: datetime | None = None,
) -> tuple[list[CheckResult], Publication | None]:
    """Publishes where every check passes, or all the same where that is asked for.

    The report comes last, of what was published just now: whatever keeps it from being written
    does not keep the numbers from those who read them by SQL.

    Returns:
        The checks that failed, and what was published.

    Raises:
        ModelError: a check cannot be run; the models were never built.
        duckdb.Error: a mart is missing or there is no room; the old files are as they were.
        ReportNotWritten: the old report is as it was.
    """
    failed = [check for check in run_checks(connection, now=now) if not check.passed]
    if failed and not is_forced:
        return failed, None
    names = [check.name for check in failed]
    publication = publish(connection, location.published_folder, failed_checks=names, now=now)
    write_report(
        publication.database, location.published_report, script_folder=location.work_folder
    )
    return failed, publication


def describe_refusal(failed: Sequence[CheckResult], location: Location) -> str:
    """Why nothing was published, what readers see now, and what to do."""
    names = ", ".join(check.name for check in failed)
    manifest = read_manifest(location.published_folder)
    kept = "there is no earlier copy"
    if manifest:
        kept = f"readers keep the copy of {manifest.published_at:%Y-%m-%d %H:%M} UTC"
    return (
        f"Not published, {kept}: these checks failed: {names}. m3ter-sync check shows the rows; "
        "m3ter-sync publish --force publishes all the same."
    )
