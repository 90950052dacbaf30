"""Who leaves after expanding (semantics 4.4): expanders beside comparable customers that did not expand.

Here: strata, reweighting, rates and their intervals. Not here: the alert (`detection/followups.py`), which reads the table. Observational: those
that expand differ in more than segment and tenure.

Customers are counted and their MRR summed in cells: stratum (segment and tenure bucket), kind (surge or not by origin, not an expander), left or
not. Every rate is a ratio of sums of cells, and the bootstrap over customers draws the cells anew.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.detection.statistics import DRAWS, Floats, generator, newcombe
from expansion_platform.domain.dimensions import tenures
from expansion_platform.domain.metrics import decimal_text, ratio_text
from expansion_platform.domain.schemas.metrics import LOW_MEMBERS
from expansion_platform.domain.schemas.origin import ORIGINS

SPANS = [3, 6, 12]
SURGE, STEADY = "surge", "steady"
KINDS = [*(f"{how}/{origin}" for how in (SURGE, STEADY) for origin in ORIGINS), "other"]
OTHER = KINDS.index("other")
SCOPES = {
    ("total", "all"): KINDS[:OTHER],
    ("flag", "seat_surge"): [kind for kind in KINDS if kind.startswith(SURGE)],
    **{("origin", origin): [f"{SURGE}/{origin}", f"{STEADY}/{origin}"] for origin in ORIGINS},
}
"""Dimension and value -> the kinds of expander in it."""
LARGEST = 100  # of a cell are drawn one by one; of all others together the sum is normal: a cell of 100,000 costs as much as one of 100
INTERVAL = [0.025, 0.975]


def looked_at(month: str) -> list[str]:
    """The months that what is told of a month depends on, oldest first."""
    return months.between(months.shift(month, -max(SPANS)), month)


def base(month: str, customer_months: pd.DataFrame, expanded: pd.DataFrame, origins: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """The continuing customers of a month as they are compared: customer, stratum, kind, mrr at closing.

    Args:
        month: the month in which some expanded.
        customer_months: mrr/customer_months of it (customer, segment, opening, closing, first_paid_month).
        expanded: mrr/movements with expansion of it (customer, flags_json).
        origins: mrr/origins of it (customer, origin, expansion). A customer's is that of most of its expansion, `unknown` where nothing says.
        timezone: reporting time zone.
    """
    held = customer_months[(customer_months["opening"] > 0) & (customer_months["closing"] > 0)]
    surged = expanded.loc[expanded["flags_json"].str.contains('"seat_surge"', regex=False), "customer"]
    sums = origins.groupby(["customer", "origin"])[["expansion"]].sum().reset_index()
    main = sums.sort_values(["expansion", "origin"], ascending=[False, True]).drop_duplicates("customer").set_index("customer")["origin"]
    how = pd.Series(np.where(held["customer"].isin(surged), SURGE, STEADY), index=held.index, dtype="str")
    kind = (how + "/" + held["customer"].map(main).astype("str").fillna("unknown")).where(held["customer"].isin(expanded["customer"]), KINDS[OTHER])
    stratum = held["segment"] + "/" + tenures(month, held["first_paid_month"], timezone)
    return pd.DataFrame({"customer": held["customer"], "stratum": stratum, "kind": kind, "mrr": held["closing"]}).reset_index(drop=True)


def expansion_then_churn(month: str, within: int, of_base: pd.DataFrame, left: Collection[str], seed: str) -> pd.DataFrame:
    """metrics/expansion_then_churn of one month and span without hashes.

    Args:
        month: the last of the span.
        within: months of the span.
        of_base: `base` of the month before the span; empty when a month of the span is not known.
        left: customers with a churn within the span.
        seed: policy hash: the same data under the same policy give the same interval.
    """
    strata, stratum = np.unique(of_base["stratum"].to_numpy(dtype=object).astype(str), return_inverse=True)
    kind = of_base["kind"].map({name: index for index, name in enumerate(KINDS)}).to_numpy(dtype=np.int64)
    gone = of_base["customer"].isin(left).to_numpy(dtype=np.int64)
    cell = (stratum * len(KINDS) + kind) * 2 + gone
    shape = len(strata), len(KINDS), 2
    mrr = of_base["mrr"].to_numpy(dtype=np.int64)
    counts, amounts = (_sums(cell, values, shape) for values in (np.ones_like(mrr), mrr))
    rng = generator("expansion_then_churn", month, str(within), seed)
    drawn = rng.poisson(counts, (DRAWS, *shape)).astype(np.float64), _drawn_amounts(cell, mrr, shape, rng)
    records = []
    for (dimension, value), kinds in SCOPES.items():
        told = {"month": month, "within_months": within, "dimension": dimension, "value": value, "expanded_month": months.shift(month, -within)}
        records.append(told | _compared(*(_sides(cells, kinds) for cells in (counts, amounts, *drawn))))
    return pd.DataFrame.from_records(records)


Sides = tuple[npt.NDArray[Any], npt.NDArray[Any]]
"""(..., strata, 2) of expanders and of the others: those that stayed, those that left."""


def _sides(cells: npt.NDArray[Any], kinds: Sequence[str]) -> Sides:
    return cells[..., [KINDS.index(name) for name in kinds], :].sum(axis=-2), cells[..., OTHER, :]


def _compared(counts: Sides, amounts: Sides, drawn_counts: Sides, drawn_amounts: Sides) -> dict[str, object]:
    """One row's figures: the strata in which somebody expanded and somebody did not."""
    expanders = int(counts[0].sum())
    both = (counts[0].sum(axis=1) > 0) & (counts[1].sum(axis=1) > 0)
    ours, others = counts[0][both], counts[1][both]
    compared, churned = int(ours.sum()), int(ours[:, 1].sum())
    mrr, mrr_churned = int(amounts[0][both].sum()), int(amounts[0][both][:, 1].sum())
    row: dict[str, object] = {
        "expanders": expanders,
        "compared": compared,
        "dropped_share": ratio_text(expanders - compared, expanders),
        "others": int(others.sum()),
        "churned": churned,
        **dict.fromkeys(("rate", "rate_others", "difference", "low", "high", "interval")),
        "mrr": mrr,
        "mrr_churned": mrr_churned,
        **dict.fromkeys(("mrr_rate", "mrr_rate_others", "mrr_difference", "mrr_low", "mrr_high")),
        "signal": False,
        "quality": "no_base" if not compared else "low_n" if compared < LOW_MEMBERS else "ok",
    }
    if not compared:
        return row
    rate, rate_others = Fraction(churned, compared), _reweighted(ours, others)
    reweighted = int(both.sum()) > 1
    if reweighted:
        low, high = _interval(*drawn_counts)
    else:
        low, high = newcombe(float(rate), compared, float(rate_others), int(others.sum()))
    row |= {"rate": decimal_text(rate), "rate_others": decimal_text(rate_others), "difference": decimal_text(rate - rate_others)}
    row |= {"low": f"{low:.6f}", "high": f"{high:.6f}", "interval": "bootstrap" if reweighted else "newcombe"}
    mrr_rate, mrr_others = Fraction(mrr_churned, mrr), _reweighted(amounts[0][both], amounts[1][both])
    mrr_low, mrr_high = _interval(*drawn_amounts)
    row |= {"mrr_rate": decimal_text(mrr_rate), "mrr_rate_others": decimal_text(mrr_others), "mrr_difference": decimal_text(mrr_rate - mrr_others)}
    return row | {"mrr_low": f"{mrr_low:.6f}", "mrr_high": f"{mrr_high:.6f}", "signal": Fraction(f"{low:.6f}") > 0}


