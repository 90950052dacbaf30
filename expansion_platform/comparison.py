"""The comparison with Stripe's own MRR as the settings say.

Where Stripe's figures come from, and ours beside them.

Here: reading both sides. Not here: what explains a difference (`domain/metrics/parity.py`), the tables
(`tables/outlook.py`), the words (`reports/reconciliation.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from expansion_platform.domain.catalog.inputs import Frames
from expansion_platform.domain.core.table import Table, empty
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.parity import Facts, compare_months, cumulated, items_apart
from expansion_platform.domain.mrr.first_paid import included, rates_by_month
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.resources import Platform
from expansion_platform.sources import stripe_mrr

MODELS: list[type[Table]] = [metrics.StripeParity, metrics.StripeDifferences]
CHANGE_EVENTS = "change_events"


def stripes_mrr(platform: Platform, wanted: Sequence[str]) -> pd.DataFrame:
    """Stripe's MRR by month and customer, in the months it is known of.

    In minor units of the reporting currency; empty when none is configured.

    Raises:
        ConfigurationError, WarehouseError: it is configured and cannot be read.
    """
    said, currency = platform.settings.expansion_stripe_mrr, platform.settings.expansion_currency
    if said is None:
        return pd.DataFrame({"month": [], "customer": [], "mrr": []}).astype(
            {"month": "str", "customer": "str", "mrr": "int64"}
        )
    if said == CHANGE_EVENTS:
        changes = stripe_mrr.change_events(platform.warehouse.tables)
        return cumulated(
            changes,
            sorted(wanted),
            rates_by_month(platform.lake.read(billing.FxRates)),
            currency,
            platform.timezone,
        )
    found = stripe_mrr.exported(Path(said).expanduser(), platform.reporting_exponent)
    return found[found["month"].isin(wanted)].reset_index(drop=True)


def months_compared(platform: Platform, stripes: pd.DataFrame) -> Frames:
    """metrics/stripe_parity and metrics/stripe_differences, without the catalog's hash.

    Of the months that Stripe's MRR is known of.

    Raises:
        DataQualityError: a month that cannot be valued.
    """
    found = compare_months(sorted(stripes["month"].unique()), stripes, _facts(platform))
    for error in found.failures.values():
        raise error
    return {model: empty(model) if found.frames[model].empty else found.frames[model] for model in MODELS}


def items_compared(platform: Platform) -> Callable[[str], pd.DataFrame]:
    """A function that gives the items of which Stripe's change events say another quantity at a month's end.

    None where they are not what is read.
    """
    if platform.settings.expansion_stripe_mrr != CHANGE_EVENTS:
        return lambda _month: pd.DataFrame(columns=["customer", "item", "ours", "stripes"])
    facts, changes = _facts(platform), stripe_mrr.change_events(platform.warehouse.tables)
    return lambda month: items_apart(changes, month, facts)


def _facts(platform: Platform) -> Facts:
    catalog, lake = platform.catalog(), platform.lake
    states = included(lake.read(billing.ItemStates), catalog)
    return Facts(
        states,
        lake.read(stripe.Subscriptions),
        rates_by_month(platform.lake.read(billing.FxRates)),
        catalog,
        platform.timezone,
    )
