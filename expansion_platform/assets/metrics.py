"""Floor `metrics`: the published rates and the roll-forward.

Here: wiring of `domain/sql/slice_sums.sql` and `domain/metrics.py`. Not here: formulas.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform import checks
from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint
from expansion_platform.assets.metadata import asset_spec, bridge_picture
from expansion_platform.domain import metrics as rules
from expansion_platform.domain import reconciliation, reconciliation_metrics
from expansion_platform.domain.schemas import Table, metrics, mrr
from expansion_platform.domain.schemas.mrr import FLOWS
from expansion_platform.resources import Platform
from expansion_platform.storage import engine
from expansion_platform.storage.lake import Lake

KINDS = {"duckdb", "pandera", "deltalake"}
RULES = {
    metrics.Expansion: rules.expansion,
    metrics.ExpansionByType: rules.expansion_by_type,
    metrics.ExpansionBySegment: rules.expansion_by_segment,
    metrics.Retention: rules.retention,
    metrics.Expanders: rules.expanders,
    metrics.Rollforward: rules.rollforward,
}
TIES = {
    metrics.Expansion: "Every rate is the roll-forward's expansion over its opening MRR.",
    metrics.ExpansionByType: "Types sum to expansion and to contraction.",
    metrics.ExpansionBySegment: "Every rate is the roll-forward's; segments sum to the total in every numerator and denominator.",
    metrics.Retention: "Every rate is of the roll-forward's flows, GRR lies between 0 and NRR, and segments sum to the total.",
    metrics.Expanders: "Expansion's shares of new MRR are of the roll-forward's flows.",
    metrics.Rollforward: "Customers sum to the total and segments, too; transfers between segments cancel and lead to the next opening.",
}


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The metric tables as one computation over the same sums; any of them can be materialized alone."""

    @dg.multi_asset(
        specs=[asset_spec(model, deps=[mrr.CustomerMonths, mrr.Movements], kinds=KINDS, skippable=True) for model in RULES],
        check_specs=[*(checks.schema_spec(model) for model in RULES), *(checks.reconciled_spec(model, rule) for model, rule in TIES.items())],
        name="metrics",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def metric_tables(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Every metric of each month, from the sums of its customers."""
        catalog = platform.catalog()
        customers, movements = platform.states(mrr.CustomerMonths), platform.states(mrr.Movements)
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            sums = slice_sums(platform, due)

            def compute(month: str) -> Frames:
                of_month = sums[sums["month"] == month]
                return {model: rule(of_month).assign(**hashes) for model, rule in RULES.items()}

            return compute

        yield from build_months(
            context,
            platform,
            models=list(RULES),
            inputs=lambda month: fingerprint(*hashes.values(), customers.get(month, "absent"), movements.get(month, "absent")),
            prepare=prepare,
            reconciled=[Reconciled(model, rule, partial(_ties, platform.lake, model)) for model, rule in TIES.items()],
            describe=lambda wanted: _describe(platform.lake, wanted),
        )

    return metric_tables


def _ties(lake: Lake, model: type[Table], frames: Frames) -> None:
    """Raises DataQualityError when what is about to be published of one table contradicts the roll-forward."""
    frame, flows = frames[model], frames[metrics.Rollforward]
    if model is metrics.Rollforward:
        wanted = sorted(flows["month"].unique())
        reconciliation.segments_sum(flows)
        reconciliation.slices_chain(flows)
        reconciliation.rollforward_ties(flows, *customer_sums(lake, wanted))
    elif model is metrics.ExpansionByType:
        reconciliation_metrics.types_sum(frame, flows)
    else:
        reconciliation_metrics.rates_tie(frame, flows)
    if model is metrics.ExpansionBySegment:
        reconciliation_metrics.slices_sum(pd.concat([frame, frames[metrics.Expansion]], ignore_index=True))
    if model is metrics.Retention:
        reconciliation_metrics.slices_sum(frame)


def customer_sums(lake: Lake, wanted: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row a month: opening and closing MRR and the exchange rates' flow of mrr/customer_months, and the other flows of mrr/movements."""
    found = []
    others = [f"flow_{name}" for name in FLOWS if name != "fx"]
    for model, columns in ((mrr.CustomerMonths, ["opening", "closing", "flow_fx"]), (mrr.Movements, others)):
        rows = lake.dataset(model).to_table(columns=["month", *columns], filter=pc.field("month").isin(wanted))
        sums = rows.group_by("month").aggregate([(name, "sum") for name in columns])
        found.append(sums.rename_columns(["month", *columns]).to_pandas())
    return found[0], found[1]


def slice_sums(platform: Platform, wanted: list[str]) -> pd.DataFrame:
    """The sums behind every metric, per month and slice (`domain/sql/slice_sums.sql`)."""
    policy = platform.catalog().policy
    return engine.query(
        "slice_sums",
        {
            "months": pd.DataFrame({"month": wanted}),
            "customer_months": platform.lake.arrow(mrr.CustomerMonths, wanted),
            "movements": platform.lake.arrow(mrr.Movements, wanted),
            "policy": pd.DataFrame({"enterprise_acv": [policy.enterprise_acv], "mid_market_acv": [policy.mid_market_acv]}),
        },
    )


def _describe(lake: Lake, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """Rates in percent, rounded, which the UI plots over the months; and each month's MRR bridge as a picture."""
    described: dict[type[Table], dict[str, dict[str, Any]]] = {}
    for model in (metrics.Expansion, metrics.Retention):
        rows = lake.read(model, wanted)
        described[model] = percents(rows[rows["dimension"] == "total"], "metric")
    for model in (metrics.ExpansionByType, metrics.ExpansionBySegment):
        rows = lake.read(model, wanted)
        described[model] = percents(rows[rows["metric"] == "expansion_rate"], "value")
    totals = lake.read(metrics.Rollforward, wanted).query("dimension == 'total'").set_index("month")
    described[metrics.Rollforward] = {
        str(month): {"bridge": dg.MetadataValue.md(bridge_picture({name: int(row[name]) for name in ("opening", *FLOWS, "closing")}))}
        for month, row in totals.iterrows()
    }
    return described


def published_total(lake: Lake, model: type[Table], wanted: list[str]) -> Callable[[str], pd.Series]:
    """Looks up the total's row of metrics/rollforward, or of `expansion_rate` in metrics/expansion, of some months that were computed."""
    rows = lake.read(model, wanted).query("dimension == 'total'")
    rows = (rows[rows["metric"] == "expansion_rate"] if "metric" in rows.columns else rows).set_index("month", drop=False)
    return lambda month: rows.loc[month]


def percents(rows: pd.DataFrame, name: str) -> dict[str, dict[str, Any]]:
    """Ratios in percent by month, under the text of column `name`, which the UI plots."""
    plotted: dict[str, dict[str, Any]] = {}
    for row in rows[rows["ratio"].notna()].itertuples():
        plotted.setdefault(row.month, {})[f"{getattr(row, name)}_percent"] = float(round(Fraction(row.ratio) * 100, 3))
    return plotted
