"""Two weeks of syncs under faults, killed and missed ones among them."""

from pathlib import Path

import pytest

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
