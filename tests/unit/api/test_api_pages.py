"""Listings: to their end, in pages that fit, never round in circles."""

import itertools

import pytest

from m3ter_sync.api import TooLarge, UnexpectedAnswer, fetch_pages


def _sizes(server):
    return [request.params["pageSize"] for request in server.asked]


def _tokens(server):
    return [request.params.get("nextToken") for request in server.asked]


def _page(reply, ids, token=""):
    return reply(200, {"data": [{"id": one} for one in ids], "nextToken": token})


@pytest.mark.parametrize("end", [{}, {"nextToken": None}, {"nextToken": ""}])
def test_a_listing_ends_at_a_missing_null_or_empty_token(client, server, reply, end):
    server.script = [_page(reply, "ab", "more +/="), reply(200, {"data": [{"id": "c"}], **end})]
    pages = list(fetch_pages(client, "bills", [("status", "PENDING")], page_size=2))
    assert pages == [[{"id": "a"}, {"id": "b"}], [{"id": "c"}]]
    assert _tokens(server) == [None, ["more +/="]]
    assert [request.params["status"] for request in server.asked] == [["PENDING"]] * 2


def test_an_empty_page_with_a_token_is_not_the_end(client, server, reply):
    server.script = [_page(reply, "", "1"), _page(reply, "a", "2"), _page(reply, "", "3")]
    assert list(fetch_pages(client, "bills", page_size=5)) == [[{"id": "a"}]]
    assert len(server.asked) == 4


@pytest.mark.parametrize("tokens", ["11", "121", "12342"])
def test_a_token_that_was_seen_before_ends_the_listing_with_an_error(client, server, reply, tokens):
    server.script = [_page(reply, "a", token) for token in tokens]
    with pytest.raises(UnexpectedAnswer, match="the same nextToken twice"):
        list(fetch_pages(client, "bills", page_size=5))
    assert len(server.asked) == len(tokens)


def test_pages_that_are_too_large_are_halved_for_the_rest_of_the_listing(client, server, reply):
    server.script = [
        _page(reply, "a", "1"),
        reply(413),
        reply(413),
        _page(reply, "b", "2"),
        _page(reply, "c"),
    ]
    pages = list(fetch_pages(client, "bills", page_size=100))
    assert pages == [[{"id": "a"}], [{"id": "b"}], [{"id": "c"}]]
    assert _sizes(server) == [["100"], ["100"], ["50"], ["25"], ["25"]]
    assert _tokens(server) == [None, ["1"], ["1"], ["1"], ["2"]]
    list(fetch_pages(client, "bills", page_size=100))
    assert _sizes(server)[-1] == ["100"]


def test_a_single_row_that_is_too_large_is_an_error(client, server, reply):
    server.otherwise = reply(413)
    with pytest.raises(TooLarge, match="GET bills"):
        list(fetch_pages(client, "bills", page_size=5))
    assert _sizes(server) == [["5"], ["2"], ["1"]]


@pytest.mark.parametrize("content", [[], {}, {"data": None}, {"data": {}}, "text", None])
def test_a_page_that_is_no_page_is_an_error(client, server, reply, content):
    server.otherwise = reply(200, content)
    with pytest.raises(UnexpectedAnswer, match="GET bills: the answer has no list 'data'"):
        list(fetch_pages(client, "bills", page_size=5))


def test_a_token_that_is_no_text_is_an_error(client, server, reply):
    server.otherwise = reply(200, {"data": [], "nextToken": 7})
    with pytest.raises(UnexpectedAnswer, match="nextToken is no text"):
        list(fetch_pages(client, "bills", page_size=5))


def test_a_listing_goes_on_where_a_passing_failure_stopped_it(client, server, reply):
    server.script = [_page(reply, "a", "1"), reply(502), reply(raw=b""), _page(reply, "b")]
    assert list(fetch_pages(client, "bills", page_size=5)) == [[{"id": "a"}], [{"id": "b"}]]


@pytest.mark.parametrize("rows", [[], [{"id": "1"}, {"id": "2"}]])
def test_pages_that_bring_nothing_new_end_the_listing_with_an_error(client, server, reply, rows):
    numbers = itertools.count()
    server.otherwise = lambda _: reply(200, {"data": rows, "nextToken": str(next(numbers))})
    with pytest.raises(UnexpectedAnswer, match="1000 pages in a row with nothing new"):
        for _ in fetch_pages(client, "bills", page_size=100):
            pass
