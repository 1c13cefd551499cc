"""A setting is found where it is given, and one that cannot work is refused by name."""

from pathlib import Path
from typing import Any

import pytest

from m3ter_sync.settings import SettingsError, load_settings

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
