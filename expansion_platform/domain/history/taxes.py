"""Tax inside prices: at which rate each item's price holds it, and since when (semantics 7, case 60).

Here: the rate of a line from what Stripe says was in it, and an item's timeline of rates. Not here: what is
left of an amount without it (`pricing/schemes.py`), and which prices have tax inside (`pricing/terms.py`).

A line says what tax of each tax rate is in its amount after discounts, in whole minor units, so its rate is
rounded. The percentage is the tax rate's own where that is known and agrees with the amount; else it is the
plainest one that every rounding allows, narrowed by all lines of that tax rate. A line without tax on a bill
that has some elsewhere has none inside. A bill's rate holds for its period and until another bill shows
another; the first one also for the time before it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.rows import rows
from expansion_platform.domain.history.records import Line, Subscription
from expansion_platform.domain.history.timelines import Mark
from expansion_platform.domain.history.unreadable import readable
from expansion_platform.domain.pricing.terms import Price

NO_TAX = "0"
NONE = "[]"
INSIDE, ON_TOP = "inclusive", "exclusive"
MOST_DECIMALS = 4
"""Of a percentage, in Stripe."""
TOO_SMALL = 50
"""Minor units, for each tax: of less, 1 % rounds to nothing. 6 cents with 8.1 % inside read as untaxed, and
with 5 and 9.975 % as without the 5 %.
"""


class _Tax(NamedTuple):
    """The taxes inside one line.

    Their amount, how many there are, the ids of those that are not nothing, and the line's amount with them.
    """

    amount: int
    parts: int
    rates: tuple[str, ...]
    base: int


class _TaxesInside(NamedTuple):
    """What the taxes inside a line say of themselves; `nothing` where one of them is."""

    amount: int
    parts: int
    rates: tuple[str, ...]
    nothing: bool


class TaxRates:
    """Percentages by id of tax rates."""

    def __init__(self, known: Mapping[str, Fraction]) -> None:
        self._known = known
        self._together: dict[tuple[str, ...], Fraction | None] = {}

    def together(self, rates: tuple[str, ...]) -> Fraction | None:
        """The percentage of several tax rates, None where one of them is not known."""
        if rates not in self._together:
            known = all(name in self._known for name in rates)
            self._together[rates] = sum((self._known[name] for name in rates), Fraction(0)) if known else None
        return self._together[rates]


def percentages(frame: pd.DataFrame) -> TaxRates:
    """stripe/tax_rates, those that can be read."""
    return TaxRates(
        {
            row["id"]: Fraction(row["percentage"])
            for row in rows(readable(frame))
            if row["percentage"] is not None
        }
    )


def tax_marks(
    subscription: Subscription, known: TaxRates, prices: Mapping[str, Price]
) -> dict[str, list[Mark[str]]]:
    """The percentage of tax inside each item's price as marks.

    The first of them is from when its first line begins; no marks where nothing shows it.

    An item that was never billed is taxed by the tax rates set on it, else as the subscription's others are;
    one that was billed, and never taxed, is not, unless its price is said to have tax inside. Nothing at all
    where no line has tax inside and no price is said to have any.

    Args:
        subscription: With its lines as they were billed.
        known: Percentages of the tax rates that could be read.
        prices: By id, in the subscription's currency.
    """
    named = {line.state.price for line in subscription.lines} | {
        item.state.price for item in subscription.items
    }
    inclusive = any(name in prices and prices[name].inclusive for name in named)
    declared = {item.id: item.tax_inside for item in subscription.items if item.tax_inside is not None}
    if (
        not inclusive
        and not any(declared.values())
        and not any(INSIDE in line.taxes for line in subscription.lines if line.taxes is not None)
    ):
        return {}
    on_bills = {line.invoice for line in subscription.lines if line.taxes is not None}
    taxed = [
        (line, tax)
        for line in subscription.lines
        if line.invoice in on_bills and (tax := _inside(line)) is not None
    ]
    if not inclusive and not any(tax.parts for _, tax in taxed) and not any(declared.values()):
        return {}
    percent = _percentages([tax for _, tax in taxed], known)
    taxed.sort(key=lambda each: (each[0].start, each[0].created, each[0].id))
    of_items: dict[str, list[tuple[Line, str]]] = defaultdict(list)
    for line, tax in taxed:
        of_items[line.item].append((line, percent[tax]))
    of_others = [(line, percent[tax]) for line, tax in taxed]
    # Nothing was computed for their bills, and nothing says that their prices have tax inside: what others
    # are taxed does not matter.
    untaxed = {
        line.item
        for line in subscription.lines
        if line.invoice not in on_bills and line.invoice is not None and not _said_inside(line, prices)
    }
    found = {}
    for item in {line.item for line in subscription.lines} | {item.id for item in subscription.items}:
        if item not in of_items and item in declared:
            evidence = [(subscription.id, subscription.start_date, subscription.start_date + 1)]
            found[item] = [
                Mark(subscription.start_date, declared[item] or NO_TAX, "snapshot", "exact", evidence)
            ]
        elif own := of_items.get(item) or ([] if item in untaxed else of_others):
            found[item] = _changes(own)
    return found


def _said_inside(line: Line, prices: Mapping[str, Price]) -> bool:
    """Whether a line's price is said to have tax inside, or is not known."""
    price = prices.get(line.state.price)
    return price is None or price.inclusive


