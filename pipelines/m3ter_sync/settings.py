"""The settings of a sync: one place for each name, default and explanation.

They come through dlt's configuration: `[sources.m3ter]` in `.dlt/config.toml` and
`.dlt/secrets.toml`, or `SOURCES__M3TER__ORG_ID` and so on in the environment. Where those
are silent, the names that m3ter's own SDK reads serve: see `SDK_NAMES`. An API secret that is
nowhere is looked for in the system's keyring, where the package keyring is installed.
"""

import dataclasses
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import dlt
from dlt.common.configuration import configspec, resolve_configuration
from dlt.common.configuration.exceptions import (
    ConfigurationException,
    ValueNotSecretException,
)
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs import BaseConfiguration
from dlt.common.typing import TSecretStrValue

from m3ter_sync.api import DEFAULT_BASE_URL, DEFAULT_REQUESTS_PER_SECOND
from m3ter_sync.keyring import ask_keyring

SDK_NAMES = {
    "org_id": "M3TER_ORG_ID",
    "access_key_id": "M3TER_API_KEY",
    "api_secret": "M3TER_API_SECRET",
    "base_url": "M3TER_BASE_URL",
}
_REQUIRED = ("org_id", "access_key_id", "api_secret")
_Spec = TypeVar("_Spec", bound=BaseConfiguration)
# A URL may hold a comma or, badly written, a space: it ends where the next one begins.
_BETWEEN_URLS = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9]*://)")


class SettingsError(Exception):
    """A setting is missing or wrong; the message says which and how to give it."""


@configspec
class Settings(BaseConfiguration):
    """What a sync needs to know; see the README for the table of all of them."""

    org_id: str = ""
    """The organization's id."""
    access_key_id: TSecretStrValue = dataclasses.field(default=TSecretStrValue(""), repr=False)
    """The service user's access key id."""
    api_secret: TSecretStrValue = dataclasses.field(default=TSecretStrValue(""), repr=False)
    """The service user's API secret."""
    base_url: str = DEFAULT_BASE_URL
    """Where the API answers."""
    requests_per_second: float = DEFAULT_REQUESTS_PER_SECOND
    """How many requests a second a sync may send; m3ter allows 50 for the whole organization."""
    threads: int = 32
    """How many requests may be under way at once."""
    timeout_seconds: float = 60.0
    """How long m3ter may be silent, in seconds; a whole answer may take twice as long."""
    retry_seconds: float = 600.0
    """How long a request that fails for a passing reason is repeated, ten times at most."""
    page_size: int = 200
    """Integration runs in a page, 1 to 200."""
    overlap_hours: float = 24.0
    """How far before its newest run an entity is listed again, in hours."""
    entities_per_load: int = 10_000
    """After how many entities what was fetched is loaded; 500,000 runs are loaded in any case."""
    full_sweep_days: float = 7.0
    """After how many days an entity is listed in full even where nothing seems changed."""
    shrink_limit: float = 0.5
    """A larger share of rows that a listing lost, or of 404s (and more than 10), is refused."""

    def check(self, keyring_says: str = "") -> None:
        """Refuses values that cannot work.

        Args:
            keyring_says: Why the keyring did not give the API secret, if it was asked for it.

        Raises:
            SettingsError: names the setting and the values it takes.
        """
        missing = [name for name in _REQUIRED if not getattr(self, name)]
        if missing:
            names = ", ".join(f"SOURCES__M3TER__{name.upper()}" for name in missing)
            raise SettingsError(
                f"Missing: {', '.join(missing)}. Set {names} (or "
                f"{', '.join(SDK_NAMES[name] for name in missing)}) in the environment, or "
                f"{', '.join(missing)} under [sources.m3ter] in .dlt/secrets.toml.{keyring_says}"
            )
        for name in (*_REQUIRED, "base_url"):
            if not isinstance(getattr(self, name), str):
                # Its value may be a secret.
                raise SettingsError(f"{name} is no text: put it in quotes.")
        limits: dict[str, tuple[float, float]] = {
            "requests_per_second": (0.01, 1_000_000),
            "threads": (1, 256),
            "timeout_seconds": (0.1, 3600),
            "retry_seconds": (0, 86_400),
            "page_size": (1, 200),
            # The API's startDate is exclusive: a run that started in the same instant as the
            # newest one that is held would be missed without a second of overlap.
            "overlap_hours": (1 / 3600, 24 * 3660),
            "entities_per_load": (1, 10_000_000),
            "full_sweep_days": (0, 3660),
            "shrink_limit": (0, 1),
        }
        _check_limits(self, limits)


