"""Whether a month's data can be judged at all (semantics 5.8): broken or late data must not look like a drop.

Here: the checks before detection. Not here: invariants of one table (`schemas/`), which stop a month before it is written, so that duplicate items,
negative quantities, unknown tiers and missing exchange rates never come this far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.errors import DataQualityError

INFERRED = Fraction(2, 100)
ITEMS_CHANGED = Fraction(20, 100)
ONE_CUSTOMER = Fraction(50, 100)
FEWEST_ITEMS = 30
"""A count of items under this changes by a fifth through a handful of customers: no sign of broken data."""


@dataclass(frozen=True)
class Gate:
    """`failed` stops the rules; `warnings` are told with what they find."""

    failed: tuple[str, ...]
    warnings: tuple[str, ...]


def gate(
    month: str,
    *,
    read_until: pd.Timestamp | None,
    timezone: str,
    customer_months: pd.DataFrame,
    movements: pd.DataFrame,
    causes: pd.DataFrame,
    rollforward: pd.DataFrame,
    coverage: pd.DataFrame,
    catalogued: bool,
) -> Gate:
    """Judges the data behind a month.

    Args:
        month: the newest closed month.
        read_until: when Stripe was last read completely.
        timezone: reporting time zone.
        customer_months: mrr/customer_months of the month and the one before.
        movements: mrr/movements of the month.
        causes: mrr/causes of the month.
        rollforward: metrics/rollforward of the month.
        coverage: metrics/coverage of the month.
        catalogued: the catalog names products. Without one everything is inferred, which is a warning; with one, 2 % is a gap in it.
    """
    closing = months.closing(month, timezone)
    failed = []
    if read_until is None or read_until < closing:
        failed.append(f"Stripe was last read at {read_until or 'no time'}, before {month} closed at {closing}")
    here = customer_months[customer_months["month"] == month]
    identities: list[Callable[[], None]] = [
        lambda: reconciliation.causes_explain_movements(movements, causes),
        lambda: reconciliation.customers_tie(here, movements),
        lambda: reconciliation.months_chain(customer_months),
        lambda: reconciliation.segments_sum(rollforward),
    ]
    failed += [problem for check in identities for problem in _problem(check)]
    failed += _items_changed(month, customer_months)
    inferred = _share(coverage, "inferred_mrr_share")
    if catalogued and inferred >= INFERRED:
        failed.append(f"{_percent(inferred)} of MRR is in products the catalog does not name; 2 % is the most")
    warnings = [] if catalogued else ["there is no catalog, so what products are was inferred"]
    return Gate(tuple(failed), (*warnings, *_one_customer(movements)))


def _items_changed(month: str, customer_months: pd.DataFrame) -> Iterator[str]:
    items = customer_months.groupby("month")["items"].sum()
    before, now = (int(items.get(name, 0)) for name in (months.shift(month, -1), month))
    if before >= FEWEST_ITEMS and abs(now - before) > ITEMS_CHANGED * before:
        yield f"counting items went from {before} to {now} within a month"


def _one_customer(movements: pd.DataFrame) -> Iterator[str]:
    moved = movements.set_index("customer")["delta"].abs()
    total = int(moved.sum())
    if total and Fraction(int(moved.max()), total) > ONE_CUSTOMER:
        yield f"{moved.idxmax()} alone is {_percent(Fraction(int(moved.max()), total))} of all that moved"


def _share(coverage: pd.DataFrame, metric: str) -> Fraction:
    rows = coverage[(coverage["metric"] == metric) & (coverage["denominator"] > 0)]
    return Fraction(int(rows["numerator"].iloc[0]), int(rows["denominator"].iloc[0])) if len(rows) else Fraction(0)


def _problem(check: Callable[[], None]) -> Iterator[str]:
    try:
        check()
    except DataQualityError as error:
        yield str(error)


def _percent(share: Fraction) -> str:
    return f"{round(share * 100)} %"
