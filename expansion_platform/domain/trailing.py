"""Metrics over the months that end with a month (semantics 4.1, 4.2): twelve months, three, and one month taken twelve times.

Here: windows, compounding, constant exchange rates, and how complete a window is. Not here: the sums (`sql/window_book.sql`, `sql/window_sums.sql`,
`sql/window_cohort.sql`), single months (`metrics.py`).

Every customer keeps the slice it has at the window's start, or in its first month when it came later. A rate is exact until its text: T12M
compounds twelve fractions, each with its own month's opening MRR below the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod

import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain import months
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import SLICES as TOTAL_AND_SEGMENTS
from expansion_platform.domain.metric_rows import decimal_text, quality_by_size, slices
from expansion_platform.domain.queries import query, query_arrow
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.metrics import Trailing
from expansion_platform.domain.schemas.mrr import PRICING_MODELS

YEAR, QUARTER = 12, 3
LENGTHS = (1, QUARTER, YEAR)
SHORTEST = 3  # months below which a T12M rate is not even extrapolated
SLICES = [*TOTAL_AND_SEGMENTS, *(("pricing_model", name) for name in PRICING_MODELS)]

Value = tuple[int | None, int | None, Fraction | None]
"""Numerator, denominator, quotient."""


def looked_at(month: str) -> list[str]:
    """The months that the windows of a month are made of, oldest first."""
    return months.between(months.shift(month, 1 - YEAR), month)


def windows(month: str) -> pd.DataFrame:
    """The windows that end with `month`: length, first, last."""
    return pd.DataFrame([{"length": length, "first": months.shift(month, 1 - length), "last": month} for length in LENGTHS])


def trailing(month: str, sums: pd.DataFrame, cohort: pd.DataFrame, known: int) -> pd.DataFrame:
    """metrics/trailing of one month without hashes.

    Args:
        month: the last of every window.
        sums: `sql/window_sums.sql` over `windows(month)`.
        cohort: `sql/window_cohort.sql` over the longest of them.
        known: how many of the longest window's months have been computed; none of them lies before one that has not. In some nobody may have paid.

    Returns:
        One row per slice and metric; also for slices nobody is in, without a value.
    """
    values = _cohort_values(cohort)
    records = []
    for dimension, value in SLICES:
        of_slice = sums[(sums["dimension"] == dimension) & (sums["value"] == value)]
        members = values if dimension == "total" else values[values[dimension] == value]
        records += [{"month": month, "dimension": dimension, "value": value} | record for record in _of_slice(month, of_slice, members, known)]
    return pd.DataFrame.from_records(records).astype({"numerator": "Int64", "denominator": "Int64"})


def _of_slice(month: str, sums: pd.DataFrame, cohort: pd.DataFrame, known: int) -> list[dict[str, object]]:
    by_length = {length: _calendar(month, length, sums[sums["length"] == length]) for length in LENGTHS}
    one, quarter, year = (by_length[length] for length in LENGTHS)
    start = int(year["opening"].iloc[0])
    opened = _total(cohort, "opening")
    return [
        _rate("expansion_rate_annualised", one, _annualised(_rates(one)), shortest=1),
        _rate("expansion_rate_t3m_mean", quarter, _mean(_rates(quarter)), shortest=QUARTER),
        _rate("expansion_rate_t12m", year, _t12m(_rates(year)), shortest=SHORTEST),
        _from_start("expansion_rate_t12m_simple", year, _quotient(_total(year, "expansion"), start), known),
        _from_start("expansion_rate_t12m_cohort", year, _quotient(_total(year, "member_expansion"), start), known),
        _from_start("nrr_t12m", year, _quotient(_total(cohort, "closing"), opened), known),
        _from_start("grr_t12m", year, _quotient(_total(cohort, "retained"), opened), known),
        _from_start("grr_continuous_t12m", year, _quotient(_total(cohort, "continuous"), opened), known),
        _sum("quick_ratio_t3m", quarter, _quotient(_total(quarter, "new", "expansion"), -_total(quarter, "contraction", "churn")), known),
        _sum("expansion_share_of_new_t12m", year, _quotient(_total(year, "expansion"), _total(year, "new", "expansion")), known),
    ]


def _calendar(month: str, length: int, sums: pd.DataFrame) -> pd.DataFrame:
    """One row for each month of the window, zeros where the slice was empty."""
    names = months.between(months.shift(month, 1 - length), month)
    numbers = sums.set_index("month").drop(columns=["length", "dimension", "value"])
    return numbers.reindex(names, fill_value=0)


def _rates(window: pd.DataFrame) -> list[Fraction]:
    """Monthly expansion rates of the newest months in a row that have a base, oldest first."""
    rates: list[Fraction] = []
    for expansion, opening in zip(reversed(window["expansion"].tolist()), reversed(window["opening"].tolist()), strict=True):
        if not opening:
            break
        rates.insert(0, Fraction(expansion, opening))
    return rates


def _annualised(rates: Sequence[Fraction]) -> tuple[int, Fraction | None]:
    return len(rates), (1 + rates[-1]) ** YEAR - 1 if rates else None


def _mean(rates: Sequence[Fraction]) -> tuple[int, Fraction | None]:
    return len(rates), sum(rates, Fraction()) / len(rates) if len(rates) == QUARTER else None


def _t12m(rates: Sequence[Fraction]) -> tuple[int, Fraction | None]:
    """Twelve months compounded; three to eleven: their mean for twelve months."""
    if len(rates) == YEAR:
        return YEAR, prod((1 + rate for rate in rates), start=Fraction(1)) - 1
    if len(rates) < SHORTEST:
        return len(rates), None
    return len(rates), (1 + sum(rates, Fraction()) / len(rates)) ** YEAR - 1


def _total(rows: pd.DataFrame, *columns: str) -> int:
    return sum(int(rows[column].sum()) for column in columns)


def _quotient(numerator: int, denominator: int) -> Value:
    return numerator, denominator, Fraction(numerator, denominator) if denominator else None


def _rate(metric: str, window: pd.DataFrame, rate: tuple[int, Fraction | None], *, shortest: int) -> dict[str, object]:
    """A compounded or mean rate, of as many months as have a base."""
    count, value = rate
    problem = "no_base" if not count else "too_short" if count < shortest else None
    return _record(metric, window, (None, None, value), count, problem)


def _from_start(metric: str, window: pd.DataFrame, value: Value, known: int) -> dict[str, object]:
    """A ratio to the MRR at the window's start: without that month there is none."""
    if known < len(window):
        return _record(metric, window, (None, None, None), known, "too_short")
    return _record(metric, window, value, len(window), None if value[1] else "no_base")


