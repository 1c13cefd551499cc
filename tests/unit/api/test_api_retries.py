"""What is repeated, how often, how long; and what is not."""

import socket
import time
from email.utils import formatdate

import pytest

from m3ter_sync.api import (
    Clock,
    EntityNotFound,
    RequestRefused,
    ServiceUnavailable,
    Stopped,
    TooLarge,
    UnexpectedAnswer,
)
from m3ter_sync.api.retry import LONGEST_RETRY_AFTER, parse_retry_after

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

PASSING = {
    "internal error": (500, b""),
    "bad gateway with a page": (502, b"<html><body>Bad Gateway</body></html>"),
    "unavailable": (503, {"message": "later"}),
    "gateway time-out": (504, b""),
    "too many requests": (429, {"message": "slow down"}),
    "request time-out": (408, b""),
    "a page instead of JSON": (200, b"<html>Sign in</html>"),
    "nothing instead of JSON": (200, b""),
    "half a document": (200, b'{"data": [{"id"'),
    "cut off before its length": b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"data":',
    "cut off within a chunk": CHUNKED + b'99\r\n{"data":',
    "cut off between chunks": CHUNKED + b'8\r\n{"data":\r\n',
    "no gzip though it says so": (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"
    ),
    "closed without an answer": b"",
    "no HTTP at all": b"SSH-2.0-OpenSSH_9\r\n\r\n",
}


def _reply(reply, what):
    return reply(raw=what) if isinstance(what, bytes) else reply(*what)


@pytest.mark.parametrize("what", PASSING.values(), ids=PASSING.keys())
def test_a_passing_failure_is_repeated_until_it_has_passed(client, server, reply, what):
    server.script = [_reply(reply, what)] * 3
    server.otherwise = reply(200, {"data": [{"id": "1"}]})
    assert client.fetch("bills") == {"data": [{"id": "1"}]}
    assert len(server.asked) == 4
    assert client.statistics.retries == 3
    assert client.statistics.requests == 5
    assert client.statistics.seconds_waited > 0


@pytest.mark.parametrize("what", PASSING.values(), ids=PASSING.keys())
def test_a_failure_that_stays_ends_in_one_clear_line(client, server, reply, what):
    client.fetch("bills")
    server.otherwise = _reply(reply, what)
    with pytest.raises(ServiceUnavailable) as caught:
        client.fetch("integrationruns/Bill/b-1")
    message = str(caught.value)
    assert message.startswith("GET integrationruns/Bill/b-1: ")
    assert "gave up after 10 attempts in " in message
    assert "\n" not in message
    assert len(server.asked) == 11


def test_a_server_that_says_nothing_is_a_time_out(make_client, server, reply):
    client = make_client(timeout=0.1, max_attempts=2)
    client.fetch("bills")

    def slow(request):
        time.sleep(0.3)
        return reply(raw=b"")

    server.otherwise = slow
    with pytest.raises(ServiceUnavailable, match="no answer in time"):
        client.fetch("bills")


def test_waits_grow_and_differ(client, server, clock, reply):
    client.fetch("bills")
    clock.waits.clear()
    server.otherwise = reply(500)
    with pytest.raises(ServiceUnavailable):
        client.fetch("bills")
    waits = [wait for wait in clock.waits if wait > 0.1]
    assert len(waits) == 9
    for attempt, wait in enumerate(waits):
        least = min(0.25 * 2**attempt, 15)
        assert least <= wait <= 2 * least


def test_repeating_is_bounded_in_time_too(make_client, server, clock, reply):
    client = make_client(max_attempts=1000, max_retry_seconds=60)
    began = clock.seconds
    server.otherwise = reply(503)
    with pytest.raises(ServiceUnavailable):
        client.fetch("bills")
    assert 30 < clock.seconds - began <= 60


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_in_seconds_is_waited_for(client, server, clock, reply, status):
    client.fetch("bills")
    server.script = [reply(status, b"", {"Retry-After": "17"})]
    began = clock.seconds
    client.fetch("bills")
    assert 17 <= clock.seconds - began < 18


