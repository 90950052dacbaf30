"""What Stripe charges, in whole minor units.

Discounts on an invoice's lines, pro-rata amounts, and the split of an `amount_off`.

Here: arithmetic on exact rationals, rounded half to even once. Not here: when anything is charged
(`billing.py`). Written apart from `domain/pricing/discounts.py` and `domain/pricing/schemes.py` on purpose:
the two check each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from expansion_platform.simulator.company.catalog import Coupon, Price


@dataclass
class Discount:
    """One redemption of a coupon.

    On a customer (`subscription` None), on a subscription or on one of its items.

    `end` is what Stripe records (repeating coupons only); `removed_at` is when somebody took it off.
    `windows` are a `once` coupon's uses: (item, start, end) of each regular line it reduced, after which
    Stripe no longer lists it. `billed` once a bill listed it.
    """

    id: str
    coupon: Coupon
    subscription: str | None
    item: str | None
    start: int
    end: int | None
    removed_at: int | None = None
    windows: list[tuple[str, int, int]] = field(default_factory=list)
    billed: bool = False

    def listed(self, at: int) -> bool:
        """Whether Stripe lists it on its subscription or item at `at`."""
        until = [instant for instant in (self.end, self.removed_at) if instant is not None]
        return self.start <= at and all(at < instant for instant in until) and not self.windows


@dataclass(frozen=True)
class Charge:
    """An invoice line, or a pending invoice item (`invoice` empty), that charged an item from `start` on.

    `amount` is net of discounts.
    """

    invoice: str
    line: str
    price: Price
    quantity: int
    amount: int
    start: int


@dataclass
class Item:
    """A subscription item as it is now. `charges` are what charged it for the rest of the running period.

    `trial` is (trial offer, start, end) of a trial of its own.
    """

    id: str
    price: Price
    quantity: int
    created: int
    discounts: list[Discount] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    trial: tuple[str, int, int] | None = None


def half_even(value: Fraction) -> int:
    """The nearest whole minor unit, ties to even."""
    return round(value)


def allocate(total: int, weights: dict[str, Fraction]) -> dict[str, int]:
    """Split `total` pro rata to `weights` in whole units by largest remainder; ties go to the smallest key.

    Sums to `total` exactly.
    """
    whole = sum(weights.values())
    shares = {key: Fraction(total) * weight / whole for key, weight in weights.items()}
    parts = {key: int(share) for key, share in shares.items()}
    by_remainder = sorted(weights, key=lambda key: (parts[key] - shares[key], key))
    for key in by_remainder[: total - sum(parts.values())]:
        parts[key] += 1
    return parts


def reduced(amount: Fraction, coupons: Sequence[Coupon]) -> Fraction:
    """`amount` after item-level discounts in their order, not rounded."""
    for coupon in coupons:
        amount = (
            amount * (1 - Fraction(coupon.percent) / 100)
            if coupon.percent is not None
            else max(Fraction(0), amount - (coupon.amount or 0))
        )
    return amount


def bears(items: Sequence[tuple[Price, int]], coupons: Sequence[Coupon], times: int) -> bool:
    """Whether what each amount off reduces is at least `times` the amount.

    A bill never falls to nothing by one.
    """
    for coupon in coupons:
        covered = sum(price.gross(quantity) for price, quantity in items if coupon.covers(price))
        if coupon.amount is not None and covered < times * coupon.amount:
            return False
    return True


def by_tier(price: Price, quantity: int) -> list[tuple[int, int]]:
    """A graduated price's lines as (units, amount).

    One for each tier reached, and one for its flat fee, which has no units.
    """
    parts, below = [], 0
    for tier in price.scheme["tiers"]:
        units = (quantity if tier["up_to"] is None else min(quantity, tier["up_to"])) - below
        parts.append((units, half_even(Fraction(tier["unit"]) * units)))
        parts += [(0, half_even(Fraction(tier["flat"])))] if tier["flat"] != "0" else []
        if tier["up_to"] is None or quantity <= tier["up_to"]:
            break
        below = tier["up_to"]
    return parts


def line_discounts(
    items: Sequence[Item], at: int, subscription_level: Sequence[Discount]
) -> dict[str, list[tuple[str, int]]]:
    """What each discount takes off each item's regular line.

    Item -> [(discount, amount)], item-level first, each on the remainder.
    """
    left = {item.id: half_even(item.price.gross(item.quantity)) for item in items}
    taken: dict[str, list[tuple[str, int]]] = {item.id: [] for item in items}
    for item in items:
        for discount in item.discounts:
            if discount.listed(at):
                _take(left, taken, item.id, discount, _off(discount.coupon, left[item.id]))
    for discount in subscription_level:
        eligible = [item for item in items if discount.coupon.covers(item.price) and left[item.id] > 0]
        if not discount.listed(at) or not eligible:
            continue
        if discount.coupon.amount is None:
            offs = {item.id: _off(discount.coupon, left[item.id]) for item in eligible}
        else:
            total = min(discount.coupon.amount, sum(left[item.id] for item in eligible))
            offs = allocate(total, {item.id: Fraction(left[item.id]) for item in eligible})
        for item in eligible:
            _take(left, taken, item.id, discount, offs[item.id])
    return taken


def prorated(item: Item, at: int, period: tuple[int, int], subscription_level: Sequence[Discount]) -> int:
    """The share of one period's price that falls on [at, end), at least 0.

    Net of percentages in force, as classic billing prorates.
    """
    amount = item.price.gross(item.quantity)
    for discount in [
        *item.discounts,
        *(each for each in subscription_level if each.coupon.covers(item.price)),
    ]:
        if discount.coupon.percent is not None and discount.listed(at):
            amount *= 1 - Fraction(discount.coupon.percent) / 100
    start, end = period
    return half_even(amount * Fraction(end - at, end - start))


def _off(coupon: Coupon, left: int) -> int:
    return (
        half_even(Fraction(left) * Fraction(coupon.percent) / 100)
        if coupon.percent is not None
        else min(coupon.amount or 0, left)
    )


def _take(
    left: dict[str, int], taken: dict[str, list[tuple[str, int]]], item: str, discount: Discount, off: int
) -> None:
    left[item] -= off
    taken[item].append((discount.id, off))
