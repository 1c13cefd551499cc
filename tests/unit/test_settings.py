"""A setting is found where it is given, and one that cannot work is refused by name."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

from m3ter_sync.api import DEFAULT_BASE_URL
from m3ter_sync.settings import SettingsError, load_settings
from m3ter_sync.warehouse.refresh import check_model_settings, rebuild

GIVEN = {"org_id": "org", "access_key_id": "key", "api_secret": "s3cret"}


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in os.environ:
        if name.startswith(("SOURCES__M3TER", "M3TER_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_what_is_given_wins_over_the_environment_and_that_over_the_sdks_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("M3TER_ORG_ID", "of the sdk")
    monkeypatch.setenv("M3TER_API_KEY", "key of the sdk")
    monkeypatch.setenv("M3TER_API_SECRET", "secret of the sdk")
    monkeypatch.setenv("M3TER_BASE_URL", "https://sdk.example")
    settings = load_settings()
    assert (settings.org_id, settings.access_key_id) == ("of the sdk", "key of the sdk")
    assert (settings.api_secret, settings.base_url) == ("secret of the sdk", "https://sdk.example")
    monkeypatch.setenv("SOURCES__M3TER__ORG_ID", "of dlt")
    assert load_settings().org_id == "of dlt"
    assert load_settings(org_id="given").org_id == "given"


def test_the_defaults_ask_for_half_of_what_the_organization_may_send() -> None:
    settings = load_settings(**GIVEN)
    assert settings.requests_per_second == 25
    assert settings.base_url == "https://api.m3ter.com"
    assert settings.entities_per_load == 10_000


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"access_key_id, api_secret.*M3TER_API_KEY"):
        load_settings(org_id="org")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 0), ("page_size", 201), ("threads", 0), ("requests_per_second", 0),
        ("requests_per_second", float("nan")), ("requests_per_second", float("inf")),
        ("overlap_hours", 0), ("overlap_hours", float("nan")), ("entities_per_load", 0),
        ("full_sweep_days", -1), ("shrink_limit", 1.5),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_with_its_bounds(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"{name} is .* must be between"):
        load_settings(**GIVEN, **{name: value})


def test_a_value_of_the_wrong_type_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOURCES__M3TER__PAGE_SIZE", "many")
    with pytest.raises(SettingsError) as refused:
        load_settings(**GIVEN)
    assert "\n" not in str(refused.value)


def test_the_secret_is_never_shown() -> None:
    assert "s3cret" not in repr(load_settings(**GIVEN))


def test_the_sdks_address_serves_where_no_other_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M3TER_BASE_URL", "https://sdk.example")
    assert load_settings(**GIVEN).base_url == "https://sdk.example"
    assert load_settings(**GIVEN, base_url=DEFAULT_BASE_URL).base_url == DEFAULT_BASE_URL


@pytest.mark.parametrize("given", ["[1, 7]", "1,7", "1, 7", "[1,7]"])
def test_windows_are_a_list_of_days_however_it_is_written(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("SOURCES__M3TER__WINDOW_DAYS", given)
    assert windows() == [1, 7]


def test_windows_may_be_a_list_of_a_settings_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text("[sources.m3ter]\nwindow_days = [1, 7]\n")
    read_the_files_again(monkeypatch)
    assert windows() == [1, 7]


def read_the_files_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What dlt does once in the life of a program."""
    context = Container()[PluggableRunContext]
    read = ConfigProvidersContainer(context.context.initial_providers())
    monkeypatch.setattr(context, "providers", read)


def windows() -> list[int]:
    """The windows of a build with what the settings give."""
    check_model_settings()
    with duckdb.connect() as connection:
        rebuild(connection)
        (row,) = connection.sql("select window_days from m3ter_staging.settings").fetchall()
    return list(row[0])


def test_a_secret_in_the_committed_file_is_refused_by_name_and_not_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path(".dlt").mkdir()
    Path(".dlt/config.toml").write_text('[sources.m3ter]\norg_id = "o"\napi_secret = "s3cret"\n')
    read_the_files_again(monkeypatch)
    with pytest.raises(SettingsError, match=r"config.toml.*api_secret.*secrets.toml") as caught:
        load_settings(access_key_id="key")
    assert "s3cret" not in str(caught.value)


def test_no_option_of_any_command_takes_a_secret() -> None:
    from m3ter_sync.cli import main

    commands = [*main.commands.values()]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
    names = {name for command in commands for each in command.params for name in each.opts}
    assert "--database" in names
    assert not [
        name
        for name in names
        if any(word in name for word in ("secret", "token", "pass", "key", "credential"))
    ]
