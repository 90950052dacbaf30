"""What `expansion doctor` says of the features an account uses.

From the tables after a pull, from one page of each list before.

Here: reading them and the sentence for each. Not here: which features there are
(`domain/history/account_features.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.core.table import empty, table_name
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.history.account_features import Account, Feature, features
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.reports.catalog.account import read_account
from expansion_platform.resources import Platform
from expansion_platform.sources.stripe.client import PAGE_SIZE, StripeSource
from expansion_platform.sources.stripe.requests import PermissionMissingError
from expansion_platform.sources.stripe.staging import Staging

PROBED = ("prices", "coupons", "subscriptions", "invoices")


def used(platform: Platform) -> Iterator[tuple[str, str]]:
    """(feature, what to know of it) of each feature the account uses.

    Of the newest 100 objects of each list before the first pull.

    Raises:
        ExpansionError: As reading the tables or Stripe does.
    """
    if platform.lake.read(stripe.Prices).empty:
        if not platform.from_warehouse:
            for feature in features(_probed(platform)):
                yield feature.name, f"{_many(feature)} of the newest {PAGE_SIZE}. {_sure(feature)}"
        return
    account = read_account(platform, platform.catalog())
    total = int(account.subscribed_items["mrr_minor"].sum())
    for feature in features(_stored(platform, account.subscribed_items)):
        share = (
            "" if feature.mrr is None or not total else f", {percent(Fraction(feature.mrr, total))} of all"
        )
        amount = (
            ""
            if feature.mrr is None
            else f" with {money(feature.mrr, platform.settings.expansion_currency)} of MRR in "
            f"{account.month}{share}"
        )
        yield feature.name, f"{_many(feature)}{amount}. {_sure(feature)}"


def _many(feature: Feature) -> str:
    return f"{feature.subscriptions:,} subscription{'' if feature.subscriptions == 1 else 's'}"


def _sure(feature: Feature) -> str:
    return f"{feature.sure.capitalize()}: {feature.meaning}"


def _stored(platform: Platform, subscribed_items: pd.DataFrame) -> Account:
    read = platform.lake.read
    prices, subscriptions = read(stripe.Prices), read(stripe.Subscriptions)
    return Account(
        items=subscribed_items
        if len(subscribed_items)
        else _now(read(stripe.SubscriptionItems), subscriptions, prices),
        prices=prices,
        coupons=read(stripe.Coupons),
        subscriptions=subscriptions,
        invoices=read(stripe.Invoices),
        meter_usage=read(stripe.MeterUsage),
        quarantine=read(billing.Quarantine),
    )


def _probed(platform: Platform) -> Account:
    """The newest page of each list, by one request each; a list the key may not read is empty."""
    staging = Staging(platform.as_of, lambda wanted: {}, platform.metadata_keys)
    for resource in PROBED:
        for item in _newest(platform.stripe, resource):
            staging.add(resource, item)
    changes = staging.changes()
    prices, coupons, subscriptions, invoices, items = (
        changes[table_name(model)].rows
        for model in (
            stripe.Prices,
            stripe.Coupons,
            stripe.Subscriptions,
            stripe.Invoices,
            stripe.SubscriptionItems,
        )
    )
    subscribed_items = _now(items, subscriptions, prices)
    # The pull reads the use of each.
    readable = pd.DataFrame({"meter": _meters(platform.stripe)}, dtype="str")
    return Account(
        subscribed_items,
        prices,
        coupons,
        subscriptions,
        invoices,
        meter_usage=readable,
        quarantine=empty(billing.Quarantine),
    )


def _now(items: pd.DataFrame, subscriptions: pd.DataFrame, prices: pd.DataFrame) -> pd.DataFrame:
    """The items on subscriptions now, before anything was computed: they have no MRR yet."""
    return pd.DataFrame(
        {
            "subscription": items["subscription"],
            "item": items["id"],
            "price": items["price"],
            "currency": items["subscription"].map(subscriptions.set_index("id")["currency"]),
            "usage_type": items["price"].map(prices.set_index("id")["usage_type"]),
            "mrr_minor": None,
            "scheme_json": None,
        }
    )


def _meters(source: StripeSource) -> list[str]:
    try:
        return [str(meter["id"]) for meter in source.meters()]
    except PermissionMissingError:
        return []


def _newest(source: StripeSource, resource: str) -> list[dict[str, object]]:
    try:
        page, _ = next(source.pages(resource, whole=False), ([], False))
    except PermissionMissingError:
        return []
    return page
