"""The pace of requests on a clock of its own: even, slower after a limit, back to the ceiling, one shared by
all threads.
"""

from __future__ import annotations

import pytest

from expansion_platform.sources.stripe.rate import BURST_SECONDS, SLOWER, SLOWEST, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sent(pace: Pace, clock: Clock, requests: int, endpoints: int = 1) -> float:
    """Requests a second, one after the other, over some endpoints in turn."""
    began = clock.now
    for number in range(requests):
        pace.wait(f"list {number % endpoints}")
    return requests / (clock.now - began)


def test_requests_leave_evenly_at_the_ceiling(clock):
    assert sent(Pace(12, None, clock, clock.sleep), clock, 240) == pytest.approx(12, rel=0.02)


def test_one_endpoint_has_a_ceiling_of_its_own(clock):
    pace = Pace(100, 25, clock, clock.sleep)
    assert sent(pace, clock, 500) == pytest.approx(25, rel=0.02)
    assert sent(pace, clock, 500, endpoints=2) == pytest.approx(50, rel=0.02)
    assert sent(pace, clock, 500, endpoints=8) == pytest.approx(100, rel=0.02)


def test_time_not_used_is_not_made_up_for_in_a_burst(clock):
    pace = Pace(10, None, clock, clock.sleep)
    clock.now += 60
    began = clock.now
    for _ in range(21):
        pace.wait("list")
    assert clock.now - began == pytest.approx(2 - BURST_SECONDS)


def test_a_limit_slows_and_its_absence_quickens(clock):
    pace = Pace(20, None, clock, clock.sleep)
    pace.limited()
    pace.limited()  # of a request that was under way
    assert pace.rate == pytest.approx(20 * SLOWER)
    clock.now += 2
    pace.limited()
    assert pace.rate == pytest.approx(20 * SLOWER**2)
    began = clock.now
    while pace.rate < 20:
        pace.wait("list")
        pace.answered()
    assert 8 < clock.now - began < 13  # half of RECOVERY_SECONDS and a little: one unit a second
    for _ in range(100):
        clock.now += 2
        pace.limited()
    assert pace.rate == SLOWEST


def test_nothing_is_sent_before_the_time_stripe_asks_for(clock):
    pace = Pace(20, 25, clock, clock.sleep)
    pace.limited(7)
    began = clock.now
    pace.wait("another list")
    assert clock.now - began == pytest.approx(7)
