"""Each flag and reason on the smallest book that has it, and on the nearest one that has not (semantics 2.1,
3.5, 7).
"""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.mrr.movements import classify
from expansion_platform_tests.domain.books import catalog, item, percent
from expansion_platform_tests.domain.frames import Flagged, dated, flagged, month, states

Items = list[dict[str, Any]]
TEN = item("i1", "basic", "1000", "10")


def told(
    before: Items, after: Items, *, history: pd.DataFrame | None = None, deleted: Any = (), **more: Any
) -> Flagged:
    made = Catalog.from_dict(catalog(**more))
    opening, closing = states(before), states(after)
    plain = classify(opening, closing, catalog=made, rates_open={}, rates_close={}, ever_paid=made.ever_paid)
    result = flagged(plain, month(opening, closing, history=history, deleted=deleted), made)
    names = list(plain.causes.columns)
    pd.testing.assert_frame_equal(result.causes[names], plain.causes)
    assert (
        result.movements[["flow_expansion", "delta"]].sum().tolist()
        == plain.movements[["flow_expansion", "delta"]].sum().tolist()
    )
    return result


def flags(result: Flagged, customer: str = "c1") -> set[str]:
    told_of = result.movements.set_index("customer")["flags_json"]
    return set(json.loads(told_of.get(customer, "[]"))) - {"concentrated"}


def cause_flags(result: Flagged) -> dict[str, list[str]]:
    return {row.cause: json.loads(row.flags_json) for row in result.causes.itertuples()}


def steps(*parts: tuple[dict[str, Any], str, str | None]) -> pd.DataFrame:
    return pd.concat([dated(states([row]), start, end) for row, start, end in parts], ignore_index=True)


@pytest.mark.parametrize(
    ("before", "after", "surge"),
    [(10, 15, True), (10, 14, False), (11, 16, False), (4, 9, True), (2, 6, False), (15, 10, False)],
)
def test_a_surge_is_five_seats_and_half_of_those_held(before: int, after: int, surge: bool) -> None:
    result = told([TEN | {"quantity": str(before)}], [TEN | {"quantity": str(after)}])
    assert ("seat_surge" in flags(result)) == surge


@pytest.mark.parametrize(
    ("gain_before", "since", "surge"),
    [
        (4, "2025-11-01", False),
        (3, "2025-11-01", True),
        (4, "2025-12-01", True),
        (4, "2026-02-01", True),
        (4, "2024-10-01", True),
    ],
)
def test_a_surge_is_measured_by_the_gains_of_the_year_before(
    gain_before: int, since: str, surge: bool
) -> None:
    """Gains 10 seats. The largest gain before is a month after `since`; three months must be known, and only
    twelve are looked at.
    """
    grown = (pd.Timestamp(since) + pd.DateOffset(months=1, days=10)).strftime("%Y-%m-%d")
    grown = min(grown, "2026-02-20")
    first, then, now = (TEN | {"quantity": str(seats)} for seats in (10 - gain_before, 10, 20))
    history = steps((first, since, grown), (then, grown, "2026-03-15"), (now, "2026-03-15", None))
    assert ("seat_surge" in flags(told([then], [now], history=history))) == surge


@pytest.mark.parametrize(
    "beside",
    [
        item("i2", "sso", "1", "100"),
        item("i2", "basic", "1000", "100", status="trialing"),
        item("i2", "api", "1", "100", usage_type="metered"),
    ],
)
def test_what_is_no_counting_seat_is_not_among_those_held(beside: dict[str, Any]) -> None:
    seats = [TEN | {"quantity": quantity} for quantity in ("8", "13")]
    assert flags(told([seats[0], beside], [seats[1], beside])) == {"seat_surge"}
    assert flags(told([TEN, beside], [TEN, beside | {"quantity": "300"}])) == set()


def test_seats_of_a_further_product_are_no_gain_in_seats() -> None:
    assert flags(told([TEN], [TEN | {"quantity": "12"}, item("i2", "crm", "100", "10")])) == set()


def test_concentrated_is_a_fifth_of_the_headline() -> None:
    before = [item(f"i{n}", "basic", "1000", "100", customer=f"c{n}") for n in range(6)]
    after = [row | {"quantity": "110"} for row in before[:4]] + [
        before[4] | {"quantity": "108"},
        before[5] | {"quantity": "102"},
    ]
    rows = told(before, after).movements.set_index("customer")["flags_json"].map(json.loads)
    # 10 of 50; 8 and 2 are not.
    assert {name for name, found in rows.items() if "concentrated" in found} == {"c0", "c1", "c2", "c3"}


