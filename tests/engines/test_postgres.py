"""On PostgreSQL every relation, check and question is what it is on DuckDB."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest

from m3ter_sync.warehouse.checks import run_checks_on
from m3ter_sync.warehouse.dialects import translate
from m3ter_sync.warehouse.postgres_models import build_models_on_postgres
from m3ter_sync.warehouse.queries import Query, list_queries
from m3ter_sync.warehouse.sql_files import Model, ModelError, read_models

from .loading import list_checks, load_into_postgres
from .postgres import PostgresServer
from .values import assert_same_rows

# So late that nothing is fresh: that check has a row to compare, too.
NOW = datetime.now(UTC) + timedelta(days=9)


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture(scope="module")
def built(warehouse: duckdb.DuckDBPyConnection, url: str) -> Iterator[Any]:
    """In a session whose day is not UTC's, as a server's may be."""
    connection = load_into_postgres(warehouse, url)
    with connection, connection.cursor() as cursor:
        cursor.execute("set time zone 'Pacific/Auckland'")
    build_models_on_postgres(connection)
    yield connection
    connection.close()


def ask(connection: Any, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(column.name for column in cursor.description), cursor.fetchall()


@pytest.mark.parametrize("model", read_models(), ids=lambda model: model.full_name)
def test_every_relation_has_the_same_rows(
    model: Model, warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    sql = f"select * from {model.full_name}"
    columns, found = ask(built, sql)
    assert columns == tuple(column.name for column in model.columns)
    wanted = warehouse.execute(sql).fetchall()
    assert_same_rows(model.full_name, columns, found, wanted)


def test_a_load_began_at_the_same_microsecond(
    warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    """Seven digits behind the point, as clocks have them: a double holds the last one by half."""
    sql = """
        select m3ter_staging.load_time(ids.load_id) as began_at
        from (values ('1795831829.0257394'), ('1795602205.8609934'), ('other')) as ids (load_id)
        """
    columns, found = ask(built, translate(sql, "postgres"))
    assert_same_rows("load_time", columns, found, warehouse.execute(sql).fetchall())


@pytest.mark.parametrize("check", list_checks(), ids=lambda check: check.stem)
def test_every_check_finds_the_same_rows(
    check: Path, warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    text = check.read_text()
    columns, found = ask(built, translate(text, "postgres", now=NOW))
    warehouse.execute(f"set variable m3ter_now = timestamptz '{NOW.isoformat()}'")
    assert_same_rows(check.stem, columns, found, warehouse.execute(text).fetchall())


@pytest.mark.parametrize("query", list_queries(), ids=lambda query: query.name)
def test_every_question_has_the_same_answer(
    query: Query, warehouse: duckdb.DuckDBPyConnection, built: Any
) -> None:
    columns, found = ask(built, translate(query.sql, "postgres"))
    wanted = warehouse.execute(query.sql).fetchall()
    assert_same_rows(query.name, columns, found, wanted)


def test_the_checks_run_by_the_runner_of_checks(built: Any) -> None:
    def first(sql: str, most: int) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        columns, rows = ask(built, sql)
        return columns, rows[:most]

    results = {each.name: each for each in run_checks_on("postgres", first, now=NOW)}
    assert results.keys() == {path.stem for path in list_checks()}
    assert results["freshness"].failing_row_count == 1
    ((count,),) = ask(
        built, "select count(*) from m3ter.integration_runs where delivery_id is null"
    )[1]
    assert count == 0
    assert results["parents_found"].failing_row_count > len(results["parents_found"].rows) == 20


def test_comments_arrive_in_the_catalog(built: Any) -> None:
    _, found = ask(
        built,
        "select nspname || '.' || relname, attname, col_description(attrelid, attnum),"
        " obj_description(attrelid) from pg_attribute"
        " inner join pg_class on attrelid = pg_class.oid"
        " inner join pg_namespace on relnamespace = pg_namespace.oid"
        " where nspname in ('m3ter', 'm3ter_staging')"
        " and relkind in ('r', 'v') and attnum > 0",
    )
    assert {(relation, column): (said, comment) for relation, column, said, comment in found} == {
        (model.full_name, column.name): (column.comment, model.comment)
        for model in read_models()
        for column in model.columns
    }


@pytest.mark.usefixtures("built")
def test_a_rebuild_waits_for_no_reader_and_takes_nobodys_view_or_grant(url: str) -> None:
    ask_nothing = "select count(*) from m3ter.integration_deliveries"
    with closing(psycopg2.connect(url)) as reader, closing(psycopg2.connect(url)) as owner:
        with owner, owner.cursor() as cursor:
            cursor.execute("create role reporting")
            cursor.execute("grant select on m3ter.integration_deliveries to reporting")
            cursor.execute("create view public.theirs as select * from m3ter.bill_delivery_status")
        with reader, reader.cursor() as cursor:
            cursor.execute("set transaction isolation level repeatable read")
            cursor.execute(ask_nothing)
            ((before,),) = cursor.fetchall()
            for model in read_models():
                cursor.execute(f"select 1 from {model.full_name} limit 1")
            with owner, owner.cursor() as setting:
                setting.execute("set lock_timeout = '2s'")
                setting.execute("delete from m3ter_raw.integration_runs where id like 'kind%'")
            build_models_on_postgres(owner)
            cursor.execute(ask_nothing)
            assert cursor.fetchall() == [(before,)], "the reader's transaction sees what it saw"
        with owner, owner.cursor() as cursor:
            cursor.execute(ask_nothing)
            ((after,),) = cursor.fetchall()
            assert after < before
            cursor.execute(
                "select has_table_privilege('reporting', 'm3ter.integration_deliveries', 'select'),"
                " (select count(*) from public.theirs) > 0"
            )
            assert cursor.fetchall() == [(True, True)]


@pytest.mark.usefixtures("built")
def test_a_relation_whose_columns_changed_is_made_anew_unless_others_read_it(url: str) -> None:
    with closing(psycopg2.connect(url)) as owner:
        with owner, owner.cursor() as cursor:
            cursor.execute("alter table m3ter.run_durations add column old text")
            cursor.execute("create view public.reader as select old from m3ter.run_durations")
        with pytest.raises(ModelError, match=r"run_durations|reader"):
            build_models_on_postgres(owner)
        with owner, owner.cursor() as cursor:
            cursor.execute("drop view public.reader")
        build_models_on_postgres(owner)
        with owner, owner.cursor() as cursor:
            cursor.execute(
                "select count(*) from pg_attribute"
                " where attrelid = 'm3ter.run_durations'::regclass and attname = 'old'"
            )
            assert cursor.fetchall() == [(0,)]


@pytest.mark.usefixtures("built")
def test_a_build_that_fails_leaves_the_models_as_they_were(url: str) -> None:
    with closing(psycopg2.connect(url)) as owner:
        counts = "select count(*), max(reason) from m3ter_staging.status_class"
        before = ask(owner, counts)
        with owner, owner.cursor() as cursor:
            cursor.execute("update m3ter_staging.status_class set reason = 'zzz'")
        changed = ask(owner, counts)
        assert changed != before
        # The table above is built before the settings are read.
        with pytest.raises(ModelError, match=r"m3ter_staging\.settings"):
            build_models_on_postgres(owner, settings={"silent_after_days": "a few"})
        assert ask(owner, counts) == changed
        build_models_on_postgres(owner)
        assert ask(owner, counts) == before
