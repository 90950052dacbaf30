"""The order in which a subscription's events happened (reference section 4).

Here: putting events of whole seconds, delivered in any order, into that order. Not here: what they say of
items (`facts.py`) and of the subscription (`status.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from expansion_platform.domain.history.records import Event

MOST_CHAINED = 6
"""Of events in one second: all their 720 orders can be looked at."""


def in_order(events: list[Event]) -> list[Event]:
    """Events in the order they happened: by time, and within a second by what each says was there before it.

    Stripe's times are whole seconds and delivery has no order; event B follows A when B's previous values are
    A's state. Of several orders in which each event of a second follows the one before it, that one counts
    after which the next second's can come: what one event gave and another took away again stands in both.
    """
    ordered: list[Event] = []
    groups = [
        list(group)
        for _, group in groupby(sorted(events, key=lambda event: (event.at, event.id)), key=attrgetter("at"))
    ]
    for number, group in enumerate(groups):
        if len(group) == 1:
            ordered += group
            continue
        state = ordered[-1].state if ordered else None
        chains = (
            list(_chains(group, state)) or list(_chains(group, None)) if len(group) <= MOST_CHAINED else []
        )
        later = groups[number + 1] if number + 1 < len(groups) else []
        leading = [chain for chain in chains if any(_follows(event, chain[-1].state) for event in later)]
        ordered += [*leading, *chains, []][0] or _one_by_one(group, state)
    return ordered


def _chains(waiting: list[Event], state: dict[str, Any] | None) -> Iterator[list[Event]]:
    """The orders of a second's events in which each follows the one before it.

    The first of them follows `state`, if there is one.
    """
    if not waiting:
        yield []
    first = min(map(_precedence, waiting), default=0)
    for event in waiting:
        if _precedence(event) == first and (state is None or _follows(event, state)):
            yield from (
                [event, *rest]
                for rest in _chains([other for other in waiting if other is not event], event.state)
            )


def _one_by_one(waiting: list[Event], state: dict[str, Any] | None) -> list[Event]:
    """A second's events, each where it can follow the one before it.

    Where none can, the one before which none of the others can come.
    """
    ordered = []
    waiting = list(waiting)
    while waiting:
        following = min(
            waiting,
            key=lambda event: (
                _precedence(event),
                not _follows(event, state),
                _preceded(event, waiting),
                event.id,
            ),
        )
        waiting.remove(following)
        ordered.append(following)
        state = following.state
    return ordered


def _precedence(event: Event) -> int:
    return {"customer.subscription.created": 0, "customer.subscription.deleted": 2}.get(event.type, 1)


def _follows(event: Event, state: dict[str, Any] | None) -> bool:
    """Whether the event found the subscription in `state`.

    What it does not list as changed was as it is after it.
    """
    return state is not None and all(
        _named(state.get(name)) == _named(value) for name, value in {**event.state, **event.previous}.items()
    )


def _named(value: Any) -> Any:
    """A value with its discounts by id alone.

    Of several, an event of an older version gives the coupon of one only.
    """
    if isinstance(value, list):
        return [_named(each) for each in value]
    if isinstance(value, dict):
        return (
            value["id"]
            if value.get("id") and "coupon" in value
            else {name: _named(each) for name, each in value.items()}
        )
    return value


def _preceded(event: Event, waiting: list[Event]) -> bool:
    return any(_follows(event, other.state) for other in waiting if other is not event)
