"""A large account without Stripe: item states, exchange rates and a catalog, made with NumPy from a seed.

Here: the book that is measured. Not here: the simulated company, whose customers are told one by one
(`expansion_platform/simulator`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.table import arrow_schema
from expansion_platform.domain.history.tables import FxRates, ItemStates

ITEMS_PER_CUSTOMER = 1.4
CHANGED = 0.10
"""Share of the customers in whom something changes in a month."""
CURRENCIES = {"usd": 0.80, "eur": 0.12, "gbp": 0.05, "jpy": 0.03}
RATES = {"eur": "1.0845", "gbp": "1.2713", "jpy": "0.006631"}
YEARLY, TIERED, METERED, DISCOUNTED = 0.25, 0.05, 0.05, 0.10
"""Shares of the items."""
PRODUCTS = ["basic", "pro", "enterprise", "analytics", "sso", "api"]
PER_UNIT = {"basic": 1000, "pro": 2500, "enterprise": 6000, "analytics": 1500, "sso": 5000, "api": 2}
UNITS_OF = {"usd": 1, "eur": 1, "gbp": 1, "jpy": 2}
DISCOUNTS = [
    "[]",
    dumps([{"type": "percent", "value": "20", "duration": "repeating", "coupon": "annual20"}]),
    dumps([{"type": "amount", "value": "500", "duration": "forever", "coupon": "loyal"}]),
]
NEVER = np.iinfo(np.int64).max

# What may happen to a customer that changes, with its share of the changes.
EVENTS = {
    "seats": 0.50,
    "plan": 0.12,
    "interval": 0.06,
    "discount": 0.10,
    "added": 0.08,
    "removed": 0.05,
    "left": 0.05,
    "joined": 0.04,
}


def catalog() -> dict[str, Any]:
    """Three plans of one family, a second product, an add-on and a meter, in the form of semantics 8.1."""
    plans = {name: {"family": "main", "tier_rank": rank} for rank, name in enumerate(PRODUCTS[:3])}
    others = {
        "analytics": {"family": "analytics"},
        "sso": {"kind": "addon"},
        "api": {"family": "main", "kind": "usage", "meter": "calls"},
    }
    return {"reporting_currency": "usd", "products": plans | others}


def platform_catalog() -> Catalog:
    """The same for the pipeline."""
    return Catalog.from_dict(catalog())


def rates(calendar: list[str]) -> pd.DataFrame:
    """billing/fx_rates of some months: each a little off the one before, in decimal text."""
    rows = [
        (month, currency, f"{rate[:-1]}{(int(rate[-1]) + number) % 9 + 1}", "file:benchmark")
        for number, month in enumerate(calendar)
        for currency, rate in RATES.items()
    ]
    return pd.DataFrame(
        [*rows, *((month, "usd", "1", "identity") for month in calendar)], columns=arrow_schema(FxRates).names
    )


def item_states(customers: int, calendar: list[str], seed: int = 1) -> pd.DataFrame:
    """billing/item_states: a book that starts before `calendar`, with changes inside each of its months;
    texts are categoricals.
    """
    rng = np.random.default_rng(seed)
    items = _first_items(customers, rng)
    done: list[Mapping[str, np.ndarray]] = []
    for month in calendar:
        begin, end = (instant.value // 1000 for instant in (months.opening(month), months.closing(month)))
        ended, items = _a_month(items, customers, rng, begin, end)
        done.append(ended)
    every = {name: np.concatenate([*(part[name] for part in done), items[name]]) for name in items}
    return _frame(every)


def _first_items(customers: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    second = rng.choice(customers, int(customers * (ITEMS_PER_CUSTOMER - 1)), replace=True)
    customer = np.concatenate([np.arange(customers), second])
    product = np.concatenate([rng.choice(3, customers, p=[0.5, 0.35, 0.15]), rng.choice([3, 4], len(second))])
    product = np.where(rng.random(len(product)) < METERED, PRODUCTS.index("api"), product)
    currency = rng.choice(len(CURRENCIES), customers, p=list(CURRENCIES.values()))[customer]
    since = rng.integers(1_546_300_800_000_000, 1_609_459_200_000_000, len(customer))  # 2019 and 2020
    return _items(customer, np.arange(len(customer)), product, currency, since, rng)


def _items(
    customer: np.ndarray,
    item: np.ndarray,
    product: np.ndarray,
    currency: np.ndarray,
    since: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    size, metered = len(customer), product == PRODUCTS.index("api")
    return {
        "customer": customer,
        "item": item,
        "product": product,
        "currency": currency,
        "yearly": (rng.random(size) < YEARLY) & ~metered,
        "tiered": rng.random(size) < TIERED,
        "quantity": np.where(
            metered, rng.integers(0, 500_000, size) // 1000 * 1000, rng.geometric(0.08, size)
        ),
        "discount": np.where(rng.random(size) < DISCOUNTED, rng.integers(1, len(DISCOUNTS), size), 0),
        "from": since,
        "to": np.full(size, NEVER),
    }


def _a_month(
    items: dict[str, np.ndarray], customers: int, rng: np.random.Generator, begin: int, end: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The states that ended in the month, and the items as they are at its end."""
    event = np.full(customers, -1)
    changing = rng.random(customers) < CHANGED
    event[changing] = rng.choice(len(EVENTS), changing.sum(), p=list(EVENTS.values()))
    names = list(EVENTS)
    at = rng.integers(begin + 1, end - 1, customers)[items["customer"]]
    here = event[items["customer"]]
    # One item of the customer changes, all of them go.
    first = np.zeros(len(here), dtype=bool)
    first[np.unique(items["customer"], return_index=True)[1]] = True
    touched = (
        first
        & np.isin(here, [names.index(name) for name in ("seats", "plan", "interval", "discount", "removed")])
    ) | (here == names.index("left"))
    gone = touched & np.isin(here, [names.index("removed"), names.index("left")])
    ended = {name: values[touched] for name, values in items.items()} | {"to": at[touched]}
    now = {name: values.copy() for name, values in items.items()}
    now["from"][touched] = at[touched]
    size = len(here)
    seats, plan, interval, discount = (
        touched & (here == names.index(name)) for name in ("seats", "plan", "interval", "discount")
    )
    now["quantity"] = np.where(
        seats, np.maximum(1, now["quantity"] + rng.choice([-2, -1, 1, 2, 3, 5], size)), now["quantity"]
    )
    now["product"] = np.where(
        plan & (now["product"] < 3), (now["product"] + rng.integers(1, 3, size)) % 3, now["product"]
    )
    now["yearly"] = np.where(interval & (now["product"] < 5), ~now["yearly"], now["yearly"])
    now["discount"] = np.where(discount, (now["discount"] + rng.integers(1, 3, size)) % 3, now["discount"])
    joined, adding = (np.flatnonzero(event == names.index(name)) for name in ("joined", "added"))
    newcomers = np.concatenate([joined, adding])
    last = items["item"].max() + 1
    currency = rng.choice(len(CURRENCIES), customers, p=list(CURRENCIES.values()))
    currency[items["customer"]] = items["currency"]
    product = np.concatenate([rng.choice(3, len(joined)), rng.choice([3, 4, 5], len(adding))])
    since = rng.integers(begin + 1, end - 1, len(newcomers))
    more = _items(newcomers, last + np.arange(len(newcomers)), product, currency[newcomers], since, rng)
    return ended, {name: np.concatenate([now[name][~gone], more[name]]) for name in now}


