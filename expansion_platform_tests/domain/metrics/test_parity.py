"""Each difference from Stripe's MRR gets the reason whose rule, switched, makes it vanish; one that none does
is unexplained.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.metrics.parity import Facts, compared, cumulated, items_apart
from expansion_platform_tests.domain.books import amount, item, percent
from expansion_platform_tests.domain.frames import dated, states

RATES = {
    month: {"usd": "1", "eur": rate}
    for month, rate in (("2026-02", "1.10"), ("2026-03", "1.12"), ("2026-04", "1.15"))
}
MONTH = "2026-03"
ASKED = pd.DataFrame({"id": ["sub_leaving"], "canceled_at": pd.to_datetime(["2026-03-20"], utc=True)})


def facts(*stretches: pd.DataFrame, **catalog: Any) -> Facts:
    history = pd.concat(
        [rows if "confidence" in rows else rows.assign(confidence="exact") for rows in stretches],
        ignore_index=True,
    )
    return Facts(history, ASKED, RATES, Catalog.from_dict({"reporting_currency": "usd", **catalog}), "UTC")


def held(
    since: str = "2026-01-10", until: str | None = None, confidence: str = "exact", **more: Any
) -> pd.DataFrame:
    made = {"name": "si_1", "product": "basic", "unit": "1000", "quantity": "10"} | more
    return dated(states([item(**made)]), since, until).assign(confidence=confidence)


def stripes(**mrr: int) -> pd.DataFrame:
    return pd.DataFrame({"customer": list(mrr), "mrr": list(mrr.values())}).astype(
        {"customer": "str", "mrr": "int64"}
    )


def reason(history: Facts, mrr: int) -> str:
    _, differences = compared(MONTH, stripes(c1=mrr), history)
    assert len(differences) <= 1
    return "" if differences.empty else str(differences["reason"].iloc[0])


YEARLY = {"interval": "year", "unit": "120000", "quantity": "1"}
METERED = {"name": "si_use", "product": "api", "usage_type": "metered", "unit": "2", "quantity": "500"}


@pytest.mark.parametrize(
    ("stretches", "mrr", "expected"),
    [
        ([held()], 10000, ""),
        ([held()], 10001, "rounding"),
        ([held()], 10002, "unexplained"),
        # Repeating: `stripe_parity` leaves it out.
        ([held(discounts=[percent("20")])], 8000, "discount_rule"),
        ([held(discounts=[percent("20", "once")])], 8000, "discount_rule"),
        ([held(discounts=[percent("20", "forever")])], 10000, "discount_rule"),
        ([held(**YEARLY, discounts=[amount("60000", "once")])], 10000, "discount_rule"),
        ([held(), held(**METERED)], 11000, "metered"),
        ([held(collection_paused="void")], 10000, "pause"),
        ([held(collection_paused="keep_as_draft")], 0, "pause"),
        ([held(status="past_due")], 0, "churn_timing"),
        ([held(subscription="sub_leaving")], 0, "churn_timing"),
        ([held(interval="week")], 43333, "normalisation"),
        ([held(currency="eur")], 11350, "currency"),  # at 1.135 instead of 1.12
        ([held(currency="eur")], 12000, "unexplained"),  # 7 % away is no rate of the day
        ([held(until="2026-03-31 20:00"), held("2026-03-31 20:00", quantity="12")], 10000, "time_zone"),
        ([held(until="2026-04-01 05:00"), held("2026-04-01 05:00", quantity="12")], 12000, "time_zone"),
        ([held(until="2026-03-30 09:00"), held("2026-03-30 09:00", quantity="12")], 10000, "late_data"),
        (
            [held(until="2026-04-10"), held("2026-04-10", quantity="12", confidence="renewal")],
            12000,
            "late_data",
        ),
        # An event dates it: it was not there yet.
        ([held(until="2026-04-10"), held("2026-04-10", quantity="12")], 12000, "unexplained"),
        # The state before it was not.
        (
            [held(until="2026-04-10", confidence="renewal"), held("2026-04-10", quantity="12")],
            12000,
            "unexplained",
        ),
        ([held(discounts=[percent("20")]), held(**METERED)], 9000, "discount_rule"),  # two rules at once
        ([held(until="2026-02-10")], 10000, "unexplained"),
    ],
)
def test_a_difference_has_the_reason_that_makes_it_vanish(
    stretches: list[pd.DataFrame], mrr: int, expected: str
) -> None:
    assert reason(facts(*stretches), mrr) == expected


def test_the_sums_of_a_month_say_how_much_is_unexplained() -> None:
    history = facts(
        held(),
        held(customer="c2", name="si_2"),
        held(customer="c3", name="si_3", discounts=[percent("20")]),
        held(customer="c4", name="si_4"),
    )
    summary, differences = compared(MONTH, stripes(c1=10000, c2=7000, c3=8000, c5=500), history)
    row = summary.iloc[0]
    assert (row["ours"], row["stripes"], row["customers"], row["differing"]) == (40000, 25500, 5, 4)
    assert (row["explained"], row["unexplained"], row["unexplained_share"]) == (2000, 13500, "0.5294117647")
    told = dict(zip(differences["customer"], differences["reason"], strict=True))
    assert told == {"c2": "unexplained", "c3": "discount_rule", "c4": "unexplained", "c5": "unexplained"}


def test_merged_and_excluded_customers_are_compared_as_the_catalog_says() -> None:
    history = facts(
        held(), held(customer="old", name="si_2"), aliases={"old": "c1"}, excluded_customers=["demo"]
    )
    summary, differences = compared(MONTH, stripes(c1=10000, old=10000, demo=99), history)
    assert differences.empty
    assert summary["stripes"].tolist() == [20000]


def test_change_events_cumulate_by_the_accounts_own_clock_and_convert_once() -> None:
    at = pd.Timestamp("2026-03-31 23:30", tz="UTC").timestamp()
    changes = pd.DataFrame(
        [
            ("c1", "eur", 1000, at - 40 * 86400, None),
            ("c1", "eur", 1, at - 86400, None),
            ("c1", "usd", 500, at, at + 3600),  # half past midnight of April on the account's wall
            ("c2", "usd", 700, at, None),
            ("c3", "usd", 300, at - 9, None),
            ("c3", "usd", -300, at - 8, None),
        ],
        columns=["customer", "currency", "mrr_change", "at", "local_at"],
    ).astype({"at": "int64", "local_at": "Int64"})
    found = cumulated(changes, ["2026-03", "2026-04"], RATES, "usd", "UTC")
    assert found.to_numpy().tolist() == [
        ["2026-03", "c1", 1121],  # 10.01 EUR at 1.12
        ["2026-03", "c2", 700],
        ["2026-04", "c1", 1651],
        ["2026-04", "c2", 700],
    ]


def test_items_whose_quantity_stripe_tells_otherwise_are_named() -> None:
    history = facts(
        held(), held(name="si_2", quantity="3"), held(**METERED), held(name="si_trial", status="trialing")
    )
    at = pd.Timestamp("2026-03-10", tz="UTC").timestamp()
    told = [
        ("c1", "si_1", 12, at),
        ("c1", "si_1", -2, at + 9),
        ("c1", "si_2", 5, at),
        ("c1", "si_gone", 1, at),
        ("c1", "si_later", 1, at + 90 * 86400),
    ]
    changes = (
        pd.DataFrame(told, columns=["customer", "item", "quantity_change", "at"])
        .assign(local_at=pd.NA)
        .astype({"local_at": "Int64"})
    )
    assert items_apart(changes, MONTH, history).to_numpy().tolist() == [
        ["c1", "si_2", "3", "5"],
        ["c1", "si_gone", "0", "1"],
    ]


def test_a_currency_without_a_rate_is_no_zero() -> None:
    changes = (
        pd.DataFrame([("c1", "jpy", 5, 0)], columns=["customer", "currency", "mrr_change", "at"])
        .assign(local_at=pd.NA)
        .astype({"local_at": "Int64"})
    )
    with pytest.raises(DataQualityError, match="jpy 2026-03"):
        cumulated(changes, [MONTH], RATES, "usd", "UTC")
