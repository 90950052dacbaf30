"""Windows of `created`: whatever the density, every object is read once, few requests are in vain, and what
was done is not read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.sources.stripe import windows
from expansion_platform.sources.stripe.meter import Meter
from expansion_platform.sources.stripe.windows import Window, halves, read_window, remaining

DAY = 86400


class Account:
    """Objects by `created`, given newest first in pages."""

    def __init__(self, created: list[int], page: int) -> None:
        self.objects = [{"id": f"x_{number}", "created": at} for number, at in enumerate(sorted(created))]
        self.page = page
        self.requests = 0

    def pages(self, window: Window) -> Iterator[tuple[list[dict], bool]]:
        found = [item for item in reversed(self.objects) if window.gte <= item["created"] < window.lt]
        for start in range(0, max(1, len(found)), self.page):
            self.requests += 1
            yield found[start : start + self.page], start + self.page < len(found)

    def read(self, todo: list[Window]) -> tuple[list[str], list[Window]]:
        queue, ids, done = deque(todo), [], []
        while queue:
            *pages, covered, rest = _split(list(read_window(window := queue.popleft(), self.pages(window))))
            assert covered.lt == window.lt
            ids += [item["id"] for page in pages for item in page]
            done.append(covered)
            queue.extend(rest)
        return ids, done


def _split(parts: list) -> list:
    pages = [part for part in parts if isinstance(part, list)]
    covered, *rest = [part for part in parts if isinstance(part, Window)]
    return [*pages, covered, rest]


@settings(max_examples=60, deadline=None)
@given(
    created=st.lists(st.integers(0, 400) | st.integers(0, 400 * DAY), max_size=80),
    page=st.integers(1, 7),
    stored=st.sets(st.integers(0, 30)),
)
def test_every_object_is_read_once_and_a_restart_reads_the_rest(created, page, stored):
    account = Account(created, page)
    whole = Window("x", 0, 400 * DAY + 1)
    ids, done = account.read([whole])
    assert sorted(ids) == sorted(item["id"] for item in account.objects)
    assert sum(window.seconds for window in done) == whole.seconds
    assert remaining(whole, done) == []
    kept = [window for number, window in enumerate(done) if number in stored]
    before = {
        item["id"]
        for item in account.objects
        if any(window.gte <= item["created"] < window.lt for window in kept)
    }
    again, _ = account.read(remaining(whole, kept))
    assert sorted([*again, *before]) == sorted(ids)


def test_a_large_account_costs_hardly_more_requests_than_pages(monkeypatch):
    account = Account([windows.BEGINNING + 12 * 365 * DAY + 1200 * number for number in range(30_000)], 100)
    account.read([Window("x", windows.BEGINNING, windows.BEGINNING + 16 * 365 * DAY)])
    assert 300 <= account.requests <= 330


def test_a_small_account_costs_one_request():
    account = Account(list(range(90)), 100)
    assert account.read([Window("x", 0, 10**9)])[1] == [Window("x", 0, 10**9)]
    assert account.requests == 1


def test_a_second_with_more_objects_than_a_window_may_hold(monkeypatch):
    monkeypatch.setattr(windows, "PAGES", 2)
    account = Account([500] * 60 + [501], 10)
    ids, _ = account.read([Window("x", 0, 502)])
    assert len(ids) == 61


def test_an_object_shown_out_of_order_is_read_and_an_empty_page_passed_over():
    window = Window("x", 0, 10)
    pages = [
        ([], True),
        ([{"id": "b", "created": 5}, {"id": "a", "created": 9}, {"id": "c", "created": 5}], True),
        ([{"id": "d", "created": 4}], False),
    ]
    *listed, covered = read_window(window, pages)
    assert [item["id"] for page in listed for item in page] == ["a", "b", "c", "d"]
    assert covered == window


def test_halves_and_the_time_left():
    window = Window("x", 0, 101)
    assert halves(window) == [Window("x", 51, 101), Window("x", 0, 51)]
    assert halves(Window("x", 7, 8)) == [Window("x", 7, 8)]
    now = 0.0
    meter = Meter(lambda: now)
    meter.opened([window])
    assert meter.seconds_left is None
    now = 2.0
    meter.count("x", 10)
    meter.covered(Window("x", 51, 101), 10)
    assert (meter.rate, meter.seconds_left) == (5, pytest.approx(51 * 10 / 50 / 5))
    assert str(meter) == "10 objects, 5 a second, at most 2 s left"
