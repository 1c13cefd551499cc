"""After every sync the warehouse equals the world, and nothing else was touched."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from m3ter_sync.sandbox import Sandbox, build_world


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


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_warehouse_follows_a_world_that_moves_on(
    seed: int, open_warehouse: Callable[..., Any]
) -> None:
    # An odd seed's world ends now, an even one's was long ago: what is young decides what is asked.
    now = datetime.now(UTC) - timedelta(days=4) if seed % 2 else datetime(2025, 11, 3, tzinfo=UTC)
    world = build_world(seed, now=now, bills=80, notifications=40, runs=1600)
    with Sandbox(world) as sandbox:
        warehouse = open_warehouse(sandbox)
        for _ in range(5):
            warehouse.sync()
            warehouse.assert_equals_the_world()
            world.advance(1)