def _frame(items: Mapping[str, np.ndarray]) -> pd.DataFrame:
    items = {
        name: values[np.lexsort((items["from"], items["item"], items["customer"]))]
        for name, values in items.items()
    }
    metered = items["product"] == PRODUCTS.index("api")
    price = ((items["product"] * len(CURRENCIES) + items["currency"]) * 2 + items["yearly"]) * 2 + items[
        "tiered"
    ]
    prices = [
        (product, currency, interval, tiered)
        for product in PRODUCTS
        for currency in CURRENCIES
        for interval in ("month", "year")
        for tiered in (False, True)
    ]
    names = [
        "_".join([product, currency, interval, *(["tiered"] if tiered else [])])
        for product, currency, interval, tiered in prices
    ]
    columns: dict[str, Any] = {
        "customer": _numbered("cus", items["customer"]),
        "subscription": _numbered("sub", items["customer"]),
        "item": _numbered("si", items["item"]),
        "valid_from": _instants(items["from"]),
        "valid_to": _instants(items["to"]),
        "status": _among(["active"], np.zeros(len(price), dtype=int)),
        "collection_paused": pd.Categorical.from_codes(np.full(len(price), -1), ["void"]),
        "livemode": np.ones(len(price), dtype=bool),
        "currency": _among(list(CURRENCIES), items["currency"]),
        "product": _among(PRODUCTS, items["product"]),
        "price": _among(names, price),
        "usage_type": _among(["licensed", "metered"], metered.astype(int)),
        "interval": _among(["month", "year"], items["yearly"].astype(int)),
        "interval_count": np.ones(len(price), dtype=np.int64),
        "scheme_json": _among([_scheme(*one) for one in prices], price),
        "quantity": _texts(items["quantity"]),
        "discounts_json": _among(DISCOUNTS, items["discount"]),
        "source": _among(["proration"], np.zeros(len(price), dtype=int)),
        "confidence": _among(["exact"], np.zeros(len(price), dtype=int)),
        "evidence_json": _numbered("il", np.arange(len(price))),
    }
    return pd.DataFrame(columns)[arrow_schema(ItemStates).names]


def _scheme(product: str, currency: str, interval: str, tiered: bool) -> str:
    unit = PER_UNIT[product] * UNITS_OF[currency] * (10 if interval == "year" else 1)
    if not tiered:
        return dumps({"type": "per_unit", "unit": str(unit)})
    tiers = [
        {"up_to": "10", "unit": str(unit), "flat": "0"},
        {"up_to": "50", "unit": f"{unit * 8 // 10}", "flat": "0"},
    ]
    return dumps(
        {"type": "graduated", "tiers": [*tiers, {"up_to": None, "unit": f"{unit * 6 // 10}.5", "flat": "0"}]}
    )


def _among(values: list[str], codes: np.ndarray) -> pd.Categorical:
    distinct, place = np.unique(np.array(values, dtype=object), return_inverse=True)
    return pd.Categorical.from_codes(place[codes], list(distinct))


def _numbered(prefix: str, numbers: np.ndarray) -> pd.Series:
    return pd.Series(np.char.add(f"{prefix}_", np.char.zfill(numbers.astype(str), 8)), dtype="str")


def _texts(numbers: np.ndarray) -> pd.Categorical:
    distinct, codes = np.unique(numbers, return_inverse=True)
    return pd.Categorical.from_codes(codes, distinct.astype(str))


def _instants(micros: np.ndarray) -> pd.Series:
    return (
        pd.Series(micros).where(micros != NEVER).astype("Int64").astype("datetime64[us, UTC]")
        if (micros == NEVER).any()
        else pd.to_datetime(pd.Series(micros), unit="us", utc=True).astype("datetime64[us, UTC]")
    )
