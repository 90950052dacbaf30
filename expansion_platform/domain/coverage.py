"""How much of the MRR rests on the catalog's word and on dated facts, and how much on inference (semantics 3.1).

Here: sums of item MRR by what is known of the item. Not here: the shares made of them (`metrics.py`), inference itself (`policy.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import Amount, metric_rows
from expansion_platform.domain.mrr import included, rates_by_month
from expansion_platform.domain.plans import NO_PLANS, Plans, beginnings
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.pricing import TAX_UNKNOWN
from expansion_platform.domain.schemas import billing, metrics
from expansion_platform.domain.slice_sums import slice_sums
from expansion_platform.domain.states import closing_states

COVERAGE: dict[str, tuple[Amount, Amount]] = {
    "inferred_mrr_share": (lambda s: s.inferred, lambda s: s.closing),
    "inferred_plans_mrr_share": (lambda s: s.inferred_plans, lambda s: s.closing),
    "low_confidence_mrr_share": (lambda s: s.low_confidence, lambda s: s.closing),
    "tax_unknown_mrr_share": (lambda s: s.tax_unknown, lambda s: s.closing),
}
"""Metric -> numerator and denominator, for metrics/coverage."""


def mrr_by_trust(valued: pd.DataFrame, catalog: Catalog, plans: Plans = NO_PLANS) -> dict[str, int]:
    """Sums of one instant, in minor units of the reporting currency.

    Args:
        valued: item states with `mrr_minor`, as `valuation.value_states` returns them.
        catalog: whose entries are looked up.
        plans: prices inferred to be plans before the instant.

    Returns:
        `closing`: all MRR; `inferred`: of items the catalog is silent on; `inferred_plans`: of items whose price is a plan by inference;
        `low_confidence`: of states not dated by a fact; `tax_unknown`: of prices with tax inside at a rate nobody knows, so that it has the tax.
    """
    mrr = valued["mrr_minor"]
    return {
        "closing": int(mrr.sum()),
        "inferred": int(mrr[inferred(valued, catalog)].sum()),
        "inferred_plans": int(mrr[valued["price"].isin(plans.prices)].sum()),
        "low_confidence": int(mrr[valued["confidence"] != "exact"].sum()),
        "tax_unknown": int(mrr[valued["scheme_json"].str.contains(TAX_UNKNOWN, regex=False)].sum()),
    }


def coverage(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/coverage without hashes: what closing MRR rests on, from the total's sums with those of `coverage.mrr_by_trust` in them."""
    return metric_rows(sums[sums["dimension"] == "total"], COVERAGE)


def mrr_by_product(valued: pd.DataFrame) -> dict[str, int]:
    """MRR of each product, minor units; products that carry none are left out."""
    totals = valued.groupby("product")["mrr_minor"].sum()
    return {str(product): int(amount) for product, amount in totals.items() if amount}


def inferred(items: pd.DataFrame, catalog: Catalog) -> pd.Series[bool]:
    """Whether each row's entry is inferred, because the catalog says nothing of its price or product."""
    silent = {
        (price, product): catalog.entry(price, product, "licensed").inferred
        for price, product in items[["price", "product"]].drop_duplicates().itertuples(index=False, name=None)
    }
    return pd.Series([silent[pair] for pair in zip(items["price"], items["product"], strict=True)], index=items.index, dtype=bool)


def compute_coverage(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/coverage of some months."""
    sums, catalog, timezone = slice_sums(wanted, inputs), inputs.catalog, inputs.timezone
    states = included(inputs.frame(billing.ItemStates), catalog)
    rates = rates_by_month(inputs.frame(billing.FxRates))
    begun = beginnings(states, catalog)

    def compute(month: str) -> Frames:
        held = closing_states(states, month, timezone, rates.get(month, {}), catalog)
        trust = mrr_by_trust(held, catalog, begun.plans(months.closing(month, timezone)))
        return {metrics.Coverage: coverage(sums[sums["month"] == month].assign(**trust))}

    return month_by_month(wanted, compute)
