"""The numbered cases of semantics section 7 that two month ends decide; amounts are worked by hand, in cents.

Plans cost 10 (basic), 20 (pro) and 30 dollars (ent) a seat and month, the CRM 99, the SSO add-on 50. Here:
pricing, membership, matching and causes. Not here: cases about when something happened or was known (1-4, 13,
14, 22, 53-56, 61, 62), in `domain/history/test_cases.py`; what a rate of the last business day is (21), in
`sources/test_fx.py`. Restating a closed month (second half of 18, 22 and 27) belongs to the tests of the
tables that keep first-reported figures; notices and review flags (3, 6, 16, 25, 27, 44, 57) to the tests of
flags and alerts; accounts left out (59) and tax inside prices (60) to those of the pull.
"""

from __future__ import annotations

import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.conformance import classify_month
from expansion_platform.domain.mrr.first_paid import included
from expansion_platform_tests.domain.books import amount, catalog, item, percent
from expansion_platform_tests.domain.frames import states

PRICES = {"basic": "1000", "pro": "2000", "ent": "3000", "crm": "9900", "sso": "5000", "free": "0"}
PAID = {"ever_paid": ["c1"]}


def hold(product, quantity=1, name="i1", unit="", **more):
    """An item of customer c1 at its plan's price."""
    return item(name, product, unit or PRICES[product], str(quantity), **more)


def calls(quantity, name="u1", unit="4", **more):
    """Metered API calls of the main family, 4 cents each."""
    return item(name, "api", unit, str(quantity), usage_type="metered", **more)


def row(before, after, customer="c1", **more):
    return classify_month(before, after, catalog(**more))["customers"][customer]


def told(before, after, **more):
    """(movement, flows, causes) of customer c1 without zeros."""
    found = row(before, after, **more)
    flows, causes = (
        {name: cents for name, cents in found[part].items() if cents} for part in ("flows", "causes")
    )
    return found["movement"], flows, causes


def causes(before, after, **more):
    movement, _, found = told(before, after, **more)
    assert movement == "continuing"
    return found


STILL = ("continuing", {}, {})


def new(cents):
    return "new", {"new": cents}, {}


def back(cents):
    return "reactivation", {"reactivation": cents}, {}


def gone(cents):
    return "churn", {"churn": -cents}, {}


def grown(**by):
    return "continuing", {"expansion": sum(by.values())}, by


def test_case_5_trial_to_paid():
    trial, paid = [hold("basic", 10, status="trialing")], [hold("basic", 10)]
    assert told(trial, paid) == new(10000)
    assert told(trial, paid, **PAID) == back(10000)


def test_case_6_trial_of_an_add_on_counts_once_active():
    trial = hold("sso", name="i2", subscription="sub_2", status="trialing")
    assert told([hold("basic", 10)], [hold("basic", 10), trial]) == STILL
    assert told([hold("basic", 10), trial], [hold("basic", 10), trial | {"status": "active"}]) == grown(
        addon=5000
    )


def test_case_6_trial_on_the_whole_subscription_is_churn():
    assert told([hold("basic", 10)], [hold("basic", 10, status="trialing")]) == gone(10000)


def test_case_7_free_plan_to_paid():
    assert told([hold("free")], [hold("basic", 10)]) == new(10000)


def test_case_8_paid_to_free_plan():
    """Nothing on the free plan can ever charge, so this is no dormant customer."""
    assert told([hold("basic", 10)], [hold("free")]) == gone(10000)
    assert row([hold("basic", 10)], [hold("free")])["dormant"] == 0


@pytest.mark.parametrize("behavior", ["void", "mark_uncollectible"])
def test_case_9_paused_collection_leaves_and_resumes(behavior):
    paused = [hold("basic", 10, collection_paused=behavior)]
    assert told([hold("basic", 10)], paused) == gone(10000)
    assert told(paused, [hold("basic", 12)], **PAID) == back(12000)


def test_case_9_drafts_keep_counting():
    assert told([hold("basic", 10)], [hold("basic", 10, collection_paused="keep_as_draft")]) == STILL


def test_case_10_status_paused_never_counts():
    assert told([], [hold("basic", 10, status="paused")])[0] == "none"
    assert told([hold("basic", 10)], [hold("basic", 10, status="paused")]) == gone(10000)


def test_case_11_past_due_counts():
    assert told([hold("basic", 10)], [hold("basic", 10, status="past_due")]) == STILL


