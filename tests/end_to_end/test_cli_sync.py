"""`m3ter-sync sync`, as people and schedulers see it."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import duckdb
import orjson
import pytest
from click.testing import Result

from m3ter_sync.cli.sync import sync as sync_command
from m3ter_sync.sandbox import LoggedRequest, Sandbox, World
from m3ter_sync.warehouse.location import DEFAULT_DATABASE

Run = Callable[..., Result]
Start = Callable[..., subprocess.Popen[str]]


def count_runs(database: Path = DEFAULT_DATABASE) -> int:
    with duckdb.connect(database, read_only=True) as connection:
        found = connection.execute("select count(*) from m3ter_raw.integration_runs").fetchone()
    assert found
    return int(found[0])


def test_the_summary_tells_rows_entities_requests_and_where_the_data_are(
    run: Run, world: World, sandbox: Sandbox
) -> None:
    result = run("sync", "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""
    rows = re.search(r"^integration_runs +(\d+) +(\d+) +(\d+) +(\d+)$", result.stdout, re.M)
    assert rows
    assert rows.groups() == (*[str(len(world.integration_runs))] * 2, "0", "0")
    assert f"{len(sandbox.requests):,}, " in result.stdout
    assert str(DEFAULT_DATABASE.absolute()) in result.stdout
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if "/" not in line)
    assert "\x1b" not in result.stdout


def test_json_is_one_object_and_nothing_else(run: Run, world: World) -> None:
    report = orjson.loads(run("sync", "--json").stdout)
    assert report["outcome"] == "succeeded"
    assert report["tables"]["integration_runs"]["new"] == len(world.integration_runs)
    assert report["entities_listed"] == report["entities_known"]
    assert report["started_at"] < report["finished_at"]
    assert report["database"] == str(DEFAULT_DATABASE.absolute())
    assert report["failed_checks"] == []

    again = orjson.loads(run("sync", "--json").stdout)
    assert again["tables"]["integration_runs"]["new"] == 0
    assert again["tables"]["integration_runs"]["changed"] == 0


def test_only_the_entities_that_were_named_are_asked(
    run: Run, world: World, sandbox: Sandbox
) -> None:
    bills = list(world.bills)[:2]
    args = [arg for bill in bills for arg in ("--entity-id", bill)]
    report = orjson.loads(run("sync", "--entity-type", "bill", *args, "--json").stdout)
    assert report["outcome"] == "partial"
    asked = {each.path.rsplit("/", 1)[1] for each in sandbox.requests if "/Bill/" in each.path}
    assert asked - {"latest"} == set(bills)


def test_dates_and_the_rate_reach_the_api(run: Run, world: World, sandbox: Sandbox) -> None:
    bill = next(iter(world.bills))
    args = ("sync", "--entity-type", "Bill", "--entity-id", bill, "--until", "2025-10-01")
    assert run(*args).exit_code == 0
    (listing,) = [each for each in sandbox.requests if each.path.endswith(f"/Bill/{bill}")]
    assert listing.params["endDate"] == ["2025-10-01T00:00:00.000000Z"]


def test_a_row_that_cannot_be_read_is_told_by_exit_code_3(run: Run, world: World) -> None:
    run_id = next(iter(world.listed_runs()))
    world.integration_runs[run_id]["dtCompleted"] = "soon"
    result = run("sync")
    assert result.exit_code == 3
    assert "1 rows cannot be read" in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_the_next_sync_goes_on(
    start: Start, world: World, account: dict[str, str], run: Run, number: signal.Signals
) -> None:
    with Sandbox(world, latency=0.05) as slow:
        env = account | {"M3TER_BASE_URL": slow.base_url, "SOURCES__M3TER__THREADS": "1"}
        process = start("sync", env=env)
        while sum("/integrationruns/" in each.path for each in slow.requests) < 20:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        output, log = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert "Stopping: what is complete is loaded." in log
    assert "Traceback" not in log
    assert output.startswith("Stopped;")
    assert 0 < count_runs() < len(world.integration_runs)
    assert run("sync").exit_code == 0
    assert count_runs() == len(world.integration_runs)


def test_json_says_stopped_where_nothing_was_fetched_yet(run: Run, sandbox: Sandbox) -> None:
    def interrupt(request: LoggedRequest) -> None:
        if request.path.endswith("/bills"):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)

    sandbox.behaviour.on_request = interrupt
    result = run("sync", "--json")
    assert result.exit_code == 130
    assert orjson.loads(result.stdout)["outcome"] == "stopped"


def test_a_second_signal_ends_it_at_once(
    start: Start, world: World, account: dict[str, str], run: Run
) -> None:
    with Sandbox(world, latency=3) as slow:
        process = start("sync", env=account | {"M3TER_BASE_URL": slow.base_url})
        while not slow.requests:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        while "Stopping" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=2) == -signal.SIGINT
    assert run("sync").exit_code == 0


def test_a_terminal_shows_progress_and_is_left_clean(
    program: Path, folder: Path, world: World, account: dict[str, str]
) -> None:
    with Sandbox(world, latency=0.3) as slow:
        here, there = pty.openpty()
        process = subprocess.Popen(
            [program, "sync"],
            env=os.environ | account | {"M3TER_BASE_URL": slow.base_url, "TERM": "xterm"},
            stdout=subprocess.DEVNULL,
            stderr=there,
        )
        os.close(there)
        shown = b""
        with contextlib.suppress(OSError):  # a terminal whose other end is gone cannot be read
            while some := os.read(here, 65536):
                shown += some
        os.close(here)
        assert process.wait(timeout=30) == 0
    text = shown.decode()
    assert re.search(r"\d+ of \d+ entities, [\d,]+ runs, [\d.]+ requests/s, \d+:\d\d left", text)
    assert "INFO" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor stays hidden"


WATCH = """
import os, sys, threading
out = open(os.environ["WATCHED"], "a")
here = threading.local()
def watch(event, args):
    if getattr(here, "is_busy", False):
        return
    here.is_busy = True
    seen = None
    if event == "socket.connect":
        seen = "host", args[1][0] if isinstance(args[1], tuple) else args[1]
    elif event == "socket.getaddrinfo":
        seen = "host", args[0]
    elif event in ("os.mkdir", "os.rename"):
        seen = "file", os.path.abspath(args[0 if event == "os.mkdir" else 1])
    elif event == "open" and isinstance(args[0], (str, bytes)):
        # dlt tries with a file that has no name whether it may write to the home: the folder
        # itself is opened then.
        is_written = (args[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if is_written and not os.path.isdir(args[0]):
            seen = "file", os.path.abspath(os.fsdecode(args[0]))
    if seen:
        print(*seen, file=out, flush=True)
    here.is_busy = False
sys.addaudithook(watch)
from m3ter_sync.cli import main
main()
"""


@pytest.mark.parametrize(
    "command", [["sync"], ["sync", "--destination", "duckdb"], ["list", "notifications"]], ids=str
)
def test_nothing_is_written_outside_of_the_data_folder_and_no_other_host_is_asked(
    folder: Path, account: Mapping[str, str], tmp_path: Path, command: list[str]
) -> None:
    watched = tmp_path / "watched"
    (tmp_path / "tmp").mkdir()
    environment = (
        os.environ
        | account
        | {
            "WATCHED": str(watched),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(tmp_path / "tmp"),
            "DESTINATION__DUCKDB__CREDENTIALS": str(folder / "data/other.duckdb"),
        }
    )
    del environment["DLT_DATA_DIR"]
    (folder / "data").mkdir()
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", WATCH, *command],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    seen = [line.split(" ", 1) for line in watched.read_text().splitlines()]
    assert {what for kind, what in seen if kind == "host"} == {"127.0.0.1"}
    allowed = (f"{folder / 'data'}", "/dev/", f"{watched}")
    written = {
        what
        for kind, what in seen
        # The tests' own coverage is written wherever they were started.
        if kind == "file" and not what.startswith(allowed) and "/.coverage." not in what
    }
    assert not written
    assert not [*(tmp_path / "home").rglob("*"), *(tmp_path / "tmp").rglob("*")]
    assert [path.name for path in folder.iterdir()] == ["data"]
    if command[0] == "list":
        assert not any((folder / "data").iterdir())


def test_the_default_database_that_help_names_is_the_one_that_is_used() -> None:
    (option,) = [each for each in sync_command.params if each.name == "database"]
    assert f"[default: {DEFAULT_DATABASE}]" in str(option.to_info_dict()["help"])
