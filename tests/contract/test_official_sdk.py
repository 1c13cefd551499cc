"""m3ter's own SDK reads the sandbox: what it accepts is m3ter's shape."""

import base64
from collections.abc import Iterator

import pytest
from m3ter import AuthenticationError, M3ter, PermissionDeniedError

from m3ter_sync.sandbox import Sandbox


@pytest.fixture
def m3ter(sandbox: Sandbox) -> Iterator[M3ter]:
    with M3ter(
        api_key=sandbox.access_key_id,
        api_secret=sandbox.api_secret,
        org_id=sandbox.org_id,
        base_url=sandbox.base_url,
        max_retries=0,
        _strict_response_validation=True,
    ) as client:
        yield client


def test_it_is_given_a_token(m3ter: M3ter) -> None:
    pair = base64.b64encode(f"{m3ter.api_key}:{m3ter.api_secret}".encode()).decode()
    token = m3ter.authentication.get_bearer_token(
        grant_type="client_credentials", extra_headers={"Authorization": f"Basic {pair}"}
    )
    assert token.token_type == "Bearer"
    assert token.expires_in == 18_000


def test_it_pages_through_all_bills(m3ter: M3ter, sandbox: Sandbox) -> None:
    bills = list(m3ter.bills.list(page_size=7, include_bill_total=True))
    expected = sandbox.world.bills
    assert {bill.id for bill in bills} == set(expected)
    assert {bill.id: bill.bill_total for bill in bills} == {
        bill_id: row["billTotal"] for bill_id, row in expected.items()
    }
    assert all(bill.line_items for bill in bills)
    created = [bill.dt_created for bill in bills if bill.dt_created]
    assert created == sorted(created, reverse=True)


def test_it_pages_through_all_notification_configurations(m3ter: M3ter, sandbox: Sandbox) -> None:
    rules = list(m3ter.notification_configurations.list(page_size=9))
    expected = sandbox.world.notification_configurations
    assert {rule.id: (rule.code, rule.active, rule.event_name) for rule in rules} == {
        row["id"]: (row["code"], row["active"], row.get("eventName")) for row in expected.values()
    }


def test_it_filters_notification_configurations(m3ter: M3ter, sandbox: Sandbox) -> None:
    rows = list(sandbox.world.notification_configurations.values())
    inactive = list(m3ter.notification_configurations.list(active=False))
    assert {rule.id for rule in inactive} == {row["id"] for row in rows if not row["active"]}
    named = list(m3ter.notification_configurations.list(ids=[rows[0]["id"], rows[3]["id"]]))
    assert {rule.id for rule in named} == {rows[0]["id"], rows[3]["id"]}


def test_it_pages_through_all_integration_configurations(m3ter: M3ter, sandbox: Sandbox) -> None:
    links = list(m3ter.integration_configurations.list(page_size=5))
    assert {link.id for link in links} == set(sandbox.world.integration_configurations)


def test_it_reads_the_event_types(m3ter: M3ter, sandbox: Sandbox) -> None:
    assert m3ter.events.get_types().events == sandbox.world.event_types


def test_it_is_refused_with_a_wrong_secret(sandbox: Sandbox) -> None:
    with (
        M3ter(
            api_key=sandbox.access_key_id,
            api_secret="wrong",
            org_id=sandbox.org_id,
            base_url=sandbox.base_url,
        ) as client,
        pytest.raises(AuthenticationError),
    ):
        client.events.get_types()


def test_it_is_refused_an_unknown_organization(m3ter: M3ter) -> None:
    with pytest.raises(PermissionDeniedError):
        m3ter.events.get_types(org_id="00000000-0000-4000-a000-000000000000")
