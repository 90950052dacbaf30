"""The truth about one month of a book: movements, causes and flows of every customer, in plain Python.

See semantics 8.1.

Here: `classify_month`, the rows and their sums. Not here: reading items (`reference_items.py`), pricing them
(`reference_pricing.py`) and attribution (`reference_causes.py`). The simulated company publishes these
figures as what really happened, so no rule here is shared with the vectorised ones they are compared with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from expansion_platform.simulator.truth.reference_causes import CAUSES, Context, Reason, explain
from expansion_platform.simulator.truth.reference_items import (
    Item,
    item_arr,
    item_mrr,
    rates_to_minor,
    read_book,
    read_policy,
    resolve,
)

ORGANIC = CAUSES[:5]
COMMERCIAL = ("price", "discount", "interval")
FLOWS = ("new", "reactivation", "expansion", "contraction", "price", "discount", "interval", "fx", "churn")
SEGMENTS = ("enterprise", "mid_market", "smb")


def classify_month(
    prev: Sequence[Mapping[str, Any]],
    curr: Sequence[Mapping[str, Any]],
    catalog: Mapping[str, Any],
    *,
    evidence: bool = False,
    plans: Mapping[frozenset[str], bool] | None = None,
) -> dict[str, Any]:
    """Movements and causes between two books of item states (semantics 8.1).

    All money is int minor units of the reporting currency.

    Args:
        prev: Item states at the opening instant, as described in 8.1.
        curr: Item states at the closing instant.
        catalog: Products, list prices, migrations, aliases, ever_paid, rates and policy.
        plans: Pairs of prices that are plans by what happened before the closing instant
            (`reference_plans.py`).
        evidence: Adds `cause_rows` to each customer: one {group, cause, amount, from_item, to_item} per pair
            of items and cause.

    Returns:
        {customers: {id: row}, segments: {name: sums}, total: sums}.

    Raises:
        DataQualityError: An item of either side that cannot be counted as it is, whether it counts or not.
    """
    policy = read_policy(catalog.get("policy"))
    aliases = catalog.get("aliases") or {}
    opening, closing = read_book(prev, aliases, policy), read_book(curr, aliases, policy)
    reporting = catalog["reporting_currency"]
    fx = catalog.get("fx") or {}
    opening_rates = rates_to_minor(
        fx.get("prev") or {}, reporting, [item.schedule.currency for item in opening]
    )
    closing_rates = rates_to_minor(
        fx.get("curr") or {}, reporting, [item.schedule.currency for item in closing]
    )
    ever_paid = {resolve(customer, aliases) for customer in catalog.get("ever_paid") or ()}

    opening_of, closing_of = _by_customer(opening), _by_customer(closing)
    customers = {}
    for customer in sorted(opening_of.keys() | closing_of.keys()):
        befores = [item for item in opening_of.get(customer, []) if item.counts]
        afters = [item for item in closing_of.get(customer, []) if item.counts]
        totals = _sums_of_items(befores, afters, opening_rates, closing_rates, policy)
        reasons: list[Reason] = []
        if totals["opening"] > 0 and totals["closing"] > 0:
            # Only here are closing items valued at opening rates, so only here must those rates exist.
            needed = [item.schedule.currency for item in [*befores, *afters]]
            at_opening = rates_to_minor(fx.get("prev") or {}, reporting, needed, " at the opening instant")
            reasons = explain(
                befores, afters, Context(catalog, policy, at_opening, closing_rates, plans or {})
            )
        customers[customer] = _row(totals, reasons, customer in ever_paid, befores, afters, policy)
        if evidence:
            customers[customer]["cause_rows"] = [dict(vars(reason)) for reason in reasons]
    rows = list(customers.values())
    return {
        "customers": customers,
        "segments": {name: _sum([row for row in rows if row["segment"] == name]) for name in SEGMENTS},
        "total": _sum(rows),
    }


def largest_remainder(total: int, weights: Mapping[str, int]) -> dict[str, int]:
    """Splits a non-negative total pro rata to non-negative weights, exactly.

    Equal leftovers go in the order of `weights`.
    """
    whole = sum(weights.values())
    if not whole:
        return dict.fromkeys(weights, 0)
    quotas = {key: Fraction(total * weight, whole) for key, weight in weights.items()}
    shares = {key: math.floor(quota) for key, quota in quotas.items()}
    # sorted() is stable: ties keep the order of weights.
    neediest = sorted(weights, key=lambda key: shares[key] - quotas[key])
    for key in neediest[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


def _by_customer(items: Sequence[Item]) -> dict[str, list[Item]]:
    grouped: dict[str, list[Item]] = {}
    for item in items:
        grouped.setdefault(item.customer, []).append(item)
    return grouped


def _sums_of_items(
    befores: Sequence[Item],
    afters: Sequence[Item],
    opening_rates: Mapping[str, Fraction],
    closing_rates: Mapping[str, Fraction],
    policy: Mapping[str, Any],
) -> dict[str, int]:
    opening = sum(item_mrr(item, opening_rates, policy) for item in befores)
    closing = sum(item_mrr(item, closing_rates, policy) for item in afters)
    return {
        "opening": opening,
        "closing": closing,
        "delta": closing - opening,
        "opening_arr": sum(item_arr(item, opening_rates, policy) for item in befores),
        "closing_arr": sum(item_arr(item, closing_rates, policy) for item in afters),
    }


def _row(
    totals: Mapping[str, int],
    reasons: Sequence[Reason],
    paid_before: bool,
    befores: Sequence[Item],
    afters: Sequence[Item],
    policy: Mapping[str, Any],
) -> dict[str, Any]:
    movement = _movement(totals["opening"], totals["closing"], paid_before)
    causes = {cause: sum(reason.amount for reason in reasons if reason.cause == cause) for cause in CAUSES}
    flows = dict.fromkeys(FLOWS, 0)
    if movement == "continuing":
        flows |= _continuing_flows(causes)
    elif movement != "none":
        flows[movement] = totals["delta"]
    gained, lost = _gross(reasons)
    dormant = (movement == "churn" and any(item.chargeable for item in afters)) or (
        movement == "reactivation" and any(item.chargeable for item in befores)
    )
    return {
        "movement": movement,
        "label": _label(movement, flows),
        **totals,
        "dormant": int(dormant),
        "segment": _segment(
            totals["closing_arr"] if movement in ("new", "reactivation") else totals["opening_arr"], policy
        ),
        "flows": flows,
        "causes": causes,
        "expansion_by_type": largest_remainder(flows["expansion"], gained),
        "contraction_by_type": largest_remainder(-flows["contraction"], lost),
        "expansion_gross": sum(gained.values()),
        "contraction_gross": sum(lost.values()),
        "expansion_gross_by_type": gained,
        "contraction_gross_by_type": lost,
        "expansion_unadjusted": max(0, totals["delta"]) if movement == "continuing" else 0,
    }


def _movement(opening: int, closing: int, paid_before: bool) -> str:
    """Membership of semantics 2.1: a customer pays when its MRR is above zero."""
    if opening > 0:
        return "continuing" if closing > 0 else "churn"
    if closing > 0:
        return "reactivation" if paid_before else "new"
    return "none"


def _continuing_flows(causes: Mapping[str, int]) -> dict[str, int]:
    """Semantics 2.2: organic growth is expansion as far as the customer pays more.

    Same-month concessions are absorbed by it.
    """
    organic = sum(causes[cause] for cause in ORGANIC)
    commercial = sum(causes[cause] for cause in COMMERCIAL)
    expansion = max(0, min(organic, organic + commercial))
    flows = {"expansion": expansion, "contraction": min(0, organic), "fx": causes["fx"]} | {
        cause: causes[cause] for cause in COMMERCIAL
    }
    if organic > 0 > commercial:
        back = largest_remainder(organic - expansion, {cause: max(0, -causes[cause]) for cause in COMMERCIAL})
        flows |= {cause: flows[cause] + back[cause] for cause in COMMERCIAL}
    return flows


def _gross(reasons: Sequence[Reason]) -> tuple[dict[str, int], dict[str, int]]:
    """Gains and losses by organic cause, netted inside each match group first (semantics 2.3).

    Both as positive amounts.
    """
    net: dict[tuple[str, str], int] = {}
    for reason in reasons:
        if reason.cause in ORGANIC:
            net[reason.group, reason.cause] = net.get((reason.group, reason.cause), 0) + reason.amount
    gained = {
        cause: sum(max(0, amount) for (_, of), amount in net.items() if of == cause) for cause in ORGANIC
    }
    lost = {
        cause: sum(max(0, -amount) for (_, of), amount in net.items() if of == cause) for cause in ORGANIC
    }
    return gained, lost


def _label(movement: str, flows: Mapping[str, int]) -> str:
    """The one label of a customer-month (semantics 2.5)."""
    if movement != "continuing":
        return movement
    if flows["expansion"] > 0:
        return "expansion"
    if flows["contraction"] < 0:
        return "contraction"
    if any(flows[cause] for cause in COMMERCIAL):
        return "repriced"
    return "fx" if flows["fx"] else "flat"


def _segment(acv: int, policy: Mapping[str, Any]) -> str:
    if acv >= policy["enterprise_acv"]:
        return "enterprise"
    return "mid_market" if acv >= policy["mid_market_acv"] else "smb"


def _sum(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums of the amounts of rows, with the keys of a row but movement, label and segment."""
    whole = (
        "opening",
        "closing",
        "delta",
        "opening_arr",
        "closing_arr",
        "dormant",
        "expansion_gross",
        "contraction_gross",
        "expansion_unadjusted",
    )
    split = {
        "flows": FLOWS,
        "causes": CAUSES,
        "expansion_by_type": ORGANIC,
        "contraction_by_type": ORGANIC,
        "expansion_gross_by_type": ORGANIC,
        "contraction_gross_by_type": ORGANIC,
    }
    sums: dict[str, Any] = {key: sum(row[key] for row in rows) for key in whole}
    return sums | {
        key: {part: sum(row[key][part] for row in rows) for part in parts} for key, parts in split.items()
    }
