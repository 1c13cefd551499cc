"""One command writes to a warehouse at a time, and the others are told which."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from m3ter_sync.warehouse.location import Location, WarehouseBusy
from m3ter_sync.warehouse.lock import Holder, read_holder

HOLD = """
import sys
from m3ter_sync.warehouse.location import Location
with Location.of(sys.argv[1]).acquire("sync", "run-1"):
    print("held", flush=True)
    input()
"""
Hold = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location.of(tmp_path / "warehouse.duckdb")


@pytest.fixture
def hold(location: Location) -> Iterator[Hold]:
    """Starts another process that holds the lock until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(location.database)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_one_that_is_refused_is_told_who_writes_and_since_when(
    location: Location, hold: Hold
) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    process = hold()
    holder = location.read_holder()
    assert holder
    assert holder.since
    assert (holder.command, holder.pid, holder.run_id) == ("sync", process.pid, "run-1")
    assert before <= holder.since <= datetime.now(UTC)
    with pytest.raises(WarehouseBusy) as refused:
        location.acquire("models", "run-2")
    said = f"sync, process {process.pid} on {holder.host}, run run-1, since "
    assert f"{said}{holder.since:%Y-%m-%dT%H:%M:%SZ}" in str(refused.value)
    with pytest.raises(WarehouseBusy, match="run run-1"):
        location.check_free()
    process.communicate("\n")
    assert location.read_holder() is None
    location.check_free()
    location.acquire().release()


def test_a_lock_left_by_a_process_that_was_killed_is_no_obstacle(
    location: Location, hold: Hold
) -> None:
    process = hold()
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert json.loads(location.lock_file.read_text())["pid"] == process.pid, "it was left behind"
    assert location.read_holder() is None
    with location.acquire("models", "run-2"):
        holder = location.read_holder()
        assert holder
        assert (holder.command, holder.run_id) == ("models", "run-2")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\x00",
        b"[]",
        b"4711",
        b"{}",
        b'{"command": "sync", "host": "a", "pid": "x", "run_id": null, "since": "2026-01-01"}',
        b'{"command": "sync", "host": "a", "pid": 1, "run_id": null, "since": "soon"}',
        b"[" * 4000,
    ],
)
def test_a_lock_file_that_says_nothing_still_locks(
    location: Location, hold: Hold, content: bytes
) -> None:
    hold()
    location.lock_file.write_bytes(content)
    assert location.read_holder() == Holder()
    with pytest.raises(WarehouseBusy, match="it did not say who it is"):
        location.acquire()


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": 1}'])
def test_what_stands_in_a_file_that_nobody_locks_is_not_believed(
    location: Location, content: bytes
) -> None:
    location.lock_file.write_bytes(content)
    assert location.read_holder() is None
    location.acquire().release()


def test_who_looks_keeps_nobody_from_writing(location: Location) -> None:
    """A thousand looks beside a hundred takes, none of which may be refused."""
    location.acquire().release()
    look = (
        "import sys; from pathlib import Path; from m3ter_sync.warehouse.lock import read_holder\n"
        "print('looking', flush=True)\n"
        "for _ in range(3000): read_holder(Path(sys.argv[1]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", look, str(location.lock_file)], stdout=subprocess.PIPE, text=True
    ) as looking:
        assert looking.stdout
        assert looking.stdout.readline() == "looking\n"
        for _ in range(100):
            location.acquire().release()


def test_looking_makes_no_file(tmp_path: Path) -> None:
    assert read_holder(tmp_path / "none.lock") is None
    assert Location.of(tmp_path / "no" / "warehouse.duckdb").read_holder() is None
    assert not any(tmp_path.iterdir())


def test_a_text_in_the_file_cannot_reach_the_terminal(location: Location, hold: Hold) -> None:
    hold()
    record = {"command": "a\x1b[31m\n" + "x" * 999, "host": "h", "pid": 1, "run_id": None}
    location.lock_file.write_text(json.dumps(record | {"since": "2026-01-01T00:00:00Z"}))
    with pytest.raises(WarehouseBusy) as refused:
        location.acquire()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize(
    ("age", "said"),
    [
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=59.9), "59 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=1, minutes=9), "3 d 1 h"),
    ],
)
def test_how_long_it_has_been_is_said_in_two_units(age: timedelta, said: str) -> None:
    now = datetime(2026, 1, 8, 12, tzinfo=UTC)
    assert Holder("sync", "a", 1, None, now - age).describe(now).endswith(f"Z ({said})")
