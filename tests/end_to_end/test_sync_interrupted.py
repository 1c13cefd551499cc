"""However a sync ends, the next one goes on from there and ends equal to the world."""

import random
import shutil
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from dlt.load.load import Load
from dlt.pipeline.pipeline import Pipeline

from m3ter_sync.api import M3terError
from m3ter_sync.sandbox import Fault, Faults, LoggedRequest, Sandbox, World, build_world
from m3ter_sync.warehouse.dlt_pipeline import build_pipeline
from m3ter_sync.warehouse.location import WarehouseBusy, WarehouseError
from m3ter_sync.warehouse.sync import Monitor

# Its runs are long past, so what is complete is settled: asking for it again would show.
NOW = datetime(2025, 11, 3, 6, tzinfo=UTC)

# Small, so that a kill finds some loads done and others not.
SMALL = {"threads": 4, "entities_per_load": 12, "page_size": 10}


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=30, notifications=20, runs=600, open_runs=3)


def listed(sandbox: Sandbox) -> list[LoggedRequest]:
    """The requests that list an entity's runs."""
    return [
        each
        for each in sandbox.requests
        if "/integrationruns/" in each.path and not each.path.endswith("/latest")
    ]


def complete_entities(warehouse: Any) -> set[str]:
    """Those that the warehouse holds whole, and at rest."""
    if not warehouse.location.database.exists():
        return set()
    tables = warehouse.query(
        "select 1 from duckdb_tables() where table_name in ('entities', 'integration_runs')"
    )
    if len(tables) < 2:
        return set()
    return {
        row["entity_id"]
        for row in warehouse.query(
            """
            select entity_id from m3ter_raw.entities as e
            join m3ter_raw._dlt_loads as l on l.load_id = e._dlt_load_id
            where l.status = 0 and entity_type <> 'Organization' and entity_id in (
                select entity_id from m3ter_raw.integration_runs group by all
                having bool_and(status in ('COMPLETE', 'ERROR', 'AUTH_FAILED', 'DISABLED'))
            )
            """
        )
    }


@pytest.mark.parametrize("seed", range(2))
def test_a_first_sync_that_is_killed_again_and_again_goes_on_where_it_was(
    seed: int, world: World, warehouse: Any
) -> None:
    """`kill -9` at moments of any kind: while it lists, extracts, normalizes and loads."""
    chance = random.Random(seed)
    kills = 0
    for _ in range(20):
        complete = complete_entities(warehouse)
        kills += warehouse.sync_until_killed(chance.randint(2, 7), 0.7 * chance.random(), **SMALL)
        assert not complete & {each.path.rsplit("/")[-1] for each in listed(warehouse.sandbox)}
        if kills == 5:
            break
    assert kills == 5
    complete = complete_entities(warehouse)
    warehouse.sync()
    warehouse.assert_equals_the_world()
    assert not complete & {each.path.rsplit("/")[-1] for each in listed(warehouse.sandbox)}
    before = warehouse.dump()
    warehouse.sync()
    assert warehouse.dump() == before


def test_a_world_that_moves_on_after_a_kill_is_met_all_the_same(
    world: World, warehouse: Any
) -> None:
    assert warehouse.sync_until_killed(30, 0, **SMALL)
    world.advance(1)
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_stop_loads_what_is_complete_and_the_next_sync_goes_on(
    world: World, warehouse: Any
) -> None:
    monitor = Monitor()
    warehouse.sandbox.behaviour.on_request = lambda _: (
        monitor.request_stop() if monitor.tally.entities_listed > 15 else None
    )
    summary = warehouse.sync(monitor=monitor, entities_per_load=5, threads=2)
    assert summary.outcome == "stopped"
    held = warehouse.rows("integration_runs")
    assert 0 < len(held) < len(world.integration_runs)
    complete = complete_entities(warehouse)
    assert complete
    warehouse.sandbox.behaviour.on_request = None
    assert warehouse.sync().outcome == "succeeded"
    warehouse.assert_equals_the_world()
    assert not complete & {each.path.rsplit("/")[-1] for each in listed(warehouse.sandbox)}


def test_a_request_that_fails_for_good_fails_the_sync_and_loses_nothing(
    world: World, warehouse: Any
) -> None:
    def refuse(log: LoggedRequest) -> Any:
        from starlette.responses import JSONResponse

        if len(listed(warehouse.sandbox)) > 20 and log in listed(warehouse.sandbox):
            return JSONResponse({"message": "no"}, 400)
        return None

    warehouse.sandbox.behaviour.on_request = refuse
    with pytest.raises(M3terError, match="no"):
        warehouse.sync(entities_per_load=8)
    (sync,) = warehouse.query("from m3ter_raw.syncs")
    assert sync["outcome"] == "failed"
    assert "no" in sync["error"]
    complete = complete_entities(warehouse)
    assert complete
    warehouse.sandbox.behaviour.on_request = None
    warehouse.sync()
    warehouse.assert_equals_the_world()
    assert not complete & {each.path.rsplit("/")[-1] for each in listed(warehouse.sandbox)}


STAGES = {
    "extracted": (Pipeline, "normalize"),
    "normalized": (Pipeline, "load"),
    "half-loaded": (Load, "create_followup_jobs"),
    "loaded": (Load, "complete_package"),
}


@pytest.fixture(params=STAGES)
def _pending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks the next load of the pipeline at one of dlt's steps."""
    monkeypatch.setattr(*STAGES[request.param], _crash)


def _crash(*_: Any, **__: Any) -> Any:
    raise RuntimeError("Crashed")


