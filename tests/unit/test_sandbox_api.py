"""The sandbox's API answers as m3ter's does: access, filters, order, pages, limits."""

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from m3ter_sync.sandbox import Sandbox, World
from m3ter_sync.sandbox.tables import parse_instant

Run = dict[str, Any]


def fetch_token(
    client: httpx.Client, sandbox: Sandbox, secret: str = "", **body: Any
) -> httpx.Response:
    pair = f"{sandbox.access_key_id}:{secret or sandbox.api_secret}"
    return client.post(
        "/oauth/token",
        headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
        **(body or {"data": {"grant_type": "client_credentials"}}),
    )


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.base_url) as client:
        token = fetch_token(client, sandbox).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        client.base_url = f"{sandbox.base_url}/organizations/{sandbox.org_id}"
        yield client


def read_all(client: httpx.Client, path: str, **params: Any) -> list[Run]:
    rows: list[Run] = []
    while True:
        answer = client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["data"]
        if not page.get("nextToken"):
            return rows
        params["nextToken"] = page["nextToken"]


def busiest_bill(world: World) -> str:
    return max(
        world.bills, key=lambda bill_id: len(list(world.integration_runs.of("Bill", bill_id)))
    )


def runs_path(world: World) -> str:
    return f"integrationruns/Bill/{busiest_bill(world)}"


@pytest.mark.parametrize("kind", ["data", "json"])
def test_a_token_is_given_for_a_form_and_for_json(sandbox: Sandbox, kind: str) -> None:
    with httpx.Client(base_url=sandbox.base_url) as client:
        answer = fetch_token(client, sandbox, **{kind: {"grant_type": "client_credentials"}})
        assert answer.status_code == 200
        assert set(answer.json()) == {"access_token", "token_type", "expires_in", "scope"}
        assert fetch_token(client, sandbox, "wrong").status_code == 401
        assert fetch_token(client, sandbox, **{kind: {"grant_type": "password"}}).status_code == 400


def test_a_bearer_that_is_wrong_or_has_expired_gets_403(
    client: httpx.Client, sandbox: Sandbox
) -> None:
    assert client.get("events/types").status_code == 200
    assert client.get("events/types", headers={"Authorization": "Bearer x"}).status_code == 403
    sandbox.expire_tokens()
    assert client.get("events/types").status_code == 403


def test_a_token_lives_as_long_as_it_says(world: World) -> None:
    with Sandbox(world, expires_in=0) as sandbox, httpx.Client(base_url=sandbox.base_url) as client:
        token = fetch_token(client, sandbox).json()
        assert token["expires_in"] == 0
        headers = {"Authorization": f"Bearer {token['access_token']}"}
        path = f"/organizations/{sandbox.org_id}/events/types"
        assert client.get(path, headers=headers).status_code == 403


def test_another_organization_gets_403_and_an_unknown_entity_404(
    client: httpx.Client, world: World
) -> None:
    assert client.get("../../organizations/other/bills").status_code in (403, 404)
    bill_id = busiest_bill(world)
    assert client.get(f"integrationruns/Bill/{bill_id}").status_code == 200
    assert client.get(f"integrationruns/Notification/{bill_id}").status_code == 404
    assert client.get("integrationruns/Bill/none").status_code == 404
    assert client.get("nothing/here").json() == {"message": "Not found"}


def test_pages_of_any_size_hold_each_run_once_newest_first(
    client: httpx.Client, world: World
) -> None:
    expected = {run["id"]: run for run in world.integration_runs.of("Bill", busiest_bill(world))}
    for size in (1, 3, 200):
        rows = read_all(client, runs_path(world), pageSize=size)
        assert {row["id"]: row for row in rows} == expected
        assert len(rows) == len(expected)
        starts = [parse_instant(row["dtStarted"]) for row in rows if row["dtStarted"]]
        assert starts == sorted(starts, reverse=True)


def test_in_ascending_order_what_never_started_comes_last(
    client: httpx.Client, world: World
) -> None:
    waiting = next(run for run in world.integration_runs.values() if not run["dtStarted"])
    rows = read_all(client, f"integrationruns/Bill/{waiting['entityId']}", pageSize=2, order="ASC")
    starts = [row["dtStarted"] for row in rows]
    count = sum(start is None for start in starts)
    assert count
    assert starts[-count:] == [None] * count
    assert starts[:-count] == sorted(starts[:-count])


