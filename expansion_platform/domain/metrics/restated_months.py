"""First reported and restated figures over a range of months.

Here: what the comparison reads, and the two rules. Not here: the comparison itself (`restatements.py`), when
a month closes (`tables/first_reported.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.restatements import Ends, first_reported, hashed_states, restatements
from expansion_platform.domain.mrr import contributions
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.stripe import tables as stripe

FIGURES_OF: tuple[type[Table], ...] = (mrr.CustomerMonths, mrr.Movements, mrr.CustomerSlices, mrr.Origins)
"""What a customer's figures are read from (`contributions.figures`)."""
VALUES: tuple[type[Table], ...] = (
    metrics.Expansion,
    metrics.ExpansionBySegment,
    metrics.ExpansionByDimension,
    metrics.Retention,
    metrics.Expanders,
)
PUBLISHED: tuple[type[Table], ...] = (
    metrics.Rollforward,
    metrics.RollforwardByDimension,
    *VALUES,
    metrics.ExpansionByType,
    metrics.ExpansionByOrigin,
)


def compute_restatements(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/restatements of some months; no rows of those that have not closed."""
    catalog, closes, versions = inputs.catalog, inputs.value("closes"), inputs.value("versions")
    if not closes.keys() & set(wanted):
        return Computed({})
    hashed, rates = hashed_states(inputs.frame(billing.ItemStates), catalog), inputs.frame(billing.FxRates)
    subscriptions = inputs.frame(stripe.Subscriptions)

    def compute(month: str) -> Frames:
        if month not in closes:
            return {}
        reported_at = pd.Timestamp(closes[month].at)
        rows = restatements(
            inputs.frame(mrr.FirstReported, [month]),
            figures_now(month, inputs),
            hashed=hashed,
            new_subscriptions=subscriptions.loc[subscriptions["created"] > reported_at, "id"],
            ends=ends(month, inputs.timezone, rates),
            catalog=catalog,
            versions=versions,
        )
        return {metrics.Restatements: rows.assign(month=month, reported_at=reported_at.as_unit("us"))}

    return month_by_month(wanted, compute)


def report_month(inputs: Inputs) -> Callable[[str], pd.DataFrame]:
    """A function that gives what is kept of a month as it closes.

    mrr/first_reported of the month without reported_at.
    """
    catalog, versions = inputs.catalog, inputs.value("versions")
    hashed, rates = hashed_states(inputs.frame(billing.ItemStates), catalog), inputs.frame(billing.FxRates)

    def report(month: str) -> pd.DataFrame:
        at_ends = ends(month, inputs.timezone, rates)
        return first_reported(figures_now(month, inputs), hashed, at_ends, catalog.reporting_currency).assign(
            month=month, **versions
        )

    return report


def figures_now(month: str, inputs: Inputs) -> pd.DataFrame:
    """What each customer adds to the published sums of a month, as the tables have it now."""
    return contributions.figures(
        *(inputs.frame(model, [month]) for model in FIGURES_OF), policy=inputs.catalog.policy
    )


def ends(month: str, timezone: str, rates: pd.DataFrame) -> Ends:
    """A month's instants and rates, from billing/fx_rates."""
    before, after = (rates[rates["month"] == name] for name in (months.shift(month, -1), month))
    known = (dict(zip(rows["currency"], rows["rate"], strict=True)) for rows in (before, after))
    return Ends(months.opening(month, timezone), months.closing(month, timezone), *known)