def test_retry_after_as_a_date_is_measured_on_the_servers_clock(client, server, clock, reply):
    client.fetch("bills")
    said = {"Date": formatdate(1e9, usegmt=True), "Retry-After": formatdate(1e9 + 40, usegmt=True)}
    server.script = [reply(503, b"", said)]
    began = clock.seconds
    client.fetch("bills")
    assert 40 <= clock.seconds - began < 41


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("1.5", 1.5),
        ("999999", LONGEST_RETRY_AFTER),
        (formatdate(4100, usegmt=True), 100),
        (formatdate(3000, usegmt=True), 0),
        ("-3", None),
        ("soon", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_every_form(value, seconds):
    assert parse_retry_after({"Retry-After": value}, now=4000) == seconds


def test_429s_are_counted_and_hold_the_other_requests(client, server, clock, reply):
    client.fetch("bills")
    server.script = [reply(429)]
    second = int(clock.wall())
    client.fetch("bills")
    assert client.statistics.throttled == 1
    assert int(clock.wall()) > second


@pytest.mark.parametrize("status", [400, 405, 409, 414, 422])
def test_a_request_that_is_refused_is_not_repeated(client, server, reply, status):
    server.otherwise = reply(status, {"message": "no"})
    with pytest.raises(RequestRefused, match=f'GET bills: m3ter answered {status} "no"') as caught:
        client.fetch("bills")
    assert caught.value.status == status
    assert len(server.asked) == 1


def test_a_missing_entity_is_named(client, server, reply):
    server.otherwise = reply(404, {"message": "not found"})
    with pytest.raises(EntityNotFound, match=r"Bill b-1 does not exist"):
        client.fetch("integrationruns/Bill/b-1", entity="Bill b-1")
    with pytest.raises(RequestRefused, match="Check base_url"):
        client.fetch("bills")


def test_too_large_an_answer_is_an_error_of_its_own(client, server, reply):
    server.otherwise = reply(413)
    with pytest.raises(TooLarge) as caught:
        client.fetch("bills")
    assert caught.value.status == 413


def test_an_unknown_host_fails_within_seconds(make_client):
    client = make_client(base_url="https://m3ter.invalid", clock=Clock())
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable) as caught:
        client.fetch("bills")
    assert time.monotonic() - began < 20
    assert "m3ter.invalid: the host cannot be found (gave up after 3 attempts" in str(caught.value)
    assert "Check base_url" in str(caught.value)


def test_a_refused_connection_fails_soon_unless_it_worked_before(make_client, server, clock):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    client = make_client(base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(ServiceUnavailable, match=r"refuses the connection \(gave up after 3 "):
        client.fetch("bills")


def test_an_outage_after_a_good_answer_is_waited_out(client, server, reply):
    client.fetch("bills")
    server.script = [reply(200, b"<html>maintenance</html>")] * 8
    assert client.fetch("bills") == {"data": []}


def test_a_web_page_at_the_address_is_noticed_soon(client, server, reply):
    server.token_script = [reply(200, b"<html>")] * 9
    with pytest.raises(ServiceUnavailable, match=r"not JSON \(gave up after 3 attempts"):
        client.fetch("bills")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_never_followed(client, server, reply, status):
    server.otherwise = reply(status, b"", {"Location": f"{server.url}/elsewhere"})
    with pytest.raises(UnexpectedAnswer, match="a redirect, which is not followed"):
        client.fetch("bills")
    assert "/elsewhere" not in [request.path for request in server.log]


def test_threads_that_wait_give_up_as_soon_as_the_client_is_stopped(
    make_client, server, reply, in_threads
):
    client = make_client(clock=Clock())
    client.fetch("bills")
    server.otherwise = reply(429, b"", {"Retry-After": "60"})

    def fetch_or_stop(first=iter([True])):  # noqa: B008
        if next(first, False):
            while client.statistics.throttled == 0:
                time.sleep(0.01)
            return client.stop()
        return client.fetch("bills")

    began = time.monotonic()
    results = in_threads(8, fetch_or_stop)
    assert time.monotonic() - began < 5
    assert [type(one) for one in results if one is not None] == [Stopped] * 7
    with pytest.raises(Stopped):
        client.fetch("bills")


def test_connections_stay_open_between_requests(make_client, server, in_threads):
    client = make_client(connections=4)
    in_threads(4, lambda: [client.fetch("bills") for _ in range(10)])
    assert len({request.connection for request in server.asked}) <= 4


def test_more_threads_than_connections_take_turns(make_client, server, in_threads):
    client = make_client(connections=2)
    assert in_threads(8, lambda: client.fetch("bills")) == [{"data": []}] * 8
    assert len({request.connection for request in server.log}) <= 2


def test_connections_stay_open_after_refusals_and_chunks(client, server, reply):
    server.script = [reply(500), reply(404, {"message": "none"})]
    with pytest.raises(RequestRefused):
        client.fetch("bills")
    client.fetch("bills")
    assert len({request.connection for request in server.log}) == 1


def test_compressed_answers_are_read(client, server, reply):
    server.otherwise = reply(200, {"data": [{"id": "é"}]}, gzipped=True)
    assert client.fetch("bills") == {"data": [{"id": "é"}]}
    assert server.asked[0].headers["Accept-Encoding"] == "gzip"
