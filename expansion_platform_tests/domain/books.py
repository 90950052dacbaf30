"""Small builders of item dictionaries and catalogs in the form of semantics 8.1."""

from __future__ import annotations

from typing import Any


def per_unit(unit: str, **more: Any) -> dict[str, Any]:
    return {"type": "per_unit", "unit": unit, **more}


def item(name: str, product: str, unit: str | dict[str, Any], quantity: str, **more: Any) -> dict[str, Any]:
    """One licensed monthly item of customer c1 in USD; `unit` is minor units or a whole scheme; price id is
    product, interval and currency.
    """
    row = {
        "customer": "c1",
        "subscription": "sub_1",
        "item": name,
        "status": "active",
        "currency": "usd",
        "product": product,
        "scheme": per_unit(unit) if isinstance(unit, str) else unit,
        "quantity": quantity,
        **more,
    }
    return {"price": f"{product}_{row.get('interval', 'month')}_{row['currency']}", **row}


def percent(value: str, duration: str = "repeating") -> dict[str, str]:
    return {"type": "percent", "value": value, "duration": duration}


def amount(value: str, duration: str = "forever") -> dict[str, str]:
    return {"type": "amount", "value": value, "duration": duration}


def catalog(**more: Any) -> dict[str, Any]:
    """The catalog of the worked examples (semantics 3.6)."""
    base: dict[str, Any] = {
        "reporting_currency": "usd",
        "products": {
            "basic": {"family": "main", "tier_rank": 1},
            "pro": {"family": "main", "tier_rank": 2},
            "ent": {"family": "main", "tier_rank": 3},
            "crm": {"family": "crm", "tier_rank": 1},
            "sso": {"kind": "addon"},
            "api": {"family": "main", "kind": "usage", "meter": "calls"},
        },
        "list_prices": [],
        "migrations": [["basic_month_usd", "basic_2025"]],
        "aliases": {},
        "ever_paid": [],
        "fx": {"prev": {}, "curr": {}},
        "policy": {},
    }
    return base | more
