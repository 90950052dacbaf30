"""Random books: two month ends of a few customers and the catalog between them, valid by construction
(semantics 8.1).

Here: `random_book(seed)`, fast and reproducible, and `books()`, the same builder as a Hypothesis strategy
that shrinks. Most changes between the two month ends are what customers really do: seats, plans, intervals,
coupons, currencies, cancelling and returning. Not here: what is expected.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

Row = dict[str, Any]
MonthSnapshot = tuple[list[Row], list[Row], Row]

CURRENCIES = ["usd", "usd", "usd", "eur", "gbp", "jpy", "kwd", "isk"]
RATES = {"usd": "1", "eur": "1.0867", "gbp": "1.27", "jpy": "0.0067", "kwd": "3.2533", "isk": "0.00723"}
INTERVALS = (
    [("month", 1)] * 6
    + [("year", 1)] * 4
    + [("month", 3), ("month", 12), ("year", 2), ("week", 1), ("week", 2), ("day", 1), ("day", 30)]
)
UNITS = [
    "1000",
    "2000",
    "3000",
    "9900",
    "10000",
    "1500",
    "5000",
    "333.333333333333",
    "0.5",
    "0.000000000001",
    "7",
    "12.5",
    "0",
    "29999",
]
QUANTITIES = [
    "0",
    "1",
    "1",
    "2",
    "3",
    "4",
    "5",
    "7",
    "9",
    "10",
    "10",
    "12",
    "15",
    "20",
    "33",
    "50",
    "101",
    "1000",
    "2.5",
]
BASE = ["basic", "pro", "ent", "solo", "labs", "crm", "suite", "loose", "stray"]
LICENSED = [*BASE, "sso", "extra"]
METERED = ["calls", "sms", "store", "basic", "crm"]
CATALOG: dict[str, Row] = {
    "basic": {"family": "core", "tier_rank": 1, "kind": "base", "unit": "seat"},
    "pro": {"family": "core", "tier_rank": 2, "kind": "base", "unit": "seat"},
    "ent": {"family": "core", "tier_rank": 3},
    "solo": {"family": "core", "tier_rank": 0, "kind": "base", "unit": "flat"},
    "labs": {"family": "core"},
    "crm": {"family": "crm", "tier_rank": 1},
    "suite": {"family": "suite", "group": "core", "tier_rank": 4, "unit": "seat"},
    "sso": {"kind": "addon"},
    "extra": {"kind": "addon", "unit": "seat"},
    "calls": {"kind": "usage", "unit": "meter", "meter": "calls", "family": "core"},
    "sms": {"kind": "usage", "meter": "sms", "family": "crm"},
}
# What the catalog may say of a single price, sensible or not: its product's entry is overridden field by
# field.
OVERRIDES: list[Row] = [
    {"tier_rank": 0},
    {"tier_rank": 2},
    {"tier_rank": 4},
    {"unit": "flat"},
    {"unit": "seat"},
    {"unit": "meter"},
    {"family": "core"},
    {"family": "crm", "tier_rank": None},
    {"kind": "addon"},
    {"kind": "addon", "group": "core"},
    {"kind": "base"},
    {"kind": "usage"},
    {"meter": "calls"},
    {"group": "core"},
    {"group": "calls", "meter": "calls"},
    {"group": "calls", "unit": "seat"},
]


def random_book(seed: int, customers: int = 0) -> MonthSnapshot:
    """The book (prev, curr, catalog) of a seed, of so many customers (0: one to four)."""
    return build_book(random.Random(seed), customers)  # noqa: S311 - the same seed is to give the same book


def books() -> st.SearchStrategy[MonthSnapshot]:
    """Books as a Hypothesis strategy."""
    return st.randoms(use_true_random=False).map(build_book)


def build_book(rng: random.Random, customers: int = 0) -> MonthSnapshot:
    """One book from a source of randomness."""
    builder = _Builder(rng)
    prev: list[Row] = []
    curr: list[Row] = []
    for number in range(customers or rng.randint(1, 4)):
        before = builder.new_items(f"cus_{number}")
        after = builder.next_month(f"cus_{number}", before)
        prev += before
        curr += after
    catalog = builder.catalog(prev, curr)
    rng.shuffle(prev)
    rng.shuffle(curr)
    return prev, curr, catalog


def fit(row: Row) -> Row:
    """No more than a finite last tier prices: more would be invalid input. Changes the row."""
    last = (row["scheme"].get("tiers") or [{}])[-1].get("up_to")
    if last is not None:
        row["quantity"] = str(
            min(Decimal(row["quantity"]), Decimal(last) * Decimal(row["scheme"].get("divide_by", 1)))
        )
    return row


def _tier(rng: random.Random, up_to: int | str | None) -> Row:
    """A tier; in Stripe it may have a unit amount alone, a flat amount alone, or neither."""
    amounts: Row = {"unit": rng.choice(UNITS), "flat": rng.choice(["0", "0", "500", "4900"])}
    for name in amounts.copy():
        if rng.random() < 0.12:
            amounts |= {name: None}
            if rng.random() < 0.5:
                del amounts[name]
    return {"up_to": up_to, **amounts}


class _Builder:
    """Draws a price list first, then items on it, so that customers share prices as they do in life."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.items = 0
        self.prices = [
            self.price(product, number) for product in LICENSED for number in range(rng.randint(1, 4))
        ]
        self.prices += [
            self.price(product, number, metered=True)
            for product in METERED
            for number in range(rng.randint(0, 2))
        ]

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    # What is for sale

    def price(self, product: str, number: int, metered: bool = False) -> Row:
        interval, count = self.rng.choice(INTERVALS)
        row = {
            "price": f"{product}_{'use' if metered else 'p'}{number}",
            "product": product,
            "currency": self.rng.choice(CURRENCIES),
        }
        row |= {"interval": interval, "interval_count": count, "scheme": self.scheme()}
        return row | ({"usage_type": "metered"} if metered else {})

    def scheme(self) -> Row:
        rng = self.rng
        kind = rng.choice(["per_unit", "per_unit", "per_unit", "per_unit", "graduated", "volume"])
        scheme: Row = {"type": kind}
        if kind == "per_unit":
            scheme["unit"] = rng.choice(UNITS)
            if self.chance(0.3):
                del scheme["type"]
        else:
            borders: list[Any] = sorted(rng.sample([1, 2, 5, 10, 20, 100, 500], rng.randint(0, 2)))
            borders.append(rng.choice([600, 15]) if self.chance(0.25) else None)
            if borders[-1] is not None:
                borders = sorted(set(borders))
            if self.chance(0.5):
                borders = [None if border is None else str(border) for border in borders]
            scheme["tiers"] = [_tier(rng, border) for border in borders]
        if self.chance(0.12):
            scheme |= {"divide_by": rng.choice([2, 5, 10, "10"])} | rng.choice(
                [{}, {"round": "up"}, {"round": "down"}]
            )
        if self.chance(0.12):
            scheme["minimum"] = rng.choice(["0", "4000", "12345.5"])
        return scheme

    def discounts(self) -> list[Row]:
        found = []
        for _ in range(self.rng.choice([0, 0, 0, 1, 1, 2])):
            duration = self.rng.choice(["forever", "repeating", "repeating", "once"])
            if self.chance(0.6):
                found.append(
                    {
                        "type": "percent",
                        "value": self.rng.choice(["10", "20", "50", "100", "33.33", "0", "12.5"]),
                        "duration": duration,
                    }
                )
            else:
                found.append(
                    {
                        "type": "amount",
                        "value": self.rng.choice(["500", "1000", "2500", "100000", "33"]),
                        "duration": duration,
                    }
                )
        return found

    # What customers hold

    def new_items(self, customer: str) -> list[Row]:
        """A few items; a third of the customers hold several plans of one family, where pairing by rank
        decides.
        """
        if self.chance(0.3):
            return [
                self.item(customer, lambda price: CATALOG.get(price["product"], {}).get("family") == "core")
                for _ in range(self.rng.randint(2, 5))
            ]
        return [self.item(customer) for _ in range(self.rng.choice([0, 1, 1, 1, 2, 2, 3, 4]))]

    def item(self, customer: str, among: Callable[[Row], bool] = lambda price: True) -> Row:
        self.items += 1
        row: Row = {
            "customer": customer,
            "subscription": f"sub_{self.rng.randint(1, 3)}_{customer}",
            "item": f"si_{self.items}",
            "status": "active",
        }
        row |= copy.deepcopy(self.rng.choice([price for price in self.prices if among(price)] or self.prices))
        row["quantity"] = self.rng.choice(QUANTITIES)
        row["discounts"] = self.discounts()
        if self.chance(0.12):
            row["status"] = self.rng.choice(
                ["past_due", "trialing", "unpaid", "canceled", "incomplete", "incomplete_expired", "paused"]
            )
        if self.chance(0.08):
            row["collection_paused"] = self.rng.choice(["void", "mark_uncollectible", "keep_as_draft", None])
        if self.chance(0.05):
            row["livemode"] = self.chance(0.5)
        return fit(row)

    def next_month(self, customer: str, before: list[Row]) -> list[Row]:
        after = copy.deepcopy(before)
        for _ in range(self.rng.choice([0, 1, 1, 1, 2, 2, 3])):
            edit = self.rng.choice(self.EDITS)
            edit(self, customer, after)
        return [fit(row) for row in after]

    def seats(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["quantity"] = self.rng.choice(
                [
                    str(Decimal(row["quantity"]) + 1),
                    str(Decimal(row["quantity"]) * 2),
                    self.rng.choice(QUANTITIES),
                ]
            )

    def new_price(self, customer: str, held: list[Row]) -> None:
        """Another price of the same product: an interval, a currency, a newer list price."""
        for row in self.some(held):
            self.move(row, lambda price, row=row: price["product"] == row["product"])

    def plan(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            same_terms = self.chance(0.5)
            self.move(
                row,
                lambda price, row=row, same=same_terms: (
                    price["product"] in BASE and (not same or price["currency"] == row["currency"])
                ),
            )

    def any_price(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            self.move(row, lambda price: True)

    def interval(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["interval"], row["interval_count"] = self.rng.choice(INTERVALS)

    def plan_and_interval(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            old, currency = row["product"], row["currency"]
            self.move(row, lambda price, old=old: price["product"] in BASE and price["product"] != old)
            row["currency"] = currency
            row["interval"], row["interval_count"] = self.rng.choice(INTERVALS)

    def repriced(self, customer: str, held: list[Row]) -> None:
        """The same price id with another amount: data nobody should have, that must still be counted."""
        for row in self.some(held):
            row["scheme"] = self.scheme()

    def coupon(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["discounts"] = self.discounts()

    def currency(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["currency"] = self.rng.choice(CURRENCIES)

    def add(self, customer: str, held: list[Row]) -> None:
        held.append(self.item(customer))

    def add_another_of_the_same(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            held.append(self.item(customer, lambda price, row=row: price["price"] == row["price"]))

    def remove(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            held.remove(row)

    def status(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["status"] = self.rng.choice(["active", "past_due", "trialing", "canceled", "unpaid"])

    def pause(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            row["collection_paused"] = self.rng.choice([None, "void", "keep_as_draft"])

    def split(self, customer: str, held: list[Row]) -> None:
        for row in self.some(held):
            part = str(Decimal(row["quantity"]) // 3)
            self.items += 1
            held.append(copy.deepcopy(row) | {"item": f"si_{self.items}", "quantity": part})
            row["quantity"] = str(Decimal(row["quantity"]) - Decimal(part))

    def resubscribe(self, customer: str, held: list[Row]) -> None:
        for row in held:
            self.items += 1
            row |= {"item": f"si_{self.items}", "subscription": f"sub_new_{self.items}"}

    def reorganise(self, customer: str, held: list[Row]) -> None:
        """Everything cancelled and bought again, partly as other plans, sometimes one line more."""
        for row in list(held):
            if self.chance(0.3):
                self.move(row, lambda price, row=row: price["product"] == row["product"])
            elif self.chance(0.3):
                self.move(row, lambda price: price["product"] in BASE)
        if held and self.chance(0.3):
            self.add_another_of_the_same(customer, held)
        self.resubscribe(customer, held)

    def exchange_ids(self, customer: str, held: list[Row]) -> None:
        """Item ids that moved to another product."""
        ids = [row["item"] for row in held]
        self.rng.shuffle(ids)
        for row, item in zip(held, ids, strict=True):
            row["item"] = item

    def move(self, row: Row, among: Callable[[Row], bool]) -> None:
        row.pop("usage_type", None)
        row |= copy.deepcopy(self.rng.choice([price for price in self.prices if among(price)] or self.prices))
        if self.chance(0.3):
            self.items += 1
            row["item"] = f"si_{self.items}"

    def some(self, held: list[Row]) -> list[Row]:
        return self.rng.sample(held, min(len(held), self.rng.choice([1, 1, 1, 2, 9])))

    EDITS = (
        [seats] * 5
        + [new_price] * 4
        + [plan] * 5
        + [coupon] * 3
        + [plan_and_interval] * 3
        + [
            any_price,
            interval,
            interval,
            repriced,
            currency,
            add,
            add,
            add_another_of_the_same,
            remove,
            remove,
            status,
            pause,
            split,
            resubscribe,
        ]
        + [exchange_ids, reorganise, reorganise, reorganise]
    )

    # What the company says of it

    def catalog(self, prev: list[Row], curr: list[Row]) -> Row:
        rng = self.rng
        reporting = rng.choice(["usd", "usd", "usd", "eur", "jpy", "kwd"])
        products = {product: dict(entry) for product, entry in CATALOG.items() if self.chance(0.85)}
        for price in rng.sample(self.prices, min(6, len(self.prices))):
            if self.chance(0.5):
                products[price["price"]] = rng.choice(OVERRIDES)
        opening_rates = {
            currency: rate for currency, rate in RATES.items() if currency != reporting or self.chance(0.5)
        }
        closing_rates = (
            opening_rates
            if self.chance(0.3)
            else {currency: self.drift(rate) for currency, rate in opening_rates.items()}
        )
        return {
            "reporting_currency": reporting,
            "products": products,
            "list_prices": self.list_prices(prev, curr),
            "migrations": self.migrations(prev, curr),
            "aliases": self.merge(prev),
            "ever_paid": [
                customer for customer in ("cus_0", "cus_1", "cus_2", "cus_old") if self.chance(0.6)
            ],
            "fx": {"prev": opening_rates, "curr": closing_rates},
            "policy": self.policy() if self.chance(0.35) else {},
        }

    def list_prices(self, prev: list[Row], curr: list[Row]) -> list[Row]:
        """What is for sale; for plans that moved often "old plan at new interval" and "new plan at old
        interval" too, at times twice.
        """
        found = [
            copy.deepcopy(price) for price in self.prices if "usage_type" not in price and self.chance(0.7)
        ]
        before = {row["item"]: row for row in prev}
        for new in curr:
            old = before.get(new["item"], new)
            for product, terms in ((old["product"], new), (new["product"], old)):
                for _ in range(self.rng.choice([0, 1, 1, 2])):
                    listed = {key: terms[key] for key in ("currency", "interval", "interval_count")}
                    found.append(
                        {
                            "price": f"listed_{self.rng.randint(0, 999)}",
                            "product": product,
                            "scheme": self.scheme(),
                        }
                        | listed
                    )
        distinct = {price["price"]: price for price in found}
        return list(distinct.values())

    def migrations(self, prev: list[Row], curr: list[Row]) -> list[list[str]]:
        """Some of the moves that happened, in either direction, and some that did not."""
        before = {row["item"]: row["price"] for row in prev}
        moves = [[before[row["item"]], row["price"]] for row in curr if row["item"] in before]
        moves += [
            [self.rng.choice(self.prices)["price"], self.rng.choice(self.prices)["price"]] for _ in range(4)
        ]
        return [self.rng.sample(move, 2) for move in moves if self.chance(0.15)]

    def merge(self, prev: list[Row]) -> dict[str, str]:
        """A customer known by an older id at the opening, which is an alias of today's."""
        if not prev or self.chance(0.8):
            return {}
        chosen = self.rng.choice(prev)["customer"]
        for row in prev:
            if row["customer"] == chosen and self.chance(0.7):
                row["customer"] = "cus_old"
        return {"cus_old": "cus_older", "cus_older": chosen} if self.chance(0.3) else {"cus_old": chosen}

    def drift(self, rate: str) -> str:
        return str(
            (Decimal(rate) * self.rng.randint(80, 120) / 100).normalize().quantize(Decimal("0.000001"))
        )

    def policy(self) -> Row:
        choices: list[Row] = [
            {"statuses": ["active"]},
            {"statuses": ["active", "past_due", "trialing"]},
            {"paused_counts": []},
            {"paused_counts": ["keep_as_draft", "void"]},
            {"metered_counts": False},
            {"repeating_discount_counts": False},
            {"once_discount_min_months": 1},
            {"once_discount_min_months": 3},
            {"once_discount_min_months": 24},
            {"week_in_months": "12/52"},
            {"day_in_months": "1/30"},
            {"enterprise_acv": 500000, "mid_market_acv": 100000},
        ]
        merged: Row = {}
        for part in self.rng.sample(choices, self.rng.randint(1, 3)):
            merged |= part
        return merged
