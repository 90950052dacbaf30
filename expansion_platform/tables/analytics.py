"""Floor `analytics`: product usage per account and month.

Here: the declaration. Not here: asking the analytics tool (`product_usage.py`), what usage says about
expansion (`signals.py`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Frames, Inputs
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.domain.signals.product_usage import compute_usage
from expansion_platform.engine.declaration import Declaration, Identity, Plotted
from expansion_platform.engine.uses import PRODUCT_USAGE
from expansion_platform.product_usage import NOT_SET_UP


def _plot_usage(_months: list[str], inputs: Inputs) -> Plotted:
    """How many people were active, and how much of the usage belongs to no known customer."""
    shown = dict[str, dict[str, Any]]()
    active = _newest(inputs.frame(analytics.AccountUsage)).groupby("month")["active_users"].sum()
    for row in inputs.frame(analytics.UsageMonths).to_dict("records"):
        shown[row["month"]] = {
            "complete": row["complete"],
            "active_users": int(active.get(row["month"], 0)),
            "accounts": row["accounts"],
            "accounts_unmapped": row["accounts_unmapped"],
            "unmapped_percent": _percent(row["accounts_unmapped"], row["accounts"]),
            "without_account_percent": _percent(row["events_without_account"], row["events"]),
        }
    return {analytics.AccountUsage: shown, analytics.UsageMonths: shown}


def _newest(usage: pd.DataFrame) -> pd.DataFrame:
    return usage.sort_values("known_at").drop_duplicates(["month", "account"], keep="last")


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


def _read_to_the_end(frames: Frames, _: Inputs) -> None:
    """DataQualityError names the months of which nothing is known, and why."""
    partly = frames[analytics.UsageMonths]
    partly = partly[~partly["complete"]]
    if len(partly):
        reasons = [f"{row.month}: {row.incomplete_because}" for row in partly.itertuples()]
        raise DataQualityError(
            "product usage was not read to its end, so nothing is known of it and signals of these months "
            f"are made without usage; the next refresh asks again. {'; '.join(reasons[:3])}",
            list(partly["month"]),
        )


PRODUCT_USAGE_TABLES = Declaration(
    name="product_usage",
    models=(analytics.AccountUsage, analytics.FeatureUsage, analytics.UsageMonths),
    reads=(),
    uses=(PRODUCT_USAGE,),
    rule=compute_usage,
    identities=(
        Identity(
            analytics.UsageMonths,
            "the month was read to its end",
            _read_to_the_end,
            check="complete",
            warns=True,
        ),
    ),
    plots=_plot_usage,
    kinds=frozenset({"pandera", "deltalake"}),
    not_set_up=lambda platform: NOT_SET_UP if platform.usage is None else None,
)
