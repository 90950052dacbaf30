"""Floor `metrics`: our MRR beside Stripe's own.

Here: wiring of `domain/parity.py`: item states and Stripe's figures in, the totals and every difference with its reason out. Not here: the
explanations, and the words of `expansion reconcile` (`delivery/reconcile.py`).
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform import checks
from expansion_platform.assets.build import build_months, fingerprint
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.comparison import MODELS, months_compared, stripes_mrr
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.parity import PARITY
from expansion_platform.domain.schemas import billing, parity, stripe
from expansion_platform.resources import Platform

EXPLAINED_CHECK = "explained"
EXPLAINED = "The share of Stripe's MRR that differs from ours and that no evidence explains stays under EXPANSION_MAX_UNEXPLAINED in every month."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The two tables, by month."""

    @dg.multi_asset(
        specs=[
            asset_spec(
                model, deps=[billing.ItemStates, billing.FxRates, stripe.Subscriptions], kinds={"pandas", "pandera", "deltalake"}, skippable=True
            )
            for model in MODELS
        ],
        check_specs=[
            *(checks.schema_spec(model) for model in MODELS),
            dg.AssetCheckSpec(EXPLAINED_CHECK, asset=checks.asset_key(parity.StripeParity), description=EXPLAINED),
        ],
        name="stripe_parity",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def stripe_parity(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Our MRR under `stripe_parity` beside Stripe's own; without EXPANSION_STRIPE_MRR the tables are empty and say so."""
        if platform.settings.expansion_stripe_mrr is None:
            context.log.info("nothing to compare with: EXPANSION_STRIPE_MRR is not set")
        stripes = stripes_mrr(platform, context.partition_keys)
        catalog, lake = platform.catalog(), platform.lake
        inputs_of_all = (
            catalog.catalog_hash,
            PARITY.policy_hash,
            platform.timezone,
            *(lake.state(model) for model in (billing.ItemStates, billing.FxRates)),
        )

        yield from build_months(
            context,
            platform,
            models=MODELS,
            inputs=lambda month: fingerprint(*inputs_of_all, content_hash(stripes[stripes["month"] == month].to_numpy().tolist())),
            prepare=lambda _due: months_compared(platform, stripes),
        )
        yield _explained(lake.read(parity.StripeParity), Decimal(platform.settings.expansion_max_unexplained))

    return stripe_parity


def _explained(rows: pd.DataFrame, allowed: Decimal) -> dg.AssetCheckResult:
    """More without a reason than allowed is a warning: the figures stand, and somebody has to look."""
    over = {
        row.month: row.unexplained_share for row in rows.itertuples() if pd.notna(row.unexplained_share) and Decimal(row.unexplained_share) > allowed
    }
    told = ", ".join(f"{month} {Decimal(share):.2%}" for month, share in sorted(over.items()))
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(parity.StripeParity),
        check_name=EXPLAINED_CHECK,
        passed=not over,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"of Stripe's MRR nothing explains {told}: `expansion reconcile` names the customers" if over else None,
        metadata={"months_compared": len(rows), "months_over": len(over)},
    )
