"""Why a continuing customer's MRR changed, cause by cause and to the cent (semantics 3).

Here: catalog entries, matching of items, and the Shapley value of each changed factor. Not here: pricing
(`reference_pricing.py`), flows and rows (`reference.py`). Written row by row from the text, sharing no code
with `expansion_platform.domain`'s own attribution.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.simulator.truth.reference_items import Item, billing_months, item_mrr, read_scheme
from expansion_platform.simulator.truth.reference_pricing import AboveLastTierError, Schedule, monthly

CAUSES = ("seat", "tier", "usage", "cross_sell", "addon", "price", "discount", "interval", "fx")


@dataclass(frozen=True)
class Entry:
    """What the catalog says of an item, completed by inference (semantics 3.1).

    `placed`: the catalog itself names the family.
    """

    family: str
    tier_rank: int | None
    kind: str
    unit: str
    group: str
    placed: bool


@dataclass(frozen=True)
class Reason:
    """A signed amount in reporting minor units, explained by one cause of one pair of items.

    An id is empty where one side has none.
    """

    group: str
    cause: str
    amount: int
    from_item: str
    to_item: str


@dataclass(frozen=True)
class Context:
    """All that attribution needs besides the items.

    The raw catalog, the full policy, both sides' rates in minor units, and inferred plans.
    """

    catalog: Mapping[str, Any]
    policy: Mapping[str, Any]
    opening_rates: Mapping[str, Fraction]
    closing_rates: Mapping[str, Fraction]
    plans: Mapping[frozenset[str], bool]
    """Pairs of prices inferred to be plans, and whether one is the higher plan."""

    def opening_mrr(self, item: Item) -> int:
        """MRR of an item of either side at the opening instant's rates."""
        return item_mrr(item, self.opening_rates, self.policy)


def entry_of(item: Item, catalog: Mapping[str, Any]) -> Entry:
    """Price over product, field by field, over inference."""
    products = catalog.get("products") or {}
    said = {**_said(products.get(item.product)), **_said(products.get(item.price))}
    metered = item.schedule.metered
    kind = said.get("kind", "usage" if metered else "base")
    family = said.get("family", item.product)
    meter = said.get("meter", item.product)
    unit = said.get("unit", "meter" if metered else "flat" if kind == "addon" else "seat")
    groups = {"base": family, "addon": item.product, "usage": meter}
    if kind not in groups:
        raise ConfigurationError(f"unknown kind {kind!r} of {item.price}: write base, addon or usage")
    return Entry(
        family=family,
        tier_rank=said.get("tier_rank"),
        kind=kind,
        unit=f"usage:{meter}" if unit == "meter" else unit,
        group=said.get("group", groups[kind]),
        placed="family" in said,
    )


def explain(opening: Sequence[Item], closing: Sequence[Item], context: Context) -> list[Reason]:
    """Every non-zero cause between a continuing customer's counting items.

    The amounts sum to its change of MRR exactly.
    """
    entry = {id(item): entry_of(item, context.catalog) for item in [*opening, *closing]}
    reasons: list[Reason] = []

    def add(before: Item | None, after: Item | None, amounts: Mapping[str, int]) -> None:
        group = entry[id(after if after is not None else before)].group
        reasons.extend(
            Reason(group, cause, amount, before.id if before else "", after.id if after else "")
            for cause, amount in amounts.items()
        )

    pairs, removed, added = match(opening, closing, lambda item: entry[id(item)], context.opening_mrr)
    for before, after in pairs:
        amounts = _explain_pair(before, after, entry[id(before)], entry[id(after)], context)
        amounts["fx"] = amounts.get("fx", 0) + _rate_part(after, context)
        add(before, after, amounts)
    for after in added:
        cause = _cause_of_unmatched(after, entry[id(after)], [entry[id(item)] for item in opening])
        add(None, after, {cause: context.opening_mrr(after), "fx": _rate_part(after, context)})
    for before in removed:
        cause = _cause_of_unmatched(before, entry[id(before)], [entry[id(item)] for item in closing])
        add(before, None, {cause: -context.opening_mrr(before)})
    return [reason for reason in reasons if reason.amount]


