"""Two weeks of syncs under faults, killed and missed ones among them."""

from pathlib import Path
from typing import Any

import pytest

from m3ter_sync.sandbox import World

from .soak import Soak


def test_weeks_of_syncs_end_with_the_world_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulated year of docs/reliability.md, cut short."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    world = {"bills": 60, "notifications": 40, "runs": 1200, "days": 90}
    soak = Soak(tmp_path / "data", seed=13, absences=0.2, deaths=0.2, **world)
    with soak.sandbox:
        soak.live(16)
        soak.assert_everything_holds()
    outcomes = {day.outcome for day in soak.days}
    assert outcomes >= {"succeeded", "killed", "missed"}, outcomes
    # Once every mart is there, the file has room to build them anew, and no more grows.
    sizes = [day.database_bytes for day in soak.days if day.database_bytes]
    assert max(sizes) <= 2 * sizes[1]


def test_nothing_stays_of_a_load_nor_of_one_that_was_killed(world: World, warehouse: Any) -> None:
    """Found: dlt kept a folder of each load, and what a killed sync had extracted, for ever.

    DuckDB kept what it had put aside for a killed process until it put something aside again.
    """
    folders = "pipelines/*/*/*/*"
    warehouse.sync_until_killed(60, 0.0)
    warehouse.location.work_folder.joinpath("tmp", "left_behind").touch()
    spilled = warehouse.location.database.with_name("warehouse.duckdb.tmp")
    assert list(warehouse.location.work_folder.glob(folders)), "killed while it was extracting"
    warehouse.sync()
    spilled.mkdir()
    (spilled / "duckdb_temp_storage_DEFAULT-0.tmp").touch()
    world.advance(1)
    warehouse.sync()
    assert not spilled.exists()
    assert not list(warehouse.location.work_folder.glob(folders))
    assert not list(warehouse.location.work_folder.glob("tmp/*"))