def test_start_is_exclusive_end_inclusive_and_both_leave_out_what_never_started(
    client: httpx.Client, world: World
) -> None:
    path = runs_path(world)
    starts = [row["dtStarted"] for row in read_all(client, path, order="ASC") if row["dtStarted"]]
    second, fourth = starts[1], starts[3]
    found = read_all(client, path, startDate=second, endDate=fourth, order="ASC")
    assert [row["dtStarted"] for row in found] == starts[2:4]
    found = read_all(client, path, startDate="2000-01-01T00:00:00+02:00", order="ASC")
    assert [row["dtStarted"] for row in found] == starts
    waiting = next(run for run in world.integration_runs.values() if not run["dtStarted"])
    found = read_all(
        client, f"integrationruns/Bill/{waiting['entityId']}", endDate="2099-01-01T00:00:00Z"
    )
    assert all(row["dtStarted"] for row in found)


def test_runs_are_filtered_by_status(client: httpx.Client, world: World) -> None:
    rows = read_all(client, runs_path(world), status="COMPLETE", pageSize=4)
    expected = world.integration_runs.of("Bill", busiest_bill(world))
    assert {row["id"] for row in rows} == {
        run["id"] for run in expected if run["status"] == "COMPLETE"
    }


@pytest.mark.parametrize(
    "params",
    [
        {"startDate": "yesterday"}, {"endDate": "2025-13-01T00:00:00Z"}, {"pageSize": "0"},
        {"pageSize": "201"}, {"pageSize": "many"}, {"status": "FINE"}, {"order": "UP"},
        {"nextToken": "not a token"}, {"nextToken": "aGVsbG8="},
    ],
)  # fmt: skip
def test_what_cannot_be_read_gets_400_with_a_message(
    client: httpx.Client, world: World, params: dict[str, str]
) -> None:
    answer = client.get(runs_path(world), params=params)
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_page_sizes_have_the_bounds_of_their_endpoints(client: httpx.Client) -> None:
    for path, most in (
        ("bills", 100),
        ("notifications/configurations", 100),
        ("integrationconfigs", 200),
    ):
        assert client.get(path, params={"pageSize": most}).status_code == 200
        assert client.get(path, params={"pageSize": most + 1}).status_code == 400


def test_listings_end_in_three_ways(client: httpx.Client, world: World) -> None:
    endings = set()
    for bill_id in world.bills:
        page = client.get(f"integrationruns/Bill/{bill_id}").json()
        endings.add(page.get("nextToken", "missing"))
    assert endings == {"missing", None, ""}


def test_pages_continue_from_a_place_whatever_was_removed_or_put_in(
    client: httpx.Client, sandbox: Sandbox
) -> None:
    world = sandbox.world
    entity_id = busiest_bill(world)
    before = read_all(client, runs_path(world), order="ASC")
    page = client.get(runs_path(world), params={"order": "ASC", "pageSize": 4}).json()
    with world.lock:
        del world.integration_runs[before[0]["id"]]
        early = dict(before[1], id="early", dtStarted="2000-01-01T00:00:00Z")
        world.integration_runs["early"] = early
    rest = read_all(client, runs_path(world), order="ASC", pageSize=4, nextToken=page["nextToken"])
    assert [row["id"] for row in page["data"] + rest] == [row["id"] for row in before]
    assert entity_id == before[0]["entityId"]


def test_bills_come_newest_first_with_just_what_is_asked_for(
    client: httpx.Client, world: World
) -> None:
    lean = read_all(client, "bills", pageSize=7, excludeLineItems="true", includeBillTotal="true")
    assert {row["id"]: row for row in lean} == world.bills
    created = [row["dtCreated"] for row in lean]
    assert created == sorted(created, reverse=True)
    full = read_all(client, "bills")
    assert not any("billTotal" in row for row in full)
    with_total = read_all(client, "bills", includeBillTotal="true")
    for row in with_total:
        assert sum(line["subtotal"] for line in row["lineItems"]) == pytest.approx(
            row["billTotal"], abs=0.01
        )


def test_bills_are_filtered(client: httpx.Client, world: World) -> None:
    def ids(**params: Any) -> set[str]:
        return {row["id"] for row in read_all(client, "bills", pageSize=5, **params)}

    bills = world.bills.values()
    days = sorted(row["billDate"] for row in bills)
    low, high = days[10], days[30]
    assert ids(billDateStart=low, billDateEnd=high) == {
        row["id"] for row in bills if low <= row["billDate"] < high
    }
    assert ids(status="PENDING") == {row["id"] for row in bills if row["status"] == "PENDING"}
    assert ids(locked="true") == {row["id"] for row in bills if row["locked"]}
    some = list(world.bills)[3:9]
    assert ids(ids=some) == set(some)
    assert ids(ids=",".join([*some, "unknown"])) == set(some)
    account_id = world.bills[some[0]]["accountId"]
    assert ids(accountId=account_id) == {
        row["id"] for row in bills if row["accountId"] == account_id
    }
    assert client.get("bills", params={"billDateStart": "soon"}).status_code == 400
    assert client.get("bills", params={"locked": "maybe"}).status_code == 400
    assert client.get("bills", params={"status": "LATE"}).status_code == 400


