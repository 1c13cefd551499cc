"""After the rows: models, checks, and the copy that others read."""

from typing import TYPE_CHECKING

from m3ter_sync.warehouse.checks import CheckResult, run_checks
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.models import BuildResult, build_models, setting_names
from m3ter_sync.warehouse.publish import publish
from m3ter_sync.warehouse.sql_files import read_models, sql_folder

if TYPE_CHECKING:
    import duckdb


def rebuild(connection: "duckdb.DuckDBPyConnection") -> BuildResult:
    """Builds the models, with the settings that `[sources.m3ter]` gives for the numbers.

    Raises:
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    import dlt

    names = setting_names(read_models(sql_folder()))
    given: dict[str, object] = {name: dlt.config.get(f"sources.m3ter.{name}") for name in names}
    return build_models(connection, settings=given)


def refresh(connection: "duckdb.DuckDBPyConnection", location: Location) -> list[CheckResult]:
    """Builds the models, runs the checks and publishes; returns the checks that failed.

    A failed check stops nothing: what is published then tells more than yesterday's copy, and
    the exit code tells that it is to be looked into.

    Raises:
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    rebuild(connection)
    publish(connection, location.published_folder)
    return [check for check in run_checks(connection) if not check.passed]
