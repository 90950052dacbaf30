"""The worked examples of semantics 3.6 as books, with every column of the table.

Here: the inputs of E1-E29 and the published figures, in cents. Not here: who computes them.
"""

from __future__ import annotations

from typing import Any

PRICES = {"basic": 1000, "pro": 2000, "ent": 3000, "crm": 9900, "sso": 5000}
PRODUCTS: dict[str, dict[str, Any]] = {
    "basic": {"family": "core", "tier_rank": 1, "kind": "base", "unit": "seat"},
    "pro": {"family": "core", "tier_rank": 2, "kind": "base", "unit": "seat"},
    "ent": {"family": "core", "tier_rank": 3, "kind": "base", "unit": "seat"},
    "free": {"family": "core", "tier_rank": 0, "kind": "base", "unit": "flat"},
    "crm": {"family": "crm", "tier_rank": 1, "kind": "base", "unit": "flat"},
    "sso": {"kind": "addon", "unit": "flat"},
    "api": {"kind": "usage", "unit": "meter", "meter": "calls", "family": "core"},
}


def line(
    product: str, quantity: int | str = 1, item: str = "si_1", unit: str = "", **changes: Any
) -> dict[str, Any]:
    """One active item of customer `c` on the plain monthly price of a product; `interval="year"` multiplies
    by ten.
    """
    yearly = changes.get("interval") == "year"
    amount = unit or str(PRICES.get(product, 0) * (10 if yearly else 1))
    row = {
        "customer": "c",
        "subscription": f"sub_{item}",
        "item": item,
        "status": "active",
        "currency": "usd",
        "product": product,
        "price": f"{product}_{changes.get('interval', 'month')}_{changes.get('currency', 'usd')}",
        "scheme": {"type": "per_unit", "unit": amount},
        "quantity": str(quantity),
    }
    return row | changes


