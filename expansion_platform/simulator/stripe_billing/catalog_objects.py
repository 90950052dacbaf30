"""The simulated catalogue as Stripe objects, complete, in API version 2026-10-28.endive.

Here: products, prices, legacy plans, coupons, and the price of a line. Not here: what is on the list
(`simulator/company/catalog.py`), who holds it (`objects.py`).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from expansion_platform.simulator.company.catalog import TAX_INSIDE, Coupon, Price, Product
from expansion_platform.simulator.stripe_billing.metering import METER

JSON = dict[str, Any]


def product(value: Product, created: int) -> JSON:
    """A product; only some carry catalogue hints in their metadata."""
    hints = {
        "family": value.family,
        "tier_rank": str(value.tier_rank),
        "kind": value.kind,
        "unit": value.unit,
    }
    return {
        "id": value.id,
        "object": "product",
        "active": True,
        "created": created,
        "default_price": None,
        "description": None,
        "images": [],
        "livemode": True,
        "marketing_features": [],
        "metadata": hints if value.hints else {},
        "name": value.name,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": value.unit if value.unit == "seat" else None,
        "updated": created,
        "url": None,
    }


def price(value: Price, as_of: int, *, whole: bool = False) -> JSON:
    """A price; `whole` with what the API leaves out until it is asked for.

    Tiers, and the amounts in its other currencies.

    A price in several currencies is shown in its own, whichever it is charged in.
    """
    currency, scheme = _own(value)
    rendered: JSON = {
        "id": value.id,
        "object": "price",
        "active": value.retired_at is None or as_of < value.retired_at,
        "billing_scheme": "tiered" if "tiers" in scheme else "per_unit",
        "created": value.created,
        "currency": currency,
        "custom_unit_amount": None,
        "livemode": True,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": value.product_id,
        "recurring": {
            "interval": value.interval,
            "interval_count": 1,
            "meter": _meter(value),
            "trial_period_days": None,
            "usage_type": value.usage_type,
        },
        "tax_behavior": _tax_behavior(value, currency),
        "tiers_mode": scheme["type"] if "tiers" in scheme else None,
        "transform_quantity": _transform(value),
        "type": "recurring",
        **_amount("unit_amount", scheme.get("unit")),
    }
    if whole:
        rendered["tiers"] = _tiers(scheme)
        rendered["currency_options"] = {
            name: _option(value, name, each) for name, each in value.offered or ((currency, scheme),)
        }
    return rendered


def _own(value: Price) -> tuple[str, JSON]:
    """The currency a price is shown in, and its scheme there."""
    return value.offered[0] if value.offered else (value.currency, value.scheme)


def _tax_behavior(value: Price, currency: str) -> str:
    return "unspecified" if not value.taxed else "inclusive" if currency in TAX_INSIDE else "exclusive"


def _option(value: Price, currency: str, scheme: JSON) -> JSON:
    """A price in one of its currencies."""
    return {
        "custom_unit_amount": None,
        "tax_behavior": _tax_behavior(value, currency),
        "tiers": _tiers(scheme),
        **_amount("unit_amount", scheme.get("unit")),
    }


def _tiers(scheme: JSON) -> list[JSON] | None:
    return [_tier(tier) for tier in scheme["tiers"]] if "tiers" in scheme else None


def plan(value: Price, as_of: int) -> JSON:
    """The legacy plan every subscription item still carries beside its price."""
    currency, scheme = _own(value)
    tiered = "tiers" in scheme
    return {
        "id": value.id,
        "object": "plan",
        "active": value.retired_at is None or as_of < value.retired_at,
        "billing_scheme": "tiered" if tiered else "per_unit",
        "created": value.created,
        "currency": currency,
        "interval": value.interval,
        "interval_count": 1,
        "livemode": True,
        "metadata": {},
        "meter": _meter(value),
        "nickname": None,
        "product": value.product_id,
        "tiers_mode": scheme["type"] if tiered else None,
        "transform_usage": _transform(value),
        "trial_period_days": None,
        "usage_type": value.usage_type,
        **_amount("amount", scheme.get("unit")),
    }


def _meter(value: Price) -> str | None:
    return METER if value.usage_type == "metered" else None


def coupon(value: Coupon, created: int) -> JSON:
    """A coupon with `applies_to` and `currency_options`.

    The former is null when it applies to everything, the latter when it has one currency or takes a share.
    """
    currency, amount = value.offered[0] if value.offered else (value.currency, value.amount)
    return {
        "id": value.id,
        "object": "coupon",
        "amount_off": amount,
        "applies_to": {"products": list(value.products)} if value.products else None,
        "created": created,
        "currency": currency,
        "currency_options": {name: {"amount_off": each} for name, each in value.offered} or None,
        "duration": value.duration,
        "duration_in_months": value.months,
        "livemode": True,
        "max_redemptions": None,
        "metadata": {},
        "name": value.id.title(),
        "percent_off": None if value.percent is None else float(value.percent),
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }


def pricing(value: Price) -> JSON:
    """The price a line was charged at; the unit amount is null when tiered."""
    return {
        "price_details": {"price": value.id, "product": value.product_id},
        "type": "price_details",
        "unit_amount_decimal": value.scheme.get("unit"),
    }


def _transform(value: Price) -> JSON | None:
    return (
        {"divide_by": value.scheme["divide_by"], "round": value.scheme["round"]}
        if "divide_by" in value.scheme
        else None
    )


def _tier(tier: JSON) -> JSON:
    flat = tier["flat"] if tier["flat"] != "0" else None
    return {**_amount("flat_amount", flat), **_amount("unit_amount", tier["unit"]), "up_to": tier["up_to"]}


def _amount(name: str, text: str | None) -> JSON:
    """An amount in both forms: the integer one is null where the price has fractions of a minor unit."""
    whole = text is not None and Decimal(text) == int(Decimal(text))
    return {name: int(Decimal(text)) if text is not None and whole else None, f"{name}_decimal": text}
