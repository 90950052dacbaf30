"""Floors `mrr` and `metrics`: how much of an expansion lasts.

Here: wiring of `domain/durability.py` and `domain/sql/durability_sums.sql`. Not here: formulas. A month looks three months back: when one of them
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
from expansion_platform.domain import reconciliation_metrics
from expansion_platform.domain.metrics import slices
from expansion_platform.domain.schemas import lasting, metrics, mrr
from expansion_platform.domain.schemas.mrr import ORGANIC
from expansion_platform.resources import Platform
from expansion_platform.storage import engine

KINDS = {"duckdb", "pandera", "deltalake"}
TABLES = [lasting.SeatEvents, lasting.Durability]
OF_CAUSES = "What added seats are worth is what the causes of their month say."
SLICES_SUM = (
    "Segments sum to the total in every numerator and denominator; what is said of seats is the sum of mrr/seat_events, the rest a part of expansion."
)
COLUMNS = {
    mrr.CustomerMonths: ["month", "customer", "segment", "opening"],
    mrr.Movements: ["month", "customer", "segment", "movement", "flow_expansion", "flags_json"],
    mrr.Causes: ["month", "customer", "group", "cause", "amount", "from_item", "to_item", "from_quantity", "to_quantity"],
}


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The two tables as one computation, by the month in which it is known; either can be materialized alone."""

    @dg.multi_asset(
        specs=[asset_spec(model, deps=[*COLUMNS, metrics.Rollforward], kinds=KINDS, skippable=True) for model in TABLES],
        check_specs=[
            *(checks.schema_spec(model) for model in TABLES),
            checks.reconciled_spec(lasting.SeatEvents, OF_CAUSES),
            checks.reconciled_spec(lasting.Durability, SLICES_SUM),
        ],
        name="durability",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def durability_tables(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each month says of the expansion of the three months before, and of its own."""
        catalog, lake = platform.catalog(), platform.lake
        states = [lake.states(model) for model in COLUMNS]

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, *states_over(rules.looked_at(month), *states))

        def of_causes(frames: Frames) -> None:
            events = frames[lasting.SeatEvents]
            told = sorted({name for month in frames[lasting.Durability]["month"].unique() for name in rules.looked_at(month)})
            reconciliation_metrics.seat_events_tie(events, lake.read(mrr.Causes, told, pc.field("cause") == "seat"))

        def sums(frames: Frames) -> None:
            reconciliation_metrics.slices_sum(frames[lasting.Durability])
            reconciliation_metrics.durability_ties(frames[lasting.Durability], frames[lasting.SeatEvents])
            expanded = sorted(frames[lasting.Durability]["expanded_month"].unique())
            reconciliation_metrics.durability_follows_expansion(frames[lasting.Durability], lake.read(metrics.Rollforward, expanded))

        yield from build_months(
            context,
            platform,
            models=TABLES,
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(lasting.SeatEvents, OF_CAUSES, of_causes), Reconciled(lasting.Durability, SLICES_SUM, sums)],
            describe=lambda wanted: {lasting.Durability: percents(lake.read(lasting.Durability, wanted).query("dimension == 'total'"), "metric")},
        )

    return durability_tables


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
    wanted = pc.field("month").isin(sorted({name for month in due for name in rules.looked_at(month)}))
    customers, movements, causes = (platform.lake.dataset(model).to_table(columns=names, filter=wanted) for model, names in COLUMNS.items())
    events = rules.seat_events(due, movements.to_pandas(), causes.to_pandas())
    tables = {"customer_months": customers, "movements": movements, "causes": causes, "organic": pd.DataFrame({"cause": ORGANIC})}
    tables |= {"spans": rules.spans(due), "slices": slices(), "lasting_surges": rules.lasting_surges(events)}
    sums = engine.query("durability_sums", tables)

    def compute(month: str) -> Frames:
        told = events[events["month"] == month]
        rows = rules.durability(sums[sums["month"] == month].reset_index(drop=True), told)
        return {lasting.SeatEvents: told.assign(**hashes), lasting.Durability: rows.assign(**hashes)}

    return compute
