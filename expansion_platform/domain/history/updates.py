"""Which updates of a subscription took effect, and when (semantics 7, case 63).

Here: bills of updates that were not paid at once, and what that makes of their lines. Not here: what a line
says of an item (`facts.py`), what a bill says of the subscription's status (`bills.py`).

An update made with `payment_behavior=pending_if_incomplete` takes effect when its bill is paid, at most 23
hours later. If it is not paid, Stripe voids the bill and the subscription stays as it was. Any other update
takes effect at once, whatever becomes of its bill. A bill does not say which kind its update was. So a bill
that was never paid shows what somebody wanted, and the next fact decides whether it came true.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from expansion_platform.domain.history.bills import AT_ONCE, DAY, FIRST_PAYMENT, MINUTE
from expansion_platform.domain.history.records import Bill, Event, Line, State, Subscription, quantity

UPDATE = "subscription_update"
UNKNOWN_REASONS = (None, "subscription")
"""Of bills from a source without reasons, and from before 2018."""
_OF_UPDATES = (UPDATE, *UNKNOWN_REASONS)
WAITS = FIRST_PAYMENT
"""A pending update waits as long as a first payment does."""


@dataclass
class _Update:
    """A bill of an update, the lines of what it changed, and `at`, when it was asked for.

    Earlier changes on the same bill are not of it.
    """

    bill: Bill
    lines: list[Line]
    at: int


def settle_updates(subscription: Subscription) -> None:
    """Make the lines, bills and items of a subscription say what took effect.

    Lines and bills of updates that never did are removed; those of updates that waited for their payment
    begin when they were paid. The events must be in order.
    """
    updates = list(_updates(subscription))
    now = subscription.known
    unpaid = [update for update in updates if _may_never_have_begun(update.bill, now)]
    never = _never_in_force(subscription, unpaid)
    _remove(subscription, never)
    for update in updates:
        paid = update.bill.paid
        if (
            paid is not None
            and update.bill.finalized is not None
            and MINUTE < paid - update.bill.finalized <= WAITS
        ):
            _begin_when_paid(subscription, update, paid)


def _updates(subscription: Subscription) -> Iterator[_Update]:
    """The updates that may have waited for a payment.

    A bill that is sent is never waited for, and a draft was never to be paid at once.
    """
    bills = {
        bill.id: bill
        for bill in subscription.bills
        if bill.reason in _OF_UPDATES and bill.due is None and bill.status != "draft"
    }
    lines = defaultdict(list)
    for line in subscription.lines if bills else ():
        if line.invoice in bills:
            lines[line.invoice].append(line)
    for bill in bills.values():
        # Usage is billed for the time before the bill, and is no part of a change.
        ahead = [line for line in lines[bill.id] if line.end > bill.created]
        at = max((line.start for line in ahead), default=0)
        own = [line for line in ahead if line.start == at]
        if own and (
            bill.reason == UPDATE
            or (any(line.proration for line in own) and abs(bill.created - at) <= AT_ONCE)
        ):
            yield _Update(bill, own, at)


def _may_never_have_begun(bill: Bill, now: int) -> bool:
    """Whether a bill was voided, or is not paid and not older than an update waits.

    One that is left open longer is of a change that was made.
    """
    if bill.status == "paid":
        return False
    return bill.status == "void" or (bill.uncollectible or now) - (bill.finalized or bill.created) <= DAY


def _never_in_force(subscription: Subscription, unpaid: list[_Update]) -> list[_Update]:
    """Those of the updates that no later fact shows, the newest decided first.

    One that took effect is a fact for those before it.
    """
    never: list[_Update] = []
    undecided = {line.id for update in unpaid for line in update.lines}
    for update in sorted(unpaid, key=lambda each: each.at, reverse=True):
        facts = [line for line in subscription.lines if line.id not in undecided]
        if _took_effect(subscription, update, facts):
            undecided -= {line.id for line in update.lines}
        else:
            never.append(update)
    return never


def _took_effect(subscription: Subscription, update: _Update, facts: list[Line]) -> bool:
    """Whether an item is next seen as the update would have made it.

    An update that changes no item (a new billing cycle) is believed.
    """
    before: dict[str, set[State | None]] = defaultdict(set)
    after: dict[str, set[State | None]] = defaultdict(set)
    for line in update.lines:
        (before if line.credits else after)[line.item].add(line.state)
    changed = [item for item in before.keys() | after.keys() if before[item] != after[item]]
    wanted = {item: after[item] - before[item] or after[item] or {None} for item in changed}
    return not changed or any(
        wanted[item] & _next_seen(subscription, item, update.at, facts) for item in changed
    )


def _next_seen(subscription: Subscription, item: str, at: int, facts: list[Line]) -> set[State | None]:
    """What the first fact after an instant says an item had been until then (None: it was not there).

    Several credits may speak at once.

    In one second a credit speaks before the rest: what it gives back was there, and a line beside it may
    begin something else. A debit says nothing of what was there before it.
    """
    seen: list[tuple[int, bool, State | None]] = []
    seen += [
        (line.start, not line.credits, line.state)
        for line in facts
        if line.item == item and line.start > at and _says_what_was(line)
    ]
    seen += [
        (event.at, False, _of_event(event, item, at))
        for event in subscription.events
        if event.at >= at and "items" in event.state
    ]
    if subscription.items:
        # A row that stays as it is keeps the instant it was first read at: it holds of now.
        now = max(subscription.known, at + 1)
        seen.append((now, True, next((each.state for each in subscription.items if each.id == item), None)))
    first = min(((when, begins) for when, begins, _ in seen), default=None)
    return {state for when, begins, state in seen if (when, begins) == first}


def _says_what_was(line: Line) -> bool:
    return line.credits or not line.proration


def _of_event(event: Event, item: str, at: int) -> State | None:
    """An item as an event found it; as the event left it, if that is the update's own event."""
    fields = event.previous if event.at > at and "items" in event.previous else event.state
    return next(
        (
            State(entry["price"], quantity(entry["quantity"]))
            for entry in fields["items"]
            if entry["id"] == item
        ),
        None,
    )


def _remove(subscription: Subscription, never: list[_Update]) -> None:
    gone = {line.id for update in never for line in update.lines}
    bills = {update.bill.id for update in never}
    subscription.lines = [line for line in subscription.lines if line.id not in gone]
    subscription.bills = [bill for bill in subscription.bills if bill.id not in bills]
    subscription.note_known()


def _begin_when_paid(subscription: Subscription, update: _Update, paid: int) -> None:
    """The bill, its lines and the items it added begin when it was paid."""
    own = {line.id for line in update.lines}
    added = {line.item for line in update.lines if not line.credits}
    subscription.lines = [
        line._replace(start=paid) if line.id in own and line.end > paid else line
        for line in subscription.lines
    ]
    settled = update.bill._replace(created=paid, finalized=paid)
    subscription.bills = sorted(
        (settled if bill is update.bill else bill for bill in subscription.bills),
        key=lambda bill: (bill.created, bill.id),
    )
    subscription.items = [
        item._replace(created=paid) if item.id in added and update.at <= item.created < paid else item
        for item in subscription.items
    ]
