"""Which moves look like the vendor's own repricing, and that finding one changes no amount (semantics 3.3,
case 44).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.migrations import headline_expansion, price_migrations, price_moves
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.simulator.company.company import simulate
from expansion_platform_tests.domain.books import catalog, item
from expansion_platform_tests.domain.frames import Flagged, flagged, holding, month, states

STAMP = {"month": "2026-03", "policy_hash": "p", "catalog_hash": "c"}
OLD, NEW = "basic_month_usd", "basic_2026"


def book(
    moved: int, stayed: int, *, product: str = "basic", price: str = NEW, quantity: str = "10"
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`moved` customers go from 10 seats of basic at 10.00 to `product` at 12.00; `stayed` do not, one of
    whom leaves.
    """
    before = [item(f"i{n}", "basic", "1000", "10", customer=f"c{n}") for n in range(moved + stayed)]
    after = [item(f"i{n}", product, "1200", quantity, customer=f"c{n}", price=price) for n in range(moved)]
    return before, after + before[moved + 1 :]


def found(
    before: list[dict[str, Any]], after: list[dict[str, Any]], **more: Any
) -> tuple[pd.DataFrame, Flagged]:
    made = Catalog.from_dict(catalog(**more))
    opening, closing = states(before), states(after)
    plain = classify(opening, closing, catalog=made, rates_open={}, rates_close={}, ever_paid=())
    result = flagged(plain, month(opening, closing), made)
    mrr.PriceMigrations.validate(result.migrations.assign(**STAMP))
    return result.migrations, result


def flag_counts(result: Flagged) -> dict[tuple[str, str], int]:
    return Counter(
        (row.cause, flag) for row in result.causes.itertuples() for flag in json.loads(row.flags_json)
    )


@pytest.mark.parametrize(
    ("moved", "stayed", "is_one"), [(5, 5, True), (5, 6, False), (4, 0, False), (5, 0, True)]
)
def test_five_customers_and_half_of_those_on_the_old_price(moved: int, stayed: int, is_one: bool) -> None:
    table, result = found(*book(moved, stayed))
    assert len(table) == is_one
    assert flag_counts(result) == ({("price", "possible_price_migration"): moved} if is_one else {})


def test_what_a_detected_one_says() -> None:
    table, result = found(*book(6, 3))
    names = [
        "old_price",
        "new_price",
        "basis",
        "status",
        "customers_moved",
        "customers_on_old",
        "share_text",
        "amount",
        "amount_as_tier",
    ]
    assert table[names].to_numpy().tolist() == [
        [OLD, NEW, "detected", "to_confirm", 6, 9, "0.6666666667", 12000, 0]
    ]
    assert table["share_of_expansion_text"].isna().all()  # the month had none
    # On one product it is price before anybody confirms it (D-7).
    assert result.movements["flow_price"].sum() == 12000


def test_moves_with_another_quantity_do_not_count() -> None:
    assert found(*book(6, 0, quantity="11"))[0].empty


def test_moves_of_one_customer_count_once() -> None:
    before, after = book(6, 0)
    assert found([row | {"customer": "c1"} for row in before], [row | {"customer": "c1"} for row in after])[
        0
    ].empty


def test_merged_customers_are_one() -> None:
    assert found(*book(5, 0), aliases={"c1": "c0"})[0].empty


def test_customers_whose_item_does_not_count_are_not_on_the_old_price() -> None:
    before, after = book(5, 6)
    trial = {"status": "trialing"}
    table, _ = found(
        before[:5] + [row | trial for row in before[5:]], after[:5] + [row | trial for row in after[5:]]
    )
    assert table[["customers_moved", "customers_on_old"]].to_numpy().tolist() == [[5, 5]]


