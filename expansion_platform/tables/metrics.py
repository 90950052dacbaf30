"""Floor `metrics`: rates and roll-forward of each month, and what they rest on.

Also over windows of months, by dimension, by origin, and beside costs.

Here: declarations and what the UI plots of them. Not here: rules (`domain/`), what lasts of an expansion
(`outcomes.py`), what figures say (`outlook.py`).
"""

from __future__ import annotations

from functools import partial

import dagster as dg

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.metrics import (
    audits,
    benchmarks,
    coverage,
    dimensions,
    expansion_by_origin,
    expansion_cac,
    one_month,
    trailing,
)
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import customer_slices
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine.declaration import DUCKDB, Declaration, Identity, Plotted, Read, Window
from expansion_platform.engine.describe import bridge_picture
from expansion_platform.engine.uses import ATTRIBUTE_KEYS, ATTRIBUTES, CATALOG, COSTS, TIMEZONE
from expansion_platform.tables.plots import percents, total_percents
from expansion_platform.tables.reads import END_RATES, STATES

_TIES = {
    metrics.Expansion: "Every rate is the roll-forward's expansion over its opening MRR.",
    metrics.ExpansionBySegment: "Every rate is the roll-forward's; "
    "segments sum to the total in every numerator and denominator.",
    metrics.Retention: "Every rate is of the roll-forward's flows, GRR lies between 0 and NRR, and "
    "segments sum to the total.",
    metrics.Expanders: "Expansion's shares of new MRR are of the roll-forward's flows.",
}


def _plot_metrics(_months: list[str], inputs: Inputs) -> Plotted:
    """Rates in percent, and each month's MRR bridge as a picture."""
    by_type, by_segment = (
        inputs.frame(model).query("metric == 'expansion_rate'")
        for model in (metrics.ExpansionByType, metrics.ExpansionBySegment)
    )
    totals = inputs.frame(metrics.Rollforward).query("dimension == 'total'").set_index("month")
    return {
        **{
            model: percents(inputs.frame(model).query("dimension == 'total'"), "metric")
            for model in (metrics.Expansion, metrics.Retention)
        },
        metrics.ExpansionByType: percents(by_type, "value"),
        metrics.ExpansionBySegment: percents(by_segment, "value"),
        metrics.Rollforward: {
            str(month): {
                "bridge": dg.MetadataValue.md(
                    bridge_picture({name: int(row[name]) for name in ("opening", *FLOWS, "closing")})
                )
            }
            for month, row in totals.iterrows()
        },
    }


METRICS = Declaration(
    name="metrics",
    models=tuple(one_month.RULES),
    reads=(Read(mrr.CustomerMonths, ordered=False), Read(mrr.Movements, ordered=False)),
    uses=(CATALOG,),
    rule=one_month.compute_metrics,
    identities=(
        *(Identity(of, says, partial(audits.rates_are_of_rollforward, of)) for of, says in _TIES.items()),
        Identity(metrics.ExpansionByType, "Types sum to expansion and to contraction.", audits.types_sum),
        Identity(
            metrics.Rollforward,
            "Customers sum to the total and segments, too; transfers between segments cancel and lead "
            "to the next opening.",
            audits.rollforward_is_of_customers,
        ),
    ),
    plots=_plot_metrics,
    kinds=DUCKDB,
)

COVERAGE = Declaration(
    name="coverage",
    models=(metrics.Coverage,),
    reads=(
        STATES,
        END_RATES,
        Read(mrr.CustomerMonths, ("month", "opening", "closing")),
        Read(mrr.Movements, ("month", "flow_expansion")),
    ),
    uses=(CATALOG, TIMEZONE),
    rule=coverage.compute_coverage,
    identities=(
        Identity(
            metrics.Coverage,
            "The MRR the shares are of is the closing MRR of mrr/customer_months.",
            audits.coverage_is_of_customers,
        ),
    ),
    plots=lambda _months, inputs: {metrics.Coverage: percents(inputs.frame(metrics.Coverage), "metric")},
)

_YEAR = Window(trailing.YEAR - 1)
TRAILING = Declaration(
    name="trailing",
    models=(metrics.Trailing,),
    reads=(
        Read(
            mrr.CustomerMonths,
            ("month", "customer", "segment", "pricing_model", "opening", "closing", "flow_fx"),
            _YEAR,
            ordered=False,
        ),
        Read(
            mrr.Movements,
            ("month", "customer", *(f"flow_{name}" for name in ("new", "expansion", "contraction", "churn"))),
            _YEAR,
            ordered=False,
        ),
    ),
    uses=(CATALOG,),
    rule=trailing.compute_trailing,
    identities=(
        Identity(
            metrics.Trailing,
            "Segments and pricing models at the window's start sum to the total in every numerator and "
            "denominator, and months to sums.",
            audits.trailing_sums,
            (Read(metrics.Rollforward, window=_YEAR),),
        ),
    ),
    plots=total_percents(metrics.Trailing),
    kinds=DUCKDB,
)

