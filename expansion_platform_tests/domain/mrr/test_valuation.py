import pandas as pd
import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform_tests.domain.books import item, percent
from expansion_platform_tests.domain.frames import states


def value(*items, rates=None, policy=None):
    return value_states(states(list(items)), rates or {}, policy or Policy(), "usd")


@pytest.mark.parametrize(
    ("interval", "unit", "mrr", "arr"),
    [
        ("month", "1000", 1000, 12000),
        ("year", "10000", 833, 10000),
        ("day", "1000", 30417, 365000),
        ("week", "7000", 30417, 365000),
    ],
)
def test_periods(interval, unit, mrr, arr):
    row = value(item("i1", "basic", unit, "1", interval=interval)).iloc[0]
    assert (row["mrr_minor"], row["arr_minor"]) == (mrr, arr)


def test_a_large_yearly_contract_keeps_its_round_arr():
    row = value(item("i1", "ent", "10000000", "1", interval="year")).iloc[0]
    assert (row["mrr_minor"], row["arr_minor"]) == (833333, 10000000)


@pytest.mark.parametrize(("unit", "mrr"), [("0.5", 0), ("1.5", 2), ("2.5", 2), ("2.500000000001", 3)])
def test_rounded_once_half_even(unit, mrr):
    assert value(item("i1", "basic", unit, "1"))["mrr_minor"].tolist() == [mrr]


def test_list_mrr_leaves_discounts_out():
    row = value(item("i1", "basic", "1000", "10", discounts=[percent("20")])).iloc[0]
    assert (row["mrr_minor"], row["list_mrr_minor"], row["arr_minor"]) == (8000, 10000, 96000)


def test_currencies_by_their_minor_unit():
    items = [
        item("i1", "basic", "1500", "12", currency="jpy"),
        item("i2", "basic", "1500", "1", currency="kwd"),
    ]
    assert value(*items, rates={"jpy": "0.0067", "kwd": "3.25"})["mrr_minor"].tolist() == [12060, 488]


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({}, True),
        ({"status": "past_due"}, True),
        ({"status": "trialing"}, False),
        ({"status": "unpaid"}, False),
        ({"collection_paused": "keep_as_draft"}, True),
        ({"collection_paused": "void"}, False),
        ({"livemode": False}, False),
    ],
)
def test_what_counts(change, counts):
    row = value(item("i1", "basic", "1000", "1", **change)).iloc[0]
    assert (row["counts"], row["chargeable"], row["mrr_minor"]) == (counts, counts, 1000 * counts)


def test_metered_is_one_month_and_counts_by_policy():
    metered = item("i1", "api", "4", "100", usage_type="metered", interval="year")
    assert value(metered)["mrr_minor"].tolist() == [400]
    assert value(metered, policy=Policy(preset="stripe_parity"))["counts"].tolist() == [False]


def test_chargeable_at_zero():
    rows = value(item("i1", "basic", "1000", "0"), item("i2", "free", "0", "5"))
    assert rows["mrr_minor"].tolist() == [0, 0]
    assert rows["chargeable"].tolist() == [True, False]


def test_equal_states_share_a_value_and_the_index_is_kept():
    frame = pd.concat(
        [states([item("i1", "basic", "1000", "2"), item("i2", "pro", "2000", "2")])] * 3
    ).set_index([[9, 8, 7, 6, 5, 4]])
    valued = value_states(frame, {}, Policy(), "usd")
    assert valued["mrr_minor"].tolist() == [2000, 4000] * 3
    assert valued["mrr_minor"].dtype == "int64"
    assert valued.index.tolist() == [9, 8, 7, 6, 5, 4]


def test_no_states():
    valued = value()
    assert valued.empty
    assert valued["mrr_minor"].dtype == "int64"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"quantity": "-1"}, "quantity is negative or malformed"),
        ({"quantity": None}, "required field quantity is missing"),
        ({"scheme": {"unit": "-1"}}, "unit is negative or malformed"),
        ({"status": "sleeping"}, "unknown subscription status"),
        ({"collection_paused": "forever"}, "unknown pause_collection"),
        ({"usage_type": "hybrid"}, "unknown usage type"),
        ({"interval": "decade"}, "unknown interval"),
        ({"interval_count": 0}, "interval_count"),
        ({"currency": "eur"}, "no exchange rate for eur"),
        ({"discounts": [percent("120")]}, "outside 0..100"),
        ({"scheme": {"unit": "100000000000001"}}, "above 10\\^14"),
    ],
)
@pytest.mark.parametrize("counts", [True, False])
def test_bad_states_name_their_items_counting_or_not(change, problem, counts):
    bad = item("i_bad", "basic", "1000", "1", livemode=counts) | change
    with pytest.raises(DataQualityError, match=problem) as error:
        value(item("i1", "basic", "1000", "1"), bad)
    assert error.value.objects == ["i_bad"]
