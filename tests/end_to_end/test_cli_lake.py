"""Every command works from a lake as from DuckDB, and says in one line why it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from m3ter_sync.sandbox import Sandbox

Run = Callable[..., Result]
LAKE = ("--destination", "filesystem")


@pytest.fixture(autouse=True)
def _bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", (tmp_path / "bucket").as_uri())


def test_every_command_works_from_a_lake(run: Run, sandbox: Sandbox) -> None:
    assert run("status", *LAKE).exit_code == 2
    first = run("sync", *LAKE, "--json")
    assert first.exit_code == 0, first.output
    sandbox.world.advance(1)
    assert run("sync", *LAKE).exit_code == 0
    assert run("verify", *LAKE, "--all").exit_code == 0
    status = json.loads(run("status", *LAKE, "--json").stdout)
    rows = {table["table"]: table["rows"] for table in status["tables"]}
    assert rows["integration_runs"] == len(sandbox.world.listed_runs())
    known = {each["entity_type"]: each["entity_count"] for each in status["entities"]}
    assert known["Bill"] == len(sandbox.world.bills)
    assert run("models", *LAKE).exit_code == 0
    assert run("check", *LAKE).exit_code == 0
    assert run("publish", *LAKE).exit_code == 0
    assert run("report", *LAKE).exit_code == 0
    question = "select bool_and(is_loaded) as it from m3ter.sync_status"
    loaded = run("query", *LAKE, "--format", "json", question)
    assert json.loads(loaded.stdout) == [{"it": True}]
    raw = "select count(*) as n from m3ter_raw.integration_runs"
    counted = run("query", "--database", "data/filesystem/lake.duckdb", "--format", "json", raw)
    assert json.loads(counted.stdout) == [{"n": rows["integration_runs"]}]


def test_verify_repairs_a_lake_by_adding_to_it(run: Run, sandbox: Sandbox) -> None:
    run("sync", *LAKE)
    world = sandbox.world
    run_id = next(iter(world.listed_runs()))
    world.change_run(run_id, status="DISABLED")
    assert run("verify", *LAKE, "--all").exit_code == 5
    assert run("verify", *LAKE, "--all", "--repair").exit_code == 0
    assert run("verify", *LAKE, "--all").exit_code == 0


def test_the_marts_of_a_machine_follow_what_another_added_to_the_lake(
    run: Run, sandbox: Sandbox
) -> None:
    elsewhere = [*LAKE, "--database", "elsewhere/lake.duckdb"]
    question = (
        "select (select count(*) from m3ter_raw.integration_runs) as loaded, "
        "(select sum(attempt_count) from m3ter.integration_deliveries) as counted"
    )
    for _ in range(2):
        assert run("sync", *LAKE).exit_code == 0
        (row,) = json.loads(run("query", *elsewhere, "--format", "json", question).stdout)
        assert row["loaded"] == row["counted"] == len(sandbox.world.listed_runs())
        sandbox.world.advance(1)
    assert run("check", *elsewhere).exit_code == 0
    assert run("publish", *elsewhere).exit_code == 0


@pytest.mark.parametrize(
    ("url", "exit_code", "says"),
    [
        ("nothing://there", 2, ""),
        ("s3://acme-lake", 2, "pip install"),
        ("", 2, "filesystem is not configured"),
    ],
)
def test_a_bucket_url_that_cannot_be_used_is_one_line(
    run: Run, url: str, exit_code: int, says: str
) -> None:
    result = run("sync", *LAKE, env={"DESTINATION__FILESYSTEM__BUCKET_URL": url})
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, result.output
    assert says in errors[0]
    assert "Traceback" not in result.output
    assert result.exit_code == exit_code
