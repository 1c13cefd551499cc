"""Each thing that changes is told once; what stays the same is not."""

import json
import os
import stat
from collections.abc import Callable
from datetime import timedelta

import pytest
from filelock import FileLock
from tests.unit.models.conftest import AS_OF

from m3ter_sync.alerts import SyncNews
from m3ter_sync.warehouse.location import WarehouseBusy

from .conftest import Desk, Receiver

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FAILED = SyncNews(error="m3ter cannot be reached.", error_kind="Unreachable")
SUCCEEDED = SyncNews(failed_checks={})


def begin(desk: Desk, receiver: Receiver, *, publishes: bool = True) -> None:
    """A first look, at which all is well."""
    if publishes:
        desk.add_deliveries(".", AS_OF - 9 * HOUR)
        desk.publish()
    assert desk.tell() == []
    assert receiver.take() == []


def test_the_first_message_sums_up_what_is_open_and_the_next_runs_say_nothing(
    desk: Desk, receiver: Receiver
) -> None:
    for number in range(4):
        desk.add_deliveries("xxxx", AS_OF - 60 * DAY, destination=f"KIND{number}")
    desk.publish()
    desk.tell(SUCCEEDED)
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: 4 things are open: KIND0 is failing (bills), and 3 more"
    assert message["message"].startswith("Alerts begin here.")
    for number in range(4):
        assert f"- KIND{number} is failing (bills)\n" in message["message"]
    for days in (1, 2, 3):
        desk.publish(AS_OF + days * DAY)
        assert desk.tell(SUCCEEDED) == []
    assert receiver.take() == []


