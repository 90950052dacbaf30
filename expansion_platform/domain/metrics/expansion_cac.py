"""What a unit of expansion costs beside a unit of new MRR (semantics 4.2, `expansion_cac_ratio`).

Here: the three figures of each month from its costs and its roll-forward. Not here: reading the costs
(`sources/user_tables.py`), the benchmark (`benchmarks.py`). A month whose costs nobody gave has no figures:
it did not cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs, stacked
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.money import decimal, exponent
from expansion_platform.domain.core.ratios import decimal_text
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.rows import ROW, metric_rows, quality

RATIO = "expansion_cac_ratio"
METRICS = {
    "expansion_cac": (lambda s: s.program_cost, lambda s: s.expansion),
    "acquisition_cac": (lambda s: s.acquisition_cost, lambda s: s.new),
}
"""Metric -> numerator and denominator: what one unit of monthly MRR cost."""
INT64 = 2**63
WIDE = {"numerator": "Int64", "denominator": "Int64"}


def costs_by_month(given: pd.DataFrame, currency: str) -> dict[str, tuple[int, int]]:
    """Month -> program and acquisition cost in minor units of the reporting currency.

    Args:
        given: the user's rows (`catalog/tables.py`, Costs).
        currency: the reporting currency.

    Raises:
        ConfigurationError: a month in another currency, or with a part of a minor unit.
    """
    found = {}
    for row in given.to_dict("records"):
        month, texts = str(row["month"]), (row["program_cost"], row["acquisition_cost"])
        if row["currency"] != currency:
            raise ConfigurationError(
                f"costs of {month} are in {row['currency']}, and the reporting currency is {currency}: "
                f"give them in {currency}"
            )
        amounts = [decimal(text) * 10 ** exponent(currency) for text in texts]
        if any(amount.denominator != 1 for amount in amounts):
            raise ConfigurationError(
                f"costs of {month} have more decimals than {currency} has: {', '.join(texts)}"
            )
        found[month] = (int(amounts[0]), int(amounts[1]))
    return found


def expansion_cac(sums: pd.DataFrame, costs: Mapping[str, tuple[int, int]]) -> pd.DataFrame:
    """metrics/expansion_cac of some months without hashes; no rows of those that have no costs.

    Args:
        sums: by month: month, expansion and new of the roll-forward in minor units, members (customers that
            paid at opening), expanders.
        costs: `costs_by_month`.

    Returns:
        Cost over MRR for expansion and for new customers, and the first over the second as one reduced
        fraction. Without expansion, without new MRR or without acquisition cost it has no base.
    """
    with_costs = sums[sums["month"].isin(costs.keys())]
    spent = pd.DataFrame(
        [costs[month] for month in with_costs["month"]],
        columns=["program_cost", "acquisition_cost"],
        index=with_costs.index,
        dtype="object",
    )
    with_costs = with_costs.join(spent).assign(dimension="total", value="all")
    ratios = pd.DataFrame([_ratio(row) for row in with_costs.itertuples(index=False)], columns=ROW)
    return stacked([metric_rows(with_costs, METRICS).astype(WIDE), ratios.astype(WIDE)]).reindex(columns=ROW)


def _ratio(sums: Any) -> dict[str, object]:
    row = {
        "month": sums.month,
        "metric": RATIO,
        "dimension": "total",
        "value": "all",
        "n_customers": sums.members,
        "n_expanders": sums.expanders,
    }
    if not (sums.expansion and sums.new and sums.acquisition_cost):
        return {**row, "numerator": None, "denominator": 0, "ratio": None, "quality": "no_base"}
    ratio = Fraction(sums.program_cost * int(sums.new), int(sums.expansion) * sums.acquisition_cost)
    fits = max(ratio.numerator, ratio.denominator) < INT64
    return {
        **row,
        "numerator": ratio.numerator if fits else None,
        "denominator": ratio.denominator if fits else None,
        "ratio": decimal_text(ratio),
        "quality": quality(RATIO, ratio.denominator, sums.members, sums.expanders),
    }


def compute_expansion_cac(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_cac of some months; no rows of those whose costs are not given."""
    rates = inputs.frame(metrics.Expansion).query("dimension == 'total' and metric == 'expansion_rate'")
    flows = inputs.frame(metrics.Rollforward).query("dimension == 'total'")[["month", "expansion", "new"]]
    sizes = rates[["month", "n_customers", "n_expanders"]].rename(
        columns={"n_customers": "members", "n_expanders": "expanders"}
    )
    sums = flows[flows["month"].isin(wanted)].merge(sizes, on="month", validate="one_to_one")
    return Computed({metrics.ExpansionCac: expansion_cac(sums, inputs.value("costs"))})
