"""A failure that was foreseen is one clear line, an exit code, and nothing half-written."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import click
import duckdb
import orjson
import pytest
from click.testing import CliRunner, Result

from m3ter_sync.cli.program import Program
from m3ter_sync.warehouse.location import Location

Run = Callable[..., Result]
DATABASE = Path("data/warehouse.duckdb")
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARNING) [0-9a-f-]{36} ")
RUN = re.compile(r" \(run [0-9a-f-]{36}\)$")


def error_of(result: Result) -> str:
    """The one line that says what went wrong; logs may stand before it."""
    assert "Traceback" not in result.output
    *logs, error = result.stderr.splitlines()
    assert all(map(LOG_LINE.match, logs)), result.stderr
    assert error.startswith("Error: ")
    assert bool(logs) == bool(RUN.search(error)), "the run whose lines stand above is named"
    return RUN.sub("", error)


@pytest.mark.parametrize(
    ("env", "exit_code", "says"),
    [
        ({"M3TER_API_SECRET": "wrong"}, 2, "401"),
        ({"M3TER_ORG_ID": "11111111-0000-0000-0000-000000000000"}, 2, "Check that org_id 1111"),
        ({"M3TER_BASE_URL": "http://127.0.0.1:9"}, 1, "refuses the connection"),
        ({"M3TER_BASE_URL": "http://example.com"}, 2, "unencrypted"),
        ({"M3TER_ORG_ID": None, "M3TER_API_KEY": None}, 2, "Missing: org_id, access_key_id"),
        ({"SOURCES__M3TER__THREADS": "many"}, 2, "threads"),
        ({"SOURCES__M3TER__WINDOW_DAYS": "week"}, 2, "such as [1, 7, 28]"),
        ({"SOURCES__M3TER__STUCK_AFTER_HOURS": "abc"}, 2, "must be a number from 0"),
        ({"SOURCES__M3TER__NEW_ERROR_DAYS": "-1"}, 2, "must be a number from 0"),
        ({"SOURCES__M3TER__COUNTS_SANDBOX": "perhaps"}, 2, "must be true or false"),
    ],
    ids=[
        "secret",
        "organization",
        "unreachable",
        "insecure",
        "missing",
        "setting",
        "windows",
        "number",
        "negative",
        "choice",
    ],
)
def test_what_keeps_m3ter_from_being_read_is_one_line_and_writes_no_database(
    run: Run, env: Mapping[str, str | None], exit_code: int, says: str
) -> None:
    result = run("sync", env=env)
    assert says in error_of(result)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert not DATABASE.exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["sync", "--since", "yesterday"], "'yesterday' is no date. Give ISO 8601: 2025-11-03"),
        (["sync", "--until", "2025-13-01"], "no date"),
        (["sync", "--since", "0001-01-01T00:00:00+14:00"], "no date"),
        (["sync", "--since", "2025-11-03", "--until", "2025-11-02"], "is after"),
        (["sync", "--entity-id", "7"], "--entity-id needs --entity-type"),
        (["sync", "--entity-type", "Invoice"], "Invoice"),
        (["sync", "--requests-per-second", "0"], "--requests-per-second"),
        (["sync", "--nonsense"], "--nonsense"),
        (["sync", "--database", "data/m3ter.duckdb"], "cannot be named m3ter.duckdb"),
        (["sync", "--database", "."], "is a folder"),
        (["list", "runs", "--entity-id", "7"], "--entity-type"),
        (["list", "runs", "--entity-type", "Bill", "--entity-id", ".."], "is no id"),
        (["list", "notifications", "--page-size", "101"], "--page-size"),
        (["status", "--max-age", "soon"], "Give one like 90m, 36h, 2d or 1w"),
        (["status"], "There is no warehouse at"),
        (["models"], "There is no warehouse at"),
        (["check"], "There is no warehouse at"),
        (["publish"], "There is no warehouse at"),
        (["query", "select 1"], "There is no warehouse at"),
        (["query"], "Give the SQL"),
        (["nonsense"], "No such command 'nonsense'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_and_writes_nothing(
    run: Run, folder: Path, args: list[str], says: str
) -> None:
    result = run(*args)
    assert says in error_of(result)
    assert result.exit_code == 2
    assert not any(folder.iterdir())


@pytest.mark.parametrize(
    ("destination", "env", "exit_code", "says"),
    [
        ("nonsense", {}, 2, "dlt knows no destination nonsense"),
        ("postgres", {}, 2, "postgres is not configured"),
        (
            "postgres",
            {"DESTINATION__POSTGRES__CREDENTIALS": "postgresql://me:hunter2@127.0.0.1:9/db"},
            1,
            "PostgreSQL cannot be reached",
        ),
        (
            "snowflake",
            {"DESTINATION__SNOWFLAKE__CREDENTIALS": "snowflake://me:hunter2@host/db"},
            2,
            "pip install 'dlt[snowflake]'",
        ),
        ("postgres", {"DESTINATION__POSTGRES__CREDENTIALS": "hunter2"}, 2, "not configured"),
        ("bigquery", {}, 2, "bigquery is not configured"),
        ("filesystem", {}, 2, "filesystem is not configured"),
        ("dummy", {}, 2, "cannot keep a history"),
        ("duckdb", {"DESTINATION__DUCKDB__CREDENTIALS": "no/such/x.duckdb"}, 1, "be reached"),
    ],
)
def test_a_destination_that_cannot_be_used_is_one_line_without_its_secrets(
    run: Run, destination: str, env: Mapping[str, str], exit_code: int, says: str
) -> None:
    result = run("sync", "--destination", destination, env=env)
    assert says in error_of(result)
    assert "hunter2" not in result.output
    assert result.exit_code == exit_code


@pytest.mark.parametrize(
    ("name", "text"),
    [("secrets.toml", "api_secret = hunter2"), ("config.toml", "a = 1\na = 'hunter2'")],
)
def test_a_settings_file_that_is_no_toml_is_named_and_nothing_of_it_is_shown(
    start: Callable[..., subprocess.Popen[str]], name: str, text: str
) -> None:
    Path(".dlt").mkdir()
    (Path(".dlt") / name).write_text(text)
    process = start("sync")
    _, errors = process.communicate(timeout=60)
    assert errors.startswith(f"Error: ./.dlt/{name} is not valid TOML")
    assert errors.count("\n") == 1
    assert "hunter2" not in errors
    assert process.returncode == 2


def test_an_entity_that_is_not_there_is_named(run: Run) -> None:
    unknown = "11111111-0000-0000-0000-000000000000"
    result = run("list", "runs", "--entity-type", "bill", "--entity-id", unknown)
    assert f"Bill {unknown}" in error_of(result)
    assert result.exit_code == 1


@pytest.mark.parametrize("command", [["sync"], ["models"], ["status"], ["query", "select 1"]])
def test_a_file_that_is_no_database_is_left_as_it_is(run: Run, command: list[str]) -> None:
    Path("notes.duckdb").write_text("shopping list")
    result = run(*command, "--database", "notes.duckdb")
    assert "cannot be opened as a DuckDB database" in error_of(result)
    assert result.exit_code == 2
    assert Path("notes.duckdb").read_text() == "shopping list"


def test_damage_that_is_met_while_reading_is_told_with_what_to_do(run: Run) -> None:
    assert run("sync").exit_code == 0
    with duckdb.connect(DATABASE, read_only=True) as connection:
        blocks = connection.execute(
            "select distinct block_id from pragma_storage_info('m3ter_raw.integration_runs') "
            "where persistent and column_name in ('id', 'status', 'dt_started')"
        ).fetchall()
        (size,) = connection.execute(
            "select block_size from pragma_database_size()"
        ).fetchone() or (0,)
    content = bytearray(DATABASE.read_bytes())
    for (block,) in blocks:
        start = 3 * 4096 + block * size
        content[start + 100 : start + 1000] = bytes(900)
    DATABASE.write_bytes(content)
    result = run("sync")
    assert "Corrupt database file" in error_of(result)
    assert "The database is damaged: put a copy of it back" in error_of(result)
    assert result.exit_code == 1


def test_a_database_that_another_program_has_open_is_left_alone(run: Run) -> None:
    DATABASE.parent.mkdir()
    hold = (
        "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, DATABASE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        for command in (["sync"], ["status"], ["query", "select 1"]):
            result = run(*command)
            assert "is open in another program" in error_of(result)
            assert result.exit_code == 1
        holder.communicate("\n")


def test_a_second_sync_of_one_warehouse_is_refused(run: Run) -> None:
    with Location.of(DATABASE).acquire():
        result = run("sync")
    assert "Another m3ter-sync is writing" in error_of(result)
    assert result.exit_code == 75
    assert not DATABASE.exists()


def test_a_failure_that_nobody_foresaw_shows_where_it_happened() -> None:
    @click.group(cls=Program)
    def program() -> None:
        """A program with a defect."""

    @program.command()
    def divide() -> None:
        _ = 1 // 0

    result = CliRunner().invoke(program, ["divide"])
    assert result.exit_code == 1
    assert "in divide" in result.stderr
    *_, last = result.stderr.splitlines()
    assert last.startswith("Error: ZeroDivisionError: ")


def test_json_says_what_failed_too(run: Run) -> None:
    result = run("sync", "--json", env={"M3TER_API_SECRET": "wrong"})
    report = orjson.loads(result.stdout)
    assert report["outcome"] == "failed"
    assert report["error"] == error_of(result).removeprefix("Error: ")
    assert result.exit_code == 2
