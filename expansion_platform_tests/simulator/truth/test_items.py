"""The truth of a subscription's items: read from its log, and as far as Stripe's records can show it."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd

from expansion_platform.simulator.company.catalog import BASIC, INSIGHTS, PRO, Coupon, build
from expansion_platform.simulator.company.company import AS_OF, Company
from expansion_platform.simulator.stripe_billing.charges import Discount
from expansion_platform.simulator.truth import items as truth
from expansion_platform.simulator.truth.items import EVENTS_KEPT, Change, SubscriptionLog

DAY = 86_400
NOW = 400 * DAY
CATALOG = build(0, (10**9,))
BASIC_PRICE, PRO_PRICE, INSIGHTS_PRICE = (
    CATALOG.price(product, "usd", "month", 1) for product in (BASIC, PRO, INSIGHTS)
)


def log(
    *changes: Change,
    discounts: tuple[Discount, ...] = (),
    ended_at: int | None = None,
    trial_end: int | None = None,
) -> SubscriptionLog:
    return SubscriptionLog(
        "sub_1", "cus_1", "usd", changes[0].at, trial_end, ended_at, list(changes), list(discounts)
    )


def days(states: pd.DataFrame) -> list[tuple[str, int, int | None]]:
    def day(at: pd.Timestamp) -> int | None:
        return None if pd.isna(at) else int(at.timestamp()) // DAY

    return [(row.item, day(row.valid_from), day(row.valid_to)) for row in states.itertuples()]


def test_a_change_cuts_and_an_end_ends() -> None:
    told = truth.read(
        [log(Change(0, "si_1", BASIC_PRICE, 5), Change(10 * DAY, "si_1", BASIC_PRICE, 7), ended_at=20 * DAY)],
        NOW,
    )
    assert days(told.states) == [("si_1", 0, 10), ("si_1", 10, 20)]
    assert list(told.states["quantity"]) == ["5", "7"]


def test_equal_neighbours_are_one_interval() -> None:
    told = truth.read(
        [
            log(
                Change(0, "si_1", BASIC_PRICE, 5),
                Change(10 * DAY, "si_2", PRO_PRICE, 1),
                Change(20 * DAY, "si_2", None, 0),
            )
        ],
        NOW,
    )
    assert days(told.states) == [("si_1", 0, None), ("si_2", 10, 20)]


def test_a_trial_is_trialing_until_it_converts() -> None:
    converted = truth.read([log(Change(0, "si_1", BASIC_PRICE, 5), trial_end=14 * DAY)], NOW).states
    assert list(zip(converted["status"], days(converted), strict=True)) == [
        ("trialing", ("si_1", 0, 14)),
        ("active", ("si_1", 14, None)),
    ]
    running = truth.read([log(Change(0, "si_1", BASIC_PRICE, 5), trial_end=14 * DAY)], 9 * DAY).states
    assert list(zip(running["status"], days(running), strict=True)) == [("trialing", ("si_1", 0, None))]


def test_without_proration_a_change_is_expected_where_records_show_it() -> None:
    old = Change(NOW - EVENTS_KEPT - DAY, "si_1", BASIC_PRICE, 7, renewal=NOW - 5 * DAY)
    assert truth.expected_at(old, [], NOW)[0] == NOW - 5 * DAY
    assert truth.expected_at(old, [NOW - 9 * DAY], NOW)[0] == NOW - 9 * DAY
    unseen = Change(NOW - EVENTS_KEPT - DAY, "si_1", BASIC_PRICE, 7, renewal=NOW + DAY)
    assert truth.expected_at(unseen, [], NOW)[0] == NOW
    told = truth.read([log(Change(0, "si_1", BASIC_PRICE, 5), old)], NOW)
    assert days(told.states) == [("si_1", 0, 369), ("si_1", 369, None)]
    assert days(told.expected_states) == [("si_1", 0, 395), ("si_1", 395, None)]
    assert told.undatable[["item", "changed_at", "expected_at"]].iloc[0].to_list() == [
        "si_1",
        pd.Timestamp(369 * DAY, unit="s", tz="UTC"),
        pd.Timestamp(395 * DAY, unit="s", tz="UTC"),
    ]


def test_a_change_overtaken_before_its_renewal_leaves_no_trace() -> None:
    unseen = Change(NOW - EVENTS_KEPT - 9 * DAY, "si_1", BASIC_PRICE, 7, renewal=NOW - 5 * DAY)
    prorated = Change(NOW - EVENTS_KEPT - DAY, "si_1", BASIC_PRICE, 9)
    told = truth.read([log(Change(0, "si_1", BASIC_PRICE, 5), unseen, prorated)], NOW)
    assert list(told.states["quantity"]) == ["5", "7", "9"]
    assert list(told.expected_states["quantity"]) == ["5", "9"]
    assert told.undatable["reason"].to_list() == [truth.OVERTAKEN]


def test_an_event_still_kept_dates_a_change_exactly() -> None:
    recent = Change(NOW - EVENTS_KEPT, "si_1", BASIC_PRICE, 7, renewal=NOW + DAY)
    assert truth.expected_at(recent, [recent.at], NOW) == (recent.at, None)


def test_an_amount_off_the_subscription_is_split_again_when_an_item_changes() -> None:
    """4,000 off 6,000 + 9,000 is 1,600 : 2,400; off 6,000 + 18,000 it is 1,000 : 3,000."""
    off = Discount("di_1", Coupon("OFF40", "forever", amount=4_000, currency="usd"), "sub_1", None, 0, None)
    changes = [
        Change(0, "si_1", BASIC_PRICE, 5),
        Change(0, "si_2", PRO_PRICE, 3),
        Change(10 * DAY, "si_2", PRO_PRICE, 6),
    ]
    states = truth.read([log(*changes, discounts=(off,))], NOW).states
    assert [json.loads(row)[0]["value"] for row in states["discounts_json"]] == [
        "1600",
        "1000",
        "2400",
        "3000",
    ]
    assert json.loads(states["discounts_json"][0])[0] == {
        "type": "amount",
        "value": "1600",
        "duration": "forever",
        "coupon": "OFF40",
    }


def test_discounts_are_listed_item_level_first_and_only_on_what_they_cover() -> None:
    whole = Discount("di_1", Coupon("ALL", "forever", percent="12.5"), "sub_1", None, 0, None)
    own = Discount("di_2", Coupon("OWN", "forever", percent="20"), "sub_1", "si_1", 0, None)
    limited = Discount(
        "di_3", Coupon("INS", "forever", percent="30", products=(INSIGHTS.id,)), "sub_1", None, 0, None
    )
    changes = [Change(0, "si_1", BASIC_PRICE, 5), Change(0, "si_2", INSIGHTS_PRICE, 9)]
    states = truth.read([log(*changes, discounts=(own, whole, limited))], NOW).states
    assert [[entry["coupon"] for entry in json.loads(row)] for row in states["discounts_json"]] == [
        ["OWN", "ALL"],
        ["ALL", "INS"],
    ]


def test_discounts_last_as_long_as_their_kind() -> None:
    repeating = Discount(
        "di_1", Coupon("REP", "repeating", percent="20", months=1), "sub_1", None, 5 * DAY, 36 * DAY
    )
    once = Discount(
        "di_2",
        Coupon("ONE", "once", percent="50"),
        "sub_1",
        None,
        0,
        None,
        windows=[("si_1", 31 * DAY, 59 * DAY)],
    )
    forever = Discount(
        "di_3", Coupon("EVER", "forever", percent="10"), "sub_1", None, 0, None, removed_at=90 * DAY
    )
    states = truth.read(
        [log(Change(0, "si_1", BASIC_PRICE, 5), discounts=(repeating, once, forever))], NOW
    ).states
    listed = ["+".join(entry["coupon"] for entry in json.loads(row)) for row in states["discounts_json"]]
    assert list(zip(listed, (span[1:] for span in days(states)), strict=True)) == [
        ("EVER", (0, 5)),
        ("REP+EVER", (5, 31)),
        ("REP+ONE+EVER", (31, 36)),
        ("ONE+EVER", (36, 59)),
        ("EVER", (59, 90)),
        ("", (90, None)),
    ]


def test_a_discount_over_before_a_bill_listed_it_leaves_no_trace() -> None:
    """A repeating one, redeemed with a trial that no bill is made for and that ended paused."""
    given = Discount("di_1", Coupon("REP", "repeating", percent="20", months=3), "sub_1", None, 0, 90 * DAY)
    made = log(Change(0, "si_1", BASIC_PRICE, 5), discounts=(given,))
    told = truth.read([made], NOW)
    assert days(told.states) == [("si_1", 0, 90), ("si_1", 90, None)]
    assert days(told.expected_states) == [("si_1", 0, None)]
    assert told.expected_states["discounts_json"].to_list() == ["[]"]
    assert told.undatable["reason"].to_list() == [truth.UNBILLED]
    for shown in (replace(made, ended_at=80 * DAY), replace(made, discounts=[replace(given, billed=True)])):
        assert truth.read([shown], NOW).undatable.empty
    listing = replace(made, updates=[70 * DAY])
    assert truth.read([listing], 70 * DAY + EVENTS_KEPT).undatable.empty
    assert not truth.read([listing], 71 * DAY + EVENTS_KEPT).undatable.empty


def test_intervals_of_an_item_never_overlap_and_never_outlive_its_subscription(company: Company) -> None:
    ends = {item["id"]: item["ended_at"] for item in company.account.objects["subscriptions"]}
    for states in (company.truth.states, company.truth.expected_states):
        following = states.groupby("item")["valid_from"].shift(-1)
        assert ((states["valid_to"] <= following) | following.isna()).all()
        assert (states["valid_to"].isna() | (states["valid_to"] > states["valid_from"])).all()
        assert (states["valid_from"] <= pd.Timestamp(AS_OF)).sum() > 900
        ended = pd.to_datetime(states["subscription"].map(ends).astype("Int64"), unit="s", utc=True)
        assert (ended.isna() | (states["valid_to"] <= ended)).all()


def test_what_stripe_holds_now_is_the_truth_now(company: Company) -> None:
    now = pd.Timestamp(AS_OF)
    states = company.truth.states
    held = states[(states["valid_from"] <= now) & (states["valid_to"].isna() | (states["valid_to"] > now))]
    told = {(row.item, row.price, row.quantity, row.status) for row in held.itertuples()}
    live = [item for item in company.account.objects["subscriptions"] if item["status"] != "canceled"]
    assert told == {
        (item["id"], item["price"]["id"], str(item["quantity"]), each["status"])
        for each in live
        for item in each["items"]["data"]
    }