@pytest.mark.parametrize("status", ["unpaid", "incomplete", "incomplete_expired"])
def test_case_12_unpaid_and_incomplete_do_not_count(status):
    assert told([hold("basic", 10)], [hold("basic", 10, status=status)]) == gone(10000)
    assert told([], [hold("basic", 10, status=status)])[0] == "none"


def test_case_15_cancel_and_resubscribe_in_the_same_month():
    assert told([hold("basic", 10)], [hold("basic", 12, name="i9", subscription="sub_9")]) == grown(seat=2000)


def test_case_16_resubscribe_after_month_end():
    """The whole amount is reactivation, also what is higher than before."""
    assert told([hold("basic", 10)], []) == gone(10000)
    assert told([], [hold("basic", 15, name="i9")], **PAID) == back(15000)


def test_case_17_plan_swap_through_cancel_and_new_subscription():
    """10 seats at 10 become 12 at 20: seats 2 x (10 + 20)/2 = 30, plan 10 x (10 + 12)/2 = 110."""
    assert told([hold("basic", 10)], [hold("pro", 12, name="i9", subscription="sub_9")]) == grown(
        seat=3000, tier=11000
    )


def test_case_18_merged_customers_are_one_at_both_ends():
    before = [hold("basic", 10, customer="old"), hold("crm", name="i2")]
    after = [hold("basic", 10), hold("crm", name="i2")]
    assert told(before, after, aliases={"old": "c1"}) == STILL
    assert row(before, after, aliases={"old": "c1"})["opening"] == 19900


def test_case_19_split_customer():
    parts = [hold("basic", 6), hold("basic", 4, name="i2", customer="c2")]
    assert told([hold("basic", 10)], parts, aliases={"c2": "c1"}) == STILL
    assert told([hold("basic", 10, customer="c0")], parts) == new(6000)
    assert row([hold("basic", 10, customer="c0")], parts, customer="c0")["movement"] == "churn"


def test_case_20_currency_change():
    """At 1.10, 10 seats at 9 euro are 99 dollars, at 18 euro 198; a closing rate of 1.20 adds 90 or 180 x
    0.10.
    """
    euro, dearer = hold("basic", 10, unit="900", currency="eur"), hold("pro", 10, unit="1800", currency="eur")
    same = {"fx": {"prev": {"eur": "1.10"}, "curr": {"eur": "1.10"}}}
    later = {"fx": {"prev": {"eur": "1.10"}, "curr": {"eur": "1.20"}}}
    assert causes([hold("basic", 10)], [euro], **same) == {"fx": -100}
    assert causes([hold("basic", 10)], [euro], **later) == {"fx": -100 + 900}
    assert causes([hold("basic", 10)], [dearer], **same) == {"tier": 9800}
    assert causes([hold("basic", 10)], [dearer], **later) == {"tier": 9800, "fx": 1800}


def test_case_21_a_missing_rate_stops_the_month():
    euro = hold("basic", 10, unit="900", currency="eur")
    with pytest.raises(DataQualityError, match="no exchange rate for eur"):
        row([euro], [euro], fx={"prev": {"eur": "1.1"}, "curr": {}})


@pytest.mark.parametrize("closing", ["0.90", "1.05", "1.10", "1.50"])
def test_case_21_expansion_is_in_constant_currency(closing):
    """2 seats at 9 euro and 1.10 are 19.80 whatever the euro does."""
    before, after = (
        hold("basic", 10, unit="900", currency="eur"),
        hold("basic", 12, unit="900", currency="eur"),
    )
    assert (
        row([before], [after], fx={"prev": {"eur": "1.10"}, "curr": {"eur": closing}})["flows"]["expansion"]
        == 1980
    )


def test_case_24_multi_year_prepaid():
    """3,600 dollars for three years are 100 a month; renewing moves nothing."""
    prepaid = hold("basic", unit="360000", interval="year", interval_count=3)
    assert told([], [prepaid]) == new(10000)
    assert told([prepaid], [prepaid]) == STILL


def test_case_25_ramp_deals():
    assert causes([hold("ent", 10)], [hold("ent", 10, unit="3500", price="ent_phase_2")]) == {"price": 5000}
    assert causes([hold("ent", 10)], [hold("ent", 15)]) == {"seat": 15000}


