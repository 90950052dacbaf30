"""Who leaves after expanding (semantics 4.4): expanders beside comparable customers that did not expand.

Here: strata, reweighting, rates and their intervals. Not here: the alert (`detection/followups.py`), which reads the table. Observational: those
that expand differ in more than segment and tenure.

Customers are counted and their MRR summed in cells: stratum (segment and tenure bucket), kind (surge or not by origin, not an expander), left or
not. Every rate is a ratio of sums of cells. Its interval also needs the squares of the weights: they give the effective sample size. A bootstrap
over customers was here before. Where no expander left, every resample has none either: in 214 of 214 such rows its upper end was zero or less.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.customer_slices import tenures
from expansion_platform.domain.detection.statistics import newcombe
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import decimal_text, ratio_text
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.lasting import ExpansionThenChurn
from expansion_platform.domain.schemas.metrics import LOW_MEMBERS
from expansion_platform.domain.schemas.origin import ORIGINS, Origins

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


def looked_at(month: str) -> list[str]:
    """The months that what is told of a month depends on, oldest first."""
    return months.between(months.shift(month, -max(SPANS)), month)


def base(
    month: str, customer_months: pd.DataFrame, expanded: pd.DataFrame, origins: pd.DataFrame, timezone: str, ever_paid: Collection[str]
) -> pd.DataFrame:
    """The continuing customers of a month as they are compared: customer, stratum, kind, mrr at closing.

    Args:
        month: the month in which some expanded.
        customer_months: mrr/customer_months of it (customer, segment, opening, closing, first_paid_at).
        expanded: mrr/movements with expansion of it (customer, flags_json).
        origins: mrr/origins of it (customer, origin, expansion). A customer's is that of most of its expansion, `unknown` where nothing says.
        timezone: reporting time zone.
        ever_paid: customers that the catalog says paid before, after aliases: their tenure is not known (`customer_slices.tenures`).
    """
    held = customer_months[(customer_months["opening"] > 0) & (customer_months["closing"] > 0)]
    surged = expanded.loc[expanded["flags_json"].str.contains('"seat_surge"', regex=False), "customer"]
    sums = origins.groupby(["customer", "origin"])[["expansion"]].sum().reset_index()
    main = sums.sort_values(["expansion", "origin"], ascending=[False, True]).drop_duplicates("customer").set_index("customer")["origin"]
    how = pd.Series(np.where(held["customer"].isin(surged), SURGE, STEADY), index=held.index, dtype="str")
    kind = (how + "/" + held["customer"].map(main).astype("str").fillna("unknown")).where(held["customer"].isin(expanded["customer"]), KINDS[OTHER])
    imported = held["customer"].isin(list(ever_paid)).to_numpy(dtype=bool)
    stratum = held["segment"] + "/" + tenures(held["first_paid_at"], months.opening(month, timezone), imported)
    return pd.DataFrame({"customer": held["customer"], "stratum": stratum, "kind": kind, "mrr": held["closing"]}).reset_index(drop=True)


def expansion_then_churn(month: str, within: int, of_base: pd.DataFrame, left: Collection[str]) -> pd.DataFrame:
    """metrics/expansion_then_churn of one month and span without hashes.

    Args:
        month: the last of the span.
        within: months of the span.
        of_base: `base` of the month before the span; empty when a month of the span is not known.
        left: customers with a churn within the span.
    """
    cells = _cells(of_base, left)
    records = []
    for (dimension, value), kinds in SCOPES.items():
        scope = {"month": month, "within_months": within, "dimension": dimension, "value": value, "expanded_month": months.shift(month, -within)}
        records.append(scope | _compared(cells, kinds))
    return pd.DataFrame.from_records(records)


Sums = npt.NDArray[Any]
"""(strata, kinds, 2) sums over customers: those that stayed, those that left. Python integers: the square of a large MRR has no place in 64 bits."""


@dataclass(frozen=True)
class Cells:
    """Customers, their closing MRR, and the squares of their MRR."""

    counts: Sums
    amounts: Sums
    squares: Sums


def _cells(of_base: pd.DataFrame, left: Collection[str]) -> Cells:
    strata, stratum = np.unique(of_base["stratum"].to_numpy(dtype=object).astype(str), return_inverse=True)
    kind = of_base["kind"].map({name: index for index, name in enumerate(KINDS)}).to_numpy(dtype=np.int64)
    gone = of_base["customer"].isin(left).to_numpy(dtype=np.int64)
    mrr = of_base["mrr"].to_numpy(dtype=object)
    shape = len(strata), len(KINDS), 2

    def sums(values: npt.NDArray[Any]) -> Sums:
        found = np.zeros(shape, dtype=object)
        np.add.at(found, (stratum, kind, gone), values)
        return found

    return Cells(sums(np.ones(len(mrr), dtype=object)), sums(mrr), sums(mrr**2))


def _compared(cells: Cells, kinds: Sequence[str]) -> dict[str, object]:
    """One row's figures: the strata in which somebody expanded and somebody did not."""
    expanders = int(_of(cells.counts, kinds).sum())
    both = (_of(cells.counts, kinds).sum(axis=1) > 0) & (cells.counts[:, OTHER].sum(axis=1) > 0)
    (ours, mrr, squares), (others, other_mrr, other_squares) = (
        [_of(sums, chosen)[both] for sums in (cells.counts, cells.amounts, cells.squares)] for chosen in (kinds, KINDS[OTHER:])
    )
    compared = int(ours.sum())
    row: dict[str, object] = {
        "expanders": expanders,
        "compared": compared,
        "dropped_share": ratio_text(expanders - compared, expanders),
        "others": int(others.sum()),
        "churned": int(ours[:, 1].sum()),
        **dict.fromkeys(("rate", "rate_others", "difference", "low", "high", "interval")),
        "mrr": int(mrr.sum()),
        "mrr_churned": int(mrr[:, 1].sum()),
        **dict.fromkeys(("mrr_rate", "mrr_rate_others", "mrr_difference", "mrr_low", "mrr_high")),
        "signal": False,
        "quality": "no_base" if not compared else "low_n" if compared < LOW_MEMBERS else "ok",
    }
    if not compared:
        return row
    row |= difference(ours, others, ours, others)
    row |= {f"mrr_{name}": value for name, value in difference(mrr, other_mrr, squares, other_squares).items()}
    reweighted = int(both.sum()) > 1
    return row | {"interval": "newcombe_weighted" if reweighted else "newcombe", "signal": Fraction(str(row["low"])) > 0}


