"""Every command on a warehouse on PostgreSQL, and what is said when the server refuses."""

import json
import shutil
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import Result
from pyarrow import parquet
from tests.engines.postgres import PostgresServer

from m3ter_sync.sandbox import LoggedRequest, Sandbox, World
from m3ter_sync.warehouse.models import published_relations
from m3ter_sync.warehouse.queries import list_queries

Run = Callable[..., Result]
SETTING = "DESTINATION__POSTGRES__CREDENTIALS"


@pytest.fixture
def synced(run: Run) -> Run:
    result = run("sync")
    assert result.exit_code == 0, result.output
    return run


def ask(run: Run, *args: str) -> list[dict[str, Any]]:
    result = run("query", "--format", "json", *args)
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def test_each_command_works_as_on_a_duckdb_file(
    run: Run, sandbox: Sandbox, world: World, url: str, server: PostgresServer
) -> None:
    assert run("status").exit_code == 2
    first = run("sync", "--json")
    assert first.exit_code == 0
    report = json.loads(first.stdout)
    assert (report["destination"], report["is_published"]) == ("postgres", True)
    status = json.loads(run("status", "--json").stdout)
    assert (status["source"], status["database"]) == ("warehouse", "postgres")
    assert status["published"]["is_behind"] is False
    assert status["organization_id"] == sandbox.org_id
    assert status["sizes"]["database"] > 100_000
    rows = {table["table"]: table["rows"] for table in status["tables"]}
    assert rows["integration_runs"] == len(world.integration_runs)
    assert sum(each["entity_count"] for each in status["entities"]) == 35
    assert sum(each["open_run_count"] for each in status["entities"]) == 6
    shutil.rmtree(Path(status["published"]["database"]).parent)  # as on another machine
    elsewhere = json.loads(run("status", "--json").stdout)["published"]
    assert elsewhere["behind_because"].endswith("run m3ter-sync publish")
    assert run("publish").exit_code == 0
    assert json.loads(run("status", "--json").stdout)["published"]["is_behind"] is False
    assert "13 of 13 checks passed" in run("check").stdout
    assert "Rebuilt" in run("models").stdout
    assert run("publish").exit_code == 0
    assert "agree" in run("verify", "--all").stdout
    server.execute(
        "delete from m3ter_raw.integration_runs where id in "
        "(select id from m3ter_raw.integration_runs where entity_type = 'Bill' limit 3)",
        url,
    )
    different = run("verify", "--all")
    assert (different.exit_code, different.stdout.count("missing")) == (5, 3)
    repaired = run("verify", "--all", "--repair")
    assert repaired.exit_code == 0, repaired.output
    assert "3 runs loaded" in repaired.stdout
    doctor = run("doctor", "--json")
    found = {each["check"]: each for each in json.loads(doctor.stdout)["findings"]}
    assert found["warehouse"]["level"] == "ok"
    assert "postgres opens" in found["warehouse"]["found"]
    assert found["probe"]["level"] == "ok"


def test_the_published_copy_holds_what_the_server_does(
    synced: Run, url: str, server: PostgresServer
) -> None:
    manifest = json.loads(Path("data/postgres/published/manifest.json").read_text())
    assert manifest["warehouse"] == "postgres"
    with duckdb.connect("data/postgres/published/m3ter.duckdb", read_only=True) as copy:
        for model in published_relations():
            names = ", ".join(f'"{column.name}"' for column in model.columns)
            there = server.execute(f"select {names} from {model.full_name}", url)
            here = copy.execute(f"select {names} from {model.full_name}").fetchall()
            assert sorted(map(_plain, here)) == sorted(map(_plain, there)), model.name
        (types,) = copy.execute(
            "select list(data_type) from duckdb_columns() where column_name = 'bill_total'"
        ).fetchall()
        assert set(types[0]) == {"DECIMAL(38,9)"}


def _plain(row: tuple[Any, ...]) -> str:
    """The row as text, in which numbers and instants that are equal look the same."""
    values = [float(value) if isinstance(value, Decimal) else value for value in row]
    return str([str(v.astimezone(UTC)) if isinstance(v, datetime) else v for v in values])


def test_a_query_is_answered_in_every_format(synced: Run) -> None:
    rows = ask(
        synced,
        "select 1.5::numeric as n, null as nothing, true as yes, date '2025-11-03' as d, "
        "array[1, 2] as list, 'ü''\"\n' as text, 1 as text",
    )
    assert rows == [
        {"n": 1.5, "nothing": None, "yes": True, "d": "2025-11-03", "list": [1, 2]}
        | {"text": "ü'\"\n", "text_1": 1}
    ]
    sql = "select bill_id, bill_total, billed_on, since from m3ter.bill_delivery_status"
    assert synced("query", "--format", "parquet", "--output", "x.parquet", sql).exit_code == 0
    table = parquet.read_table("x.parquet")
    assert table.num_rows == len(ask(synced, sql)) > 10
    assert table.schema.field("bill_total").type.scale == 9
    assert isinstance(table.column("billed_on")[0].as_py(), date)
    for format_ in ("table", "csv", "jsonl", "markdown"):
        assert synced("query", "--format", format_, sql).exit_code == 0
    assert "QUERY PLAN" in synced("query", "explain select 1").stdout
    assert ask(synced, "show timezone") == [{"TimeZone": "UTC"}]


