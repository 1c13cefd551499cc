"""m3ter itself: is it reached, does it let us in, does each endpoint answer as documented?

Each request is sent once: what fails is told, not waited for.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies

from m3ter_sync.api import (
    AccessRefused,
    Clock,
    CredentialsRefused,
    InsecureUrl,
    M3terClient,
    M3terError,
    Observation,
    fetch_bills,
    fetch_event_types,
    fetch_integration_configurations,
    fetch_integration_runs,
    fetch_notification_configurations,
    measure_clock_skew,
    read_rate_limits,
)
from m3ter_sync.doctor.configuration import Configuration
from m3ter_sync.doctor.findings import Finding, misconfigured, ok, problem, warning
from m3ter_sync.doctor.shapes import judge_rows
from m3ter_sync.source import Entity
from m3ter_sync.source.tables import (
    BILLS,
    INTEGRATION_CONFIGURATIONS,
    INTEGRATION_RUNS,
    NOTIFICATION_CONFIGURATIONS,
    Table,
)

ORGANIZATION_LIMIT = 50
_PAGE_SIZE = 50
_MOST_SKEW_SECONDS = 30
_TIMEOUT_SECONDS = 30.0
_PROXY_NAMES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_TRUST_NAMES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(slots=True)
class Visit:
    """A round of cheap requests, and what came of it.

    Attributes:
        client: Sends each request once; None until the address is known to be usable.
        observations: Every answer, in order.
        is_reached: Whether the base URL answers.
        is_let_in: Whether there is a token.
        rows: The first page of each listing that answered, by table.
        runs: The newest runs of each entity that was listed.
    """

    configuration: Configuration
    clock: Clock
    client: M3terClient | None = None
    observations: list[Observation] = field(default_factory=list)
    is_reached: bool = False
    is_let_in: bool = False
    rows: dict[str, list[Any]] = field(default_factory=dict)
    runs: dict[Entity, list[Any]] = field(default_factory=dict)

    def close(self) -> None:
        """Closes the connections."""
        if self.client:
            self.client.close()

    @property
    def request_count(self) -> int:
        """How many requests were sent."""
        return self.client.statistics.requests if self.client else 0


def check_base_url(visit: Visit) -> Iterator[Finding]:
    """Whether the host is found and answers, over TLS that can be trusted, or through a proxy."""
    url, settings = visit.configuration.base_url, visit.configuration.settings
    try:
        visit.client = M3terClient(
            org_id=settings.org_id if settings else "",
            access_key_id=settings.access_key_id if settings else "",
            api_secret=settings.api_secret if settings else "",
            base_url=url,
            timeout=_TIMEOUT_SECONDS,
            max_attempts=1,
            clock=visit.clock,
            on_answer=visit.observations.append,
        )
    except InsecureUrl as error:
        yield misconfigured("base_url", str(error), "Correct base_url.")
        return
    parts = urlsplit(url)
    through = _name_proxies(url)
    try:
        if not through:
            socket.getaddrinfo(parts.hostname, parts.port or parts.scheme, type=socket.SOCK_STREAM)
        visit.client.reach()
    except socket.gaierror as error:
        yield problem(
            "base_url",
            f"the name {parts.hostname} cannot be resolved ({error.strerror})",
            "Check base_url, and the name service (DNS) of this machine.",
        )
    except M3terError as error:
        yield problem("base_url", f"{url}{through}: {error}")
    else:
        trusted = next((name for name in _TRUST_NAMES if os.environ.get(name)), "requests")
        trust = f" with a certificate that {trusted} trusts" if parts.scheme == "https" else ""
        visit.is_reached = True
        yield ok("base_url", f"{url} answers{trust}{through}")


def _name_proxies(url: str) -> str:
    """The variables that name a proxy for it; never their values, which may hold a login."""
    # Plain http is for this machine alone, and goes through none.
    if not url.startswith("https:") or not get_environ_proxies(url).keys() & {"https", "all"}:
        return ""
    names = [name for name in _PROXY_NAMES if os.environ.get(name)]
    return f" (through the proxy of {', '.join(names)})"


def check_token(visit: Visit) -> Iterator[Finding]:
    """Whether the credentials are good for a token."""
    client = visit.client
    if client is None or not visit.is_reached or visit.configuration.settings is None:
        lacking = "base_url" if visit.configuration.settings else "settings"
        yield warning(
            "token",
            "not asked for, so nothing that needs one is checked",
            f"Mend what is said of {lacking}, then run m3ter-sync doctor again.",
        )
        return
    try:
        client.authenticate()
    except CredentialsRefused as error:
        yield misconfigured("token", str(error))
    except M3terError as error:
        yield problem("token", str(error))
    else:
        visit.is_let_in = True
        yield ok("token", "m3ter gives one for this access key")


def check_listings(visit: Visit) -> Iterator[Finding]:
    """Permission and shape of the listings that a sync begins with, one request each."""
    client = visit.client
    if client is None or not visit.is_let_in:
        return
    yield from _check_rows(
        visit, "bills", BILLS, lambda: next(fetch_bills(client, page_size=_PAGE_SIZE), [])
    )
    yield from _check_rows(
        visit,
        "notifications",
        NOTIFICATION_CONFIGURATIONS,
        lambda: next(fetch_notification_configurations(client, page_size=_PAGE_SIZE), []),
    )
    yield from _check_rows(
        visit,
        "integrationconfigs",
        INTEGRATION_CONFIGURATIONS,
        lambda: next(fetch_integration_configurations(client, page_size=_PAGE_SIZE), []),
    )
    try:
        names = fetch_event_types(client)
    except M3terError as error:
        yield describe_refusal("events/types", error)
    else:
        yield ok("events/types", f"{len(names)} event types")


def check_runs(visit: Visit, entities: Sequence[Entity]) -> Iterator[Finding]:
    """Permission and shape of the runs of some entities, one request each."""
    client = visit.client
    if client is None or not visit.is_let_in:
        return
    for entity_type in ("Bill", "Notification"):
        name = f"integrationruns/{entity_type}"
        chosen = [entity for entity in entities if entity.entity_type == entity_type]
        if not chosen:
            yield ok(name, f"not asked: there is no {entity_type.lower()} to ask for")
            continue
        rows: list[Any] = []
        try:
            for entity in chosen:
                pages = fetch_integration_runs(client, entity_type, entity.entity_id)
                visit.runs[entity] = next(pages, [])
                rows += visit.runs[entity]
        except M3terError as error:
            yield describe_refusal(name, error)
        else:
            yield from describe_shape(name, INTEGRATION_RUNS, rows)


def _check_rows(
    visit: Visit, name: str, table: Table, fetch: Callable[[], list[Any]]
) -> Iterator[Finding]:
    try:
        rows = visit.rows[table.name] = fetch()
    except M3terError as error:
        yield describe_refusal(name, error)
    else:
        yield from describe_shape(name, table, rows)


def describe_refusal(name: str, error: M3terError) -> Finding:
    """A request that brought nothing; what to do stands in the error itself."""
    if isinstance(error, AccessRefused | CredentialsRefused):
        return misconfigured(name, str(error))
    return problem(name, str(error))


def describe_shape(name: str, table: Table, rows: list[Any]) -> Iterator[Finding]:
    """Whether the rows of a page are as documented; names are shown, values never."""
    if not rows:
        yield ok(name, "readable, and empty: its shape was not seen")
        return
    shape = judge_rows(table, rows)
    facts = {"rows": shape.row_count, "unknown_fields": shape.unknown}
    if shape.is_broken:
        lacks = f"required fields are missing: {', '.join(shape.missing)}" if shape.missing else ""
        cannot = f"rows cannot be read: {'; '.join(shape.unreadable)}" if shape.unreadable else ""
        yield problem(
            name,
            "; ".join(filter(None, (lacks, cannot))),
            "m3ter's API has changed: look for a newer m3ter-sync, or report it. A sync keeps "
            "such rows in m3ter_raw.rejected_rows.",
            missing_fields=shape.missing,
            **facts,
        )
    if shape.unknown_statuses:
        yield warning(
            name,
            f"unknown statuses: {', '.join(shape.unknown_statuses)}",
            "Look for a newer m3ter-sync. Until then such runs count as unknown, a check fails, "
            "and m3ter-sync publish --force publishes all the same.",
            unknown_statuses=shape.unknown_statuses,
        )
    if not shape.is_broken:
        also = "; also served, " if shape.unknown else ""
        kept = "loaded as text: " if table.loads_unknown_fields else "not loaded: "
        fields = f"{also}{kept}{', '.join(shape.unknown)}" if shape.unknown else ""
        yield ok(name, f"{shape.row_count} rows as documented{fields}", **facts)


def check_clock(visit: Visit) -> Iterator[Finding]:
    """Whether the clock here goes as m3ter's does."""
    skew = measure_clock_skew(visit.observations)
    if not visit.observations:
        yield ok("clock", "not compared: nothing answered")
        return
    if skew is None:
        yield warning(
            "clock",
            "not compared: no answer had a Date that can be read",
            "See to it that this machine's clock is set by a time server.",
        )
        return
    facts = {"skew_seconds": round(skew.seconds, 1), "uncertainty_seconds": skew.uncertainty}
    side = "ahead of" if skew.seconds > 0 else "behind"
    found = (
        f"m3ter's clock is {abs(skew.seconds):.1f} s {side} this one, give or take "
        f"{skew.uncertainty:.1f} s (HTTP tells whole seconds)"
    )
    if skew.at_least > _MOST_SKEW_SECONDS:
        advice = "Set this machine's clock by a time server (timedatectl set-ntp true)."
        yield warning("clock", found, advice, **facts)
    else:
        yield ok("clock", found, **facts)


def check_rate(visit: Visit) -> Iterator[Finding]:
    """What the answers say of limits, beside the setting."""
    if not visit.observations:
        yield ok("rate limit", "not seen: nothing answered")
        return
    settings = visit.configuration.settings
    rate = settings.requests_per_second if settings else None
    headers = read_rate_limits(visit.observations)
    throttled = sum(each.status == 429 for each in visit.observations)
    seen = ", ".join(f"{name}: {value}" for name, value in headers.items()) or "no limit in headers"
    setting = "" if rate is None else f"; requests_per_second is {rate:g}"
    found = f"{throttled} of {len(visit.observations)} answers were 429, {seen}{setting}"
    facts = {"throttled": throttled, "headers": headers, "requests_per_second": rate}
    if throttled:
        advice = "The organization is at its limit now: lower requests_per_second, or sync later."
        yield warning("rate limit", found, advice, **facts)
    elif rate is not None and rate > ORGANIZATION_LIMIT:
        advice = (
            f"m3ter allows the organization {ORGANIZATION_LIMIT} a second, its production traffic "
            "included: set requests_per_second lower."
        )
        yield warning("rate limit", found, advice, **facts)
    else:
        yield ok("rate limit", found, **facts)