CUSTOMER_SLICES = Declaration(
    name="customer_slices",
    models=(mrr.CustomerSlices,),
    reads=(
        Read(stripe.Customers, ("id", "country", "metadata_json"), customer="id"),
        STATES,
        END_RATES,
        Read(
            mrr.CustomerMonths,
            tuple(customer_slices.SEEN),
            coded=("pricing_model", "closing_pricing_model", "first_paid_month"),
        ),
    ),
    uses=(CATALOG, TIMEZONE, ATTRIBUTES, ATTRIBUTE_KEYS),
    rule=customer_slices.compute_customer_slices,
    by="customer",
)

DIMENSIONS = Declaration(
    name="dimensions",
    models=(metrics.ExpansionByDimension, metrics.RollforwardByDimension),
    reads=(
        Read(mrr.CustomerSlices, ("month", "customer", "slices_json", "next_slices_json")),
        Read(mrr.CustomerMonths, ("month", "customer", "opening", "closing", "flow_fx")),
        Read(
            mrr.Movements,
            (
                "month",
                "customer",
                "dormant",
                *(f"flow_{name}" for name in FLOWS if name != "fx"),
                "expansion_gross",
            ),
        ),
    ),
    uses=(CATALOG,),
    rule=dimensions.compute_dimensions,
    identities=(
        Identity(
            metrics.RollforwardByDimension,
            "Every dimension sums to the total in every column, the total is of all customers; "
            "transfers cancel and lead to the next opening.",
            audits.dimensions_sum,
        ),
    ),
    kinds=DUCKDB,
)


def _plot_origins(_months: list[str], inputs: Inputs) -> Plotted:
    """The share of each motion in percent; and whether enough of the expansion has an origin."""
    rows = inputs.frame(metrics.ExpansionByOrigin)
    shown = percents(rows[(rows["metric"] == "expansion_mix") & (rows["dimension"] == "motion")], "value")
    for month, incomplete in rows.groupby("month")["incomplete"].any().items():
        shown.setdefault(str(month), {})["split"] = (
            "incomplete: more than 20 % unknown" if incomplete else "complete enough: at most 20 % unknown"
        )
    return {metrics.ExpansionByOrigin: shown}


EXPANSION_BY_ORIGIN = Declaration(
    name="expansion_by_origin",
    models=(metrics.ExpansionByOrigin,),
    reads=(Read(mrr.Origins), Read(metrics.Expansion)),
    uses=(CATALOG,),
    rule=expansion_by_origin.compute_expansion_by_origin,
    identities=(
        Identity(
            metrics.ExpansionByOrigin,
            "Origins, and motions, sum to the published headline.",
            audits.shares_sum,
        ),
    ),
    plots=_plot_origins,
)

EXPANSION_CAC = Declaration(
    name="expansion_cac",
    models=(metrics.ExpansionCac,),
    reads=(Read(metrics.Rollforward), Read(metrics.Expansion)),
    uses=(CATALOG, COSTS),
    rule=expansion_cac.compute_expansion_cac,
    plots=lambda _months, inputs: {
        metrics.ExpansionCac: percents(
            inputs.frame(metrics.ExpansionCac).query("metric == @expansion_cac.RATIO"), "metric"
        )
    },
)


def _plot_benchmarks(_months: list[str], inputs: Inputs) -> Plotted:
    """The band of each of the total's benchmarks, as text."""
    rows, bands = inputs.frame(metrics.Benchmarks), dict[str, dict[str, str]]()
    for row in rows[(rows["dimension"] == "total") & rows["band"].notna()].itertuples():
        bands.setdefault(str(row.month), {})[str(row.benchmark)] = (
            f"{row.band}{' (indicative)' if row.indicative else ''}"
        )
    return {metrics.Benchmarks: bands}


BENCHMARKS = Declaration(
    name="benchmarks",
    models=(metrics.Benchmarks,),
    reads=(
        *(Read(model) for model in benchmarks.FIGURES),
        Read(metrics.Rollforward),
        Read(metrics.RollforwardByDimension),
    ),
    uses=(CATALOG,),
    rule=benchmarks.compute_benchmarks,
    identities=(
        Identity(
            metrics.Benchmarks,
            "What is compared is the figure as published.",
            audits.benchmarks_are_of_published,
        ),
    ),
    plots=_plot_benchmarks,
)
