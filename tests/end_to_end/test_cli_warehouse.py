"""What a warehouse that is loaded answers: `query`, `status`, `models`, `check` and `publish`."""

import csv
import io
import os
import pty
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import orjson
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from starlette.responses import Response

from m3ter_sync.sandbox import Sandbox, World
from m3ter_sync.warehouse.location import DEFAULT_DATABASE, Location
from m3ter_sync.warehouse.state import closed_statuses

Run = Callable[..., Result]
PUBLISHED = Path("data/published/m3ter.duckdb")


def change(sql: str) -> None:
    with duckdb.connect(DEFAULT_DATABASE) as connection:
        connection.execute(sql)


def test_a_query_reads_the_marts_in_each_format(synced: Run, world: World) -> None:
    sql = "select count(*) as runs, max(started_at) as newest, null as none from {}"
    sql = sql.format("m3ter.integration_runs")
    count = len(world.integration_runs)
    (row,) = orjson.loads(synced("query", sql, "--format", "json").stdout)
    assert row["runs"] == count
    assert row["none"] is None
    newest = datetime.fromisoformat(row["newest"])
    assert newest.utcoffset() == timedelta(0)
    (cells,) = csv.DictReader(io.StringIO(synced("query", sql, "--format", "csv").stdout))
    assert cells == {"runs": str(count), "newest": newest.isoformat(), "none": ""}
    assert synced("query", sql).stdout.splitlines()[2].split()[0] == str(count)


def test_a_query_of_many_rows_prints_them_all(synced: Run) -> None:
    result = synced("query", "select range as number from range(2500)", "--format", "csv")
    assert result.stdout.split() == ["number", *map(str, range(2500))]


def test_columns_of_one_name_are_told_apart(synced: Run) -> None:
    result = synced("query", "select 1 as a, 2 as a", "--format", "json")
    assert orjson.loads(result.stdout) == [{"a": 1, "a_1": 2}]


@pytest.mark.parametrize(
    ("sql", "exit_code"),
    [
        ("selekt", 2),
        ("select * from nowhere", 2),
        ("delete from m3ter_raw.bills", 2),
        ("select 'a'::int", 1),
        ("copy (select 1) to 'out.csv'", 2),
        ("export database 'out.csv'", 2),
        ("attach 'out.csv'", 2),
        ("from '/etc/passwd.csv'", 2),
        ("set enable_external_access = true", 2),
    ],
)
def test_a_query_that_cannot_be_run_is_one_line(synced: Run, sql: str, exit_code: int) -> None:
    result = synced("query", sql)
    assert result.exit_code == exit_code
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert not Path("out.csv").exists()


