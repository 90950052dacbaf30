"""The prices of one product as a ladder of plans.

A guess at their ranks, and the products of which nobody can say whether they have plans.

Here: which moves between prices neither the catalog nor what customers began on decides (semantics 3.1, D-7,
D-12), and the ranks a person may write. Not here: the inference (`plans.py`), which alone changes numbers,
and the text (`reports/catalog/plans.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import Plans, Slot
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.pricing.schemes import gross, parse_scheme, period_months
from expansion_platform.domain.pricing.terms import Price


@dataclass(frozen=True)
class Rung:
    """A price, its list amount, and a guess at its rank.

    The amount is for one unit and month in minor units of its own currency.

    The rank is None where the price is no longer sold, or where its list (currency and interval) has fewer
    plans than another: then the order of amounts does not say which plan it belongs to.
    """

    price: Price
    amount: Fraction
    rank: int | None
    sold: bool


@dataclass(frozen=True)
class Undecided:
    """A product whose customers moved between prices that may be plans or versions of one price.

    Pairs of ids, and how many customers moved.
    """

    product: str
    pairs: tuple[tuple[str, str], ...]
    customers: int

    @property
    def prices(self) -> frozenset[str]:
        """The prices moved between."""
        return frozenset(price for pair in self.pairs for price in pair)


def slot(price: Price, catalog: Catalog) -> Slot:
    """Where a price can be a plan beside others."""
    return Slot(
        price.product,
        catalog.entry(price.id, price.product, price.usage_type).unit,
        price.interval,
        price.interval_count,
    )


def ladder(prices: Iterable[Price], active: Collection[str], catalog: Catalog) -> list[Rung]:
    """Ranks the prices of a product by amount within each currency, unit and interval.

    In order of list and amount.

    Args:
        prices: of one product; those whose rank was said are left out.
        active: ids of prices that can still be bought.
        catalog: gives units and the ranks that were said.
    """
    lists: dict[tuple[Slot, str], list[tuple[Fraction, Price]]] = {}
    for price in sorted(prices, key=lambda price: price.id):
        if catalog.entry(price.id, price.product, price.usage_type).tier_rank is None:
            lists.setdefault((slot(price, catalog), price.currency), []).append(
                (_amount(price, catalog.policy), price)
            )
    steps = {
        key: sorted({amount for amount, price in offered if price.id in active})
        for key, offered in lists.items()
    }
    longest = max((len(amounts) for amounts in steps.values()), default=0)
    rungs = []
    for key, offered in sorted(lists.items()):
        amounts = steps[key] if len(steps[key]) == longest > 1 else []
        for amount, price in sorted(offered, key=lambda pair: (pair[0], pair[1].id)):
            sold = price.id in active
            rungs.append(Rung(price, amount, amounts.index(amount) + 1 if sold and amounts else None, sold))
    return rungs


def undecided(
    moves: pd.DataFrame,
    prices: Mapping[str, Price],
    catalog: Catalog,
    plans: Plans,
    repricings: Collection[tuple[str, str]],
) -> list[Undecided]:
    """Products with moves between prices that nobody has ranked.

    The prices were not sold side by side, and no declared or likely repricing explains the moves.

    Args:
        moves: who moved, where that was counted as `price`: customer, from_price, to_price, one row or more
            for each move.
        prices: every price by id.
        catalog: ranks, units and declared migrations.
        plans: inferred before the newest closing instant.
        repricings: pairs (old, new) of detected migrations (`mrr/migrations.py`).
    """
    found: dict[str, dict[tuple[str, str], set[str]]] = {}
    for customer, old, new in (
        moves[["customer", "from_price", "to_price"]].drop_duplicates().itertuples(index=False, name=None)
    ):
        a, b = prices.get(old), prices.get(new)
        if a is None or b is None or old == new or (old, new) in repricings or catalog.is_migration(old, new):
            continue
        silent = all(
            catalog.entry(price.id, price.product, price.usage_type).tier_rank is None for price in (a, b)
        )
        shared = {each.currency for each in a.in_all_currencies()} & {
            each.currency for each in b.in_all_currencies()
        }
        if silent and shared and slot(a, catalog) == slot(b, catalog) and plans.step(old, new) is None:
            found.setdefault(a.product, {}).setdefault((old, new), set()).add(customer)
    return [
        Undecided(product, tuple(sorted(pairs)), len(set().union(*pairs.values())))
        for product, pairs in sorted(found.items())
    ]


def _amount(price: Price, policy: Policy) -> Fraction:
    months = period_months(
        price.interval,
        price.interval_count,
        metered=price.usage_type == "metered",
        week=policy.week,
        day=policy.day,
    )
    return gross(parse_scheme(price.scheme_json), Fraction(1)) / months
