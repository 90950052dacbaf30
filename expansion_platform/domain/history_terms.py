"""Terms of prices and coupons, as the rebuilding of history uses them (semantics 1.2, 8.1).

Here: stripe/prices and stripe/coupons as small records, amounts as decimal text in minor units. Not here: what a quantity costs
(`pricing.py`), and when a coupon was in force (`history_discounts.py`).
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.history_reading import rows
from expansion_platform.domain.history_records import parse
from expansion_platform.domain.pricing import parse_scheme
from expansion_platform.domain.schemas.billing import INTERVALS


class Price(NamedTuple):
    """The terms of a price; `scheme` as in semantics 8.1."""

    id: str
    product: str
    currency: str
    usage_type: str
    interval: str
    interval_count: int
    scheme: dict[str, Any]
    scheme_json: str
    meter: str | None = None


class Coupon(NamedTuple):
    """The terms of a coupon; `value` is percent or minor units as decimal text."""

    id: str
    type: str | None
    value: str
    duration: str
    currency: str | None
    products: frozenset[str] | None


def prices(frame: pd.DataFrame) -> tuple[dict[str, Price], dict[str, str]]:
    """stripe/prices by id, and what is wrong with those that cannot be read; one-time prices are left out: no subscription item has one."""
    found: dict[str, Price] = {}
    problems: dict[str, str] = {}
    for row in rows(frame):
        if row["type"] != "recurring":
            continue
        if row["interval"] not in INTERVALS or row["billing_scheme"] not in ("per_unit", "tiered"):
            problems[row["id"]] = "a price with an unknown interval or billing scheme"
            continue
        if row["tiers_json" if row["billing_scheme"] == "tiered" else "unit_amount_decimal"] is None:
            problems[row["id"]] = "a price without an amount"
            continue
        scheme = _scheme(row)
        try:
            parse_scheme(canonical.dumps(scheme))
        except ValueError as error:
            problems[row["id"]] = f"a price that cannot be read ({error})"
            continue
        found[row["id"]] = Price(
            row["id"],
            row["product"],
            row["currency"],
            row["usage_type"] or "licensed",
            row["interval"],
            int(row["interval_count"] or 1),
            scheme,
            canonical.dumps(scheme),
            row["meter"],
        )
    return found, problems


def coupons(frame: pd.DataFrame) -> dict[str, Coupon]:
    """stripe/coupons by id; one without a discount or with an unknown duration has type None: nobody can say what it takes off."""
    found = {}
    for row in rows(frame):
        percent = row["percent_off"]
        value = row["amount_off"] if percent is None else percent
        if value is None or row["duration"] not in ("once", "repeating", "forever"):
            found[row["id"]] = unreadable_coupon(row["id"])
            continue
        products = None if row["applies_to_json"] is None else frozenset(parse(row["applies_to_json"]))
        found[row["id"]] = Coupon(
            row["id"],
            "amount" if percent is None else "percent",
            canonical.decimal_text(Decimal(str(value))),
            row["duration"],
            row["currency"] if percent is None else None,
            products,
        )
    return found


def unreadable_coupon(name: str) -> Coupon:
    """A coupon nobody can say the terms of: what it is in force for is put in quarantine."""
    return Coupon(name, None, "0", "forever", None, None)


def _scheme(row: dict[str, Any]) -> dict[str, Any]:
    if row["billing_scheme"] == "tiered":
        tiers = [
            {"up_to": None if tier["up_to"] is None else int(tier["up_to"]), "unit": _amount(tier.get("unit")), "flat": _amount(tier.get("flat"))}
            for tier in json.loads(row["tiers_json"])
        ]
        scheme: dict[str, Any] = {"type": row["tiers_mode"], "tiers": tiers}
    else:
        scheme = {"type": "per_unit", "unit": _amount(row["unit_amount_decimal"])}
    if row["divide_by"] is not None:
        scheme |= {"divide_by": int(row["divide_by"]), "round": row["round"] or "up"}
    return scheme


def _amount(text: str | None) -> str:
    return canonical.decimal_text(text or "0")
