"""`status`: what is fresh, pending, rejected and published; also where it cannot look itself."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from click.testing import Result
from starlette.responses import Response

from m3ter_sync.sandbox import Faults, Sandbox, World
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.location import DEFAULT_DATABASE, Location
from m3ter_sync.warehouse.state import closed_statuses
from m3ter_sync.warehouse.status import Published, Status

Run = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = Path("data/published/m3ter.duckdb")
FIRST_BLOCK, BLOCK_SIZE = 3 * 4096, 2**18
HOLD = """
import duckdb, sys
with duckdb.connect(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""


def change(sql: str) -> None:
    with duckdb.connect(DEFAULT_DATABASE) as connection:
        connection.execute(sql)


@contextmanager
def held_open(database: Path = DEFAULT_DATABASE) -> Iterator[int]:
    """Another process has the database open for writing, as a sync has."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, database],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "open\n"
    try:
        yield process.pid
    finally:
        process.communicate("")


def status(run: Run, *args: str, exit_code: int = 0) -> dict[str, Any]:
    result = run("status", "--json", *args)
    assert result.exit_code == exit_code, result.output
    report: dict[str, Any] = orjson.loads(result.stdout)
    return report


def table(report: dict[str, Any], name: str) -> dict[str, Any]:
    (row,) = (row for row in report["tables"] if row["table"] == name)
    return row


def open_runs(world: World) -> int:
    return sum(run["status"] not in closed_statuses() for run in world.integration_runs.values())


def test_the_same_is_said_of_a_table_here_and_in_the_views(synced: Run) -> None:
    report = status(synced)
    sql = "select * from m3ter.sync_status"
    marts = orjson.loads(synced("query", sql, "--format", "json").stdout)
    assert len(marts) == 5
    for mart in marts:
        row = table(report, mart["table_name"])
        assert row["rows"] == mart["row_count"]
        for name in ("last_changed_at", "newest_record_at"):
            assert row[name] == mart[name], (mart["table_name"], name)
    assert report["organization_id"]
    assert report["sizes"]["database"] == DEFAULT_DATABASE.stat().st_size
    assert report["sizes"]["published_folder"] > PUBLISHED.stat().st_size
    assert report["published"]["is_behind"] is False
    assert report["pending"] == report["rejected"] == report["errors"] == []


def test_its_keys_are_those_of_the_documentation(synced: Run) -> None:
    text = (ROOT / "docs" / "status.md").read_text()
    section = text.partition("status --json`")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    documented = [name for keys, _ in rows for name in re.findall(r"`(\w+)`", keys)]
    report = status(synced)
    assert sorted(documented) == sorted(report)
    explained = dict(zip([re.findall(r"\w+", keys)[0] for keys, _ in rows], rows, strict=True))
    for key in ("tables", "entities"):
        assert set(report[key][0]) <= set(re.findall(r"`(\w+)`", explained[key][1])), key
    assert {each.name for each in fields(Published)} <= set(
        re.findall(r"`(\w+)`", explained["published"][1])
    )
    assert {each.name for each in fields(Status)} <= set(report)


def test_what_was_never_asked_and_what_is_gone_is_counted(synced: Run, world: World) -> None:
    change(
        "delete from m3ter_raw.entities where entity_id in "
        "(select entity_id from m3ter_raw.entities where entity_type = 'Bill' limit 3)"
    )
    change(
        "update m3ter_raw.entities set is_gone = true where entity_id in "
        "(select entity_id from m3ter_raw.entities where entity_type = 'Bill' limit 2)"
    )
    bills, notifications = status(synced)["entities"]
    assert bills["entity_count"] == len(world.bills)
    assert (bills["never_asked_count"], bills["gone_count"]) == (3, 2)
    assert (notifications["never_asked_count"], notifications["gone_count"]) == (0, 0)


def test_a_listing_of_a_load_that_was_cut_off_does_not_count_as_asked(synced: Run) -> None:
    change("update m3ter_raw._dlt_loads set status = 1")
    assert all(
        row["never_asked_count"] == row["entity_count"] for row in status(synced)["entities"]
    )


def test_while_another_process_writes_the_copy_tells_what_it_knows(
    synced: Run, world: World
) -> None:
    before = status(synced)
    with held_open() as pid:
        report = status(synced, "--max-age", "1h")
        text = synced("status").stdout
        stale = synced("status", "--max-age", "0m")
    assert report["source"] == "published"
    assert f"(process {pid})" in report["refusal"]
    assert report["as_of"] == before["as_of"]
    assert report["is_stale"] is False
    assert report["last_sync"] == before["last_sync"]
    assert table(report, "bills")["rows"] == len(world.bills)
    assert report["open_run_count"] == before["open_run_count"] == open_runs(world)
    assert report["entities"] is None
    assert report["published"]["is_behind"] is None
    assert "So what follows is what the published copy knows." in text
    assert stale.exit_code == 4
    assert "stale" in stale.stdout


@pytest.mark.parametrize(
    "env",
    [{"M3TER_API_SECRET": "wrong"}, {"M3TER_BASE_URL": "http://127.0.0.1:9"}],
    ids=["wrong secret", "m3ter away"],
)
def test_a_sync_that_got_no_token_is_the_last_sync_all_the_same(
    synced: Run, env: dict[str, str]
) -> None:
    quick = {"SOURCES__M3TER__RETRY_SECONDS": "0"}
    failed = orjson.loads(synced("sync", "--json", env=env | quick).stdout)
    assert failed["requests"] == 1
    assert failed["finished_at"]
    report = status(synced)
    assert report["last_sync"]["sync_id"] == failed["sync_id"]
    assert report["last_sync"]["outcome"] == "failed"
    assert report["errors"][0]["error"]


def test_it_says_which_command_is_writing_and_since_when(synced: Run) -> None:
    assert status(synced)["held_by"] is None
    with Location.of().acquire("sync", "a-run"):
        holder = status(synced)["held_by"]
        text = synced("status").stdout
    assert (holder["command"], holder["run_id"], holder["pid"]) == ("sync", "a-run", os.getpid())
    assert f"Writing    sync, process {os.getpid()} on " in text


def test_a_command_that_meets_a_sync_names_it_and_ends_with_75(synced: Run) -> None:
    hold = "import sys; from m3ter_sync.warehouse.location import Location; l = Location.of()"
    hold += "\nwith l.acquire('sync', 'a-run'), l.connect(): print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == "open\n"
        for command in (["check"], ["query", "select 1", "--database", DEFAULT_DATABASE]):
            result = synced(*command)
            assert result.exit_code == 75
            assert f"writing to {DEFAULT_DATABASE.absolute()}: sync, process {other.pid} on " in (
                result.stderr
            )
        assert status(synced)["source"] == "published"
        other.communicate("\n")


def test_without_a_copy_that_could_tell_nothing_counts_as_fresh(synced: Run) -> None:
    for path in PUBLISHED.parent.iterdir():
        path.unlink()
    with held_open():
        report = status(synced, "--max-age", "1h", exit_code=4)
        result = synced("status")
    assert result.exit_code == 1
    assert "is open in another program" in result.stderr
    text = result.stdout
    assert (report["source"], report["as_of"], report["is_stale"]) == (None, None, True)
    assert "there is no published copy that could tell" in text


def test_a_copy_that_cannot_be_read_leaves_what_the_manifest_knows(synced: Run) -> None:
    before = status(synced)
    PUBLISHED.write_text("no database")
    with held_open():
        report = status(synced, "--max-age", "1h")
    assert report["source"] is None
    assert report["as_of"] == before["as_of"]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda data: b"date,amount\n" * 1000, "cannot be opened"),
        (lambda data: data[:9000], "warehouse.duckdb cannot be"),
        (lambda data: data[:12288] + bytes(len(data) - 12288), "Corrupt database file"),
        (lambda data: data[: len(data) // 2], "warehouse.duckdb cannot be"),
    ],
    ids=["text", "cut", "emptied", "half"],
)
def test_a_warehouse_that_cannot_be_read_is_an_error_and_the_copy_tells_what_it_knows(
    synced: Run, damage: Callable[[bytes], bytes], says: str
) -> None:
    as_of = status(synced)["as_of"]
    DEFAULT_DATABASE.write_bytes(damage(DEFAULT_DATABASE.read_bytes()))
    result = synced("status", "--json", "--max-age", "1h")
    assert result.exit_code == (2 if says == "cannot be opened" else 1)
    error = result.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert says in error
    assert "Traceback" not in result.stderr
    report = orjson.loads(result.stdout)
    assert report["as_of"] == as_of
    assert report["source"] == "published"
    assert says in report["refusal"]


def test_a_warehouse_that_is_damaged_further_in_is_an_error_and_the_copy_tells(synced: Run) -> None:
    as_of = status(synced)["as_of"]
    with duckdb.connect(DEFAULT_DATABASE) as connection:
        ((block,),) = connection.execute(
            "select max(block_id) from pragma_storage_info('m3ter_raw.integration_runs') "
            "where column_name = '_dlt_load_id' or column_name = 'status'"
        ).fetchall()
    data = bytearray(DEFAULT_DATABASE.read_bytes())
    start = FIRST_BLOCK + block * BLOCK_SIZE
    data[start : start + BLOCK_SIZE] = bytes(BLOCK_SIZE)
    DEFAULT_DATABASE.write_bytes(data)
    result = synced("status", "--json")
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr
    report = orjson.loads(result.stdout)
    assert (report["source"], report["as_of"]) == ("published", as_of)
    assert report["open_run_count"] is not None


def test_a_warehouse_of_a_newer_duckdb_is_named_as_that(synced: Run) -> None:
    make_newer(DEFAULT_DATABASE)
    result = synced("status")
    assert result.exit_code == 1
    assert "version number 199" in result.stderr
    assert "So what follows is what the published copy knows." in result.stdout


def make_newer(database: Path) -> None:
    """Raises the version in the file's first block, and writes the block's checksum anew."""
    data = bytearray(database.read_bytes())
    data[12:20] = (199).to_bytes(8, "little")
    data[:8] = checksum(bytes(data[8:4096])).to_bytes(8, "little")
    database.write_bytes(data)


def checksum(block: bytes) -> int:
    """DuckDB's: a product for each eight bytes."""
    result = 5381
    for place in range(0, len(block), 8):
        word = int.from_bytes(block[place : place + 8], "little")
        result ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return result


def test_a_copy_that_is_behind_says_why(synced: Run, sandbox: Sandbox, world: World) -> None:
    run_id = next(iter(world.listed_runs()))
    change(f"update m3ter_raw.integration_runs set status = 'PAUSED' where id = '{run_id}'")
    world.advance(1)
    sandbox.behaviour.faults = Faults(extra_fields={"status": "PAUSED"})
    assert synced("sync").exit_code == 3
    report = status(synced)
    assert report["published"]["is_behind"] is True
    assert "a check failed" in report["published"]["behind_because"]
    assert "behind: a check failed" in synced("status").stdout

    sandbox.behaviour.on_request = lambda request: (
        Response(status_code=403) if request.path.endswith("/bills") else None
    )
    assert synced("sync").exit_code == 2
    assert status(synced)["published"]["behind_because"] == "the last sync failed"


def test_a_sync_that_failed_before_it_loaded_anything_leaves_nobody_behind(
    synced: Run, sandbox: Sandbox
) -> None:
    sandbox.behaviour.on_request = lambda request: (
        Response(status_code=403) if request.path.endswith("/bills") else None
    )
    assert synced("sync").exit_code == 2
    report = status(synced)
    assert report["last_sync"]["outcome"] == "failed"
    assert report["published"]["is_behind"] is False


def test_views_that_were_not_built_after_a_sync_are_why_a_copy_is_behind(synced: Run) -> None:
    change("update m3ter.sync_status set as_of = as_of - interval 1 day")
    change("update m3ter_raw.syncs set sync_id = 'another', started_at = now()")
    assert "the views could not be built" in status(synced)["published"]["behind_because"]


def test_after_failed_syncs_alone_nothing_was_ever_fresh(run: Run, sandbox: Sandbox) -> None:
    sandbox.behaviour.on_request = lambda request: (
        Response(status_code=403) if "integrationruns" in request.path else None
    )
    assert run("sync").exit_code == 2
    report = status(run, "--max-age", "52w", exit_code=4)
    assert report["as_of"] is None
    assert report["last_sync"]["outcome"] == "failed"
    assert report["errors"][0]["error"]
    assert report["published"]["published_at"] is None
    bills, _ = report["entities"]
    assert bills["never_asked_count"] == bills["entity_count"] > 0
    text = run("status").stdout
    assert "never: no sync of everything has succeeded" in text
    assert "Published  nothing: the last sync failed" in text


@pytest.mark.parametrize(
    "name", ["bills", "entities", "rejected_rows", "syncs", "_dlt_loads", "integration_runs"]
)
def test_a_warehouse_from_before_a_table_existed_tells_of_the_others(
    synced: Run, name: str
) -> None:
    change(f"drop table m3ter_raw.{name} cascade")
    report = status(synced)
    assert report["source"] == "warehouse"
    assert not any(row["table"] == name for row in report["tables"])
    assert table(report, "event_types")["rows"] > 0
    assert synced("status").exit_code == 0


def test_a_log_of_syncs_from_before_a_column_existed_is_read(synced: Run) -> None:
    change("alter table m3ter_raw.syncs drop column rejected_row_count")
    report = status(synced, "--max-age", "1h")
    assert report["unread_row_count"] is None
    assert report["last_sync"]["outcome"] == "succeeded"


def test_what_a_killed_sync_left_behind_is_told_just_as_dlt_sees_it(
    synced: Run, sandbox: Sandbox, world: World, start: Callable[..., subprocess.Popen[str]],
    account: dict[str, str], folder: Path,
) -> None:  # fmt: skip
    from m3ter_sync.warehouse.location import Location

    world.advance(3)
    pipeline = build_pipeline(Location.of())
    assert status(synced)["pending"] == []

    def failing() -> Iterator[dict[str, int]]:
        yield {"id": 1}

    pipeline.extract(failing(), table_name="anything")
    assert pipeline.has_pending_data
    (pending,) = status(synced)["pending"]
    assert pending["stage"] == "extracted"
    assert pending["bytes"] > 0
    assert [pending["load_id"]] == pipeline.list_extracted_load_packages()
    assert "Pending    1 load" in synced("status").stdout
    pipeline.normalize()
    (pending,) = status(synced)["pending"]
    assert pending["stage"] == "normalized"
    assert [pending["load_id"]] == pipeline.list_normalized_load_packages()


def test_rows_that_could_not_be_read_are_counted_until_they_can(
    synced: Run, sandbox: Sandbox, world: World
) -> None:
    bill = next(iter(world.bills.values()))
    right = bill["billDate"]
    bill["billDate"] = "someday"
    assert synced("sync", "--full").exit_code == 3
    report = status(synced)
    assert report["unread_row_count"] == 1
    assert table(report, "bills")["rejected_rows"] == 1
    assert "someday" in report["rejected"][0]["reason"]
    assert "1 rows of the last full sync cannot be read" in synced("status").stdout
    bill["billDate"] = right
    assert synced("sync").exit_code == 0
    assert status(synced)["unread_row_count"] == 0
