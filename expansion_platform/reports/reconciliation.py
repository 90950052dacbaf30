"""What `expansion reconcile` says: is the rebuilt history Stripe's present, and is our MRR Stripe's?

Here: putting the two comparisons into a table and sentences. Not here: the comparisons
(`domain/metrics/reconciliation_totals.py`, `domain/metrics/parity.py`), printing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pandas as pd

from expansion_platform.comparison import items_compared, months_compared, stripes_mrr
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.wording import counted, money
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.history.reconciliation import history_matches_stripe
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.tables.parity import UNEXPLAINED
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.resources import Platform

NAMED = 10


@dataclass(frozen=True)
class Reconciled:
    """Sentences and, where Stripe's MRR is known, a table; `ok` when nothing has to be looked at."""

    ok: bool
    history: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def reconciled(platform: Platform, months: Sequence[str]) -> Reconciled:
    """Compares the stored tables with what was last read of Stripe.

    Months are compared with Stripe's own MRR, too, where it is configured.

    Raises:
        ConfigurationError, WarehouseError: Stripe's MRR is configured and cannot be read.
        DataQualityError: a month that cannot be valued.
    """
    matches, history = _history(platform)
    if platform.settings.expansion_stripe_mrr is None:
        note = (
            "MRR was not compared: set EXPANSION_STRIPE_MRR to `change_events`, or to the CSV of the "
            "dashboard's MRR per subscriber per month"
        )
        return Reconciled(matches, history, (), (), (note,))
    stripes = stripes_mrr(platform, list(months))
    if stripes.empty:
        return Reconciled(False, history, (), (), ("Stripe's MRR is known of none of these months",))
    compared = months_compared(platform, stripes)
    totals, differences = compared[metrics.StripeParity], compared[metrics.StripeDifferences]
    allowed = Decimal(platform.settings.expansion_max_unexplained)
    shares = zip(totals["month"], totals["unexplained_share"], strict=True)
    over = [month for month, share in shares if pd.notna(share) and Decimal(share) > allowed]
    header = ("month", "ours", "Stripe's", "customers", "differing", "of it, by reason", "unexplained")
    rows = [
        _row(row, differences[differences["month"] == row.month], platform.settings.expansion_currency)
        for row in totals.itertuples()
    ]
    left = _largest(differences)
    items_of = items_compared(platform) if len(left) else None
    notes = [
        _difference_note(row, platform.settings.expansion_currency, items_of) for row in left.itertuples()
    ]
    notes += (
        [
            f"more than {allowed:.2%} of Stripe's MRR is unexplained in {', '.join(over)} "
            "(EXPANSION_MAX_UNEXPLAINED)"
        ]
        if over
        else []
    )
    return Reconciled(matches and not over, history, header, rows, notes or ["every difference has a reason"])


def _history(platform: Platform) -> tuple[bool, str]:
    models = (billing.ItemStates, billing.Quarantine, stripe.Subscriptions, stripe.SubscriptionItems)
    try:
        count = history_matches_stripe(*(platform.lake.read(model) for model in models))
    except DataQualityError as error:
        return False, str(error)
    return (
        True,
        f"the rebuilt history ends in Stripe's present: {counted(count, 'item')} with its price and quantity",
    )


def _row(total: Any, differences: pd.DataFrame, currency: str) -> tuple[str, ...]:
    known = differences[differences["reason"] != UNEXPLAINED]
    sums = known.groupby("reason")["difference"].agg(["size", "sum"]).sort_values("size", ascending=False)
    reasons = ", ".join(
        f"{reason} {row['size']} ({money(int(row['sum']), currency)})" for reason, row in sums.iterrows()
    )
    share = "" if pd.isna(total.unexplained_share) else f" ({Decimal(total.unexplained_share):.2%})"
    return (
        total.month,
        money(total.ours, currency),
        money(total.stripes, currency),
        f"{total.customers:,}",
        f"{total.differing:,}",
        reasons,
        f"{money(total.unexplained, currency)}{share}",
    )


def _largest(differences: pd.DataFrame) -> pd.DataFrame:
    """The customers with the largest unexplained differences, each in its worst month."""
    left = differences[differences["reason"] == UNEXPLAINED]
    worst = left.assign(size=left["difference"].abs()).sort_values(
        ["size", "customer"], ascending=[False, True]
    )
    return worst.drop_duplicates("customer").head(NAMED)


def _difference_note(row: Any, currency: str, items_of: Callable[[str], pd.DataFrame] | None) -> str:
    """One unexplained difference, with the items of which Stripe has another quantity."""
    apart = pd.DataFrame() if items_of is None else items_of(row.month)
    items = (
        []
        if apart.empty
        else [
            f"; {each.item} {each.ours} here, {each.stripes} there"
            for each in apart[apart["customer"] == row.customer].itertuples()
        ]
    )
    return (
        f"{row.customer} {row.month}: ours {money(row.ours, currency)}, Stripe's "
        f"{money(row.stripes, currency)}; unexplained{''.join(items)}"
    )
