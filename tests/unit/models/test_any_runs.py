"""Whatever the runs, notifications and links are, the marts say what the definitions say.

Worlds are drawn at random, with circles of parents, missing times and unknown statuses, and each
mart is held against the second computation that the end-to-end tests use too.
"""

import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

# ruff: noqa: TID252 - the tests are no package that is on the path
from ...end_to_end import plain_coverage, plain_failures
from ...end_to_end.plain_failures import Row
from .conftest import AS_OF, RawWarehouse

STATUSES = [*(status for known in plain_failures.CLASSES.values() for status in known), "NOVEL"]
EVENT_TYPES = ("billing.bill.created", "integration.perform.error", "ingest.validation.failure")


def draw_runs(draw: random.Random) -> dict[str, Row]:
    """Up to forty runs of a few entities, at instants that are all different."""
    count = draw.randint(1, 40)
    minutes = iter(draw.sample(range(-1000, 60 * 24 * 60), 2 * count))

    def sometimes(share: float, value: str) -> str | None:
        return value if draw.random() < share else None

    def ago() -> datetime:
        return AS_OF - timedelta(minutes=next(minutes))

    def run(number: int) -> Row:
        begun = ago()
        entity_type = draw.choice(["Bill", "Notification"])
        return {
            "id": f"r{number}",
            "entityType": entity_type,
            "entityId": f"{entity_type} {draw.randint(1, 3)}",
            "destination": draw.choice(["NETSUITE", "WEBHOOK", "STRIPE_TEST"]),
            "destinationId": draw.choice(["x", "y", None]),
            "status": draw.choice(STATUSES),
            "error": draw.choice([None, "refused", "late"]),
            "dtCreated": (begun - timedelta(seconds=7)).isoformat(),
            "dtStarted": sometimes(0.9, begun.isoformat()),
            "dtCompleted": sometimes(0.7, ago().isoformat()),
            # A parent may be a later run, the run itself, or one that is not there.
            "parentIntegrationRunId": sometimes(0.7, f"r{draw.randint(0, count + 1)}"),
        }

    return {f"r{number}": run(number) for number in range(count)}


def draw_notifications(draw: random.Random) -> dict[str, Row]:
    return {
        f"Notification {number}": {
            "id": f"Notification {number}",
            "eventName": draw.choice([*EVENT_TYPES, "no.such.event", None]),
            "active": draw.random() < 0.8,
            "alwaysFireEvent": draw.random() < 0.5,
        }
        for number in range(1, 9)
    }


def draw_links(draw: random.Random) -> list[Row]:
    return [
        {
            "id": f"l{number}",
            "entityType": draw.choice(["Notification", "Notification", "Bill"]),
            "entityId": f"Notification {draw.randint(1, 8)}",
            "destination": draw.choice(["WEBHOOK", "WEBHOOK", "SLACK_SANDBOX"]),
            "enabled": draw.random() < 0.8,
            "authorized": draw.choice([True, None, False]),
        }
        for number in range(draw.randint(0, 12))
    ]


def columns_of(row: Row) -> Row:
    return {re.sub(r"([A-Z])", r"_\1", name).lower(): value for name, value in row.items()}


Assert = Callable[..., None]


def open_raw(zone: str) -> tuple[RawWarehouse, Assert]:
    raw = RawWarehouse(duckdb.connect())
    raw.connection.execute(f"set TimeZone = '{zone}'")
    raw.add_sync()

    def assert_mart(mart: str, expected: list[Row], *key: str) -> None:
        raw.connection.execute("set TimeZone = 'UTC'")
        rows = raw.connection.execute(f"from m3ter.{mart}").to_arrow_table().to_pylist()
        held = {tuple(row[name] for name in key): row for row in rows}
        wanted = {tuple(row[name] for name in key): row for row in expected}
        assert held.keys() == wanted.keys()
        assert len(held) == len(rows)
        for place, row in wanted.items():
            assert {name: held[place][name] for name in row} == {
                name: _near(value) for name, value in row.items()
            }, (mart, place)

    return raw, assert_mart


def _near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


@pytest.mark.parametrize("seed", range(8))
def test_any_runs_become_the_deliveries_and_rates_that_are_defined(seed: int) -> None:
    draw = random.Random(seed)
    runs = draw_runs(draw)
    raw, assert_mart = open_raw(draw.choice(["America/New_York", "Asia/Kolkata"]))
    raw.add("integration_runs", *map(columns_of, runs.values()))
    raw.build()
    deliveries = plain_failures.find_deliveries(runs)
    assert_mart(
        "integration_deliveries",
        [each.to_row() for each in deliveries],
        *("delivery_id", "entity_type", "entity_id", "destination", "destination_id"),
    )
    assert_mart(
        "integration_failure_rate_daily",
        plain_failures.daily(deliveries),
        *("started_on", "entity_type", "destination"),
    )
    assert_mart(
        "integration_failure_rate",
        plain_failures.windows(deliveries, AS_OF),
        *("window_name", "entity_type", "destination"),
    )
    assert_mart(
        "bill_delivery_status",
        plain_failures.bill_status(deliveries, {}),
        *("bill_id", "destination", "destination_id"),
    )
    assert_mart(
        "integration_incidents",
        plain_failures.incidents(deliveries),
        *("entity_type", "destination", "destination_id", "started_at"),
    )
    assert_mart("stuck_runs", plain_failures.stuck(runs, AS_OF), "run_id")
    assert_mart("run_durations", plain_failures.durations(runs), "entity_type", "destination")


@pytest.mark.parametrize("seed", range(8))
def test_any_notifications_and_links_become_the_coverage_that_is_defined(seed: int) -> None:
    draw = random.Random(seed)
    runs, configurations, links = draw_runs(draw), draw_notifications(draw), draw_links(draw)
    gone = set(draw.sample(sorted(configurations), 2))
    raw, assert_mart = open_raw("UTC")
    raw.add("integration_runs", *map(columns_of, runs.values()))
    seen = {"_dlt_valid_from": AS_OF - timedelta(days=9)}
    missed = {"_dlt_valid_to": AS_OF - timedelta(days=1)}
    for key, row in configurations.items():
        raw.add(
            "notification_configurations",
            columns_of(row) | seen | (missed if key in gone else {}),
        )
    raw.add("integration_configurations", *(columns_of(row) | seen for row in links))
    raw.add("event_types", *({"name": name} | seen for name in EVENT_TYPES))
    raw.build()
    rows = plain_coverage.notifications(
        {key: row for key, row in configurations.items() if key not in gone},
        {key: configurations[key] for key in gone},
        links,
        EVENT_TYPES,
        runs.values(),
        plain_failures.find_deliveries(runs),
        AS_OF,
    )
    assert_mart("notification_coverage", rows, "notification_id")
    events = plain_coverage.events(EVENT_TYPES, rows)
    assert_mart("event_coverage", events, "event_type")
    assert_mart("notification_coverage_summary", plain_coverage.summary(events), "step", "scope")
