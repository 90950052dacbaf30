"""A subscription's status and collection pause over time (reference 2.5.13, semantics 1.3).

Here: the timelines that apply to all items of a subscription. Not here: what invoices show of them
(`bills.py`), which statuses count (`catalog/catalog.py`), items and discounts.
"""

from __future__ import annotations

from typing import Any

from expansion_platform.domain.history.bills import DAY, bill_pauses, bill_statuses
from expansion_platform.domain.history.records import Event, Subscription
from expansion_platform.domain.history.timelines import Mark

UPDATED = "customer.subscription.updated"


def status_marks(subscription: Subscription, events: list[Event]) -> list[Mark[str]]:
    """Statuses from the start.

    The trial, then what invoices show, changed by events, and what the subscription says today.

    A live subscription still in its trial stays so: that the trial will end is a plan, not yet a fact.
    `canceled` is no mark: the subscription's end is its `ended_at`. A status no one knows is a mark like any
    other: what it holds for is put in quarantine.
    """
    marks = [Mark(subscription.start_date, "active", "snapshot", "exact", _read(subscription))]
    if (
        subscription.trial_start is not None
        and subscription.trial_end is not None
        and subscription.trial_end > subscription.trial_start
    ):
        marks = [mark for mark in marks if mark.at < subscription.trial_start]
        marks.append(Mark(subscription.trial_start, "trialing", "snapshot", "exact", _read(subscription)))
        if subscription.status != "trialing":
            marks += _after_trial(subscription, subscription.trial_end)
    for mark in bill_statuses(subscription, events):
        if not _contradicted(mark.at, "status", mark.value, events):
            _put(marks, mark)
    for event in events:
        status = event.state.get("status")
        if status is None or status == "canceled":
            continue
        _put(marks, _of_event(event, "status", status))
    if subscription.ended_at is None and marks[-1].value != subscription.status:
        at = max(subscription.observed_at, marks[-1].at)
        _put(marks, Mark(at, subscription.status, "snapshot", "snapshot", _read(subscription)))
    return _without_repeats(marks)


def _after_trial(subscription: Subscription, end: int) -> list[Mark[str]]:
    """Active from the bill made at the trial's end.

    With none the subscription paused for want of a payment method, until its next bill.
    """
    following = min(
        (bill.created for bill in subscription.bills if bill.created >= end), default=subscription.ended_at
    )
    paused = subscription.status == "paused" if following is None else following > end + DAY
    if not paused:
        return [Mark(end, "active", "snapshot", "exact", _read(subscription))]
    marks = [Mark(end, "paused", "snapshot", "exact", _read(subscription))]
    return marks if following is None else [*marks, Mark(following, "active", "invoice_line", "exact")]


def pause_marks(
    subscription: Subscription, events: list[Event], statuses: list[Mark[str]]
) -> list[Mark[str | None]]:
    """`pause_collection.behavior` from the start (None: collecting).

    From bills, events, and what the subscription says today.
    """
    marks: list[Mark[str | None]] = [Mark(subscription.start_date, None, "snapshot", "exact")]
    for found in bill_pauses(subscription, statuses):
        if not _contradicted(found.at, "pause_collection", found.value, events):
            _put(marks, found)
    for event in events:
        if "pause_collection" in event.state:
            _put(marks, _of_event(event, "pause_collection", _behavior(event.state["pause_collection"])))
    if subscription.ended_at is None and marks[-1].value != subscription.paused:
        at = max(subscription.observed_at, marks[-1].at)
        _put(marks, Mark(at, subscription.paused, "snapshot", "snapshot", _read(subscription)))
    return _without_repeats(marks)


def _of_event(event: Event, field: str, value: str | None) -> Mark[Any]:
    """What an event shows.

    One that does not list the field as changed saw it so: since when, it does not say.
    """
    shown = event.type == UPDATED and field not in event.previous
    return Mark(
        event.at, value, "event", "snapshot" if shown else "exact", [(event.id, event.at, event.at + 1)]
    )


def _contradicted(at: int, field: str, value: str | None, events: list[Event]) -> bool:
    """Whether events of the day after `at` contradict what was inferred for it.

    There are such events, and none of them shows the value, as the new one or as the one just before.
    """
    recent = [event for event in events if at <= event.at <= at + DAY and field in event.state]
    values = [event.state[field] for event in recent] + [
        event.previous[field] for event in recent if at < event.at and field in event.previous
    ]
    return bool(values) and value not in [_behavior(each) for each in values]


def _behavior(value: Any) -> str | None:
    """Events carry Stripe's object or, once staged, only its behaviour."""
    return value.get("behavior") if isinstance(value, dict) else value


def _read(subscription: Subscription) -> list[tuple[str, int, int]]:
    return [(subscription.id, subscription.observed_at, subscription.observed_at + 1)]


def _put(marks: list[Mark[Any]], mark: Mark[Any]) -> None:
    """Add a mark in its place.

    Of two at one instant the one added later wins, unless it only confirms what the other says.
    """
    if mark.confidence == "snapshot" and any(
        (other.at, other.value) == (mark.at, mark.value) for other in marks
    ):
        return
    marks[:] = [other for other in marks if other.at != mark.at]
    marks.append(mark)
    marks.sort(key=lambda other: other.at)


def _without_repeats(marks: list[Mark[Any]]) -> list[Mark[Any]]:
    return [mark for place, mark in enumerate(marks) if place == 0 or mark.value != marks[place - 1].value]