def _reweighted(ours: npt.NDArray[np.int64], others: npt.NDArray[np.int64]) -> Fraction:
    """The others' share that left, stratum by stratum in our proportions; exact."""
    shares = [
        Fraction(int(weight), int(ours.sum())) * Fraction(int(left), int(stayed + left))
        for weight, (stayed, left) in zip(ours.sum(axis=1), others, strict=True)
    ]
    return sum(shares, Fraction(0))


def _interval(ours: Floats, others: Floats) -> tuple[float, float]:
    """Percentiles of the difference over the draws; in each, strata are left out as in the data: where a side is empty."""
    mine, theirs = ours.sum(axis=2), others.sum(axis=2)
    weight = np.where(theirs > 0, mine, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(theirs > 0, others[..., 1] / theirs, 0)
        rate = np.where(theirs > 0, ours[..., 1], 0).sum(axis=1) / weight.sum(axis=1)
        difference = rate - (weight * share).sum(axis=1) / weight.sum(axis=1)
    low, high = np.quantile(difference[~np.isnan(difference)], INTERVAL)
    return float(low), float(high)


def _sums(cell: npt.NDArray[np.int64], values: npt.NDArray[np.int64], shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    sums = np.zeros(int(np.prod(shape)), dtype=np.int64)
    np.add.at(sums, cell, values)
    return sums.reshape(shape)


def _drawn_amounts(cell: npt.NDArray[np.int64], mrr: npt.NDArray[np.int64], shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Sums of MRR by cell when each customer is drawn as often as Poisson(1) says, which is resampling customers with replacement."""
    drawn = np.zeros((DRAWS, int(np.prod(shape))))
    order = np.lexsort((-mrr, cell))
    bounds = np.searchsorted(cell[order], np.arange(drawn.shape[1] + 1))
    for index in range(drawn.shape[1]):
        of_cell = mrr[order[bounds[index] : bounds[index + 1]]].astype(np.float64)
        largest, rest = of_cell[:LARGEST], of_cell[LARGEST:]
        drawn[:, index] = rng.poisson(1, (DRAWS, len(largest))) @ largest
        if len(rest):
            drawn[:, index] += np.maximum(0, rng.normal(rest.sum(), np.sqrt((rest**2).sum()), DRAWS))
    return drawn.reshape(DRAWS, *shape)
