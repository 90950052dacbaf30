import json

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.movements import classify
from expansion_platform_tests.domain.books import amount, catalog, item, per_unit, percent
from expansion_platform_tests.domain.frames import flagged, month, states

STAMP = {"month": "2026-03", "policy_hash": "p", "catalog_hash": "c"}


def run(before, after, *, rates=None, rates_close=None, ever_paid=(), **more):
    rates = rates or {}
    made = Catalog.from_dict(catalog(**more))
    close = rates if rates_close is None else rates_close
    result = classify(
        states(before), states(after), catalog=made, rates_open=rates, rates_close=close, ever_paid=ever_paid
    )
    mrr.CustomerMonths.validate(
        result.customers.assign(
            **STAMP, first_paid_month="2026-01", first_paid_at=pd.Timestamp("2026-01-05", tz="UTC")
        )
    )
    told = flagged(result, month(states(before), states(after), rates=rates, rates_close=close), made)
    mrr.Movements.validate(told.movements.assign(**STAMP))
    mrr.Causes.validate(told.causes.assign(**STAMP))
    return result


def causes(result):
    return {
        (row.group, row.cause, row.from_item, row.to_item, row.match_pass): row.amount
        for row in result.causes.itertuples()
    }


def test_tables_hold_only_what_they_promise():
    still, trial = (
        item("i1", "basic", "1000", "1"),
        item("i2", "basic", "1000", "1", customer="c2", status="trialing"),
    )
    grown = item("i3", "basic", "1000", "1", customer="c3")
    result = run([still, trial, grown], [still, trial, grown | {"quantity": "2"}])
    assert result.customers["customer"].tolist() == ["c1", "c3"]
    assert result.movements["customer"].tolist() == ["c3"]
    assert result.causes["customer"].tolist() == ["c3"]
    assert result.customers["items"].tolist() == [1, 1]


SEATS, CALLS = item("i1", "basic", "100", "10"), item("i2", "api", "100", "10", usage_type="metered")
FLAT = item("i3", "basic_flat", "1000", "1")


@pytest.mark.parametrize(
    ("before", "after", "model", "closing"),
    [
        ([SEATS], [CALLS], "seat", "usage"),  # at opening, and at the next
        ([], [CALLS], "usage", "usage"),  # a new customer is what it came as
        ([CALLS | {"quantity": "0"}], [FLAT], "flat", "flat"),  # and so is one that paid nothing before
        ([SEATS], [], "seat", "seat"),  # one that left stays what it was
        # 60 % is enough.
        (
            [SEATS | {"quantity": "6"}, FLAT | {"quantity": "1", "scheme": per_unit("400")}],
            [FLAT],
            "seat",
            "flat",
        ),
        ([SEATS | {"quantity": "6"}, FLAT | {"scheme": per_unit("401")}], [FLAT], "hybrid", "flat"),
        # Before discounts.
        (
            [SEATS | {"quantity": "6", "discounts": [percent("90")]}, FLAT | {"scheme": per_unit("400")}],
            [FLAT],
            "seat",
            "flat",
        ),
        # What pays nothing says nothing.
        ([SEATS | {"discounts": [percent("100")]}, FLAT | {"scheme": per_unit("1")}], [FLAT], "flat", "flat"),
    ],
)
def test_pricing_model(before, after, model, closing):
    products = {"basic_flat": {"unit": "flat"}, "api": {"kind": "usage"}}
    result = run(before, after, products=products, ever_paid=["c1"] if before else [])
    assert result.customers[["pricing_model", "closing_pricing_model"]].to_numpy().tolist() == [
        [model, closing]
    ]


def test_an_empty_month():
    result = run([], [])
    assert (len(result.customers), len(result.movements), len(result.causes)) == (0, 0, 0)


def test_evidence_of_a_pair():
    result = run([item("i1", "basic", "1000", "10")], [item("i1", "pro", "2000", "15")])
    row = result.causes.set_index("cause").loc["seat"]
    assert (row["from_price"], row["to_price"], row["from_quantity"], row["to_quantity"]) == (
        "basic_month_usd",
        "pro_month_usd",
        "10",
        "15",
    )
    assert (row["from_mrr"], row["to_mrr"], row["match_pass"], row["inferred"]) == (
        10000,
        30000,
        "item",
        False,
    )
    assert json.loads(row["corners_json"]) == {"": 10000, "P": 20000, "Q": 15000, "PQ": 30000}


