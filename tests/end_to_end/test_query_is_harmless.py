"""What `m3ter-sync query` must not do, attempt by attempt: it reads one database, nothing else."""

import contextlib
import hashlib
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result

from m3ter_sync.cli import main

Ask = Callable[..., Result]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a database, and beside it files that a query might read."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "home").mkdir()
    with duckdb.connect(folder / "data.duckdb") as connection:
        connection.execute("create table bills as select range as id from range(3)")
        connection.execute("create view hosts as select * from read_text('hosts.csv')")
        connection.execute(f"copy bills to '{folder}/file.parquet'")
        connection.execute(f"copy bills to '{folder}/file.json'")
    with duckdb.connect(folder / "other.duckdb") as connection:
        connection.execute("create table bills as select 7 as id")
    (folder / "hosts.csv").write_text("name\nhush\n")
    (folder / "home" / ".duckdbrc").write_text("create temp table planted as select 1;")
    return folder


@pytest.fixture
def ask(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Asks that database, from its folder."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("HOME", str(place / "home"))
    monkeypatch.setenv("HUSH", "hush")

    def ask_query(sql: str, *more: str) -> Result:
        arguments = ["query", "--database", "data.duckdb", *more, "--", sql]
        return CliRunner().invoke(main, arguments, prog_name="m3ter-sync")

    yield ask_query
    logger = logging.getLogger("m3ter_sync")
    logger.handlers = []
    logger.setLevel(logging.NOTSET)


def everything(folder: Path) -> dict[str, str]:
    """Each file and what it holds; of a folder that it is one."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in folder.rglob("*")
    }


ATTEMPTS = [
    # To write rows, tables, or anything that stays.
    "insert into bills values (9)",
    "update bills set id = 9",
    "delete from bills",
    "truncate bills",
    "merge into bills using (select 9 as id) as s on true when matched then delete",
    "create table t as select 1",
    "create temp table t as select 1",
    "create view t as select 1",
    "create macro f(x) as x",
    "create sequence s",
    "create type t as enum ('a')",
    "create schema s",
    "create index i on bills (id)",
    "drop table bills",
    "alter table bills add column b int",
    "comment on table bills is 'x'",
    "vacuum",
    "checkpoint",
    "begin",
    # To write files, its own database among them.
    "copy bills to 'out.csv'",
    "copy bills to '/dev/stdout'",
    "copy bills to 'data.duckdb' (format csv, use_tmp_file false)",
    "copy bills to 'data.duckdb.wal' (format csv, use_tmp_file false)",
    "copy bills to 'data.duckdb.tmp/out.csv'",
    "explain analyze copy bills to 'data.duckdb.wal' (use_tmp_file false)",
    "explain analyze insert into bills values (9)",
    "export database 'out'",
    "copy from database data to other",
    "pragma log_query_path = 'out.log'",
    "set log_query_path = 'out.log'",
    "set profiling_output = 'out.json'",
    "call enable_logging(storage = 'file', storage_path = 'out')",
    "explain analyze select write_log('x') from enable_logging(storage_path = 'o')",
    # To read files.
    "copy bills from 'hosts.csv'",
    "from 'hosts.csv'",
    "from 'file.parquet'",
    "from 'file.json'",
    "from './hosts.csv'",
    "from 'file:hosts.csv'",
    "from 'data.duckdb.tmp/../hosts.csv'",
    "from read_csv('hosts.csv')",
    "from read_csv_auto('*.csv')",
    "from read_text('hosts.csv')",
    "from read_blob('/proc/self/environ')",
    "from read_json('file.json')",
    "from read_parquet('file.parquet')",
    "from parquet_schema('file.parquet')",
    "from parquet_kv_metadata('file.parquet')",
    "from read_duckdb('other.duckdb')",
    "from sniff_csv('hosts.csv')",
    "from glob('*')",
    "from hosts",
    "from query('from read_text(''hosts.csv'')')",
    "from query_table('hosts.csv')",
    "from json_execute_serialized_sql(json_serialize_sql('from read_text(''hosts.csv'')'))",
    "with t as (from read_text('hosts.csv')) from t",
    "select (from read_text('hosts.csv') select content)",
    "describe 'hosts.csv'",
    "summarize 'hosts.csv'",
    "explain analyze from read_text('hosts.csv')",
    "import database 'out'",
    # To reach another database, the network, an extension.
    "attach 'other.duckdb'",
    "attach ':memory:' as m",
    "attach 'data.duckdb' as again",
    "attach 'https://127.0.0.1:1/x.duckdb' as x",
    "use other",
    "detach data",
    "install httpfs",
    "force install json",
    "update extensions",
    "load httpfs",
    "load './x.duckdb_extension'",
    "from 'https://127.0.0.1:1/x.csv'",
    "from 's3://bucket/x.parquet'",
    "from sqlite_scan('x', 'y')",
    "from postgres_scan('x', 'y', 'z')",
    "from delta_scan('x')",
    # To read secrets, the environment, this program's variables.
    "from duckdb_secrets()",
    "from which_secret('s3://x', 's3')",
    "create secret s (type s3, key_id 'x', secret 'y')",
    "select getenv('HUSH')",
    "from connection",
    "from location",
    "from os",
    "from pandas_scan(1)",
    "from python_map_function(1)",
    # To change the settings that forbid all this.
    "set enable_external_access = true",
    "set lock_configuration = false",
    "set allowed_directories = ['/']",
    "reset enable_external_access",
    "pragma enable_external_access = true",
    "set memory_limit = '1TB'",
    "set variable x = 1",
    "set temp_directory = 'out'",
    "set secret_directory = 'out'",
    # To hide one statement behind another.
    "select 1; select 2",
    "select 1; drop table bills",
    "select 1; copy bills to 'out.csv'",
    "copy bills to 'out.csv'; pivot bills on id using count(*)",
    "/* select */ copy bills to 'out.csv'",
    "prepare q as copy bills to 'out.csv'",
    "execute q",
    "call pragma_version()",
]  # fmt: skip


@pytest.mark.parametrize("sql", ATTEMPTS)
def test_a_query_writes_nothing_and_reads_its_database_alone(
    ask: Ask, place: Path, sql: str
) -> None:
    before = everything(place)
    result = ask(sql)
    assert result.exit_code in (1, 2), result.output
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")
    assert "hush" not in result.output
    assert everything(place) == before


def test_a_query_to_parquet_writes_that_file_alone(ask: Ask, place: Path) -> None:
    before = everything(place)
    for sql in ("copy bills to 'out.csv'", "from 'hosts.csv'", "select 1; drop table bills"):
        assert ask(sql, "--format", "parquet", "--output", "rows.parquet").exit_code == 2
        assert everything(place) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select sum(id) from bills",
        "from bills",
        "with b as (from bills) from b;",
        "(select 1) -- with a comment; and a semicolon",
        "values (1)",
        "table bills",
        "show tables",
        "describe bills",
        "summarize bills",
        "pragma table_info('bills')",
        "pivot bills on id using count(*)",
        "explain analyze from bills",
        "select timestamptz '2025-11-03 00:00:00Z' at time zone 'Europe/Berlin'",
        "select '{\"a\": 1}'::json ->> 'a'",
    ],
)
def test_whatever_only_asks_is_answered(ask: Ask, sql: str) -> None:
    result = ask(sql)
    assert result.exit_code == 0, result.output
    assert result.stdout


def test_a_query_that_sorts_more_than_fits_into_memory_is_answered(ask: Ask) -> None:
    """Files are closed to it, but for the disk that DuckDB sorts on."""
    asked = "select current_setting('disabled_filesystems') as a, current_setting('temp_directory')"
    result = ask(asked, "--format", "csv")
    assert result.stdout.splitlines()[1].startswith('"",')
    assert result.stdout.rstrip().endswith("data.duckdb.tmp")


def test_the_settings_of_duckdbs_own_shell_are_not_read(ask: Ask) -> None:
    assert ask("from planted").exit_code == 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks where Linux shows open files")
@pytest.mark.usefixtures("ask")
def test_ctrl_c_ends_a_query_that_would_never_end() -> None:
    ranges = "range(1000000000) as a, range(1000000000) as b"
    endless = f"select count(*) from {ranges} where a.range + b.range = -1"
    # A shell starts what it puts in the background with SIGINT ignored, and so its children.
    start = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    start += "from m3ter_sync.cli import main; main(prog_name='m3ter-sync')"
    process = subprocess.Popen(
        [sys.executable, "-c", start, "query", "--database", "data.duckdb", endless],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not any(
            each.resolve().name == "data.duckdb"
            for each in Path(f"/proc/{process.pid}/fd").iterdir()
        ):
            time.sleep(0.01)
        # DuckDB may lose one that comes while it opens the file: then people press it again.
        for _ in range(4):
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=5)
                break
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.rstrip().endswith("Stopped.")
    assert len(stderr.splitlines()) == 1
