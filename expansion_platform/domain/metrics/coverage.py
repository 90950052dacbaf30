"""How much of the MRR rests on the catalog's word and on dated facts, and how much on inference.

See semantics 3.1.

Here: sums of item MRR by what is known of the item. Not here: the shares made of them (`retention.py`),
inference itself (`catalog/catalog.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans, beginnings
from expansion_platform.domain.core import months
from expansion_platform.domain.core.encoding import encode
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.rows import Amount, metric_rows
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.closings import Closings, value_closings
from expansion_platform.domain.mrr.first_paid import included, rates_by_month
from expansion_platform.domain.pricing.schemes import TAX_UNKNOWN

KIND = ["product", "price", "confidence", "scheme_json"]
"""What says on what the MRR of an item state rests."""
COVERAGE: dict[str, tuple[Amount, Amount]] = {
    "inferred_mrr_share": (lambda s: s.inferred, lambda s: s.closing),
    "inferred_plans_mrr_share": (lambda s: s.inferred_plans, lambda s: s.closing),
    "low_confidence_mrr_share": (lambda s: s.low_confidence, lambda s: s.closing),
    "tax_unknown_mrr_share": (lambda s: s.tax_unknown, lambda s: s.closing),
}
"""Metric -> numerator and denominator, for metrics/coverage."""


def mrr_by_trust(kinds: pd.DataFrame, mrr: Ints, plans: Sequence[Plans], catalog: Catalog) -> pd.DataFrame:
    """Sums of some instants, in minor units of the reporting currency.

    Args:
        kinds: product, price, confidence and scheme_json of item states, each combination once.
        mrr: their MRR, a row per kind and a column per instant.
        plans: prices inferred to be plans before each instant.
        catalog: whose entries are looked up.

    Returns:
        A row per instant. `closing`: all MRR; `inferred`: of items the catalog is silent on;
        `inferred_plans`: of items whose price is a plan by inference; `low_confidence`: of states not dated
        by a fact; `tax_unknown`: of prices with tax inside at a rate nobody knows, so that it has the tax.
    """
    chosen = {
        "inferred": inferred(kinds, catalog),
        "low_confidence": kinds["confidence"] != "exact",
        "tax_unknown": kinds["scheme_json"].astype("str").str.contains(TAX_UNKNOWN, regex=False),
    }
    sums = {name: mrr[rows.to_numpy(dtype=bool)].sum(axis=0) for name, rows in chosen.items()}
    of_plans = np.zeros(mrr.shape[1], dtype=np.int64)
    for prices in {each.prices for each in plans if each.prices}:
        here = np.array([each.prices == prices for each in plans], dtype=bool)
        of_plans[here] = mrr[np.ix_(kinds["price"].isin(prices).to_numpy(dtype=bool), here)].sum(axis=0)
    return pd.DataFrame({"closing": mrr.sum(axis=0), "inferred_plans": of_plans, **sums})


def mrr_by_kind(ends: Closings) -> tuple[pd.DataFrame, Ints]:
    """The distinct kinds of item states (`KIND`), and their MRR.

    A row per kind and a column per month end, right at the needed ones.
    """
    code, kinds = encode([ends.timeline.states], KIND)
    stretches = ends.stretches()
    mrr = np.zeros((len(kinds), ends.timeline.size + 1), dtype=np.int64)
    np.add.at(mrr, (code[stretches.row], stretches.begins), stretches.mrr)
    np.subtract.at(mrr, (code[stretches.row], stretches.beyond), stretches.mrr)
    return kinds, np.cumsum(mrr, axis=1, out=mrr)


def coverage(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/coverage without hashes.

    What closing MRR rests on, from `members.sql` of the total with the sums of `mrr_by_trust` in it.
    """
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
    return pd.Series(
        [silent[pair] for pair in zip(items["price"], items["product"], strict=True)],
        index=items.index,
        dtype=bool,
    )


def compute_coverage(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/coverage of some months."""
    catalog, timezone = inputs.catalog, inputs.timezone
    states, rates = (
        included(inputs.frame(billing.ItemStates), catalog),
        rates_by_month(inputs.frame(billing.FxRates)),
    )
    ends = value_closings(wanted, states, rates, catalog, timezone)
    good = [month for month in wanted if month not in ends.failures]
    if not good:
        return Computed({}, ends.failures)
    begun = beginnings(states, catalog)
    plans = [begun.plans(months.closing(month, timezone)) if begun.sold else NO_PLANS for month in good]
    kinds, amounts = mrr_by_kind(ends)
    trust = mrr_by_trust(kinds, amounts[:, [ends.timeline.index(month) for month in good]], plans, catalog)
    read = {
        "customer_months": inputs.scan(mrr.CustomerMonths, good),
        "movements": inputs.scan(mrr.Movements, good),
    }
    sums = query("metrics/members", {"months": pd.DataFrame({"month": good}), **read}).assign(
        dimension="total", value="all"
    )
    return Computed(
        {metrics.Coverage: coverage(sums.merge(trust.assign(month=good), on="month"))}, ends.failures
    )