def test_evidence_of_lone_items():
    result = run(
        [item("i1", "basic", "1000", "10"), item("i2", "new_thing", "500", "1")],
        [item("i1", "basic", "1000", "10"), item("i3", "crm", "9900", "1")],
    )
    added, removed = (result.causes.set_index("match_pass").loc[name] for name in ("added", "removed"))
    assert (added["cause"], added["amount"], added["from_item"], added["to_mrr"]) == (
        "cross_sell",
        9900,
        "",
        9900,
    )
    assert pd.isna(added["from_price"])
    assert json.loads(added["corners_json"]) == {"": 0, "item": 9900}
    assert (removed["cause"], removed["amount"], removed["to_item"], removed["inferred"]) == (
        "cross_sell",
        -500,
        "",
        True,
    )


def test_passes_prefer_item_then_price_then_product_then_rank():
    before = [
        item("a1", "basic", "1000", "5"),
        item("a2", "basic", "1000", "7"),
        item("a3", "basic", "1100", "9", price="odd"),
        item("a4", "ent", "3000", "1"),
    ]
    after = [
        item("a1", "basic", "1000", "6"),
        item("b2", "basic", "1000", "8"),
        item("b3", "basic", "1200", "9", price="other"),
        item("b4", "pro", "2000", "2"),
    ]
    passes = {(row.from_item, row.to_item): row.match_pass for row in run(before, after).causes.itertuples()}
    assert passes == {
        ("a1", "a1"): "item",
        ("a2", "b2"): "price",
        ("a3", "b3"): "product",
        ("a4", "b4"): "any",
    }


def test_rank_in_a_pass_is_by_mrr_then_item_id():
    before = [
        item("z", "basic", "1000", "5"),
        item("y", "basic", "1000", "5"),
        item("x", "basic", "1000", "2"),
    ]
    after = [item("p", "basic", "1000", "9"), item("q", "basic", "1000", "8")]
    assert set(causes(run(before, after))) == {
        ("main", "seat", "y", "p", "price"),
        ("main", "seat", "z", "q", "price"),
        ("main", "seat", "x", "", "removed"),
    }


def test_an_item_that_moved_to_an_uncatalogued_product_is_a_plan_swap():
    swapped = causes(run([item("i1", "starter", "1000", "5")], [item("i1", "growth", "1500", "5")]))
    assert swapped == {("growth", "tier", "i1", "i1", "swap"): 2500}


def test_an_item_that_moved_between_placed_families_is_cross_sell():
    assert causes(run([item("i1", "basic", "1000", "5")], [item("i1", "crm", "9900", "1")])) == {
        ("main", "cross_sell", "i1", "", "removed"): -5000,
        ("crm", "cross_sell", "", "i1", "added"): 9900,
    }


@pytest.mark.parametrize(
    ("product", "more", "cause"),
    [
        ("api", {"usage_type": "metered"}, "usage"),
        ("sso", {}, "addon"),
        ("basic", {}, "seat"),
        ("crm", {}, "cross_sell"),
        ("logs", {"usage_type": "metered"}, "cross_sell"),
    ],
)
def test_an_added_item(product, more, cause):
    base = item("i1", "basic", "1000", "5")
    result = run([base], [base, item("i2", product, "100", "10", **more)])
    assert result.causes[["cause", "amount"]].to_numpy().tolist() == [[cause, 1000]]


def test_units_that_cannot_be_compared_fold_the_quantity_into_the_price():
    products = {"flat_plan": {"family": "main", "unit": "flat"}, "basic": {"family": "main"}}
    result = run(
        [item("i1", "basic", "1000", "10")], [item("i1", "flat_plan", "30000", "1")], products=products
    )
    assert causes(result) == {("main", "tier", "i1", "i1", "item"): 20000}


def test_rates_move_only_fx_also_where_nothing_else_changed():
    row = item("i1", "basic", "900", "10", currency="eur")
    result = run([row], [row], rates={"eur": "1.10"}, rates_close={"eur": "1.05"})
    assert causes(result) == {("main", "fx", "i1", "i1", "item"): -450}
    assert json.loads(result.causes["corners_json"][0]) == {"": 9900, "rate": 9450}
    assert result.movements["label"].tolist() == ["fx"]


