"""What can be seen to have happened in a simulated company, named. Read from its Stripe objects and its
truth, not from the simulator's own state.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pandas as pd

from expansion_platform.simulator.company.catalog import PLANS, PRODUCTS
from expansion_platform.simulator.company.company import Company

RANKS = {product.id: product.tier_rank for product in PLANS}
ADDONS = {product.id for product in PRODUCTS if product.kind == "addon"}

EXPECTED = {
    *(f"scheme {kind}" for kind in ("per_unit", "graduated", "volume", "package")),
    *(f"interval {kind}" for kind in ("month", "year")),
    *(f"currency {kind}" for kind in ("usd", "eur", "gbp", "jpy")),
    *(
        f"coupon {kind} {duration}"
        for kind in ("percent", "amount")
        for duration in ("once", "repeating", "forever")
    ),
    *(
        f"coupon on {level} {when}"
        for level in ("subscription", "item")
        for when in ("at creation", "in mid-life")
    ),
    *("coupon limited to products", "two coupons at once", "forever coupon removed", "100 % off"),
    *("trial converted", "trial lost"),
    *(
        "prorations at the renewal",
        "prorations at once",
        "prorations pending",
        "shown by the next renewal",
        "shown only by the subscription as it is now",
    ),
    *("seats up", "seats down", "tier up on the same item", "tier up on a new item", "tier down"),
    *("item added", "add-on added", "item removed", "two changes in one period"),
    *("month to year", "year to month"),
    *(
        "canceled at once with credit",
        "canceled at once without credit",
        "canceled at period end",
        "resubscribed in the same month",
        "returned after months",
    ),
    *("migrated with proration", "migrated without proration", "several subscriptions", "credit note"),
    *("invoice of more than 10 lines", "open invoice", "credit balance"),
}


def seen(company: Company) -> set[str]:
    """Names of `EXPECTED` (and no others) that occur."""
    held = company.account.objects
    coupons = {coupon["id"]: coupon for coupon in held["coupons"]}
    subscriptions = {subscription["id"]: subscription for subscription in held["subscriptions"]}
    return {
        *_terms(company.truth.states),
        *(
            name
            for discount in company.account.discounts.values()
            for name in _coupon(discount, coupons, subscriptions)
        ),
        *_discount_lists(company.truth.states),
        *(name for subscription in subscriptions.values() for name in _life(subscription, held)),
        *_prorations(held, subscriptions),
        *_changes(company.truth),
        *_customers(held["subscriptions"]),
        *(["credit note"] if held["credit_notes"] else []),
        *(name for invoice in held["invoices"] for name in _invoice(invoice)),
    }


def _terms(states: pd.DataFrame) -> set[str]:
    names = {f"interval {value}" for value in states["interval"]} | {
        f"currency {value}" for value in states["currency"]
    }
    for scheme in states["scheme_json"].unique():
        names |= {
            name
            for name in ("per_unit", "graduated", "volume")
            if f'"{name}"' in scheme and "divide_by" not in scheme
        }
        names |= {"package"} if "divide_by" in scheme else set()
    return {name if " " in name else f"scheme {name}" for name in names}


def _coupon(discount: dict[str, Any], coupons: dict[str, Any], subscriptions: dict[str, Any]) -> set[str]:
    coupon, subscription = coupons[discount["source"]["coupon"]], subscriptions[discount["subscription"]]
    kind = "percent" if coupon["amount_off"] is None else "amount"
    level = "subscription" if discount["subscription_item"] is None else "item"
    when = "at creation" if discount["start"] == subscription["created"] else "in mid-life"
    names = {f"coupon {kind} {coupon['duration']}", f"coupon on {level} {when}"}
    names |= {"coupon limited to products"} if coupon["applies_to"] else set()
    return names | ({"100 % off"} if coupon["percent_off"] == 100 else set())


def _discount_lists(states: pd.DataFrame) -> set[str]:
    names = {"two coupons at once"} if states["discounts_json"].str.count('"coupon"').max() > 1 else set()
    for _, item in states.groupby("item"):
        forever = item["discounts_json"].str.contains('"forever"')
        ends = forever & ~forever.shift(-1, fill_value=True)
        names |= {"forever coupon removed"} if ends.any() else set()
    return names


def _life(subscription: dict[str, Any], held: dict[str, Any]) -> set[str]:
    ended, names = subscription["ended_at"], set()
    if subscription["trial_end"] is not None and subscription["status"] != "trialing":
        names.add(
            "trial lost" if ended is not None and ended <= subscription["trial_end"] else "trial converted"
        )
    elif ended is not None:
        credits = [
            item
            for item in held["invoiceitems"]
            if _subscription(item) == subscription["id"] and item["period"]["start"] == ended
        ]
        if subscription["cancel_at_period_end"]:
            names.add("canceled at period end")
        else:
            names.add(f"canceled at once {'with' if credits else 'without'} credit")
    return names


def _prorations(held: dict[str, Any], subscriptions: dict[str, Any]) -> set[str]:
    """Pairs of credit and debit of one subscription in one second, and how they were billed."""
    reasons = {invoice["id"]: invoice["billing_reason"] for invoice in held["invoices"]}
    names, moments = set(), defaultdict(list)
    for item in held["invoiceitems"]:
        moments[_subscription(item), item["period"]["start"]].append(item)
        reason = reasons.get(item["invoice"])
        names.add(
            {None: "prorations pending", "subscription_cycle": "prorations at the renewal"}.get(
                reason, "prorations at once"
            )
        )
        credited = item["proration_details"]["credited_items"]
        if credited is not None and credited["type"] == "invoice_item":
            names.add("two changes in one period")
    for (subscription, at), items in moments.items():
        credits = [item for item in items if item["amount"] < 0]
        debits = [item for item in items if item["amount"] >= 0]
        if debits and not credits:
            names |= {"item added"} | ({"add-on added"} if _product(debits[0]) in ADDONS else set())
        if credits and not debits and subscriptions[subscription]["ended_at"] != at and len(credits) == 1:
            names.add("item removed")
        if len(credits) == len(debits) == 1:
            names |= _replaced(credits[0], debits[0])
    return names


def _replaced(credit: dict[str, Any], debit: dict[str, Any]) -> set[str]:
    same = _item(credit) == _item(debit)
    before, now = RANKS.get(_product(credit), 0), RANKS.get(_product(debit), 0)
    if now > before:
        return {f"tier up on {'the same' if same else 'a new'} item"}
    if now < before:
        return {"tier down"}
    return (
        {"seats up" if debit["quantity"] > credit["quantity"] else "seats down"}
        if debit["quantity"] != credit["quantity"]
        else set()
    )


def _changes(truth: Any) -> set[str]:
    names = {reason.split(": ")[1] for reason in truth.undatable["reason"]}
    undatable = set(zip(truth.undatable["item"], truth.undatable["changed_at"], strict=True))
    for item, history in truth.states.groupby("item"):
        for (_, before), (_, now) in zip(history.iterrows(), history.iloc[1:].iterrows(), strict=False):
            if before["interval"] != now["interval"]:
                names.add(f"{before['interval']} to {now['interval']}")
            elif now["price"] == f"{before['price']}_2":
                names.add(
                    f"migrated {'without' if (item, now['valid_from']) in undatable else 'with'} proration"
                )
    return names


def _customers(subscriptions: list[dict[str, Any]]) -> set[str]:
    names, by_customer = set(), defaultdict(list)
    for subscription in subscriptions:
        by_customer[subscription["customer"]].append(subscription)
    for owned in by_customer.values():
        for earlier, later in itertools.pairwise(owned):
            if earlier["ended_at"] is None or earlier["ended_at"] > later["created"]:
                names.add("several subscriptions")
            elif pd.Timestamp(earlier["ended_at"], unit="s").strftime("%Y-%m") == pd.Timestamp(
                later["created"], unit="s"
            ).strftime("%Y-%m"):
                names.add("resubscribed in the same month")
            elif later["created"] - earlier["ended_at"] > 32 * 86_400:
                names.add("returned after months")
    return names


def _invoice(invoice: dict[str, Any]) -> set[str]:
    names = {"invoice of more than 10 lines"} if len(invoice["lines"]["data"]) > 10 else set()
    names |= {"open invoice"} if invoice["status"] == "open" else set()
    return names | ({"credit balance"} if invoice["ending_balance"] < 0 else set())


def _subscription(item: dict[str, Any]) -> str:
    return item["parent"]["subscription_details"]["subscription"]


def _item(item: dict[str, Any]) -> str:
    return item["parent"]["subscription_details"]["subscription_item"]


def _product(item: dict[str, Any]) -> str:
    return item["pricing"]["price_details"]["product"]