def test_each_named_question_is_answered_as_the_published_copy_does(synced: Run) -> None:
    answered = 0
    for each in list_queries():
        there = ask(synced, "--name", each.name)
        with duckdb.connect("data/postgres/published/m3ter.duckdb", read_only=True) as copy:
            here = copy.execute(each.sql).fetchall()
        assert len(there) == len(here), each.name
        answered += len(here)
    assert answered


@pytest.mark.parametrize(
    "sql",
    [
        "drop table m3ter.run_durations",
        "select 1; drop table m3ter.run_durations",
        "select 1); drop table m3ter.run_durations; --",
        "/* select */ delete from m3ter.run_durations",
        "with gone as (delete from m3ter.run_durations returning *) select * from gone",
        "explain analyze delete from m3ter.run_durations",
        "select * into m3ter.x from m3ter.run_durations",
        "create table m3ter.x as select 1 as one",
        "copy m3ter.run_durations to '/tmp/m3ter-hidden'",
        "copy (select 1) to program 'touch /tmp/m3ter-hidden'",
        "do $$ begin execute 'drop table m3ter.run_durations'; end $$",
        "call pg_sleep(1)",
        "set transaction read write",
        "select set_config('transaction_read_only', 'off', false)",
        "commit",
        "vacuum",
        "select nextval('m3ter.counter')",
        "select * from m3ter.run_durations for update",
        "listen x",
        "",
        "--",
    ],
)
def test_a_query_on_the_server_writes_nothing(
    sql: str, run: Run, url: str, server: PostgresServer
) -> None:
    server.execute("create schema m3ter_raw", url)
    server.execute("create schema m3ter", url)
    server.execute("create table m3ter.run_durations as select 1 as one", url)
    server.execute("create sequence m3ter.counter", url)
    result = run("query", sql or " ")
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1 or "Usage" in result.stderr
    assert server.execute("select * from m3ter.run_durations", url) == [(1,)]
    assert server.execute("select is_called from m3ter.counter", url) == [(False,)]
    assert server.execute("select to_regclass('m3ter.x')", url) == [(None,)]
    assert server.execute("select count(*) from pg_largeobject_metadata", url) == [(0,)]
    assert not Path("/tmp/m3ter-hidden").exists()


def test_what_a_function_of_the_server_does_is_undone(
    run: Run, url: str, server: PostgresServer
) -> None:
    server.execute("create schema m3ter_raw", url)
    # Servers before 16 let it run in a transaction that only reads.
    run("query", "select lo_create(0)")
    assert server.execute("select count(*) from pg_largeobject_metadata", url) == [(0,)]


def test_a_query_of_what_is_not_there_says_so(synced: Run) -> None:
    result = synced("query", "select nope from m3ter.run_durations")
    assert result.exit_code == 2
    assert result.stderr == 'Error: PostgreSQL refuses: column "nope" does not exist.\n'


def test_a_query_that_the_server_ends_failed_and_was_not_wrong(synced: Run) -> None:
    result = synced("query", "select pg_terminate_backend(pg_backend_pid())")
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: PostgreSQL refuses: terminating connection due to administrator command.\n"
    )


def refused(run: Run, address: str | None, *command: str) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        if address is None:
            patch.delenv(SETTING)
        else:
            patch.setenv(SETTING, address)
        result = run(*(command or ("sync",)), *(("--quiet",) if not command else ()))
    (line,) = result.stderr.splitlines()
    assert "Traceback" not in result.output
    assert not Path("data/warehouse.duckdb").exists()
    return result.exit_code, line


def test_a_server_that_does_not_let_us_in_is_told_in_one_line(
    run: Run, url: str, server: PostgresServer
) -> None:
    wrong = server.url_of("postgres", password="hush-wrong-one")
    for command in (("sync", "--quiet"), ("status",), ("check",), ("query", "select 1")):
        code, line = refused(run, wrong, *command)
        assert code == 2
        assert 'password authentication failed for user "postgres"' in line
        assert SETTING in line
    code, line = refused(run, server.url_of("hardly"))
    assert (code, 'database "hardly" does not exist' in line) == (2, True)
    code, line = refused(run, "postgresql://a:hush-secret@127.0.0.1:1/x")
    assert (code, "cannot be reached" in line) == (1, True)
    assert SETTING in refused(run, None)[1]
    for address in ("hush-hush-hush", "mysql://a:hush-secret@127.0.0.1/x", "postgresql://"):
        code, line = refused(run, address)
        assert (code, SETTING in line) == (2, True), line
    code, line = refused(run, f"{url}?hush-secret=1")
    assert (code, SETTING in line) == (2, True), line


