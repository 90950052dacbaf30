"""A first guess at the catalog of an account, each part with its reason, for a person to confirm.

See semantics 3.1.

Here: families, ranks, kinds and units guessed from names, prices and what customers hold. Not here: the file
they are written into (`reports/catalog/file.py`). A guess changes no number: the pipeline infers only what
semantics 3.1 lets it, until a person writes an entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, CatalogEntry
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import exponent
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.pricing.schemes import gross, parse_scheme, period_months
from expansion_platform.domain.pricing.terms import Price

TIER_WORDS = (
    *("free", "hobby", "personal", "starter", "lite", "light", "basic"),
    *("essential", "essentials", "standard", "core", "plus", "team", "teams"),
    *("growth", "pro", "professional", "business", "premium"),
    *("advanced", "scale", "ultimate", "unlimited", "enterprise"),
)
"""Words that name a level of a plan, lowest first; the order only decides where prices cannot."""
ADDON_NAME = re.compile(
    r"\b(add[- ]?ons?|extra|additional|pack|booster|sso|single sign[- ]on|support|backup|onboarding)\b",
    re.IGNORECASE,
)
_FILLER = re.compile(r"plan|plans|monthly|annual|annually|yearly|legacy|new|old|v\d+|\d{4}")
# Plans are compared at ten units, past the free units and minimums that make one unit misleading.
COMPARED_UNITS = 10
FEWEST_HOLDERS = 5


@dataclass(frozen=True)
class Guess:
    """One field of a catalog entry and why."""

    field: str
    value: str
    reason: str


@dataclass(frozen=True)
class Offer:
    """A product with its recurring prices, each once in each of its currencies.

    `hint` is what Stripe's metadata says of it, by field.
    """

    id: str
    name: str
    hint: Mapping[str, Any]
    prices: tuple[Price, ...]


def offers(
    products: pd.DataFrame, prices: Mapping[str, Price], active: frozenset[str], catalog: Catalog
) -> list[Offer]:
    """Products with a recurring price, by name: their active prices, or all where none is active.

    Args:
        products: stripe/products.
        prices: by id, as `history_terms.prices` reads them.
        active: ids of prices that can still be bought.
        catalog: whose metadata hints are asked.
    """
    found = []
    for row in products.sort_values(["name", "id"]).itertuples():
        every = sorted(
            (price for price in prices.values() if price.product == row.id), key=lambda price: price.id
        )
        if every:
            sold = tuple(price for price in every if price.id in active) or tuple(every)
            hint = catalog.hint(str(row.id))
            charged = tuple(each for price in sold for each in price.in_all_currencies())
            found.append(
                Offer(
                    str(row.id),
                    str(row.name),
                    {} if hint is None else hint.model_dump(exclude_none=True),
                    charged,
                )
            )
    return found


def guesses(offered: Sequence[Offer], item_states: pd.DataFrame, currency: str) -> dict[str, list[Guess]]:
    """Product id -> family, tier_rank, kind, unit and meter as far as anything speaks for them.

    Args:
        offered: the account's products.
        item_states: item states of one instant (customer, product, quantity). They show what is sold once a
            customer.
        currency: whose prices are compared where there is a choice.
    """
    kinds = {offer.id: _kind(offer) for offer in offered}
    base = [offer for offer in offered if kinds[offer.id].value == "base"]
    families = _families(base, currency)
    found: dict[str, list[Guess]] = {}
    for offer in offered:
        derived = [
            *families.get(offer.id, []),
            kinds[offer.id],
            _unit(offer, kinds[offer.id].value, item_states),
        ]
        said = [
            Guess(name, str(value), "as Stripe's metadata says, which is followed already")
            for name, value in offer.hint.items()
        ]
        found[offer.id] = [*said, *(guess for guess in derived if guess.field not in offer.hint)]
        found[offer.id].sort(key=lambda guess: list(CatalogEntry.model_fields).index(guess.field))
    return found


def monthly_price(price: Price) -> Fraction | None:
    """Price of ten units a month, minor units of its currency; None where that many cannot be bought."""
    policy = Policy()
    months = period_months(
        price.interval,
        price.interval_count,
        metered=price.usage_type == "metered",
        week=policy.week,
        day=policy.day,
    )
    try:
        return gross(parse_scheme(price.scheme_json), Fraction(COMPARED_UNITS)) / months
    except (ValueError, DataQualityError):
        return None


def comparable(offered: Sequence[Offer], currency: str) -> tuple[str, dict[str, Fraction]] | None:
    """Each product's lowest price of ten units a month, and its currency.

    In the price list that has all these products, None without one.

    Monthly lists come first, since yearly ones hide each plan's own rebate; then those in `currency`.
    """
    lists: dict[tuple[bool, bool, str, str, int], dict[str, Fraction]] = {}
    for offer in offered:
        for price in offer.prices:
            amount = monthly_price(price)
            if amount is not None:
                slot = (
                    price.interval != "month",
                    price.currency != currency,
                    price.currency,
                    price.interval,
                    price.interval_count,
                )
                amounts = lists.setdefault(slot, {})
                amounts[offer.id] = min(amount, amounts.get(offer.id, amount))
    whole = [slot for slot, amounts in lists.items() if len(amounts) == len(offered)]
    return (min(whole)[2], lists[min(whole)]) if whole else None


def _kind(offer: Offer) -> Guess:
    if "kind" in offer.hint:
        return Guess("kind", offer.hint["kind"], "")
    if all(price.usage_type == "metered" for price in offer.prices):
        return Guess("kind", "usage", "its prices are metered")
    if said := ADDON_NAME.search(offer.name):
        return Guess("kind", "addon", f"its name has `{said[0].lower()}` in it")
    return Guess("kind", "base", "licensed, and its name is not an add-on's")


def _unit(offer: Offer, kind: str, item_states: pd.DataFrame) -> Guess:
    if kind == "usage":
        return Guess("unit", "meter", "its prices are metered")
    holders = item_states[item_states["product"] == offer.id]
    customers = holders["customer"].nunique()
    if customers >= FEWEST_HOLDERS and (holders["quantity"] == "1").all():
        return Guess("unit", "flat", f"all {customers} customers hold exactly 1")
    return Guess(
        "unit",
        "flat" if kind == "addon" else "seat",
        "the usual unit of an add-on" if kind == "addon" else "quantities are counted",
    )


def _families(base: Sequence[Offer], currency: str) -> dict[str, list[Guess]]:
    stems: dict[str, list[Offer]] = {}
    for offer in base:
        stems.setdefault(_stem(offer.name), []).append(offer)
    found: dict[str, list[Guess]] = {}
    for stem, members in stems.items():
        if len(members) > 1:
            said = [str(offer.hint["family"]) for offer in members if "family" in offer.hint]
            family = said[0] if said else stem.replace(" ", "_") or "plans"
            ranks = _ranks(members, currency)
            for offer in members:
                others = ", ".join(sorted(other.name for other in members if other is not offer))
                found[offer.id] = [Guess("family", family, f"named like {others}"), *ranks.get(offer.id, [])]
    return found


def _ranks(members: Sequence[Offer], currency: str) -> dict[str, list[Guess]]:
    """Ranks of a family's products by price, else by the level their names say, else none."""
    if (listed := comparable(members, currency)) is not None:
        charged, amounts = listed
        ladder = sorted(set(amounts.values()))
        return {
            offer.id: [
                Guess(
                    "tier_rank",
                    str(ladder.index(amounts[offer.id]) + 1),
                    f"{_place(ladder.index(amounts[offer.id]) + 1, len(ladder))} by price: "
                    f"{_money(amounts[offer.id], charged)} a month for {COMPARED_UNITS} units",
                )
            ]
            for offer in members
        }
    levels = {offer.id: _level(offer.name) for offer in members}
    ordered = sorted({level for level in levels.values() if level is not None})
    if len(ordered) < len(members):
        return {}
    return {
        offer.id: [
            Guess(
                "tier_rank",
                str(ordered.index(level) + 1),
                f"`{TIER_WORDS[level]}` in its name; no price list has all of the family",
            )
        ]
        for offer in members
        if (level := levels[offer.id]) is not None
    }


def _words(name: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", name.lower()) if not _FILLER.fullmatch(word)]


def _stem(name: str) -> str:
    """What is left of a name without its level: `Workspace Pro (annual)` -> `workspace`."""
    return " ".join(word for word in _words(name) if word not in TIER_WORDS)


def _level(name: str) -> int | None:
    return next((TIER_WORDS.index(word) for word in _words(name) if word in TIER_WORDS), None)


def _place(rank: int, size: int) -> str:
    return "lowest" if rank == 1 else "highest" if rank == size else f"{rank} of {size}"


def _money(minor: Fraction, currency: str) -> str:
    places = exponent(currency)
    digits = f"{round(minor):0{places + 1}d}"
    return (
        f"{digits[:-places]}.{digits[-places:]} {currency.upper()}"
        if places
        else f"{digits} {currency.upper()}"
    )