def catalog(
    *,
    paid: bool = False,
    lists: bool = True,
    prev: dict[str, str] | None = None,
    curr: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The catalog of the table: ranked plans, a declared migration of basic, list prices of every plan and
    interval.
    """
    list_prices = [
        {
            "price": f"{plan}_{interval}_usd",
            "product": plan,
            "currency": "usd",
            "interval": interval,
            "interval_count": 1,
            "scheme": {"type": "per_unit", "unit": str(PRICES[plan] * times)},
        }
        for plan in ("basic", "pro", "ent")
        for interval, times in (("month", 1), ("year", 10))
    ]
    return {
        "reporting_currency": "usd",
        "products": PRODUCTS,
        "list_prices": list_prices if lists else [],
        "migrations": [["basic_month_usd", "basic_2025"]],
        "aliases": {},
        "ever_paid": ["c"] if paid else [],
        "fx": {"prev": prev or {}, "curr": curr or {}},
        "policy": {},
    }


def off(percent: str, duration: str = "repeating") -> list[dict[str, str]]:
    """One percentage discount."""
    return [{"type": "percent", "value": percent, "duration": duration}]


def usage(quantity: int) -> dict[str, Any]:
    """Metered calls: 1,000 free, then 4 cents each. The table's customer also pays a basic plan of 10
    seats.
    """
    tiers = [{"up_to": "1000", "unit": "0", "flat": "0"}, {"up_to": None, "unit": "4", "flat": "0"}]
    return line("api", quantity, "si_u", usage_type="metered", scheme={"type": "graduated", "tiers": tiers})


BASIC_2025: dict[str, Any] = {"price": "basic_2025", "unit": "1200"}
EUR: dict[str, Any] = {"currency": "eur", "unit": "900"}
RATES = {"eur": "1.10"}
YEN: dict[str, Any] = {"currency": "jpy", "unit": "1500"}
YEN_RATES = {"jpy": "0.0067"}
YEARLY = {"interval": "year"}

# name: (prev, curr, catalog, figures). Figures not named are zero; `types` is expansion by type, `flows`
# leaves expansion out.
EXAMPLES: dict[str, tuple[list[dict[str, Any]], list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "E1": ([], [line("basic", 10)], catalog(), {"closing": 10000, "label": "new", "flows": {"new": 10000}}),
    "E2": (
        [],
        [line("basic", 10)],
        catalog(paid=True),
        {"closing": 10000, "label": "reactivation", "flows": {"reactivation": 10000}},
    ),
    "E3": (
        [line("basic", 10)],
        [],
        catalog(paid=True),
        {"opening": 10000, "label": "churn", "flows": {"churn": -10000}},
    ),
    "E4": (
        [line("basic", 10)],
        [line("basic", 15)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 15000,
            "label": "expansion",
            "types": {"seat": 5000},
            "causes": {"seat": 5000},
            "gross": (5000, 0),
            "unadjusted": 5000,
        },
    ),
    "E5": (
        [line("basic", 10)],
        [line("pro", 10)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 20000,
            "label": "expansion",
            "types": {"tier": 10000},
            "causes": {"tier": 10000},
            "gross": (10000, 0),
            "unadjusted": 10000,
        },
    ),
    "E6": (
        [line("basic", 10)],
        [line("pro", 15)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 30000,
            "label": "expansion",
            "types": {"seat": 7500, "tier": 12500},
            "causes": {"seat": 7500, "tier": 12500},
            "gross": (20000, 0),
            "unadjusted": 20000,
        },
    ),
    "E7": (
        [line("basic", 10)],
        [line("basic", 10, **BASIC_2025)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 12000,
            "label": "repriced",
            "flows": {"price": 2000},
            "causes": {"price": 2000},
            "unadjusted": 2000,
        },
    ),
    "E8": (
        [line("basic", 10)],
        [line("basic", 12, **BASIC_2025)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 14400,
            "label": "expansion",
            "types": {"seat": 2200},
            "flows": {"price": 2200},
            "causes": {"seat": 2200, "price": 2200},
            "gross": (2200, 0),
            "unadjusted": 4400,
        },
    ),
    "E9": (
        [line("basic", 10, discounts=off("20"))],
        [line("basic", 10)],
        catalog(paid=True),
        {
            "opening": 8000,
            "closing": 10000,
            "label": "repriced",
            "flows": {"discount": 2000},
            "causes": {"discount": 2000},
            "unadjusted": 2000,
        },
    ),
    "E10": (
        [line("basic", 10)],
        [line("basic", 20, discounts=off("50"))],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 10000,
            "label": "flat",
            "causes": {"seat": 7500, "discount": -7500},
            "gross": (7500, 0),
        },
    ),
    "E11": (
        [line("basic", 10)],
        [line("basic", 15, discounts=off("20"))],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 12000,
            "label": "expansion",
            "types": {"seat": 2000},
            "causes": {"seat": 4500, "discount": -2500},
            "gross": (4500, 0),
            "unadjusted": 2000,
        },
    ),
    "E12": (
        [line("basic", 10)],
        [line("basic", 10, **YEARLY)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 8333,
            "label": "repriced",
            "flows": {"interval": -1667},
            "causes": {"interval": -1667},
        },
    ),
    "E13": (
        [line("basic", 10, **YEARLY)],
        [line("basic", 10)],
        catalog(paid=True),
        {
            "opening": 8333,
            "closing": 10000,
            "label": "repriced",
            "flows": {"interval": 1667},
            "causes": {"interval": 1667},
            "unadjusted": 1667,
        },
    ),
    "E14": (
        [line("pro", 10)],
        [line("ent", 10, **YEARLY)],
        catalog(paid=True),
        {
            "opening": 20000,
            "closing": 25000,
            "label": "expansion",
            "types": {"tier": 5000},
            "causes": {"tier": 9166, "interval": -4166},
            "gross": (9166, 0),
            "unadjusted": 5000,
        },
    ),
    "E15": (
        [line("pro", 10)],
        [line("ent", 10, **YEARLY)],
        catalog(paid=True, lists=False),
        {
            "opening": 20000,
            "closing": 25000,
            "label": "expansion",
            "types": {"tier": 5000},
            "causes": {"tier": 5000},
            "gross": (5000, 0),
            "unadjusted": 5000,
        },
    ),
    "E16": (
        [line("basic", 10)],
        [line("basic", 7), line("crm", 1, "si_2")],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 16900,
            "label": "expansion",
            "types": {"cross_sell": 6900},
            "causes": {"seat": -3000, "cross_sell": 9900},
            "gross": (9900, 3000),
            "unadjusted": 6900,
        },
    ),
    "E17": (
        [line("basic", 10)],
        [line("basic", 10), line("sso", 1, "si_2")],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 15000,
            "label": "expansion",
            "types": {"addon": 5000},
            "causes": {"addon": 5000},
            "gross": (5000, 0),
            "unadjusted": 5000,
        },
    ),
    "E18": (
        [line("basic", 10), usage(3000)],
        [line("basic", 10), usage(5500)],
        catalog(paid=True),
        {
            "opening": 18000,
            "closing": 28000,
            "label": "expansion",
            "types": {"usage": 10000},
            "causes": {"usage": 10000},
            "gross": (10000, 0),
            "unadjusted": 10000,
        },
    ),
    "E19": (
        [line("basic", 10, **EUR)],
        [line("basic", 12, **EUR)],
        catalog(paid=True, prev=RATES, curr={"eur": "1.05"}),
        {
            "opening": 9900,
            "closing": 11340,
            "label": "expansion",
            "types": {"seat": 1980},
            "flows": {"fx": -540},
            "causes": {"seat": 1980, "fx": -540},
            "gross": (1980, 0),
            "unadjusted": 1440,
        },
    ),
    "E20": (
        [line("basic", 10)],
        [line("basic", 10, **EUR)],
        catalog(paid=True, prev=RATES, curr=RATES),
        {"opening": 10000, "closing": 9900, "label": "fx", "flows": {"fx": -100}, "causes": {"fx": -100}},
    ),
    "E21": (
        [line("basic", 10)],
        [line("pro", 10, "si_9")],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 20000,
            "label": "expansion",
            "types": {"tier": 10000},
            "causes": {"tier": 10000},
            "gross": (10000, 0),
            "unadjusted": 10000,
        },
    ),
    "E22": (
        [line("basic", 10)],
        [line("basic", 6), line("basic", 4, "si_2")],
        catalog(paid=True),
        {"opening": 10000, "closing": 10000, "label": "flat"},
    ),
    "E23": (
        [line("basic", 10)],
        [line("basic", 9, **BASIC_2025)],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 10800,
            "label": "contraction",
            "flows": {"contraction": -1100, "price": 1900},
            "causes": {"seat": -1100, "price": 1900},
            "lost": {"seat": 1100},
            "gross": (0, 1100),
            "unadjusted": 800,
        },
    ),
    "E24": (
        [line("basic", 10)],
        [line("pro", 15, discounts=off("10"))],
        catalog(paid=True),
        {
            "opening": 10000,
            "closing": 27000,
            "label": "expansion",
            "types": {"seat": 6366, "tier": 10634},
            "causes": {"seat": 7083, "tier": 11833, "discount": -1916},
            "gross": (18916, 0),
            "unadjusted": 17000,
        },
    ),
    "E25": (
        [line("basic", 10, discounts=off("100"))],
        [line("basic", 10)],
        catalog(paid=True),
        {"closing": 10000, "label": "reactivation", "dormant": 1, "flows": {"reactivation": 10000}},
    ),
    "E26": (
        [line("basic", 10, discounts=off("100"))],
        [line("basic", 10)],
        catalog(),
        {"closing": 10000, "label": "new", "flows": {"new": 10000}},
    ),
    "E27": (
        [line("free")],
        [line("basic", 5)],
        catalog(),
        {"closing": 5000, "label": "new", "flows": {"new": 5000}},
    ),
    "E28": (
        [line("basic", 1, **YEARLY)],
        [line("basic", 2, **YEARLY)],
        catalog(paid=True),
        {
            "opening": 833,
            "closing": 1667,
            "label": "expansion",
            "types": {"seat": 834},
            "causes": {"seat": 834},
            "gross": (834, 0),
            "unadjusted": 834,
        },
    ),
    "E29": (
        [line("basic", 10, **YEN)],
        [line("basic", 12, **YEN)],
        catalog(paid=True, prev=YEN_RATES, curr=YEN_RATES),
        {
            "opening": 10050,
            "closing": 12060,
            "label": "expansion",
            "types": {"seat": 2010},
            "causes": {"seat": 2010},
            "gross": (2010, 0),
            "unadjusted": 2010,
        },
    ),
}
