"""Terms of prices and coupons, as the rebuilding of history uses them (semantics 1.2, 8.1).

Here: stripe/prices and stripe/coupons as small records, amounts as decimal text in minor units. Not here:
what a quantity costs (`schemes.py`), and when a coupon was in force (`history/discounts.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.rows import parse, rows
from expansion_platform.domain.pricing.discounts import DURATIONS
from expansion_platform.domain.pricing.schemes import parse_scheme
from expansion_platform.domain.stripe.vocabulary import INTERVALS, USAGE_TYPES


class Price(NamedTuple):
    """The terms of a price in one currency.

    `scheme` as in semantics 8.1, `options` the same price in its other currencies.

    `inclusive` says that tax is inside its amounts, at whatever rate. `quantities` are those the scheme has
    an amount of, where only invoices show it; None: it has one of any.
    """

    id: str
    product: str
    currency: str
    usage_type: str
    interval: str
    interval_count: int
    scheme: dict[str, Any]
    scheme_json: str
    meter: str | None = None
    options: Mapping[str, Price] = MappingProxyType({})
    quantities: frozenset[str] | None = None
    inclusive: bool = False

    def charged_in(self, currency: str) -> Price:
        """The price as a subscription of this currency pays it (semantics 7, case 64).

        Itself where it has no amount in it.
        """
        return self.options.get(currency, self)

    def taxed(self, tax: str | None) -> str:
        """Its scheme as JSON with the percentage of tax inside it, None where nobody knows it."""
        return _taxed(self.scheme_json, tax)

    def in_all_currencies(self) -> tuple[Price, ...]:
        """The price once in each of its currencies, its own first."""
        return (self, *(self.options[currency] for currency in sorted(self.options)))

    def as_text(self) -> str:
        """Its terms in one currency as canonical JSON, which `price_of` reads."""
        quantities = None if self.quantities is None else sorted(self.quantities)
        terms = {
            name: getattr(self, name)
            for name in ("product", "currency", "usage_type", "interval", "interval_count", "scheme", "meter")
        }
        return canonical.dumps(terms | {"quantities": quantities})


class Coupon(NamedTuple):
    """The terms of a coupon.

    `value` is percent or minor units of `currency` as decimal text, `options` the amounts off in its other
    currencies.

    Of one that is only `embedded` in discounts nobody knows the options, nor the `products` it is limited to.
    """

    id: str
    type: str | None
    value: str
    duration: str
    currency: str | None
    products: frozenset[str] | None
    options: Mapping[str, str] = MappingProxyType({})
    embedded: bool = False

    def taken_off_in(self, currency: str) -> Coupon:
        """The coupon as it lowers a subscription of this currency (semantics 7, case 65).

        Itself where it has no amount in it.
        """
        return (
            self._replace(currency=currency, value=self.options[currency])
            if currency in self.options
            else self
        )


def prices(frame: pd.DataFrame) -> tuple[dict[str, Price], dict[str, str]]:
    """stripe/prices by id, and what is wrong with those that cannot be read.

    One-time prices are left out: no subscription item has one.
    """
    found: dict[str, Price] = {}
    problems: dict[str, str] = {}
    for row in rows(frame):
        if row["type"] == "one_time":
            continue
        try:
            own = _price(
                row,
                row["currency"],
                row["unit_amount_decimal"],
                json.loads(row["tiers_json"] or "null"),
                row["tax_behavior"],
            )
        except ValueError as error:
            problems[row["id"]] = str(error)
            continue
        options: dict[str, Price] = {}
        for currency, amounts in json.loads(row["currency_options_json"] or "{}").items():
            # The price has no amount in this currency: whatever is charged in it cannot be read.
            with suppress(ValueError):
                options[currency] = _price(row, currency, amounts["unit"], amounts["tiers"], amounts["tax"])
        found[row["id"]] = own._replace(options=options) if options else own
    return found, problems


def price_of(name: str, text: str) -> Price:
    """A price from `Price.as_text`."""
    terms = json.loads(text)
    quantities = None if terms["quantities"] is None else frozenset(terms.pop("quantities"))
    return Price(name, **terms | {"scheme_json": canonical.dumps(terms["scheme"]), "quantities": quantities})


def in_currency(price_terms: Mapping[str, Price], currency: str) -> dict[str, Price]:
    """The same prices as a subscription of this currency pays them."""
    return {name: price.charged_in(currency) for name, price in price_terms.items()}


def coupons(frame: pd.DataFrame) -> dict[str, Coupon]:
    """stripe/coupons by id.

    One without a discount or with an unknown duration has type None: nobody can say what it takes off.
    """
    found = {}
    for row in rows(frame):
        percent = row["percent_off"]
        value = row["amount_off"] if percent is None else percent
        if (
            row["unreadable"] is not None
            or value is None
            or row["duration"] not in DURATIONS
            or not _takes_off(percent, row["currency"])
        ):
            found[row["id"]] = unreadable_coupon(row["id"])
            continue
        products = None if row["applies_to_json"] is None else frozenset(parse(row["applies_to_json"]))
        options = json.loads(row["currency_options_json"] or "{}") if percent is None else {}
        found[row["id"]] = Coupon(
            row["id"],
            "amount" if percent is None else "percent",
            canonical.decimal_text(Decimal(str(value))),
            row["duration"],
            row["currency"] if percent is None else None,
            products,
            {
                currency: canonical.decimal_text(Decimal(str(amount)))
                for currency, amount in options.items()
                if amount is not None
            },
            row["embedded"],
        )
    return found


def _takes_off(percent: str | None, currency: str | None) -> bool:
    """Whether a coupon's percentage is one, or its amount has a currency."""
    return currency is not None if percent is None else 0 <= Decimal(percent) <= 100


