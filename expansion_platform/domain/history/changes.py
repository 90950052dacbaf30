"""The history of every subscription item, as changes, from the staged Stripe tables.

What `billing/item_changes` logs (reference 2.4, 2.5).

Here: `changes`, and one subscription's timelines from all its facts. Not here: what each fact says (facts,
status, bills, discounts, trials, usage, each in its own `history_*.py`), how the log writes changes
(`log_rows.py`) and what is news of them (`log.py`), rows of states (`item_states.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

import pandas as pd

from expansion_platform.domain.core.rows import uncollected
from expansion_platform.domain.history.billed_terms import billed_prices
from expansion_platform.domain.history.discounts import windows
from expansion_platform.domain.history.events import in_order
from expansion_platform.domain.history.facts import item_marks
from expansion_platform.domain.history.log_rows import written
from expansion_platform.domain.history.records import Line, Staged, State, Subscription, unreadable
from expansion_platform.domain.history.status import pause_marks, status_marks
from expansion_platform.domain.history.subscriptions import subscriptions
from expansion_platform.domain.history.taxes import TaxRates, percentages, tax_marks
from expansion_platform.domain.history.tiers import whole_lines
from expansion_platform.domain.history.timelines import ItemMark, Mark, MonthUsed, Timelines
from expansion_platform.domain.history.trials import item_trials
from expansion_platform.domain.history.updates import settle_updates
from expansion_platform.domain.history.usage import Billed, Metered, by_meter, is_usage, metered, months_of
from expansion_platform.domain.pricing.terms import Coupon, Price, coupons, in_currency, prices


@uncollected()
def changes(staged: Staged, timezone: str = "UTC") -> pd.DataFrame:
    """All changes of the subscriptions in the tables.

    Pure: the same tables give the same changes, in whatever order they came. Subscriptions that never started
    have none. Usage of metered items is by calendar month of `timezone` (semantics 1.5).
    """
    listed, problems = prices(staged.prices)
    prices_in = cache(lambda currency: in_currency(listed, currency))
    unreadable_prices = problems.keys() - set(staged.prices.loc[staged.prices["embedded"], "id"])
    billed = billed_prices(staged.invoice_lines, staged.invoice_items, listed, unreadable_prices)
    coupon_terms, meters, tax_rates = (
        coupons(staged.coupons),
        metered(staged.meter_usage),
        percentages(staged.tax_rates),
    )
    timelines = (
        _timelines(
            each, prices_in(each.currency), billed.get(each.id, {}), coupon_terms, meters, tax_rates, timezone
        )
        for each in subscriptions(staged)
    )
    return written(timelines, coupon_terms)


def _timelines(
    subscription: Subscription,
    listed: Mapping[str, Price],
    own_terms: Mapping[str, Price],
    coupon_terms: Mapping[str, Coupon],
    meters: Mapping[tuple[str, str], Metered],
    tax_rates: TaxRates,
    timezone: str,
) -> Timelines:
    """All changes of one subscription, from its facts.

    `own_terms` are prices whose terms only its invoices show: the log has to keep them.
    """
    price_terms = {**listed, **own_terms} if own_terms else listed
    subscription.events = in_order(subscription.events)
    taxes = tax_marks(subscription, tax_rates, price_terms)
    subscription.lines = whole_lines(subscription.lines, price_terms)
    settle_updates(subscription)
    subscription.lines, usage = _apart(subscription.lines, price_terms)
    marks = item_marks(subscription, subscription.events, price_terms)
    statuses = status_marks(subscription, subscription.events)
    discounts, discount_ends = windows(subscription, subscription.events, coupon_terms, price_terms)
    return Timelines(
        subscription.customer,
        subscription.id,
        subscription.currency,
        subscription.livemode,
        subscription.start_date,
        subscription.ended_at,
        statuses,
        pause_marks(subscription, subscription.events, statuses),
        discounts,
        discount_ends,
        item_trials(subscription, price_terms),
        {item: _that_lasted(own) for item, own in marks.items()},
        taxes,
        {
            item: list(_usage(subscription, item, own, usage, meters, price_terms, timezone))
            for item, own in marks.items()
        },
        subscription.unread,
        dict(own_terms),
    )


def _that_lasted(marks: list[ItemMark]) -> list[ItemMark]:
    """The marks without those that another follows in the same instant: what they say never was."""
    return [mark for mark, following in pairwise(marks) if following.at != mark.at] + marks[-1:]


def _usage(
    subscription: Subscription,
    item: str,
    marks: list[ItemMark],
    usage: list[Line],
    meters: Mapping[tuple[str, str], Metered],
    price_terms: Mapping[str, Price],
    timezone: str,
) -> Iterator[MonthUsed]:
    """What an item used in each month at each of its metered prices, up to that of the newest fact.

    By its meter, else by its bills.
    """
    first_marks = {
        mark.value.price: mark
        for mark in reversed(marks)
        if mark.value is not None and _is_metered(mark.value, price_terms)
    }
    if not first_marks:
        return
    ends = [
        at
        for at in (subscription.ended_at, marks[-1].at if marks[-1].value is None else None)
        if at is not None
    ]
    begun, ended = max(subscription.start_date, marks[0].at), min(ends, default=None)
    bills = Billed([line for line in usage if line.item == item])
    for price, first in first_marks.items():
        days = meters.get((subscription.customer, price_terms[price].meter or ""))
        known = max(marks[-1].at, subscription.known, 0 if days is None else days.end)
        for month in months_of(
            max(subscription.start_date, first.at), known + 1 if ended is None else ended, timezone
        ):
            counted = by_meter(days, month, begun, ended, known)
            found = counted or bills.used(month, ended)
            source = "meter" if counted is not None else "invoice_line" if found.evidence else "snapshot"
            confidence = "snapshot" if not found.whole else "renewal" if counted is None else "exact"
            evidence = [(name, month.start, month.end) for name in found.evidence]
            yield MonthUsed(price, month.end, Mark(month.start, found.quantity, source, confidence, evidence))


def _is_metered(state: State, price_terms: Mapping[str, Price]) -> bool:
    return state.price in price_terms and price_terms[state.price].usage_type == "metered"


def _apart(lines: list[Line], price_terms: Mapping[str, Price]) -> tuple[list[Line], list[Line]]:
    """Lines that show which items there were, and lines that show usage.

    In the former metered items have no quantity.
    """
    states = {line.state for line in lines}
    of_use = {state for state in states if _is_metered(state, price_terms) and not unreadable(state.quantity)}
    if not of_use:
        return lines, []
    item_lines = [
        line._replace(state=State(line.state.price, ""), metered=True) if line.state in of_use else line
        for line in lines
    ]
    return item_lines, [line for line in lines if line.state in of_use and is_usage(line)]
