"""What the simulated company sells: products, prices in four currencies, coupons, and how it reprices.

Here: the catalogue's content, and its form for semantics 8.1. Not here: who buys it (`behaviour.py`) or its
Stripe objects (`simulator/stripe_billing/objects.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest
from typing import Any

CURRENCIES = {"usd": "1", "eur": "0.9", "gbp": "0.8", "jpy": "1.5"}
"""Minor units of the currency charged for one US cent on the price list: 12.00 USD is 10.80 EUR, 9.60 GBP and
1,800 JPY.
"""
INTERVALS = {"month": 1, "year": 10}
"""Monthly amounts in a period's price: a year is sold for ten months."""


@dataclass(frozen=True)
class Product:
    """A product and the catalog entry semantics 3.1 wants of it.

    `hints` writes the entry into its Stripe metadata too.
    """

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
ENTERPRISE = Product(
    "prod_WorkspaceEnterprise", "enterprise", "Workspace Enterprise", "workspace", 3, "base", "seat"
)
INSIGHTS = Product("prod_Insights", "insights", "Insights", "insights", 1, "base", "seat")
STORAGE = Product("prod_Storage", "storage", "Extra storage", "storage", 1, "addon", "flat")
SSO = Product("prod_SingleSignOn", "sso", "Single sign-on", "sso", 1, "addon", "flat", hints=True)
API = Product("prod_Api", "api", "API calls", "api", 1, "usage", "usage:api")
"""Sold by use, and only by a company that has the behaviour `metered`."""
PRODUCTS = (BASIC, PRO, ENTERPRISE, INSIGHTS, STORAGE, SSO)
PLANS = (BASIC, PRO, ENTERPRISE)
SEVERAL_CURRENCIES = (PRO, ENTERPRISE, INSIGHTS, STORAGE, API)
"""Products whose prices have all currencies under one id, in a company that has the behaviour
`multi_currency`.
"""

# Monthly price list in US cents, in the scheme form of semantics 8.1. Insights' last tier is priced below the
# cent on purpose.
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
_API_USD = {
    "type": "graduated",
    "tiers": [{"up_to": 1000, "unit": "0", "flat": "0"}, {"up_to": None, "unit": "4", "flat": "0"}],
}
TAX_BEHAVIOUR = "inclusive_tax"
TAX_INSIDE = ("eur", "gbp")
"""Currencies whose prices have tax inside, in a company with the behaviour `inclusive_tax`; on those of
others it comes on top.
"""
PRICED_BEFORE = 30 * 86_400
"""Seconds from the price list to the first month's opening."""
VERSIONS = (Decimal("1"), Decimal("1.1"), Decimal("1.2"))
"""A price's versions, as factors of the price list. Pro's monthly price has two; every price of a company
that repriced twice has three.
"""

PLANS_AS_PRODUCTS, ONE_PRODUCT, ONE_PRODUCT_IN_LISTS, REPRICED = (
    "plans_as_products",
    "one_product",
    "one_product_in_lists",
    "repriced",
)
CATALOGS = {
    PLANS_AS_PRODUCTS: "each plan is a product, its rank is in "
    "the catalog, and so is the migration of Pro's price",
    ONE_PRODUCT: "the plans are three prices of one product, in dollars a month, and the catalog says "
    "nothing of it nor of the migration",
    ONE_PRODUCT_IN_LISTS: "the same in four currencies, by month and year",
    REPRICED: "all prices of all plans are replaced at two dates, and the catalog says neither ranks "
    "nor migrations",
}
"""What the company sells and what its catalog says. All but the first are distinguished by what customers did
alone (semantics 3.1, D-12).
"""
WORKSPACE = Product("prod_Workspace", "workspace", "Workspace", "workspace", 1, "base", "seat")
"""The one product that has all plans, where they are its prices."""