def test_the_published_copy_is_asked_also_while_a_sync_writes(synced: Run) -> None:
    assert "m3ter" in synced("query", "select current_database()").stdout
    with Location.of().acquire(), Location.of().connect():
        result = synced("query", "--name", "failure_rate_now", "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert orjson.loads(result.stdout)


def test_the_warehouse_is_asked_where_it_is_named(synced: Run) -> None:
    sql = "select count(*) as bills from m3ter_raw.bills"
    refused = synced("query", sql)
    assert refused.exit_code == 2
    assert refused.stderr.endswith(
        f"the warehouse has m3ter_raw and m3ter_staging: --database {DEFAULT_DATABASE}\n"
    )
    assert synced("query", sql, "--database", DEFAULT_DATABASE).exit_code == 0


def test_before_anything_is_published_the_warehouse_is_asked_and_that_is_said(synced: Run) -> None:
    PUBLISHED.unlink()
    result = synced("query", "select count(*) as bills from m3ter_raw.bills")
    assert result.exit_code == 0
    assert "this is the warehouse itself" in result.stderr


def test_a_query_writes_parquet_with_its_types(synced: Run, world: World) -> None:
    columns = "run_id, started_at, 1 as a, 2 as a, -0.5::decimal(38,9) as amount"
    sql = f"select {columns} from m3ter.integration_runs"
    result = synced("query", sql, "--format", "parquet", "--output", "runs.parquet")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    table = pq.read_table("runs.parquet")
    assert table.num_rows == len(world.integration_runs)
    assert table.column_names == ["run_id", "started_at", "a", "a_1", "amount"]
    assert str(table.schema.field("started_at").type) == "timestamp[us, tz=UTC]"
    assert str(table.schema.field("amount").type) == "decimal128(38, 9)"
    assert pq.read_metadata("runs.parquet").row_group(0).column(0).compression == "ZSTD"


def test_a_query_that_fails_leaves_the_parquet_file_as_it_was(synced: Run, folder: Path) -> None:
    Path("x.parquet").write_text("old")
    for sql, exit_code in {
        "select (if(range = 60000, 'a', '1'))::int from range(70000)": 1,
        "select interval 1 day": 2,
        "copy (select 1) to 'out.csv'": 2,
    }.items():
        result = synced("query", sql, "--format", "parquet", "--output", "x.parquet")
        assert result.exit_code == exit_code, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert Path("x.parquet").read_text() == "old"
    assert {path.name for path in folder.iterdir()} == {"data", "x.parquet"}


@pytest.mark.parametrize(
    "args",
    [
        ["select 1", "--format", "parquet"],
        ["select 1", "--output", "x.csv"],
        ["--list", "--format", "parquet", "--output", "x.parquet"],
    ],
)
def test_parquet_goes_to_a_file_and_the_rest_is_printed(run: Run, args: list[str]) -> None:
    result = run("query", *args)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert not Path(args[-1]).exists()


def test_any_database_can_be_asked_even_one_that_no_sync_may_write(run: Run) -> None:
    with duckdb.connect("m3ter.duckdb") as connection:
        connection.execute("create table answers as select 42 as answer")
    assert "42" in run("query", "from answers", "--database", "m3ter.duckdb").stdout


def test_a_row_too_wide_for_the_terminal_is_shown_field_by_field(
    synced: Run, program: Path
) -> None:
    here, there = pty.openpty()
    process = subprocess.Popen(
        [program, "query", "select * from m3ter.integration_runs limit 1"],
        stdout=there,
        env=os.environ | {"COLUMNS": "80", "LINES": "24"},
    )
    process.wait(timeout=30)
    os.close(there)
    lines = os.read(here, 100_000).decode().splitlines()
    assert any(line.startswith("run_id ") for line in lines)
    assert any(line.startswith("entity_type ") for line in lines)
    os.close(here)


def test_status_tells_freshness_rows_and_cursors(synced: Run, world: World) -> None:
    report = orjson.loads(synced("status", "--json").stdout)
    age = datetime.now(UTC) - datetime.fromisoformat(report["as_of"])
    assert age.total_seconds() == pytest.approx(report["age_seconds"], abs=30)
    assert report["last_sync"]["outcome"] == "succeeded"
    rows = {table["table"]: table["rows"] for table in report["tables"]}
    assert rows["integration_runs"] == len(world.integration_runs)
    assert rows["event_types"] == len(world.event_types)
    cursors = {row["entity_type"]: row for row in report["entities"]}
    assert cursors["Bill"]["entity_count"] == len(world.bills)
    open_runs = [
        run for run in world.integration_runs.values() if run["status"] not in closed_statuses()
    ]
    assert sum(row["open_run_count"] for row in cursors.values()) == len(open_runs)

    text = synced("status").stdout
    assert f"integration_runs {len(world.integration_runs)} 0" in " ".join(text.split())
    assert "Last errors" not in text
    assert all(len(line) <= 80 for line in text.splitlines() if "/" not in line)


def test_staleness_is_an_exit_code(synced: Run) -> None:
    assert synced("status", "--max-age", "1h").exit_code == 0
    change("update m3ter_raw.syncs set started_at = started_at - interval 3 day")
    result = synced("status", "--max-age", "2d")
    assert result.exit_code == 4
    assert "3 days ago, stale" in result.stdout
    assert synced("status", "--max-age", "1w").exit_code == 0
    assert synced("status").exit_code == 0


def test_a_sync_that_failed_does_not_count_as_fresh_and_its_error_shows(
    synced: Run, sandbox: Sandbox
) -> None:
    change("update m3ter_raw.syncs set started_at = started_at - interval 3 day")
    sandbox.behaviour.on_request = lambda request: (
        Response(status_code=403) if request.path.endswith("/bills") else None
    )
    assert synced("sync").exit_code == 2
    result = synced("status", "--max-age", "2d")
    assert result.exit_code == 4
    assert "Last errors" in result.stdout
    assert "GET bills" in result.stdout


def test_a_database_without_a_sync_is_stale(run: Run) -> None:
    duckdb.connect("other.duckdb").close()
    result = run("status", "--database", "other.duckdb", "--max-age", "52w")
    assert result.exit_code == 4
    assert "never" in result.stdout


def test_models_are_rebuilt_from_what_is_loaded(synced: Run) -> None:
    change("drop schema m3ter cascade")
    result = synced("models")
    assert result.exit_code == 0
    assert "Rebuilt" in result.stdout
    asked = ("query", "from m3ter.integration_failure_rate", "--database", DEFAULT_DATABASE)
    assert synced(*asked).exit_code == 0


def test_the_published_copy_can_be_made_again_and_asked(synced: Run) -> None:
    PUBLISHED.unlink()
    assert synced("publish").exit_code == 0
    for name in ("notification_coverage", "m3ter.notification_coverage"):
        assert synced("query", f"from {name}", "--database", PUBLISHED).exit_code == 0
    assert str(PUBLISHED) in synced("sync").stdout
    change("drop view m3ter.load_history")
    before = PUBLISHED.stat()
    for sql in ("select 1", "drop schema m3ter cascade"):
        change(sql)
        refused = synced("publish")
        assert refused.exit_code == 1
        assert refused.stderr.endswith("Run m3ter-sync models first.\n")
    assert PUBLISHED.stat() == before


def test_what_fails_a_check_is_published_by_force_alone_and_the_manifest_says_so(
    synced: Run,
) -> None:
    change("update m3ter_raw.syncs set started_at = started_at - interval 3 day")
    before = PUBLISHED.stat()
    refused = synced("publish")
    assert refused.exit_code == 3
    assert "these checks failed: freshness" in refused.stderr
    assert "readers keep the copy of 20" in refused.stderr
    assert PUBLISHED.stat() == before

    forced = synced("publish", "--force")
    assert forced.exit_code == 0
    assert "These checks failed: freshness." in forced.stdout
    assert PUBLISHED.stat().st_ino != before.st_ino
    manifest = orjson.loads(PUBLISHED.with_name("manifest.json").read_bytes())
    assert manifest["failed_checks"] == ["freshness"]


def test_a_failed_check_shows_the_rows_and_is_an_exit_code(synced: Run, world: World) -> None:
    passed = synced("check")
    assert passed.exit_code == 0, passed.stdout
    assert "ok      statuses_known" in passed.stdout
    change(
        "update m3ter_raw.integration_runs set status = 'PAUSED' "
        f"where id = '{next(iter(world.listed_runs()))}'"
    )
    assert synced("models").exit_code == 0
    result = synced("check")
    assert result.exit_code == 3
    assert "FAILED  statuses_known: 1 rows." in result.stdout
    assert "PAUSED" in result.stdout


def test_each_named_query_is_listed_and_runs(synced: Run) -> None:
    listed = orjson.loads(synced("query", "--list", "--format", "json").stdout)
    for row in listed:
        assert row["question"]
        result = synced("query", "--name", row["name"])
        assert result.exit_code == 0, result.stderr
    refused = synced("query", "--name", "nonsense")
    assert refused.exit_code == 2
    assert "There is no query 'nonsense'. There are: " in refused.stderr
