"""What each fact says of one subscription item, and the item's timeline that follows from all of them.

See reference 2.5, steps 3-8, 12, 15.

Here: facts from invoice lines, pending prorations, events, schedules and today's snapshot, folded in order of
time into marks ("from here on it is this"). The overlap rule of step 6 (later-effective wins) is this order:
a state holds until the next fact, whatever period its line covered. Not here: statuses (`status.py`),
discounts (`discounts.py`), rows (`item_states.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from expansion_platform.domain.history.records import (
    Event,
    Item,
    Line,
    State,
    Subscription,
    by_item,
    quantity,
)
from expansion_platform.domain.history.timelines import ItemMark, Mark
from expansion_platform.domain.pricing.terms import Price

CONFIRMED, REGULAR, DEBIT, CREDIT, PLANNED, CHANGED = (
    "confirmed",
    "regular",
    "debit",
    "credit",
    "planned",
    "changed",
)
_SOURCES = {
    CONFIRMED: "event",
    REGULAR: "invoice_line",
    DEBIT: "proration",
    CREDIT: "proration",
    PLANNED: "schedule",
    CHANGED: "event",
}


class Fact(NamedTuple):
    """One statement: from `at` on the item is `state` (None: it is not there).

    `old` is what it was just before, where the fact shows it.

    Of a credit, `old` is what was debited and `reverses` are the lines that did: in flexible billing one
    change gives a credit for each earlier debit, of a state that a change without proration may have replaced
    since.
    """

    at: int
    order: tuple[bool, int, str]
    kind: str
    state: State | None
    old: State | None
    until: int
    id: str
    reverses: frozenset[str] = frozenset()


def item_marks(
    subscription: Subscription, events: list[Event], prices: Mapping[str, Price]
) -> dict[str, list[ItemMark]]:
    """Marks of every item the subscription ever had, by item id, earliest first.

    A None value means the item is not there.

    `events` are the subscription's in the order they happened (`events.py`).
    """
    lines = by_item(subscription.lines)
    item_facts = _event_facts(events)
    now = {item.id: item for item in subscription.items}
    for item, facts in planned(subscription, lines, item_facts).items():
        item_facts[item] = [*item_facts.get(item, []), *facts]
    marks = {
        item: _fold(lines.get(item, []), item_facts.get(item, []), prices)
        for item in sorted(lines.keys() | item_facts.keys() | now.keys())
    }
    first = min((own[0].at for own in marks.values() if own), default=subscription.start_date)
    for item, own in marks.items():
        if item in now:
            _continue_after_credits(own, now[item])
            _close_with_snapshot(own, now[item], lines.get(item, []), subscription)
        else:
            _continue_after_credits(own, None)
            _end_where_last_covered(item, own, lines.get(item, []), subscription)
        _begin_where_added(own, now.get(item), subscription, first)
    return marks


def planned(
    subscription: Subscription, lines: Mapping[str, list[Line]], item_facts: Mapping[str, list[Fact]]
) -> dict[str, list[Fact]]:
    """What schedules made of items where a phase began.

    A plan that was carried out dates a change that nothing was billed for (reference 2.5.7).

    A phase names prices, not items: each is an item that was at this price, of several the one billed for it
    then, else the one next seen at it, and no item is at two. An item whose price a phase leaves out is gone,
    if it was there till then: somebody may have changed the subscription by hand. A schedule's first phase is
    what it found, and says nothing of its own.
    """
    found: dict[str, list[Fact]] = defaultdict(list)
    if not subscription.phases:
        return found
    seen: dict[str, list[tuple[int, int, str]]] = defaultdict(list)
    for item, own in lines.items():
        for line in own:
            seen[line.state.price].append((line.start, line.start if line.credits else line.end, item))
    states = [
        (fact.at, item, state)
        for item, own in item_facts.items()
        for fact in own
        for state in (fact.state, fact.old)
        if state is not None
    ]
    states += [(item.observed_at, item.id, item.state) for item in subscription.items]
    for at, item, state in states:
        seen[state.price].append((at, at, item))
    phase_items: dict[str, set[str]] = {}
    known = max([subscription.observed_at, *(item.observed_at for item in subscription.items)])
    for phase in (each for each in subscription.phases if each.start <= known):
        now: dict[str, State] = {}
        for state in sorted(
            phase.items, key=lambda state: len({item for _, _, item in seen.get(state.price, ())})
        ):
            free = [
                (_distance(phase.start, start, end), item)
                for start, end, item in seen.get(state.price, ())
                if item not in now
            ]
            now |= {min(free)[1]: state} if free else {}
        if not phase.first and phase.start > subscription.start_date:
            left = {
                item
                for item in phase_items.get(phase.schedule, set())
                if not _left_out(item, phase.start, lines, item_facts)
            }
            for item in now.keys() | left:
                order = (True, phase.start, phase.schedule)
                found[item].append(
                    Fact(phase.start, order, PLANNED, now.get(item), None, phase.start + 1, phase.schedule)
                )
        phase_items[phase.schedule] = set(now)
    return found


def _distance(at: int, start: int, end: int) -> tuple[bool, bool, int]:
    """How far a stretch is from an instant: those around it first, then those after it, then those before."""
    return not start <= at < end, start < at, abs(start - at)


def _left_out(
    item: str, at: int, lines: Mapping[str, list[Line]], item_facts: Mapping[str, list[Fact]]
) -> bool:
    """Whether an item was gone by `at`: others were billed since its last period, and none shows it since."""
    covered = max(
        (line.end for line in lines.get(item, []) if line.start < at and not line.credits), default=at
    )
    shown = any(covered < fact.at <= at and fact.state is not None for fact in item_facts.get(item, []))
    return not shown and any(
        covered <= line.start < at
        for other, own in lines.items()
        if other != item
        for line in own
        if not line.proration
    )


def _fold(lines: list[Line], other_facts: list[Fact], prices: Mapping[str, Price]) -> list[ItemMark]:
    """Marks of one item from its facts. Equal neighbours are one mark, with the evidence of all."""
    # By instant, then in order.
    facts = sorted([_line_fact(line) for line in lines] + other_facts, key=itemgetter(0, 1))
    marks: list[ItemMark] = []
    for at, group in groupby(facts, key=itemgetter(0)):
        speaking = list(group)
        first = speaking[0]
        # One more bill of the same.
        if len(speaking) == 1 and first.kind == REGULAR and marks and first.state == marks[-1].value:
            marks[-1].evidence.append((first.id, at, first.until))
        else:
            _decide(marks, at, speaking, prices)
    return marks


def _decide(marks: list[ItemMark], at: int, facts: list[Fact], prices: Mapping[str, Price]) -> None:
    """What all facts of an instant make of an item."""
    before = marks[-1].value if marks else None
    speaking = [_settle_zero(fact, before) if fact.kind == DEBIT else fact for fact in facts]
    winner = _strongest(speaking)
    old = next((fact.old for fact in speaking if fact.old is not None), None) if not marks else None
    if old is not None and old != winner.state:
        marks.append(Mark(at, old, _SOURCES[winner.kind], "exact"))
        before = old
    if not marks or winner.state != before:
        by_plan = any(fact.kind == PLANNED and fact.state == winner.state for fact in speaking)
        source = _SOURCES[PLANNED if by_plan else winner.kind]
        marks.append(Mark(at, winner.state, source, _confidence(winner, speaking, before, prices)))
    for fact in speaking:
        if fact.kind == CREDIT:
            ended = [mark for mark in marks[-2:] if mark.value == fact.old] or [
                mark for mark in marks[-2:] if mark.at < at
            ][-1:]
            if ended:
                ended[0].evidence.append((fact.id, at - 1, at))
        if fact.state == winner.state and (fact.state is not None or fact.kind in (CHANGED, PLANNED)):
            marks[-1].evidence.append((fact.id, at, fact.until))


def _line_fact(line: Line) -> Fact:
    order = (not line.void, line.created, line.id)
    if not line.proration:
        return Fact(line.start, order, REGULAR, line.state, None, line.end, line.id)
    if line.credits:
        return Fact(line.start, order, CREDIT, None, line.state, line.end, line.id, line.reverses)
    # A proration of nothing (free plan, 100 % off) has no sign that distinguishes debit from credit:
    # `_settle_zero` decides by what was there.
    return Fact(
        line.start, order, DEBIT, line.state, line.state if line.amount == 0 else None, line.end, line.id
    )


def _settle_zero(fact: Fact, before: State | None) -> Fact:
    """A debit of nothing credits the state that was there, and debits any other."""
    if fact.old is None:
        return fact
    return fact._replace(kind=CREDIT, state=None) if fact.state == before else fact._replace(old=None)


def _strongest(facts: list[Fact]) -> Fact:
    """The fact that decides one instant.

    Event over proration over regular line over schedule over an event that merely shows the state.

    Of several debits the one not credited in the same second is the last (two changes in a second). A regular
    line credited for its whole period is none. A credit decides only when nothing begins with it (reference
    2.5.5).
    """
    if len(facts) == 1:
        return facts[0]
    of = {kind: [fact for fact in facts if fact.kind == kind] for kind in _SOURCES}
    if of[CHANGED]:
        return of[CHANGED][-1]
    credited = {fact.old for fact in of[CREDIT]}
    debits = [fact for fact in of[DEBIT] if fact.state not in credited] or of[DEBIT]
    named = frozenset[str]().union(*(fact.reverses for fact in of[CREDIT]))
    reversed_lines = {(fact.old, fact.until) for fact in of[CREDIT]}
    regular = [
        fact
        for fact in of[REGULAR]
        if fact.id not in named and (fact.state, fact.until) not in reversed_lines
    ]
    return (debits or regular or of[PLANNED] or of[CREDIT] or of[CONFIRMED])[-1]


def _confidence(winner: Fact, facts: list[Fact], before: State | None, prices: Mapping[str, Price]) -> str:
    """A regular line dates a change only where the item begins, or where a credit says so.

    The credit shows that it is billed by another interval from then on.

    A credit where a cycle begins anew gives back what was billed, which a change without proration may have
    replaced before. Another interval makes a new cycle by itself.
    """
    if before is None or winner.kind in (DEBIT, CREDIT, PLANNED, CHANGED):
        return "exact"
    if winner.kind == REGULAR and any(
        fact.kind == CREDIT and _interval(fact.old, prices) != _interval(winner.state, prices)
        for fact in facts
    ):
        return "exact"
    return "renewal" if winner.kind == REGULAR else "snapshot"


def _interval(state: State | None, prices: Mapping[str, Price]) -> tuple[str, int] | None:
    price = None if state is None else prices.get(state.price)
    return None if price is None else (price.interval, price.interval_count)


def _continue_after_credits(marks: list[ItemMark], now: Item | None) -> None:
    """A credit without a debit ends an item, unless the item is seen later.

    Then a debit of nothing was left out (reference 2.5.5).
    """
    later = None if now is None else now.state
    for mark in reversed(marks):
        if mark.value is not None:
            later = mark.value
        elif mark.source == "proration":
            mark.value = later


def _close_with_snapshot(
    marks: list[ItemMark], now: Item, lines: list[Line], subscription: Subscription
) -> None:
    """Where the facts do not lead to today's item, it changed unseen: dated by when that was first known.

    See reference 2.5.15.
    """
    evidence = [(subscription.id, now.observed_at, now.observed_at + 1)]
    if not marks:
        marks.append(
            Mark(
                now.created, now.state, "snapshot", "exact", [(subscription.id, now.created, now.created + 1)]
            )
        )
    elif marks[-1].value != now.state:
        seen = max([now.observed_at, *(line.observed_at for line in lines)])
        if seen > marks[-1].at:
            marks.append(Mark(seen, now.state, "snapshot", "snapshot", evidence))


def _end_where_last_covered(
    item: str, marks: list[ItemMark], lines: list[Line], subscription: Subscription
) -> None:
    """An item no longer there ends by its own facts.

    Else with the last period it was billed for, else when it was found gone.

    A period that lasts beyond the instant today's subscription was read at cannot be its end: it was gone by
    then, as it was when an event lists others only. Neither can one in which another item was added without
    proration: that is a plan swapped by deleting one item and adding the other in one request.
    """
    if not marks or marks[-1].value is None:
        return
    last = max([marks[-1].at, *(at for _, at, _ in marks[-1].evidence)])
    _, covered = max(((line.start, line.end) for line in lines if not line.credits), default=(last, last))
    swapped = min(
        (item.created for item in _added_unbilled(subscription) if last < item.created < covered),
        default=None,
    )
    gone = next(
        (event for event in subscription.events if last < event.at < covered and _lists_without(event, item)),
        None,
    )
    if swapped is not None and (gone is None or swapped <= gone.at):
        marks.append(Mark(swapped, None, "snapshot", "exact"))
    elif gone is not None:
        marks.append(Mark(gone.at, None, "event", "snapshot", [(gone.id, gone.at, gone.at + 1)]))
    elif covered >= subscription.observed_at > last:
        marks.append(
            Mark(
                subscription.observed_at,
                None,
                "snapshot",
                "snapshot",
                [(subscription.id, subscription.observed_at, covered)],
            )
        )
    else:
        marks.append(Mark(covered, None, "invoice_line", "renewal"))


def _lists_without(event: Event, item: str) -> bool:
    return "items" in event.state and all(entry["id"] != item for entry in event.state["items"])


def _added_unbilled(subscription: Subscription) -> list[Item]:
    """Items added after the start whose first moment nothing bills: added without proration."""
    added = [item for item in subscription.items if item.created > subscription.created]
    billed = {(line.item, line.start) for line in subscription.lines} if added else set()
    return [item for item in added if (item.id, item.created) not in billed]


def _begin_where_added(
    marks: list[ItemMark], now: Item | None, subscription: Subscription, first: int
) -> None:
    """Original items begin with the subscription.

    One added later when Stripe created it, else with its first fact.

    One that is gone and whose first fact is a renewal's bill was added without proration some time in the
    period before.
    """
    if not marks:
        return
    if now is None:
        start = subscription.start_date if marks[0].at <= first else marks[0].at
        if (
            start > first
            and marks[0].source == _SOURCES[REGULAR]
            and any(_renewed_at(line, start) for line in subscription.lines)
        ):
            marks[0].confidence = "renewal"
    elif now.created <= subscription.created:
        start = subscription.start_date
    else:
        start = max(subscription.start_date, min(now.created, marks[0].at))
        if start < marks[0].at:
            marks[0].source, marks[0].confidence = "snapshot", "exact"
            marks[0].evidence.append((subscription.id, start, start + 1))
    marks[0].at = min(start, marks[0].at)


def _renewed_at(line: Line, at: int) -> bool:
    """Whether a period that was billed for ends as planned at an instant."""
    return line.end == at and not line.credits


def _event_facts(events: list[Event]) -> dict[str, list[Fact]]:
    """What events say of items.

    A change when the item differs from the event's own previous values, else only that it was so.
    """
    facts: dict[str, list[Fact]] = defaultdict(list)
    for number, event in enumerate(events):
        order = (True, number, event.id)
        after = _event_items(event.state)
        before = _event_items(event.previous) if "items" in event.previous else None
        for item, state in after.items():
            changed = before is not None and before.get(item) != state
            old = before.get(item) if before is not None and changed else None
            facts[item].append(
                Fact(event.at, order, CHANGED if changed else CONFIRMED, state, old, event.at + 1, event.id)
            )
        for item in (before or {}).keys() - after.keys() if "items" in event.state else ():
            facts[item].append(
                Fact(event.at, order, CHANGED, None, (before or {})[item], event.at + 1, event.id)
            )
    return facts


def _event_items(fields: dict[str, Any]) -> dict[str, State]:
    return {
        entry["id"]: State(entry["price"], quantity(entry["quantity"])) for entry in fields.get("items") or ()
    }
