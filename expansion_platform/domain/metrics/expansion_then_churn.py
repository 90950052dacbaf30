"""Who leaves after expanding (semantics 4.4): expanders beside comparable customers that did not expand.

Here: strata, reweighting, rates and their intervals. Not here: the alert (`alerts/followups.py`), which reads
the table. Observational: those that expand differ in more than segment and tenure.

Customers are counted and their MRR summed in cells: stratum (segment and tenure bucket), kind (surge or not
by origin, not an expander), left or not. Every rate is a ratio of sums of cells. Its interval also needs the
squares of the weights: they give the effective sample size. A bootstrap over customers was here before. Where
no expander left, every resample has none either: in 214 of 214 such rows its upper end was zero or less.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.core.ratios import decimal_text, ratio_text
from expansion_platform.domain.core.statistics import newcombe
from expansion_platform.domain.metrics.tables import ExpansionThenChurn
from expansion_platform.domain.metrics.tables.values import LOW_MEMBERS
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.customer_slices import TENURES
from expansion_platform.domain.mrr.tables import Origins
from expansion_platform.domain.mrr.vocabulary import ORIGINS

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


def counted(
    wanted: Sequence[str],
    customer_months: Any,
    movements: Any,
    origins: Any,
    timezone: str,
    ever_paid: Collection[str],
) -> dict[str, pd.DataFrame]:
    """The continuing customers of some months as they are compared, in cells.

    Stratum, kind, churned_after, customers, mrr, squares.

    Args:
        wanted: months in which some expanded, and those in which customers may have left after it.
        customer_months: mrr/customer_months of them (month, customer, segment, opening, closing,
            first_paid_at).
        movements: mrr/movements of them, with expansion or a churn (month, customer, movement,
            flow_expansion, flags_json).
        origins: mrr/origins of them (month, customer, origin, expansion). Where nothing says, a customer's is
            `unknown`.
        timezone: reporting time zone.
        ever_paid: customers that the catalog says paid before, after aliases: their tenure is not known
            (`customer_slices.tenures`).
    """
    openings = [
        (month, months.distance("0000-01", month), months.opening(month, timezone)) for month in wanted
    ]
    edges = [
        (month, number, *(opens - pd.Timedelta(days=days + 1) for days in TENURES.values()))
        for month, number, opens in openings
    ]
    read = {
        "months": pd.DataFrame(edges, columns=["month", "number", *TENURES]),
        "customer_months": customer_months,
        "movements": movements,
        "origins": origins,
        "imported": pd.DataFrame({"customer": pd.Series(sorted(ever_paid), dtype="str")}),
        "longest": pd.DataFrame({"months": [max(SPANS)]}),
    }
    cells = query("metrics/expansion_then_churn_cells", read)
    high, products, low, mrr = (
        cells[name].map(int).astype("object") for name in ("high_squares", "products", "low_squares", "mrr")
    )
    cells = cells.assign(mrr=mrr, squares=high * 2**64 + products * 2**33 + low)
    return {str(month): rows for month, rows in cells.groupby("month")}


def expansion_then_churn(month: str, within: int, of_base: pd.DataFrame | None) -> pd.DataFrame:
    """metrics/expansion_then_churn of one month and span without hashes.

    Args:
        month: the last of the span.
        within: months of the span.
        of_base: `counted` of the month before the span; None when nobody continued through it, or a month of
            the span is not known.
    """
    return pd.DataFrame.from_records(_rows(month, within, of_base))


def _rows(month: str, within: int, of_base: pd.DataFrame | None) -> list[dict[str, object]]:
    cells = _cells(within, of_base)
    records = []
    for (dimension, value), kinds in SCOPES.items():
        scope = {
            "month": month,
            "within_months": within,
            "dimension": dimension,
            "value": value,
            "expanded_month": months.shift(month, -within),
        }
        records.append(scope | _compared(cells, kinds))
    return records


Sums = npt.NDArray[Any]
"""(strata, kinds, 2) sums over customers: those that stayed, those that left. Python integers: the square of
a large MRR has no place in 64 bits.
"""


@dataclass(frozen=True)
class Cells:
    """Customers, their closing MRR, and the squares of their MRR."""

    counts: Sums
    amounts: Sums
    squares: Sums


def _cells(within: int, of_base: pd.DataFrame | None) -> Cells:
    if of_base is None:
        return Cells(*(np.zeros((0, len(KINDS), 2), dtype=object) for _ in range(3)))
    stratum, strata = pd.factorize(of_base["stratum"])
    kind = of_base["kind"].map({name: index for index, name in enumerate(KINDS)}).to_numpy(dtype=np.int64)
    gone = (of_base["churned_after"] <= within).to_numpy(dtype=np.int64)
    shape = len(strata), len(KINDS), 2

    def sums(column: str) -> Sums:
        found = np.zeros(shape, dtype=object)
        np.add.at(found, (stratum, kind, gone), of_base[column].to_numpy(dtype=object))
        return found

    return Cells(sums("customers"), sums("mrr"), sums("squares"))


def _compared(cells: Cells, kinds: Sequence[str]) -> dict[str, object]:
    """One row's figures: the strata in which somebody expanded and somebody did not."""
    expanders = int(_of(cells.counts, kinds).sum())
    both = (_of(cells.counts, kinds).sum(axis=1) > 0) & (cells.counts[:, OTHER].sum(axis=1) > 0)
    (ours, mrr, squares), (others, other_mrr, other_squares) = (
        [_of(sums, chosen)[both] for sums in (cells.counts, cells.amounts, cells.squares)]
        for chosen in (kinds, KINDS[OTHER:])
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
    row |= {
        f"mrr_{name}": value for name, value in difference(mrr, other_mrr, squares, other_squares).items()
    }
    reweighted = int(both.sum()) > 1
    return row | {
        "interval": "newcombe_weighted" if reweighted else "newcombe",
        "signal": Fraction(str(row["low"])) > 0,
    }


def _of(sums: Sums, kinds: Sequence[str]) -> Sums:
    chosen: Sums = sums[:, [KINDS.index(name) for name in kinds]].sum(axis=1)
    return chosen


def difference(ours: Sums, others: Sums, our_squares: Sums, other_squares: Sums) -> dict[str, str]:
    """Both rates, their difference and its 95 % interval; a customer weighs 1, or its MRR.

    The others of a stratum are given the weight of ours in it. The interval is Newcombe's of Wilson limits. A
    share of weighted customers has Kish's effective sample size (sum w)^2 / sum w^2: with equal weights the
    number of customers, so that nothing changes where nothing is weighted.

    Args:
        ours: (strata, 2) sums of weights of expanders that stayed and left.
        others: the same of the others, before they are reweighted.
        our_squares: (strata, 2) sums of squared weights.
        other_squares: the same of the others.
    """
    whole, wholes, their_wholes = int(ours.sum()), ours.sum(axis=1).tolist(), others.sum(axis=1).tolist()
    factors = [Fraction(mine, theirs) for mine, theirs in zip(wholes, their_wholes, strict=True)]
    rate = Fraction(int(ours[:, 1].sum()), whole)
    rate_others = (
        sum((factor * int(left) for factor, left in zip(factors, others[:, 1], strict=True)), Fraction(0))
        / whole
    )
    size = Fraction(whole**2, int(our_squares.sum()))
    squares = other_squares.sum(axis=1).tolist()
    size_others = whole**2 / sum(
        (factor**2 * square for factor, square in zip(factors, squares, strict=True)), Fraction(0)
    )
    low, high = newcombe(float(rate), float(size), float(rate_others), float(size_others))
    texts = {
        "rate": decimal_text(rate),
        "rate_others": decimal_text(rate_others),
        "difference": decimal_text(rate - rate_others),
    }
    return texts | {"low": _limit(low), "high": _limit(high)}


def _limit(value: float) -> str:
    """A limit as text with 6 places; none is a negative zero."""
    return f"{round(value, 6) + 0.0:.6f}"


def compute_expansion_then_churn(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_then_churn of some months."""
    known = inputs.months(mrr.Movements)
    looked_at = sorted({months.shift(month, -back) for month in wanted for back in range(max(SPANS) + 1)})
    of_customers, moved, begun = (
        inputs.scan(model) for model in (mrr.CustomerMonths, mrr.Movements, Origins)
    )
    cells = counted(looked_at, of_customers, moved, begun, inputs.timezone, inputs.catalog.paid_before)
    records = []
    for month in wanted:
        for within in SPANS:
            then = months.shift(month, -within)
            of_base = cells.get(then) if known.issuperset(months.between(then, month)) else None
            records += _rows(month, within, of_base)
    return Computed({ExpansionThenChurn: pd.DataFrame.from_records(records)})
