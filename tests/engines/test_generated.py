"""`m3ter-sync models --engine NAME --dry-run`: a whole script, in that engine's SQL."""

import logging
import re

import duckdb
import pytest
import sqlglot
from click.testing import CliRunner
from sqlglot import exp
from sqlglot.errors import ErrorLevel

from m3ter_sync.cli import main
from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.queries import list_queries
from m3ter_sync.warehouse.sql_files import read_models

from .loading import list_checks
from .postgres import PostgresServer

ENGINES = {
    "duckdb": "duckdb",
    "motherduck": "duckdb",
    "postgres": "postgres",
    "spark": "spark",
    "databricks": "databricks",
    "snowflake": "snowflake",
    "bigquery": "bigquery",
    "redshift": "redshift",
    "clickhouse": "clickhouse",
}
# Functions that an engine has and sqlglot does not know. They are those of sql/functions/<dialect>.
OF_THE_ENGINE = {
    "spark": {"timestamp_micros", "make_dt_interval"},
    "databricks": {"timestamp_micros", "make_dt_interval"},
    "clickhouse": {"fromunixtimestamp64micro", "tounixtimestamp64micro"},
}
# What sqlglot keeps as text: it has no grammar for these, and they are only comments and settings.
KEPT_AS_TEXT = re.compile(r"comment on|alter (table|view)|set |begin|commit", re.IGNORECASE)
OTHERS = [engine for engine, dialect in ENGINES.items() if dialect != "duckdb"]


def print_script(engine: str) -> str:
    result = CliRunner().invoke(main, ["models", "--engine", engine, "--dry-run"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("engine", OTHERS)
def test_the_script_is_sql_of_that_engine_from_the_schemas_to_the_last_relation(
    engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    script = print_script(engine)
    dialect = ENGINES[engine]
    with caplog.at_level(logging.WARNING, "sqlglot"):
        trees = [
            tree for tree in sqlglot.parse(script, dialect, error_level=ErrorLevel.RAISE) if tree
        ]
    for tree in trees:
        if isinstance(tree, exp.Command):
            assert KEPT_AS_TEXT.match(tree.sql(dialect)), tree.sql(dialect)
    assert all("unsupported syntax" in record.message for record in caplog.records)
    made = [
        f"{tree.this.find(exp.Table).db}.{tree.this.find(exp.Table).name}"
        for tree in trees
        if isinstance(tree, exp.Create) and tree.kind in ("TABLE", "VIEW")
    ]
    assert made == [model.full_name for model in read_models()]


@pytest.mark.parametrize("engine", OTHERS)
def test_no_function_is_left_that_only_duckdb_has(engine: str) -> None:
    dialect = ENGINES[engine]
    texts = [print_script(engine), *(translate(each.sql, dialect) for each in list_queries())]
    texts += [translate(path.read_text(), dialect) for path in list_checks()]
    unknown = {
        call.name.lower()
        for text in texts
        for tree in sqlglot.parse(text, dialect)
        if tree
        for call in tree.find_all(exp.Anonymous)
    }
    assert unknown - {"getvariable"} <= OF_THE_ENGINE.get(dialect, set())
    left = re.compile(
        r"m3ter_staging\.\w+\(|\b(epoch_us|make_timestamptz|quantile_cont|duckdb_\w+|read_csv)\(",
        re.I,
    )
    assert not {found.group() for text in texts for found in left.finditer(text)}


def test_the_script_for_duckdb_runs_on_a_database_of_its_own() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema m3ter_raw")
        for table, columns in _raw_columns().items():
            typed = ", ".join(f"{column} varchar" for column in columns)
            connection.execute(f"create table m3ter_raw.{table} ({typed})")
        connection.execute(print_script("motherduck"))
        assert connection.execute("select count(*) from m3ter.sync_status").fetchone() == (5,)


def test_the_script_for_postgres_can_be_run_again(postgres: PostgresServer) -> None:
    import psycopg2

    connection = psycopg2.connect(postgres.create_database())
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute("create schema m3ter_raw")
    for table, columns in _raw_columns().items():
        typed = ", ".join(f"{column} text" for column in columns)
        cursor.execute(f"create table m3ter_raw.{table} ({typed})")
    script = print_script("postgres")
    for _ in range(2):
        cursor.execute(script)
    cursor.execute("select count(*) from m3ter.sync_status")
    assert cursor.fetchone() == (5,)
    cursor.execute("select col_description('m3ter.sync_status'::regclass, 1)")
    assert cursor.fetchone() == ("The table of m3ter_raw.",)
    connection.close()


def test_an_engine_that_is_not_there_is_wrong_usage_and_the_others_are_named() -> None:
    result = CliRunner().invoke(main, ["models", "--engine", "oracle", "--dry-run"])
    assert result.exit_code == 2
    assert all(engine in result.stderr for engine in ENGINES)


@pytest.mark.parametrize("engine", ["motherduck", "snowflake", "bigquery", "redshift"])
def test_what_is_only_generated_says_where_to_run_it(engine: str) -> None:
    result = CliRunner().invoke(main, ["models", "--engine", engine])
    assert result.exit_code == 2
    assert f"--engine {engine} --dry-run" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def _raw_columns() -> dict[str, set[str]]:
    from m3ter_sync.warehouse.rendering import list_raw_columns

    return list_raw_columns(read_models())
