"""How much of the MRR rests on the catalog's word and on dated facts, and how much on inference (semantics 3.1).

Here: sums of item MRR by what is known of the item. Not here: the shares made of them (`metrics.py`), inference itself (`policy.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.plans import NO_PLANS, Plans
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.pricing import TAX_UNKNOWN
from expansion_platform.domain.states import covers
from expansion_platform.domain.valuation import value_states


def closing_states(states: pd.DataFrame, month: str, timezone: str, rates: Mapping[str, str], catalog: Catalog) -> pd.DataFrame:
    """The item states that hold at a month's closing instant, with what they are worth then.

    Args:
        states: billing/item_states without excluded customers.
        month: whose closing instant.
        timezone: reporting time zone.
        rates: the closing instant's.
        catalog: policy and reporting currency.

    Raises:
        DataQualityError: naming items without a rate or that cannot be priced.
    """
    return value_states(states[covers(states, months.closing(month, timezone))], rates, catalog.policy, catalog.reporting_currency)


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
