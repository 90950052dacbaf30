"""Metrics over the months that end with a month (semantics 4.1, 4.2).

Twelve months, three, and one month taken twelve times.

Here: compounding, constant exchange rates, and how complete a window is. Not here: sums over windows
(`windows.py`), single months (`retention.py`).

Every customer keeps the slice it has at the window's start, or in its first month when it came later. A rate
is exact until its text: T12M compounds twelve fractions, each with its own month's opening MRR below the
line.

No float reaches a published figure. `sql/window_cohort.sql` estimates in floating point what a customer pays
at the exchange rates of its window's start: a product of at most twelve quotients and an amount, whose 50
roundings of 1.1e-16 each add up to less than 1e-14 of it. Only the nearest integer is taken of it, and only
where that is certain: an estimate closer to a half than 1e-13 of it, or above 1e12, is computed again as a
fraction (`at_first_rates`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.core.ratios import decimal_text
from expansion_platform.domain.metrics import windows
from expansion_platform.domain.metrics.rows import SLICES as TOTAL_AND_SEGMENTS
from expansion_platform.domain.metrics.rows import quality_by_size
from expansion_platform.domain.metrics.tables import Trailing
from expansion_platform.domain.metrics.windows import SUMS
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import PRICING_MODELS, SEGMENTS

YEAR, QUARTER = 12, 3
LENGTHS = (1, QUARTER, YEAR)
SHORTEST = 3  # months below which a T12M rate is not even extrapolated
SLICES = [*TOTAL_AND_SEGMENTS, *(("pricing_model", name) for name in PRICING_MODELS)]

Value = tuple[int | None, int | None, Fraction | None]
"""Numerator, denominator, quotient."""
Window = Mapping[str, Sequence[int]]
"""Each of `windows.SUMS` by month, oldest first, zeros where the slice was empty."""
COHORT = ("opening", "closing", "retained", "continuous")
Cohort = Mapping[str, int]


def looked_at(month: str) -> list[str]:
    """The months that the windows of a month are made of, oldest first."""
    return months.between(months.shift(month, 1 - YEAR), month)


def numbered(month: str) -> int:
    """A month as queries have it: months since the year 0."""
    return months.distance("0000-01", month)


def trailing(
    wanted: Sequence[str], customer_months: Any, movements: Any, known: Mapping[str, int]
) -> pd.DataFrame:
    """metrics/trailing of some months without hashes.

    Args:
        wanted: each the last of its windows.
        customer_months: mrr/customer_months of all months in them (`window_months.sql`).
        movements: mrr/movements of them (`window_moves.sql`).
        known: by month, how many of its longest window's months have been computed; none of them lies before
            one that has not. In some nobody may have paid.

    Returns:
        One row per month, slice and metric; also for slices nobody is in, without a value.
    """
    calendar = months.between(looked_at(min(wanted))[0], max(wanted))
    lasts = [calendar.index(month) for month in wanted]
    sums = np.zeros((len(calendar), YEAR, len(windows.SLICES), len(SUMS)), dtype=np.int64)
    cohort: list[dict[str, Any]] = []
    for book in windows.books(calendar, customer_months, movements):
        sums += windows.window_sums(book, YEAR)
        cohort += windows.cohorts(book, lasts, YEAR)
    first = numbered(calendar[0])
    of_cohort = pd.DataFrame(
        cohort,
        columns=[
            "last",
            "segment",
            "pricing_model",
            "customer",
            *COHORT,
            "paid",
            "interrupted",
            "closings",
            "fxs",
        ],
    )
    return rows(
        wanted, _by_window(sums, lasts, first), of_cohort.assign(last=of_cohort["last"] + first), known
    )


def _by_window(sums: Ints, lasts: Sequence[int], first: int) -> pd.DataFrame:
    """The sums of each window, month, dimension and value, from `windows.window_sums`.

    Months are numbered from `first` on.
    """
    cube = sums.reshape(*sums.shape[:2], len(SEGMENTS), len(PRICING_MODELS), len(SUMS))
    by_slice = [cube.sum(axis=(2, 3))[:, :, None], cube.sum(axis=3), cube.sum(axis=2)]
    found = np.concatenate(by_slice, axis=2)  # in the order of SLICES
    records = [
        (length, first + last, first + month, *slice_, *amounts)
        for length in LENGTHS
        for last in lasts
        for month in range(last + 1 - length, last + 1)
        for slice_, amounts in zip(
            SLICES, found[last + 1 - length, month - (last + 1 - length)].tolist(), strict=True
        )
    ]
    return pd.DataFrame(records, columns=["length", "last", "month", "dimension", "value", *SUMS])


def rows(
    wanted: Sequence[str], sums: pd.DataFrame, cohort: pd.DataFrame, known: Mapping[str, int]
) -> pd.DataFrame:
    """`trailing` from sums of windows, months and slices, and from what became of who opened them."""
    by_month, by_slice = _by_month(sums), _by_slice(cohort)
    nothing, nobody = (0,) * len(SUMS), dict.fromkeys(COHORT, 0)
    records = []
    for month in wanted:
        last = numbered(month)
        for dimension, value in SLICES:
            found = {
                length: [
                    by_month.get((length, last, name, dimension, value), nothing)
                    for name in range(last + 1 - length, last + 1)
                ]
                for length in LENGTHS
            }
            by_length = {
                length: dict(zip(SUMS, zip(*of_months, strict=True), strict=True))
                for length, of_months in found.items()
            }
            figures = _of_slice(by_length, by_slice.get((last, dimension, value), nobody), known[month])
            records += [
                {"month": month, "dimension": dimension, "value": value} | record for record in figures
            ]
    amounts = {
        name: pd.Series([record[name] for record in records], dtype="Int64")
        for name in ("numerator", "denominator")
    }
    return pd.DataFrame.from_records(records).assign(**amounts)


def _by_month(sums: pd.DataFrame) -> dict[tuple[object, ...], tuple[int, ...]]:
    """The sums of each length, last month, month, dimension and value."""
    keys = zip(
        *(sums[name].tolist() for name in ("length", "last", "month", "dimension", "value")), strict=True
    )
    return dict(zip(keys, zip(*(sums[name].tolist() for name in SUMS), strict=True), strict=True))


def _of_slice(by_length: Mapping[int, Window], cohort: Cohort, known: int) -> list[dict[str, object]]:
    one, quarter, year = (by_length[length] for length in LENGTHS)
    start, opened = year["opening"][0], cohort["opening"]
    return [
        _rate("expansion_rate_annualised", one, _annualised(_rates(one)), shortest=1),
        _rate("expansion_rate_t3m_mean", quarter, _mean(_rates(quarter)), shortest=QUARTER),
        _rate("expansion_rate_t12m", year, _t12m(_rates(year)), shortest=SHORTEST),
        _from_start("expansion_rate_t12m_simple", year, _quotient(_total(year, "expansion"), start), known),
        _from_start(
            "expansion_rate_t12m_cohort", year, _quotient(_total(year, "member_expansion"), start), known
        ),
        _from_start("nrr_t12m", year, _quotient(cohort["closing"], opened), known),
        _from_start("grr_t12m", year, _quotient(cohort["retained"], opened), known),
        _from_start("grr_continuous_t12m", year, _quotient(cohort["continuous"], opened), known),
        _sum(
            "quick_ratio_t3m",
            quarter,
            _quotient(_total(quarter, "new", "expansion"), -_total(quarter, "contraction", "churn")),
            known,
        ),
        _sum(
            "expansion_share_of_new_t12m",
            year,
            _quotient(_total(year, "expansion"), _total(year, "new", "expansion")),
            known,
        ),
    ]


def _rates(window: Window) -> list[Fraction]:
    """Monthly expansion rates of the newest months in a row that have a base, oldest first."""
    rates: list[Fraction] = []
    for expansion, opening in zip(reversed(window["expansion"]), reversed(window["opening"]), strict=True):
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


def _total(window: Window, *columns: str) -> int:
    return sum(sum(window[column]) for column in columns)


def _quotient(numerator: int, denominator: int) -> Value:
    return numerator, denominator, Fraction(numerator, denominator) if denominator else None


def _rate(
    metric: str, window: Window, rate: tuple[int, Fraction | None], *, shortest: int
) -> dict[str, object]:
    """A compounded or mean rate, of as many months as have a base."""
    count, value = rate
    problem = "no_base" if not count else "too_short" if count < shortest else None
    return _record(metric, window, (None, None, value), count, problem)


def _from_start(metric: str, window: Window, value: Value, known: int) -> dict[str, object]:
    """A ratio to the MRR at the window's start: without that month there is none."""
    if known < len(window["opening"]):
        return _record(metric, window, (None, None, None), known, "too_short")
    return _record(metric, window, value, len(window["opening"]), None if value[1] else "no_base")


