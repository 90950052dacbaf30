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
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.history_reading import rows
from expansion_platform.domain.history_records import parse
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


class Coupon(NamedTuple):
    """The terms of a coupon; `value` is percent or minor units as decimal text."""

    id: str
    type: str
    value: str
    duration: str
    currency: str | None
    products: frozenset[str] | None


def prices(frame: pd.DataFrame) -> dict[str, Price]:
    """stripe/prices by id; one-time prices are left out, since no subscription item has one."""
    found: dict[str, Price] = {}
    unknown = []
    for row in rows(frame):
        if row["type"] != "recurring":
            continue
        if row["interval"] not in INTERVALS or row["billing_scheme"] not in ("per_unit", "tiered"):
            unknown.append(row["id"])
            continue
        scheme = _scheme(row)
        found[row["id"]] = Price(
            row["id"],
            row["product"],
            row["currency"],
            row["usage_type"] or "licensed",
            row["interval"],
            int(row["interval_count"] or 1),
            scheme,
            canonical.dumps(scheme),
        )
    if unknown:
        raise DataQualityError("prices with an unknown interval or billing scheme", sorted(unknown))
    return found


def coupons(frame: pd.DataFrame) -> dict[str, Coupon]:
    """stripe/coupons by id."""
    found = {}
    for row in rows(frame):
        percent = row["percent_off"]
        value = row["amount_off"] if percent is None else percent
        if value is None or row["duration"] not in ("once", "repeating", "forever"):
            raise DataQualityError("coupons without a discount or with an unknown duration", [row["id"]])
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
