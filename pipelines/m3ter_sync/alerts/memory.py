"""What was told to whom: a small file beside the database.

A sync that fails may be unable to write to the warehouse, so it is not kept there. Without the
file, or with a damaged one, each channel is told once more what is open.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from m3ter_sync.alerts.findings import Kind

_LOG = logging.getLogger(__name__)
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncNews:
    """How a sync went, as far as it got.

    Attributes:
        error: What it failed of, in a line; None: it did not.
        error_kind: The name of that error's class: another one is told anew.
        is_whole: It asked for everything; of a limited one neither failure nor success is
            taken for that of the syncs on schedule.
        failed_checks: What each check that failed holds, by its name; None: they were not run.
        rejected_count: Rows that could not be read.
    """

    error: str | None = None
    error_kind: str = ""
    is_whole: bool = True
    failed_checks: Mapping[str, str] | None = None
    rejected_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a sync left to be told: that it failed, or a check.

    Attributes:
        text: What happened.
        since: When the first sync met it.
        mark: The kind of error; another one is told anew.
    """

    text: str
    since: datetime
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a channel knows to be so."""

    kind: Kind
    subject: str
    label: str
    since: datetime | None
    mark: str = ""


@dataclass(slots=True)
class ChannelMemory:
    """What one channel was told, and of when the data was then."""

    told: list[Told] = field(default_factory=list)
    as_of: datetime | None = None


@dataclass(slots=True)
class Memory:
    """What no mart holds: how the last syncs went, and who was told what.

    Attributes:
        began_at: When alerts first looked here; until a sync succeeds, data ages from then.
        failure: Why syncs fail now.
        checks: The checks that fail now, by name.
        rejected: That rows cannot be read.
        channels: By the channel's id.
    """

    began_at: datetime
    failure: Trouble | None = None
    checks: dict[str, Trouble] = field(default_factory=dict)
    rejected: Trouble | None = None
    channels: dict[str, ChannelMemory] = field(default_factory=dict)

    def learn(self, news: SyncNews, now: datetime) -> None:
        """Takes in how a sync went; what goes on keeps its beginning."""
        if news.is_whole:
            since = self.failure.since if self.failure else now
            self.failure = (
                Trouble(text=news.error, since=since, mark=news.error_kind) if news.error else None
            )
        if news.failed_checks is not None:
            self.checks = {
                name: Trouble(text=text, since=held.since if held else now)
                for name, text in news.failed_checks.items()
                for held in [self.checks.get(name)]
            }
        if news.is_whole and not news.error:
            since = self.rejected.since if self.rejected else now
            text = "1 row cannot be read and was set aside"
            if news.rejected_count > 1:
                text = f"{news.rejected_count:,} rows cannot be read and were set aside"
            self.rejected = Trouble(text=text, since=since) if news.rejected_count else None

    def forget_all_but(self, channel_ids: Iterable[str]) -> None:
        """Drops what channels were told that are no more."""
        kept = set(channel_ids)
        self.channels = {each: held for each, held in self.channels.items() if each in kept}


def read_memory(path: Path, now: datetime) -> Memory:
    """What is remembered; nothing where there is no file, or one that cannot be understood."""
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Memory(now)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        _LOG.warning("%s cannot be read: what is open is told once more.", path)
        return Memory(now)


def write_memory(path: Path, memory: Memory) -> None:
    """Replaces the file as a whole; nobody else can read it.

    Raises:
        OSError: it cannot be written; the old one is as it was.
    """
    text = json.dumps({"version": _VERSION, **asdict(memory)}, default=datetime.isoformat, indent=1)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _parse(held: Any) -> Memory:
    if held["version"] != _VERSION:
        raise ValueError
    return Memory(
        began_at=_to_time(held["began_at"]),
        failure=_parse_trouble(held["failure"]) if held["failure"] else None,
        rejected=_parse_trouble(held["rejected"]) if held["rejected"] else None,
        checks={str(name): _parse_trouble(each) for name, each in held["checks"].items()},
        channels={
            str(channel_id): ChannelMemory(
                told=[_parse_told(one) for one in each["told"]],
                as_of=_to_time(each["as_of"]) if each["as_of"] else None,
            )
            for channel_id, each in held["channels"].items()
        },
    )


def _parse_trouble(held: Any) -> Trouble:
    return Trouble(text=str(held["text"]), since=_to_time(held["since"]), mark=str(held["mark"]))


def _parse_told(held: Any) -> Told:
    return Told(
        kind=Kind(held["kind"]),
        subject=str(held["subject"]),
        label=str(held["label"]),
        since=_to_time(held["since"]) if held["since"] else None,
        mark=str(held["mark"]),
    )


def _to_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError
    return moment
