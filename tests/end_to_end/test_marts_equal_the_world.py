"""Every count and rate of every mart equals what a second computation gives.

That one reads the world's objects, not the warehouse, and is written from the definitions.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from m3ter_sync.sandbox import Sandbox, World, build_world
from m3ter_sync.settings import load_settings
from m3ter_sync.warehouse.location import Location
from m3ter_sync.warehouse.models import published_relations
from m3ter_sync.warehouse.summary import SyncSummary
from m3ter_sync.warehouse.sync import Sync

from . import plain_coverage, plain_failures
from .plain_failures import Delivery, Row, class_of

_COUNTS_AND_RATES = re.compile(r"(^|_)(count|rate|rate_low|rate_high|amount|seconds)$|^(is|has)_")


@dataclass
class Seen:
    """What the API showed in the syncs so far, and what the warehouse made of it."""

    connection: duckdb.DuckDBPyConnection
    summaries: list[SyncSummary] = field(default_factory=list)
    runs: dict[str, Row] = field(default_factory=dict)
    bills: dict[str, Row] = field(default_factory=dict)
    listed: dict[str, Row] = field(default_factory=dict)
    deleted: dict[str, Row] = field(default_factory=dict)
    links: dict[str, Row] = field(default_factory=dict)
    event_types: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)

    def take_in(self, world: World, summary: SyncSummary, request_count: int) -> None:
        """Whatever is listed no more stays as it was when it was seen last."""
        self.summaries.append(summary)
        self.history.append(self._compare(world) | {"request_count": request_count})
        self.runs |= deepcopy(world.listed_runs())
        self.bills |= deepcopy(world.bills)
        self.deleted |= self.listed
        self.listed = deepcopy(dict(world.notification_configurations))
        self.links = deepcopy(dict(world.integration_configurations))
        self.event_types = list(world.event_types)
        self.deliveries = plain_failures.find_deliveries(self.runs)

    def _compare(self, world: World) -> Row:
        """What a sync must find, from what it showed before and what the world has now."""
        configurations = world.notification_configurations
        tables: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
            (self.runs, world.listed_runs()),
            (self.bills, world.bills),
        ]
        # Complete listings: what is not in them any more is deleted.
        snapshots: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
            (self.listed, configurations),
            (self.links, world.integration_configurations),
            (dict.fromkeys(self.event_types, True), dict.fromkeys(world.event_types, True)),
        ]
        pairs = [
            (held.get(key), row) for held, now in tables + snapshots for key, row in now.items()
        ]
        return {
            "new_row_count": sum(before is None for before, _ in pairs),
            "changed_row_count": sum(before not in (None, row) for before, row in pairs),
            "deleted_row_count": sum(len(held.keys() - now.keys()) for held, now in snapshots),
            "entity_count": len({*world.bills, *configurations, *self.listed, *self.deleted}),
            "gone_entity_count": len(self.listed.keys() - configurations.keys()),
            "retry_count": 0,
            "throttled_count": 0,
            "rejected_row_count": 0,
        }

    @property
    def as_of(self) -> datetime:
        return self.summaries[-1].started_at

    @property
    def notifications(self) -> list[Row]:
        return plain_coverage.notifications(
            self.listed,
            self.deleted,
            self.links.values(),
            self.event_types,
            self.runs.values(),
            self.deliveries,
            self.as_of,
        )

    def assert_mart(self, mart: str, expected: list[Row], *key: str) -> None:
        """The mart has these rows and no others, and no count, rate or truth beside theirs."""
        found = self.connection.execute(f"from m3ter.{mart}").to_arrow_table()
        missing = {
            name
            for name in found.column_names
            if expected and _COUNTS_AND_RATES.search(name) and name not in expected[0]
        }
        assert not missing, f"{mart}: nothing to compare {missing} with"
        held = {tuple(row[name] for name in key): row for row in found.to_pylist()}
        assert len(held) == found.num_rows, "a key twice"
        wanted = {tuple(row[name] for name in key): row for row in expected}
        assert len(wanted) == len(expected)
        assert held.keys() == wanted.keys()
        for place, row in wanted.items():
            assert {n: held[place][n] for n in row} == {n: _near(v) for n, v in row.items()}, place


def _near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value


def _add_oddities(world: World) -> None:
    """What a world seldom has: circles, unknown parents and statuses, a chain that splits."""
    at = int((world.now - timedelta(hours=30)).timestamp() * 1000)
    routes = [route for bill in world.bills.values() for route in world.bill_routes(bill)]
    statuses = ("ERROR", "COMPLETE", "ERROR", "ERROR", "HELD_BACK", "AUTH_FAILED", "ERROR")
    coming = enumerate(statuses)

    def add(number: int, parent: Row | None = None) -> Row:
        place, status = next(coming)
        begun, ended = (
            (world.now - timedelta(hours=hours - place)).isoformat(timespec="milliseconds")
            for hours in (29.5, 29.4)
        )
        row = world.deliveries.create(routes[number], at, parent)
        row |= {"status": status, "dtStarted": begun, "dtCompleted": ended, "version": 2}
        world.integration_runs[row["id"]] = row
        return row

    first = add(0)
    first["parentIntegrationRunId"] = add(0, first)["id"]  # a circle
    add(1, add(2))  # a chain that goes on with another bill
    add(3)  # a status that nobody knows
    add(4, {"id": "00000000-0000-0000-0000-000000000000"})  # a parent that was never seen
    itself = add(5)
    itself["parentIntegrationRunId"] = itself["id"]
    unlinked = next(
        key
        for key, row in world.notification_configurations.items()
        if row["active"] and not list(world.notification_routes(key))
    )
    link = deepcopy(next(iter(world.integration_configurations.values())))
    link |= {"id": "1", "entityType": "Notification", "entityId": unlinked}
    world.integration_configurations["1"] = link | {"destination": "STRIPE_TEST"}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """A world that was synced, moved on for three days and was synced again."""
    now = datetime.now(UTC) - timedelta(days=3)
    world = build_world(5, now=now, bills=80, notifications=60, runs=2400, days=70, open_runs=40)
    _add_oddities(world)
    folder = tmp_path_factory.mktemp("marts")
    location = Location.of(folder / "warehouse.duckdb")
    with pytest.MonkeyPatch.context() as patch, Sandbox(world) as sandbox:
        patch.setenv("DLT_DATA_DIR", str(folder / "dlt"))
        patch.setattr(tempfile, "tempdir", None)
        settings = load_settings(
            org_id=sandbox.org_id,
            access_key_id=sandbox.access_key_id,
            api_secret=sandbox.api_secret,
            base_url=sandbox.base_url,
            requests_per_second=100_000,
        )
        first = Sync(settings, location).run(with_models=False)
        seen = Seen(duckdb.connect())
        asked = len(sandbox.requests)
        seen.take_in(world, first, asked)
        for _ in range(3):
            world.advance(1)
        second = Sync(settings, location).run()
        seen.take_in(world, second, len(sandbox.requests) - asked)
        with duckdb.connect(location.database, read_only=True) as connection:
            connection.execute("set TimeZone = 'UTC'")
            seen.connection = connection
            yield seen


def test_the_world_has_what_can_go_wrong(seen: Seen) -> None:
    assert [each.outcome for each in seen.summaries] == ["succeeded", "succeeded"]
    assert {each.outcome for each in seen.deliveries} == set(plain_failures.CLASSES)
    assert any(each.is_recovered for each in seen.deliveries)
    assert {row["coverage_status"] for row in seen.notifications} == {
        "deleted", "inactive", "orphaned", "unlinked", "blocked", "failing", "silent", "delivering"
    }  # fmt: skip
    rows = plain_failures.windows(seen.deliveries, seen.as_of)
    assert {row["is_significant_change"] for row in rows} == {None, True, False}


def test_the_checks_name_what_is_odd_and_nothing_else(seen: Seen) -> None:
    assert seen.summaries[-1].failed_checks == ["parents_found", "statuses_known"]


def test_every_run_is_there_with_its_class_and_durations(seen: Seen) -> None:
    expected = [
        {
            "run_id": run["id"],
            "delivery_id": plain_failures.find_root(run, seen.runs)["id"],
            "run_class": class_of(run),
            "is_sandbox": plain_failures.is_sandbox(run["destination"]),
            "started_on": plain_failures.began(run).date(),
            "queue_seconds": _seconds(run.get("dtCreated"), run.get("dtStarted")),
            "run_seconds": _seconds(run.get("dtStarted"), run.get("dtCompleted")),
        }
        for run in seen.runs.values()
    ]
    seen.assert_mart("integration_runs", expected, "run_id")


def _seconds(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def test_every_delivery_is_there_once(seen: Seen) -> None:
    expected = [each.to_row() for each in seen.deliveries]
    key = ("delivery_id", "entity_type", "entity_id", "destination", "destination_id")
    seen.assert_mart("integration_deliveries", expected, *key)


def test_the_failure_rates_of_each_day_are_right(seen: Seen) -> None:
    expected = plain_failures.daily(seen.deliveries)
    key = ("started_on", "entity_type", "destination")
    seen.assert_mart("integration_failure_rate_daily", expected, *key)


def test_the_failure_rates_of_each_window_are_right(seen: Seen) -> None:
    expected = plain_failures.windows(seen.deliveries, seen.as_of)
    key = ("window_name", "entity_type", "destination")
    seen.assert_mart("integration_failure_rate", expected, *key)


def test_where_each_bill_stands_is_right(seen: Seen) -> None:
    expected = plain_failures.bill_status(seen.deliveries, _with_decimals(seen.bills))
    key = ("bill_id", "destination", "destination_id")
    seen.assert_mart("bill_delivery_status", expected, *key)


def test_the_undelivered_amounts_are_right(seen: Seen) -> None:
    statuses = plain_failures.bill_status(seen.deliveries, _with_decimals(seen.bills))
    key = ("currency", "destination", "delivery_class")
    seen.assert_mart("undelivered_amounts", plain_failures.undelivered(statuses), *key)


def _with_decimals(bills: Mapping[str, Row]) -> dict[str, Row]:
    """Money as it is written, not as a float is near it."""
    return {
        key: bill | {"billTotal": Decimal(str(bill["billTotal"]))} for key, bill in bills.items()
    }


def test_the_incidents_are_right(seen: Seen) -> None:
    expected = plain_failures.incidents(seen.deliveries)
    key = ("entity_type", "destination", "destination_id", "started_at")
    seen.assert_mart("integration_incidents", expected, *key)


def test_the_error_groups_are_right(seen: Seen) -> None:
    struck: dict[str, list[Row]] = {}
    for run in seen.runs.values():
        counts = run.get("error") or class_of(run) == "failed"
        if counts and not plain_failures.is_sandbox(run["destination"]):
            struck.setdefault(plain_failures.template(run.get("error")), []).append(run)
    expected = [
        {
            "run_count": len(runs),
            "failed_run_count": Counter(map(class_of, runs))["failed"],
            "entity_count": len({run["entityId"] for run in runs}),
            "destination_count": len({run["destination"] for run in runs}),
            "destinations": ", ".join(sorted({run["destination"] for run in runs})),
            "first_seen_at": min(map(plain_failures.began, runs)),
            "last_seen_at": max(map(plain_failures.began, runs)),
            "is_new": min(map(plain_failures.began, runs)) > seen.as_of - timedelta(days=7),
        }
        for runs in struck.values()
    ]
    # A template's wording is free; which runs share one is not.
    key = ("destinations", "first_seen_at", "last_seen_at", "run_count")
    seen.assert_mart("integration_error_groups", expected, *key)


def test_the_stuck_runs_are_right(seen: Seen) -> None:
    expected = plain_failures.stuck(seen.runs, seen.as_of)
    seen.assert_mart("stuck_runs", expected, "run_id")


def test_the_durations_are_right(seen: Seen) -> None:
    expected = plain_failures.durations(seen.runs)
    seen.assert_mart("run_durations", expected, "entity_type", "destination")


def test_the_coverage_of_each_notification_is_right(seen: Seen) -> None:
    seen.assert_mart("notification_coverage", seen.notifications, "notification_id")


def test_the_coverage_of_each_event_type_is_right(seen: Seen) -> None:
    expected = plain_coverage.events(seen.event_types, seen.notifications)
    seen.assert_mart("event_coverage", expected, "event_type")


def test_the_coverage_ladder_is_right(seen: Seen) -> None:
    expected = plain_coverage.summary(plain_coverage.events(seen.event_types, seen.notifications))
    seen.assert_mart("notification_coverage_summary", expected, "step", "scope")


def test_the_coverage_of_the_last_day_is_right(seen: Seen) -> None:
    rows = seen.connection.execute(
        "select covered_on, count(*) from m3ter.notification_coverage_daily group by 1"
    ).fetchall()
    # The syncs of this test began on one day, or around a midnight.
    days = {each.started_at.date() for each in seen.summaries}
    assert dict(rows) == dict.fromkeys(days, len(seen.event_types))
    expected = plain_coverage.on_the_last_day(seen.event_types, seen.listed)
    last: date = max(days)
    seen.connection.execute(
        "create or replace temp view last_day as"
        f" from m3ter.notification_coverage_daily where covered_on = '{last}'"
    )
    held = seen.connection.execute("from last_day").to_arrow_table().to_pylist()
    assert sorted((row["event_type"], *row.values()) for row in expected) == sorted(
        (row["event_type"], *(row[name] for name in expected[0])) for row in held
    )


def test_the_state_of_each_table_is_right(seen: Seen) -> None:
    counts = {
        "integration_runs": len(seen.runs),
        "bills": len(seen.bills),
        "notification_configurations": len(seen.listed),
        "integration_configurations": len(seen.links),
        "event_types": len(seen.event_types),
    }
    newest = {
        "integration_runs": seen.runs,
        "bills": seen.bills,
    }
    rows = seen.connection.execute(
        "select table_name, row_count, rejected_row_count, is_loaded, as_of, last_loaded_at,"
        " newest_record_at from m3ter.sync_status"
    ).fetchall()
    assert {row[0]: row[1:4] for row in rows} == {k: (n, 0, True) for k, n in counts.items()}
    assert {row[4:6] for row in rows} == {(seen.as_of, seen.summaries[-1].finished_at)}
    for table, objects in newest.items():
        stamps = [plain_failures.instant(row["dtLastModified"]) for row in objects.values()]
        assert {row[0]: row[6] for row in rows}[table] == max(filter(None, stamps))


def test_the_history_of_syncs_tells_what_each_did(seen: Seen) -> None:
    expected = [
        row
        | {
            "sync_id": summary.sync_id,
            "outcome": "succeeded",
            "started_at": summary.started_at,
            "finished_at": summary.finished_at,
            # How many were asked for, and what that took, is the sync's to choose.
            "listed_entity_count": summary.entities_listed,
            "skipped_entity_count": row["entity_count"] - summary.entities_listed,
            "fetched_row_count": sum(table.fetched for table in summary.tables.values()),
            "sync_seconds": summary.seconds,
        }
        for row, summary in zip(seen.history, seen.summaries, strict=True)
    ]
    seen.assert_mart("load_history", expected, "sync_id")


def test_every_mart_is_held_against_the_second_computation() -> None:
    text = Path(__file__).read_text()
    marts = [model.name for model in published_relations()]
    assert [mart for mart in marts if not re.search(rf"[\".]{mart}\b", text)] == []
