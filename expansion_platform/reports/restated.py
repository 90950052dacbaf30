"""What closed months say now and did not say when they closed, in words: `expansion restate`.

Here: the words. Not here: which figures differ and why (`domain/metrics/restatements.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from expansion_platform.domain.core.table import added
from expansion_platform.domain.core.wording import money
from expansion_platform.domain.mrr.contributions import AMOUNTS, kept
from expansion_platform.domain.mrr.tables import FirstReported

REASONS = {
    "merge": "customers were merged",
    "backdated": "a subscription that was made after the month closed",
    "late_event": "a fact that was not known as the month closed",
    "late_usage": "usage that was not billed as the month closed",
    "fx_revision": "another exchange rate",
    "catalog_change": "the catalog was changed",
    "policy_change": "the counting policy or the time zone was changed",
    "code_change": "the rules of this package were changed",
}
OF_SLICES = ["opening", "expansion", "closing"]
"""What is listed of customers that moved to another slice; the table has every figure."""
NAMED = 3
"""Customers named in a line; the table has all of them."""


def restated(
    before: pd.DataFrame, after: pd.DataFrame, reported: pd.DataFrame, currency: str
) -> Iterator[str]:
    """Lines that say what a run moved, and what of each closed month is not as first reported.

    A slice is listed only for what moved into or out of it: the rest of its change is that of the figure
    above.

    Args:
        before: metrics/restatements of the months before the run.
        after: the same after it.
        reported: mrr/first_reported of the months.
        currency: reporting currency.
    """
    yield _moved(before, after)
    for month, closed in reported.groupby("month"):
        rows = _shown(after[after["month"] == month])
        if rows.empty:
            continue
        first, difference = (
            int(closed["closing"].sum()),
            int(rows.loc[rows["metric"] == "closing", "difference"].sum()),
        )
        yield (
            f"{month}: MRR {money(first, currency)} first reported {closed['reported_at'].iloc[0]:%Y-%m-%d}, "
            f"{money(first + difference, currency)} now ({_signed(difference, currency)})"
        )
        for (metric, reason), part in rows.groupby(["metric", "reason"], sort=False):
            yield (
                f"  {_signed(int(part['difference'].sum()), currency)} {metric}: {REASONS[str(reason)]} "
                f"({_customers(part, currency)})"
            )
        if set(added(FirstReported)) - kept(closed):
            yield (
                "  not compared: contraction by type, gross amounts, ARR, origins and slices; the version "
                "that closed this month did not keep them"
            )


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Figures in their order, then what customers took from one slice to another: they have a row in each."""
    parts = rows["metric"].str.split(":")
    dimension, figure = parts.str[0].where(rows["metric"].str.count(":") > 0, ""), parts.str[-1]
    slices = rows.assign(
        dimension=dimension,
        figure=figure,
        place=figure.map({name: place for place, name in enumerate(AMOUNTS)}),
    )
    moved = slices.duplicated(["customer", "dimension", "figure"], keep=False) & figure.isin(OF_SLICES)
    return slices[(dimension == "") | moved].sort_values(["dimension", "place", "metric"], kind="stable")


def _moved(before: pd.DataFrame, after: pd.DataFrame) -> str:
    runs = [
        set(rows[["month", "customer", "metric", "restated"]].itertuples(index=False, name=None))
        for rows in (before, after)
    ]
    figures = {row[:3] for row in runs[0] ^ runs[1]}
    if not figures:
        return "This run moved no figure of a month that had closed."
    calendar, customers = (
        sorted({month for month, *_ in figures}),
        len({customer for _, customer, _ in figures}),
    )
    where = calendar[0] if len(calendar) == 1 else f"{calendar[0]} to {calendar[-1]}"
    return (
        f"This run moved {len(figures)} figures of {customers} customer{'' if customers == 1 else 's'} in "
        f"{where}."
    )


def _customers(rows: pd.DataFrame, currency: str) -> str:
    largest = rows.assign(size=rows["difference"].abs()).sort_values(
        ["size", "customer"], ascending=[False, True], kind="stable"
    )
    shown = largest.head(NAMED)
    named = [
        f"{customer} {_signed(int(moved), currency)}"
        for customer, moved in zip(shown["customer"], shown["difference"], strict=True)
    ]
    return ", ".join(named) + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def _signed(minor: int, currency: str) -> str:
    return ("+" if minor > 0 else "") + money(minor, currency)