def leave_pending(warehouse: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((RuntimeError, WarehouseError), match="Crashed"):
        warehouse.sync()
    monkeypatch.undo()
    assert build_pipeline(warehouse.location).has_pending_data


@pytest.mark.usefixtures("_pending")
def test_what_a_crash_left_pending_is_finished_first(
    world: World, warehouse: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_pending(warehouse, monkeypatch)
    world.advance(1)
    warehouse.sync()
    warehouse.assert_equals_the_world()
    assert not build_pipeline(warehouse.location).has_pending_data


DIE_WHEN_A_JOB_IS_DONE = """
import os, signal
from dlt.common.storages.load_package import PackageStorage
note = PackageStorage.save_pending_transition
def die(self, load_id, file_name, *more):
    if file_name.startswith("event_types."):
        os.kill(os.getpid(), signal.SIGKILL)
    note(self, load_id, file_name, *more)
PackageStorage.save_pending_transition = die
"""


def test_a_load_that_was_killed_between_doing_and_noting_leaves_no_row_twice(
    warehouse: Any,
) -> None:
    """Found: dlt does such a job again, and a table with history had its rows twice."""
    assert warehouse.start(DIE_WHEN_A_JOB_IS_DONE, **SMALL).wait() == -signal.SIGKILL
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_what_is_pending_for_another_state_of_the_warehouse_is_dropped(
    world: World, warehouse: Any, open_warehouse: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    """Found: a package was loaded onto yesterday's copy and hid what lay between.

    What a sync fetched follows what the one before it had loaded; where that is gone there is
    a gap, which the cursors would never see.
    """
    warehouse.sync()
    copy = tmp_path / "yesterday.duckdb"
    shutil.copy(warehouse.location.database, copy)
    for _ in range(3):
        world.advance(3)
        warehouse.sync()
    world.advance(3)
    monkeypatch.setattr(Pipeline, "load", _crash)
    leave_pending(warehouse, monkeypatch)
    shutil.copy(copy, warehouse.location.database)
    warehouse.sync()
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("has_folder", [True, False])
def test_a_warehouse_that_is_restored_from_yesterdays_copy_comes_right(
    has_folder: bool, world: World, warehouse: Any, tmp_path: Path
) -> None:
    warehouse.sync()
    copy = tmp_path / "yesterday.duckdb"
    shutil.copy(warehouse.location.database, copy)
    warehouse.sandbox.behaviour.faults.extra_fields = {"newField": "x"}
    world.advance(2)
    warehouse.sync()
    shutil.copy(copy, warehouse.location.database)
    if not has_folder:
        shutil.rmtree(warehouse.location.work_folder)
    world.advance(2)
    warehouse.sandbox.behaviour.faults.extra_fields = {}
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_new_machine_and_a_lost_working_folder_cost_no_rows_and_no_requests(
    world: World, warehouse: Any
) -> None:
    warehouse.sync()
    before = warehouse.dump()
    shutil.rmtree(warehouse.location.work_folder)
    summary = warehouse.sync()
    assert warehouse.dump() == before
    assert summary.entities_skipped > 40
    world.advance(1)
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_machine_that_was_away_brings_no_old_versions_back(
    world: World, warehouse: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    warehouse.sync()
    world.advance(1)
    monkeypatch.setattr(Pipeline, "load", _crash)
    leave_pending(warehouse, monkeypatch)
    old_folder = tmp_path / "old"
    shutil.move(warehouse.location.work_folder, old_folder)
    world.advance(1)
    warehouse.sync()
    shutil.rmtree(warehouse.location.work_folder)
    shutil.move(old_folder, warehouse.location.work_folder)
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_a_database_that_was_deleted_is_filled_again(world: World, warehouse: Any) -> None:
    warehouse.sync()
    warehouse.location.database.unlink()
    warehouse.sync()
    warehouse.assert_equals_the_world()


def test_two_syncs_at_once_are_one_too_many(warehouse: Any) -> None:
    with warehouse.location.acquire(), pytest.raises(WarehouseBusy, match="Another m3ter-sync"):
        warehouse.sync()
    warehouse.sync()
    warehouse.assert_equals_the_world()


@pytest.mark.parametrize("seed", [1])
def test_passing_faults_cost_time_and_no_rows(
    seed: int, open_warehouse: Callable[..., Any]
) -> None:
    world = build_world(seed, now=NOW, bills=12, notifications=8, runs=120)
    often = {
        Fault.SERVER_ERROR: 0.02, Fault.UNAVAILABLE: 0.02, Fault.RESET: 0.03, Fault.CUT_OFF: 0.03,
        Fault.HTML: 0.03, Fault.EMPTY_PAGE: 0.1, Fault.THROTTLED: 0.01,
    }  # fmt: skip
    faults = Faults(often, seed=seed, too_large_above=7)
    with Sandbox(world, faults=faults) as sandbox:
        warehouse = open_warehouse(sandbox)
        for _ in range(2):
            warehouse.sync(threads=16)
            warehouse.assert_equals_the_world()
            world.advance(1)


def test_a_token_that_expires_in_the_middle_is_renewed(world: World, warehouse: Any) -> None:
    script = [Fault.TOKEN_EXPIRED if number in (1, 9, 40) else None for number in range(50)]
    warehouse.sandbox.behaviour.faults = Faults(script=script)
    warehouse.sync()
    warehouse.assert_equals_the_world()
    tokens = [each for each in warehouse.sandbox.requests if each.path == "/oauth/token"]
    assert len(tokens) == 4


def test_a_listing_that_would_never_end_fails_loudly(world: World, warehouse: Any) -> None:
    warehouse.sandbox.behaviour.faults = Faults({Fault.REPEATED_TOKEN: 1.0})
    with pytest.raises(M3terError, match="same nextToken"):
        warehouse.sync(page_size=5)
    warehouse.sandbox.behaviour.faults = Faults()
    warehouse.sync()
    warehouse.assert_equals_the_world()
