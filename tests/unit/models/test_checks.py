"""Each check passes on good data, and fails on what it is there to find."""

from datetime import timedelta

import duckdb
import pytest

from m3ter_sync.warehouse.checks import run_checks
from m3ter_sync.warehouse.sql_files import sql_folder

from .conftest import AS_OF, RawWarehouse

HOUR_AGO = AS_OF - timedelta(hours=1)
DAYS_AGO = AS_OF - timedelta(days=3)

RUNS = "m3ter_raw.integration_runs"
RATES = "m3ter_staging.failure_rates"
DELIVERIES = "m3ter.integration_deliveries"
DAYS = "m3ter.integration_failure_rate_daily"
WINDOWS = "m3ter.integration_failure_rate"
BILLS = "m3ter.bill_delivery_status"
ROOTS = "m3ter_staging.run_roots"
EVENTS = "m3ter.event_coverage"
NOTIFICATIONS = "m3ter.notification_coverage"
LADDER = "m3ter.notification_coverage_summary"
LISTED = {
    "m3ter_raw.bills": "id",
    "m3ter_raw.notification_configurations": "id",
    "m3ter_raw.integration_configurations": "id",
    "m3ter_raw.event_types": "name",
}
# What breaks each check: a change of the rows that were loaded, or of what the models made of them.
BREACHES = [
    ("classes_total", f"update {DAYS} set failed_delivery_count = 9"),
    ("classes_total", f"update {WINDOWS} set in_flight_run_count = 9"),
    ("coverage_rates_within_bounds", f"update {LADDER} set coverage_rate = 1.1"),
    ("coverage_rates_within_bounds", f"update {LADDER} set coverage_rate = null"),
    ("coverage_rates_within_bounds", f"update {LADDER} set event_type_count = 0"),
    ("coverage_rates_within_bounds", f"update {LADDER} set coverage_rate_high = 0"),
    ("coverage_rates_within_bounds", f"update {LADDER} set coverage_rate_low = null"),
    ("coverage_rates_within_bounds", f"update {NOTIFICATIONS} set delivery_failure_rate = 1.1"),
    ("coverage_rates_within_bounds", f"update {NOTIFICATIONS} set decided_delivery_count = 0"),
    ("coverage_steps_nested", f"update {EVENTS} set is_configured = false"),
    ("coverage_steps_nested", f"update {EVENTS} set is_active = false"),
    ("coverage_steps_nested", f"update {EVENTS} set is_deliverable = false, is_proven = 0"),
    ("coverage_steps_nested", f"update {EVENTS} set is_deliverable = false, is_unconditional = 0"),
    ("delivery_keys", f"insert into {DELIVERIES} from {DELIVERIES} limit 1"),
    ("delivery_keys", f"update {DELIVERIES} set delivery_id = null"),
    ("delivery_keys", f"update {DELIVERIES} set entity_type = null"),
    ("delivery_keys", f"update {DELIVERIES} set entity_id = null"),
    ("delivery_keys", f"update {DELIVERIES} set destination = null"),
    ("delivery_totals", f"delete from {DAYS}"),
    ("delivery_totals", f"update {WINDOWS} set delivery_count = delivery_count + 1"),
    ("delivery_totals", f"delete from {BILLS}"),
    ("failure_rates_within_bounds", f"update {RATES} set delivery_failure_rate = -0.1"),
    ("failure_rates_within_bounds", f"update {RATES} set undelivered_rate = 1.1"),
    ("failure_rates_within_bounds", f"update {RATES} set first_attempt_failure_rate = null"),
    ("failure_rates_within_bounds", f"update {RATES} set recovery_rate_low = 1.1"),
    ("failure_rates_within_bounds", f"update {RATES} set run_failure_rate_high = 0"),
    ("failure_rates_within_bounds", f"update {RATES} set decided_run_count = 0"),
    ("failure_rates_within_bounds", f"update {RATES} set undelivered_rate_high = null"),
    ("freshness", "update m3ter_raw.syncs set started_at = started_at - to_hours(27)"),
    ("freshness", "delete from m3ter_raw.syncs"),
    *(("listed_keys", f"insert into {table} from {table}") for table in LISTED),
    *(("listed_keys", f"update {table} set {key} = null") for table, key in LISTED.items()),
    ("no_negative_durations", f"update {RUNS} set dt_created = dt_completed"),
    ("no_negative_durations", f"update {RUNS} set dt_started = dt_completed + to_seconds(1)"),
    ("parents_found", f"update {RUNS} set parent_integration_run_id = 'nobody' where id = 'b'"),
    ("run_keys", f"insert into {RUNS} from {RUNS} limit 1"),
    ("run_keys", f"update {RUNS} set id = null"),
    ("run_totals", f"delete from {DELIVERIES}"),
    ("run_totals", f"insert into {ROOTS} from {ROOTS}"),
    ("run_totals", f"update {DAYS} set run_count = run_count - 1"),
    ("run_totals", f"delete from {WINDOWS}"),
    ("run_totals", f"delete from {RUNS} where id = 'a'"),
    ("statuses_known", f"update {RUNS} set status = 'complete'"),
    ("statuses_known", f"update {RUNS} set status = null"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound() -> RawWarehouse:
    """A warehouse in which a little of everything is as it should be."""
    raw = RawWarehouse(duckdb.connect())
    raw.connection.execute("set TimeZone = 'UTC'")
    raw.add_sync()
    ended = {"dt_created": DAYS_AGO, "dt_started": DAYS_AGO, "dt_completed": HOUR_AGO}
    raw.add_runs(
        {"id": "a", "status": "ERROR", **ended},
        {"id": "b", "status": "COMPLETE", "parent_integration_run_id": "a", **ended},
        # The same chain goes on to another destination: two deliveries with one id.
        {"id": "e", "parent_integration_run_id": "a", "destination": "XERO", **ended},
        {"id": "c", "status": "COMPLETE", "entity_type": "Notification", "entity_id": "n", **ended},
        {"id": "d", "status": "STARTED", "dt_created": HOUR_AGO, "dt_started": HOUR_AGO},
    )
    raw.add("bills", {"id": "bill"})
    loaded = {"_dlt_valid_from": DAYS_AGO}
    # Past versions of what is in force, or was.
    past = loaded | {"_dlt_valid_to": HOUR_AGO}
    raw.add("event_types", {"name": "ingest.validation.failure", **past})
    raw.add("notification_configurations", {"id": "n", **past}, {"id": "n", **past})
    raw.add("integration_configurations", {"id": "l", **past})
    raw.add("event_types", {"name": "ingest.validation.failure", **loaded})
    raw.add(
        "notification_configurations",
        {"id": "n", "event_name": "ingest.validation.failure", "active": True}
        | {"always_fire_event": True, **loaded},
    )
    raw.add(
        "integration_configurations",
        {"id": "l", "entity_type": "Notification", "entity_id": "n", "enabled": True}
        | {"destination": "WEBHOOK", **loaded},
    )
    raw.build()
    return raw


def failed_checks(raw: RawWarehouse) -> set[str]:
    return {check.name for check in run_checks(raw.connection, now=AS_OF) if not check.passed}


def test_good_data_passes_every_check(sound: RawWarehouse) -> None:
    assert failed_checks(sound) == set()


@pytest.mark.parametrize(("check", "breach"), BREACHES)
def test_a_check_fails_on_what_it_is_there_to_find(
    sound: RawWarehouse, check: str, breach: str
) -> None:
    sound.connection.execute("begin transaction")
    try:
        sound.connection.execute(breach)
        assert check in failed_checks(sound)
    finally:
        sound.connection.execute("rollback")


@pytest.mark.parametrize(
    ("syncs", "is_fresh"),
    [
        ({}, False),
        ({"succeeded": 26}, True),
        ({"succeeded": 27}, False),
        ({"succeeded": 27, "failed": 1, "partial": 1, "stopped": 1}, False),
        ({"partial": 25}, True),
        ({"failed": 27, "partial": 1}, False),
    ],
)
def test_fresh_is_what_a_sync_brought_lately_or_what_has_just_begun_to_sync(
    raw: RawWarehouse, syncs: dict[str, int], is_fresh: bool
) -> None:
    """One that was limited to a few bills is no alarm at first; one that never succeeds is."""
    for outcome, hours in syncs.items():
        raw.add_sync(AS_OF - timedelta(hours=hours), outcome=outcome)
    raw.build()
    assert failed_checks(raw) == (set() if is_fresh else {"freshness"})


def test_every_check_is_seen_to_fail() -> None:
    names = {path.stem for path in (sql_folder() / "checks").glob("*.sql")}
    assert names == {check for check, _ in BREACHES}
