"""Floor `metrics`: what the figures say.

Beside targets, in sentences, beside Stripe's own, and beside what was first reported.

Here: declarations and what the UI plots of them. Not here: rules (`domain/metrics/attainment.py`,
`metrics/diagnosed_months.py`, `metrics/parity.py`, `metrics/restated_months.py`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import (
    attainment,
    audits,
    diagnosed_months,
    diagnosis,
    parity,
    restated_months,
)
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.tables import StripeDifferences, StripeParity
from expansion_platform.domain.mrr import month_fingerprints
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine.declaration import Declaration, Digest, Identity, Plotted, Read, Window
from expansion_platform.engine.uses import (
    CATALOG,
    CLOSES,
    CURRENCY,
    EXPONENT,
    MAX_UNEXPLAINED,
    PARITY_POLICY,
    STRIPES_MRR,
    TARGETS,
    TIMEZONE,
    VERSIONS,
)
from expansion_platform.resources import Platform
from expansion_platform.tables.reads import END_RATES, STATES


def _plot_attainment(_months: list[str], inputs: Inputs) -> Plotted:
    """How much of each target the month reached, in percent."""
    rows, plotted = inputs.frame(metrics.Attainment), dict[str, dict[str, Any]]()
    for row in rows[(rows["period"] == "month") & rows["attainment"].notna()].to_dict("records"):
        name = row["metric"] if row["dimension"] == "total" else f"{row['metric']}_{row['value']}"
        plotted.setdefault(str(row["month"]), {})[f"{name}_attained_percent"] = float(
            round(Fraction(row["attainment"]) * 100, 1)
        )
    return {metrics.Attainment: plotted}


ATTAINMENT = Declaration(
    name="attainment",
    models=(metrics.Attainment,),
    reads=tuple(
        Read(
            model,
            ("month", "metric", "dimension", "value", "numerator", "denominator", "quality"),
            Window(attainment.YEAR - 1),
            where=pc.field("metric").isin(attainment.METRICS),
        )
        for model in attainment.FIGURES
    ),
    uses=(CATALOG, TARGETS),
    rule=attainment.compute_attainment,
    identities=(
        Identity(
            metrics.Attainment,
            "Every numerator and denominator is the sum of the published ones of its months.",
            audits.targets_are_of_published,
        ),
    ),
    plots=_plot_attainment,
)


def _plot_diagnosis(_months: list[str], inputs: Inputs) -> Plotted:
    """Each month's sentences as a list."""
    rows = inputs.frame(metrics.Diagnosis).sort_values("position")
    return {
        metrics.Diagnosis: {
            str(month): {
                "diagnosis": dg.MetadataValue.md("\n".join(f"- {text}" for text in sentences["text"]))
            }
            for month, sentences in rows.groupby("month")
        }
    }


_NINE_MONTHS = Window(diagnosis.QUIET + diagnosis.GREW - 1)
_FIGURES = (metrics.Expansion, metrics.ExpansionByType, metrics.Trailing, metrics.Rollforward)
DIAGNOSIS = Declaration(
    name="diagnosis",
    models=(metrics.Diagnosis,),
    reads=(
        *(Read(model) for model in _FIGURES),
        Read(mrr.CustomerMonths, ("month", "customer", "closing"), ordered=False),
        Read(mrr.PriceMigrations),
        Read(metrics.Retention, window=_NINE_MONTHS),
        Read(
            mrr.Movements,
            ("month", "customer", "flow_expansion", "flags_json"),
            _NINE_MONTHS,
            where=pc.field("flow_expansion") > 0,
        ),
    ),
    uses=(CATALOG, CURRENCY),
    rule=diagnosed_months.compute_diagnosis,
    plots=_plot_diagnosis,
)


def _nothing_to_compare(platform: Platform) -> str | None:
    return (
        "nothing to compare with: EXPANSION_STRIPE_MRR is not set"
        if platform.settings.expansion_stripe_mrr is None
        else None
    )


STRIPE_PARITY = Declaration(
    name="stripe_parity",
    models=(StripeParity, StripeDifferences),
    reads=(Read(billing.ItemStates), Read(billing.FxRates), Read(stripe.Subscriptions)),
    uses=(CATALOG, PARITY_POLICY, TIMEZONE, STRIPES_MRR, MAX_UNEXPLAINED),
    rule=parity.compute_parity,
    identities=(
        Identity(
            StripeParity,
            "The share of Stripe's MRR that differs from ours and that no evidence explains stays under "
            "EXPANSION_MAX_UNEXPLAINED in every month.",
            audits.most_is_explained,
            check="explained",
            warns=True,
        ),
    ),
    not_set_up=_nothing_to_compare,
)


def _plot_restatements(months: list[str], inputs: Inputs) -> Plotted:
    """By how much closing MRR was restated, in whole currency units."""
    units = 10 ** inputs.value("exponent")
    rows = (
        inputs.frame(metrics.Restatements).query("metric == 'closing'").groupby("month")["difference"].sum()
    )
    return {
        metrics.Restatements: {
            month: {"closing_restated": round(int(rows.get(month, 0)) / units, 2)} for month in months
        }
    }


_BACKDATED = Digest(
    "backdated subscriptions by month",
    month_fingerprints.backdated_digest,
    (
        Read(stripe.Subscriptions, ("id", "created")),
        Read(billing.ItemStates, ("subscription", "valid_from"), coded=("subscription",), ordered=False),
    ),
    (TIMEZONE, CLOSES),
)
RESTATEMENTS = Declaration(
    name="restatements",
    models=(metrics.Restatements,),
    reads=(
        Read(mrr.FirstReported),
        *(Read(model) for model in (*restated_months.FIGURES_OF, *restated_months.PUBLISHED)),
        STATES,
        END_RATES,
        Read(stripe.Subscriptions, ("id", "created"), digest=_BACKDATED),
    ),
    uses=(CATALOG, TIMEZONE, EXPONENT, CLOSES, VERSIONS),
    rule=restated_months.compute_restatements,
    identities=(
        Identity(
            metrics.Restatements,
            "Restatements sum, month by month and figure by figure, to every published sum less what "
            "was first reported.",
            audits.restatements_sum,
        ),
    ),
    plots=_plot_restatements,
)
