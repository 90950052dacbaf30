"""The order of events that Stripe dates by whole seconds and delivers in any order (reference section 4)."""

from __future__ import annotations

import itertools
from typing import Any

from expansion_platform.domain.history.events import MOST_CHAINED, in_order
from expansion_platform.domain.history.records import Event

UPDATED, SECOND = "customer.subscription.updated", 1_000_000


def event(name: str, at: int, state: dict[str, Any], previous: dict[str, Any], kind: str = UPDATED) -> Event:
    return Event(name, at * SECOND, kind, state, previous)


def names(events: list[Event]) -> list[str]:
    return [each.id for each in in_order(events)]


def test_events_of_one_second_follow_each_other_by_their_previous_values() -> None:
    second, first = event("a", 10, {"seats": 9}, {"seats": 7}), event("b", 10, {"seats": 7}, {"seats": 5})
    assert names([second, first, event("c", 5, {"seats": 5}, {})]) == ["c", "b", "a"]


# A coupon redeemed and used up by the renewal of the same second, whose payment fails.
GIVEN = event("c", 10, {"status": "active", "discounts": ["di"]}, {"discounts": []})
RENEWED = event("a", 10, {"status": "active", "discounts": []}, {"discounts": ["di"]})
FAILED = event("b", 10, {"status": "past_due", "discounts": []}, {"status": "active"})
PAID = event("d", 20, {"status": "active", "discounts": []}, {"status": "past_due"})


def test_what_one_event_gave_and_another_took_away_again_stands_between_the_others() -> None:
    for order in itertools.permutations([GIVEN, RENEWED, FAILED]):
        assert names([*order]) == ["c", "a", "b"]
        assert names([PAID, *order]) == ["c", "a", "b", "d"]


def test_change_made_taken_back_and_made_again() -> None:
    """All within a second: whichever of the equal two came first, the change stands in the end."""
    made, taken_back = event("a", 10, {"seats": 9}, {"seats": 5}), event("b", 10, {"seats": 5}, {"seats": 9})
    assert names([made, taken_back, made._replace(id="c")]) == ["a", "b", "c"]


def test_event_after_a_second_tells_how_it_ended() -> None:
    """Each of the two can come first."""
    failed, paid = (
        event("a", 10, {"status": "past_due"}, {"status": "active"}),
        event("b", 10, {"status": "active"}, {"status": "past_due"}),
    )
    assert names([paid, failed, event("c", 20, {"status": "unpaid"}, {"status": "past_due"})]) == [
        "b",
        "a",
        "c",
    ]
    assert names([paid, failed, event("c", 20, {"status": "canceled"}, {"status": "active"})]) == [
        "a",
        "b",
        "c",
    ]


def test_creation_comes_first_and_the_end_last() -> None:
    made = event("c", 10, {"status": "active"}, {}, "customer.subscription.created")
    ended = event("a", 10, {"status": "canceled"}, {}, "customer.subscription.deleted")
    assert names([ended, event("b", 10, {"status": "active"}, {}), made]) == ["c", "b", "a"]


def test_many_events_of_one_second_and_such_that_do_not_chain_are_put_one_after_another() -> None:
    steps = [
        event(f"{9 - number}", 10, {"seats": number + 1}, {"seats": number})
        for number in range(MOST_CHAINED + 2)
    ]
    assert names(steps) == [each.id for each in steps]
    gap = event("a", 10, {"seats": 9}, {"seats": 8}), event("b", 10, {"seats": 5}, {"seats": 4})
    assert names([*gap, event("c", 5, {"seats": 4}, {})]) == ["c", "b", "a"]


def test_discount_is_the_same_with_and_without_its_coupon() -> None:
    """Of two discounts an event of version 2024-06-20 gives the coupon of the newest only."""
    old, new = (
        {"id": "di_1", "coupon": "A", "start": 1, "end": None},
        {"id": "di_2", "coupon": "B", "start": 9, "end": None},
    )
    bare = {"id": "di_1", "coupon": None, "start": None, "end": None}
    given = event("c", 10, {"status": "active", "discounts": [bare, new]}, {"discounts": [old]})
    used = event("b", 10, {"status": "active", "discounts": [old]}, {"discounts": [old, new]})
    failed = event("a", 10, {"status": "past_due", "discounts": [old]}, {"status": "active"})
    for order in itertools.permutations([given, used, failed]):
        assert names([*order]) == ["c", "b", "a"]
