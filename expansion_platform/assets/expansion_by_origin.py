"""Floor `metrics`: the split of the headline by who began it.

Here: wiring of `domain/origins.py`. Not here: the rules, and who began what (`origins.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table
from expansion_platform.assets.metrics import percents, published_total
from expansion_platform.domain import origins as rules
from expansion_platform.domain import reconciliation
from expansion_platform.domain.schemas import Table, metrics, origin
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
INPUTS: list[type[Table]] = [origin.Origins, metrics.Expansion]
SHARES_SUM = "Origins, and motions, sum to the published headline."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, origin.ExpansionByOrigin, deps=INPUTS, kinds=KINDS, rule=SHARES_SUM)
    def by_origin_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """The headline by origin and by motion."""
        catalog, lake = platform.catalog(), platform.lake
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
        states = [platform.states(model) for model in INPUTS]

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            published = published_total(lake, metrics.Expansion, due)

            def compute(month: str) -> Frames:
                return {origin.ExpansionByOrigin: rules.expansion_by_origin(lake.read(origin.Origins, [month]), published(month)).assign(**hashes)}

            return compute

        def sum_up(frames: Frames) -> None:
            rows = frames[origin.ExpansionByOrigin]
            reconciliation.origin_shares_sum(rows, lake.read(metrics.Expansion, sorted(rows["month"].unique())))

        yield from build_months(
            context,
            platform,
            models=[origin.ExpansionByOrigin],
            inputs=lambda month: fingerprint(*hashes.values(), *(known.get(month, "absent") for known in states)),
            prepare=prepare,
            reconciled=[Reconciled(origin.ExpansionByOrigin, SHARES_SUM, sum_up)],
            describe=lambda wanted: _describe(lake, wanted),
        )

    return by_origin_table


def _describe(lake: Lake, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """The share of each motion in percent, which the UI plots; and whether it tells enough."""
    rows = lake.read(origin.ExpansionByOrigin, wanted)
    shown = percents(rows[(rows["metric"] == "expansion_mix") & (rows["dimension"] == "motion")], "value")
    for month, incomplete in rows.groupby("month")["incomplete"].any().items():
        shown.setdefault(str(month), {})["split"] = "incomplete: more than 20 % unknown" if incomplete else "complete enough: at most 20 % unknown"
    return {origin.ExpansionByOrigin: shown}
