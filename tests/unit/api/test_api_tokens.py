"""The token: fetched once, renewed in time, renewed once when refused."""

import base64

import pytest

from m3ter_sync.api import AccessRefused, CredentialsRefused, ServiceUnavailable, UnexpectedAnswer


def _authorizations(server):
    return [request.headers["Authorization"] for request in server.asked]


def test_a_token_is_asked_for_with_basic_authentication(client, server, secret):
    client.fetch("bills")
    request = server.log[0]
    basic = base64.b64encode(f"key-1:{secret}".encode()).decode()
    assert (request.method, request.path) == ("POST", "/oauth/token")
    assert request.headers["Authorization"] == f"Basic {basic}"
    assert request.body == b"grant_type=client_credentials"
    assert request.headers["User-Agent"].startswith("m3ter-sync/")


def test_a_token_is_fetched_once_however_many_threads_ask(client, server, in_threads):
    assert in_threads(32, lambda: client.fetch("bills")) == [{"data": []}] * 32
    assert server.tokens == 1
    assert set(_authorizations(server)) == {"Bearer token-number-1"}


def test_a_token_is_renewed_before_it_expires(client, server, clock):
    client.fetch("bills")
    clock.seconds += 18000 - 601
    client.fetch("bills")
    assert server.tokens == 1
    clock.seconds += 2
    client.fetch("bills")
    assert server.tokens == 2
    assert _authorizations(server)[-1] == "Bearer token-number-2"


def test_a_short_lived_token_is_used_for_half_of_its_life(client, server, clock, reply):
    server.token_script = [reply(200, {"access_token": "brief", "expires_in": 60})]
    client.fetch("bills")
    clock.seconds += 29
    client.fetch("bills")
    assert server.tokens == 0
    clock.seconds += 2
    client.fetch("bills")
    assert server.tokens == 1


@pytest.mark.parametrize("lifetime", [None, "soon", 0, -5, True])
def test_a_token_without_a_lifetime_is_used_for_a_while(client, server, reply, lifetime):
    server.token_script = [reply(200, {"access_token": "odd", "expires_in": lifetime})]
    client.fetch("bills")
    client.fetch("bills")
    assert _authorizations(server) == ["Bearer odd", "Bearer odd"]


def test_credentials_can_be_tried_before_any_work(make_client, server):
    with make_client() as client:
        client.authenticate()
        client.fetch("bills")
    assert server.tokens == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_renewed_once(client, server, reply, status):
    server.script = [reply(status, {"message": "expired"})]
    assert client.fetch("bills") == {"data": []}
    assert _authorizations(server) == ["Bearer token-number-1", "Bearer token-number-2"]


def test_threads_refused_with_one_token_share_its_successor(client, server, reply, in_threads):
    client.fetch("bills")

    def only_the_second(request):
        good = request.headers["Authorization"] == "Bearer token-number-2"
        return reply() if good else reply(403, {"message": "expired"})

    server.otherwise = only_the_second
    assert in_threads(16, lambda: client.fetch("bills")) == [{"data": []}] * 16
    assert server.tokens == 2


@pytest.mark.parametrize("status", [401, 403])
def test_access_refused_to_a_new_token_names_the_organization_and_is_not_repeated(
    client, server, reply, status
):
    server.otherwise = reply(status, {"message": "no such luck"})
    with pytest.raises(AccessRefused) as caught:
        client.fetch("bills")
    assert str(caught.value) == (
        f'GET bills: m3ter answered {status} "no such luck", also to a new token. Check that '
        "org_id org-1 is the organization of this access key, and that its permissions allow to "
        "read this."
    )
    assert (server.tokens, len(server.asked)) == (2, 2)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_said_at_once(client, server, reply, status):
    server.token_script = [reply(status, {"error": "invalid_client"})]
    with pytest.raises(CredentialsRefused) as caught:
        client.fetch("bills")
    assert str(caught.value) == (
        f'POST /oauth/token: m3ter answered {status} "invalid_client". Check access_key_id and '
        "api_secret (M3TER_API_KEY, M3TER_API_SECRET)."
    )
    assert len(server.log) == 1


def test_threads_that_wait_for_a_token_share_its_refusal(client, server, reply, in_threads):
    server.token_script = [reply(401)] * 16
    results = in_threads(16, lambda: client.fetch("bills"))
    assert {type(result) for result in results} == {CredentialsRefused}
    # Threads that came too late to wait for the first answer may have asked themselves.
    assert len(server.log) < 16


def test_a_token_is_asked_for_again_after_a_passing_failure(client, server, reply):
    server.token_script = [reply(200, b"<html>"), reply(503), reply(429)]
    assert client.fetch("bills") == {"data": []}
    assert client.statistics.retries == 3


def test_after_a_failure_the_next_request_asks_for_a_token_again(make_client, server, reply):
    client = make_client(max_attempts=1)
    server.token_script = [reply(503)]
    with pytest.raises(ServiceUnavailable):
        client.fetch("bills")
    assert client.fetch("bills") == {"data": []}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": "two\nlines-of-token"},
        {"access_token": "wörd-of-token"},
    ],
)
def test_an_unusable_token_is_refused_without_showing_it(client, server, reply, content):
    server.token_script = [reply(200, content)]
    with pytest.raises(UnexpectedAnswer) as caught:
        client.fetch("bills")
    assert str(caught.value) == (
        "POST /oauth/token: the answer holds no usable access_token. Check base_url."
    )
    assert server.asked == []


def test_a_wrong_address_of_the_token_endpoint_is_said(client, server, reply):
    server.token_script = [reply(404, b"<h1>Not\n here</h1>")]
    with pytest.raises(Exception, match=r'answered 404 "Not here"\. Check base_url'):
        client.fetch("bills")
