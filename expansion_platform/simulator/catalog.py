"""What the simulated company sells: products, prices in four currencies, coupons, and one price migration.

Here: the catalogue's content, and its form for semantics 8.1. Not here: who buys it (`behaviour.py`) or its Stripe objects (`objects.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

CURRENCIES = {"usd": "1", "eur": "0.9", "gbp": "0.8", "jpy": "1.5"}
"""Minor units of the currency charged for one US cent on the price list: 12.00 USD is 10.80 EUR, 9.60 GBP and 1,800 JPY."""
INTERVALS = {"month": 1, "year": 10}
"""Monthly amounts in a period's price: a year is sold for ten months."""


@dataclass(frozen=True)
class Product:
    """A product and the catalog entry semantics 3.1 wants of it; `hints` writes the entry into its Stripe metadata too."""

    id: str
    key: str
    name: str
    family: str
    tier_rank: int
    kind: str
    unit: str
    hints: bool = False


BASIC = Product("prod_WorkspaceBasic", "basic", "Workspace Basic", "workspace", 1, "base", "seat", hints=True)
PRO = Product("prod_WorkspacePro", "pro", "Workspace Pro", "workspace", 2, "base", "seat", hints=True)
ENTERPRISE = Product("prod_WorkspaceEnterprise", "enterprise", "Workspace Enterprise", "workspace", 3, "base", "seat")
INSIGHTS = Product("prod_Insights", "insights", "Insights", "insights", 1, "base", "seat")
STORAGE = Product("prod_Storage", "storage", "Extra storage", "storage", 1, "addon", "flat")
SSO = Product("prod_SingleSignOn", "sso", "Single sign-on", "sso", 1, "addon", "flat", hints=True)
API = Product("prod_Api", "api", "API calls", "api", 1, "usage", "usage:api")
"""Sold by use, and only by a company that has the behaviour `metered`."""
PRODUCTS = (BASIC, PRO, ENTERPRISE, INSIGHTS, STORAGE, SSO)
PLANS = (BASIC, PRO, ENTERPRISE)
SEVERAL_CURRENCIES = (PRO, ENTERPRISE, INSIGHTS, STORAGE, API)
"""Products whose prices have all currencies under one id, in a company that has the behaviour `multi_currency`."""

# Monthly price list in US cents, in the scheme form of semantics 8.1. Insights' last tier is priced below the cent on purpose.
_MONTHLY_USD: dict[str, dict[str, Any]] = {
    "basic": {"type": "per_unit", "unit": "1200"},
    "pro": {"type": "per_unit", "unit": "3000"},
    "enterprise": {
        "type": "volume",
        "tiers": [
            {"up_to": 50, "unit": "7000", "flat": "0"},
            {"up_to": 200, "unit": "6200", "flat": "0"},
            {"up_to": None, "unit": "5500", "flat": "0"},
        ],
    },
    "insights": {
        "type": "graduated",
        "tiers": [
            {"up_to": 10, "unit": "0", "flat": "9900"},
            {"up_to": 50, "unit": "800", "flat": "0"},
            {"up_to": None, "unit": "650.5", "flat": "0"},
        ],
    },
    "storage": {"type": "per_unit", "unit": "500", "divide_by": 100, "round": "up"},
    "sso": {"type": "per_unit", "unit": "9000"},
}
_API_USD = {"type": "graduated", "tiers": [{"up_to": 1000, "unit": "0", "flat": "0"}, {"up_to": None, "unit": "4", "flat": "0"}]}
PRICED_BEFORE = 30 * 86_400
"""Seconds from the price list to the first month's opening."""
MIGRATED_USD = "3300"
"""Pro's new monthly price, in US cents a seat: +10 %."""


