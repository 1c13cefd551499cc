"""Whoever reads waits for nothing and keeps nobody waiting; what is theirs stays theirs."""

import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from tests.engines.postgres import PostgresServer

from m3ter_sync.sandbox import World
from m3ter_sync.warehouse.location import WarehouseBusy, WarehouseError, WarehouseLockedOut
from m3ter_sync.warehouse.postgres import _SESSION
from m3ter_sync.warehouse.refresh import rebuild
from m3ter_sync.warehouse.sql_files import ModelError, read_models, sql_folder
from m3ter_sync.warehouse.sync import Sync, SyncOptions

Connect = Callable[..., Any]
RELATIONS = [model.full_name for model in read_models()]


def sync(warehouse: Any) -> Any:
    return Sync(warehouse.settings(), warehouse.location).run()


def test_a_reader_in_a_long_transaction_sees_old_rows_and_nobody_waits(
    world: World, warehouse: Any, connect: Connect
) -> None:
    sync(warehouse)
    reader, newer = connect(), connect()
    reader.execute("begin isolation level repeatable read, read only")
    every = [*RELATIONS, "m3ter_raw.integration_runs", "m3ter_raw.notification_configurations"]
    counts = {}
    for relation in [*every, "m3ter_raw_staging.integration_runs"]:
        reader.execute(f"select count(*) from {relation}")
        counts[relation] = reader.fetchone()
    for _ in range(3):
        world.advance(1)
        assert sync(warehouse).outcome == "succeeded"
        warehouse.assert_equals_the_world()
        for relation in every:
            reader.execute(f"select count(*) from {relation}")
            assert reader.fetchone() == counts[relation]
    newer.execute("select count(*) from m3ter.load_history")
    assert newer.fetchone() == (4,)
    assert counts["m3ter.load_history"] == (1,)


def test_models_write_the_rows_that_differ_and_no_others(
    warehouse: Any, url: str, server: PostgresServer
) -> None:
    sync(warehouse)
    tables = [model.full_name for model in read_models() if model.kind == "table"]

    def find_written() -> dict[str, set[tuple[str, str]]]:
        """Where each row is, and which transaction wrote it."""
        sql = "select ctid::text, xmin::text from"
        return {name: set(server.execute(f"{sql} {name}", url)) for name in tables}

    def build() -> dict[str, set[tuple[str, str]]]:
        with warehouse.location.connect() as connection:
            rebuild(connection)
        return find_written()

    before = find_written()
    held = dict(
        server.execute("select delivery_id, d::text from m3ter.integration_deliveries d", url)
    )
    assert build() == before, "what had not changed was written"
    server.execute("delete from m3ter.integration_deliveries where is_sandbox", url)
    server.execute("update m3ter.run_durations set destination = 'X'", url)
    server.execute("insert into m3ter.event_coverage table m3ter.event_coverage", url)
    kept = before["m3ter.integration_deliveries"] & find_written()["m3ter.integration_deliveries"]
    assert 0 < len(kept) < len(held)
    after = build()
    assert {name for name in tables if before[name] != after[name]} == {
        "m3ter.integration_deliveries",
        "m3ter.run_durations",
        "m3ter.event_coverage",
    }
    assert kept < after["m3ter.integration_deliveries"]
    rows = server.execute("select delivery_id, d::text from m3ter.integration_deliveries d", url)
    assert dict(rows) == held
    sql = "select count(*) - count(distinct event_type) from m3ter.event_coverage"
    assert server.execute(sql, url) == [(0,)]
    assert server.execute("select 1 from m3ter.run_durations where destination = 'X'", url) == []