def test_case_26_usage_is_of_the_month_whatever_is_billed_when():
    """100 calls in the month, billed once a year: 4.00, not a twelfth of it."""
    assert told([], [calls(100, interval="year")]) == new(400)


def test_case_28_minimum_commit():
    """500 dollars at least, calls at one dollar."""
    commit = {"type": "per_unit", "unit": "100", "minimum": "50000"}
    assert told([calls(100, unit=commit)], [calls(400, unit=commit)]) == STILL
    assert causes([calls(100, unit=commit)], [calls(600, unit=commit)]) == {"usage": 10000}
    assert causes([calls(100, unit=commit)], [calls(100, unit=commit | {"minimum": "60000"})]) == {
        "price": 10000
    }
    higher = calls(100, unit=commit | {"minimum": "60000"}, price="api_scale")
    ranks = {"api": {"meter": "calls", "tier_rank": 1}, "api_scale": {"tier_rank": 2}}
    assert causes([calls(100, unit=commit)], [higher], products=ranks) == {"tier": 10000}


def test_case_29_prepaid_credits():
    """100 dollars for 1,000 credits, 20 cents beyond: burning credits moves nothing."""
    credits = {
        "type": "graduated",
        "tiers": [{"up_to": 1000, "unit": "0", "flat": "10000"}, {"up_to": None, "unit": "20", "flat": "0"}],
    }
    assert told([calls(500, unit=credits)], [calls(900, unit=credits)]) == STILL
    assert causes([calls(500, unit=credits)], [calls(1100, unit=credits)]) == {"usage": 2000}


def test_case_30_test_mode_and_excluded_customers():
    assert told([], [hold("basic", 10, livemode=False)])[0] == "none"
    made = Catalog.from_dict(catalog(excluded_customers=["demo"], aliases={"demo_2": "demo"}))
    left = included(
        states([hold("basic"), *(hold("basic", name=name, customer=name) for name in ("demo", "demo_2"))]),
        made,
    )
    assert left["customer"].tolist() == ["c1"]


@pytest.mark.parametrize("broken", [{"quantity": "-1"}, {"scheme": {"type": "per_unit", "unit": "-1000"}}])
def test_case_31_negative_quantity_or_amount(broken):
    with pytest.raises(DataQualityError, match="negative or malformed") as error:
        row([], [hold("basic", 10) | broken, hold("crm", name="i2")])
    assert error.value.objects == ["i1"]


def test_case_32_zero_quantity():
    crm = hold("crm", name="i2")
    assert told([hold("basic", 10), crm], [hold("basic", 0), crm]) == (
        "continuing",
        {"contraction": -10000},
        {"seat": -10000},
    )
    assert told([hold("basic", 10)], [hold("basic", 0)]) == gone(10000)
    assert row([hold("basic", 10)], [hold("basic", 0)])["dormant"] == 1


@pytest.mark.parametrize("kind", ["graduated", "volume"])
def test_case_32_the_first_tiers_flat_fee_is_charged_at_zero(kind):
    fee = {
        "type": kind,
        "tiers": [{"up_to": 10, "unit": "1000", "flat": "500"}, {"up_to": None, "unit": "900", "flat": "0"}],
    }
    assert causes([hold("basic", 3, unit=fee)], [hold("basic", 0, unit=fee)]) == {"seat": -3000}


def test_case_33_pure_usage_customer_with_a_zero_month():
    assert told([calls(100)], [calls(0)]) == gone(400)
    assert told([calls(0)], [calls(500)], **PAID) == back(2000)
    assert row([calls(100)], [calls(0)])["dormant"] == row([calls(0)], [calls(500)], **PAID)["dormant"] == 1


@pytest.mark.parametrize(
    ("currency", "unit", "rate", "opening", "seats"),
    [
        ("jpy", "1500", "0.0067", 10050, 2010),  # 1,500 yen x 10 = 15,000 yen
        ("kwd", "1000", "3.25", 3250, 650),  # 1.000 dinar x 10
        ("isk", "150000", "0.0072", 10800, 2160),  # 1,500.00 krona x 10: its amounts keep two decimals
    ],
)
def test_case_34_currencies_of_zero_and_three_decimals(currency, unit, rate, opening, seats):
    before, after = (hold("basic", quantity, unit=unit, currency=currency) for quantity in (10, 12))
    rates = {"fx": {"prev": {currency: rate}, "curr": {currency: rate}}}
    assert row([before], [after], **rates)["opening"] == opening
    assert causes([before], [after], **rates) == {"seat": seats}


