"""Where messages go, through Apprise; how to name a channel without giving its secret away."""

import contextlib
import hashlib
import ipaddress
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from m3ter_sync.alerts.messages import Message, build_test
from m3ter_sync.redaction import register_secret

# Apprise gives up on a connection and on an answer after 4 seconds each, on mail after 15; a
# server that sends a byte now and then would be waited for without end.
PATIENCE_SECONDS = 20.0
_REASONS = (
    (re.compile(r"\berror=(\d{3})\b"), "it answered {0}"),
    (re.compile(r"connection error|unreachable|refused", re.IGNORECASE), "it cannot be reached"),
)
_SHORTEST_TOKEN = 12
_PARTS = re.compile(r"[/:?&=@,#]+")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)+")
_SCHEMA = re.compile(r"([A-Za-z][A-Za-z0-9]{0,31})://")


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one message.

    Attributes:
        channel: Its name: number, schema, and host where that is one.
        failure: Why it did not go; None: it went.
    """

    channel: str
    failure: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One URL.

    Attributes:
        channel_id: Tells it from others from sync to sync; the URL cannot be read from it.
        name: What may be shown of it.
        service: Apprise's; None: it knows no such URL.
    """

    channel_id: str
    name: str
    service: Any


def open_channels(urls: Sequence[str]) -> list[Channel]:
    """The channels of the URLs; what they log, which holds the URLs, goes nowhere."""
    import apprise

    # For as long as this process lives: a thread that is waited for no more may still log.
    for name in ("apprise", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    asset = apprise.AppriseAsset(
        app_id="m3ter-sync",
        app_desc="m3ter-sync",
        app_url="",
        language="en",
        storage_mode="memory",
        pgp_autogen=False,
        pem_autogen=False,
        # A redirect would take the message, and the tokens of some, to another host.
        http_redirects=False,
        # Threads that Apprise starts for a limit of its own keep the process from ending.
        service_timeout=0,
    )
    return [_open_channel(url, number, asset) for number, url in enumerate(urls, 1)]


def send_all(
    messages: Mapping[Channel, Message], patience: float = PATIENCE_SECONDS
) -> dict[Channel, Delivery]:
    """Sends all messages at once; who has not answered after so many seconds has failed."""
    failures: dict[Channel, str | None] = {}
    threads = [
        threading.Thread(target=_send, args=(channel, message, failures), daemon=True)
        for channel, message in messages.items()
    ]
    until = time.monotonic() + patience
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = f"it did not take the message within {patience:g} s"
    held = dict(failures)
    return {channel: Delivery(channel.name, held.get(channel, late)) for channel in messages}


def send_test(
    urls: Sequence[str], place: str, patience: float = PATIENCE_SECONDS
) -> list[Delivery]:
    """Sends a test to every URL."""
    messages = dict.fromkeys(open_channels(urls), build_test(place))
    return [*send_all(messages, patience).values()]


def _hide(url: str) -> None:
    """Registers the URL, its password, and what in it is long enough to be a token, not a word."""
    register_secret(url)
    for part in _PARTS.split(url):
        if len(part) >= _SHORTEST_TOKEN and not _HOST.fullmatch(part):
            register_secret(part)
    login = url.partition("://")[2].partition("@")[0]
    register_secret(login.partition(":")[2] if "/" not in login else "")


def _open_channel(url: str, number: int, asset: Any) -> Channel:
    import apprise

    _hide(url)
    channel_id = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    service = apprise.Apprise.instantiate(url, asset=asset)
    if not isinstance(service, apprise.NotifyBase):
        return Channel(channel_id, f"alert URL {number}", None)
    # What a service cannot take whole it would refuse; the worst stands first.
    if service.overflow_mode == apprise.OverflowMode.UPSTREAM and "overflow=" not in url:
        service.overflow_mode = apprise.OverflowMode.TRUNCATE
    schema = _SCHEMA.match(url)
    name = f"alert URL {number} ({schema[1].lower() if schema else ''}"
    host = _find_host(service)
    return Channel(channel_id, f"{name}{f' at {host}' if host else ''})", service)


def _find_host(service: Any) -> str | None:
    """The host of a URL; None where a token stands there, as in Slack's."""
    token = service.template_tokens.get("host")
    host = str(service.host or "")
    if token is None or token.get("private"):
        return None
    if "." in host or host == "localhost":
        return host
    with contextlib.suppress(ValueError):
        return str(ipaddress.ip_address(host.strip("[]")))
    return None


def _send(channel: Channel, message: Message, failures: dict[Channel, str | None]) -> None:
    try:
        failures[channel] = _notify(channel, message)
    except Exception as error:  # noqa: BLE001 - any of 189 services may fail in a way of its own
        # Not its text, which may hold the URL.
        failures[channel] = f"Apprise failed with {type(error).__name__}"


def _notify(channel: Channel, message: Message) -> str | None:
    import apprise

    if channel.service is None:
        return "Apprise knows no such URL"
    sender = apprise.Apprise(asset=channel.service.asset)
    sender.add(channel.service)
    result = sender.notify(
        message.body,
        title=message.title,
        notify_type=message.tone,
        body_format=apprise.NotifyFormat.TEXT,
    )
    if result:
        return None
    logged = "\n".join(entry.message for entry in result.logs())
    for pattern, reason in _REASONS:
        if found := pattern.search(logged):
            return reason.format(*found.groups())
    return "it was refused"
