"""A customer's month in plain words, with the arithmetic and the Stripe objects behind it.

Here: reading one customer's rows and turning them into text. Not here: printing (`cli/`), the rules
(`domain/`).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months as calendar
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import Table, empty
from expansion_platform.domain.core.wording import money
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform.reports.signals_before import signals_before
from expansion_platform.resources import Platform
from expansion_platform.storage.rows import among

LABELS = {
    "new": "a new customer",
    "reactivation": "a customer that returned; what returns is never expansion",
    "churn": "a customer that stopped paying",
    "expansion": "expansion",
    "contraction": "contraction",
    "repriced": "repriced: price, discount or billing interval moved, which is never expansion",
    "fx": "exchange rates only, which is never expansion",
    "flat": "no net movement: what was gained and lost cancels out",
}
NEVER = ["price", "discount", "interval", "fx"]
NEVER_TOO = " (never expansion)"
CAUSES = {
    "seat": "seats",
    "tier": "a change of plan",
    "usage": "metered usage",
    "cross_sell": "a product added or dropped",
    "addon": "an add-on",
    "price": f"the vendor's repricing{NEVER_TOO}",
    "discount": f"a discount given or ended{NEVER_TOO}",
    "interval": f"annual against monthly billing{NEVER_TOO}",
    "fx": f"exchange rates{NEVER_TOO}",
}
REASONS = {
    "canceled": "its subscription was canceled",
    "deleted": "the customer was deleted in Stripe",
    "downgrade_to_free": "it went down to a free plan",
    "paused": "its subscription is paused",
    "trialing": "its subscription was put on trial",
    "unpaid": "its bills are not paid",
    "recovered": "its bills are paid again",
    "resubscribed": "it subscribed again",
    "resumed": "its paused subscription was resumed",
    "trial_converted": "its trial became paid",
    "upgrade_from_free": "it went up from a free plan",
    "full_discount": "its subscription lives on with everything discounted",
    "zero_quantity": "its subscription lives on with no item that costs anything",
    "zero_usage": "its subscription lives on with no billable usage",
}
FLAGS = {
    "brief_lapse": "it had not paid for at most 7 days",
    "concentrated": "a fifth of the month's expansion or more is this one customer",
    "contracted_ramp": "a step that a subscription schedule had planned",
    "downgrade": "to a lower plan by rank",
    "history_truncated": "history begins with this month, so it may be an old customer; `ever_paid` in "
    "the catalog names those",
    "inferred": "the catalog says nothing of a product here, so what it is was inferred",
    "intramonth_reversal": "MRR rose within the month and came "
    "back; only the two ends count, so that is no movement",
    "possible_price_migration": "so many customers made this move at once that it may be the vendor's "
    "own repricing, which is never expansion; see mrr.price_migrations, and declare the pair in the "
    "catalog if it is",
    "price_migration": "a price migration declared in the catalog, never expansion",
    "review": "a customer that paid is on trial now: worth a look",
    "seat_surge": "the gain in seats is large against the seats it had and gained before, and may not recur",
    "tax_unknown": "a price includes tax at a rate that nothing in Stripe shows, so that the "
    "amounts include the tax",
    "upgrade": "to a higher plan by rank",
    "usage_tier_period_mismatch": "tiers are applied to one month's "
    "usage although the price bills a longer period, an approximation",
}

ORIGINS = {
    "initiated_by": "its metadata says so",
    "opportunity": "an expansion opportunity was won near it",
    "portal": "the customer had opened the portal within the hour before",
    "checkout": "the customer checked it out",
    "usage": "nobody has to ask for usage",
    "schedule": "a phase of a schedule began",
    "automatic": "Stripe did it by itself",
    "touch": "somebody had spoken with the customer in the 30 days before, which credits nobody",
    "none": "neither Stripe nor the CRM says who asked",
}


def explained(platform: Platform, customer: str, month: str) -> Iterator[str]:
    """Lines that say what happened to a customer in a month.

    Raises:
        ExpansionError: the month has not been computed, or nobody of that id ever had a subscription.
    """
    lake, timezone, catalog = platform.lake, platform.timezone, platform.catalog()
    if not platform.computed(mrr.CustomerMonths, month):
        computed = platform.months(mrr.CustomerMonths)
        raise ExpansionError(
            f"{month} has not been computed; there are {computed[0]} to {computed[-1]}"
            if computed
            else "nothing has been computed yet"
        )
    owner = catalog.customer(customer)
    states = lake.read(billing.ItemStates, where=among("customer", catalog.merged_into(owner)))
    if states.empty:
        raise ExpansionError(f"no customer {customer} with a subscription in this account")
    opening, closing = calendar.opening(month, timezone), calendar.closing(month, timezone)
    rows: dict[type[Table], pd.DataFrame] = {
        model: lake.read(model, [month], where=among("customer", [owner]))
        for model in (mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.Origins)
    }
    if rows[mrr.Movements].empty and rows[mrr.CustomerMonths]["flow_fx"].any():
        rows |= _rates_alone(month, states, lake.read(billing.FxRates), catalog, timezone)
    yield from customer_month(
        owner,
        month,
        months=rows[mrr.CustomerMonths],
        movements=rows[mrr.Movements],
        causes=rows[mrr.Causes],
        origins=rows[mrr.Origins],
        states=states[
            (states["valid_from"] < closing) & (states["valid_to"].isna() | (states["valid_to"] >= opening))
        ],
        currency=platform.settings.expansion_currency,
    )
    if (rows[mrr.Movements]["flow_expansion"] > 0).any():
        yield from signals_before(platform, owner, month)


def _rates_alone(
    month: str, states: pd.DataFrame, fx: pd.DataFrame, catalog: Catalog, timezone: str
) -> Mapping[type[Table], pd.DataFrame]:
    """Movement and causes of a month in which exchange rates alone moved: the tables have no row of it."""
    from expansion_platform.domain.mrr.monthly import (
        Facts,
        mrr_tables,  # the rules, which the other months do not need
    )

    nobody = pd.DataFrame({"customer": [], "created": states["valid_from"].iloc[:0]})
    found = mrr_tables(
        [month], Facts(states, fx, empty(billing.Quarantine), nobody, catalog, timezone), rates_alone=True
    )
    return {model: found.frames[model] for model in (mrr.Movements, mrr.Causes)}


def customer_month(
    customer: str,
    month: str,
    *,
    months: pd.DataFrame,
    movements: pd.DataFrame,
    causes: pd.DataFrame,
    origins: pd.DataFrame,
    states: pd.DataFrame,
    currency: str,
) -> Iterator[str]:
    """Lines that say what happened.

    Args:
        customer: Stripe customer.
        month: `YYYY-MM`.
        months: the customer's row of mrr/customer_months in the month, or none.
        movements: its row of mrr/movements, or none.
        causes: its rows of mrr/causes.
        origins: its rows of mrr/origins.
        states: its rows of billing/item_states in force at either end of the month or beginning within it.
        currency: reporting currency.
    """
    if months.empty:
        yield f"{customer} paid nothing at the beginning or the end of {month}."
        return
    row = months.iloc[0]
    opening, closing = int(row["opening"]), int(row["closing"])
    yield (
        f"{customer} in {month}: {money(opening, currency)} a month at opening, "
        f"{money(closing, currency)} at closing ({row['segment']}, {row['items']} "
        f"item{'' if row['items'] == 1 else 's'})."
    )
    if movements.empty:
        yield "Nothing moved."
    else:
        moved = movements.iloc[0]
        why = moved["dormant_reason"] if moved["dormant"] else moved["reason"]
        because = "" if pd.isna(why) else f": {REASONS[why]}"
        yield f"That is {LABELS[moved['label']]}{because}{' (dormant)' if moved['dormant'] else ''}."
        flows = [
            f"{name} {_signed(int(moved[f'flow_{name}']), currency)}"
            for name in FLOWS
            if moved[f"flow_{name}"]
        ]
        yield f"Flows: {', '.join(flows) or 'none'}; they sum to {_signed(closing - opening, currency)}."
        yield from _not_expansion(moved, currency)
        yield from (f"Note: {FLAGS[flag]}." for flag in json.loads(moved["flags_json"]))
    for cause in causes.to_dict("records"):
        yield (
            f"  {_signed(int(cause['amount']), currency)}  {CAUSES[cause['cause']]}: {_pair(cause, currency)}"
        )
        yield f"      {_arithmetic(cause, currency)}"
        yield from (f"      {FLAGS[flag]}" for flag in json.loads(cause["flags_json"]))
    for began in origins.to_dict("records"):
        evidence = ", ".join(json.loads(began["evidence_json"])[:6])
        what = f"{money(int(began['amount']), currency)} of {began['cause']} in {began['group']}"
        yield f"Who began {what}: {began['origin']}; {ORIGINS[began['rule']]}" + (
            f" ({evidence})." if evidence else "."
        )
    yield "Item states behind it:"
    for state in states.to_dict("records"):
        until = "now" if pd.isna(state["valid_to"]) else f"{state['valid_to']:%Y-%m-%d %H:%M}"
        terms = (
            f"{state['quantity']} x {state['price']} "
            f"({state['product']}){_discounts(state['discounts_json'])}"
        )
        since = f"{state['valid_from']:%Y-%m-%d %H:%M}"
        yield f"  {state['item']}  {since} to {until}  {state['status']}  {terms}"
        yield f"      {state['confidence']}, from {', '.join(json.loads(state['evidence_json'])[:6])}"


def _not_expansion(moved: Any, currency: str) -> Iterator[str]:
    """What the customer pays more, or holds more, without its being expansion (semantics 2.2, 2.3)."""
    if moved["movement"] != "continuing":
        return
    expansion, gross, lost = (
        int(moved[name]) for name in ("flow_expansion", "expansion_gross", "contraction_gross")
    )
    if raised := [
        f"{_signed(int(moved[f'flow_{name}']), currency)} is {CAUSES[name].removesuffix(NEVER_TOO)}"
        for name in NEVER
        if moved[f"flow_{name}"] > 0
    ]:
        yield f"Not expansion: {'; '.join(raised)}."
    offset, conceded = min(gross, lost), max(0, gross - lost) - expansion
    if offset:
        yield (
            f"Of {money(gross, currency)} gained, {money(offset, currency)} is set against its own losses "
            f"of {money(lost, currency)}."
        )
    if conceded:
        yield (
            f"Of {money(gross, currency)} gained, {money(conceded, currency)} was bought with "
            "concessions made in the same month: expansion is what the customer pays more."
        )


def _discounts(text: str) -> str:
    return "".join(f", {_discount(entry)}" for entry in json.loads(text))


def _discount(discount: dict[str, Any]) -> str:
    unit = "%" if discount["type"] == "percent" else "minor units"
    return f"{discount['value']} {unit} off {discount['duration']} ({discount['coupon']})"


def _pair(cause: dict[Hashable, Any], currency: str) -> str:
    before = (
        f"{_quantity_and_price(cause, 'from')} = {money(int(cause['from_mrr']), currency)}"
        if cause["from_item"]
        else "nothing"
    )
    after = (
        f"{_quantity_and_price(cause, 'to')} = {money(int(cause['to_mrr']), currency)}"
        if cause["to_item"]
        else "nothing"
    )
    return f"from {before} to {after}, in {cause['group']}, matched by {cause['match_pass']}"


def _quantity_and_price(cause: dict[Hashable, Any], end: str) -> str:
    return f"{cause[f'{end}_quantity']} x {cause[f'{end}_price']}{_discounts(cause[f'{end}_discounts_json'])}"


def _arithmetic(cause: dict[Hashable, Any], currency: str) -> str:
    names = {
        "Q": "quantity",
        "D": "discount",
        "P": "price",
        "T": "tier",
        "I": "interval",
        "item": "the item itself",
        "rate": "the exchange rate",
    }
    corners = json.loads(cause["corners_json"])
    if "rate" in corners:
        return "the items at closing, valued at the closing month's rate instead of the opening one's"
    if len(corners) <= 2:
        return (
            "the only thing that changed, so it explains the whole difference"
            if corners
            else "valued as a whole"
        )
    values = [
        f"{names.get(switched) or ' and '.join(names[letter] for letter in switched) or 'nothing'} "
        f"{money(value, currency)}"
        for switched, value in corners.items()
    ]
    return (
        "averaged over every order in which the factors can change; with these changed it is: "
        + "; ".join(values)
    )


def _signed(minor: int, currency: str) -> str:
    return ("+" if minor > 0 else "") + money(minor, currency)
