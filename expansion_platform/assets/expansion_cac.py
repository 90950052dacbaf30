"""Floor `metrics`: what expansion costs beside what acquisition costs, where the user says what was spent.

Here: wiring of `domain/expansion_cac.py`. Not here: formulas.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, build_months, fingerprint, monthly_table
from expansion_platform.assets.metrics import percents, published_total
from expansion_platform.domain import expansion_cac as rules
from expansion_platform.domain.schemas import Table, given, metrics
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
INPUTS = [metrics.Rollforward, metrics.Expansion]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, metrics.ExpansionCac, deps=INPUTS, kinds=KINDS)
    def expansion_cac_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Cost of expansion over cost of acquisition, of the months whose costs are given."""
        catalog, lake = platform.catalog(), platform.lake
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
        costs = rules.costs_by_month(platform.given(given.Costs), platform.settings.expansion_currency)
        states = [platform.states(model) for model in INPUTS]

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            flows, rates = published_total(lake, metrics.Rollforward, due), published_total(lake, metrics.Expansion, due)

            def compute(month: str) -> Frames:
                moved = {name: int(flows(month)[name]) for name in ("expansion", "new")}
                members, expanders = int(rates(month)["n_customers"]), int(rates(month)["n_expanders"])
                return {metrics.ExpansionCac: rules.expansion_cac(month, costs, moved, members, expanders).assign(**hashes)}

            return compute

        yield from build_months(
            context,
            platform,
            models=[metrics.ExpansionCac],
            inputs=lambda month: fingerprint(*hashes.values(), str(costs.get(month)), *(known.get(month, "absent") for known in states)),
            prepare=prepare,
            describe=lambda wanted: _describe(lake, wanted),
        )

    return expansion_cac_table


def _describe(lake: Lake, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """The ratio in percent, which the UI plots."""
    return {metrics.ExpansionCac: percents(lake.read(metrics.ExpansionCac, wanted, pc.field("metric") == rules.RATIO), "metric")}