def match(
    opening: Sequence[Item],
    closing: Sequence[Item],
    entry: Callable[[Item], Entry],
    mrr: Callable[[Item], int],
) -> tuple[list[tuple[Item, Item]], list[Item], list[Item]]:
    """Pairs, then the unmatched of the opening and of the closing side (semantics 3.2)."""
    pairs: list[tuple[Item, Item]] = []
    left, right = list(opening), list(closing)

    def take(before: Item, after: Item) -> None:
        pairs.append((before, after))
        left.remove(before)
        right.remove(after)

    def swapped(before: Item, after: Item) -> bool:
        a, b = entry(before), entry(after)
        base = a.kind == "base" and b.kind == "base"
        return (
            before.id == after.id and before.product != after.product and base and not (a.placed and b.placed)
        )

    for before, after in itertools.product(opening, closing):
        if swapped(before, after):
            take(before, after)

    passes: list[Callable[[Item], str]] = [
        lambda item: item.id,
        lambda item: item.price,
        lambda item: item.product,
        lambda item: "",
    ]
    for key in passes:

        def cell(item: Item, key: Callable[[Item], str] = key) -> tuple[str, str]:
            return entry(item).group, key(item)

        for wanted in sorted({cell(item) for item in left}):
            befores = sorted(
                (item for item in left if cell(item) == wanted), key=lambda item: (-mrr(item), item.id)
            )
            afters = sorted(
                (item for item in right if cell(item) == wanted), key=lambda item: (-mrr(item), item.id)
            )
            for before, after in zip(befores, afters, strict=False):
                take(before, after)
    return pairs, left, right


