"""Trials of single items on a subscription that pays for the others.

See reference 2.5.9, semantics section 7, case 6.

Here: when an item cost nothing. Not here: trials of whole subscriptions, which are a status
(`status.py`).

A price that costs something, billed at nothing before any discount, is a trial: the bill's line covers it,
whatever price the line names. A trial that runs now is shown by the item itself, unless something was charged
in it: an introductory price is a price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from expansion_platform.domain.history.records import Line, Subscription, by_item, unreadable
from expansion_platform.domain.history.tiers import cost
from expansion_platform.domain.history.timelines import Mark, Trial
from expansion_platform.domain.pricing.terms import Price

ON_TRIAL = "trialing"
PAYS = ("active", "past_due")
"""Statuses of a subscription beside which an item's trial matters: in the others nothing is paid anyway."""


def item_trials(subscription: Subscription, prices: Mapping[str, Price]) -> dict[str, list[Trial]]:
    """Trials of each item, those within a trial of the whole subscription left out.

    That one will end is a plan, not yet a fact.
    """
    found: dict[str, list[Trial]] = {}
    free = {line.item for line in subscription.lines if line.amount == 0 and _free(line, prices)}
    on_trial = [item for item in subscription.items if item.trial_start is not None]
    if not free and not on_trial:
        return found
    known = subscription.known
    lines = by_item([line for line in subscription.lines if not line.proration])
    for item in (each for each in lines if each in free):
        own = lines[item]
        for line in own:
            if _free(line, prices) and not _within_whole(line.start, subscription):
                end = min(
                    (other.start for other in own if line.start < other.start < line.end), default=line.end
                )
                found.setdefault(item, []).append(
                    Trial(line.start, end if end <= known else None, line.id, "invoice_line")
                )
    for now in on_trial:
        if now.trial_start is None or now.trial_end is None or _within_whole(now.trial_start, subscription):
            continue
        during = [line for line in lines.get(now.id, []) if now.trial_start <= line.start < now.trial_end]
        if not any(line.amount > 0 for line in during) and now.trial_start not in [
            each.start for each in found.get(now.id, [])
        ]:
            ends = now.trial_end if now.trial_end <= known else None
            found.setdefault(now.id, []).append(Trial(now.trial_start, ends, subscription.id, "snapshot"))
    return found


def trial_marks(found: Mapping[str, list[Trial]]) -> list[Mark[None]]:
    """Where trials begin and end."""
    every = [one for own in found.values() for one in own]
    bounds = [(at, one) for one in every for at in (one.start, one.end) if at is not None]
    return [
        Mark(at, None, one.source, "exact", [(one.object, one.start, one.start + 1)]) for at, one in bounds
    ]


def status_of(status: str, trials: Sequence[Trial], at: int) -> str:
    """An item's status at an instant.

    Its subscription's, unless it is paid for by nothing while the others are paid.
    """
    return (
        ON_TRIAL
        if trials
        and status in PAYS
        and any(one.start <= at and (one.end is None or at < one.end) for one in trials)
        else status
    )


def _free(line: Line, prices: Mapping[str, Price]) -> bool:
    price = prices.get(line.state.price)
    if (
        line.amount != 0
        or line.metered
        or line.proration
        or price is None
        or unreadable(line.state.quantity)
        or not line.state.quantity
    ):
        return False
    return bool(cost(price, Decimal(line.state.quantity)))


def _within_whole(at: int, subscription: Subscription) -> bool:
    start, end = subscription.trial_start, subscription.trial_end
    return start is not None and end is not None and start <= at < end
