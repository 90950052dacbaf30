"""A month in plain words: what its figures say, and how far its targets were met.

Of the open month how far it is, provisionally.

Here: reading one month's sentences and attainment and turning them into lines. Not here: the sentences
(`domain/metrics/diagnosis.py`, `pace.py`), printing (`cli/`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

import pyarrow.compute as pc

from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.reports.pace import open_month
from expansion_platform.resources import Platform

FIGURES = {
    "expansion_rate": "expansion rate",
    "expansion_share_of_new": "expansion's share of new MRR",
    "nrr": "NRR",
    "grr": "GRR",
}
PERIODS = {
    "month": "",
    "quarter_to_date": ", fiscal quarter to date",
    "year_to_date": ", fiscal year to date",
}


def month_report(platform: Platform, month: str) -> Iterator[str]:
    """Lines about a month: its sentences, then its targets.

    Raises:
        ExpansionError: the month is neither computed nor open.
    """
    lake, currency = platform.lake, platform.settings.expansion_currency
    open_rows = lake.arrow(metrics.Pace, where=pc.field("month") == month).to_pylist()
    if open_rows:
        yield from open_month(open_rows, currency)
        return
    if not platform.computed(metrics.Diagnosis, month):
        computed = platform.months(metrics.Diagnosis)
        raise ExpansionError(
            f"{month} has no report; there are reports of {computed[0]} to {computed[-1]}"
            if computed
            else "nothing has been computed yet"
        )
    yield month
    yield from sentences(platform, month)
    targets = [
        row
        for row in lake.arrow(metrics.Attainment, [month]).to_pylist()
        if row["period"] == "month" or row["first_month"] < month
    ]
    if targets:
        yield "Targets"
    for row in sorted(targets, key=_place):
        yield f"- {target(row, currency)}"


def nobody_paid(platform: Platform) -> str | None:
    """A line that says so where nobody paid in the newest month that was computed, or in any.

    None where somebody did.
    """
    total = platform.lake.read(metrics.Rollforward, where=pc.field("dimension") == "total").sort_values(
        "month"
    )
    paid = total["opening"] + total["closing"] > 0
    if total.empty or paid.iloc[-1]:
        return None
    newest = total["month"].iloc[-1]
    if paid.any():
        last = total.loc[paid, "month"].iloc[-1]
        return (
            f"Nobody paid in {newest}: its rates have no base (`no_base`). The last month in which somebody "
            f"paid is {last}."
        )
    found = platform.lake.read(stripe.Subscriptions)["status"].value_counts().sort_index()
    statuses = ", ".join(f"{count} {status}" for status, count in found.items()) or "none"
    return (
        f"Nobody has paid yet: MRR is 0 up to {newest}, and rates have no base (`no_base`). Subscriptions "
        f"in Stripe: {statuses}."
    )


def sentences(platform: Platform, month: str) -> list[str]:
    """What a computed month's figures say, a line each."""
    return [f"- {text}" for text in platform.lake.read(metrics.Diagnosis, [month])["text"]]


def _place(row: Mapping[str, Any]) -> tuple[int, int, str]:
    """The month before longer periods, the total before its segments."""
    return (
        list(PERIODS).index(row["period"]),
        list(FIGURES).index(row["metric"]),
        "" if row["dimension"] == "total" else row["value"],
    )


def target(row: Mapping[str, Any], currency: str) -> str:
    """A row of metrics/attainment in words."""
    scope = "" if row["dimension"] == "total" else f" of {row['value']}"
    what = f"{FIGURES[row['metric']]}{scope}{PERIODS[row['period']]}"
    if row["actual"] is None:
        return f"{what}: no base to judge a target of {percent(Fraction(row['target']))} by"
    reached = (
        f"{percent(Fraction(row['actual']))} of {percent(Fraction(row['target']))}, "
        f"{percent(Fraction(row['attainment']), 0)} attained"
    )
    short = "" if row["met"] or row["gap_mrr"] is None else f", {money(row['gap_mrr'], currency)} short"
    return f"{what}: {reached}{short}"