def _inside(line: Line) -> _Tax | None:
    """The taxes inside a line that charges something.

    None where they are unknown, too small to show, or not said to be inside or on top.
    """
    base = line.amount - sum(line.taken.values())
    if line.credits or base <= 0:
        return None
    inside = _taxes_inside(line.taxes or NONE)
    if inside is None or (inside.nothing and base <= TOO_SMALL * inside.parts):
        return None
    return _Tax(inside.amount, inside.parts, inside.rates, base)


@lru_cache(maxsize=1 << 16)
def _taxes_inside(text: str) -> _TaxesInside | None:
    """The taxes of a line that are inside its amount.

    None where one of all is not said to be inside or on top.
    """
    taxes = json.loads(text)
    if not all(tax["behavior"] in (INSIDE, ON_TOP) for tax in taxes):
        return None
    inside = [tax for tax in taxes if tax["behavior"] == INSIDE]
    amounts = {str(tax["rate"]): int(tax["amount"]) for tax in inside}
    rates = tuple(sorted(name for name, amount in amounts.items() if amount))
    return _TaxesInside(
        sum(int(tax["amount"]) for tax in inside), len(inside), rates, not all(amounts.values())
    )


def _percentages(taxes: list[_Tax], known: TaxRates) -> dict[_Tax, str]:
    """The percentage of each tax, of equal ones once: an unchanged plan is taxed the same bill after bill."""
    different = dict.fromkeys(taxes)
    found = {tax: _own_percent(tax, known) for tax in different}
    if None in found.values():
        narrowed = _narrowed(different)
        found |= {
            tax: _narrowed_percent(tax, narrowed[tax.rates])
            for tax, percent in found.items()
            if percent is None
        }
    return {tax: str(percent) for tax, percent in found.items()}


def _own_percent(tax: _Tax, known: TaxRates) -> str | None:
    """The percentage of the tax rates themselves.

    None where one of them is not known or the amount says otherwise.
    """
    if tax.amount <= 0:
        return NO_TAX
    percent = known.together(tax.rates)
    if percent is None:
        return None
    above, below = percent.numerator, 100 * percent.denominator + percent.numerator
    # Stripe rounds each tax, of a line or of the whole bill.
    return _text(percent) if abs(tax.base * above - tax.amount * below) <= tax.parts * below else None


def _narrowed_percent(tax: _Tax, tightest: tuple[Fraction, Fraction]) -> str:
    """The plainest percentage that all lines of the same tax rates allow, else that this one does."""
    low, high = _bounds(tax)
    if max(low, tightest[0]) <= min(high, tightest[1]):
        low, high = tightest
    return _text(_plainest(low, high))


@lru_cache(maxsize=1 << 12)
def _bounds(tax: _Tax) -> tuple[Fraction, Fraction]:
    """The lowest and highest percentage of which rounding makes this tax."""
    off = Fraction(tax.parts, 2)
    low, high = max(tax.amount - off, Fraction(0)), min(tax.amount + off, Fraction(tax.base) - Fraction(1, 2))
    return 100 * low / (tax.base - low), 100 * high / (tax.base - high)


def _narrowed(taxes: Iterable[_Tax]) -> dict[tuple[str, ...], tuple[Fraction, Fraction]]:
    """What all lines of the same tax rates allow together.

    Where they contradict each other, what the largest allows.
    """
    found: dict[tuple[str, ...], tuple[Fraction, Fraction]] = {}
    for tax in sorted((tax for tax in taxes if tax.amount > 0), key=lambda tax: -tax.base):
        low, high = _bounds(tax)
        before = found.get(tax.rates, (low, high))
        both = max(low, before[0]), min(high, before[1])
        found[tax.rates] = both if both[0] <= both[1] else before
    return found


def _plainest(low: Fraction, high: Fraction) -> Fraction:
    """The percentage of the fewest decimals within bounds, the one nearest to their middle."""
    middle = (low + high) / 2
    for decimals in range(MOST_DECIMALS + 1):
        nearest = Fraction(round(middle * 10**decimals), 10**decimals)
        if low <= nearest <= high:
            return nearest
    return nearest


@lru_cache(maxsize=1 << 12)
def _text(percent: Fraction) -> str:
    """Decimal text; a percentage has at most a few decimals."""
    scaled = round(percent * 10**MOST_DECIMALS)
    return canonical.decimal_text(
        f"{scaled // 10**MOST_DECIMALS}.{scaled % 10**MOST_DECIMALS:0{MOST_DECIMALS}d}"
    )


def _changes(percentages: list[tuple[Line, str]]) -> list[Mark[str]]:
    """Marks of the lines that change the percentage; of several at one instant the last counts."""
    found: list[Mark[str]] = []
    for line, percent in {line.start: (line, percent) for line, percent in percentages}.values():
        if not found or found[-1].value != percent:
            found.append(
                Mark(line.start, percent, "invoice_line", "exact", [(line.id, line.start, line.end)])
            )
    return found
