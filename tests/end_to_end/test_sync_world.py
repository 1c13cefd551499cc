"""After every sync the warehouse equals the world, and nothing else was touched."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m3ter_sync.sandbox import Sandbox, build_world
from m3ter_sync.warehouse.sync import Sync

LONG_AGO = datetime(2025, 11, 3, 6, tzinfo=UTC)
LATELY = datetime.now(UTC) - timedelta(days=3)


def test_a_warehouse_equals_the_world_after_its_first_sync(warehouse: Any) -> None:
    summary = warehouse.sync()
    warehouse.assert_equals_the_world()
    assert summary.outcome == "succeeded"
    assert summary.rejected_count == 0
    assert summary.tables["integration_runs"].new == len(warehouse.sandbox.world.integration_runs)


def test_a_second_sync_at_once_changes_no_row_and_rewrites_none(warehouse: Any) -> None:
    warehouse.sync()
    before = warehouse.dump()
    summary = warehouse.sync()
    assert warehouse.dump() == before
    assert all(not (table.new or table.changed) for table in summary.tables.values())


def test_300_entities_and_20000_runs_are_held_row_by_row_and_read_again_for_nothing(
    open_warehouse: Callable[..., Any],
) -> None:
    world = build_world(now=LONG_AGO, bills=260, notifications=40, runs=20_000)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        warehouse.sync()
        warehouse.assert_equals_the_world()
        before = warehouse.dump()
        assert len(before["integration_runs"]) > 19_900
        warehouse.sync()
        assert warehouse.dump() == before


def test_2000_entities_that_move_on_five_times_are_held_row_by_row_each_time(
    open_warehouse: Callable[..., Any],
) -> None:
    world = build_world(now=LONG_AGO, bills=1960, notifications=40, runs=6_000)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox, threads=16)
        warehouse.sync()
        for _ in range(5):
            world.advance(1)
            summary = warehouse.sync()
            warehouse.assert_equals_the_world()
            assert summary.entities_skipped > 1000


# What is young decides what is asked: one world ends now, the other was long ago.
@pytest.mark.parametrize(("seed", "now"), [(2, LONG_AGO), (4, LATELY)])
def test_a_warehouse_follows_a_world_that_moves_on(
    seed: int, now: datetime, open_warehouse: Callable[..., Any]
) -> None:
    world = build_world(seed, now=now, bills=60, notifications=40, runs=1200)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        for _ in range(4):
            warehouse.sync()
            warehouse.assert_equals_the_world()
            world.advance(1)


def test_a_sync_with_models_ends_with_all_checks_passed(warehouse: Any) -> None:
    summary = Sync(warehouse.settings(), warehouse.location).run()
    assert summary.outcome == "succeeded"
    assert summary.failed_checks == []
    (sync,) = warehouse.query("from m3ter_raw.syncs")
    assert sync["outcome"] == "succeeded"
    assert sync["request_count"] == summary.requests > 100
    assert sync["new_row_count"] == sum(table.new for table in summary.tables.values())
