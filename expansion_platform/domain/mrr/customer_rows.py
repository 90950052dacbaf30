"""What a customer-month is in money: the columns of mrr/customer_months, its segment and its pricing model.

See semantics 4.1.

Here: rows made of sums by customer-month. Not here: the sums (`movements.customer_totals` of one month,
`customer_levels.py` of many), what moved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.mrr.valuation import Valued
from expansion_platform.domain.mrr.vocabulary import PRICING_MODELS, SEGMENTS

UNITS = PRICING_MODELS[:-1]
COLUMNS = ["opening", "closing", "opening_arr", "closing_arr", "opening_list", "closing_list", "items"]


def unit_counted(entries: Sequence[Entry]) -> npt.NDArray[np.object_]:
    """What the price of each entry counts, one of `UNITS`."""
    return np.array(
        [entry.unit if entry.unit in ("seat", "flat") else "usage" for entry in entries], dtype=object
    )


def listed_of(unit: str, counted: npt.NDArray[np.object_], valued: Valued) -> Ints:
    """MRR before discounts of the terms that pay and count `unit`, zero for others."""
    return np.where((counted == unit) & (valued.mrr > 0), valued.list_mrr, 0)


def dominant_unit(amounts: Sequence[Ints]) -> npt.NDArray[Any]:
    """Index into `PRICING_MODELS` of the unit that dominates, else of `hybrid` (4.1).

    It is one of `UNITS`, and has 60 % of the amounts at least. Uses the amounts up.
    """
    least = sum(amounts[1:], start=amounts[0])
    least *= 6
    model = np.full(least.shape, len(UNITS), dtype=np.int8)
    for unit in reversed(range(len(UNITS))):
        amount = amounts[unit]
        amount *= 10
        model[amount >= least] = unit
    return model


def customer_rows(totals: Mapping[str, Ints], catalog: Catalog) -> pd.DataFrame:
    """Money at both ends, segment and pricing models of some customer-months.

    The columns of mrr/customer_months from `opening` on.

    Args:
        totals: `opening`, `closing`, each also with `_arr`, `_list` and `_model`, and `items`, one element a
            customer-month.
        catalog: Gives the segments' limits.
    """
    rows = pd.DataFrame({name: totals[name] for name in COLUMNS}, copy=False)
    models = _pricing_models(totals)
    return rows.assign(segment=segments(totals, catalog), **models)


def segments(totals: Mapping[str, Ints], catalog: Catalog) -> pd.Series[Any]:
    """Segment by yearly value at opening; at closing for customers that were not paying then.

    See semantics 4.1.
    """
    value = np.where(
        (totals["opening"] == 0) & (totals["closing"] > 0), totals["closing_arr"], totals["opening_arr"]
    )
    size = np.full(len(value), 2, dtype=np.int8)
    size[value >= catalog.policy.mid_market_acv] = 1
    size[value >= catalog.policy.enterprise_acv] = 0
    return coded(size, SEGMENTS)


def _pricing_models(totals: Mapping[str, Ints]) -> dict[str, pd.Series[Any]]:
    """What 60 % of MRR before discounts counts, of items that pay (4.1).

    `pricing_model` is that at opening, or at closing for who was not paying then; `closing_pricing_model` at
    closing, or at opening for who left.
    """
    opening, closing = totals["opening_model"], totals["closing_model"]
    return {
        "pricing_model": coded(np.where(totals["opening"] == 0, closing, opening), PRICING_MODELS),
        "closing_pricing_model": coded(np.where(totals["closing"] == 0, opening, closing), PRICING_MODELS),
    }


def coded(code: npt.NDArray[Any], names: Sequence[str] | pd.Index[str]) -> pd.Series[Any]:
    """Texts of few values, once each: a book of 100,000 customers over 36 months has 3.2 million rows."""
    return pd.Series(pd.Categorical.from_codes(code, categories=pd.Index(names)))
