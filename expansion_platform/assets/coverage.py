"""Floor `metrics`: what the published figures rest on.

Here: wiring of `domain/coverage.py`: item states at the closing instant in, shares of closing MRR out. Not here: the rates (`assets/metrics.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table
from expansion_platform.assets.metrics import percents, slice_sums
from expansion_platform.assets.touched import states_by_month
from expansion_platform.domain import metrics as rules
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.coverage import closing_states, mrr_by_trust
from expansion_platform.domain.mrr import included, rates_by_month
from expansion_platform.domain.plans import beginnings
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import billing, metrics, mrr
from expansion_platform.resources import Platform

KINDS = {"pandas", "pandera", "deltalake"}
INPUTS = [billing.ItemStates, billing.FxRates, mrr.CustomerMonths, mrr.Movements]
SAME_BASE = "The MRR the shares are of is the closing MRR of mrr/customer_months."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, metrics.Coverage, deps=INPUTS, kinds=KINDS, rule=SAME_BASE)
    def coverage_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """How much of each month's closing MRR is inferred or not dated by a fact."""
        catalog, lake = platform.catalog(), platform.lake
        states = states_by_month(platform, catalog, context.partition_keys)
        customers, movements = platform.states(mrr.CustomerMonths), platform.states(mrr.Movements)
        hashes = (catalog.policy_hash, catalog.catalog_hash)

        def same_base(frames: Frames) -> None:
            reconciliation.coverage_ties(frames[metrics.Coverage], lake.read(mrr.CustomerMonths, sorted(frames[metrics.Coverage]["month"].unique())))

        yield from build_months(
            context,
            platform,
            models=[metrics.Coverage],
            inputs=lambda month: fingerprint(*hashes, states[month], customers.get(month, "absent"), movements.get(month, "absent")),
            prepare=lambda due: _prepare(platform, catalog, due),
            reconciled=[Reconciled(metrics.Coverage, SAME_BASE, same_base)],
            describe=lambda wanted: {metrics.Coverage: percents(lake.read(metrics.Coverage, wanted), "metric")},
        )

    return coverage_table


def _prepare(platform: Platform, catalog: Catalog, due: list[str]) -> Callable[[str], Frames]:
    sums = slice_sums(platform, due)
    states = included(platform.lake.read(billing.ItemStates), catalog)
    rates = rates_by_month(platform.lake.read(billing.FxRates))
    begun = beginnings(states, catalog)
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}

    def compute(month: str) -> Frames:
        held = closing_states(states, month, platform.timezone, rates.get(month, {}), catalog)
        known = sums[sums["month"] == month].assign(**mrr_by_trust(held, catalog, begun.plans(months.closing(month, platform.timezone))))
        return {metrics.Coverage: rules.coverage(known).assign(**hashes)}

    return compute
