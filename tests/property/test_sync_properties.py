"""Whatever happens between syncs and during them: after a clean one the warehouse equals the world.

A counter-example that is found here gets a test of its own in `tests/end_to_end`.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import JSONResponse

from m3ter_sync.api import M3terError, Stopped
from m3ter_sync.sandbox import Fault, Faults, LoggedRequest, Sandbox, build_world
from m3ter_sync.source import resources
from m3ter_sync.warehouse.sync import Monitor, SyncOptions

Action = tuple[str, Any]
ACTIONS = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from([0.01, 0.3, 1.0, 4.0])),
    st.tuples(st.just("sync while the world moves"), st.integers(5, 40)),
    st.tuples(st.just("sync that is stopped"), st.integers(1, 40)),
    st.tuples(st.just("sync that fails"), st.integers(1, 40)),
    st.tuples(st.just("sync that is killed"), st.tuples(st.integers(1, 40), st.floats(0, 0.7))),
    st.tuples(st.just("sync until"), st.integers(0, 60)),
    st.tuples(st.just("sync since"), st.integers(0, 60)),
    st.tuples(st.just("sync one type"), st.sampled_from(["Bill", "Notification"])),
    st.tuples(st.just("lose the working folder"), st.none()),
    st.tuples(st.just("restore the oldest copy"), st.booleans()),
    st.tuples(st.just("probe"), st.sampled_from(["list", "data", "none", "partial", "wrong"])),
)


@dataclass
class Play:
    """Plays actions on one world and one warehouse."""

    warehouse: Any
    copy: Path

    def act(self, kind: str, value: Any) -> None:
        sandbox, location = self.warehouse.sandbox, self.warehouse.location
        world = sandbox.world
        match kind:
            case "advance":
                world.advance(value)
            case "sync while the world moves":
                self.sync(at=value, does=lambda: world.advance(0.2))
            case "sync that is stopped":
                monitor = Monitor()
                self.sync(at=value, does=monitor.request_stop, monitor=monitor)
            case "sync that fails":
                refusal = JSONResponse({"message": "no"}, 400)
                self.sync(at=value, does=lambda: refusal)
            case "sync that is killed":
                self.warehouse.sync_until_killed(*value)
            case "sync until":
                self.sync(SyncOptions(until=world.now - timedelta(days=value)))
            case "sync since":
                self.sync(SyncOptions(since=world.now - timedelta(days=value)))
            case "sync one type":
                self.sync(SyncOptions(entity_types=[value]))
            case "lose the working folder":
                shutil.rmtree(location.work_folder, ignore_errors=True)
            case "restore the oldest copy" if self.copy.exists():
                shutil.copy(self.copy, location.database)
                if value:
                    shutil.rmtree(location.work_folder, ignore_errors=True)
            case "probe":
                sandbox.behaviour.latest_shape = value

    def sync(self, options: SyncOptions | None = None, *, at: int = 0, does: Any = None,
             **more: Any) -> None:  # fmt: skip
        """A sync in which something happens at one of its requests."""

        def on_request(_: LoggedRequest) -> Any:
            answer = does() if does and len(self.warehouse.sandbox.requests) == at else None
            return answer if isinstance(answer, JSONResponse) else None

        self.warehouse.sandbox.behaviour.on_request = on_request
        try:
            self.warehouse.sync(options, **more)
        except (M3terError, Stopped):
            assert does is not None
        finally:
            self.warehouse.sandbox.behaviour.on_request = None
        if not self.copy.exists() and self.warehouse.location.database.exists():
            shutil.copy(self.warehouse.location.database, self.copy)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(1, 1000),
    is_young=st.booleans(),
    varied=st.booleans(),
    page_size=st.sampled_from([2, 17, 200]),
    entities_per_load=st.sampled_from([4, 15, 10_000]),
    runs_per_load=st.sampled_from([30, 500_000]),
    faults=st.booleans(),
    actions=st.lists(ACTIONS, min_size=1, max_size=5),
)
def test_after_a_clean_sync_the_warehouse_equals_the_world(
    seed: int, is_young: bool, varied: bool, page_size: int, entities_per_load: int,
    runs_per_load: int, faults: bool, actions: list[Action],
    open_warehouse: Any, tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    now = datetime.now(UTC) - timedelta(days=1) if is_young else datetime(2025, 11, 3, tzinfo=UTC)
    world = build_world(
        seed, now=now, bills=10, notifications=6, runs=90, open_runs=3, varied_timestamps=varied
    )
    spoilt = {Fault.SERVER_ERROR: 0.002, Fault.EMPTY_PAGE: 0.05, Fault.RESET: 0.002}
    folder = tmp_path_factory.mktemp("world")
    with (
        patch.object(resources, "RUNS_PER_LOAD", runs_per_load),
        Sandbox(world, faults=Faults(spoilt if faults else {}, seed=seed)) as sandbox,
    ):
        warehouse = open_warehouse(
            sandbox, folder, page_size=page_size, entities_per_load=entities_per_load
        )
        play = Play(warehouse, folder / "copy.duckdb")
        for kind, value in actions:
            play.act(kind, value)
        warehouse.sync()
        warehouse.assert_equals_the_world()
        world.advance(1)
        warehouse.sync()
        warehouse.assert_equals_the_world()
