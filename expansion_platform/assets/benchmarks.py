"""Floor `metrics`: published figures beside what is said to be usual.

Here: wiring of `domain/benchmarks.py`. Not here: bands and their sources.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table
from expansion_platform.domain import benchmarks as rules
from expansion_platform.domain import reconciliation_metrics
from expansion_platform.domain.schemas import metrics
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
FIGURES = [metrics.Trailing, metrics.Expanders, metrics.ExpansionCac]
OF_PUBLISHED = "What is compared is the figure as published."
INPUTS = [*FIGURES, metrics.Rollforward, metrics.RollforwardByDimension]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, metrics.Benchmarks, deps=INPUTS, kinds=KINDS, rule=OF_PUBLISHED)
    def benchmark_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Where each month's figures stand."""
        catalog = platform.catalog()
        states = [platform.states(model) for model in INPUTS]
        yield from build_months(
            context,
            platform,
            models=[metrics.Benchmarks],
            inputs=lambda month: fingerprint(catalog.policy_hash, catalog.catalog_hash, *(known.get(month, "absent") for known in states)),
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(metrics.Benchmarks, OF_PUBLISHED, lambda frames: _of_published(platform.lake, frames[metrics.Benchmarks]))],
            describe=lambda wanted: _describe(platform.lake.read(metrics.Benchmarks, wanted)),
        )

    return benchmark_table


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    figures = _figures(platform.lake, due)
    by_model = platform.lake.read(metrics.RollforwardByDimension, due).query("dimension == 'pricing_model'")
    flows = pd.concat([platform.lake.read(metrics.Rollforward, due), by_model])

    def compute(month: str) -> Frames:
        openings = flows[flows["month"] == month].set_index(["dimension", "value"])["opening"].to_dict()
        rows = rules.benchmarks(figures[figures["month"] == month], openings)
        return {metrics.Benchmarks: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

    return compute


def _figures(lake: Lake, wanted: list[str]) -> pd.DataFrame:
    return pd.concat([lake.read(model, wanted) for model in FIGURES])


def _of_published(lake: Lake, rows: pd.DataFrame) -> None:
    reconciliation_metrics.benchmarks_tie(rows, _figures(lake, sorted(rows["month"].unique())))


def _describe(rows: pd.DataFrame) -> dict[Any, dict[str, dict[str, Any]]]:
    """The band of each of the total's benchmarks, as text."""
    told: dict[str, dict[str, Any]] = {}
    for row in rows[(rows["dimension"] == "total") & rows["band"].notna()].itertuples():
        told.setdefault(str(row.month), {})[str(row.benchmark)] = f"{row.band}{' (indicative)' if row.indicative else ''}"
    return {metrics.Benchmarks: told}