def test_a_currency_switch_merges_with_its_rate_part():
    after = item("i1", "basic", "900", "10", currency="eur")
    result = run(
        [item("i1", "basic", "1000", "10")], [after], rates={"eur": "1.10"}, rates_close={"eur": "1.20"}
    )
    assert causes(result) == {("main", "fx", "i1", "i1", "item"): 800}
    assert json.loads(result.causes["corners_json"][0]) == {"": 10000, "P": 9900, "rate": 10800}


def test_a_closing_currency_needs_an_opening_rate_only_where_it_is_compared():
    euro = item("i2", "basic", "900", "10", currency="eur")
    assert run([], [euro], rates_close={"eur": "1.1"}).movements["flow_new"].tolist() == [9900]
    with pytest.raises(DataQualityError, match="no exchange rate for eur") as error:
        run([item("i1", "basic", "1000", "10")], [euro], rates_close={"eur": "1.1"})
    assert error.value.objects == ["i2"]


def test_an_unchanged_amount_off_follows_the_interval():
    off = [amount("1200")]
    before, after = (
        item("i1", "basic", "2000", "1", discounts=off),
        item("i1", "basic", "24000", "1", interval="year", discounts=off),
    )
    assert causes(run([before], [after])) == {("main", "interval", "i1", "i1", "item"): 1900 - 800}


def test_an_unchanged_amount_off_follows_the_interval_in_every_hybrid():
    """12.00 a bill: 88.00; 12 seats 108.00; yearly 83.33 - 1.00; both 99.00. Means 18.335 and -7.335, settled
    toward zero.
    """
    off = [amount("1200")]
    before, after = (
        item("i1", "basic", "1000", "10", discounts=off),
        item("i1", "basic", "10000", "12", interval="year", discounts=off),
    )
    assert causes(run([before], [after])) == {
        ("main", "seat", "i1", "i1", "item"): 1833,
        ("main", "interval", "i1", "i1", "item"): -733,
    }


def test_a_changed_amount_off_keeps_its_own_period():
    before = item("i1", "basic", "2000", "1", discounts=[amount("500")])
    after = item("i1", "basic", "24000", "1", interval="year", discounts=[amount("1200")])
    result = run([before], [after])
    assert causes(result) == {("main", "discount", "i1", "i1", "item"): 400}


def test_a_hybrid_above_the_last_tier_is_left_out():
    small = {"type": "volume", "tiers": [{"up_to": 10, "unit": "0", "flat": "5000"}]}
    result = run([item("i1", "pro", "2000", "30")], [item("i1", "basic", small, "8")])
    assert json.loads(result.causes["corners_json"][0]) == {"": 60000, "Q": 16000, "PQ": 5000}
    assert dict(zip(result.causes["cause"], result.causes["amount"], strict=True)) == {
        "seat": -44000,
        "tier": -11000,
    }


def test_split_of_tier_and_interval_with_one_list_price():
    listed = [
        {
            "price": "pro_y",
            "product": "pro",
            "currency": "usd",
            "interval": "year",
            "interval_count": 1,
            "scheme": per_unit("20000"),
        }
    ]
    result = run(
        [item("i1", "pro", "2000", "12")],
        [item("i1", "ent", "30000", "12", interval="year")],
        list_prices=listed,
    )
    assert dict(zip(result.causes["cause"], result.causes["amount"], strict=True)) == {
        "interval": -4000,
        "tier": 10000,
    }


def test_dormant_churn_and_return():
    on, off = (
        item("i1", "api", "4", "100", usage_type="metered"),
        item("i1", "api", "4", "0", usage_type="metered"),
    )
    left, back = run([on], [off]), run([off], [on], ever_paid=["c1"])
    assert left.movements[["movement", "dormant"]].to_numpy().tolist() == [["churn", True]]
    assert back.movements[["movement", "dormant"]].to_numpy().tolist() == [["reactivation", True]]
    assert run([on], [on | {"status": "canceled"}]).movements["dormant"].tolist() == [False]
    assert run([on], [item("i1", "free", "0", "1")]).movements["dormant"].tolist() == [False]


def test_aliases_join_both_ends_and_the_paid_list():
    result = run(
        [item("i1", "basic", "1000", "1", customer="old")],
        [item("i1", "basic", "1000", "2", customer="new")],
        aliases={"old": "new"},
    )
    assert result.movements[["customer", "movement"]].to_numpy().tolist() == [["new", "continuing"]]
    again = run(
        [], [item("i1", "basic", "1000", "1", customer="new")], aliases={"old": "new"}, ever_paid=["old"]
    )
    assert again.movements["movement"].tolist() == ["reactivation"]


