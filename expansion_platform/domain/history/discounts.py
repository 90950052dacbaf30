"""When each discount was in force: where it begins, and where and how its end is dated.

See semantics 1.6, reference 2.5.14.

Here: windows of discounts from today's lists, invoice lines and events. Not here: what those in force make of
an item (`discounts_in_force.py`), and how discounts lower MRR (`pricing/discounts.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from expansion_platform.domain.core.rows import SECOND
from expansion_platform.domain.history.billed_terms import as_billed
from expansion_platform.domain.history.discount_lists import Discount, listed_at
from expansion_platform.domain.history.records import Event, Line, Subscription
from expansion_platform.domain.history.timelines import Discounted, DiscountEnd, Mark, Window
from expansion_platform.domain.pricing.terms import Coupon, Price, unreadable_coupon

ITEM, SUBSCRIPTION, CUSTOMER = "item", "subscription", "customer"


@dataclass
class _Seen:
    """Everything known of one discount.

    Where it hangs, which lines listed it, and of a customer's the first that no longer did.
    """

    id: str
    level: str
    item: str | None
    coupon: str
    start: int | None = None
    end: int | None = None
    live: bool = False
    lines: list[Line] = field(default_factory=list)
    first_event: int | None = None
    gone_at: tuple[int, str] | None = None
    unlisted: tuple[int, int, int, str] | None = None


def windows(
    subscription: Subscription,
    events: list[Event],
    coupons: Mapping[str, Coupon],
    prices: Mapping[str, Price],
) -> tuple[list[Discounted], list[DiscountEnd]]:
    """All discounts the subscription ever had, in the order they apply.

    The second list says how an end is known where no other discount begins.

    A coupon missing from stripe/coupons is one that cannot be read, and so is an `amount_off` without an
    amount in the subscription's currency. A customer's, given beside a subscription of another currency,
    lowers nothing of that subscription. What a deleted coupon lowers, and by how much, the bills show; where
    none does it is taken for one without limits, and stays `embedded`.
    """
    seen = _collect(subscription, events)
    if not seen:
        return [], []
    found: list[Window] = []
    marks: list[Mark[None]] = []
    for one in seen.values():
        coupon = (coupons.get(one.coupon) or unreadable_coupon(one.coupon)).taken_off_in(
            subscription.currency
        )
        if coupon.embedded or coupon.currency not in (None, subscription.currency):
            coupon = as_billed(coupon, one.id, one.lines, prices, subscription.currency)
        elsewhere = coupon.currency not in (None, subscription.currency)
        lowers_nothing = coupon.type == "amount" and coupon.value == "0"
        if lowers_nothing or (elsewhere and one.level == CUSTOMER):
            continue
        own, bounds = (
            _once(one, coupon, subscription)
            if coupon.duration == "once"
            else _lasting(one, coupon, subscription)
        )
        found += own
        marks += bounds
    place = (
        _places(found, _lists(subscription, events)) if len({window.discount for window in found}) > 1 else {}
    )
    found.sort(key=lambda window: (place.get(window.discount, 0), window.start, window.item or ""))
    return _with_marks(found, marks)


def _with_marks(found: list[Window], marks: list[Mark[None]]) -> tuple[list[Discounted], list[DiscountEnd]]:
    """A window begins by the mark of its first instant.

    The other marks say how it is known where windows end.
    """
    waiting = list(marks)
    discounted = []
    for place, window in enumerate(found):
        mark = next((each for each in waiting if each.at == window.start), None)
        if mark is None:
            mark = next(each for each in marks if each.at == window.start)
        else:
            waiting.remove(mark)
        discounted.append(Discounted(place, window, mark))
    ends = []
    for mark in waiting:
        ending = next((window for window in found if window.end == mark.at), None)
        item, coupon = (None, None) if ending is None else (ending.item, ending.coupon.id)
        ends.append(DiscountEnd(item, coupon, mark))
    return discounted, ends


def _collect(subscription: Subscription, events: list[Event]) -> dict[str, _Seen]:
    """Every discount of the subscription by id, with all that is said of it.

    Today's lists, the lines and the events say it.
    """
    seen: dict[str, _Seen] = {}

    def note(one: Discount, level: str, item: str | None) -> _Seen:
        entry = seen.setdefault(one.id, _Seen(one.id, level, item, one.coupon))
        entry.start, entry.end = (
            one.start if one.start is not None else entry.start,
            one.end if one.end is not None else entry.end,
        )
        return entry

    for one in subscription.discounts:
        note(one, SUBSCRIPTION, None).live = True
    for item in subscription.items:
        for one in item.discounts:
            note(one, ITEM, item.id).live = True
    if subscription.customer_discount is not None:
        note(subscription.customer_discount, CUSTOMER, None).live = True
    for one, gone in subscription.customers_discounts:
        note(one, CUSTOMER, None).unlisted = gone
    for line, one in _billed(subscription):
        level = ITEM if one.level == "line" else CUSTOMER if one.subscription is None else SUBSCRIPTION
        entry = note(one, level, line.item if level == ITEM else None)
        if not line.proration and not line.void:
            entry.lines.append(line)
    for event in events:
        _note_event(seen, event)
    for entry in seen.values():
        entry.first_event = subscription.given.get(entry.id, entry.first_event)
        entry.gone_at = subscription.removed.get(entry.id, entry.gone_at)
    return seen


def _billed(subscription: Subscription) -> Iterator[tuple[Line, Discount]]:
    """Lines with each discount they list that can enter MRR: one given to a single bill never does.

    See semantics 1.6.
    """
    for line in subscription.lines:
        for one in line.discounts:
            if one.invoice is None and one.subscription in (None, subscription.id):
                yield line, one


def _note_event(seen: dict[str, _Seen], event: Event) -> None:
    """Discounts an event lists or no longer lists.

    One it names by id alone is dated only if its coupon is known from elsewhere.
    """
    for owner, after, before in _event_lists(event):
        for entry in after:
            if entry["id"] not in seen and entry["coupon"] is not None:
                level = SUBSCRIPTION if owner is None else ITEM
                start, end = (
                    None if value is None else int(value) * SECOND for value in (entry["start"], entry["end"])
                )
                seen[entry["id"]] = _Seen(entry["id"], level, owner, entry["coupon"], start, end)
            if entry["id"] in seen and seen[entry["id"]].first_event is None:
                seen[entry["id"]].first_event = event.at
        listed = {entry["id"] for entry in after}
        for entry in before:
            if entry["id"] in seen and entry["id"] not in listed:
                seen[entry["id"]].gone_at = (event.at, event.id)


def _lists(subscription: Subscription, events: list[Event]) -> set[tuple[str, ...]]:
    """Ids of the discounts of each level, as every list of them ever seen ordered them."""
    shown = [
        subscription.discounts,
        *(item.discounts for item in subscription.items),
        *(line.discounts for line in subscription.lines),
    ]
    levels = {
        (level, listed) for listed in shown if len(listed) > 1 for level in {one.level for one in listed}
    }
    found = {tuple(one.id for one in listed if one.level == level) for level, listed in levels}
    return found | {
        tuple(entry["id"] for entry in after) for event in events for _, after, _ in _event_lists(event)
    }


def _places(found: list[Window], lists: set[tuple[str, ...]]) -> dict[str, int]:
    """Place of each discount among all: by level, then as lists that show both order them, then by start.

    Its place in one list says nothing beside another list's: an earlier discount that ended moves the later
    ones up.
    """
    rank = {ITEM: 0, SUBSCRIPTION: 1, CUSTOMER: 2}
    waiting = list(
        dict.fromkeys(w.discount for w in sorted(found, key=lambda w: (rank[w.level], w.start, w.discount)))
    )
    levels = {window.discount: window.level for window in found}
    first = {
        (a, b)
        for listed in lists
        for at, a in enumerate(listed)
        for b in listed[at + 1 :]
        if levels.get(a) == levels.get(b)
    }
    place: dict[str, int] = {}
    while waiting:
        # Lists that contradict each other (the account reordered them) leave the order of starts.
        following = next(
            (one for one in waiting if not any((other, one) in first for other in waiting)), waiting[0]
        )
        waiting.remove(following)
        place[following] = len(place)
    return place


def _event_lists(event: Event) -> list[tuple[str | None, list[dict[str, Any]], list[dict[str, Any]]]]:
    """(item or None for the subscription, discounts after, discounts before) of each list an event shows.

    Before is empty when unchanged.
    """
    lists = (
        [(None, event.state.get("discounts") or [], event.previous.get("discounts") or [])]
        if "discounts" in event.state
        else []
    )
    before = {entry["id"]: entry.get("discounts") or [] for entry in event.previous.get("items") or ()}
    items = event.state.get("items") or []
    return lists + [
        (entry["id"], entry.get("discounts") or [], before.get(entry["id"], [])) for entry in items
    ]


def _once(one: _Seen, coupon: Coupon, subscription: Subscription) -> tuple[list[Window], list[Mark[None]]]:
    """A `once` coupon reduces exactly the service periods of the regular lines it took something off.

    A period cut short by a new billing cycle ends where the item's next regular line begins.
    """
    found, marks = [], []
    for line in one.lines:
        if one.id not in line.taken:
            continue
        later = (
            other.start
            for other in subscription.lines
            if other.item == line.item and not other.proration and line.start < other.start < line.end
        )
        end = min(later, default=line.end)
        found.append(Window(one.id, coupon, one.level, line.item, line.start, end))
        marks += [
            Mark(at, None, "invoice_line", "exact", [(line.id, line.start, line.end)])
            for at in (line.start, end)
        ]
    return found, marks


def _lasting(one: _Seen, coupon: Coupon, subscription: Subscription) -> tuple[list[Window], list[Mark[None]]]:
    """A `repeating` or `forever` coupon is in force from its start until its end.

    A removal before that ends it, too.
    """
    known = [
        at
        for at in (
            one.start,
            *(_listed_at(line) for line in one.lines),
            one.first_event if one.start is None else None,
        )
        if at is not None
    ]
    if not known:
        return [], []
    # What the customer had before a subscription was made reduced none of it, however far back that is said
    # to have begun.
    start = max(min(known), subscription.created) if one.level == CUSTOMER else min(known)
    evidence = [(line.id, line.start, line.end) for line in one.lines]
    source = "invoice_line" if one.lines else "event" if one.first_event is not None else "snapshot"
    marks: list[Mark[None]] = [
        Mark(start, None, source, "exact", evidence or [(subscription.id, start, start + 1)])
    ]
    removed = None if one.live else _removal(one, start, subscription)
    end = one.end
    if removed is not None and (end is None or removed.at < end):
        end = removed.at
        marks.append(removed)
    elif end is not None:
        marks.append(Mark(end, None, source, "exact", evidence))
    return (
        ([Window(one.id, coupon, one.level, one.item, start, end)], marks)
        if end is None or start < end
        else ([], [])
    )


def _listed_at(line: Line) -> int:
    return listed_at(line.created, line.start, line.end)


def _removal(one: _Seen, start: int, subscription: Subscription) -> Mark[None] | None:
    """When a discount that is listed no more was taken off.

    By an event, else the renewal without it, else when it was found gone.
    """
    if one.gone_at is not None:
        at, event = one.gone_at
        return Mark(at, None, "event", "exact", [(event, at, at + 1)])
    without = [one.unlisted] if one.unlisted is not None else []
    if one.level != CUSTOMER:
        last = max((_listed_at(line) for line in one.lines), default=start - 1)
        regular = (
            line
            for line in subscription.lines
            if not (line.proration or line.void) and one.item in (None, line.item)
        )
        unlisted = (
            line
            for line in regular
            if _listed_at(line) > last and all(one.id != each.id for each in line.discounts)
        )
        without = [(_listed_at(line), line.start, line.end, line.id) for line in unlisted]
    if without:
        at, begins, ends, line = min(without)
        return Mark(at, None, "invoice_line", "renewal", [(line, begins, ends)])
    if subscription.ended_at is not None:
        return None
    # The list it is missing from is the item's own or the subscription's: each was read when its own row
    # says.
    read = next(
        (item.observed_at for item in subscription.items if item.id == one.item), subscription.observed_at
    )
    at = max(start, read)
    return Mark(at, None, "snapshot", "snapshot", [(subscription.id, at, at + 1)])
