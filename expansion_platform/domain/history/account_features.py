"""Which features of Stripe an account uses whose figures need a rule of their own.

Each is given with the MRR it concerns and how sure it is.

Here: one function a feature, over what was read of Stripe. Not here: the rules themselves (this package), and
how they are shown to a person (`reports/account_features.py`).

How sure: `exact` follows from what Stripe says; `inferred` from later facts, where Stripe does not say;
`approximate` lacks a fact.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pandas as pd

from expansion_platform.domain.pricing.schemes import TAX_UNKNOWN

EXACT, INFERRED, APPROXIMATE = "exact", "inferred", "approximate"
AT_ONCE = pd.Timedelta(minutes=5)
BY_HAND = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Account:
    """What was read of Stripe (tables `stripe/*`), and the items it sells now.

    `items` has a row per item: subscription, item, price, currency, usage_type, mrr_minor, and scheme_json as
    in `billing/item_states`. The last two are null where nothing was computed yet.
    """

    items: pd.DataFrame
    prices: pd.DataFrame
    coupons: pd.DataFrame
    subscriptions: pd.DataFrame
    invoices: pd.DataFrame
    meter_usage: pd.DataFrame
    quarantine: pd.DataFrame


@dataclass(frozen=True)
class Feature:
    """A feature that is used.

    By how many subscriptions, with how much MRR (None: not computed yet), how sure its figures are, and why.
    """

    name: str
    subscriptions: int
    mrr: int | None
    sure: str
    meaning: str


Rule = Callable[[Account], "pd.Series[bool]"]
"""Which rows of `items` use a feature."""


def features(account: Account) -> Iterator[Feature]:
    """The features that an account uses, in the order of `RULES`, then what cannot be read."""
    for (name, sure, meaning), rule in RULES.items():
        items = account.items[rule(account).to_numpy(dtype=bool)]
        if len(items):
            known = items["mrr_minor"].notna().all()
            yield Feature(
                name,
                items["subscription"].nunique(),
                int(items["mrr_minor"].sum()) if known else None,
                sure,
                meaning,
            )
    unread = account.quarantine[account.quarantine["valid_to"].isna()]
    if len(unread):
        said = "; ".join(sorted(set(unread["problem"]))[:3])
        meaning = (
            f"no month that touches them is written ({said}). Correct them in Stripe, or put their "
            "customers on excluded_customers"
        )
        yield Feature(
            "subscriptions that cannot be read now",
            unread["subscription"].nunique(),
            None,
            APPROXIMATE,
            meaning,
        )


def in_another_currency(account: Account) -> pd.Series[bool]:
    """Items charged in another currency than their price's own: at an option of the price.

    See semantics 7, case 64.
    """
    own = account.items["price"].map(dict(zip(account.prices["id"], account.prices["currency"], strict=True)))
    return own.notna() & (own != account.items["currency"])


def coupon_in_another_currency(account: Account) -> pd.Series[bool]:
    """Items whose subscription has an amount off that is another in each currency (case 65)."""
    coupons = account.coupons[account.coupons["currency_options_json"].notna()]
    own = dict(zip(coupons["id"], coupons["currency"], strict=True))
    return _discounted(account, lambda coupon, currency: coupon in own and own[coupon] != currency)


def deleted_coupon(account: Account) -> pd.Series[bool]:
    """Items whose subscription has a discount of a coupon that Stripe deleted.

    What it was limited to is read from bills (case 66).
    """
    deleted = set(account.coupons.loc[account.coupons["embedded"], "id"])
    return _discounted(account, lambda coupon, _: coupon in deleted)


def deleted_price(account: Account) -> pd.Series[bool]:
    """Items at a price that Stripe deleted: the item still shows it (case 66)."""
    return account.items["price"].isin(account.prices.loc[account.prices["embedded"], "id"])


def tax_inside(account: Account) -> pd.Series[bool]:
    """Items whose price has tax inside, at a rate that is known or that nothing computed yet has looked for.

    See case 60.
    """
    inclusive = set(account.prices.loc[account.prices["tax_behavior"].eq("inclusive"), "id"])
    schemes = account.items["scheme_json"]
    return (schemes.isna() & account.items["price"].isin(inclusive)) | schemes.fillna("").str.contains(
        '"tax":"', regex=False
    )


def tax_inside_unknown(account: Account) -> pd.Series[bool]:
    """Items whose price has tax inside at a rate that no invoice shows (case 60)."""
    return account.items["scheme_json"].fillna("").str.contains(TAX_UNKNOWN, regex=False)


def unpaid_updates(account: Account) -> pd.Series[bool]:
    """Items of subscriptions with an update whose bill was never paid: it may never have taken effect.

    See case 63.
    """
    bills = account.invoices
    never = (
        (bills["billing_reason"] == "subscription_update")
        & bills["status"].eq("void")
        & bills["finalized_at"].notna()
        & bills["paid_at"].isna()
    )
    return account.items["subscription"].isin(bills.loc[never, "subscription"].dropna())


def given_up_by_hand(account: Account) -> pd.Series[bool]:
    """Items of subscriptions with a renewal's bill that a person voided or gave up within a day: no pause.

    See case 67.
    """
    bills = account.invoices
    after = bills["voided_at"].fillna(bills["uncollectible_at"]) - bills["finalized_at"]
    by_hand = bills["billing_reason"].eq("subscription_cycle") & (after > AT_ONCE) & (after <= BY_HAND)
    return account.items["subscription"].isin(bills.loc[by_hand, "subscription"].dropna())


def given_up_later(account: Account) -> pd.Series[bool]:
    """Items of subscriptions with a bill marked uncollectible after more than a day: past due until then.

    See case 68.
    """
    bills = account.invoices
    later = bills["status"].eq("uncollectible") & (
        bills["uncollectible_at"] - bills["finalized_at"] > BY_HAND
    )
    return account.items["subscription"].isin(bills.loc[later, "subscription"].dropna())


def use_without_meter(account: Account) -> pd.Series[bool]:
    """Metered items whose meter nobody read: their usage is what bills show (semantics 1.5)."""
    meters = account.items["price"].map(dict(zip(account.prices["id"], account.prices["meter"], strict=True)))
    return account.items["usage_type"].eq("metered") & ~meters.isin(account.meter_usage["meter"])


def _discounted(account: Account, wanted: Callable[[str, str], bool]) -> pd.Series[bool]:
    """Items of subscriptions with a discount whose coupon, in the subscription's currency, is wanted."""
    discounted = account.subscriptions[account.subscriptions["discounts_json"] != "[]"]
    rows = zip(discounted["id"], discounted["currency"], discounted["discounts_json"], strict=True)
    found = {
        name
        for name, currency, text in rows
        if any(wanted(str(entry["coupon"]), currency) for entry in json.loads(text))
    }
    return account.items["subscription"].isin(found)


