"""What a unit of expansion costs beside a unit of new MRR (semantics 4.2, `expansion_cac_ratio`).

Here: the three figures of one month from its costs and its roll-forward. Not here: reading the costs (`sources/given.py`), the benchmark
(`benchmarks.py`). A month whose costs nobody gave has no figures: it did not cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pandas as pd

from expansion_platform.domain.errors import ConfigurationError
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import decimal_text, metric_rows, quality, total
from expansion_platform.domain.money import decimal, exponent
from expansion_platform.domain.schemas import metrics

RATIO = "expansion_cac_ratio"
METRICS = {
    "expansion_cac": (lambda s: s.program_cost, lambda s: s.expansion),
    "acquisition_cac": (lambda s: s.acquisition_cost, lambda s: s.new),
}
"""Metric -> numerator and denominator: what one unit of monthly MRR cost."""
INT64 = 2**63
COLUMNS = ["month", "metric", "dimension", "value", "numerator", "denominator", "ratio", "n_customers", "n_expanders", "quality"]


def costs_by_month(given: pd.DataFrame, currency: str) -> dict[str, tuple[int, int]]:
    """Month -> program and acquisition cost in minor units of the reporting currency.

    Args:
        given: the user's rows (`schemas/given.py`, Costs).
        currency: the reporting currency.

    Raises:
        ConfigurationError: a month in another currency, or with a part of a minor unit.
    """
    found = {}
    for row in given.to_dict("records"):
        month, texts = str(row["month"]), (row["program_cost"], row["acquisition_cost"])
        if row["currency"] != currency:
            raise ConfigurationError(f"costs of {month} are in {row['currency']}, and the reporting currency is {currency}: give them in {currency}")
        amounts = [decimal(text) * 10 ** exponent(currency) for text in texts]
        if any(amount.denominator != 1 for amount in amounts):
            raise ConfigurationError(f"costs of {month} have more decimals than {currency} has: {', '.join(texts)}")
        found[month] = (int(amounts[0]), int(amounts[1]))
    return found


def expansion_cac(month: str, costs: Mapping[str, tuple[int, int]], flows: Mapping[str, int], members: int, expanders: int) -> pd.DataFrame:
    """metrics/expansion_cac of one month without hashes; no rows where there are no costs.

    Args:
        month: whose.
        costs: `costs_by_month`.
        flows: `expansion` and `new` of the month's roll-forward, minor units.
        members: customers that paid at opening.
        expanders: customers with expansion.

    Returns:
        Cost over MRR for expansion and for new customers, and the first over the second as one reduced fraction. Without expansion, without new
        MRR or without acquisition cost it has no base.
    """
    if month not in costs:
        return pd.DataFrame(columns=COLUMNS)
    program, acquisition = costs[month]
    sums = {"month": month, "dimension": "total", "value": "all", "members": members, "expanders": expanders, **flows}
    sums |= {"program_cost": program, "acquisition_cost": acquisition}
    rows = metric_rows(pd.DataFrame([sums]), METRICS)
    return pd.concat([rows, pd.DataFrame([_ratio(SimpleNamespace(**sums))])], ignore_index=True).astype(
        {"numerator": "Int64", "denominator": "Int64"}
    )


def _ratio(sums: Any) -> dict[str, object]:
    told = {"month": sums.month, "metric": RATIO, "dimension": "total", "value": "all", "n_customers": sums.members, "n_expanders": sums.expanders}
    if not (sums.expansion and sums.new and sums.acquisition_cost):
        return {**told, "numerator": None, "denominator": 0, "ratio": None, "quality": "no_base"}
    ratio = Fraction(sums.program_cost * sums.new, sums.expansion * sums.acquisition_cost)
    fits = max(ratio.numerator, ratio.denominator) < INT64
    return {
        **told,
        "numerator": ratio.numerator if fits else None,
        "denominator": ratio.denominator if fits else None,
        "ratio": decimal_text(ratio),
        "quality": quality(RATIO, ratio.denominator, sums.members, sums.expanders),
    }


def compute_expansion_cac(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_cac of some months; no rows of those whose costs are not given."""
    flows, rates = total(inputs.frame(metrics.Rollforward)), total(inputs.frame(metrics.Expansion), "expansion_rate")
    costs = inputs.value("costs")

    def compute(month: str) -> Frames:
        moved = {name: int(flows[month][name]) for name in ("expansion", "new")}
        members, expanders = int(rates[month]["n_customers"]), int(rates[month]["n_expanders"])
        return {metrics.ExpansionCac: expansion_cac(month, costs, moved, members, expanders)}

    return month_by_month(wanted, compute)
