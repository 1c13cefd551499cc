"""Each endpoint: its path, its parameters, its limits."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from m3ter_sync.api import (
    EntityNotFound,
    RequestRefused,
    UnexpectedAnswer,
    fetch_bills,
    fetch_event_types,
    fetch_integration_configurations,
    fetch_integration_runs,
    fetch_latest_integration_runs,
    fetch_notification_configurations,
)

BASE = "/organizations/org-1/"
BILL = "7d1c0a62-5a4f-4a53-9f0e-0d6c0c9f1a11"


def test_integration_runs_are_asked_with_every_parameter(client, server, reply):
    server.otherwise = reply(200, {"data": [{"id": "r"}]})
    pages = fetch_integration_runs(
        client,
        "Bill",
        BILL,
        start_date=datetime(2025, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        end_date=datetime(2025, 2, 1, 1, 0, tzinfo=timezone(timedelta(hours=2))),
        status="ERROR",
        order="ASC",
        page_size=7,
    )
    assert list(pages) == [[{"id": "r"}]]
    assert server.asked[0].path == f"{BASE}integrationruns/Bill/{BILL}"
    assert server.asked[0].params == {
        "startDate": ["2025-01-02T03:04:05.000678Z"],
        "endDate": ["2025-01-31T23:00:00.000000Z"],
        "status": ["ERROR"],
        "order": ["ASC"],
        "pageSize": ["7"],
    }


def test_integration_runs_come_in_the_largest_pages_by_default(client, server):
    assert list(fetch_integration_runs(client, "Notification", BILL)) == []
    assert server.asked[0].params == {"pageSize": ["200"]}


def test_a_time_without_a_zone_is_refused(client):
    naive = datetime(2025, 1, 1)  # noqa: DTZ001
    with pytest.raises(ValueError, match="needs its zone"):
        fetch_integration_runs(client, "Bill", BILL, start_date=naive)


def test_a_missing_bill_is_named(client, server, reply):
    server.otherwise = reply(404, {"message": "none"})
    with pytest.raises(EntityNotFound, match=f"Bill {BILL} does not exist"):
        list(fetch_integration_runs(client, "Bill", BILL))


@pytest.mark.parametrize(
    ("entity_id", "segment"),
    [
        ("../../oauth/token", "..%2F..%2Foauth%2Ftoken"),
        ("legacy/4711", "legacy%2F4711"),
        ("a%2Fb", "a%252Fb"),
        ("a?x=1", "a%3Fx%3D1"),
        ("a#b", "a%23b"),
        ("a b", "a%20b"),
        ("é", "%C3%A9"),
    ],
)
def test_an_id_never_breaks_out_of_the_path(client, server, entity_id, segment):
    list(fetch_integration_runs(client, "Bill", entity_id))
    (asked,) = server.asked
    assert asked.path.endswith(f"/integrationruns/Bill/{segment}")


@pytest.mark.parametrize("entity_id", ["", ".", ".."])
def test_what_no_quoting_makes_an_id_is_refused(client, server, entity_id):
    with pytest.raises(RequestRefused, match="is no id of m3ter"):
        fetch_integration_runs(client, "Bill", entity_id)
    with pytest.raises(RequestRefused):
        fetch_integration_runs(client, entity_id, BILL)
    assert server.log == []


def test_an_organization_never_breaks_out_of_the_path(make_client, server):
    make_client(org_id="../x?y#z").fetch("bills")
    assert server.asked[0].path == "/organizations/..%2Fx%3Fy%23z/bills"


def test_the_latest_runs_of_many_entities_are_one_request(client, server, reply):
    server.otherwise = reply(200, [{"id": "r"}])
    assert fetch_latest_integration_runs(client, "Bill", ["a", "b"]) == [{"id": "r"}]
    assert server.asked[0].path == f"{BASE}integrationruns/Bill/latest"
    assert server.asked[0].params == {"ids": ["a", "b"]}


def test_notification_configurations_are_filtered(client, server):
    pages = fetch_notification_configurations(
        client, active=False, event_name="configuration.bill.created", ids=["a", "b"]
    )
    assert list(pages) == []
    assert server.asked[0].path == f"{BASE}notifications/configurations"
    assert server.asked[0].params == {
        "active": ["false"],
        "eventName": ["configuration.bill.created"],
        "ids": ["a", "b"],
        "pageSize": ["100"],
    }


def test_a_listing_without_filters_asks_for_everything(client, server):
    list(fetch_notification_configurations(client))
    assert server.asked[0].params == {"pageSize": ["100"]}


def test_many_ids_are_spread_over_requests(client, server):
    ids = [f"id-{number}" for number in range(250)]
    list(fetch_notification_configurations(client, ids=ids))
    assert [len(request.params["ids"]) for request in server.asked] == [100, 100, 50]
    assert [one for request in server.asked for one in request.params["ids"]] == ids


def test_integration_configurations_come_without_their_credentials(client, server, reply):
    rows = [{"id": "c", "configData": {"apiKey": "hush"}, "enabled": True}, "odd"]
    server.otherwise = reply(200, {"data": rows})
    pages = list(fetch_integration_configurations(client))
    assert pages == [[{"id": "c", "enabled": True}, "odd"]]
    assert server.asked[0].path == f"{BASE}integrationconfigs"
    assert server.asked[0].params == {"pageSize": ["200"]}


def test_bills_come_with_totals_and_without_lines(client, server):
    list(
        fetch_bills(
            client,
            ids=["a"],
            bill_date_start=date(2025, 1, 1),
            bill_date_end=date(2025, 2, 1),
            status="APPROVED",
            locked=True,
        )
    )
    assert server.asked[0].path == f"{BASE}bills"
    assert server.asked[0].params == {
        "excludeLineItems": ["true"],
        "includeBillTotal": ["true"],
        "billDateStart": ["2025-01-01"],
        "billDateEnd": ["2025-02-01"],
        "status": ["APPROVED"],
        "locked": ["true"],
        "ids": ["a"],
        "pageSize": ["100"],
    }


def test_event_types_are_names(client, server, reply):
    server.otherwise = reply(200, {"events": ["a.created", "b.created"]})
    assert fetch_event_types(client) == ["a.created", "b.created"]
    assert server.asked[0].path == f"{BASE}events/types"


@pytest.mark.parametrize("content", [[], {}, {"events": None}, {"events": [1]}])
def test_event_types_of_another_shape_are_an_error(client, server, reply, content):
    server.otherwise = reply(200, content)
    with pytest.raises(UnexpectedAnswer, match="events/types"):
        fetch_event_types(client)


@pytest.mark.parametrize("size", [0, -1, 101])
def test_a_page_size_outside_the_limits_is_refused(client, size):
    with pytest.raises(ValueError, match="a page holds 1 to 100 rows"):
        fetch_bills(client, page_size=size)
    with pytest.raises(ValueError, match="a page holds 1 to 100 rows"):
        fetch_notification_configurations(client, page_size=size)
    with pytest.raises(ValueError, match="a page holds 1 to 200 rows"):
        fetch_integration_runs(client, "Bill", BILL, page_size=size * 2)
    with pytest.raises(ValueError, match="a page holds 1 to 200 rows"):
        list(fetch_integration_configurations(client, page_size=size * 2))