def test_without_its_packages_it_is_said_how_to_install_them(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("m3ter_sync.warehouse.location.find_spec", lambda name: None)
    for command in (("sync", "--quiet"), ("status",), ("query", "select 1")):
        result = run(*command)
        assert result.exit_code == 2
        assert "pip install 'm3ter-sync[postgres]'" in result.stderr


def test_a_role_that_may_not_and_a_database_that_cannot_are_refused(
    run: Run, url: str, server: PostgresServer
) -> None:
    server.execute("drop role if exists weak")
    server.execute("create role weak login password 'hush-weak-one'")
    database = url.rpartition("/")[2]
    weak = server.url_of(database, "weak", "hush-weak-one")
    code, line = refused(run, weak)
    assert code == 2
    assert "lacks rights: CREATE on the database. GRANT CREATE" in line
    server.execute(
        "create database latin encoding 'LATIN1' locale_provider 'libc' locale 'C' "
        "template template0"
    )
    code, line = refused(run, server.url_of("latin"))
    assert (code, "the encoding LATIN1" in line) == (2, True)
    server.execute("drop database latin")
    server.execute("drop role weak")


def test_a_role_that_may_make_schemas_and_no_more_is_enough(
    run: Run, url: str, server: PostgresServer
) -> None:
    server.execute("drop role if exists loader")
    server.execute("create role loader login password 'hush-loader-one'")
    database = url.rpartition("/")[2]
    server.execute(f"grant create, temporary on database {database} to loader")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SETTING, server.url_of(database, "loader", "hush-loader-one"))
        for command in ("sync", "sync", "status", "check", "publish", "verify", "models"):
            result = run(command)
            assert result.exit_code == 0, result.output
    server.execute("drop owned by loader cascade", url)
    server.execute("drop role loader")


def test_a_server_that_goes_away_in_the_middle_is_told_and_nothing_is_lost(
    run: Run, sandbox: Sandbox, world: World, server: PostgresServer, warehouse: Any
) -> None:
    assert run("sync").exit_code == 0
    world.advance(1)

    def stop(request: LoggedRequest) -> None:
        if "/integrationruns/" in request.path:
            sandbox.behaviour.on_request = None
            server.stop()

    sandbox.behaviour.on_request = stop
    gone = run("sync", "--quiet")
    try:
        assert gone.exit_code == 1, gone.output
        assert gone.stderr.startswith("Error: The connection to PostgreSQL was lost"), gone.stderr
        assert len(gone.stderr.splitlines()) == 1
        status = run("status")
        assert "cannot be reached" in status.output
        assert "what the published copy knows" in status.output
        assert status.exit_code == 1
        doctor = run("doctor")
        assert "problem  warehouse: PostgreSQL cannot be reached" in doctor.output
        assert "defect" not in doctor.output
    finally:
        server.start()
    assert run("sync").exit_code == 0
    assert "agree" in run("verify", "--all").stdout


def test_a_server_that_goes_away_while_it_loads_is_told_and_nothing_is_lost(
    run: Run, world: World, url: str, server: PostgresServer, connect: Callable[..., Any]
) -> None:
    assert run("sync").exit_code == 0
    world.advance(1)
    blocker, asking = connect(), connect()
    blocker.execute("begin")
    blocker.execute("lock table m3ter_raw.integration_runs in share row exclusive mode")

    def stop_at_the_merge() -> None:
        asked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        while True:
            asking.execute(asked)
            if asking.fetchone()[0]:
                server.stop()
                return

    watcher = threading.Thread(target=stop_at_the_merge)
    watcher.start()
    gone = run("sync", "--quiet")
    watcher.join()
    try:
        assert gone.exit_code == 1, gone.output
        assert "Traceback" not in gone.output
        assert len(gone.stderr.splitlines()) == 1, gone.stderr
    finally:
        server.start()
    assert run("sync").exit_code == 0
    assert "agree" in run("verify", "--all").stdout


def test_a_second_sync_is_refused_while_one_runs(run: Run, warehouse: Any) -> None:
    with warehouse.location.acquire("sync"):
        for command in ("sync", "models", "publish", "verify"):
            assert run("sync").exit_code == 75
            busy = run(command)
            assert busy.exit_code in (75, 2), (command, busy.output)
        assert "another m3ter-sync is writing to postgres" in run("sync").stderr.lower()


def test_a_statement_that_is_cancelled_is_told(run: Run, url: str, server: PostgresServer) -> None:
    database = url.rpartition("/")[2]
    assert run("sync").exit_code == 0
    server.execute(f"alter database {database} set statement_timeout = '1ms'")
    code, line = refused(run, url)
    assert (code, "statement_timeout" in line) == (1, True), line


def test_ctrl_c_ends_a_query_on_the_server(synced: Run, connect: Callable[..., Any]) -> None:
    program = Path(sysconfig.get_path("scripts")) / "m3ter-sync"
    command = [program, "query", "--destination", "postgres", "select pg_sleep(600)"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    asking = connect()
    running = (
        "select count(*) from pg_stat_activity "
        "where query like '%pg_sleep(600)%' and pid != pg_backend_pid()"
    )
    while process.poll() is None:
        asking.execute(running)
        if asking.fetchone()[0]:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
