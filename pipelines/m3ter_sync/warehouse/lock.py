"""One command writes to a warehouse at a time; the lock file says which.

The operating system holds the lock and drops it with its process, however that ends. What stands
in the file is who took it: to be believed only while somebody holds it.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock

# Whoever looks who holds the lock keeps it for an instant: no reason to refuse a sync.
_SECONDS_TO_TRY = 0.1
_SECONDS_BETWEEN = 0.01
_LONGEST_RECORD = 4096
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is writing to a warehouse; None stands for what it did not say.

    Attributes:
        command: Such as `sync`.
        host: The machine's name; another one where the folder is shared.
        pid: Its process there.
        run_id: What its log lines carry; of a sync, its `sync_id`.
        since: When it began, by its own clock.
    """

    command: str | None = None
    host: str | None = None
    pid: int | None = None
    run_id: str | None = None
    since: datetime | None = None

    def describe(self, now: datetime) -> str:
        """Who it is and since when, as the middle of a sentence."""
        if self.since is None:
            return "it did not say who it is"
        began = f"{self.since:%Y-%m-%dT%H:%M:%SZ} ({_describe_age(now, self.since)})"
        run = f", run {self.run_id}" if self.run_id else ""
        return f"{self.command}, process {self.pid} on {self.host}{run}, since {began}"


class WarehouseLock:
    """The lock of one warehouse; `with` holds it until the end of the block."""

    def __init__(self, path: Path, command: str, run_id: str | None) -> None:
        self._holder = Holder(command, socket.gethostname(), os.getpid(), run_id)
        self._descriptor = -1
        self._lock = FileLock(path, on_acquired=self._write)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def take(self) -> None:
        """Takes the lock, or gives up at once.

        Raises:
            filelock.Timeout: somebody holds it.
            OSError: the file cannot be written to, or the file system has no locks.
        """
        self._lock.acquire(timeout=_SECONDS_TO_TRY, poll_interval=_SECONDS_BETWEEN)

    def check(self) -> None:
        """Nobody takes it away from a process that runs."""

    def release(self) -> None:
        """Lets others write."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        self._lock.release()

    def _write(self, descriptor: int) -> None:
        """Writes down who holds the lock: emptied, then one write, so nothing half is ever read.

        The lock is what counts: a disk that is full keeps nobody from taking it.
        """
        self._descriptor = descriptor
        held = self._holder
        record = {
            "command": held.command,
            "host": held.host,
            "pid": held.pid,
            "run_id": held.run_id,
            "since": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{json.dumps(record)}\n".encode(), 0)
            # Another machine that shares the folder reads it from the server.
            os.fsync(descriptor)


def read_holder(path: Path) -> Holder | None:
    """Who holds a lock now; None: nobody. A file that a dead process left behind is nobody's.

    Raises:
        OSError: the file cannot be read, or the file system has no locks.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        for _ in _attempts():
            if _is_free(descriptor):
                return None
            # Whoever has just taken it is about to say who it is.
            if holder := _parse(os.pread(descriptor, _LONGEST_RECORD, 0)):
                return holder
        return Holder()
    finally:
        os.close(descriptor)


def _attempts() -> Iterator[None]:
    until = time.monotonic() + _SECONDS_TO_TRY
    yield
    while time.monotonic() < until:
        time.sleep(_SECONDS_BETWEEN)
        yield


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _parse(content: bytes) -> Holder | None:
    """The record of a lock file; None if it is none."""
    try:
        record = json.loads(content)
        since = datetime.fromisoformat(record["since"]).astimezone(UTC)
        command, host, run_id = (record[name] for name in ("command", "host", "run_id"))
        pid = int(record["pid"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    return Holder(_text(command), _text(host), pid, _text(run_id), since)


def _text(value: Any) -> str | None:
    """A text that fits into a message, whoever wrote to the file."""
    if value is None:
        return None
    return "".join(char for char in str(value)[:_LONGEST_TEXT] if char.isprintable())


def _describe_age(now: datetime, since: datetime) -> str:
    """How long it has been, in its two largest units; another machine's clock may be ahead."""
    seconds = max(0, int((now - since).total_seconds()))
    units = {"d": seconds // 86_400, "h": seconds // 3600 % 24, "min": seconds // 60 % 60}
    parts = [f"{count} {unit}" for unit, count in units.items() if count]
    return " ".join(parts[:2]) or f"{seconds} s"
