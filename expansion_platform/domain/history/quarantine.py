"""Stretches of a subscription that cannot be read: `billing/quarantine`.

Here: what makes a stretch unreadable, with the objects to look at. Not here: the timelines a stretch is cut
from (`item_states.py`), and what becomes of a month that one touches (`mrr/first_paid.py`).

A value that cannot be read travels through the timelines like any other, so that it holds from the fact that
shows it to the next one that can be read. One item's makes its siblings unreadable too: a shared amount off
cannot be split without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from expansion_platform.domain.core import canonical
from expansion_platform.domain.history.records import NO_QUANTITY, State, unreadable
from expansion_platform.domain.history.tiers import cost
from expansion_platform.domain.history.timelines import ItemMark, Mark, Timelines, Window
from expansion_platform.domain.history.unreadable import covering
from expansion_platform.domain.pricing.terms import Price
from expansion_platform.domain.stripe.vocabulary import PAUSES, STATUSES


@dataclass(frozen=True)
class Terms:
    """Prices by id as subscriptions of one currency pay them.

    For prices that cannot be read, it says what is wrong with them.
    """

    prices: Mapping[str, Price]
    problems: Mapping[str, str]
    _known: dict[State, str | None] = field(default_factory=dict)

    def problem_of(self, state: State, currency: str) -> str | None:
        """What cannot be read of a price and quantity, None if nothing: found once for all that hold it."""
        if state not in self._known:
            self._known[state] = _of_state(state, currency, self)
        return self._known[state]

    def priced_in(self, currency: str) -> dict[str, Price]:
        """The prices that have an amount in a currency."""
        return {name: price for name, price in self.prices.items() if price.currency == currency}


class Stretch(NamedTuple):
    """A subscription from `start` to `end` (None: it lasts), and what is wrong with it.

    It names the objects that say so.
    """

    customer: str
    subscription: str
    start: int
    end: int | None
    problem: str
    objects: frozenset[str]


def problem_at(
    one: Timelines,
    at: int,
    status: Mark[str],
    paused: Mark[str | None],
    holding: Mapping[str, ItemMark],
    now: list[Window],
    terms: Terms,
) -> tuple[str, frozenset[str]] | None:
    """The first (problem, objects) of what cannot be read about a subscription from an instant on.

    None is the rule.
    """
    covered = next(covering(one.unread, at), None) if one.unread else None
    if covered is not None:
        return covered
    # `ended_at` shows a canceled subscription; the status `canceled` without it is a subscription whose end
    # is unknown.
    if status.value == "canceled":
        return "a canceled subscription without ended_at", _with_evidence(one.id, status)
    if status.value not in STATUSES:
        return "a subscription with an unknown status", _with_evidence(one.id, status)
    if paused.value is not None and paused.value not in PAUSES:
        return (
            f"a subscription whose collection is paused in an unknown way ({paused.value})",
            _with_evidence(one.id, paused),
        )
    for item, mark in holding.items():
        if mark.value is not None and (problem := terms.problem_of(mark.value, one.currency)) is not None:
            return problem, _with_evidence(item, mark) | _price_behind(problem, mark.value, terms)
    return _of_windows(one, now)


def _of_windows(one: Timelines, now: list[Window]) -> tuple[str, frozenset[str]] | None:
    for window in now:
        if window.coupon.type is None:
            return "a coupon that is missing or cannot be read", frozenset({one.id, window.coupon.id})
        if window.coupon.currency not in (None, one.currency):
            return "a coupon without an amount in the currency of its subscription", frozenset(
                {one.id, window.coupon.id}
            )
    return None


def _of_state(state: State, currency: str, terms: Terms) -> str | None:
    if state.quantity.startswith(NO_QUANTITY) and state.quantity != NO_QUANTITY:
        return f"an item that cannot be read ({state.quantity.removeprefix(NO_QUANTITY)})"
    price = terms.prices.get(state.price)
    if price is None:
        return terms.problems.get(state.price, "a price that is missing")
    if price.currency != currency:
        return "a price without an amount in the currency of its subscription"
    if price.quantities is not None and state.quantity not in price.quantities:
        return "a price that is missing, and a quantity of it that no bill charges for a whole period"
    if unreadable(state.quantity):
        return (
            "a negative quantity"
            if state.quantity.startswith("-")
            else "lines of one item and period that no quantity of its price costs"
        )
    if not state.quantity:
        return "a licensed item without a quantity" if price.usage_type == "licensed" else None
    above = "tiers" in price.scheme and cost(price, Decimal(state.quantity)) is None
    return "a quantity above the last tier of its price" if above else None


def _with_evidence(name: str, mark: Mark[Any]) -> frozenset[str]:
    return frozenset({name, *(object_id for object_id, _, _ in mark.evidence)})


def _price_behind(problem: str, state: State, terms: Terms) -> set[str]:
    return (
        {state.price}
        if state.price not in terms.prices or "currency" in problem or "tier" in problem
        else set()
    )


def joined(stretches: list[Stretch]) -> list[Stretch]:
    """Stretches of one subscription in order, those that follow on another with the same problem as one."""
    done: list[Stretch] = []
    for one in stretches:
        if done and (done[-1].end, done[-1].problem) == (one.start, one.problem):
            done[-1] = done[-1]._replace(end=one.end, objects=done[-1].objects | one.objects)
        else:
            done.append(one)
    return done


def record(one: Stretch) -> tuple[object, ...]:
    """Its values in the order of the table's columns."""
    return (
        one.customer,
        one.subscription,
        one.start,
        one.end,
        one.problem,
        canonical.dumps(sorted(one.objects)),
    )