def test_an_incident_is_told_when_it_opens_and_when_it_closes(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.raw.add(
        "bills",
        *(
            {"id": f"bill {(AS_OF + n * HOUR).isoformat()}", "bill_total": total, "currency": money}
            for n, total, money in ((0, "10.5", "EUR"), (1, "2000", "EUR"), (2, "300", "JPY"))
        ),
    )
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert (message["title"], message["type"]) == (
        "m3ter-sync: NETSUITE is failing (bills)",
        "failure",
    )
    assert message["message"].splitlines()[:5] == [
        "Since 2025-06-30 12:00 UTC (3.1 h)",
        "3 deliveries failed; 3 bills hit; none arrived since",
        "Failed or blocked there now: 3 bills, EUR 2,010.50 and JPY 300",
        'Last error: "INVALID_LOGIN: token expired"',
        "See: m3ter-sync query --name error_to_fix_first",
    ]
    assert "Data as of 2025-06-30 15:00 UTC." in message["message"]
    # It grows: no news.
    desk.add_deliveries("xx", AS_OF + 3 * HOUR)
    desk.publish(AS_OF + 6 * HOUR)
    assert desk.tell() == []
    desk.add_deliveries(".", AS_OF + 7 * HOUR)
    desk.publish(AS_OF + 8 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert (message["title"], message["type"]) == (
        "m3ter-sync: NETSUITE works again (bills)",
        "success",
    )
    assert (
        "It failed from 2025-06-30 12:00 to 2025-06-30 19:01 UTC (7 h): "
        "5 deliveries failed; 5 bills hit" in message["message"]
    )
    assert desk.tell() == []


def test_a_failure_or_two_are_told_only_when_they_last_over_a_day(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xx", AS_OF)
    desk.publish(AS_OF + DAY)
    assert desk.tell() == []
    desk.publish(AS_OF + DAY + HOUR)
    desk.tell()
    assert "NETSUITE is failing" in receiver.take_one()["title"]


def test_a_single_failure_is_told_where_that_is_asked_for(desk: Desk, receiver: Receiver) -> None:
    desk.settings["alert_incident_deliveries"] = 1
    begin(desk, receiver)
    desk.add_deliveries("x", AS_OF)
    desk.publish(AS_OF + HOUR)
    desk.tell()
    assert "NETSUITE is failing" in receiver.take_one()["title"]


def test_a_system_that_fails_beside_one_of_its_kind_that_works_is_told_and_named(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF, destination="WEBHOOK", destination_id="1b5d3a77-dead")
    works = {"destination": "WEBHOOK", "destination_id": "7c0ffee7-works"}
    desk.add_deliveries("...", AS_OF + HOUR / 2, **works)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    assert receiver.take_one()["title"] == "m3ter-sync: WEBHOOK 1b5d3a77 is failing (bills)"
    desk.add_deliveries("...", AS_OF + 3.5 * HOUR, **works)
    desk.publish(AS_OF + 6 * HOUR)
    assert desk.tell() == []


def test_an_incident_that_came_and_went_between_two_looks_is_told_once(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxxx.", AS_OF)
    desk.add_deliveries("x.x.", AS_OF, destination="STRIPE")
    desk.publish(AS_OF + 5 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: NETSUITE (bills) failed, and works again"
    assert "It failed from 2025-06-30 12:00 to 2025-06-30 16:01 UTC" in message["message"]
    desk.publish(AS_OF + 6 * HOUR)
    assert desk.tell() == []


def test_what_came_and_went_is_told_late_to_a_channel_that_failed_and_to_no_other_again(
    desk: Desk, receiver: Receiver, open_receiver: Callable[[str], Receiver]
) -> None:
    broken = open_receiver("/broken")
    desk.urls.append(broken.url)
    begin(desk, receiver)
    broken.status = 503
    desk.add_deliveries("xxxx.", AS_OF)
    desk.publish(AS_OF + 5 * HOUR)
    desk.tell()
    title = receiver.take_one()["title"]
    broken.status = 200
    desk.publish(AS_OF + 6 * HOUR)
    desk.tell()
    assert receiver.take() == []
    assert broken.take_one()["title"] == title


def test_an_incident_that_ended_before_the_last_look_is_no_news(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxxx.", AS_OF - 8 * HOUR)
    desk.publish(AS_OF + HOUR)
    assert desk.tell() == []


def test_one_that_closed_and_the_next_that_opened_are_two(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    receiver.take_one()
    desk.add_deliveries(".xxx", AS_OF + 3 * HOUR)
    desk.publish(AS_OF + 7 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: NETSUITE is failing (bills), and 1 more"
    assert message["type"] == "failure"
    assert "- NETSUITE works again (bills)\nIt failed from 2025-06-30 12:00" in message["message"]


def test_an_incident_that_turns_out_to_have_begun_earlier_is_the_same(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    receiver.take_one()
    desk.add_deliveries("x", AS_OF - HOUR)
    desk.publish(AS_OF + 4 * HOUR)
    assert desk.tell() == []
    # A success in the middle of it: what was told is over, what is left of it goes on.
    desk.add_deliveries(".", AS_OF + HOUR / 2)
    desk.add_deliveries("xx", AS_OF + 3 * HOUR)
    desk.publish(AS_OF + 5 * HOUR)
    desk.tell()
    message = receiver.take_one()["message"]
    assert "NETSUITE works again" in message
    assert "NETSUITE is failing" in message


def test_failures_that_a_retry_made_good_are_over(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    receiver.take_one()
    desk.change("update m3ter_raw.integration_runs set status = 'COMPLETE'")
    desk.publish(AS_OF + 4 * HOUR)
    desk.tell()
    title = receiver.take_one()["title"]
    assert title == "m3ter-sync: NETSUITE (bills): what failed has arrived after all"


def test_sandbox_destinations_are_left_out_unless_they_count(
    desk: Desk, receiver: Receiver
) -> None:
    desk.add_deliveries("x" * 30, AS_OF - 30 * HOUR, destination="STRIPE_TEST")
    desk.publish()
    assert desk.tell() == []
    desk.model_settings["counts_sandbox"] = True
    desk.publish(AS_OF + HOUR)
    desk.tell()
    assert "STRIPE_TEST is failing" in receiver.take_one()["message"]


def test_a_failure_rate_is_told_when_it_is_credibly_above_the_limit_and_when_it_is_not_above_it(
    desk: Desk, receiver: Receiver
) -> None:
    step = timedelta(minutes=10)
    begin(desk, receiver)
    desk.change("delete from m3ter_raw.integration_runs")
    # 15 of 100: above 10 %, and the lower end of the interval (9.3 %) is not.
    desk.add_deliveries(("x" + "." * 5) * 15 + "." * 10, AS_OF - DAY, step=step)
    desk.publish(AS_OF + HOUR)
    assert desk.tell() == []
    desk.add_deliveries("x." * 4, AS_OF - 3 * HOUR, step=step)
    desk.publish(AS_OF + 2 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == (
        "m3ter-sync: NETSUITE fails too often: 17.6% of bills in the last 7 days"
    )
    assert (
        "19 of 108 decided deliveries failed (95 % interval 11.6% to 25.8%; the limit is 0.1)"
        in (message["message"])
    )
    # It swings around the limit of what is credible, and stays above the limit.
    for hours, runs in ((3, "." * 20), (4, "x" * 2 + "."), (5, "." * 20)):
        desk.add_deliveries(runs, AS_OF + hours * HOUR, step=timedelta(minutes=1))
        desk.publish(AS_OF + (hours + 1) * HOUR)
        assert desk.tell() == []
    desk.add_deliveries("." * 70, AS_OF + 7 * HOUR, step=timedelta(minutes=1))
    desk.publish(AS_OF + 9 * HOUR)
    desk.tell()
    message = receiver.take_one()
    assert message["title"].startswith("m3ter-sync: NETSUITE fails within the limit again: 9.5%")
    assert message["type"] == "success"


@pytest.mark.parametrize(
    ("settings", "is_told"),
    [
        ({}, True),
        ({"alert_minimum_deliveries": 21}, False),
        ({"alert_failure_rate": 0.5}, False),
        ({"alert_failure_rate": 1.0}, False),
        ({"alert_window_days": 1}, False),
        # There is no window of 8 days: 7 is the nearest.
        ({"alert_window_days": 8}, True),
    ],
)
def test_a_failure_rate_stands_on_enough_deliveries_of_its_window(
    desk: Desk, receiver: Receiver, settings: dict[str, float], is_told: bool
) -> None:
    desk.settings |= settings
    desk.add_deliveries("xx." * 4 + "." * 8, AS_OF - 3 * DAY)
    desk.publish()
    desk.tell()
    assert [each["title"] for each in receiver.take()] == (
        ["m3ter-sync: NETSUITE fails too often: 40.0% of bills in the last 7 days"]
        if is_told
        else []
    )


def add_cover(desk: Desk) -> None:
    began = {"_dlt_valid_from": AS_OF - 9 * DAY}
    event = "integration.perform.error"
    desk.raw.add("event_types", began | {"name": event}, began | {"name": "billing.bill.created"})
    desk.raw.add(
        "notification_configurations",
        began | {"id": "n", "name": "n", "code": "n", "event_name": event, "active": True},
    )
    desk.raw.add(
        "integration_configurations",
        began
        | {
            "id": "l",
            "entity_type": "Notification",
            "entity_id": "n",
            "destination": "WEBHOOK",
            "destination_id": "w",
            "enabled": True,
        },
    )


def test_a_critical_event_is_told_when_it_loses_its_cover_and_when_it_has_it_again(
    desk: Desk, receiver: Receiver
) -> None:
    add_cover(desk)
    begin(desk, receiver)
    desk.change("update m3ter_raw.integration_configurations set enabled = false")
    desk.publish(AS_OF + HOUR)
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: Nobody would hear of integration.perform.error"
    assert "No active notification on it has a link that works" in message["message"]
    assert desk.tell() == []
    desk.change("update m3ter_raw.notification_configurations set active = false")
    desk.publish(AS_OF + 2 * HOUR)
    assert desk.tell() == [], "it has as little cover as before"
    desk.change("update m3ter_raw.notification_configurations set active = true")
    desk.change("update m3ter_raw.integration_configurations set enabled = true")
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    title = receiver.take_one()["title"]
    assert title == "m3ter-sync: Someone would hear of integration.perform.error again"


def test_cover_that_is_not_known_is_neither_lost_nor_regained(
    desk: Desk, receiver: Receiver
) -> None:
    desk.raw.add(
        "event_types",
        {"name": "integration.perform.error", "_dlt_valid_from": AS_OF - 9 * DAY},
    )
    desk.change("drop table m3ter_raw.integration_configurations")
    begin(desk, receiver)


def test_stale_data_is_told_once_and_so_is_fresh_data(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver)
    desk.now = AS_OF + 26 * HOUR
    assert desk.tell() == []
    desk.now += timedelta(minutes=1)
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: The data is stale: no new copy for 26 h"
    desk.now += 5 * DAY
    assert desk.tell() == []
    desk.publish(AS_OF + 6 * DAY)
    desk.tell()
    assert receiver.take_one()["title"] == "m3ter-sync: The data is fresh again"


def test_syncs_that_never_succeed_are_told_of_as_well(desk: Desk, receiver: Receiver) -> None:
    assert desk.tell() == []
    desk.now += 27 * HOUR
    desk.tell()
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: The data is stale: no new copy for 27 h"
    assert "No sync has succeeded yet." in message["message"]


def test_a_failed_sync_is_told_once_again_when_it_fails_otherwise_and_when_it_works(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver, publishes=False)
    desk.tell(FAILED)
    message = receiver.take_one()
    assert (message["title"], message["type"]) == ("m3ter-sync: The sync fails", "failure")
    assert "m3ter cannot be reached." in message["message"]
    desk.now += HOUR
    assert desk.tell(FAILED) == []
    assert desk.tell() == []
    desk.tell(SyncNews(error="Wrong secret.", error_kind="CredentialsRefused"))
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: The sync fails, now of something else"
    assert message["message"].splitlines()[:2] == [
        "Since 2025-06-30 12:06 UTC (60 min)",
        "Wrong secret.",
    ]
    desk.tell(SUCCEEDED)
    message = receiver.take_one()
    assert (message["title"], message["type"]) == ("m3ter-sync: The sync works again", "success")
    assert desk.tell(SUCCEEDED) == []


def test_a_sync_of_a_part_says_nothing_of_whether_syncs_work(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver, publishes=False)
    assert desk.tell(SyncNews(error="no", error_kind="A", is_whole=False)) == []
    desk.tell(FAILED)
    receiver.take_one()
    assert desk.tell(SyncNews(is_whole=False, failed_checks={})) == []
    desk.tell(SUCCEEDED)
    assert receiver.take_one()["title"] == "m3ter-sync: The sync works again"


def test_a_failed_sync_closes_nothing(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell(SyncNews(failed_checks={"run_keys": "Each run once."}, rejected_count=7))
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: Check run_keys fails, and 2 more"
    assert "- 7 rows cannot be read and were set aside\n" in message["message"]
    desk.tell(FAILED)
    assert receiver.take_one()["title"] == "m3ter-sync: The sync fails"


def test_a_check_is_told_when_it_fails_and_when_it_passes(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver, publishes=False)
    failing = {"run_keys": "Each run once.", "freshness": "Told as stale, not twice."}
    desk.tell(SyncNews(failed_checks=failing))
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: Check run_keys fails"
    assert "It holds when all is well: Each run once." in message["message"]
    assert "See: m3ter-sync check" in message["message"]
    assert desk.tell(SyncNews(failed_checks=failing)) == []
    desk.tell(SyncNews(failed_checks={**failing, "run_totals": "Totals agree."}))
    assert receiver.take_one()["title"] == "m3ter-sync: Check run_totals fails"
    desk.tell(SUCCEEDED)
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: Check run_keys passes again, and 1 more"


def test_rows_that_cannot_be_read_are_told_until_they_can(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver, publishes=False)
    rejecting = SyncNews(failed_checks={}, rejected_count=2)
    desk.tell(rejecting)
    title = receiver.take_one()["title"]
    assert title == "m3ter-sync: 2 rows cannot be read and were set aside"
    assert desk.tell(SyncNews(failed_checks={}, rejected_count=5)) == []
    assert desk.tell(SyncNews(failed_checks={}, is_whole=False)) == []
    desk.tell(SUCCEEDED)
    assert receiver.take_one()["title"] == "m3ter-sync: Every row can be read again"


def test_a_published_copy_that_cannot_be_read_closes_nothing_and_keeps_no_failure_from_being_told(
    desk: Desk, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxx", AS_OF)
    desk.publish(AS_OF + 3 * HOUR)
    desk.tell()
    receiver.take_one()
    published = desk.location.published_database
    whole = published.read_bytes()
    published.write_bytes(b"no database" * 999)
    desk.tell(FAILED)
    assert receiver.take_one()["title"] == "m3ter-sync: The sync fails"
    assert "m3ter.duckdb" in caplog.text
    published.write_bytes(whole)
    desk.tell(SUCCEEDED)
    assert receiver.take_one()["title"] == "m3ter-sync: The sync works again"


def test_what_came_and_went_while_the_copy_could_not_be_read_is_told_when_it_can(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver)
    desk.add_deliveries("xxxx.", AS_OF)
    desk.publish(AS_OF + 5 * HOUR)
    published = desk.location.published_database
    whole = published.read_bytes()
    published.write_bytes(b"no database" * 999)
    assert desk.tell() == []
    published.write_bytes(whole)
    desk.tell()
    assert "failed, and works again" in receiver.take_one()["title"]


def test_a_channel_that_failed_is_tried_again_and_the_others_are_not_told_twice(
    desk: Desk, receiver: Receiver, open_receiver: Callable[[str], Receiver]
) -> None:
    broken = open_receiver("/broken")
    broken.status = 503
    desk.urls.append(broken.url)
    begin(desk, receiver, publishes=False)
    deliveries = desk.tell(FAILED)
    assert [each.failure for each in deliveries] == [None, "it answered 503"]
    receiver.take_one()
    desk.now += HOUR
    assert [each.failure for each in desk.tell(FAILED)] == ["it answered 503"]
    assert receiver.take() == []
    broken.status = 200
    desk.now += HOUR
    desk.tell(FAILED)
    assert receiver.take() == []
    assert "Since 2025-06-30 12:06 UTC (2 h)" in broken.take_one()["message"]
    assert [each.failure for each in desk.tell(SUCCEEDED)] == [None, None]
    assert receiver.take_one() == broken.take_one()


def test_a_failure_that_is_over_before_it_could_be_told_is_not_told(
    desk: Desk, receiver: Receiver
) -> None:
    begin(desk, receiver, publishes=False)
    receiver.status = 500
    desk.tell(FAILED)
    receiver.status = 200
    assert desk.tell(SUCCEEDED) == []


def test_a_new_channel_is_told_what_is_open(
    desk: Desk, receiver: Receiver, open_receiver: Callable[[str], Receiver]
) -> None:
    begin(desk, receiver, publishes=False)
    desk.tell(FAILED)
    receiver.take_one()
    new = open_receiver("/new")
    desk.urls.append(new.url)
    desk.tell()
    assert receiver.take() == []
    assert new.take_one()["message"].startswith("Alerts begin here.")
    # One that is no more is forgotten.
    desk.urls.pop()
    desk.tell()
    assert len(json.loads(desk.memory.read_text())["channels"]) == 1


@pytest.mark.parametrize(
    "damaged",
    ["", "{", "[]", "null", '{"version": 99}', '{"version": 1}', "\x00" * 10, "half"],
)
def test_a_damaged_memory_costs_one_message(
    desk: Desk, receiver: Receiver, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    desk.tell(FAILED)
    told = receiver.take_one()
    text = desk.memory.read_text()
    desk.memory.write_text(text[: len(text) // 2] if damaged == "half" else damaged)
    desk.tell(FAILED)
    assert receiver.take_one() == told
    assert "told once more" in caplog.text
    assert desk.tell(FAILED) == []


def test_the_memory_is_for_its_owner_alone_and_holds_no_url(desk: Desk, receiver: Receiver) -> None:
    before = os.umask(0)
    try:
        begin(desk, receiver, publishes=False)
        desk.tell(FAILED)
    finally:
        os.umask(before)
    assert stat.S_IMODE(desk.memory.stat().st_mode) == 0o600
    text = desk.memory.read_text()
    for part in ("hush", "token-of-the-hook", "127.0.0.1"):
        assert part not in text


def test_where_nothing_can_be_written_a_failure_is_told_all_the_same(
    desk: Desk, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    # A folder in the file's place, which not even root can replace.
    (desk.memory / "in the way").mkdir(parents=True)
    for _ in range(2):
        desk.tell(FAILED)
        assert receiver.take_one()["title"] == "m3ter-sync: The sync fails"
        assert "told once more the next time" in caplog.text


def test_two_at_once_do_not_tell_the_same(desk: Desk, receiver: Receiver) -> None:
    begin(desk, receiver, publishes=False)
    with (
        FileLock(desk.memory.with_suffix(".lock")),
        pytest.raises(WarehouseBusy, match="sending alerts"),
    ):
        desk.tell(FAILED, patience=0.1)
    assert receiver.take() == []


def test_a_sync_into_another_destination_tells_of_itself_alone(
    desk: Desk, receiver: Receiver
) -> None:
    desk.add_deliveries("xxx", AS_OF - 9 * HOUR)
    desk.publish()
    desk.now += 9 * DAY
    assert desk.tell(SyncNews(), destination="bigquery") == []
    desk.tell(FAILED, destination="bigquery")
    message = receiver.take_one()
    assert message["title"] == "m3ter-sync: The sync fails"
    assert message["message"].splitlines()[-1].startswith("bigquery on ")
    desk.tell()
    assert "NETSUITE" in receiver.take_one()["message"], "the warehouse has a memory of its own"


def test_a_storm_is_one_message_of_bounded_length(desk: Desk, receiver: Receiver) -> None:
    for number in range(60):
        desk.add_deliveries("xxx", AS_OF - 9 * HOUR, destination=f"KIND{number}", error="e " * 9999)
    desk.publish()
    desk.tell(FAILED)
    message = receiver.take_one()
    assert message["title"].startswith("m3ter-sync: 61 things are open: The sync fails, and 60")
    shown = message["message"].count("\n- ")
    assert 3 <= shown <= 10
    assert f"… and {61 - shown} more: m3ter-sync report" in message["message"]
    assert len(message["title"]) + len(message["message"]) < 2000
    assert desk.tell(FAILED) == [], "what did not fit is told with the rest"