@lru_cache(maxsize=1 << 12)
def _taxed(scheme_json: str, tax: str | None) -> str:
    return canonical.dumps({**json.loads(scheme_json), "tax": tax})


def unreadable_coupon(name: str) -> Coupon:
    """A coupon nobody can say the terms of: what it is in force for is put in quarantine."""
    return Coupon(name, None, "0", "forever", None, None)


def _price(
    row: dict[str, Any],
    currency: str,
    unit: str | None,
    tiers: list[dict[str, Any]] | None,
    tax_behavior: str | None,
) -> Price:
    """A price in one of its currencies. ValueError says what is wrong with it."""
    if row["unreadable"] is not None:
        raise ValueError(f"a price that cannot be read ({row['unreadable']})")
    if row["type"] != "recurring" or row["usage_type"] not in (None, *USAGE_TYPES):
        raise ValueError("a price of an unknown type or usage type")
    if row["interval"] not in INTERVALS or row["billing_scheme"] not in ("per_unit", "tiered"):
        raise ValueError("a price with an unknown interval or billing scheme")
    if (tiers if row["billing_scheme"] == "tiered" else unit) is None:
        raise ValueError("a price without an amount")
    scheme = _scheme(row, unit, tiers or [])
    text = canonical.dumps(scheme)
    try:
        parse_scheme(text)
    except ValueError as error:
        raise ValueError(f"a price that cannot be read ({error})") from error
    usage_type, count = row["usage_type"] or "licensed", int(row["interval_count"] or 1)
    inclusive = tax_behavior == "inclusive"
    return Price(
        row["id"],
        row["product"],
        currency,
        usage_type,
        row["interval"],
        count,
        scheme,
        text,
        row["meter"],
        inclusive=inclusive,
    )


def _scheme(row: dict[str, Any], unit: str | None, tiers: list[dict[str, Any]]) -> dict[str, Any]:
    if row["billing_scheme"] == "tiered":
        steps = [
            {
                "up_to": None if tier["up_to"] is None else int(tier["up_to"]),
                "unit": _amount(tier.get("unit")),
                "flat": _amount(tier.get("flat")),
            }
            for tier in tiers
        ]
        scheme: dict[str, Any] = {"type": row["tiers_mode"], "tiers": steps}
    else:
        scheme = {"type": "per_unit", "unit": _amount(unit)}
    if row["divide_by"] is not None:
        scheme |= {"divide_by": int(row["divide_by"]), "round": row["round"] or "up"}
    return scheme


def _amount(text: str | None) -> str:
    return canonical.decimal_text(text or "0")
