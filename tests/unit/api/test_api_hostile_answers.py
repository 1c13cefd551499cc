"""Whatever a server sends, it costs a bounded amount of memory and time, and no row."""

import gzip
import itertools
import json

import pytest

from m3ter_sync.api import ServiceUnavailable, TooLarge, UnexpectedAnswer
from m3ter_sync.api.answers import parse_json
from m3ter_sync.api.connection import LARGEST_ANSWER, Answer
from m3ter_sync.api.pages import fetch_pages
from m3ter_sync.api.retry import Transient

LIMIT = 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"1000\r\n" + b" " * 0x1000 + b"\r\n"


@pytest.fixture
def _small_limit(monkeypatch):
    """A limit that is soon reached."""
    monkeypatch.setattr("m3ter_sync.api.connection.LARGEST_ANSWER", LIMIT)
    monkeypatch.setattr("m3ter_sync.api.connection._LARGEST_REFUSAL", LIMIT)


class Counted:
    """An endless body that knows how much of it was taken."""

    def __init__(self, piece):
        self.piece = piece
        self.count = 0

    def __iter__(self):
        for _ in itertools.count():
            self.count += len(self.piece)
            yield self.piece


def test_the_limit_is_three_times_a_page_full_of_long_errors():
    assert LARGEST_ANSWER > 3 * 200 * 100_000


@pytest.mark.usefixtures("_small_limit")
def test_a_page_that_is_larger_than_is_read_is_asked_for_in_smaller_ones(client, server, reply):
    rows = [{"id": f"run-{number}", "error": "x" * 30_000} for number in range(7)]

    def serve(request):
        start = int(request.params.get("nextToken", ["0"])[0])
        end = start + int(request.params["pageSize"][0])
        token = str(end) if end < len(rows) else None
        return reply(200, {"data": rows[start:end], "nextToken": token}, gzipped=True)

    server.otherwise = serve
    pages = list(fetch_pages(client, "bills", page_size=7))
    assert [row["id"] for page in pages for row in page] == [row["id"] for row in rows]


@pytest.mark.usefixtures("_small_limit")
def test_a_body_that_never_ends_is_left_and_named(make_client, server, reply):
    client = make_client(connections=1)
    endless = Counted(CHUNK)
    server.otherwise = lambda _: reply(raw=CHUNKED, rest=endless)
    with pytest.raises(TooLarge, match=r"GET bills: one row alone .* Report it to m3ter") as caught:
        list(fetch_pages(client, "bills", page_size=4))
    assert "\n" not in str(caught.value)
    assert len(server.asked) == 3
    # What the sockets held when the client left them comes on top.
    assert endless.count < 3 * (LIMIT + 10_000_000)
    server.otherwise = reply()
    assert client.fetch("bills") == {"data": []}


@pytest.mark.usefixtures("_small_limit")
@pytest.mark.parametrize("layers", [1, 2])
def test_what_is_small_only_while_it_is_compressed_is_too_large(make_client, server, reply, layers):
    client = make_client(connections=1)
    bomb = b" " * 50_000_000
    for _ in range(layers):
        bomb = gzip.compress(bomb)
    server.otherwise = reply(200, bomb, {"Content-Encoding": ", ".join(["gzip"] * layers)})
    with pytest.raises(TooLarge, match="GET bills: m3ter's answer is larger than") as caught:
        client.fetch("bills")
    # As m3ter says it: who asks for many at once asks for fewer then.
    assert caught.value.status == 413
    server.otherwise = reply()
    assert client.fetch("bills") == {"data": []}


@pytest.mark.usefixtures("_small_limit")
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_that_never_ends_is_told_without_its_text(make_client, server, reply, status):
    client = make_client(max_attempts=2)
    head = CHUNKED.replace(b"200", str(status).encode())
    server.otherwise = lambda _: reply(raw=head, rest=Counted(CHUNK))
    with pytest.raises(Exception, match=rf"GET bills: m3ter answered {status}[,. ]"):
        client.fetch("bills")


@pytest.mark.usefixtures("_small_limit")
def test_a_token_that_never_ends_is_none(client, server, reply):
    server.token_script = [reply(raw=CHUNKED, rest=Counted(CHUNK)) for _ in range(3)]
    with pytest.raises(ServiceUnavailable, match="POST /oauth/token"):
        client.fetch("bills")


@pytest.mark.parametrize(
    "head",
    [
        b"".join(b"X-%d: y\r\n" % number for number in range(5000)),
        b"X: " + b"y" * 500_000 + b"\r\n",
        b"Content-Encoding: " + b"gzip, " * 50 + b"gzip\r\n",
    ],
    ids=["many headers", "a long header", "many encodings"],
)
def test_headers_without_measure_are_a_failure_like_any_other(make_client, server, reply, head):
    client = make_client(max_attempts=2, connections=1)
    server.otherwise = reply(raw=b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 2\r\n\r\n{}")
    with pytest.raises(ServiceUnavailable) as caught:
        client.fetch("bills")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    server.otherwise = reply()
    assert client.fetch("bills") == {"data": []}


@pytest.mark.parametrize("depth", [1_025, 5_000, 1_000_000])
@pytest.mark.parametrize("opened", [b"[", b'{"a":'])
def test_json_that_is_nested_without_end_is_refused_as_that(depth, opened):
    closed = b"]" if opened == b"[" else b"}"
    for body in (opened * depth, opened * depth + b"1" + closed * depth):
        with pytest.raises(Transient, match=r"nested too deeply|not JSON"):
            parse_json(Answer(200, {}, body))


def test_deep_json_ends_with_one_line_that_names_the_endpoint(make_client, server, reply):
    server.otherwise = reply(200, b'{"data":' + b"[" * 100_000)
    with pytest.raises(ServiceUnavailable, match=r"GET bills: .* nested too deeply") as caught:
        make_client(max_attempts=2).fetch("bills")
    assert "report it to m3ter" in str(caught.value)


@pytest.mark.parametrize("number", ["1e400", "-1e999", "9" * 5000])
def test_a_number_that_nothing_holds_keeps_no_page_from_being_read(number):
    answer = Answer(200, {}, f'{{"data": [{{"id": "a", "version": {number}}}]}}'.encode())
    assert parse_json(answer) == {"data": [{"id": "a", "version": number}]}


def test_numbers_beside_a_broken_text_stay_what_they_are():
    body = b'["\\ud800", 1, -7, 1.5, 2e3, 9007199254740993]'
    assert parse_json(Answer(200, {}, body)) == ["�", 1, -7, 1.5, 2000.0, 9007199254740993]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("goes", ["to the same host", "to another host"])
@pytest.mark.parametrize("at", ["a listing", "the token"])
def test_a_redirect_is_refused_and_takes_no_credentials_anywhere(
    client, server, make_server, reply, status, goes, at
):
    other = make_server()
    target = (server if goes == "to the same host" else other).url + "/elsewhere"
    refusal = reply(status, {"message": "moved"}, {"Location": target})
    if at == "the token":
        server.token_script = [refusal]
    server.otherwise = refusal
    with pytest.raises(UnexpectedAnswer, match="a redirect, which is not followed"):
        client.fetch("bills")
    assert not other.log
    assert "/elsewhere" not in [request.path for request in server.log]
    assert json.dumps([request.path for request in server.log]).count("token") == 1
