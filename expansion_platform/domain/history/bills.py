"""What became of a subscription's bills (reference 2.5.1, 2.5.13).

They show its statuses and pauses once the events of them are gone (Stripe keeps 30 days).

Here: spells of `incomplete`, `past_due` and `unpaid`, and paused collection, inferred from whole invoices.
Not here: lines (`facts.py`), and how events and today's subscription override what is inferred (`status.py`).

Stripe's status follows the newest finalized bill: not paid when it should be, the subscription is `past_due`;
paid, voided or marked uncollectible by a person, it is `active` again. An `unpaid` subscription keeps getting
bills, but they stay drafts. A paused collection's bill is voided or marked uncollectible as it is finalized,
and never charged; one that was charged, or waited, was given up by a person or by the retries' end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from expansion_platform.domain.core.rows import SECOND
from expansion_platform.domain.history.records import DRAFT_LEFT, Bill, Event, Subscription
from expansion_platform.domain.history.timelines import Mark

_DRAFT_LEFT = DRAFT_LEFT // pd.Timedelta(microseconds=1)
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
AT_ONCE = 5 * MINUTE
"""Stripe charges, voids or gives up a bill within seconds of finalizing it; what takes longer was somebody's
or a retry's doing.
"""
FIRST_PAYMENT = 23 * HOUR
"""An `incomplete` subscription expires after 23 hours: a first bill paid later was in the hands of a slow
payment method.
"""
FORGIVEN, PAUSED = "user_forgiven", "subscription_paused"
"""Why a bill is uncollectible: a person marked it, or collection was paused."""


class _Spell(NamedTuple):
    """A bill not paid when it should have been.

    Since `failed`, until it was settled, replaced by the next finalized bill, or the end.
    """

    bill: Bill
    failed: int
    settled: int | None
    end: int | None


def bill_statuses(subscription: Subscription, events: list[Event]) -> list[Mark[str]]:
    """Statuses that invoices show: only those other than active, and the return to it.

    A status begins where its bill was not paid.

    `unpaid` begins where its bill was marked uncollectible. Without that no bill dates it: it begins with the
    bill it is for, confidence `renewal`, unless an event dates it.
    """
    marks: list[Mark[str]] = []
    known = subscription.known
    shown: list[int] | None = None
    final = [
        bill
        for bill in subscription.bills
        if bill.finalized is not None and _pause(bill) is None and not _tried(subscription, bill)
    ]
    for bill, replaced in zip(final, [*(bill.finalized for bill in final[1:]), None], strict=False):
        failed, settled = bill.due or bill.finalized or bill.created, _settled(subscription, bill)
        late = settled is None or (settled > failed and settled > failed + _tolerance(subscription, bill))
        # Nearly all bills: paid at once, they change nothing.
        if not late and (not marks or marks[-1].value == "active"):
            continue
        evidence = [(bill.id, failed, failed + 1 if settled is None else max(settled, failed + 1))]
        if late and failed <= known and (replaced is None or failed < replaced):
            ends = [
                at
                for at in (settled, _billed_next(subscription, bill), subscription.ended_at)
                if at is not None
            ]
            spell = _Spell(bill, failed, settled, min(ends, default=None))
            shown = list(_shows_unpaid(subscription, events)) if shown is None else shown
            for at, status, confidence in _failing(subscription, events, spell, shown):
                _add(marks, Mark(at, status, "invoice_line", confidence, evidence))
        if settled is not None and (replaced is None or settled <= replaced):
            _add(marks, Mark(settled, "active", "invoice_line", "exact", evidence))
    return marks


def _add(marks: list[Mark[str]], mark: Mark[str]) -> None:
    """Add a mark that changes something: before the first, the subscription is active."""
    if mark.value != (marks[-1].value if marks else "active"):
        marks.append(mark)


def _tried(subscription: Subscription, bill: Bill) -> bool:
    """Whether a bill was made during the trial, which goes on whatever becomes of it."""
    start, end = subscription.trial_start, subscription.trial_end
    return start is not None and end is not None and start <= bill.created < end


def _first(subscription: Subscription, bill: Bill) -> bool:
    """Whether a bill was charged to begin the subscription. A source may not say why bills were made."""
    begins = bill.reason is None and bill.created - subscription.created <= AT_ONCE
    return bill.due is None and (begins or bill.reason == "subscription_create")


def _tolerance(subscription: Subscription, bill: Bill) -> int:
    """How long a bill may take to be paid and still count as paid at once.

    The first one is answered while the customer is there.
    """
    if bill.due is not None:
        return 0
    return MINUTE if _first(subscription, bill) else AT_ONCE


def _settled(subscription: Subscription, bill: Bill) -> int | None:
    """When a bill stopped making its subscription past due.

    A paid one without a date was paid as it was finalized.
    """
    if _forgiven(subscription, bill):
        return bill.uncollectible
    if bill.status == "paid":
        return bill.paid or bill.finalized
    return bill.voided if bill.status == "void" else None


def _forgiven(subscription: Subscription, bill: Bill) -> bool:
    """Whether a person marked a bill uncollectible, and it did not leave the subscription unpaid.

    Where Stripe does not say why, it was a person if it was done within a day, when retries go on, or before
    the bill was due.
    """
    if bill.uncollectible is None or bill.finalized is None:
        return False
    soon = bill.why_uncollectible is None and bill.uncollectible <= (bill.due or bill.finalized + DAY)
    following = _billed_next(subscription, bill)
    shown = _shows_unpaid(subscription, subscription.events)
    return (soon or bill.why_uncollectible == FORGIVEN) and not any(
        bill.uncollectible < at <= (following or at) for at in shown
    )


def _billed_next(subscription: Subscription, bill: Bill) -> int | None:
    return next(
        (
            other.created
            for other in subscription.bills
            if other.finalized is not None and other.created > bill.created
        ),
        None,
    )


def _failing(
    subscription: Subscription, events: list[Event], spell: _Spell, shown_unpaid: list[int]
) -> Iterator[tuple[int, str, str]]:
    """The statuses of a spell: (since, status, confidence)."""
    bill, failed, settled, _ = spell
    if _first(subscription, bill) and settled is not None:
        yield failed, "incomplete" if settled - failed <= FIRST_PAYMENT else "active", "exact"
        return
    shown = [at for at in shown_unpaid if failed < at and (spell.end is None or at <= spell.end)]
    turned = [
        event.at
        for event in events
        if event.state.get("status") == "unpaid" and event.previous.get("status", "unpaid") != "unpaid"
    ]
    dated = any(failed < at and (spell.end is None or at <= spell.end) for at in turned)
    given_up = bill.uncollectible
    if given_up is None or not failed < given_up or min(shown, default=given_up) < given_up:
        yield (failed, "past_due", "exact") if dated or not shown else (failed, "unpaid", "renewal")
        return
    yield failed, "past_due", "exact"
    if spell.end is None or given_up < spell.end:
        if shown or _left_unpaid(subscription, spell):
            yield from [] if dated else [(given_up, "unpaid", "exact")]
        elif spell.end is None and subscription.status == "active":
            yield given_up, "active", "exact"


def _left_unpaid(subscription: Subscription, spell: _Spell) -> bool:
    """Whether a given-up bill left its subscription unpaid, where nothing shows it.

    Not if it went on being billed, or is something else today.
    """
    return (
        spell.end is not None
        and spell.end in (spell.settled, subscription.ended_at)
        and spell.end != _billed_next(subscription, spell.bill)
    )


def _shows_unpaid(subscription: Subscription, events: list[Event]) -> Iterator[int]:
    """Instants by which the subscription was unpaid, as an invoice or an event shows."""
    known = subscription.known
    yield from (bill.created for bill in subscription.bills if _left(bill, known))
    yield from (
        event.at for event in events if event.previous.get("status", event.state.get("status")) == "unpaid"
    )
    if subscription.status == "unpaid":
        yield subscription.observed_at


def bill_pauses(subscription: Subscription, statuses: list[Mark[str]]) -> list[Mark[str | None]]:
    """Pauses that renewals' invoices show.

    Voided, given up or left as drafts at once, until the next bill that was not.

    Dated by the first such bill, confidence `renewal`: the pause began some time in the period before it.
    `statuses` are the subscription's: drafts made while a bill before them is owed are read as those of an
    unpaid subscription, not of a pause.
    """
    marks: list[Mark[str | None]] = []
    known = subscription.known
    for bill in subscription.bills:
        if bill.reason != "subscription_cycle" or (bill.status == "draft" and not _left(bill, known)):
            continue
        behavior = _pause(bill)
        if (
            behavior == "keep_as_draft"
            and next((mark.value for mark in reversed(statuses) if mark.at <= bill.created), "") == "unpaid"
        ):
            continue
        if behavior is not None and _billed_again(subscription, bill):
            behavior = None
        if behavior != (marks[-1].value if marks else None):
            marks.append(
                Mark(
                    bill.created,
                    behavior,
                    "invoice_line",
                    "renewal",
                    [(bill.id, bill.created, bill.created + 1)],
                )
            )
    return marks


def _pause(bill: Bill) -> str | None:
    """The behaviour of the pause that one invoice shows by itself.

    Nothing is paused where a charge was tried, or somebody waited before giving up.
    """
    if bill.status == "draft":
        return "keep_as_draft"
    if bill.attempts or bill.finalized is None:
        return None
    if bill.why_uncollectible is not None or bill.uncollectible is not None:
        at_once = bill.uncollectible is not None and bill.uncollectible - bill.finalized <= AT_ONCE
        return (
            "mark_uncollectible"
            if bill.why_uncollectible == PAUSED or (bill.why_uncollectible is None and at_once)
            else None
        )
    return "void" if bill.voided is not None and bill.voided - bill.finalized <= AT_ONCE else None


def _billed_again(subscription: Subscription, bill: Bill) -> bool:
    """Whether another bill that stands, not of a pause either, bills the same period of an item.

    Nobody bills a paused period again.
    """
    others = {
        other.id
        for other in subscription.bills
        if other.id != bill.id and other.status in ("open", "paid") and _pause(other) is None
    }
    regular = [line for line in subscription.lines if not line.proration]
    periods = {(line.item, line.start) for line in regular if line.invoice == bill.id}
    return any(line.invoice in others and (line.item, line.start) in periods for line in regular)


def _left(bill: Bill, known: int) -> bool:
    """Whether a bill was left a draft for days, finalized by a person since or not."""
    until = known if bill.status == "draft" else bill.finalized or bill.created
    return bill.created < until - _DRAFT_LEFT
