"""Floor `metrics`: what lasts of an expansion, who leaves after it, and how cohorts grow.

Here: declarations and what the UI plots of them. Not here: rules (`domain/metrics/durability.py`,
`metrics/expansion_then_churn.py`, `metrics/cohorts.py`).
"""

from __future__ import annotations

from fractions import Fraction

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.wording import percent
from expansion_platform.domain.metrics import audits, cohorts, durability, expansion_then_churn
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import seat_events
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.engine.declaration import (
    DUCKDB,
    EVERYTHING,
    Declaration,
    Identity,
    Plotted,
    Read,
    Window,
)
from expansion_platform.engine.describe import INLINE_MARKDOWN
from expansion_platform.engine.uses import CATALOG, TIMEZONE
from expansion_platform.tables.plots import total_percents

_LAST_MONTHS = Window(seat_events.LASTS)
DURABILITY = Declaration(
    name="durability",
    models=(metrics.Durability,),
    reads=(
        Read(mrr.CustomerMonths, ("month", "customer", "segment", "opening"), _LAST_MONTHS, ordered=False),
        Read(
            mrr.Movements,
            ("month", "customer", "segment", "movement", "flow_expansion", "flags_json"),
            _LAST_MONTHS,
            ordered=False,
        ),
        Read(mrr.Causes, ("month", "customer", "cause", "amount"), _LAST_MONTHS, ordered=False),
        Read(
            mrr.SeatEvents,
            ("month", "expanded_month", "customer", "segment", "amount", "kept", "status", "surge"),
            coded=("expanded_month", "customer", "segment", "status"),
        ),
    ),
    uses=(CATALOG,),
    rule=durability.compute_durability,
    identities=(
        Identity(
            metrics.Durability,
            "Segments sum to the total in every numerator and denominator; what is said of seats is the "
            "sum of mrr/seat_events, the rest a part of expansion.",
            audits.durability_sums,
            (Read(metrics.Rollforward, window=_LAST_MONTHS),),
        ),
    ),
    plots=total_percents(metrics.Durability),
    kinds=DUCKDB,
)

_LONGEST_SPAN = Window(max(expansion_then_churn.SPANS))
EXPANSION_THEN_CHURN = Declaration(
    name="expansion_then_churn",
    models=(metrics.ExpansionThenChurn,),
    reads=(
        Read(
            mrr.CustomerMonths,
            ("month", "customer", "segment", "opening", "closing", "first_paid_at"),
            _LONGEST_SPAN,
        ),
        Read(
            mrr.Movements,
            ("month", "customer", "movement", "flow_expansion", "flags_json"),
            _LONGEST_SPAN,
            where=(pc.field("flow_expansion") > 0) | (pc.field("movement") == "churn"),
            ordered=False,
        ),
        Read(mrr.Origins, ("month", "customer", "origin", "expansion"), _LONGEST_SPAN),
    ),
    uses=(CATALOG, TIMEZONE),
    rule=expansion_then_churn.compute_expansion_then_churn,
    identities=(
        Identity(
            metrics.ExpansionThenChurn,
            "The expanders are those that metrics/expansion counts in the month they expanded in.",
            audits.expanders_are_published,
            (Read(metrics.Expansion, window=_LONGEST_SPAN),),
        ),
    ),
)

_AGES = (3, 6, 12, 24)


def _plot_cohorts(months: list[str], inputs: Inputs) -> Plotted:
    """Cohorts beside each other at the same age, with the newest month."""
    rows = inputs.frame(metrics.CohortExpansion)
    return {metrics.CohortExpansion: {months[-1]: {"by_age": dg.MetadataValue.md(_by_age(rows))}}}


def _by_age(rows: pd.DataFrame) -> str:
    """A markdown table that shows inline: newer cohorts below, the oldest left out where they are many."""
    if rows.empty:
        return f"no cohort is {_AGES[0]} months old"
    begun = dict(zip(rows["cohort"], rows["customers"], strict=True))
    rates = {
        (cohort, age): percent(Fraction(rate), 0)
        for cohort, age, rate in zip(
            rows["cohort"], rows["months_since"], rows["cumulative_rate"], strict=True
        )
    }
    heading = [
        f"|cohort|customers|{'|'.join(f'{age} months' for age in _AGES)}|",
        "|---" * (len(_AGES) + 2) + "|",
    ]
    lines = [
        f"|{cohort}|{begun[cohort]}|{'|'.join(rates.get((cohort, age), '') for age in _AGES)}|"
        for cohort in sorted(begun)
    ]
    while len("\n".join([*heading, *lines])) >= INLINE_MARKDOWN:
        lines.pop(0)
    return "\n".join([*heading, *lines])


COHORT_EXPANSION = Declaration(
    name="cohort_expansion",
    models=(metrics.CohortExpansion,),
    reads=(
        Read(
            mrr.CustomerMonths,
            ("month", "customer", "first_paid_month", "closing"),
            EVERYTHING,
            ordered=False,
        ),
        Read(mrr.Movements, ("month", "customer", "flow_expansion"), EVERYTHING, ordered=False),
    ),
    uses=(CATALOG,),
    rule=cohorts.compute_cohorts,
    identities=(
        Identity(
            metrics.CohortExpansion,
            "A cohort's expansion and closing MRR are those of metrics/rollforward_by_dimension, and "
            "its expansion adds up over the months.",
            audits.cohorts_are_of_rollforward,
            (
                Read(
                    metrics.RollforwardByDimension, window=EVERYTHING, where=pc.field("dimension") == "cohort"
                ),
            ),
        ),
    ),
    plots=_plot_cohorts,
    plot_reads=(
        Read(metrics.CohortExpansion, window=EVERYTHING, where=pc.field("months_since").isin(_AGES)),
    ),
    kinds=DUCKDB,
)
