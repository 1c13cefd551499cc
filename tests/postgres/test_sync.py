"""A warehouse on a PostgreSQL server holds what one in a DuckDB file does, row by row."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.conftest import LOADED_TABLES
from tests.engines.postgres import PostgresServer

from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.source.parsing import parse_rows
from m3ter_sync.source.tables import BILLS, INTEGRATION_RUNS
from m3ter_sync.warehouse.known_rows import WarehouseRows
from m3ter_sync.warehouse.sync import Sync

HOSTILE = [
    "'; drop schema m3ter_raw cascade; --",
    '"; drop table bills; --',
    "$$; drop table bills; $$",
    "{integration_runs}",
    "%s %(name)s % ? $1 :name",
    "a\\'b`c[d]\\",
    "\\.",
    "one\n\\.\ntwo",
    "\\N",
    "",
    " \t\r\n\v\f",
    "\u202e\x1b[31m",
    "é😀\ud7ff" * 100,
]


def find_written(url: str, server: PostgresServer) -> dict[str, set[tuple[str, str]]]:
    """Where each row is, and which transaction wrote it."""
    sql = "select ctid::text, xmin::text from m3ter_raw."
    return {name: set(server.execute(f"{sql}{name}", url)) for name in LOADED_TABLES}


def test_it_equals_the_world_after_its_first_sync_and_as_the_world_moves_on(
    world: World, warehouse: Any
) -> None:
    first = warehouse.sync()
    assert first.tables["integration_runs"].new == len(world.integration_runs)
    warehouse.assert_equals_the_world()
    for _ in range(3):
        world.advance(1)
        summary = warehouse.sync()
        assert summary.outcome == "succeeded"
        warehouse.assert_equals_the_world()


def test_a_sync_asks_for_and_writes_what_one_into_duckdb_does(
    world: World, warehouse: Any, open_warehouse: Callable[..., Any], sandbox: Sandbox
) -> None:
    other = open_warehouse(sandbox, "duckdb")
    for move in (0, 1, 0):
        if move:
            world.advance(move)
        at = datetime(2025, 11, 4, tzinfo=UTC)
        there, here = warehouse.sync(at=at), other.sync(at=at)
        assert there.requests == here.requests
        assert there.tables == here.tables
        assert (there.entities_listed, there.entities_skipped) == (
            here.entities_listed,
            here.entities_skipped,
        )
    for table in ("integration_runs", "bills", "notification_configurations"):
        sql = f"select count(*) as n from m3ter_raw.{table}"
        assert warehouse.query(sql) == other.query(sql)


def test_a_second_sync_changes_no_row_and_rewrites_none(
    warehouse: Any, url: str, server: PostgresServer
) -> None:
    warehouse.sync()
    before, written = warehouse.dump(), find_written(url, server)
    summary = warehouse.sync()
    assert warehouse.dump() == before
    assert all(not (table.new or table.changed) for table in summary.tables.values())
    assert find_written(url, server) == written


def test_a_changed_configuration_keeps_its_past(world: World, warehouse: Any) -> None:
    warehouse.sync()
    one = next(iter(world.notification_configurations.values()))
    before = one["name"]
    one |= {"name": "renamed", "version": one["version"] + 1}
    warehouse.sync()
    rows = warehouse.query(
        "select name, _dlt_valid_to from m3ter_raw.notification_configurations "
        f"where id = '{one['id']}' order by _dlt_valid_from"
    )
    assert [row["name"] for row in rows] == [before, "renamed"]
    assert [row["_dlt_valid_to"] is None for row in rows] == [False, True]


def test_hostile_texts_are_held_as_they_are_and_known_again(world: World, warehouse: Any) -> None:
    runs, configurations = (
        list(table.values())
        for table in (world.integration_runs, world.notification_configurations)
    )
    for run, text in zip(runs, HOSTILE, strict=False):
        run |= {"error": text, "externalId": text, "destination": text or "X", f"x{text}": text}
    for one, text in zip(configurations, HOSTILE, strict=False):
        one |= {"calculation": text, "name": text or "x"}
    # Columns whose names are longer than PostgreSQL's.
    runs[0] |= {"y" * 100: "long", "y" * 99 + "z": "another"}
    warehouse.sync()
    held, served = warehouse.rows("integration_runs"), world.listed_runs()
    for run_id, run in served.items():
        assert held[run_id]["error"] == run.get("error")
    assert sorted(v for k, v in held[runs[0]["id"]].items() if k.startswith("yyy") and v) == [
        "another",
        "long",
    ]
    again = warehouse.sync(at=datetime(2025, 12, 24, tzinfo=UTC))
    assert again.entities_listed
    assert not any(table.new or table.changed for table in again.tables.values())


def test_what_postgresql_cannot_hold_is_marked_and_known_again(
    world: World, warehouse: Any
) -> None:
    run = next(iter(world.integration_runs.values()))
    one = next(iter(world.notification_configurations.values()))
    run["error"] = "a\0b\0"
    one["calculation"] = "\0"
    warehouse.sync()
    assert warehouse.rows("integration_runs")[run["id"]]["error"] == "a\ufffdb\ufffd"
    held = warehouse.rows("notification_configurations")
    assert held[one["id"]]["calculation"] == "\ufffd"
    again = warehouse.sync(at=datetime(2025, 12, 24, tzinfo=UTC))
    assert again.entities_listed
    assert not any(table.new or table.changed for table in again.tables.values())


def test_of_every_type_a_row_that_differs_is_told_from_one_that_does_not(warehouse: Any) -> None:
    warehouse.sync()
    bill = dict(next(iter(warehouse.sandbox.world.bills.values())))
    run = dict(next(iter(warehouse.sandbox.world.listed_runs().values())))
    with warehouse.location.connect() as connection:
        known = WarehouseRows(connection)
        for table, row, changes in (
            (
                BILLS,
                bill,
                {"billTotal": 0.000000001, "locked": not bill["locked"], "billDate": "1999-01-01"}
                | {"status": "", "version": 10**15, "x": "new"},
            ),
            (INTEGRATION_RUNS, run, {"dtStarted": "2025-11-03T06:00:00.000001Z", "error": "\\."}),
        ):
            same = known.drop_unchanged(table, parse_rows(table, [row]).table)
            assert not same.rows.num_rows
            for name, value in changes.items():
                fetched = parse_rows(table, [row | {name: value}]).table
                changed = known.drop_unchanged(table, fetched)
                assert (changed.rows.num_rows, changed.changed_count) == (1, 1), name
                assert changed.rows.schema == fetched.schema


@pytest.mark.parametrize("moment", [(6, 0.1), (12, 0.4), (40, 0.3)])
def test_a_sync_that_is_killed_is_taken_up_by_the_next(
    moment: tuple[int, float], world: World, warehouse: Any
) -> None:
    kills = 0
    for number, delay in (moment, (moment[0], moment[1] + 0.5)):
        kills += warehouse.sync_until_killed(
            number, delay, threads=4, entities_per_load=8, page_size=20
        )
    assert kills
    world.advance(1)
    warehouse.sync()
    warehouse.assert_equals_the_world()
    before = warehouse.dump()
    warehouse.sync()
    assert warehouse.dump() == before


def test_a_sync_that_is_killed_while_it_loads_leaves_no_half_of_a_load(
    warehouse: Any, connect: Callable[..., Any]
) -> None:
    """The server's own lock holds the merge up, so that it is killed right in it."""
    warehouse.sync()
    world = warehouse.sandbox.world
    world.advance(1)
    blocker = connect()
    blocker.execute("begin")
    blocker.execute("lock table m3ter_raw.integration_runs in share row exclusive mode")
    process = warehouse.start()
    asking = connect()
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
    while process.poll() is None:
        asking.execute(waiting)
        if asking.fetchone()[0]:
            process.kill()
            break
    assert process.wait() == -signal.SIGKILL
    blocker.execute("rollback")
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_models_checks_and_the_published_copy_come_of_it(world: World, warehouse: Any) -> None:
    for _ in range(2):
        summary = Sync(warehouse.settings(), warehouse.location).run()
        assert (summary.outcome, summary.failed_checks) == ("succeeded", [])
        world.advance(1)
    syncs = warehouse.query("select * from m3ter_raw.syncs order by sync_number")
    assert [sync["sync_number"] for sync in syncs] == [1, 2]
    assert syncs[0]["new_row_count"] > len(world.bills)
    assert warehouse.location.published_report.exists()


def test_a_world_of_many_is_loaded_in_chunks(open_warehouse: Callable[..., Any], url: str) -> None:
    world = build_world(now=datetime(2025, 11, 3, 6, tzinfo=UTC), bills=90, runs=600)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox, destination="postgres", entities_per_load=40)
        assert len(warehouse.sync().loads) >= 3
        warehouse.assert_equals_the_world()
