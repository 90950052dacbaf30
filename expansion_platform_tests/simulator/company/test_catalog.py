"""Companies whose plans are prices of one product, or were repriced twice: what customers did tells them
apart, in two implementations of D-12.
"""

from __future__ import annotations

import json
import re
from functools import cache

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import beginnings
from expansion_platform.domain.core import months
from expansion_platform.simulator.company.catalog import (
    CATALOGS,
    ONE_PRODUCT,
    ONE_PRODUCT_IN_LISTS,
    PLANS,
    REPRICED,
    WORKSPACE,
    build,
)
from expansion_platform.simulator.company.company import BEHAVIOURS, LAST_MONTH, Company, simulate
from expansion_platform.simulator.truth.reference_plans import plans_before, read_history
from expansion_platform.simulator.verify import book, items_of, true_months

MONTHS = months.between(months.shift(LAST_MONTH, -23), LAST_MONTH)


@cache
def company(seed: int, sells: str) -> Company:
    return simulate(seed, 150, len(MONTHS), sells=sells)


def named(price: str) -> tuple[str, str, str]:
    """price_pro_usd_month_2 -> its plan, its list (currency and interval), its version."""
    found = re.fullmatch(r"price_([a-z]+)_([a-z]+_[a-z]+)(_\d)?", price)
    assert found is not None
    return found[1], found[2], found[3] or ""


@cache
def moves(seed: int, sells: str) -> pd.DataFrame:
    """The truth: every cause of an item that went from one price of a plan to another, and what the two
    prices are.
    """
    rows, made = [], company(seed, sells)
    states = made.truth.expected_states
    for month, truth in true_months(made, MONTHS):
        opening, closing = (
            {row["item"]: row for row in book(states, at)}
            for at in (months.opening(month), months.closing(month))
        )
        for row in truth["customers"].values():
            for cause in row["cause_rows"]:
                before, after = opening.get(cause["from_item"]), closing.get(cause["to_item"])
                if before is not None and after is not None and before["price"] != after["price"]:
                    rows.append(
                        (
                            month,
                            cause["cause"],
                            cause["amount"],
                            *named(before["price"]),
                            *named(after["price"]),
                        )
                    )
    names = ["month", "cause", "amount", "plan", "list", "version", "to_plan", "to_list", "to_version"]
    frame = pd.DataFrame(rows, columns=names)
    return frame[frame["plan"].isin([plan.key for plan in PLANS])]


@pytest.mark.parametrize("sells", CATALOGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_both_implementations_find_the_same_plans(seed: int, sells: str) -> None:
    made = company(seed, sells)
    states = made.truth.expected_states
    found = beginnings(states, Catalog.from_dict(made.catalog))
    history = read_history(zip(items_of(states), states["valid_from"], strict=True), made.catalog)
    for month in MONTHS[::3]:
        closing = months.closing(month)
        plans = {frozenset(pair): step != 0 for pair, step in found.plans(closing).steps.items()}
        assert plans == plans_before(history, closing), month


@pytest.mark.parametrize("seed", [1, 2])
def test_plans_sold_as_prices_of_one_product(seed: int) -> None:
    """Upgrades and downgrades are tier once customers have begun on both for three months; Pro's replaced
    price is no plan beside its successor.
    """
    made, moved = company(seed, ONE_PRODUCT), moves(seed, ONE_PRODUCT)
    assert made.catalog["migrations"] == []
    assert WORKSPACE.id not in made.catalog["products"]
    schedule = moved[moved["cause"].isin(["tier", "price", "interval"])]
    other = schedule["plan"] != schedule["to_plan"]
    tier = schedule["cause"] == "tier"
    assert (other | ~tier).all()
    assert (schedule.loc[other & tier, "amount"] > 0).sum() > 5
    assert (schedule.loc[other & tier, "amount"] < 0).any()
    # Enterprise is bought by one new customer in eight: it takes longest.
    small = other & ~schedule[["plan", "to_plan"]].eq("enterprise").any(axis=1)
    assert set(
        schedule.loc[
            small
            & (schedule["version"] == "")
            & (schedule["to_version"] == "")
            & (schedule["month"] > MONTHS[4]),
            "cause",
        ]
    ) == {"tier"}
    assert set(schedule.loc[~other, "cause"]) == {"price"}


@pytest.mark.parametrize("seed", [1])
def test_a_company_that_repriced_twice(seed: int) -> None:
    """Its prices were replaced at two dates, at the second one not for all: nothing of that is expansion."""
    made, moved = company(seed, REPRICED), moves(seed, REPRICED)
    assert made.catalog["migrations"] == []
    assert not any("tier_rank" in made.catalog["products"][plan.id] for plan in PLANS)
    replaced = moved[
        (moved["plan"] == moved["to_plan"])
        & (moved["version"] != moved["to_version"])
        & (moved["list"] == moved["to_list"])
    ]
    assert {"_2", "_3"} <= set(replaced["to_version"])
    assert replaced["cause"].isin(["price", "seat", "discount", "fx"]).all()
    assert replaced.loc[replaced["cause"] == "price", "amount"].sum() > 0
    begun = beginnings(made.truth.expected_states, Catalog.from_dict(made.catalog))
    assert not any(begun.plans(months.closing(month)).steps for month in MONTHS)


@pytest.mark.parametrize("sells", CATALOGS)
def test_every_behaviour_keeps_to_what_is_sold(sells: str) -> None:
    made = simulate(1, 60, 12, behaviours=BEHAVIOURS, sells=sells)
    held = made.truth.expected_states
    assert len(held) > 60
    in_stripe = {price["id"] for price in made.account.objects["prices"]}
    gone = set(held["price"]) - in_stripe
    # The behaviour `deleted_price`: Stripe does not have these any more, although some still pay them.
    assert gone
    assert gone <= build(0, (1, 2), BEHAVIOURS, sells).deleted_prices
    if sells == ONE_PRODUCT:
        assert set(held["interval"]) == {"month"}
        assert set(held["currency"]) == {"usd"}


def test_the_account_shows_one_product_with_a_price_a_plan() -> None:
    three, lists = (
        [price for price in company(1, sells).account.objects["prices"] if price["product"] == WORKSPACE.id]
        for sells in (ONE_PRODUCT, ONE_PRODUCT_IN_LISTS)
    )
    assert [price["id"].removeprefix("price_") for price in three] == [
        "basic_usd_month",
        "pro_usd_month",
        "enterprise_usd_month",
        "pro_usd_month_2",
    ]
    assert len(lists) == 3 * 4 * 2 + 4
    objects = company(1, ONE_PRODUCT).account.objects
    assert WORKSPACE.id in json.dumps(objects["subscriptions"]) + json.dumps(objects["invoices"])
    assert not any(plan.id in json.dumps(objects) for plan in PLANS)
