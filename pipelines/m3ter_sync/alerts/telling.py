"""Tells each channel what changed, and remembers what it was told."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from m3ter_sync.alerts.changes import compare
from m3ter_sync.alerts.channels import (
    PATIENCE_SECONDS,
    Channel,
    Delivery,
    open_channels,
    send_all,
)
from m3ter_sync.alerts.findings import OF_THE_MARTS, Finding, Kind
from m3ter_sync.alerts.memory import (
    ChannelMemory,
    Memory,
    SyncNews,
    read_memory,
    write_memory,
)
from m3ter_sync.alerts.messages import Message, build_message, say_source
from m3ter_sync.alerts.watching import find_age, find_in_marts, find_in_syncs
from m3ter_sync.report.published import NothingPublished, open_published
from m3ter_sync.settings import AlertSettings, SettingsError
from m3ter_sync.warehouse.location import Location, WarehouseBusy
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.permissions import make_data_folder
from m3ter_sync.warehouse.refresh import read_stale_after

_LOG = logging.getLogger(__name__)


def tell(
    location: Location,
    settings: AlertSettings,
    *,
    now: datetime,
    news: SyncNews | None = None,
    patience: float = PATIENCE_SECONDS,
) -> list[Delivery]:
    """Sends what changed, to each channel what it does not know; nothing where nothing changed.

    Args:
        location: Of the warehouse; its published copy is read, so it works while a sync runs.
        settings: Who is told, and the limits.
        now: The time.
        news: How a sync went that just ended.
        patience: Seconds after which a channel that has not answered has failed.

    Returns:
        What became of each message; a channel without news has none.

    Raises:
        WarehouseBusy: another m3ter-sync is telling.
    """
    path = location.folder / f"{location.database.stem}.alerts.json"
    with _alone(path, patience):
        channels = open_channels(settings.urls)
        memory = read_memory(path, now)
        if news:
            memory.learn(news, now)
        memory.forget_all_but(channel.channel_id for channel in channels)
        as_of, findings, known = _look(location, settings, memory, now)
        news_of = {
            channel: compare(memory.channels.get(channel.channel_id), findings, known)
            for channel in channels
        }
        place = f"{location.name} on {socket.gethostname()}"
        footer = say_source(as_of, place) if location.is_readable else place
        messages: dict[Channel, Message] = {}
        for channel, (changes, told) in news_of.items():
            if changes:
                messages[channel] = build_message(
                    changes,
                    is_first=channel.channel_id not in memory.channels,
                    is_all_over=not told,
                    footer=footer,
                    now=now,
                )
        deliveries = send_all(messages, patience)
        for channel, (_, told) in news_of.items():
            if channel not in deliveries or deliveries[channel].failure is None:
                held = memory.channels.get(channel.channel_id, ChannelMemory())
                # What ended meanwhile is told when the copy can be read again.
                looked_at = as_of if known >= OF_THE_MARTS else held.as_of
                memory.channels[channel.channel_id] = ChannelMemory(told, looked_at)
        # Only now: what did not arrive is tried again the next time.
        _remember(path, memory)
    return [*deliveries.values()]


def _look(
    location: Location,
    settings: AlertSettings,
    memory: Memory,
    now: datetime,
) -> tuple[datetime | None, list[Finding], frozenset[Kind]]:
    """Of when the data is, what is so, and the kinds that could be looked at."""
    findings = [*find_in_syncs(memory)]
    if not location.is_readable:
        return None, findings, frozenset({Kind.SYNC, Kind.REJECTED})
    known = set(Kind)
    manifest = read_manifest(location.published_folder)
    as_of = manifest.as_of if manifest else None
    try:
        findings.append(find_age(as_of, memory.began_at, read_stale_after(), now))
    except SettingsError as error:
        # The sync was refused for it, which must be told all the same.
        _LOG.warning("%s", error)
        known.discard(Kind.STALE)
    try:
        with open_published(location.published_database) as published:
            as_of = published.as_of
            findings += find_in_marts(published, settings, _horizon(memory))
    except (NothingPublished, duckdb.Error) as error:
        # Before the first sync there is no copy, and nothing wrong with that.
        _LOG.log(logging.WARNING if manifest else logging.DEBUG, "%s", error)
        known -= OF_THE_MARTS
    return as_of, findings, frozenset(known)


def _horizon(memory: Memory) -> datetime | None:
    """From when on the end of an incident may be news to a channel."""
    times = [
        moment
        for channel in memory.channels.values()
        for moment in [
            channel.as_of,
            *(told.since for told in channel.told if told.kind is Kind.INCIDENT),
        ]
        if moment
    ]
    return min(times, default=None)


@contextmanager
def _alone(path: Path, patience: float) -> Iterator[None]:
    """Keeps two that tell at once from telling the same."""
    lock = FileLock(path.with_suffix(".lock"))
    try:
        make_data_folder(path.parent)
        lock.acquire(timeout=patience)
    except Timeout:
        raise WarehouseBusy(
            "Another m3ter-sync is sending alerts; what it leaves is told the next time."
        ) from None
    except OSError as error:
        # That nothing can be written here is what must be told.
        _LOG.warning("Cannot write to %s: %s.", path.parent, error.strerror)
    try:
        yield
    finally:
        lock.release()


def _remember(path: Path, memory: Memory) -> None:
    try:
        write_memory(path, memory)
    except OSError as error:
        _LOG.warning(
            "%s cannot be written (%s): the same is told once more the next time.",
            path,
            error.strerror,
        )
