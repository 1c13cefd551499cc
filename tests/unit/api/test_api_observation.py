"""Beside their content, answers tell the server's clock and its limits."""

from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from m3ter_sync.api import (
    AccessRefused,
    Observation,
    ServiceUnavailable,
    measure_clock_skew,
    read_rate_limits,
)


def observed(date, sent_at, received_at, **headers):
    if date is not None:
        headers["Date"] = format_datetime(datetime.fromtimestamp(date, UTC), usegmt=True)
    return Observation(200, headers, sent_at, received_at)


def test_clocks_that_agree_are_told_from_clocks_that_do_not():
    skew = measure_clock_skew([observed(1000, 1000.4, 1000.6)])
    assert skew.seconds == pytest.approx(0)
    assert skew.uncertainty == pytest.approx(0.6)
    assert skew.at_least == 0
    skew = measure_clock_skew([observed(1040, 1000.4, 1000.6)])
    assert skew.seconds == pytest.approx(40)
    assert skew.at_least == pytest.approx(39.4)
    assert measure_clock_skew([observed(960, 1000.4, 1000.6)]).seconds == pytest.approx(-40)


def test_the_quickest_answer_says_it_best_and_a_slow_one_proves_nothing():
    slow, quick = observed(1000, 1000, 1080), observed(1100, 1100, 1101)
    assert measure_clock_skew([slow, quick]) == measure_clock_skew([quick])
    assert measure_clock_skew([observed(1035, 1000, 1080)]).at_least == 0


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}, {"Date": ""}])
def test_without_a_date_nothing_is_said(headers):
    assert measure_clock_skew([Observation(200, headers, 0, 1)]) is None


def test_headers_of_limits_are_found_whatever_their_kind():
    found = read_rate_limits(
        [
            observed(None, 0, 1, **{"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "9"}),
            observed(None, 0, 1, **{"ratelimit": "r=1", "X-RateLimit-Remaining": "8"}),
            observed(None, 0, 1, **{"Retry-After": "1", "Content-Type": "x", "X-Rate": "y"}),
        ]
    )
    assert found == {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "8",
        "ratelimit": "r=1",
        "Retry-After": "1",
    }


def test_every_answer_is_shown_as_it_comes(make_client, server, reply):
    seen = []
    client = make_client(on_answer=seen.append)
    server.script = [reply(429), reply(200, {"data": []}, {"X-RateLimit-Limit": "50"})]
    client.fetch("bills")
    assert [each.status for each in seen] == [200, 429, 200]
    assert read_rate_limits(seen) == {"X-RateLimit-Limit": "50"}
    assert all(each.sent_at <= each.received_at for each in seen)


def test_the_host_is_reached_without_credentials_whatever_it_answers(client, server, reply):
    server.script = [reply(404), reply(302), reply(200)]
    for _ in range(3):
        client.reach()
    assert server.tokens == 0
    assert not any("Authorization" in request.headers for request in server.log)


def test_a_host_that_is_down_is_not_reached(make_client, server, reply):
    server.script = [reply(502)]
    with pytest.raises(ServiceUnavailable, match="502"):
        make_client(max_attempts=1).reach()
    assert len(server.log) == 1


def test_who_may_send_once_sends_once_also_where_the_token_is_refused(make_client, server, reply):
    server.otherwise = reply(403)
    with pytest.raises(AccessRefused):
        make_client(max_attempts=1).fetch("bills")
    assert (server.tokens, len(server.asked)) == (1, 1)
