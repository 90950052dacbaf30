"""Whether a month's data can be judged at all (semantics 5.8): broken or late data must not look like a drop.

Here: the checks before detection. Not here: invariants of one table (its package's `tables`), which stop a
month before it is written, so that duplicate items, negative quantities, unknown tiers and missing exchange
rates never come this far.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import decimal
from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.mrr import reconciliation
from expansion_platform.domain.mrr.states import covers

INFERRED = Fraction(2, 100)
ITEMS_CHANGED = Fraction(20, 100)
ONE_CUSTOMER = Fraction(50, 100)
RESTATED = Fraction(5, 1000)
RESTATED_MONTHS = 3
LATE_FACTS = ["backdated", "late_event", "fx_revision"]
"""Restatements that say the data was not whole. Your own decisions (catalog, policy, merges) and the code's
change both sides of a comparison.
"""
LATE_USAGE = ["late_usage"]
"""Where usage is known only by the bill every month is restated by it, and the first-reported baseline lacks
as much: a note, not a stop.
"""
FEWEST_ITEMS = 30
"""A count of items under this changes by a fifth through a handful of customers: no sign of broken data."""

USED_MONTHS = 3
FEWEST_METERED = 10
"""Half of fewer metered items may stop being used by their customers' own choice."""


@dataclass(frozen=True)
class Gate:
    """`failed` stops the rules; `warnings` are reported with the findings of the rules."""

    failed: tuple[str, ...]
    warnings: tuple[str, ...]


def gate(
    month: str,
    *,
    read_until: pd.Timestamp | None,
    closes: pd.Timestamp,
    customer_months: pd.DataFrame,
    movements: pd.DataFrame,
    causes: pd.DataFrame,
    rollforward: pd.DataFrame,
    coverage: pd.DataFrame,
    restatements: pd.DataFrame,
    in_use: Sequence[int],
    catalogued: bool,
    shown: Callable[[str], str] = str,
) -> Gate:
    """Judges the data behind a month.

    Args:
        month: the newest closed month.
        read_until: when Stripe was last read completely.
        closes: when the month closes.
        customer_months: mrr/customer_months of the month and the one before.
        movements: mrr/movements of the month.
        causes: mrr/causes of the month.
        rollforward: metrics/rollforward of the month.
        coverage: metrics/coverage of the month.
        restatements: metrics/restatements of the three months before (`restatement_window`).
        in_use: `metered_in_use` of the month.
        catalogued: the catalog names products. Without one everything is inferred, which is a warning; with
            one, 2 % is a gap in it.
        shown: how a customer is named in a message.
    """
    failed = []
    if read_until is None or read_until < closes:
        failed.append(f"Stripe was last read at {read_until or 'no time'}, before {month} closed at {closes}")
    here = customer_months[customer_months["month"] == month]
    identities: list[Callable[[], None]] = [
        lambda: reconciliation.causes_explain_movements(movements, causes),
        lambda: reconciliation.customers_tie(here, movements),
        lambda: reconciliation.months_chain(customer_months),
        lambda: reconciliation_totals.segments_sum(rollforward),
    ]
    failed += [problem for check in identities for problem in _problem(check)]
    failed += _items_changed(month, customer_months)
    failed += _unmetered(month, in_use)
    inferred = _share(coverage, "inferred_mrr_share")
    if catalogued and inferred >= INFERRED:
        failed.append(
            f"{_percent(inferred)} of MRR is in products the catalog does not name; 2 % is the most"
        )
    opening = int(rollforward.loc[rollforward["dimension"] == "total", "opening"].sum())
    failed += _restated(restatements, opening, LATE_FACTS)
    warnings = [] if catalogued else ["there is no catalog, so what products are was inferred"]
    return Gate(
        tuple(failed), (*warnings, *_restated(restatements, opening, LATE_USAGE), *_one_customer(here, shown))
    )


def restatement_window(month: str) -> list[str]:
    """The months whose restatements show whether the baseline is still right."""
    return months.between(months.shift(month, -RESTATED_MONTHS), months.shift(month, -1))


def metered_in_use(states: pd.DataFrame, month: str, timezone: str, statuses: Collection[str]) -> list[int]:
    """How many metered items had usage in each of the three months before, and in the month.

    Of those that count when the month ends.

    An item that a customer gave up needs no explanation and is not counted; an item that is still paid for,
    and suddenly has no usage, needs one.

    Args:
        states: billing/item_states of metered items (item, status, quantity, valid_from, valid_to).
        month: the month judged.
        timezone: reporting time zone.
        statuses: those that count.
    """
    metered_items = states[
        states["item"].isin(
            states.loc[
                covers(states, months.closing(month, timezone)) & states["status"].isin(statuses), "item"
            ]
        )
    ]
    used = metered_items[
        np.array([decimal(quantity) > 0 for quantity in metered_items["quantity"]], dtype=bool)
    ]
    return [
        int(covers(used, months.closing(name, timezone)).sum())
        for name in months.between(months.shift(month, -USED_MONTHS), month)
    ]


def _unmetered(month: str, in_use: Sequence[int]) -> Iterator[str]:
    *before, now = in_use
    usual = Fraction(sum(before), len(before))
    if usual >= FEWEST_METERED and now < usual / 2:
        yield (
            f"{now} metered items had usage in {month}, {float(usual):.0f} of the same a month in the three "
            "before: were events not reported?"
        )


def _items_changed(month: str, customer_months: pd.DataFrame) -> Iterator[str]:
    items = customer_months.groupby("month")["items"].sum()
    before, now = (int(items.get(name, 0)) for name in (months.shift(month, -1), month))
    if before >= FEWEST_ITEMS and abs(now - before) > ITEMS_CHANGED * before:
        yield f"counting items went from {before} to {now} within a month"


def _restated(restatements: pd.DataFrame, opening: int, reasons: list[str]) -> Iterator[str]:
    """Earlier months whose closing MRR was restated too much for these reasons.

    Gains and losses of customers are added up.
    """
    closing = restatements[(restatements["metric"] == "closing") & restatements["reason"].isin(reasons)]
    for name, moved in closing["difference"].abs().groupby(closing["month"]).sum().items():
        if int(moved) >= RESTATED * opening:
            share = f"{float(Fraction(int(moved), max(1, opening)) * 100):.1f} % of opening MRR"
            yield f"{name} was restated by {share} since it closed ({', '.join(reasons)}); 0.5 % is the most"


def _one_customer(customer_months: pd.DataFrame, shown: Callable[[str], str]) -> Iterator[str]:
    amounts = customer_months.set_index("customer")
    moved = (amounts["closing"] - amounts["opening"]).abs()
    total = int(moved.sum())
    if total and Fraction(int(moved.max()), total) > ONE_CUSTOMER:
        yield (
            f"{shown(str(moved.idxmax()))} alone is {_percent(Fraction(int(moved.max()), total))} of all "
            "that moved"
        )


def _share(coverage: pd.DataFrame, metric: str) -> Fraction:
    rows = coverage[(coverage["metric"] == metric) & (coverage["denominator"] > 0)]
    return (
        Fraction(int(rows["numerator"].iloc[0]), int(rows["denominator"].iloc[0]))
        if len(rows)
        else Fraction(0)
    )


def _problem(check: Callable[[], None]) -> Iterator[str]:
    try:
        check()
    except DataQualityError as error:
        yield str(error)


def _percent(share: Fraction) -> str:
    return f"{round(share * 100)} %"