RULES: dict[tuple[str, str, str], Rule] = {
    (
        "prices in several currencies",
        EXACT,
        "each item counts at the amount of its subscription's currency",
    ): in_another_currency,
    (
        "coupons in several currencies",
        EXACT,
        "the amount off is that of the subscription's currency",
    ): coupon_in_another_currency,
    (
        "prices with tax inside",
        EXACT,
        "they count without the tax, at the rate that the bills' taxes show",
    ): tax_inside,
    (
        "prices with tax inside at an unknown rate",
        APPROXIMATE,
        "no bill shows a tax, so they count with it. Turn on Stripe Tax or set tax rates on the "
        "subscriptions",
    ): tax_inside_unknown,
    (
        "prices deleted in Stripe",
        EXACT,
        "the items still show what they cost; what they cost before is read from bills",
    ): deleted_price,
    (
        "coupons deleted in Stripe",
        INFERRED,
        "the products a coupon was limited to are read from what it took off the bills' lines",
    ): deleted_coupon,
    (
        "updates whose bill was never paid",
        INFERRED,
        "Stripe does not say whether such an update took effect; the next bill, event or item decides",
    ): unpaid_updates,
    (
        "renewals voided or given up by hand",
        INFERRED,
        "they are no pause: a paused subscription's bill is never charged, and is voided as it is finalized",
    ): given_up_by_hand,
    (
        "bills marked uncollectible later",
        EXACT,
        "past due, and counted, until the day they were marked; unpaid from then on",
    ): given_up_later,
    (
        "usage without its meter",
        APPROXIMATE,
        "usage is spread over each bill's period. Give the key Read on 'Billing meters' to have each "
        "day's use",
    ): use_without_meter,
}
"""Name, how sure, and what it means -> which items use it."""
