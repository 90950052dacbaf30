"""What is said of plans that are prices of one product, and that the lines printed are a catalog that settles
it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import yaml

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.ladders import ladder, undecided
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.catalog.suggestions import Offer
from expansion_platform.domain.pricing.terms import Price
from expansion_platform.reports.catalog.account import Account
from expansion_platform.reports.catalog.check import Finding, examine
from expansion_platform.reports.catalog.file import first_catalog
from expansion_platform.reports.catalog.plans import undecided_products

SILENT = Catalog()


def price(name: str, unit: str, currency: str = "usd", interval: str = "month") -> Price:
    scheme = {"type": "per_unit", "unit": unit}
    return Price(
        name, "prod_1", currency, "licensed", interval, 1, scheme, f'{{"type":"per_unit","unit":"{unit}"}}'
    )


BASIC, PRO, TEAM, OLD = (
    price("p_basic", "1200"),
    price("p_pro", "3000"),
    price("p_team", "7000"),
    price("p_old", "1000"),
)
YEARLY = [price("y_basic", "12000", interval="year"), price("y_pro", "30000", interval="year")]
EVERY = [BASIC, PRO, TEAM, OLD, *YEARLY]


def account(
    plans: Plans = NO_PLANS,
    moves: Any = (),
    repricings: Any = (),
    catalog: Catalog = SILENT,
    prices: list[Price] = EVERY,
) -> Account:
    """One product with these prices, of which the old one is no longer sold; Basic has 600 of MRR, Pro 300,
    another product 100.
    """
    known = {each.id: each for each in prices}
    moved = pd.DataFrame(list(moves), columns=["customer", "from_price", "to_price"])
    held = [("prod_1", "p_basic", 600), ("prod_1", "p_pro", 300), ("prod_2", "other", 100)]
    return Account(
        offers=[Offer("prod_1", "The\nProduct", {}, tuple(prices))],
        prices=known,
        active=frozenset(known) - {OLD.id},
        products=frozenset({"prod_1"}),
        customers=frozenset(),
        month="2026-10",
        subscribed_items=pd.DataFrame(held, columns=["product", "price", "mrr_minor"]).assign(
            customer="c", quantity="2"
        ),
        migrations=pd.DataFrame(columns=["month", "old_price", "new_price"]),
        plans=plans,
        undecided=undecided(moved, known, catalog, plans, set(repricings)),
    )


UPGRADES = [("c1", "p_basic", "p_pro"), ("c2", "p_basic", "p_pro"), ("c2", "p_pro", "p_basic")]


def test_a_ladder_ranks_what_is_sold_in_the_longest_lists() -> None:
    rungs = {
        rung.price.id: rung.rank for rung in ladder(EVERY, {each.id for each in EVERY} - {OLD.id}, SILENT)
    }
    assert rungs == {"p_basic": 1, "p_pro": 2, "p_team": 3, "p_old": None, "y_basic": None, "y_pro": None}
    rungs = {
        rung.price.id: rung.rank
        for rung in ladder([BASIC, PRO, *YEARLY], {"p_basic", "p_pro", "y_basic", "y_pro"}, SILENT)
    }
    assert rungs == {"p_basic": 1, "p_pro": 2, "y_basic": 1, "y_pro": 2}
    assert [rung.rank for rung in ladder([BASIC, YEARLY[0]], {"p_basic", "y_basic"}, SILENT)] == [None, None]


@pytest.mark.parametrize(
    ("changed", "is_undecided"),
    [
        ({}, True),
        ({"plans": Plans({("p_basic", "p_pro"): 1})}, False),
        ({"catalog": {"migrations": [["p_pro", "p_basic"]]}}, False),
        ({"catalog": {"products": {"prod_1": {"tier_rank": 1}}}}, False),
        ({"catalog": {"products": {"prod_1": {"family": "main"}}}}, True),
        ({"repricings": [("p_basic", "p_pro"), ("p_pro", "p_basic")]}, False),
        ({"moves": [("c1", "p_basic", "y_pro")]}, False),  # another interval
        ({"moves": [("c1", "p_basic", "gone")]}, False),
    ],
    ids=str,
)
def test_what_is_undecided(changed: dict[str, Any], is_undecided: bool) -> None:
    catalog = Catalog.from_dict(changed.get("catalog", {}))
    found = account(**{"moves": UPGRADES, **changed, "catalog": catalog}).undecided
    assert [(one.product, one.customers) for one in found] == ([("prod_1", 2)] if is_undecided else [])


def test_prices_of_other_currencies_are_not_compared() -> None:
    euro = price("p_euro", "900", "eur")
    assert account(moves=[("c1", "p_basic", "p_euro")], prices=[BASIC, euro]).undecided == []
    both = euro._replace(options={"usd": price("p_euro", "1000")})
    assert len(account(moves=[("c1", "p_basic", "p_euro")], prices=[BASIC, both]).undecided) == 1


def test_an_undecided_product_is_named_with_its_mrr_and_lines_that_settle_it() -> None:
    held = account(moves=UPGRADES)
    (text,) = undecided_products(held, SILENT, "usd")
    assert text.startswith(
        "The Product (prod_1, MRR 9.00 USD, 90.00 % of all, in 2026-10): 2 customers moved between "
        "prices of it within 12 months."
    )
    written = text[text.index("  products:") :].split("\nIf one price")
    ranks = yaml.safe_load(written[0])
    settled = Catalog.from_dict(ranks)
    assert {name: entry.tier_rank for name, entry in settled.products.items()} == {
        "p_basic": 1,
        "p_pro": 2,
        "p_team": 3,
    }
    assert (
        "# y_basic: {tier_rank: ?}  # 10.00 USD a month for one unit; its list has fewer plans than another"
        in text
    )
    assert account(moves=UPGRADES, catalog=settled).undecided == []
    repriced = Catalog.from_dict(yaml.safe_load(text[text.index("  migrations:") :]))
    assert repriced.migrations == (("p_basic", "p_pro"), ("p_pro", "p_basic"))
    assert account(moves=UPGRADES, catalog=repriced).undecided == []
    assert [each for each in examine(SILENT, held) if each.subject == "plans"] == [
        Finding("look", "plans", text)
    ]


def test_a_price_that_replaced_another_is_offered_as_a_migration_alone() -> None:
    held = account(moves=[("c1", "p_old", "p_basic")], prices=[OLD, BASIC])
    (text,) = undecided_products(held, SILENT, "usd")
    assert "Only one price is still sold in each list" in text
    assert "tier_rank" not in text
    assert Catalog.from_dict(yaml.safe_load(text[text.index("  migrations:") :])).migrations == (
        ("p_old", "p_basic"),
    )
    assert "\n  p_old" not in first_catalog(held, SILENT, "usd")


def test_inferred_plans_are_named_with_their_share_of_mrr() -> None:
    plans = Plans({("p_basic", "p_pro"): 1})
    (said,) = [each for each in examine(SILENT, account(plans)) if each.subject == "plans"]
    assert said.level == "look"
    assert "2 prices of The Product (prod_1); 90.00 % of the MRR of 2026-10 is on them" in said.text
    (none,) = [each for each in examine(SILENT, account()) if each.subject == "plans"]
    assert none.level == "ok"


@pytest.mark.parametrize(
    "held", [account(Plans({("p_basic", "p_pro"): 1})), account(moves=UPGRADES)], ids=["plans", "undecided"]
)
def test_the_first_catalog_has_ranks_as_comments(held: Account) -> None:
    text = first_catalog(held, SILENT, "usd")
    assert Catalog.from_dict(yaml.safe_load(text)).catalog_hash == SILENT.catalog_hash
    uncommented = re.sub(r"^(\s+)# (?=tier_rank: )", r"\1", text, flags=re.MULTILINE)
    ranks = {
        name: entry.tier_rank
        for name, entry in Catalog.from_dict(yaml.safe_load(uncommented)).products.items()
    }
    assert ranks == {"p_basic": 1, "p_pro": 2, "p_team": 3}
    assert "{price: " not in text  # no price of it is the product's list price
    assert "# p_old: 10.00 USD a month for one unit; no longer sold" not in text  # nobody holds it
    holder = held.subscribed_items.iloc[:1].assign(price="p_old")
    older = first_catalog(
        replace(held, subscribed_items=pd.concat([held.subscribed_items, holder], ignore_index=True)),
        SILENT,
        "usd",
    )
    assert (
        "  # p_old: 10.00 USD a month for one unit; no longer sold: give it the rank of the plan it was "
        "a price of" in older
    )


def test_the_first_catalog_is_as_before_without_them() -> None:
    text = first_catalog(account(), SILENT, "usd")
    assert "p_basic:" not in text
    assert "# - {price: p_basic, product: prod_1" in text