def settle(shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Integers with the same (integer) sum: truncate toward zero, then whole cents to the largest leftovers.

    See semantics 3.4.
    """
    total = sum(shares.values(), Fraction(0))
    settled = {cause: int(share) for cause, share in shares.items()}
    missing = int(total) - sum(settled.values())
    step = 1 if missing > 0 else -1
    neediest = sorted(
        shares, key=lambda cause: (-step * (shares[cause] - settled[cause]), CAUSES.index(cause))
    )
    for cause in neediest[: abs(missing)]:
        settled[cause] += step
    return settled


def _said(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    return {field: value for field, value in (entry or {}).items() if value is not None}


def _rate_part(item: Item, context: Context) -> int:
    return item_mrr(item, context.closing_rates, context.policy) - context.opening_mrr(item)


def _cause_of_unmatched(item: Item, entry: Entry, other_end: Iterable[Entry]) -> str:
    others = list(other_end)
    if entry.kind == "addon":
        return "addon"
    if any(other.group == entry.group for other in others):
        return "usage" if item.schedule.metered else "seat"
    if entry.kind == "usage" and any(other.family == entry.family for other in others):
        return "usage"
    return "cross_sell"


def _explain_pair(before: Item, after: Item, a: Entry, b: Entry, context: Context) -> dict[str, int]:
    """Settled amounts by cause of one matched pair, at opening rates, without the rate part of fx."""
    migrated = any(
        {before.price, after.price} == set(pair) for pair in context.catalog.get("migrations") or ()
    )
    tier = _tier_changed(before, after, a, b, migrated, context.plans)
    licensed = not before.schedule.metered and not after.schedule.metered
    interval = licensed and not migrated and before.billing_months != after.billing_months
    currency = before.schedule.currency != after.schedule.currency
    volume = (
        "usage"
        if before.schedule.metered or after.schedule.metered
        else "addon"
        if _counts_add_ons(a) or _counts_add_ons(b)
        else "seat"
    )
    schedules: dict[frozenset[str], Schedule | None] = {
        frozenset(): before.schedule,
        frozenset({"P"}): after.schedule,
    }

    if a.unit != b.unit:
        # Units that cannot be compared (seats against a flat fee): the quantity moves together with the
        # price.
        players = {"P": "tier" if tier else "price"}
        return _attribute(before, after, players, schedules, context, quantity_player="P")

    players = {
        "Q": volume,
        "P": "tier" if tier else "fx" if currency else "interval" if interval else "price",
    }
    if tier and interval and not currency:
        split = {
            frozenset(): before.schedule,
            frozenset({"T"}): _list_price(after, before, context),
            frozenset({"I"}): _list_price(before, after, context),
            frozenset({"T", "I"}): after.schedule,
        }
        amounts = _attribute(before, after, {"Q": volume, "T": "tier", "I": "interval"}, split, context)
        if amounts:
            return amounts
    return _attribute(before, after, players, schedules, context)


def _tier_changed(
    before: Item, after: Item, a: Entry, b: Entry, migrated: bool, plans: Mapping[frozenset[str], bool]
) -> bool:
    if before.price == after.price or migrated:
        return False
    if a.tier_rank is not None and b.tier_rank is not None:
        return a.tier_rank != b.tier_rank
    return plans.get(frozenset((before.price, after.price)), before.product != after.product)


def _counts_add_ons(entry: Entry) -> bool:
    return entry.kind == "addon" and entry.unit != "seat"


def _list_price(plan: Item, at: Item, context: Context) -> Schedule | None:
    """The list price of a plan, taxed as it is, in the currency and billing interval of `at`.

    The smallest price id when there are several.
    """
    wanted = (plan.product, at.schedule.currency, at.interval, at.interval_count)
    found = [
        price
        for price in context.catalog.get("list_prices") or ()
        if (
            price["product"],
            price["currency"],
            price.get("interval", "month"),
            price.get("interval_count", 1),
        )
        == wanted
    ]
    if not found:
        return None
    price = min(found, key=lambda price: price["price"])
    months = billing_months(at.interval, at.interval_count, context.policy, price["price"])
    scheme = replace(read_scheme(price["scheme"], price["price"]), tax=plan.schedule.scheme.tax)
    return Schedule(scheme, months, at.schedule.currency, metered=False)


def _attribute(
    before: Item,
    after: Item,
    players: Mapping[str, str],
    schedules: Mapping[frozenset[str], Schedule | None],
    context: Context,
    quantity_player: str = "Q",
) -> dict[str, int]:
    """Shapley value of each player over all orders whose every hybrid is defined, settled to cents.

    Empty when no order is.

    `players` maps factor to cause, `schedules` maps the switched price factors to the price then in force
    (None: not known). A factor that did not change may be a player: it gets 0 and changes nothing for the
    others. The discount list is the exception. When it differs it is a factor, and its amounts keep the
    period and currency of the state they come from; when it is the same on both sides, it follows the price.
    """
    discounts_changed = before.discounts != after.discounts
    labels = {**players, "D": "discount"} if discounts_changed else dict(players)
    price_factors = set().union(*schedules)
    known: dict[frozenset[str], int | None] = {}

    def value(switched: frozenset[str]) -> int | None:
        if switched not in known:
            known[switched] = hybrid(switched)
        return known[switched]

    def hybrid(switched: frozenset[str]) -> int | None:
        schedule = schedules[switched & price_factors]
        if schedule is None:
            return None
        quantity = after.quantity if quantity_player in switched else before.quantity
        discounted = after if "D" in switched else before
        own = discounted.schedule if discounts_changed else schedule
        try:
            return round(
                monthly(
                    schedule,
                    quantity,
                    discounted.discounts,
                    context.opening_rates,
                    context.policy,
                    discounts_of=own,
                )
            )
        except AboveLastTierError:
            return None

    gains = {player: Fraction(0) for player in labels}
    orders = 0
    for order in itertools.permutations(labels):
        corners = [
            corner
            for switched in range(len(order) + 1)
            if (corner := value(frozenset(order[:switched]))) is not None
        ]
        if len(corners) <= len(order):
            continue  # a hybrid on the way has no price
        orders += 1
        for player, low, high in zip(order, corners, corners[1:], strict=False):
            gains[player] += high - low
    if not orders:
        return {}
    return settle({labels[player]: gain / orders for player, gain in gains.items()})