def test_inferred_is_a_product_the_catalog_is_silent_on() -> None:
    assert flags(told([TEN], [TEN, item("i2", "unheard_of", "500", "1")])) == {"inferred"}


def test_direction_of_a_plan_is_its_rank_not_the_money() -> None:
    up = told([TEN], [item("i1", "pro", "900", "10")])
    assert up.movements["label"].tolist() == ["contraction"]
    assert cause_flags(up) == {"tier": ["upgrade"]}
    assert cause_flags(told([item("i1", "pro", "900", "10")], [TEN | {"quantity": "12"}])) == {
        "tier": ["downgrade"],
        "seat": [],
    }


def test_a_plan_of_unknown_rank_has_no_direction() -> None:
    assert cause_flags(told([item("i1", "starter", "1000", "5")], [item("i1", "growth", "1500", "5")])) == {
        "tier": []
    }


@pytest.mark.parametrize(
    ("more", "flagged_as"),
    [
        ({"interval": "year"}, ["usage_tier_period_mismatch"]),
        ({}, []),
        ({"interval": "year", "scheme": {"type": "per_unit", "unit": "4"}}, []),
    ],
)
def test_tiers_of_usage_on_a_long_period(more: dict[str, Any], flagged_as: list[str]) -> None:
    tiers = {
        "type": "graduated",
        "tiers": [{"up_to": 100, "unit": "5", "flat": "0"}, {"up_to": None, "unit": "2", "flat": "0"}],
    }
    calls = item("i2", "api", tiers, "300", usage_type="metered", **more)
    assert cause_flags(told([TEN, calls], [TEN, calls | {"quantity": "500"}])) == {"usage": flagged_as}


@pytest.mark.parametrize(("back", "brief"), [("2026-03-04", True), ("2026-03-05", False)])
def test_a_brief_lapse_is_seven_days(back: str, brief: bool) -> None:
    again = TEN | {"item": "i2", "subscription": "sub_2"}
    history = steps((TEN, "2025-06-01", "2026-02-25"), (again, back, None))
    assert flags(told([], [again], history=history, ever_paid=["c1"])) == (
        {"brief_lapse"} if brief else set()
    )


def test_only_the_lapse_over_the_month_end_is_measured() -> None:
    """Gone for months, then back for three days in March, and back again three days later."""
    again = TEN | {"item": "i2", "subscription": "sub_2"}
    history = steps(
        (TEN, "2025-06-01", "2025-12-01"), (TEN, "2026-03-02", "2026-03-05"), (again, "2026-03-08", None)
    )
    assert flags(told([], [again], history=history, ever_paid=["c1"])) == set()


def test_up_and_back_down_is_a_row_without_movement() -> None:
    """Case 3. The other customer went down and came back up, which is no gain to take back."""
    more, fewer = TEN | {"quantity": "30"}, item("i9", "basic", "1000", "5", customer="c2")
    history = steps(
        *((TEN, "2025-06-01", "2026-03-01"), (more, "2026-03-01", "2026-03-09"), (TEN, "2026-03-09", None)),
        *(
            (fewer, "2025-06-01", "2026-03-03"),
            (fewer | {"quantity": "1"}, "2026-03-03", "2026-03-09"),
            (fewer, "2026-03-09", None),
        ),
    )
    rows = told([TEN, fewer], [TEN, fewer], history=history).movements
    assert rows[["customer", "movement", "label", "delta", "opening", "flags_json"]].to_numpy().tolist() == [
        ["c1", "continuing", "flat", 0, 10000, '["intramonth_reversal"]']
    ]