def test_notifications_and_integrations_are_listed_and_filtered(
    client: httpx.Client, world: World
) -> None:
    rules = world.notification_configurations
    rows = read_all(client, "notifications/configurations", pageSize=3)
    assert {row["id"]: row for row in rows} == rules
    active = read_all(client, "notifications/configurations", active="true")
    assert {row["id"] for row in active} == {row["id"] for row in rules.values() if row["active"]}
    named = read_all(client, "notifications/configurations", eventName="billing.bill.created")
    assert {row["code"] for row in named} == {"bill_created", "large_bill"}
    links = read_all(client, "integrationconfigs", pageSize=4)
    assert {row["id"]: row for row in links} == world.integration_configurations
    one = links[0]["destinationId"]
    assert len(read_all(client, "integrationconfigs", destinationId=one)) == 1


def test_the_latest_run_is_the_one_created_last(client: httpx.Client, world: World) -> None:
    ids = list(world.bills)[:30]
    rows = client.get("integrationruns/Bill/latest", params={"ids": [*ids, "unknown"]}).json()
    expected = {}
    for bill_id in ids:
        runs = list(world.integration_runs.of("Bill", bill_id))
        if runs:
            expected[bill_id] = max(runs, key=lambda run: str(run["dtCreated"]))
    assert {row["entityId"]: row for row in rows} == expected


def test_the_latest_run_comes_in_every_shape_and_misbehaves_on_demand(
    client: httpx.Client, sandbox: Sandbox
) -> None:
    world = sandbox.world
    ids = [bill_id for bill_id in world.bills if list(world.integration_runs.of("Bill", bill_id))][
        :9
    ]

    def latest(some: list[str]) -> Any:
        return client.get("integrationruns/Bill/latest", params={"ids": some}).json()

    right = latest(ids)
    sandbox.behaviour.latest_shape = "object"
    assert latest(ids[:1]) == right[0]
    assert latest(ids) == right
    assert latest(["unknown"]) == {}
    sandbox.behaviour.latest_shape = "data"
    assert latest(ids) == {"data": right}
    sandbox.behaviour.latest_shape = "partial"
    assert len(latest(ids)) == 6
    sandbox.behaviour.latest_shape = "wrong"
    assert latest(ids) != right
    sandbox.behaviour.latest_shape = "none"
    assert latest(ids) == {"message": "Not found"}
    sandbox.behaviour.latest_shape = "list"
    sandbox.behaviour.latest_most_ids = 8
    for status in (400, 413, 414):
        sandbox.behaviour.latest_refusal = status
        answer = client.get("integrationruns/Bill/latest", params={"ids": ids})
        assert answer.status_code == status


def test_requests_are_logged_in_order_without_any_credential(
    client: httpx.Client, sandbox: Sandbox
) -> None:
    client.get("bills", params={"ids": ["a", "b"], "pageSize": 5})
    token, bills = sandbox.requests
    assert (token.method, token.path, token.status) == ("POST", "/oauth/token", 200)
    assert bills.path == f"/organizations/{sandbox.org_id}/bills"
    assert bills.params == {"ids": ["a", "b"], "pageSize": ["5"]}
    assert token.received_at <= bills.received_at <= datetime.now(UTC)
    log = repr(sandbox.requests)
    assert sandbox.api_secret not in log
    assert client.headers["Authorization"].split()[1] not in log


def test_another_process_steers_it_over_http(client: httpx.Client, sandbox: Sandbox) -> None:
    now = sandbox.world.now
    changes = httpx.post(f"{sandbox.base_url}/sandbox/advance", params={"days": 2}).json()
    assert changes["new_runs"]
    assert (sandbox.world.now - now).days == 2
    world = httpx.get(f"{sandbox.base_url}/sandbox/world").json()
    assert parse_instant(world["now"]) == sandbox.world.now
    assert {row["id"]: row for row in world["integration_runs"]} == sandbox.world.integration_runs
    assert {row["id"] for row in world["bills"]} == set(sandbox.world.bills)
    (token,) = httpx.get(f"{sandbox.base_url}/sandbox/requests").json()
    assert (token["path"], token["status"]) == ("/oauth/token", 200)
    assert httpx.get(f"{sandbox.base_url}/sandbox/other").status_code == 404
    bad = httpx.post(f"{sandbox.base_url}/sandbox/advance", params={"days": "soon"})
    assert bad.status_code == 400
    assert client.post("bills").status_code == 405
