"""The progress of a sync, read from its monitor."""

import io

import pytest
from rich.console import Console

from m3ter_sync.api import M3terClient
from m3ter_sync.cli.progress import Progress, format_seconds
from m3ter_sync.warehouse.sync import Monitor


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0:00"), (7, "0:07"), (760, "12:40"), (11_100, "3:05:00")]
)
def test_time_left_is_short(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_entities_runs_pace_and_time_left_are_told() -> None:
    client = M3terClient(
        org_id="o", access_key_id="k", api_secret="s", base_url="http://127.0.0.1:9"
    )
    monitor = Monitor(phase="listing integration runs", entity_count=200, client=client)
    progress = Progress(monitor)
    assert progress.describe().startswith("Listing integration runs: 0 of 200 entities, 0 runs")
    monitor.tally.entities_listed = 50
    monitor.tally.fetched["integration_runs"] = 12_345
    client.statistics.count(requests=80)
    text = progress.describe()
    assert "50 of 200 entities, 12,345 runs, " in text
    assert "requests/s, 0:00 left" in text
    monitor.request_stop()
    assert progress.describe().startswith("Loading what is complete")


def test_the_display_fits_a_narrow_terminal() -> None:
    monitor = Monitor(phase="listing integration runs", entity_count=100_000)
    monitor.tally.entities_listed = 99_000
    monitor.tally.fetched["integration_runs"] = 10_000_000
    console = Console(file=io.StringIO(), width=80)
    console.print(Progress(monitor).render())
    lines = console.file.getvalue().rstrip("\n").splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
