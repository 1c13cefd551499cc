"""Where each setting comes from; no secret is shown, only that it is set."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from dlt.common.configuration.specs import BaseConfiguration

from m3ter_sync import settings
from m3ter_sync.api import DEFAULT_BASE_URL, InsecureUrl
from m3ter_sync.api.connection import check_base_url
from m3ter_sync.doctor.findings import Finding, misconfigured, ok, warning
from m3ter_sync.settings import SDK_NAMES, Settings, SettingsError, load_settings
from m3ter_sync.warehouse.models import setting_names
from m3ter_sync.warehouse.refresh import check_model_settings
from m3ter_sync.warehouse.sql_files import parse_model, sql_folder

_PREFIX = "SOURCES__M3TER__"
_SECTIONS = ("sources", "m3ter")
_SHOWN = ("requests_per_second",)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting comes from.

    Attributes:
        value: The setting.
        place: The name in the environment, or the file and the name in it.
        is_secret: Whether the value must not be shown.
        is_elsewhere: Whether it stands outside of `[sources.m3ter]`, where dlt looks too.
    """

    value: Any
    place: str
    is_secret: bool = False
    is_elsewhere: bool = False


@dataclass(slots=True)
class Configuration:
    """What was found, and the settings where they can be used."""

    origins: Mapping[str, Origin] = field(default_factory=dict)
    settings: Settings | None = None
    error: SettingsError | None = None

    @property
    def base_url(self) -> str:
        """Where the API answers, also where other settings are missing."""
        origin = self.origins.get("base_url")
        return str(origin.value) if origin else DEFAULT_BASE_URL

    @property
    def org_id(self) -> str | None:
        """The organization that is named, also where other settings are missing."""
        origin = self.origins.get("org_id")
        return str(origin.value) if origin else None


def read_configuration() -> Configuration:
    """Resolves the settings as a sync does, and notes where dlt found each."""
    from dlt.common.configuration.utils import get_resolved_traces

    traces = get_resolved_traces()
    traces.clear()
    configuration = Configuration()
    try:
        configuration.settings = load_settings()
        check_model_settings()
    except SettingsError as error:
        configuration.settings, configuration.error = None, error
    configuration.origins = _find_origins(traces.resolved_traces)
    return configuration


def check_configuration(configuration: Configuration) -> Iterator[Finding]:
    """Names the files and the environment, then each setting with where it comes from."""
    files, names = _find_files("present_locations"), _present_names()
    none = f"none of {', '.join(_find_files('locations'))}"
    yield ok(
        "configuration",
        f"files: {', '.join(files) or none}; environment: {', '.join(names) or 'none'}",
        files=files,
        environment=names,
    )
    origins = configuration.origins
    shown = "; ".join(_describe(name, origins) for name in _names_to_show(origins))
    facts = {name: origin.place for name, origin in origins.items()}
    if configuration.error:
        yield misconfigured("settings", f"not usable: {shown}", str(configuration.error), **facts)
    else:
        yield ok("settings", f"{shown}; the rest as by default", **facts)
    for name, origin in origins.items():
        if origin.is_elsewhere:
            yield warning(
                "settings",
                f"{name} comes from {origin.place}, which may be meant for another program",
                f"Set {SDK_NAMES.get(name, _PREFIX + name.upper())} instead.",
            )
    if unknown := _unknown_names():
        yield warning(
            "settings",
            f"no such setting: {', '.join(unknown)}",
            "Check the spelling: the README lists all settings.",
            unknown=unknown,
        )


def _find_origins(traces: list[Any]) -> dict[str, Origin]:
    from dlt.common.configuration.providers import EnvironProvider
    from dlt.common.configuration.specs.base_configuration import is_secret_hint

    secret = {
        name
        for spec in _specs()
        for name, hint in spec.get_resolvable_fields().items()
        if is_secret_hint(hint)
    }
    known = _known_names()
    origins: dict[str, Origin] = {}
    for trace in traces:
        if trace.key not in known or trace.value == "":
            continue
        place = trace.provider_location or trace.provider_name
        if trace.provider_name == EnvironProvider().name:
            place = EnvironProvider.get_key_name(trace.key, *trace.sections)
        is_elsewhere = tuple(trace.sections) != _SECTIONS
        origins[trace.key] = Origin(trace.value, place, trace.key in secret, is_elsewhere)
    for name, sdk_name in SDK_NAMES.items():
        if name not in origins and os.environ.get(sdk_name):
            origins[name] = Origin(os.environ[sdk_name], sdk_name, name in secret)
    return origins


def _specs() -> list[type[BaseConfiguration]]:
    """Every group of settings that there is."""
    return [
        each
        for each in vars(settings).values()
        if isinstance(each, type)
        and issubclass(each, BaseConfiguration)
        and each.__module__ == settings.__name__
    ]


def _known_names() -> set[str]:
    model = parse_model(sql_folder() / "staging" / "settings.sql")
    names = {each.name for spec in _specs() for each in fields(spec)}
    return names | set(setting_names([model]))


def _names_to_show(origins: Mapping[str, Origin]) -> list[str]:
    return [
        *SDK_NAMES,
        *(name for name in dict.fromkeys((*_SHOWN, *sorted(origins))) if name not in SDK_NAMES),
    ]


def _describe(name: str, origins: Mapping[str, Origin]) -> str:
    """A setting as it may be shown to anyone."""
    if name not in origins:
        default = getattr(Settings, name, "")
        default = f"{default:g}" if isinstance(default, float) else default
        return f"{name} {default} (default)" if default else f"{name} missing"
    origin = origins[name]
    value = "set" if origin.is_secret else str(origin.value)
    if name == "base_url":
        try:
            check_base_url(value)
        except InsecureUrl:
            value = "set"  # it may hold a login
    return f"{name} {value} ({origin.place})"


def _providers() -> list[Any]:
    """dlt's, in the order in which it asks them; none where a file cannot be read."""
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.providers.toml import TomlProviderReadException
    from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext

    try:
        return list(Container()[PluggableRunContext].providers.providers)
    except TomlProviderReadException:
        return []  # which one, the settings say


def _find_files(which: str) -> list[str]:
    places = (place for provider in _providers() for place in getattr(provider, which))
    return list(dict.fromkeys(places))


def _present_names() -> list[str]:
    names = (*SDK_NAMES.values(), *sorted(os.environ))
    return [
        name
        for name in dict.fromkeys(names)
        if os.environ.get(name) and (name in SDK_NAMES.values() or name.startswith(_PREFIX))
    ]


def _unknown_names() -> list[str]:
    """What is given under our own prefix or section and is no setting."""
    known = _known_names()
    in_environment = [
        name
        for name in _present_names()
        if name.startswith(_PREFIX) and name.removeprefix(_PREFIX).lower() not in known
    ]
    in_files = [
        f"{name} in {', '.join(provider.present_locations)}"
        for provider in _providers()
        if provider.present_locations
        for section in [provider.get_value("m3ter", dict, None, "sources")[0]]
        if isinstance(section, dict)
        for name in section
        if name not in known
    ]
    return in_environment + in_files