def test_segment_is_fixed_at_opening_for_who_paid_then():
    small, large = (
        item("i1", "ent", "100000", "1", interval="year"),
        item("i1", "ent", "10000000", "1", interval="year"),
    )
    assert run([small], [large]).customers["segment"].tolist() == ["smb"]
    assert run([], [large]).customers["segment"].tolist() == ["enterprise"]
    assert run([large], []).customers["segment"].tolist() == ["enterprise"]
    assert run([], [large | {"scheme": per_unit("2500000")}]).customers["segment"].tolist() == ["mid_market"]


def test_concessions_are_taken_from_every_negative_commercial_flow():
    before = [item("i1", "basic", "1000", "10"), item("i2", "crm", "9000", "1")]
    after = [
        item("i1", "basic", "1000", "13", discounts=[percent("10")]),
        item("i2", "crm", "7000", "1", price="crm_2"),
    ]
    row = run(before, after).movements.iloc[0]
    # seat 2850, discount -1150, price -2000: the gain is used up by the concessions it bought, pro rata to
    # them.
    assert (row["flow_expansion"], row["flow_discount"], row["flow_price"], row["label"]) == (
        0,
        -110,
        -190,
        "repriced",
    )
    assert row["expansion_gross"] == 2850


@pytest.mark.parametrize("side", ["opening", "closing"])
def test_an_item_twice_on_a_side(side):
    twice = [
        item("i1", "basic", "1000", "1"),
        item("i1", "basic", "1000", "1", customer="c2", status="canceled"),
    ]
    with pytest.raises(DataQualityError, match="item occurs twice") as error:
        run(*((twice, []) if side == "opening" else ([], twice)))
    assert error.value.objects == ["i1"]


def test_an_item_that_changed_hands_is_not_a_pair():
    keep = [item("k1", "crm", "9900", "1"), item("k2", "crm", "9900", "1", customer="c2")]
    result = run(
        [*keep, item("i1", "basic", "1000", "1")], [*keep, item("i1", "basic", "1000", "1", customer="c2")]
    )
    found = result.causes[["customer", "match_pass", "amount"]].to_numpy().tolist()
    assert found == [["c1", "removed", -1000], ["c2", "added", 1000]]


def test_a_folded_quantity_goes_with_the_price_in_every_hybrid():
    products = {"flat_plan": {"family": "main", "unit": "flat"}, "basic": {"family": "main"}}
    after = item("i1", "flat_plan", "30000", "1", discounts=[percent("50")])
    result = run([item("i1", "basic", "1000", "10")], [after], products=products)
    assert json.loads(result.causes["corners_json"][0]) == {"": 10000, "D": 5000, "P": 30000, "DP": 15000}
    assert dict(zip(result.causes["cause"], result.causes["amount"], strict=True)) == {
        "discount": -10000,
        "tier": 15000,
    }


def test_an_added_metered_item_of_a_group_held_is_usage():
    base, metered = (
        item("i1", "basic", "1000", "5"),
        item("i2", "basic", "2", "500", price="basic_calls", usage_type="metered"),
    )
    result = run([base], [base, metered], products={"basic": {"family": "main", "kind": "base"}})
    assert causes(result) == {("main", "usage", "", "i2", "added"): 1000}


def test_a_return_takes_its_segment_at_closing():
    large = item("i1", "ent", "10000000", "1", interval="year")
    assert run([], [large], ever_paid=["c1"]).movements[["movement", "segment"]].to_numpy().tolist() == [
        ["reactivation", "enterprise"]
    ]


def test_gross_is_taken_per_match_group_and_cause():
    before = [item("i1", "basic", "1000", "10"), item("i2", "crm", "2000", "5")]
    after = [item("i1", "basic", "1000", "14"), item("i2", "crm", "2000", "4")]
    row = run(before, after).movements.iloc[0]
    assert (
        row["expansion_gross"],
        row["contraction_gross"],
        row["flow_expansion"],
        row["expansion_seat"],
    ) == (4000, 2000, 2000, 2000)


def test_a_customer_is_the_sum_of_its_rounded_items():
    """Two yearly lines of 100.00 are 8.33 a month each, 16.66 together, not 16.67 (semantics 1.4)."""
    lines = [
        item(name, product, "10000", "1", interval="year")
        for name, product in (("i1", "basic"), ("i2", "crm"))
    ]
    assert run([], lines).customers["closing"].tolist() == [1666]
    assert run(lines, []).customers["opening"].tolist() == [1666]
