"""What must hold before published figures are.

Of each declared identity, the tables it is about and what they are compared with.

Here: one function an identity. Not here: the comparisons themselves (`reconciliation.py`,
`reconciliation_totals.py`), the rules that make the tables; a changed identity is no changed rule, and
computes nothing again.
"""

from __future__ import annotations

from decimal import Decimal

import pandas as pd

from expansion_platform.domain.catalog.inputs import Frames, Inputs
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.metrics import attainment, benchmarks, reconciliation_totals, restated_months
from expansion_platform.domain.metrics import reconciliation as metrics_reconciliation
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import contributions
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS


def rollforward_is_of_customers(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where metrics/rollforward is not the sum of its customers."""
    flows = frames[metrics.Rollforward]
    reconciliation_totals.segments_sum(flows)
    reconciliation_totals.slices_chain(flows)
    reconciliation_totals.rollforward_ties(flows, *customer_sums(flows, inputs))


def types_sum(frames: Frames, _: Inputs) -> None:
    """Raises DataQualityError where types do not sum to the roll-forward."""
    metrics_reconciliation.types_sum(frames[metrics.ExpansionByType], frames[metrics.Rollforward])


def rates_are_of_rollforward(model: type[Table], frames: Frames, _: Inputs) -> None:
    """Raises DataQualityError where a table's rates are not those of the roll-forward.

    Its slices must sum to the total, too.
    """
    frame = frames[model]
    metrics_reconciliation.rates_tie(frame, frames[metrics.Rollforward])
    if model is metrics.ExpansionBySegment:
        metrics_reconciliation.slices_sum(pd.concat([frame, frames[metrics.Expansion]], ignore_index=True))
    if model is metrics.Retention:
        metrics_reconciliation.slices_sum(frame)


def coverage_is_of_customers(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where the MRR that the shares are of is not that of mrr/customer_months."""
    rows = frames[metrics.Coverage]
    reconciliation_totals.coverage_ties(
        rows,
        query(
            "metrics/closing_sums",
            {"customer_months": inputs.scan(mrr.CustomerMonths, sorted(rows["month"].unique()))},
        ),
    )


def trailing_sums(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where slices do not sum to the total.

    Windows must sum to the roll-forward of their months, too.
    """
    rows = frames[metrics.Trailing]
    metrics_reconciliation.slices_sum(rows)
    metrics_reconciliation.windows_tie(rows, inputs.frame(metrics.Rollforward))


def dimensions_sum(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where a dimension does not sum to the total.

    The total must be that of the customers, too.
    """
    flows = frames[metrics.RollforwardByDimension]
    reconciliation_totals.dimensions_sum(flows)
    reconciliation_totals.slices_chain(flows)
    reconciliation_totals.rollforward_ties(flows, *customer_sums(flows, inputs))


def shares_sum(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where origins, or motions, do not sum to the published headline."""
    reconciliation_totals.origin_shares_sum(
        frames[metrics.ExpansionByOrigin], inputs.frame(metrics.Expansion)
    )


def benchmarks_are_of_published(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where what is compared is not the figure as published."""
    metrics_reconciliation.benchmarks_tie(
        frames[metrics.Benchmarks], pd.concat([inputs.frame(model) for model in benchmarks.FIGURES])
    )


def durability_sums(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where slices do not sum to the total.

    Seats must sum to mrr/seat_events and expansion to the roll-forward, too.
    """
    rows = frames[metrics.Durability]
    metrics_reconciliation.slices_sum(rows)
    metrics_reconciliation.durability_ties(rows, inputs.frame(mrr.SeatEvents))
    metrics_reconciliation.durability_follows_expansion(rows, inputs.frame(metrics.Rollforward))


def expanders_are_published(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where the expanders are not those that metrics/expansion counts.

    Counts in the month they expanded in.
    """
    metrics_reconciliation.expanders_tie(frames[metrics.ExpansionThenChurn], inputs.frame(metrics.Expansion))


def cohorts_are_of_rollforward(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where a cohort is not as in metrics/rollforward_by_dimension.

    Its expansion and closing MRR are compared. Or where cohorts do not add up.
    """
    metrics_reconciliation.cohorts_tie(
        frames[metrics.CohortExpansion],
        inputs.frame(metrics.RollforwardByDimension).query("dimension == 'cohort'"),
    )


def targets_are_of_published(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where a numerator or denominator is not a sum of published ones.

    Of the published ones of its months.
    """
    attainment.ties(frames[metrics.Attainment], attainment.figures(inputs))


def most_is_explained(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where evidence leaves more of Stripe's MRR unexplained than is allowed."""
    allowed, rows = Decimal(inputs.value("max_unexplained")), frames[metrics.StripeParity]
    shares = zip(rows["month"], rows["unexplained_share"], strict=True)
    over = sorted(
        f"{month} {Decimal(share):.2%}"
        for month, share in shares
        if pd.notna(share) and Decimal(share) > allowed
    )
    if over:
        raise DataQualityError(
            f"of Stripe's MRR nothing explains {', '.join(over)}: `expansion reconcile` names the customers"
        )


def restatements_sum(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where restatements do not sum to what changed.

    To the published sums less what was first reported.
    """
    wanted = sorted(inputs.value("closes").keys() & set(inputs.range))
    rows = frames[metrics.Restatements]
    published = contributions.published(
        inputs.frame(metrics.Rollforward, wanted),
        inputs.frame(metrics.RollforwardByDimension, wanted),
        pd.concat([inputs.frame(model, wanted) for model in restated_months.VALUES]),
        inputs.frame(metrics.ExpansionByType, wanted),
        inputs.frame(metrics.ExpansionByOrigin, wanted),
    )
    reconciliation_totals.restatements_tie(
        rows[rows["month"].isin(wanted)], inputs.frame(mrr.FirstReported, wanted), published
    )


def customer_sums(rows: pd.DataFrame, inputs: Inputs) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row for each month of some rows.

    Opening, closing and flow_fx of mrr/customer_months, and the other flows of mrr/movements.
    """
    wanted = sorted(rows["month"].unique())
    read = {
        "customer_months": inputs.scan(mrr.CustomerMonths, wanted),
        "movements": inputs.scan(mrr.Movements, wanted),
    }
    sums = query("metrics/customer_sums", read)
    return sums[["month", "opening", "closing", "flow_fx"]], sums[
        ["month", *(f"flow_{name}" for name in FLOWS if name != "fx")]
    ]
