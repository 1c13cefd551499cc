"""What the organization has is listed once, whole, and one row a key."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from starlette.responses import JSONResponse

from m3ter_sync.api import M3terClient, UnexpectedAnswer
from m3ter_sync.sandbox import LoggedRequest, Sandbox, World, build_world
from m3ter_sync.source import Inventory, list_entities
from m3ter_sync.source.changes import Changes
from m3ter_sync.source.tables import BILLS, Table


class Known:
    """Holds bills of these ids as they are."""

    is_append_only = False

    def __init__(self, *ids: str) -> None:
        self._ids = set(ids)

    def drop_unchanged(self, table: Table, rows: pa.Table) -> Changes:
        ids = rows.column("id").to_pylist()
        new = rows.filter(pa.array([each not in self._ids for each in ids], pa.bool_()))
        return Changes(new, new.num_rows)

    def find_missing(self, table: Table, rows: pa.Table) -> list[str]:
        return []

    def lacks(self, table: Table) -> bool:
        return False


@pytest.fixture
def world() -> World:
    now = datetime(2025, 11, 3, 6, tzinfo=UTC)
    return build_world(now=now, bills=250, notifications=20, runs=0)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[M3terClient]:
    with M3terClient(
        org_id=sandbox.org_id,
        access_key_id=sandbox.access_key_id,
        api_secret=sandbox.api_secret,
        base_url=sandbox.base_url,
        requests_per_second=100_000,
    ) as client:
        yield client


def bill_requests(sandbox: Sandbox) -> list[dict[str, list[str]]]:
    return [each.params for each in sandbox.requests if each.path.endswith("/bills")]


def ids(table: pa.Table) -> list[Any]:
    return list(table.column("id").to_pylist())


def test_each_is_listed_once_however_often_it_is_read(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    inventory = Inventory(client, sandbox.org_id)
    for _ in range(2):
        assert set(ids(inventory.bills)) == world.bills.keys()
        assert set(ids(inventory.notification_configurations)) == set(
            world.notification_configurations
        )
        assert len(ids(inventory.integration_configurations)) == len(
            world.integration_configurations
        )
        assert inventory.event_types.column("name").to_pylist() == world.event_types
    assert len(sandbox.requests) == 1 + 3 + 1 + 1 + 1
    assert inventory.bills_are_complete
    kinds = [entity.entity_type for entity in list_entities(inventory)]
    assert kinds == ["Notification"] * 20 + ["Bill"] * 250


def test_bills_are_listed_until_a_whole_page_is_known(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    newest = sorted(world.bills, key=lambda key: world.bills[key]["dtCreated"], reverse=True)
    inventory = Inventory(client, sandbox.org_id, known_bills=Known(*newest[50:]))
    assert ids(inventory.bills) == newest[:200]
    assert not inventory.bills_are_complete
    assert len(bill_requests(sandbox)) == 2


def test_a_page_of_rejected_bills_is_not_taken_for_a_known_one(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    newest = sorted(world.bills, key=lambda key: world.bills[key]["dtCreated"], reverse=True)
    for bill_id in newest[:100]:
        world.bills[bill_id]["dueDate"] = "someday"
    inventory = Inventory(client, sandbox.org_id, known_bills=Known(*newest[:100]))
    assert len(ids(inventory.bills)) == 150
    assert len(inventory.rejected) == 100
    assert sorted(inventory.entity_ids(BILLS)) == sorted(world.bills)


def test_older_bills_are_refreshed_in_hundreds_and_listed_ones_are_not(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    newest = sorted(world.bills, key=lambda key: world.bills[key]["dtCreated"], reverse=True)
    inventory = Inventory(client, sandbox.org_id, known_bills=Known(*newest))
    inventory.refresh_bills([])
    inventory.refresh_bills(newest[:230])
    assert set(ids(inventory.bills)) == set(newest[:230])
    assert [len(params.get("ids", ())) for params in bill_requests(sandbox)] == [0, 100, 30]


def test_a_row_that_two_pages_serve_is_one_row_the_later_one(
    sandbox: Sandbox, world: World, client: M3terClient
) -> None:
    first, second = list(world.bills.values())[:2]

    def answer(log: LoggedRequest) -> Any:
        if not log.path.endswith("/bills"):
            return None
        if "nextToken" in log.params:
            return JSONResponse({"data": [first | {"currency": "XXX"}]})
        return JSONResponse({"data": [first, second], "nextToken": "more"})

    sandbox.behaviour.on_request = answer
    bills = Inventory(client, sandbox.org_id).bills.to_pylist()
    assert {bill["id"]: bill["currency"] for bill in bills} == {
        first["id"]: "XXX",
        second["id"]: second["currency"],
    }
    assert len(bills) == 2


def test_an_answer_without_a_list_fails_and_is_no_empty_snapshot(
    sandbox: Sandbox, client: M3terClient
) -> None:
    sandbox.behaviour.on_request = lambda log: (
        None if log.path.startswith("/oauth") else JSONResponse({"message": "Sorry"})
    )
    for name in ("bills", "notification_configurations", "integration_configurations",
                 "event_types"):  # fmt: skip
        with pytest.raises(UnexpectedAnswer):
            getattr(Inventory(client, sandbox.org_id), name)
