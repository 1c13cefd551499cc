"""The rate: even, met, lower after a 429, and back again. All on a clock that does not wait."""

import random
import time
from bisect import bisect_left
from collections import Counter

import pytest

from m3ter_sync.api import Clock
from m3ter_sync.api.rate import RequestRate


def _times(rate, clock, count):
    times = []
    for _ in range(count):
        rate.wait_turn()
        times.append(clock.seconds)
    return times


def _most_in_one_second(times):
    return max(bisect_left(times, start + 1) - at for at, start in enumerate(times))


@pytest.mark.parametrize("asked", [2, 25, 50])
@pytest.mark.parametrize("late", [0.0, 0.004])
def test_the_rate_is_met_and_never_exceeded(clock, asked, late):
    clock.late = late
    rate = RequestRate(asked, clock)
    times = _times(rate, clock, asked * 60)
    assert 0.985 * asked <= (len(times) - 2) / (times[-1] - times[0]) <= asked
    # Two may go at once after an idle time, and then only.
    assert _most_in_one_second(times) <= asked + 1
    assert _most_in_one_second(times[2:]) <= asked


def test_idle_time_is_not_saved_up_for_a_burst(clock):
    rate = RequestRate(50, clock)
    _times(rate, clock, 10)
    clock.seconds += 3600
    assert _most_in_one_second(_times(rate, clock, 200)) <= 51


def test_a_refusal_holds_everything_until_the_next_second(clock):
    rate = RequestRate(50, clock)
    _times(rate, clock, 10)
    next_second = int(clock.wall()) + 1
    pause = rate.slow_down(None)
    assert 0 < pause <= 1.1
    rate.wait_turn()
    assert clock.wall() >= next_second


def test_a_refusal_holds_everything_for_as_long_as_the_server_says(clock):
    rate = RequestRate(50, clock)
    rate.slow_down(7.0)
    before = clock.seconds
    rate.wait_turn()
    assert 7.0 <= clock.seconds - before < 7.2


def test_a_shorter_pause_never_ends_a_longer_one(clock):
    rate = RequestRate(50, clock)
    rate.slow_down(7.0)
    assert rate.slow_down(None) > 6.9


def test_the_refusals_of_one_second_count_once(clock):
    rate = RequestRate(50, clock)
    for _ in range(5):
        rate.slow_down(0)
    assert rate.current() == pytest.approx(50 * 0.85)


def test_refusals_second_after_second_lower_the_rate_to_one_and_no_further(clock):
    rate = RequestRate(50, clock)
    rates = []
    for _ in range(60):
        rate.slow_down(1.0)
        rates.append(rate.current())
        clock.seconds += 1.0
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 1
    slow = RequestRate(0.5, clock)
    slow.slow_down(0)
    assert slow.current() == 0.5


def test_the_rate_recovers_gradually_up_to_what_was_asked(clock):
    rate = RequestRate(50, clock)
    rate.slow_down(0)
    lowered = rate.current()
    clock.seconds += 3
    rate.wait_turn()
    assert lowered < rate.current() < 50
    clock.seconds += 10
    rate.wait_turn()
    assert rate.current() == 50
    times = _times(rate, clock, 500)
    assert 49 <= 498 / (times[-1] - times[0]) <= 50


@pytest.mark.parametrize(
    ("asked", "allowed", "least_share", "most_refused"),
    [(50, 50, 0.95, 0.01), (25, 50, 0.98, 0.0), (100, 50, 0.7, 0.03), (25, 10, 0.7, 0.05)],
)
def test_a_limit_per_calendar_second_is_used_up_and_seldom_hit(
    clock, asked, allowed, least_share, most_refused
):
    clock.late = 0.001
    rate = RequestRate(asked, clock)
    network = random.Random(7)
    arrived, refused = Counter(), 0
    began = clock.seconds
    while clock.seconds < began + 120:
        rate.wait_turn()
        second = int(clock.wall() + network.uniform(0.02, 0.025))
        arrived[second] += 1
        if arrived[second] > allowed:
            refused += 1
            rate.slow_down(None)
    answered = (arrived.total() - refused) / (clock.seconds - began)
    assert answered >= least_share * min(asked, allowed)
    assert refused <= most_refused * arrived.total()


def test_a_very_high_rate_does_not_hold_anybody_up(clock):
    rate = RequestRate(1e9, clock)
    _times(rate, clock, 5000)
    assert sum(clock.waits) < 0.1


def test_threads_share_one_rate(in_threads):
    rate = RequestRate(200, Clock())
    began = time.monotonic()
    in_threads(16, lambda: [rate.wait_turn() for _ in range(10)])
    assert 160 / (time.monotonic() - began) <= 205


@pytest.mark.parametrize("asked", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(clock, asked):
    with pytest.raises(ValueError, match="more than 0"):
        RequestRate(asked, clock)