def _sum(metric: str, window: pd.DataFrame, value: Value, known: int) -> dict[str, object]:
    """A ratio of sums over the window's months, or over those there are."""
    count = min(known, len(window))
    empty = "no_losses" if metric.startswith("quick_ratio") else "no_base"
    return _record(metric, window, value, count, None if value[1] else empty)


def _record(metric: str, window: pd.DataFrame, value: Value, count: int, problem: str | None) -> dict[str, object]:
    numerator, denominator, quotient = value
    members = int(window["members"].iloc[-count]) if count else 0
    expanders = int(window["expanders"].sum())
    return {
        "metric": metric,
        "window_months": count,
        "numerator": numerator,
        "denominator": denominator,
        "ratio": None if quotient is None else decimal_text(quotient),
        "n_customers": members,
        "n_expanders": expanders,
        "quality": problem or quality_by_size(members, expanders, complete=count == len(window)),
    }


def _cohort_values(cohort: pd.DataFrame) -> pd.DataFrame:
    """Closing and retained MRR of the window's first members at the exchange rates of its start; a customer's is rounded half-even once.

    `continuous` is retained MRR of customers that paid at every closing instant of the window: one that left and came back is lost (semantics 4.2).
    """
    foreign = cohort["customer"].notna()
    moved = cohort[foreign]
    closing = [at_first_rates(*rates) for rates in zip(moved["closing"], moved["closings"], moved["fxs"], strict=True)]
    retained = moved["opening"].clip(upper=pd.Series(closing, index=moved.index, dtype="int64"))
    at_rates = moved.assign(closing=closing, retained=retained, continuous=retained.where(~moved["interrupted"].astype(bool), 0))
    return pd.concat([cohort[~foreign], at_rates])[["segment", "pricing_model", "opening", "closing", "retained", "continuous"]]


def at_first_rates(closing: int, closings: Sequence[int], added: Sequence[int]) -> int:
    """What `closing` is without the exchange rates of the months before it.

    Args:
        closing: MRR at the end, minor units at the last closing's rates.
        closings: closing MRR of each month in which rates moved.
        added: what the rates added to each; a closing without it is the same MRR at its opening's rates.

    Returns:
        Minor units at the first opening's rates, half-even. 110 after rates added 10 is 100; 220 then, after a doubling, 200.
    """
    above, below = int(closing), 1
    for total, fx in zip(closings, added, strict=True):
        if total:
            above, below = above * (int(total) - int(fx)), below * int(total)
    return round(Fraction(above, below))


def compute_trailing(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/trailing of some months."""
    read = {"customer_months": inputs.arrow(mrr.CustomerMonths), "movements": inputs.arrow(mrr.Movements)}
    book = query_arrow("window_book", read)
    computed = inputs.months(mrr.CustomerMonths)

    def compute(month: str) -> Frames:
        of_month, year = windows(month), looked_at(month)
        rows = book.filter(pc.field("month").isin(year))
        sums = query("window_sums", {"windows": of_month, "slices": slices(SLICES), "book": rows})
        cohort = query("window_cohort", {"windows": of_month[of_month["length"] == YEAR], "book": rows})
        return {Trailing: trailing(month, sums, cohort, len(computed.intersection(year)))}

    return month_by_month(wanted, compute)