@pytest.mark.parametrize("kept", ["11", "8"])
def test_a_gain_kept_in_part_or_more_than_lost_is_no_reversal(kept: str) -> None:
    end = TEN | {"quantity": kept}
    history = steps(
        (TEN, "2025-06-01", "2026-03-02"),
        (TEN | {"quantity": "30"}, "2026-03-02", "2026-03-09"),
        (end, "2026-03-09", None),
    )
    assert flags(told([TEN], [end], history=history)) == set()


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ([], "canceled"),
        ([TEN | {"status": "canceled"}], "canceled"),
        ([TEN | {"collection_paused": "void"}], "paused"),
        ([TEN | {"collection_paused": "mark_uncollectible"}], "paused"),
        ([TEN | {"status": "trialing"}], "trialing"),
        ([TEN | {"status": "unpaid"}], "unpaid"),
        ([item("i1", "free", "0", "10")], "downgrade_to_free"),
        ([item("i2", "free", "0", "1")], "downgrade_to_free"),
        ([TEN | {"livemode": False}], None),
    ],
)
def test_why_a_customer_stopped_paying_and_the_way_back(after: Items, reason: str | None) -> None:
    """Cases 6, 8, 9, 12, 14 and their mirror."""
    returns = {
        "canceled": "resubscribed",
        "paused": "resumed",
        "trialing": "trial_converted",
        "unpaid": "recovered",
    }
    gone = told([TEN], after).movements.iloc[0]
    back = told(after, [TEN], ever_paid=["c1"]).movements.iloc[0]
    assert (gone["movement"], back["movement"]) == ("churn", "reactivation")
    assert [None if pd.isna(row["reason"]) else row["reason"] for row in (gone, back)] == [
        reason,
        {"downgrade_to_free": "upgrade_from_free"}.get(reason or "", returns.get(reason or "")),
    ]
    assert pd.isna(gone["dormant_reason"])
    assert ("review" in json.loads(gone["flags_json"])) == (reason == "trialing")


def test_the_item_that_paid_most_gives_the_reason() -> None:
    small = item("i2", "crm", "100", "1")
    assert told([TEN, small], [small | {"collection_paused": "void"}]).movements["reason"].tolist() == [
        "canceled"
    ]
    assert told([TEN, small], [TEN | {"collection_paused": "void"}]).movements["reason"].tolist() == [
        "paused"
    ]


def test_a_deleted_customer() -> None:
    assert told([TEN], [], deleted={"c1"}).movements["reason"].tolist() == ["deleted"]


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        (TEN | {"quantity": "0"}, "zero_quantity"),
        (TEN | {"discounts": [percent("100") | {"coupon": "FREE"}]}, "full_discount"),
        (item("i2", "api", "4", "0", usage_type="metered"), "zero_usage"),
    ],
)
def test_why_a_subscription_that_lives_on_pays_nothing(held: dict[str, Any], reason: str) -> None:
    """Cases 32, 33, 40."""
    gone, back = (
        told([TEN], [held]).movements.iloc[0],
        told([held], [TEN], ever_paid=["c1"]).movements.iloc[0],
    )
    for row, movement in ((gone, "churn"), (back, "reactivation")):
        assert (row["movement"], row["dormant"], row["dormant_reason"]) == (movement, True, reason)
        assert pd.isna(row["reason"])


def test_merged_customers_are_flagged_as_one() -> None:
    """Case 18: the history of the customer that was merged is the history of the one it was merged into."""
    before, after = TEN | {"customer": "old"}, TEN | {"customer": "c1", "quantity": "30"}
    history = steps(
        (before | {"quantity": "4"}, "2025-06-01", "2025-11-15"),
        (before, "2025-11-15", "2026-03-15"),
        (after | {"quantity": "20"}, "2026-03-15", None),
    )
    assert (
        flags(told([before], [after | {"quantity": "20"}], history=history, aliases={"old": "c1"})) == set()
    )


@pytest.mark.parametrize(
    ("since", "ever_paid", "truncated"),
    [("2026-03-02", [], True), ("2026-03-02", ["c7"], False), ("2026-02-27", [], False)],
)
def test_history_that_begins_with_the_month(since: str, ever_paid: list[str], truncated: bool) -> None:
    """Case 57: without a word of who paid before, a customer that returned looks new."""
    history = steps(
        (item("i9", "basic", "1000", "1", customer="c9"), since, "2026-03-05"), (TEN, "2026-03-05", None)
    )
    assert flags(told([], [TEN], history=history, ever_paid=ever_paid)) == (
        {"history_truncated"} if truncated else set()
    )


@pytest.mark.parametrize(
    ("begun", "source", "ramp"),
    [("2026-03-15", "schedule", True), ("2026-03-15", "event", False), ("2026-02-15", "schedule", False)],
)
def test_a_step_that_a_schedule_had_planned_is_a_contracted_ramp(begun: str, source: str, ramp: bool) -> None:
    grown = {**TEN, "quantity": "12"}
    history = pd.concat(
        [dated(states([TEN]), "2026-01-01", begun), dated(states([grown]), begun, None, source)],
        ignore_index=True,
    )
    result = told([TEN], [grown], history=history)
    assert ("contracted_ramp" in flags(result)) == ramp
    assert ("contracted_ramp" in cause_flags(result)["seat"]) == ramp
