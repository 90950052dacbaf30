"""What became of a subscription's bills, and so its statuses and pauses once the events that told them are gone (reference 2.5.1, 2.5.13).

Here: spells of `incomplete`, `past_due` and `unpaid`, and paused collection, inferred from whole invoices. Not here: lines
(`history_facts.py`), and how events and today's subscription override what is inferred (`history_status.py`).

Stripe's status follows the newest finalized bill: not paid when it should be, the subscription is `past_due`; paid or voided, it is
`active` again. An `unpaid` subscription keeps getting bills, but they stay drafts.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from expansion_platform.domain.history_facts import Mark
from expansion_platform.domain.history_reading import SECOND
from expansion_platform.domain.history_records import DRAFT_LEFT, Bill, Event, Subscription

MICROSECOND = pd.Timedelta(microseconds=1)
HOUR, DAY = 3_600 * SECOND, 86_400 * SECOND
AT_ONCE = HOUR
"""Stripe settles, voids or gives up a bill at once within minutes of finalizing it; what takes longer was somebody's or a retry's doing."""
FIRST_PAYMENT = 23 * HOUR
"""An `incomplete` subscription expires after 23 hours: a first bill paid later was in the hands of a slow payment method."""


def bill_statuses(subscription: Subscription, events: list[Event]) -> list[Mark[str]]:
    """Statuses that bills tell of: only those other than active, and the return to it. A status begins where its bill was not paid.

    `unpaid` has no date in a bill: it is dated by the bill it is for, confidence `renewal`, unless an event dates it.
    """
    marks: list[Mark[str]] = []
    known = known_until(subscription)
    final = [bill for bill in subscription.bills if bill.finalized is not None and _pause(bill) is None]
    for place, bill in enumerate(final):
        replaced = next((newer.finalized for newer in final[place + 1 :]), None)
        failed, settled = bill.due or bill.finalized or bill.created, _settled(bill)
        evidence = [(failed, failed + 1 if settled is None else max(settled, failed + 1), bill.id)]
        late = settled is None or settled > failed + (0 if bill.due else AT_ONCE)
        if late and failed <= known and (replaced is None or failed < replaced):
            status = _failing(subscription, events, bill, failed, settled)
            _add(marks, Mark(failed, status, "invoice_line", "renewal" if status == "unpaid" else "exact", evidence))
        if settled is not None and (replaced is None or settled <= replaced):
            _add(marks, Mark(settled, "active", "invoice_line", "exact", evidence))
    return marks


def _add(marks: list[Mark[str]], mark: Mark[str]) -> None:
    """Add a mark that changes something: before the first, the subscription is active."""
    if mark.value != (marks[-1].value if marks else "active"):
        marks.append(mark)


def known_until(subscription: Subscription) -> int:
    """The newest instant anything of the subscription was read at: a row that stays as it is keeps the instant it was first read."""
    return max([subscription.observed_at, *(item.observed_at for item in subscription.items), *(bill.observed_at for bill in subscription.bills)])


def _settled(bill: Bill) -> int | None:
    """When a bill stopped being owed; a paid one without a date was paid as it was finalized."""
    if bill.status == "paid":
        return bill.paid or bill.finalized
    return bill.voided if bill.status == "void" else None


def _given_up_at_once(bill: Bill) -> bool:
    return bill.uncollectible is not None and bill.finalized is not None and bill.uncollectible - bill.finalized <= AT_ONCE


def _failing(subscription: Subscription, events: list[Event], bill: Bill, failed: int, settled: int | None) -> str:
    first = bill.reason == "subscription_create" and bill.due is None
    if first and settled is not None:
        return "incomplete" if settled - failed <= FIRST_PAYMENT else "active"
    until = next((other.created for other in subscription.bills if other.finalized is not None and other.created > bill.created), None)
    ends = [at for at in (settled, until, subscription.ended_at) if at is not None]
    shown = [at for at in _shows_unpaid(subscription, events) if failed < at <= min(ends, default=at)]
    turned = [event.at for event in events if event.state.get("status") == "unpaid" and event.previous.get("status", "unpaid") != "unpaid"]
    dated = any(failed < at <= min(ends, default=at) for at in turned)
    return "unpaid" if shown and not dated else "past_due"


def _shows_unpaid(subscription: Subscription, events: list[Event]) -> Iterator[int]:
    """Instants at which something tells that the subscription was unpaid by then."""
    known = known_until(subscription)
    yield from (bill.created for bill in subscription.bills if _left(bill, known))
    yield from (event.at for event in events if event.previous.get("status", event.state.get("status")) == "unpaid")
    if subscription.status == "unpaid":
        yield subscription.observed_at


def bill_pauses(subscription: Subscription, statuses: list[Mark[str]]) -> list[Mark[str | None]]:
    """Pauses that renewals' bills tell of: voided, given up or left as drafts at once, until the next bill that was not.

    Dated by the first such bill, confidence `renewal`: the pause began some time in the period before it. `statuses` are the
    subscription's: drafts made while a bill before them is owed are read as those of an unpaid subscription, not of a pause.
    """
    marks: list[Mark[str | None]] = []
    known = known_until(subscription)
    for bill in subscription.bills:
        if bill.reason != "subscription_cycle" or (bill.status == "draft" and not _left(bill, known)):
            continue
        behavior = _pause(bill)
        if behavior == "keep_as_draft" and next((mark.value for mark in reversed(statuses) if mark.at <= bill.created), "") == "unpaid":
            continue
        if behavior != (marks[-1].value if marks else None):
            marks.append(Mark(bill.created, behavior, "invoice_line", "renewal", [(bill.created, bill.created + 1, bill.id)]))
    return marks


def _pause(bill: Bill) -> str | None:
    if bill.status == "draft":
        return "keep_as_draft"
    if _given_up_at_once(bill):
        return "mark_uncollectible"
    voided_at_once = bill.voided is not None and bill.finalized is not None and bill.voided - bill.finalized <= AT_ONCE
    return "void" if voided_at_once else None


def _left(bill: Bill, known: int) -> bool:
    return bill.status == "draft" and bill.created < known - DRAFT_LEFT // MICROSECOND
