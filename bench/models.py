"""The models at 0.1, 1 and 10 million runs: build, publish, ask. The runs are made, not synced.

`python -m bench models` runs all of it; `python -m bench.models STEP FOLDER [RUNS]` one step.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from bench.measure import Cost, run
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.publish import publish
from m3ter_sync.warehouse.sql_files import read_models

RUN_COUNTS = (100_000, 1_000_000, 10_000_000)
LATELY = "> (select as_of - to_days(28) from sync_status limit 1)"
# A day compared with an instant is made one, row by row, by way of the time zone's calendar.
LATELY_ON = "> (select cast(as_of as date) - 28 from sync_status limit 1)"
# What a dashboard asks of each mart: the last 28 days by destination, where it has the two.
QUESTIONS = {
    "bill_delivery_status": f"""
        select destination, delivery_class, currency, count(*), sum(bill_total)
        from bill_delivery_status where since {LATELY} group by all""",
    "event_coverage": "select highest_step, is_critical, count(*) from event_coverage group by all",
    "integration_deliveries": f"""
        select destination, delivery_class, count(*), avg(attempt_count), avg(seconds_to_recover)
        from integration_deliveries where started_at {LATELY} group by all""",
    "integration_error_groups": f"""
        select * from integration_error_groups where last_seen_at {LATELY}
        order by failed_run_count desc limit 20""",
    "integration_failure_rate": """
        select * from integration_failure_rate where window_name = '28d' and not is_sandbox""",
    "integration_failure_rate_daily": f"""
        select destination, started_on, failed_delivery_count, delivery_failure_rate
        from integration_failure_rate_daily where started_on {LATELY_ON} order by all""",
    "integration_incidents": f"""
        select destination, count(*), max(seconds_to_recover), sum(failed_delivery_count)
        from integration_incidents where started_at {LATELY} group by all""",
    "integration_runs": f"""
        select destination, started_on, run_class, count(*), avg(run_seconds)
        from integration_runs where started_on {LATELY_ON} group by all""",
    "load_history": f"select * from load_history where started_at {LATELY}",
    "notification_coverage": """
        select coverage_status, count(*), sum(failed_delivery_count)
        from notification_coverage group by all""",
    "notification_coverage_daily": f"""
        select covered_on, count(*) filter (where is_active), count(*)
        from notification_coverage_daily where covered_on {LATELY_ON} group by all""",
    "notification_coverage_summary": "select * from notification_coverage_summary",
    "run_durations": "select * from run_durations",
    "stuck_runs": "select destination, count(*), max(in_flight_seconds) from stuck_runs group by 1",
    "sync_status": "select * from sync_status",
    "undelivered_amounts": "select * from undelivered_amounts where not is_sandbox",
}


def step_make(location: Location, run_count: str) -> None:
    with location.connect() as connection:
        connection.execute(f"set variable run_count = {int(run_count)}")
        connection.execute(Path(__file__).with_name("models.sql").read_text())


def step_build(location: Location) -> dict[str, float]:
    with location.connect() as connection:
        return {each.name: each.seconds for each in build_models(connection).relations}


def step_publish(location: Location) -> None:
    with location.connect() as connection:
        publish(connection, location.published_folder)


def step_ask(location: Location) -> dict[str, float]:
    """Of the published copy; each question by whoever has just opened it."""
    return {mart: ask(location.published_database, sql) for mart, sql in questions()}


def step_ask_views(location: Location) -> dict[str, float]:
    """Of the warehouse, as if the mart that is asked were a view, whatever it is."""
    texts = {model.name: model.select for model in read_models()}
    return {
        mart: ask(
            location.database, f"with {mart} as (\n{texts[mart]}\n) {sql}", "set schema = m3ter"
        )
        for mart, sql in questions()
    }


def questions() -> Iterator[tuple[str, str]]:
    for model in read_models():
        if model.schema == "m3ter":
            yield model.name, QUESTIONS[model.name]


def ask(database: Path, sql: str, first: str = "") -> float:
    began = time.perf_counter()
    with duckdb.connect(database, read_only=True) as connection:
        connection.execute(f"set TimeZone = 'UTC'; {first}")
        connection.execute(sql).fetchall()
    return time.perf_counter() - began


def run_step(name: str, database: Path, *more: str) -> Cost:
    return run(["-m", "bench.models", name, str(database), *more], {})


def slowest(seconds: dict[str, float]) -> str:
    ranked = sorted(seconds.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{name.removeprefix('m3ter.')} {took:.2f} s" for name, took in ranked)


if __name__ == "__main__":
    step, file, *rest = sys.argv[1:]
    print(json.dumps(globals()[f"step_{step}"](Location.of(file), *rest)))