def _of(sums: Sums, kinds: Sequence[str]) -> Sums:
    chosen: Sums = sums[:, [KINDS.index(name) for name in kinds]].sum(axis=1)
    return chosen


def difference(ours: Sums, others: Sums, our_squares: Sums, other_squares: Sums) -> dict[str, str]:
    """Both rates, their difference and its 95 % interval; a customer weighs 1, or its MRR.

    The others of a stratum are given the weight of ours in it. The interval is Newcombe's of Wilson limits. A share of weighted customers has Kish's
    effective sample size (sum w)^2 / sum w^2: with equal weights the number of customers, so that nothing changes where nothing is weighted.

    Args:
        ours: (strata, 2) sums of weights of expanders that stayed and left.
        others: the same of the others, before they are reweighted.
        our_squares: (strata, 2) sums of squared weights.
        other_squares: the same of the others.
    """
    whole, wholes, their_wholes = int(ours.sum()), ours.sum(axis=1).tolist(), others.sum(axis=1).tolist()
    factors = [Fraction(mine, theirs) for mine, theirs in zip(wholes, their_wholes, strict=True)]
    rate = Fraction(int(ours[:, 1].sum()), whole)
    rate_others = sum((factor * int(left) for factor, left in zip(factors, others[:, 1], strict=True)), Fraction(0)) / whole
    size = Fraction(whole**2, int(our_squares.sum()))
    squares = other_squares.sum(axis=1).tolist()
    size_others = whole**2 / sum((factor**2 * square for factor, square in zip(factors, squares, strict=True)), Fraction(0))
    low, high = newcombe(float(rate), float(size), float(rate_others), float(size_others))
    texts = {"rate": decimal_text(rate), "rate_others": decimal_text(rate_others), "difference": decimal_text(rate - rate_others)}
    return texts | {"low": _limit(low), "high": _limit(high)}


def _limit(value: float) -> str:
    """A limit as text with 6 places; none is a negative zero."""
    return f"{round(value, 6) + 0.0:.6f}"


def compute_expansion_then_churn(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_then_churn of some months."""
    catalog, timezone, known = inputs.catalog, inputs.timezone, inputs.months(mrr.Movements)
    moved = inputs.frame(mrr.Movements)
    by_month = dict(iter(moved.groupby("month")))
    begun = inputs.frame(Origins)

    def of_month(month: str) -> pd.DataFrame:
        return by_month.get(month, moved.head(0))

    @cache
    def base_of(month: str) -> pd.DataFrame:
        held, expanded = inputs.frame(mrr.CustomerMonths, [month]), of_month(month).query("flow_expansion > 0")
        return base(month, held, expanded, begun[begun["month"] == month], timezone, catalog.paid_before)

    def compute(month: str) -> Frames:
        parts = []
        for within in SPANS:
            then = months.shift(month, -within)
            span = months.between(months.shift(then, 1), month)
            of_base = base_of(then) if known >= {then, *span} else base_of(then).head(0)
            left = {customer for name in span for customer in of_month(name).query("movement == 'churn'")["customer"]}
            parts.append(expansion_then_churn(month, within, of_base, left))
        return {ExpansionThenChurn: pd.concat(parts, ignore_index=True)}

    return month_by_month(wanted, compute)