@configspec
class AlertSettings(BaseConfiguration):
    """Who is told of what; see docs/alerts.md."""

    alert_urls: TSecretStrValue = dataclasses.field(default=TSecretStrValue(""), repr=False)
    """Who is told: Apprise URLs, a list or a text with commas or spaces between; a secret."""
    alert_incident_deliveries: int = 3
    """An incident is told of when so many deliveries failed in a row, or it lasts over a day."""
    alert_failure_rate: float = 0.1
    """A failure rate is told of when it is credibly above this; 1 turns that off."""
    alert_minimum_deliveries: int = 20
    """A failure rate is told of when it stands on so many decided deliveries at least."""
    alert_window_days: int = 7
    """The days that this rate is about: the nearest of window_days."""

    @property
    def urls(self) -> list[str]:
        """The URLs, each once."""
        text = self.alert_urls or ""
        # A list of a settings file comes as JSON.
        given = json.loads(text) if text.startswith("[") else _BETWEEN_URLS.split(text)
        return [*dict.fromkeys(url for each in given if (url := str(each).strip(" ,\t\r\n")))]

    def check(self) -> None:
        """Refuses values that cannot work.

        Raises:
            SettingsError: names the setting and the values it takes.
        """
        try:
            _ = self.urls
        except ValueError:
            raise SettingsError("alert_urls is neither a list of URLs nor text.") from None
        _check_limits(
            self,
            {
                "alert_incident_deliveries": (1, 1_000_000),
                "alert_failure_rate": (0, 1),
                "alert_minimum_deliveries": (1, 1_000_000),
                "alert_window_days": (1, 100_000),
            },
        )


def load_settings(**given: Any) -> Settings:
    """Resolves the settings; what is given here wins over files and environment.

    Raises:
        SettingsError: a setting is missing, of the wrong type, or out of range.
    """
    # Empty, so that the default cannot be taken for what was given.
    settings = _resolve(Settings(base_url=""), given)
    for name, sdk_name in SDK_NAMES.items():
        if not getattr(settings, name):
            setattr(settings, name, os.environ.get(sdk_name, ""))
    settings.base_url = settings.base_url or DEFAULT_BASE_URL
    keyring_says = ""
    if settings.access_key_id and not settings.api_secret:
        secret, keyring_says = ask_keyring(settings.access_key_id)
        settings.api_secret = TSecretStrValue(secret)
    settings.check(keyring_says)
    return settings


def load_alert_settings() -> AlertSettings:
    """Resolves what alerts need to know; no account is needed for them.

    Raises:
        SettingsError: a setting is of the wrong type, or out of range.
    """
    settings = _resolve(AlertSettings(), {})
    settings.check()
    return settings


def _resolve(settings: _Spec, given: Mapping[str, Any]) -> _Spec:
    explicit = {name: value for name, value in given.items() if value is not None}
    try:
        return resolve_configuration(
            settings, sections=("sources", "m3ter"), explicit_value=explicit or None
        )
    except TomlProviderReadException as error:
        raise SettingsError(_describe_unreadable(error)) from None
    except ValueNotSecretException as error:
        name = error.key.rpartition(".")[2]
        raise SettingsError(
            f"{error.provider_name} is no place for {name}: whoever sees the repository sees it. "
            f"Move it to .dlt/secrets.toml or the environment, and if the file was ever committed, "
            "replace the key in m3ter."
        ) from None
    except (ConfigurationException, ValueError, TypeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise SettingsError(
            f"The settings of [sources.m3ter] cannot be read: {first_line}"
        ) from None


def _check_limits(settings: BaseConfiguration, limits: Mapping[str, tuple[float, float]]) -> None:
    for name, (low, high) in limits.items():
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"{name} must be a number between {low:g} and {high:g}.")
        if not low <= value <= high:
            shown = "too large" if abs(value) > sys.float_info.max else f"{value:g}"
            raise SettingsError(f"{name} is {shown}; it must be between {low:g} and {high:g}.")


def read_settings(names: Iterable[str]) -> dict[str, Any]:
    """What `[sources.m3ter]` gives for some names that are none of `Settings`.

    Raises:
        SettingsError: a file of settings cannot be read.
    """
    try:
        given: dict[str, Any] = {name: dlt.config.get(f"sources.m3ter.{name}") for name in names}
    except TomlProviderReadException as error:
        raise SettingsError(_describe_unreadable(error)) from None
    return {name: value for name, value in given.items() if value not in (None, "")}


def _describe_unreadable(error: TomlProviderReadException) -> str:
    """Names the file and the place; nothing of what stands there, which may be a secret."""
    paths = [path for path in error.full_paths if os.path.lexists(path)]
    names = " or ".join(paths) or error.file_name
    if isinstance(error.__context__, OSError):
        return f"{names} cannot be read: {error.__context__.strerror}."
    place = re.search(r" at line \d+ col \d+", str(error))
    return f"{names} is not valid TOML{place[0] if place else ''}. Text stands in quotes there."