def _sum(metric: str, window: Window, value: Value, known: int) -> dict[str, object]:
    """A ratio of sums over the window's months, or over those there are."""
    count = min(known, len(window["opening"]))
    empty = "no_losses" if metric.startswith("quick_ratio") else "no_base"
    return _record(metric, window, value, count, None if value[1] else empty)


def _record(metric: str, window: Window, value: Value, count: int, problem: str | None) -> dict[str, object]:
    numerator, denominator, quotient = value
    members = window["members"][-count] if count else 0
    expanders = sum(window["expanders"])
    return {
        "metric": metric,
        "window_months": count,
        "numerator": numerator,
        "denominator": denominator,
        "ratio": None if quotient is None else decimal_text(quotient),
        "n_customers": members,
        "n_expanders": expanders,
        "quality": problem or quality_by_size(members, expanders, complete=count == len(window["opening"])),
    }


def _by_slice(cohort: pd.DataFrame) -> dict[tuple[object, ...], dict[str, int]]:
    """Closing and retained MRR of each window's first members at its first exchange rates.

    By last month, dimension and value.

    A customer's is rounded half-even once. `continuous` is retained MRR of customers that paid at every
    closing instant of the window: one that left and came back is lost (semantics 4.2).
    """
    found: dict[tuple[object, ...], dict[str, int]] = {}
    for row in cohort.to_dict("records"):
        values = {name: int(row[name]) for name in COHORT}
        if not pd.isna(row["customer"]):
            closing = at_first_rates(row["paid"], row["closings"], row["fxs"])
            retained = min(values["opening"], closing)
            values |= {
                "closing": closing,
                "retained": retained,
                "continuous": 0 if row["interrupted"] else retained,
            }
        for key in (("total", "all"), ("segment", row["segment"]), ("pricing_model", row["pricing_model"])):
            sums = found.setdefault((row["last"], *key), dict.fromkeys(COHORT, 0))
            for name, value in values.items():
                sums[name] += value
    return found


def at_first_rates(closing: int, closings: Sequence[int], added: Sequence[int]) -> int:
    """What `closing` is without the exchange rates of the months before it.

    Args:
        closing: MRR at the end, minor units at the last closing's rates.
        closings: closing MRR of each month in which rates moved.
        added: what the rates added to each; a closing without it is the same MRR at its opening's rates.

    Returns:
        Minor units at the first opening's rates, half-even. 110 after rates added 10 is 100; 220 then, after
        a doubling, 200.
    """
    above, below = int(closing), 1
    for total, fx in zip(closings, added, strict=True):
        if total:
            above, below = above * (int(total) - int(fx)), below * int(total)
    return round(Fraction(above, below))


def compute_trailing(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/trailing of some months."""
    computed = inputs.months(mrr.CustomerMonths)
    known = {month: len(computed.intersection(looked_at(month))) for month in wanted}
    return Computed(
        {Trailing: trailing(wanted, inputs.scan(mrr.CustomerMonths), inputs.scan(mrr.Movements), known)}
    )
