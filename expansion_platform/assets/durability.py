"""Floor `metrics`: how much of an expansion lasts.

Here: wiring of `domain/sql/durability_sums.sql` and `domain/durability.py`. Not here: formulas. A month looks three months back: when one of them
changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform import checks
from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, states_over
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.assets.metrics import percents
from expansion_platform.domain import durability as rules
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.metrics import slices
from expansion_platform.domain.schemas import metrics, mrr
from expansion_platform.domain.schemas.mrr import ORGANIC
from expansion_platform.resources import Platform
from expansion_platform.storage import engine

KINDS = {"duckdb", "pandera", "deltalake"}
SEGMENTS_SUM = "Segments sum to the total in every numerator and denominator."
COLUMNS = {
    mrr.CustomerMonths: ["month", "customer", "segment", "opening"],
    mrr.Movements: ["month", "customer", "segment", "movement", "flow_expansion", "flags_json"],
    mrr.Causes: ["month", "customer", "cause", "amount"],
}


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by the month in which the durability is known."""

    @dg.multi_asset(
        specs=[asset_spec(metrics.Durability, deps=list(COLUMNS), kinds=KINDS, skippable=True)],
        check_specs=[checks.schema_spec(metrics.Durability), checks.reconciled_spec(metrics.Durability, SEGMENTS_SUM)],
        name="durability",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def durability_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each month says of the expansion of three months before, and of its own."""
        catalog, lake = platform.catalog(), platform.lake
        states = [lake.states(model) for model in COLUMNS]

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, *states_over(_looked_at(month), *states))

        yield from build_months(
            context,
            platform,
            models=[metrics.Durability],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(metrics.Durability, SEGMENTS_SUM, lambda frames: reconciliation.slices_sum(frames[metrics.Durability]))],
            describe=lambda wanted: {metrics.Durability: percents(lake.read(metrics.Durability, wanted).query("dimension == 'total'"), "metric")},
        )

    return durability_table


def _looked_at(month: str) -> list[str]:
    return months.between(months.shift(month, -rules.LASTS), month)


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    wanted = pc.field("month").isin(sorted({name for month in due for name in _looked_at(month)}))
    customers, movements, causes = (platform.lake.dataset(model).to_table(columns=names, filter=wanted) for model, names in COLUMNS.items())
    tables = {"customer_months": customers, "movements": movements, "causes": causes, "organic": pd.DataFrame({"cause": ORGANIC})}
    sums = engine.query("durability_sums", {"spans": rules.spans(due), "slices": slices(), **tables})

    def compute(month: str) -> Frames:
        rows = rules.durability(sums[sums["month"] == month])
        return {metrics.Durability: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

    return compute