def test_everybody_on_a_higher_plan_is_tier_until_it_is_declared() -> None:
    """Case 44: a price rise disguised as a new plan. Declared, the same moves are price and no expansion at
    all.
    """
    before, after = book(6, 0, product="pro", price="pro_2026")
    seats = item("i9", "crm", "1000", "10", customer="c9")
    before, after = [*before, seats], [*after, seats | {"quantity": "22"}]
    table, result = found(before, after)
    assert table[
        ["basis", "status", "amount", "amount_as_tier", "share_of_expansion_text"]
    ].to_numpy().tolist() == [["detected", "to_confirm", 12000, 12000, "0.5000000000"]]
    assert flag_counts(result) == {("tier", "possible_price_migration"): 6, ("tier", "upgrade"): 6}
    assert result.movements["flow_expansion"].sum() == 24000
    moved = result.movements.set_index("customer")["flags_json"].map(json.loads)
    assert {name for name, told in moved.items() if "possible_price_migration" in told} == {
        f"c{n}" for n in range(6)
    }

    table, result = found(before, after, migrations=[["pro_2026", OLD]])
    assert table[
        ["old_price", "new_price", "basis", "status", "amount", "amount_as_tier"]
    ].to_numpy().tolist() == [[OLD, "pro_2026", "declared", "declared", 12000, 0]]
    assert flag_counts(result) == {("price", "price_migration"): 6}
    assert result.movements[["flow_expansion", "flow_price"]].sum().tolist() == [12000, 12000]


def test_a_declared_one_is_told_from_the_first_customer_at_any_quantity() -> None:
    table, result = found(*book(1, 3, quantity="12"), migrations=[[OLD, NEW]])
    assert table[["basis", "customers_moved", "customers_on_old", "amount"]].to_numpy().tolist() == [
        ["declared", 1, 4, 2200]
    ]
    assert flag_counts(result) == {("price", "price_migration"): 1}  # not the seats


@pytest.fixture(scope="module")
def simulated() -> tuple[pd.DataFrame, dict[str, Any], dict[str, dict[str, str]]]:
    company = simulate(3, 150, 24)
    rates = {
        name: dict(zip(rows["currency"], rows["rate"], strict=True))
        for name, rows in company.fx_rates.groupby("month")
    }
    return company.truth.expected_states, company.catalog, rates


@pytest.mark.parametrize(("declared", "prices"), [(True, 4), (False, 1)])
def test_the_simulated_companys_own_repricing(simulated: Any, declared: bool, prices: int) -> None:
    """Pro went up by a tenth in December 2025. Undeclared, only the USD price has the five customers it
    takes; no amount depends on that.
    """
    every, written, rates = simulated
    made = Catalog.from_dict(written if declared else written | {"migrations": []})
    start, end = months.opening("2025-12"), months.closing("2025-12")
    opening, closing = (
        every[(every["valid_from"] < at) & (every["valid_to"].isna() | (every["valid_to"] >= at))]
        for at in (start, end)
    )
    plain = classify(
        opening,
        closing,
        catalog=made,
        rates_open=rates["2025-11"],
        rates_close=rates["2025-12"],
        ever_paid=(),
    )
    stamped = [rows.assign(month="2025-12") for rows in (plain.causes, plain.movements)]
    shown = [price_moves(*stamped, holding(plain.changes.book, "2025-12"))]
    table = price_migrations(shown, headline_expansion(shown), made)
    both = opening.merge(closing, on="item")
    both = both[(both["price_x"] == "price_pro_usd_month") & (both["price_y"] == "price_pro_usd_month_2")]
    moved = both[declared | (both["quantity_x"] == both["quantity_y"])]["customer_x"].nunique()
    assert len(table) == prices
    assert set(table["status"]) == ({"declared"} if declared else {"to_confirm"})
    usd = table.set_index("old_price").loc["price_pro_usd_month"]
    assert (usd["new_price"], usd["customers_moved"], usd["amount_as_tier"]) == (
        "price_pro_usd_month_2",
        moved,
        0,
    )
    assert (
        usd["amount"]
        == plain.causes.loc[
            (plain.causes["cause"] == "price") & (plain.causes["to_price"] == usd["new_price"]), "amount"
        ].sum()
    )
    assert moved >= 5
