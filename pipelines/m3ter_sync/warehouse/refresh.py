"""After the rows: models, checks, and the copy that others read."""

from typing import TYPE_CHECKING

from m3ter_sync.settings import SettingsError, read_settings
from m3ter_sync.warehouse.checks import CheckResult, run_checks
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.models import BuildResult, build_models, read_setting, setting_names
from m3ter_sync.warehouse.publish import publish
from m3ter_sync.warehouse.sql_files import ModelError, parse_model, read_models, sql_folder

if TYPE_CHECKING:
    import duckdb

# Days or hours; more would reach back before there are dates.
_LARGEST = 100_000
_NUMBER = f"a number from 0 to {_LARGEST:,}"
_TAKES = {
    "window_days": "a list of days, such as [1, 7, 28]",
    "counts_sandbox": "true or false",
}


def rebuild(connection: "duckdb.DuckDBPyConnection") -> BuildResult:
    """Builds the models, with the settings that `[sources.m3ter]` gives for the numbers.

    Raises:
        ModelError: a setting or a model cannot be used; the models are as they were.
    """
    names = setting_names(read_models(sql_folder()))
    return build_models(connection, settings=read_settings(names))


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
