"""A simulated year: what it took, and whether all is as it should be at its end.

It keeps a warehouse in sync with a sandbox in the same process, with the clock passed in
(`tests/end_to_end/soak.py`); a CPU second is one of this process without the sandbox's thread.
"""

import json
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import duckdb
from tests.end_to_end.soak import Day, Soak

DAYS = 365
WORLD = {"bills": 150, "notifications": 40, "runs": 4_500, "days": 90}


def live(folder: Path, days: int = DAYS) -> dict[str, Any]:
    """Lives so many days, holds the end against the world, and returns the figures.

    Raises:
        AssertionError: something is not as it should be.
    """
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    soak = Soak(folder / "data", **WORLD)
    with soak.sandbox, (folder / "days.jsonl").open("w") as log:
        for number in range(days):
            soak.live(1, ends=number == days - 1)
            print(json.dumps(asdict(soak.days[-1])), file=log, flush=True)
        soak.assert_everything_holds()
    return summarize(soak.days) | _compare_with_a_fresh_copy(soak.warehouse.location.database)


def summarize(days: list[Day]) -> dict[str, Any]:
    """The figures: how the days ended, and the first quarter of them beside the last."""
    synced = [day for day in days if day.outcome == "succeeded"]
    held = [day.rows["integration_runs"] for day in synced]
    cpu = [day.cpu_seconds for day in synced]
    # The first one lists everything; it is no measure of a daily sync.
    slope, _ = linear_regression(held[1:], cpu[1:])
    quarter = max(2, len(synced) // 4)
    first, last = synced[1:quarter], synced[-quarter:]
    return {
        "outcomes": Counter(day.outcome for day in days),
        "runs": (held[0], held[-1]),
        "entities": (synced[0].entity_count, synced[-1].entity_count),
        "requests": sum(day.requests for day in days),
        "retries": sum(day.retries for day in days),
        "listed": sum(day.listed_count for day in synced),
        "changed_young_or_open": sum(day.restless_count for day in synced),
        "due_for_a_sweep": sum(day.due_count for day in synced),
        "requests_a_day": (_middle(first, "requests"), _middle(last, "requests")),
        "cpu_seconds": (_middle(first, "cpu_seconds"), _middle(last, "cpu_seconds")),
        "cpu_seconds_per_10_000_runs_held": round(slope * 10_000, 3),
        "database_bytes": (synced[1].database_bytes, synced[-1].database_bytes),
        "largest_database_bytes": max(day.database_bytes for day in synced),
        "other_files": days[-1].other_files,
        "other_bytes": days[-1].other_bytes,
        "rows": days[-1].rows,
    }


def _middle(days: list[Day], name: str) -> float:
    return round(median(getattr(day, name) for day in days), 2)


def _compare_with_a_fresh_copy(database: Path) -> dict[str, Any]:
    """The size of the same data in a new file."""
    fresh = database.with_name("fresh.duckdb")
    with duckdb.connect(database) as connection:
        connection.execute(f"attach '{fresh}' as fresh")
        connection.execute(f"copy from database {database.stem} to fresh")
        connection.execute("detach fresh")
    return {"fresh_copy_bytes": fresh.stat().st_size}
