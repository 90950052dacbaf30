"""Floor `metrics`: how much of an expansion lasts.

Here: wiring of `domain/durability.py` and `domain/sql/durability_sums.sql`. Not here: formulas, and which seats are still there (`seat_events.py`). A
month looks three months back: when one of them changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.assets.metrics import percents
from expansion_platform.domain import durability as rules
from expansion_platform.domain import reconciliation_metrics
from expansion_platform.domain.metrics import slices
from expansion_platform.domain.schemas import Table, lasting, metrics, mrr
from expansion_platform.domain.schemas.mrr import ORGANIC
from expansion_platform.resources import Platform
from expansion_platform.storage import engine

KINDS = {"duckdb", "pandera", "deltalake"}
SLICES_SUM = (
    "Segments sum to the total in every numerator and denominator; what is said of seats is the sum of mrr/seat_events, the rest a part of expansion."
)
COLUMNS = {
    mrr.CustomerMonths: ["month", "customer", "segment", "opening"],
    mrr.Movements: ["month", "customer", "segment", "movement", "flow_expansion", "flags_json"],
    mrr.Causes: ["month", "customer", "cause", "amount"],
}
INPUTS: list[type[Table]] = [*COLUMNS, lasting.SeatEvents, metrics.Rollforward]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by the month in which it is known."""

    @monthly_table(partitions, lasting.Durability, deps=INPUTS, kinds=KINDS, rule=SLICES_SUM)
    def durability_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each month says of the expansion of the three months before, and of its own."""
        catalog, lake = platform.catalog(), platform.lake
        states, events = [platform.states(model) for model in COLUMNS], platform.states(lasting.SeatEvents)

        def inputs(month: str) -> str:
            told = events.get(month, "absent")
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, told, *states_over(rules.looked_at(month), *states))

        def sums(frames: Frames) -> None:
            rows = frames[lasting.Durability]
            reconciliation_metrics.slices_sum(rows)
            reconciliation_metrics.durability_ties(rows, lake.read(lasting.SeatEvents, sorted(rows["month"].unique())))
            expanded = sorted(rows["expanded_month"].unique())
            reconciliation_metrics.durability_follows_expansion(rows, lake.read(metrics.Rollforward, expanded))

        yield from build_months(
            context,
            platform,
            models=[lasting.Durability],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(lasting.Durability, SLICES_SUM, sums)],
            looks_back_to=lambda month: rules.looked_at(month)[0],
            describe=lambda wanted: {lasting.Durability: percents(lake.read(lasting.Durability, wanted).query("dimension == 'total'"), "metric")},
        )

    return durability_table


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
    wanted = pc.field("month").isin(sorted({name for month in due for name in rules.looked_at(month)}))
    customers, movements, causes = (platform.lake.dataset(model).to_table(columns=names, filter=wanted) for model, names in COLUMNS.items())
    tables = {"customer_months": customers, "movements": movements, "causes": causes, "organic": pd.DataFrame({"cause": ORGANIC})}
    events = platform.lake.read(lasting.SeatEvents, due)
    tables |= {"spans": rules.spans(due), "slices": slices(), "lasting_surges": rules.lasting_surges(events)}
    sums = engine.query("durability_sums", tables)

    def compute(month: str) -> Frames:
        rows = rules.durability(sums[sums["month"] == month].reset_index(drop=True), events[events["month"] == month])
        return {lasting.Durability: rows.assign(**hashes)}

    return compute