@dataclass(frozen=True)
class Price:
    """One recurring price in one currency. `scheme` is the 8.1 form; `retired_at` is when the migration closed it to new buyers.

    `offered` are the schemes by currency of a price that has several under one id, its own first; such a price is one of these for each currency.
    """

    id: str
    product: Product
    currency: str
    interval: str
    scheme: dict[str, Any]
    created: int
    retired_at: int | None = None
    usage_type: str = "licensed"
    offered: tuple[tuple[str, dict[str, Any]], ...] = ()

    def gross(self, quantity: int) -> Fraction:
        """Amount of one billing period in minor units, before discounts, not rounded."""
        units = Fraction(quantity)
        if "divide_by" in self.scheme:
            units = Fraction(-(-quantity // self.scheme["divide_by"]))
        if self.scheme["type"] == "per_unit":
            return Fraction(self.scheme["unit"]) * units
        if self.scheme["type"] == "volume":
            tier = next(tier for tier in self.scheme["tiers"] if tier["up_to"] is None or units <= tier["up_to"])
            return Fraction(tier["unit"]) * units + Fraction(tier["flat"])
        total, below = Fraction(0), 0
        for tier in self.scheme["tiers"]:
            top = units if tier["up_to"] is None else min(units, Fraction(tier["up_to"]))
            total += Fraction(tier["flat"]) + Fraction(tier["unit"]) * (top - below)
            if tier["up_to"] is None or units <= tier["up_to"]:
                break
            below = tier["up_to"]
        return total


@dataclass(frozen=True)
class Coupon:
    """A coupon: `percent` as decimal text or `amount` in minor units of `currency`; limited to `products` unless that is empty.

    `offered` are the amounts by currency of one that has several under one id, its own first.
    """

    id: str
    duration: str
    percent: str | None = None
    amount: int | None = None
    currency: str | None = None
    months: int | None = None
    products: tuple[str, ...] = ()
    offered: tuple[tuple[str, int], ...] = ()

    def covers(self, product: Product) -> bool:
        """Whether the coupon reduces this product."""
        return not self.products or product.id in self.products


RETIRED = Coupon("RETIRED15", "forever", percent="15")
"""A coupon somebody deleted in Stripe: it stays in force where it was redeemed, and is in no list of coupons."""
_PLAN_IDS = tuple(product.id for product in PLANS)


def coupons(*, multi_currency: bool = False) -> dict[str, Coupon]:
    """All coupons by name. An `amount_off` coupon exists once a currency, or is one with an amount in each, which then shares its id."""
    listed = [
        Coupon("LAUNCH20", "repeating", percent="20", months=3),
        Coupon("FREE2", "repeating", percent="100", months=2),
        Coupon("PARTNER12", "forever", percent="12.5"),
        Coupon("NONPROFIT", "forever", percent="25"),
        Coupon("WELCOME50", "once", percent="50"),
        Coupon("ANNUAL15", "once", percent="15"),
        Coupon("INSIGHTS30", "repeating", percent="30", months=6, products=(INSIGHTS.id,)),
    ]
    found = {coupon.id: coupon for coupon in listed}
    amounts = [
        (Coupon("OFF25", "repeating", months=6), 2500),
        (Coupon("LOYAL40", "forever"), 4000),
        (Coupon("PLAN30", "forever", products=_PLAN_IDS), 3000),
        (Coupon("CREDIT99", "once"), 9900),
    ]
    for coupon, cents in amounts:
        offered = tuple((currency, _local(cents, currency)) for currency in CURRENCIES)
        for currency, amount in offered:
            name = f"{coupon.id}{currency.upper()}"
            shared = {"offered": offered} if multi_currency else {"id": name}
            found[name] = replace(coupon, amount=amount, currency=currency, **shared)  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class Catalog:
    """The price list, by a name for each price and currency, and the day Pro's monthly price was replaced."""

    prices: dict[str, Price]
    coupons: dict[str, Coupon]
    created: int
    migrated_at: int
    products: tuple[Product, ...] = PRODUCTS

    @property
    def opened(self) -> int:
        """When the company's first month began: its prices are older."""
        return self.created + PRICED_BEFORE

    def price(self, product: Product, currency: str, interval: str, at: int) -> Price:
        """The price a buyer gets at `at`."""
        return next(
            price
            for price in self.prices.values()
            if (price.product, price.currency, price.interval) == (product, currency, interval)
            and price.created <= at
            and (price.retired_at is None or at < price.retired_at)
        )

    def successor(self, price: Price) -> Price | None:
        """The price a retired one was migrated to."""
        return None if price.retired_at is None else self.price(price.product, price.currency, price.interval, price.retired_at)

    def _migrations(self, known: list[Price], as_of: int) -> dict[tuple[str, str], None]:
        pairs = [(price.id, new.id) for price in known if (new := self.successor(price)) is not None and new.created <= as_of]
        return dict.fromkeys(pairs)

    def semantics(self, as_of: int) -> dict[str, Any]:
        """The catalog of semantics 8.1 as people would write it at `as_of`: products, list prices, declared migrations."""
        known = [price for price in self.prices.values() if price.created <= as_of]
        return {
            "reporting_currency": "usd",
            "products": {
                product.id: {"family": product.family, "tier_rank": product.tier_rank, "kind": product.kind, "unit": product.unit}
                for product in self.products
            },
            "list_prices": [
                {
                    "price": price.id,
                    "product": price.product.id,
                    "currency": price.currency,
                    "interval": price.interval,
                    "interval_count": 1,
                    "scheme": price.scheme,
                }
                for price in known
            ],
            "migrations": [list(pair) for pair in self._migrations(known, as_of)],
            "aliases": {},
        }


def build(created: int, migrated_at: int, behaviours: frozenset[str] = frozenset()) -> Catalog:
    """The catalogue of a company that opened its price list at `created` and repriced Pro at `migrated_at` (epoch seconds)."""
    prices: dict[str, Price] = {}
    several = SEVERAL_CURRENCIES if "multi_currency" in behaviours else ()

    def add(name: str, product: Product, monthly_usd: dict[str, Any], interval: str, since: int, **more: Any) -> None:
        schemes = tuple((currency, _scheme(monthly_usd, currency, interval)) for currency in CURRENCIES)
        for currency, scheme in schemes:
            key = name.format(currency=currency)
            identity, offered = (name.format(currency="any"), schemes) if product in several else (key, ())
            prices[key] = Price(identity, product, currency, interval, scheme, since, offered=offered, **more)

    for product in PRODUCTS:
        for interval in INTERVALS:
            migrated = product is PRO and interval == "month"
            name = f"price_{product.key}_{{currency}}_{interval}"
            add(name, product, _MONTHLY_USD[product.key], interval, created, retired_at=migrated_at if migrated else None)
            if migrated:
                add(f"{name}_2", product, {"type": "per_unit", "unit": MIGRATED_USD}, interval, migrated_at)
    if "metered" in behaviours:
        add("price_api_{currency}", API, _API_USD, "month", created, usage_type="metered")
    sold = (*PRODUCTS, API) if "metered" in behaviours else PRODUCTS
    return Catalog(prices, coupons(multi_currency="multi_currency" in behaviours), created, migrated_at, sold)


def _local(cents: int, currency: str) -> int:
    return int(Decimal(cents) * Decimal(CURRENCIES[currency]))


def _scheme(monthly_usd: dict[str, Any], currency: str, interval: str) -> dict[str, Any]:
    factor = Decimal(CURRENCIES[currency]) * INTERVALS[interval]

    def local(amount: str) -> str:
        return format((Decimal(amount) * factor).normalize(), "f")

    scheme = dict(monthly_usd)
    if "unit" in scheme:
        scheme["unit"] = local(scheme["unit"])
    if "tiers" in scheme:
        scheme["tiers"] = [{**tier, "unit": local(tier["unit"]), "flat": local(tier["flat"])} for tier in scheme["tiers"]]
    return scheme