def test_case_35_metered_with_tiers_and_packages():
    """1,000 calls free and 4 cents each: 80 to 180 dollars. Packages of 100 at 5 dollars: 3 to 4."""
    tiers = {
        "type": "graduated",
        "tiers": [{"up_to": 1000, "unit": "0", "flat": "0"}, {"up_to": None, "unit": "4", "flat": "0"}],
    }
    assert causes([calls(3000, unit=tiers)], [calls(5500, unit=tiers)]) == {"usage": 10000}
    packages = {"type": "per_unit", "unit": "500", "divide_by": 100, "round": "up"}
    assert causes([calls(250, unit=packages)], [calls(310, unit=packages)]) == {"usage": 500}


def test_case_36_more_seats_may_cost_less():
    """10 seats at 10, 12 at 8: 100 to 96."""
    volume = {
        "type": "volume",
        "tiers": [{"up_to": 10, "unit": "1000", "flat": "0"}, {"up_to": None, "unit": "800", "flat": "0"}],
    }
    assert told([hold("basic", 10, unit=volume)], [hold("basic", 12, unit=volume)]) == (
        "continuing",
        {"contraction": -400},
        {"seat": -400},
    )


def test_case_37_stacked_coupons_apply_in_order():
    assert told([], [hold("basic", 10, discounts=[percent("20"), amount("500")])]) == new(7500)
    assert told([], [hold("basic", 10, discounts=[amount("500"), percent("20")])]) == new(7600)


def test_case_38_once_coupon_on_a_monthly_plan():
    assert told([hold("basic", 10)], [hold("basic", 10, discounts=[percent("50", "once")])]) == STILL


def test_case_39_once_coupon_on_an_annual_plan():
    year = {"unit": "12000", "interval": "year"}
    lowered = hold("basic", 10, discounts=[percent("50", "once")], **year)
    assert told([], [lowered]) == new(5000)
    assert told([lowered], [hold("basic", 10, **year)]) == (
        "continuing",
        {"discount": 5000},
        {"discount": 5000},
    )


def test_case_40_all_of_it_off():
    free = [hold("basic", 10, discounts=[percent("100")])]
    assert told([], free)[0] == "none"
    assert told(free, [hold("basic", 10)]) == new(10000)
    assert told([hold("basic", 10)], free) == gone(10000)
    assert told(free, [hold("basic", 10)], **PAID) == back(10000)
    assert row([hold("basic", 10)], free)["dormant"] == row(free, [hold("basic", 10)], **PAID)["dormant"] == 1


def test_case_41_discount_swapped_for_another():
    assert causes(
        [hold("basic", 10, discounts=[percent("20")])], [hold("basic", 10, discounts=[percent("30")])]
    ) == {"discount": -1000}


def test_case_42_price_rise_and_seats_together():
    """10 x 10 to 12 x 12: seats 2 x 11 = 22, price 2 x 11 = 22."""
    found = told([hold("basic", 10)], [hold("basic", 12, unit="1200")])
    assert found == ("continuing", {"expansion": 2200, "price": 2200}, {"seat": 2200, "price": 2200})


def test_case_43_grandfathered_price_retired():
    moved = [hold("basic", 10)], [hold("pro", 10)]
    assert told(*moved, migrations=[["pro_month_usd", "basic_month_usd"]]) == (
        "continuing",
        {"price": 10000},
        {"price": 10000},
    )


def test_case_44_price_rise_disguised_as_a_new_plan():
    """Everybody moved: growth of the plan until the migration is confirmed, a price rise from then on."""
    everybody = [
        [hold(plan, 10, name=f"i{number}", customer=f"c{number}") for number in range(5)]
        for plan in ("basic", "pro")
    ]
    totals = [
        classify_month(*everybody, catalog(migrations=pairs))["total"]
        for pairs in ([], [["basic_month_usd", "pro_month_usd"]])
    ]
    assert [(total["flows"]["expansion"], total["flows"]["price"]) for total in totals] == [
        (50000, 0),
        (0, 50000),
    ]


