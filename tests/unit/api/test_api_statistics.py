"""What was asked is counted by endpoint, never by id."""

import logging

import pytest

from m3ter_sync.api import (
    RequestStatistics,
    ServiceUnavailable,
    fetch_bills,
    fetch_integration_runs,
    fetch_latest_integration_runs,
)


def test_requests_are_counted_and_timed_by_endpoint(client, server, reply, clock):
    def slow(request):
        clock.seconds += 0.2 if "Notification" in request.path else 0.1
        return reply()

    server.otherwise = slow
    for entity_id in ("b-1", "b-2"):
        list(fetch_integration_runs(client, "Bill", entity_id))
    list(fetch_integration_runs(client, "Notification", "n-1"))
    list(fetch_bills(client))
    fetch_latest_integration_runs(client, "Bill", ["b-1"])
    found = client.statistics.endpoints()
    assert sum(one.requests for one in found) == client.statistics.requests == len(server.log)
    by_name = {one.endpoint: one for one in found}
    assert by_name.keys() == {
        "oauth/token",
        "bills",
        "integrationruns/{entityType}/{entityId}",
        "integrationruns/{entityType}/latest",
    }
    assert found[0].endpoint == "integrationruns/{entityType}/{entityId}"
    assert found[0].requests == 3
    assert found[0].seconds == pytest.approx(0.4)
    assert found[0].mean_ms == pytest.approx(133.3, abs=0.1)
    assert found[0].slowest == pytest.approx(0.2)


def test_a_request_without_an_answer_is_counted_too(make_client, server, reply):
    client = make_client(max_attempts=2)
    client.authenticate()
    server.otherwise = reply(raw=b"")
    with pytest.raises(ServiceUnavailable):
        client.fetch("bills")
    (bills,) = [one for one in client.statistics.endpoints() if one.endpoint == "bills"]
    assert bills.requests == 2


def test_endpoints_that_a_caller_makes_up_are_summed_into_one():
    statistics = RequestStatistics()
    for number in range(10_000):
        statistics.record(f"made/up/{number}", 1.0)
    found = statistics.endpoints()
    assert len(found) == 51
    assert sum(one.requests for one in found) == 10_000
    assert found[0].endpoint == "(other)"


def test_a_request_is_logged_without_its_query(make_client, server, reply, caplog, secret):
    caplog.set_level(logging.DEBUG, "m3ter_sync")
    client = make_client()
    server.script = [reply(503), reply()]
    client.fetch("bills", [("nextToken", "page-two"), ("ids", "b-1")])
    lines = [each for each in caplog.records if hasattr(each, "attempt")]
    assert [(each.method, each.path, each.status, each.attempt) for each in lines] == [
        ("POST", "/oauth/token", "200", 1),
        ("GET", "bills", "503", 1),
        ("GET", "bills", "200", 2),
    ]
    for word in ("page-two", "b-1", secret, "token-number"):
        assert word not in caplog.text


def test_a_wait_that_people_would_wonder_about_is_told_and_a_short_one_is_a_detail(
    make_client, server, reply, caplog
):
    caplog.set_level(logging.DEBUG, "m3ter_sync")
    server.script = [reply(503), reply(503, headers={"Retry-After": "30"}), reply()]
    make_client().fetch("bills")
    waits = [each.levelname for each in caplog.records if "follows in" in each.message]
    assert waits == ["DEBUG", "INFO"]
