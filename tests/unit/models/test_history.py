"""What was covered on each day, how fresh each table is, and what each sync did."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest

from m3ter_sync.source.tables import TABLES
from m3ter_sync.warehouse.checks import run_checks
from m3ter_sync.warehouse.models import build_models
from m3ter_sync.warehouse.sql_files import read_models

from .conftest import AS_OF, RawWarehouse

At = Callable[..., datetime]

DAILY = "m3ter.notification_coverage_daily"
COLUMNS = (
    "cast(covered_on as varchar), event_type, notification_count, active_notification_count,"
    " unconditional_notification_count, is_configured, is_active, is_unconditional_without_links"
)


def version(of: str, since: datetime, until: datetime | None = None, **more: Any) -> dict[str, Any]:
    row = {"id": of, "event_name": "bill", "active": True, "always_fire_event": False}
    return row | {"_dlt_valid_from": since, "_dlt_valid_to": until} | more


def event_type(name: str, since: datetime, until: datetime | None = None) -> dict[str, Any]:
    return {"name": name, "_dlt_valid_from": since, "_dlt_valid_to": until}


def test_each_day_tells_how_things_stood_at_its_end(raw: RawWarehouse, at: At) -> None:
    raw.add("event_types", event_type("bill", at(26, 6)))
    raw.add(
        "notification_configurations",
        version("n", at(27, 6), at(28, 6), active=False, always_fire_event=True),
        version("n", at(28, 6), at(29, 6), always_fire_event=True),
        version("n", at(29, 6), at(29, 18)),
        version("m", at(29, 6)),
    )
    raw.add_sync()
    raw.build()
    assert raw.read(COLUMNS, DAILY) == [
        ("2025-06-26", "bill", 0, 0, 0, False, False, False),
        ("2025-06-27", "bill", 1, 0, 0, True, False, False),
        ("2025-06-28", "bill", 1, 1, 1, True, True, True),
        ("2025-06-29", "bill", 1, 1, 0, True, True, False),
        ("2025-06-30", "bill", 1, 1, 0, True, True, False),
    ]


def test_a_change_at_midnight_counts_from_the_day_that_begins(raw: RawWarehouse, at: At) -> None:
    raw.add("event_types", event_type("bill", at(28)))
    raw.add(
        "notification_configurations",
        version("n", at(28), at(29)),
        version("n", at(29), active=False),
    )
    raw.build()
    columns = "cast(covered_on as varchar), notification_count, active_notification_count"
    assert raw.read(columns, DAILY) == [("2025-06-28", 1, 1), ("2025-06-29", 1, 0)]


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata"])
def test_days_of_coverage_are_utc_in_every_session(raw: RawWarehouse, at: At, zone: str) -> None:
    raw.connection.execute(f"set TimeZone = '{zone}'")
    raw.add("event_types", event_type("bill", at(28, 23, 59)))
    raw.add("notification_configurations", version("n", at(29, 0, 1)))
    raw.add_sync()
    raw.build()
    assert raw.read("cast(covered_on as varchar), notification_count", DAILY) == [
        ("2025-06-28", 0),
        ("2025-06-29", 1),
        ("2025-06-30", 1),
    ]


def test_an_event_type_counts_on_the_days_on_which_it_is_live(raw: RawWarehouse, at: At) -> None:
    raw.add(
        "event_types",
        event_type("old", at(28, 6), at(29, 6)),
        event_type("ingest.validation.failure", at(29, 6)),
    )
    raw.add_sync(at(30, 1))
    raw.build()
    assert raw.read("cast(covered_on as varchar), event_type, is_critical", DAILY) == [
        ("2025-06-28", "old", False),
        ("2025-06-29", "ingest.validation.failure", True),
        ("2025-06-30", "ingest.validation.failure", True),
    ]


def test_coverage_through_time_is_null_where_notifications_were_not_loaded(
    raw: RawWarehouse, at: At
) -> None:
    raw.connection.execute("drop table m3ter_raw.notification_configurations")
    raw.add("event_types", event_type("bill", at(30)))
    raw.build()
    assert raw.read(COLUMNS, DAILY) == [("2025-06-30", "bill", *[None] * 6)]


def test_without_any_sync_there_is_no_day(raw: RawWarehouse) -> None:
    raw.build()
    assert raw.read("*", DAILY) == []


def test_each_table_tells_how_fresh_it_is(raw: RawWarehouse, at: At) -> None:
    raw.add_sync()
    raw.add_sync(AS_OF + timedelta(hours=1), outcome="failed")
    loaded = {"_dlt_load_id": f"{AS_OF.timestamp()}"}
    raw.add_runs({"id": "r", "dt_last_modified": at(3), **loaded}, {"id": "s"})
    raw.add("bills", {"id": "bill", "dt_last_modified": at(5)})
    raw.add(
        "notification_configurations",
        version("n", at(1), at(2), dt_last_modified=at(1)),
        version("n", at(2), dt_last_modified=at(2)),
    )
    raw.add(
        "rejected_rows",
        {"rejected_id": "1", "table_name": "bills", "reason": "odd", "source": "{}"},
    )
    raw.connection.execute("drop table m3ter_raw.integration_configurations")
    raw.build()
    ended = AS_OF + timedelta(minutes=5)
    columns = (
        "table_name, row_count, rejected_row_count, is_loaded, as_of, last_loaded_at,"
        " last_changed_at, newest_record_at"
    )
    assert raw.read(columns, "m3ter.sync_status") == [
        ("bills", 1, 1, True, AS_OF, ended, None, at(5)),
        ("event_types", 0, 0, True, AS_OF, ended, None, None),
        ("integration_configurations", None, 0, False, None, None, None, None),
        ("integration_runs", 2, 0, True, AS_OF, ended, AS_OF, at(3)),
        ("notification_configurations", 1, 0, True, AS_OF, ended, None, at(2)),
    ]


def test_tables_of_a_warehouse_that_never_synced_well_have_no_load(raw: RawWarehouse) -> None:
    raw.add_sync(outcome="stopped")
    raw.build()
    rows = raw.read("row_count, as_of, last_loaded_at", "m3ter.sync_status")
    assert rows == [(0, None, None)] * 5


def test_the_history_has_every_sync_however_it_ended(raw: RawWarehouse) -> None:
    raw.add(
        "syncs",
        {"sync_id": "1", "started_at": AS_OF, "outcome": "failed", "error": "refused"},
        {
            "sync_id": "2",
            "started_at": AS_OF + timedelta(hours=1),
            "finished_at": AS_OF + timedelta(hours=2),
            "outcome": "succeeded",
            "seconds": 3600.0,
            "request_count": 10,
            "retry_count": 2,
            "throttled_count": 1,
            "entity_count": 9,
            "listed_entity_count": 4,
            "skipped_entity_count": 3,
            "gone_entity_count": 2,
            "fetched_row_count": 100,
            "new_row_count": 50,
            "changed_row_count": 25,
            "deleted_row_count": 5,
            "rejected_row_count": 1,
        },
    )
    raw.build()
    columns = (
        "sync_id, outcome, error, sync_seconds, request_count, retry_count, throttled_count,"
        " entity_count, listed_entity_count, skipped_entity_count, gone_entity_count,"
        " fetched_row_count, new_row_count, changed_row_count, deleted_row_count,"
        " rejected_row_count, started_at, finished_at"
    )
    hours = [AS_OF + timedelta(hours=hour) for hour in range(3)]
    assert raw.read(columns, "m3ter.load_history") == [
        ("1", "failed", "refused", *[None] * 13, hours[0], None),
        ("2", "succeeded", None, 3600.0, 10, 2, 1, 9, 4, 3, 2, 100, 50, 25, 5, 1, *hours[1:]),
    ]
    assert raw.read("as_of", "m3ter_staging.as_of") == [(hours[1],)]


def test_rows_of_nothing_but_nulls_are_in_no_marts_way(raw: RawWarehouse) -> None:
    """The checks name them."""
    raw.add_sync()
    for table in TABLES:
        raw.connection.execute(f"insert into m3ter_raw.{table.name} (_dlt_load_id) values (null)")
    raw.build()
    for model in read_models():
        raw.read("*", model.full_name)
    assert raw.read("delivery_class", "m3ter.integration_deliveries") == [("unknown",)]
    assert raw.read("coverage_status", "m3ter.notification_coverage") == [("inactive",)]
    failed = {check.name for check in run_checks(raw.connection, now=AS_OF) if not check.passed}
    assert failed == {"delivery_keys", "listed_keys", "run_keys", "statuses_known"}


def test_a_warehouse_without_a_single_table_has_every_mart_and_no_numbers() -> None:
    with duckdb.connect() as connection:
        built = build_models(connection)
        marts = [each.name for each in built.relations if each.name.startswith("m3ter.")]
        rows = {mart: connection.execute(f"from {mart}").fetchall() for mart in marts}
        assert len(rows) >= 16
        counted = connection.execute(
            "select row_count, is_loaded, as_of from m3ter.sync_status"
        ).fetchall()
    assert {mart for mart, found in rows.items() if found} == {
        "m3ter.sync_status",
        "m3ter.notification_coverage_summary",
    }
    assert counted == [(None, False, None)] * 5