@dataclass(frozen=True)
class Price:
    """One recurring price in one currency.

    `product` is what it is for, `scheme` the 8.1 form, `retired_at` when it was closed to new buyers.

    `offered` are the schemes by currency of a price that has several under one id, its own first; such a
    price is one of these for each currency.
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
    sold_as: Product | None = None
    """The product it is a price of in Stripe, where that is not the plan itself."""
    taxed: bool = False
    """Whether the company's prices say if tax is inside them."""

    @property
    def inclusive(self) -> bool:
        """Whether tax is inside its amounts."""
        return self.taxed and self.currency in TAX_INSIDE

    @property
    def product_id(self) -> str:
        """Its product in Stripe."""
        return (self.sold_as or self.product).id

    def gross(self, quantity: int) -> Fraction:
        """Amount of one billing period in minor units, before discounts, not rounded."""
        units = Fraction(quantity)
        if "divide_by" in self.scheme:
            units = Fraction(-(-quantity // self.scheme["divide_by"]))
        if self.scheme["type"] == "per_unit":
            return Fraction(self.scheme["unit"]) * units
        if self.scheme["type"] == "volume":
            tier = next(
                tier for tier in self.scheme["tiers"] if tier["up_to"] is None or units <= tier["up_to"]
            )
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
    """A coupon: `percent` as decimal text or `amount` in minor units of `currency`.

    Limited to `products` unless that is empty.

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

    def covers(self, price: Price) -> bool:
        """Whether the coupon reduces this price's product."""
        return not self.products or price.product_id in self.products


RETIRED = Coupon("RETIRED15", "forever", percent="15")
"""A coupon somebody deleted in Stripe: it stays in force where it was redeemed, and is in no list of
coupons.
"""
RETIRED_SHARE = Coupon("RETIREDINSIGHTS50", "forever", percent="50", products=(INSIGHTS.id,))
RETIRED_AMOUNT = "RETIREDINSIGHTS20"
"""Deleted too, and limited to a product, which nothing but bills shows any more; the amount's name goes on
with its currency.
"""
_PLAN_IDS = tuple(product.id for product in PLANS)


def coupons(plans: tuple[str, ...] = _PLAN_IDS, *, multi_currency: bool = False) -> dict[str, Coupon]:
    """All coupons by name; some are limited to `plans`, the plans' products.

    An `amount_off` coupon exists once a currency, or is one with an amount in each, which then shares its id.
    """
    listed = [
        Coupon("LAUNCH20", "repeating", percent="20", months=3),
        Coupon("FREE2", "repeating", percent="100", months=2),
        Coupon("PARTNER12", "forever", percent="12.5"),
        Coupon("NONPROFIT", "forever", percent="25"),
        Coupon("WELCOME50", "once", percent="50"),
        Coupon("ANNUAL15", "once", percent="15"),
        Coupon("INSIGHTS30", "repeating", percent="30", months=6, products=(INSIGHTS.id,)),
    ]
    found = {coupon.id: coupon for coupon in [*listed, RETIRED, RETIRED_SHARE]}
    amounts = [
        (Coupon("OFF25", "repeating", months=6), 2500),
        (Coupon("LOYAL40", "forever"), 4000),
        (Coupon("PLAN30", "forever", products=plans), 3000),
        (Coupon("CREDIT99", "once"), 9900),
        (Coupon(RETIRED_AMOUNT, "forever", products=(INSIGHTS.id,)), 2000),
    ]
    for coupon, cents in amounts:
        offered = tuple((currency, _local(cents, currency)) for currency in CURRENCIES)
        for currency, amount in offered:
            name = f"{coupon.id}{currency.upper()}"
            shared = {"offered": offered} if multi_currency else {"id": name}
            found[name] = replace(coupon, amount=amount, currency=currency, **shared)
    return found


@dataclass(frozen=True)
class Catalog:
    """The price list, by a name for each price and currency.

    It also says when prices were replaced, and what the user's catalog says.

    `entries` is what it says of products, by id; `declared` whether it names the migrations.

    Stripe does not have the `deleted_prices` any more, although some still pay them.
    """

    prices: dict[str, Price]
    coupons: dict[str, Coupon]
    created: int
    repriced_at: tuple[int, ...]
    products: tuple[Product, ...]
    entries: dict[str, dict[str, Any]]
    declared: bool
    currencies: tuple[str, ...] = tuple(CURRENCIES)
    intervals: tuple[str, ...] = tuple(INTERVALS)
    deleted_prices: frozenset[str] = frozenset()

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
        return (
            None
            if price.retired_at is None
            else self.price(price.product, price.currency, price.interval, price.retired_at)
        )

    def _migrations(self, known: list[Price], as_of: int) -> dict[tuple[str, str], None]:
        pairs = [
            (price.id, new.id)
            for price in known
            if (new := self.successor(price)) is not None and new.created <= as_of
        ]
        return dict.fromkeys(pairs)

    def semantics(self, as_of: int) -> dict[str, Any]:
        """The catalog of semantics 8.1 as people would write it at `as_of`.

        Products, list prices, declared migrations.
        """
        known = [price for price in self.prices.values() if price.created <= as_of]
        return {
            "reporting_currency": "usd",
            "products": self.entries,
            "list_prices": [
                {
                    "price": price.id,
                    "product": price.product_id,
                    "currency": price.currency,
                    "interval": price.interval,
                    "interval_count": 1,
                    "scheme": price.scheme,
                }
                for price in known
            ],
            "migrations": [list(pair) for pair in self._migrations(known, as_of) if self.declared],
            "aliases": {},
        }


def build(
    created: int,
    repriced_at: tuple[int, ...],
    behaviours: frozenset[str] = frozenset(),
    sells: str = PLANS_AS_PRODUCTS,
) -> Catalog:
    """The catalogue of a company that opened its price list at `created`.

    Prices were replaced at `repriced_at`; both are epoch seconds.

    `sells` is a name of `CATALOGS`. Pro's monthly price is replaced, or all prices of all plans where the
    company is one that repriced.
    """
    prices: dict[str, Price] = {}
    several = SEVERAL_CURRENCIES if "multi_currency" in behaviours else ()
    one_product = sells in (ONE_PRODUCT, ONE_PRODUCT_IN_LISTS)
    currencies, intervals = (
        (("usd",), ("month",)) if sells == ONE_PRODUCT else (tuple(CURRENCIES), tuple(INTERVALS))
    )

    def add(
        name: str,
        product: Product,
        monthly_usd: dict[str, Any],
        interval: str,
        since: int,
        factor: Decimal = VERSIONS[0],
        **more: Any,
    ) -> None:
        schemes = tuple(
            (currency, _scheme(monthly_usd, currency, interval, factor)) for currency in currencies
        )
        for currency, scheme in schemes:
            key = name.format(currency=currency)
            identity, offered = (name.format(currency="any"), schemes) if product in several else (key, ())
            taxed = TAX_BEHAVIOUR in behaviours
            prices[key] = Price(
                identity, product, currency, interval, scheme, since, offered=offered, taxed=taxed, **more
            )

    for product in PRODUCTS:
        sold_as = WORKSPACE if one_product and product in PLANS else None
        for interval in intervals:
            replaced = product in PLANS if sells == REPRICED else product is PRO and interval == "month"
            starts = (created, *repriced_at) if replaced else (created,)
            for version, (since, until) in enumerate(zip_longest(starts, starts[1:]), 1):
                name = f"price_{product.key}_{{currency}}_{interval}{f'_{version}' if version > 1 else ''}"
                add(
                    name,
                    product,
                    _MONTHLY_USD[product.key],
                    interval,
                    since,
                    VERSIONS[version - 1],
                    retired_at=until,
                    sold_as=sold_as,
                )
    if "metered" in behaviours:
        add("price_api_{currency}", API, _API_USD, "month", created, usage_type="metered")
    products = _products(sells, (*PRODUCTS, API) if "metered" in behaviours else PRODUCTS)
    return Catalog(
        prices=prices,
        coupons=coupons(
            (WORKSPACE.id,) if one_product else _PLAN_IDS, multi_currency="multi_currency" in behaviours
        ),
        created=created,
        repriced_at=repriced_at,
        products=products,
        entries=_entries(sells, products),
        declared=sells == PLANS_AS_PRODUCTS,
        currencies=currencies,
        intervals=intervals,
        deleted_prices=_deleted(prices) if "deleted_price" in behaviours else frozenset(),
    )


def _deleted(prices: dict[str, Price]) -> frozenset[str]:
    """Ids of old prices.

    Of one in several currencies nothing would show the others' amounts where no bill names it, as in a trial.
    """
    old = (price for price in prices.values() if price.product is BASIC or price.retired_at is not None)
    return frozenset(price.id for price in old if not price.offered)


def _products(sells: str, products: tuple[Product, ...]) -> tuple[Product, ...]:
    """The products in Stripe; their metadata has a plan's rank only where the catalog has it, too."""
    if sells in (ONE_PRODUCT, ONE_PRODUCT_IN_LISTS):
        return (WORKSPACE, *(product for product in products if product not in PLANS))
    return tuple(
        replace(product, hints=False) if sells == REPRICED and product in PLANS else product
        for product in products
    )


def _entries(sells: str, products: tuple[Product, ...]) -> dict[str, dict[str, Any]]:
    """What the user's catalog says of each product.

    Of plans sold as prices nothing, and where they were repriced only that they are a family.
    """
    whole = {
        product.id: {
            "family": product.family,
            "tier_rank": product.tier_rank,
            "kind": product.kind,
            "unit": product.unit,
        }
        for product in products
    }
    whole.pop(WORKSPACE.id, None)
    return {
        identity: {"family": said["family"]} if sells == REPRICED and identity in _PLAN_IDS else said
        for identity, said in whole.items()
    }


def _local(cents: int, currency: str) -> int:
    return int(Decimal(cents) * Decimal(CURRENCIES[currency]))


def _scheme(
    monthly_usd: dict[str, Any], currency: str, interval: str, version: Decimal = VERSIONS[0]
) -> dict[str, Any]:
    factor = Decimal(CURRENCIES[currency]) * INTERVALS[interval] * version

    def local(amount: str) -> str:
        return format((Decimal(amount) * factor).normalize(), "f")

    scheme = dict(monthly_usd)
    if "unit" in scheme:
        scheme["unit"] = local(scheme["unit"])
    if "tiers" in scheme:
        scheme["tiers"] = [
            {**tier, "unit": local(tier["unit"]), "flat": local(tier["flat"])} for tier in scheme["tiers"]
        ]
    return scheme