def test_views_and_grants_of_others_survive(
    world: World, warehouse: Any, server: PostgresServer, url: str
) -> None:
    sync(warehouse)
    server.execute("drop role if exists analyst", url)
    server.execute("create role analyst", url)
    server.execute("grant usage on schema m3ter to analyst", url)
    server.execute("grant select on all tables in schema m3ter to analyst", url)
    server.execute("create schema own", url)
    server.execute("create view own.mine as select * from m3ter.bill_delivery_status", url)
    server.execute("create view m3ter.ours as select * from m3ter.stuck_runs", url)
    world.advance(1)
    sync(warehouse)
    assert server.execute("select count(*) > 0 from own.mine", url) == [(True,)]
    assert server.execute("select count(*) >= 0 from m3ter.ours", url) == [(True,)]
    names = [model.full_name for model in read_models() if model.schema == "m3ter"]
    for name in names:
        sql = f"select has_table_privilege('analyst', '{name}', 'select')"
        assert server.execute(sql, url) == [(True,)], name
    server.execute("drop owned by analyst", url)
    server.execute("drop role analyst", url)


def test_comments_are_in_the_catalog(warehouse: Any, server: PostgresServer, url: str) -> None:
    sync(warehouse)
    for model in read_models():
        sql = f"select obj_description('{model.full_name}'::regclass)"
        assert server.execute(sql, url) == [(model.comment,)]
        said = server.execute(
            "select attname, col_description(attrelid, attnum) from pg_attribute "
            f"where attrelid = '{model.full_name}'::regclass and attnum > 0 and not attisdropped "
            "order by attnum",
            url,
        )
        assert said == [(column.name, column.comment) for column in model.columns]


