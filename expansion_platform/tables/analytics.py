"""Floor `analytics`: product usage per account, month and feature.

Here: the declaration. Not here: asking the analytics tool (`product_usage.py`), what usage says about
expansion.
"""

from __future__ import annotations

from typing import Any

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.domain.signals.product_usage import compute_feature_usage
from expansion_platform.engine.declaration import Declaration, Plotted
from expansion_platform.engine.uses import FEATURE_USAGE
from expansion_platform.product_usage import NOT_SET_UP


def _plot_usage(_months: list[str], inputs: Inputs) -> Plotted:
    """How much of the usage belongs to no known customer."""
    accounts, shown = (
        inputs.frame(analytics.FeatureUsage).drop_duplicates(["month", "account"]),
        dict[str, dict[str, Any]](),
    )
    for month, rows in accounts.groupby("month"):
        unmapped = int(rows["customer"].isna().sum())
        shown[str(month)] = {
            "accounts": len(rows),
            "accounts_unmapped": unmapped,
            "unmapped_percent": round(100 * unmapped / len(rows), 2),
        }
    return {analytics.FeatureUsage: shown}


ANALYTICS_FEATURE_USAGE = Declaration(
    name="analytics_feature_usage",
    models=(analytics.FeatureUsage,),
    reads=(),
    uses=(FEATURE_USAGE,),
    rule=compute_feature_usage,
    plots=_plot_usage,
    kinds=frozenset({"posthog", "pandera", "deltalake"}),
    not_set_up=lambda platform: NOT_SET_UP if platform.settings.posthog_host is None else None,
)