def test_case_45_annual_and_monthly():
    """10 seats at 10 a month or 100 a year: 100.00 and 83.33. With the plan (E14): mean of 100.00 and 83.33,
    of -33.33 and -50.00.
    """
    year = hold("basic", 10, unit="10000", interval="year")
    assert told([hold("basic", 10)], [year]) == ("continuing", {"interval": -1667}, {"interval": -1667})
    assert told([year], [hold("basic", 10)]) == ("continuing", {"interval": 1667}, {"interval": 1667})
    listed = [
        {
            "price": f"{product}_{interval}",
            "product": product,
            "currency": "usd",
            "interval": interval,
            "scheme": {"unit": unit},
        }
        for product, interval, unit in (("pro", "year", "20000"), ("ent", "month", "3000"))
    ]
    both = [hold("pro", 10)], [hold("ent", 10, unit="30000", interval="year")]
    assert causes(*both, list_prices=listed) == {"tier": 9166, "interval": -4166}
    assert causes(*both) == {"tier": 5000}


def test_case_46_quantity_on_an_add_on():
    base = hold("basic", 10, name="b1")
    more = [base, hold("sso", 1)], [base, hold("sso", 3)]
    assert causes(*more) == {"addon": 10000}
    assert causes(*more, products={"sso": {"kind": "addon", "unit": "seat"}}) == {"seat": 10000}


def test_case_47_seats_moved_between_own_subscriptions():
    found = row([hold("basic", 10)], [hold("basic", 6), hold("basic", 4, name="i2", subscription="sub_2")])
    assert (found["label"], found["expansion_gross"], found["contraction_gross"]) == ("flat", 0, 0)


def test_case_48_product_bundle_introduced():
    """A desk at 100 and a chat at 99 replaced by a suite at 250: 51 either way, gross shows both sides."""
    before = [hold("desk", unit="10000"), hold("chat", name="i2", unit="9900")]
    after = [hold("suite", name="i3", unit="25000")]
    assert told(before, after) == ("continuing", {"expansion": 5100}, {"cross_sell": 5100})
    assert [row(before, after)[f"{view}_gross"] for view in ("expansion", "contraction")] == [25000, 19900]
    family = {
        name: {"family": "work", "tier_rank": rank} for name, rank in (("desk", 1), ("chat", 1), ("suite", 2))
    }
    assert causes(before, after, products=family) == {"tier": 15000, "seat": -9900}


def test_case_49_flat_price_and_a_new_flat_price():
    swap = [hold("small", unit="5000")], [hold("large", unit="8000")]
    flat = {
        name: {"family": "flat", "unit": "flat", "tier_rank": rank}
        for name, rank in (("small", 1), ("large", 2))
    }
    assert causes(*swap, products=flat) == {"tier": 3000}
    assert causes([hold("small", unit="5000")], [hold("small", unit="8000", price="small_2")]) == {
        "price": 3000
    }


def test_case_50_one_price_id_with_two_amounts():
    assert causes([hold("basic", 10)], [hold("basic", 10, unit="1100")]) == {"price": 1000}


def test_case_51_one_item_id_reused_for_another_product():
    swap = [hold("north", 10, unit="1000")], [hold("south", 10, unit="1500")]
    assert causes(*swap) == {"tier": 5000}
    assert causes(*swap, products={"south": {"family": "south"}}) == {"tier": 5000}
    placed = {name: {"family": name} for name in ("north", "south")}
    assert causes(*swap, products=placed) == {"cross_sell": 5000}
    assert [row(*swap, products=placed)[f"{view}_gross"] for view in ("expansion", "contraction")] == [
        15000,
        10000,
    ]


def test_case_52_duplicate_item_ids():
    with pytest.raises(DataQualityError, match="item occurs twice") as error:
        row([], [hold("basic", 10), hold("crm", customer="c2")])
    assert error.value.objects == ["i1"]


def test_case_57_history_start():
    """Without a list of who paid before, a return looks new; what is already there at the first opening is no
    movement.
    """
    assert told([hold("basic", 10)], [hold("basic", 10)]) == STILL
    assert told([], [hold("basic", 10)]) == new(10000)
    assert told([], [hold("basic", 10)], **PAID) == back(10000)


def test_case_58_two_stripe_accounts():
    ours = [hold("basic", 10, customer="acct_1:c1"), hold("basic", 5, name="i2", customer="acct_2:c1")]
    assert {
        name: found["closing"] for name, found in classify_month([], ours, catalog())["customers"].items()
    } == {
        "acct_1:c1": 10000,
        "acct_2:c1": 5000,
    }
    assert row([], ours, customer="acct_1:c1", aliases={"acct_2:c1": "acct_1:c1"})["closing"] == 15000