@pytest.fixture
def other_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQL files of a version in which two marts have got another column."""
    folder = tmp_path / "sql"
    subprocess.run(["cp", "-r", sql_folder(), folder], check=True)
    for name in ("stuck_runs", "bill_delivery_status"):
        path = folder / "marts" / f"{name}.sql"
        text = path.read_text()
        head, select, rest = text.partition("select\n")
        if name == "bill_delivery_status":
            head, select, rest = text.rpartition("\nselect\n")
        path.write_text(f"{head}{select}    1 as first_of_all, -- A new column.\n{rest}")
    monkeypatch.setattr("m3ter_sync.warehouse.sql_files.sql_folder", lambda: folder)
    monkeypatch.setattr("m3ter_sync.warehouse.dialects.sql_folder", lambda: folder)
    monkeypatch.setattr("m3ter_sync.warehouse.refresh.sql_folder", lambda: folder)
    return folder


def test_other_columns_replace_a_relation_and_keep_its_grants(
    warehouse: Any, server: PostgresServer, url: str, other_models: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("m3ter_sync.warehouse.sql_files.sql_folder", sql_folder)
        sync(warehouse)
    server.execute("grant select on m3ter.bill_delivery_status to public", url)
    server.execute("grant select on m3ter.undelivered_amounts to public", url)
    with warehouse.location.connect() as connection:
        rebuild(connection)
    columns = (
        "select column_name from information_schema.columns where table_schema = 'm3ter' "
        "and table_name = 'bill_delivery_status'"
    )
    assert ("first_of_all",) in server.execute(columns, url)
    grants = (
        "select table_name from information_schema.role_table_grants "
        "where grantee = 'PUBLIC' and table_schema = 'm3ter' order by 1"
    )
    assert server.execute(grants, url) == [("bill_delivery_status",), ("undelivered_amounts",)]


def test_somebody_elses_view_is_never_dropped_and_the_one_in_the_way_is_named(
    warehouse: Any, server: PostgresServer, url: str, other_models: Path, connect: Connect
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("m3ter_sync.warehouse.sql_files.sql_folder", sql_folder)
        sync(warehouse)
    server.execute("create schema own", url)
    server.execute("create view own.mine as select * from m3ter.bill_delivery_status", url)
    with (
        warehouse.location.connect() as connection,
        pytest.raises(ModelError, match=r"bill_delivery_status has got .* own\.mine reads it"),
    ):
        rebuild(connection)
    assert server.execute("select count(*) > 0 from own.mine", url) == [(True,)]
    server.execute("drop view own.mine", url)
    reader = connect(f"{url}?application_name=metabase")
    reader.execute("begin")
    reader.execute("select count(*) from m3ter.bill_delivery_status")
    with warehouse.location.connect() as connection:
        connection.run("set lock_timeout = '100ms'")
        with pytest.raises(
            WarehouseLockedOut,
            match=r"m3ter\.bill_delivery_status must change, and it is in use by process \d+ "
            r"\(postgres, metabase\) since 20",
        ):
            rebuild(connection)
        reader.execute("commit")
        rebuild(connection)


def test_one_sync_at_a_time_from_whichever_machine(
    warehouse: Any, open_warehouse: Callable[..., Any], sandbox: Any
) -> None:
    elsewhere = open_warehouse(sandbox, "elsewhere", destination="postgres")
    with (
        warehouse.location.acquire("sync", "some-run"),
        pytest.raises(
            WarehouseBusy,
            match=r"Another m3ter-sync is writing to postgres: sync, process \d+ on .*, since 20",
        ),
    ):
        elsewhere.sync()
    assert elsewhere.sync().outcome == "succeeded"
    assert warehouse.location.read_holder() is None


def test_a_lock_that_a_dead_process_held_is_gone_and_readers_never_meet_it(
    warehouse: Any, sandbox: Any
) -> None:
    warehouse.sync()
    sandbox.world.advance(1)
    reached, go_on = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        reached.set()
        go_on.wait(30)

    sandbox.behaviour.on_request = hold
    process = warehouse.start()
    assert reached.wait(30)
    holder = warehouse.location.read_holder()
    rows = warehouse.rows("integration_runs")
    process.kill()
    process.wait()
    go_on.set()
    sandbox.behaviour.on_request = None
    assert rows
    assert holder is None or holder.pid == process.pid
    assert warehouse.sync().outcome == "succeeded"
    warehouse.assert_equals_the_world()


def test_a_new_column_that_a_reader_keeps_out_is_told_with_his_name_and_comes_later(
    world: World, warehouse: Any, url: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync(warehouse)
    # By a view, as people read it.
    reader = connect(f"{url}?application_name=metabase")
    reader.execute("begin")
    reader.execute("select count(*) from m3ter.stuck_runs")
    next(iter(world.listed_runs().values()))["somethingNew"] = "x"
    world.advance(1)
    monkeypatch.setitem(_SESSION, "lock_timeout", "200ms")
    again = SyncOptions(is_full=True)
    with pytest.raises(
        WarehouseLockedOut,
        match=r"m3ter_raw must get another column, and it is in use by process \d+ "
        r"\(postgres, metabase\) since 20.*, and sync again",
    ):
        warehouse.sync(again)
    reader.execute("commit")
    assert warehouse.sync(again).outcome == "succeeded"
    warehouse.assert_equals_the_world()


def test_a_sync_that_lost_its_lock_writes_nothing_more(
    world: World, warehouse: Any, url: str, server: PostgresServer, sandbox: Any
) -> None:
    warehouse.sync()
    world.advance(1)
    before = warehouse.dump()

    def cut(request: Any) -> None:
        # While dlt extracts: it is the load that must not follow.
        if "/integrationruns/" in request.path and not request.path.endswith("/latest"):
            sandbox.behaviour.on_request = None
            server.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' "
                "and database = (select oid from pg_database where datname = current_database())",
                url,
            )

    sandbox.behaviour.on_request = cut
    with pytest.raises(WarehouseError, match="The connection to PostgreSQL was lost"):
        warehouse.sync()
    assert warehouse.dump() == before
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_no_key_is_held_twice_whoever_writes(
    warehouse: Any, url: str, server: PostgresServer
) -> None:
    warehouse.sync()
    for table in ("integration_runs", "bills", "entities"):
        with pytest.raises(psycopg2.errors.UniqueViolation):
            server.execute(f"insert into m3ter_raw.{table} table m3ter_raw.{table} limit 1", url)
