"""A small book, its roll-forward and slices worked out by hand; `test_golden.py` has every figure of it.

March 2026, US cents. ACV from ARR at opening (closing for new and returned): enterprise from 10,000,000,
mid-market from 2,500,000.

| customer | segment | opening | closing | flows |
|---|---|---|---|---|
| ada | enterprise | 1,000,000 | 1,050,000 | expansion 50,000 (seat 30,000, tier 20,000), gross 60,000 and
-10,000 |
| bob | mid_market, then smb | 300,000 | 200,000 | contraction -80,000 (seat), discount -20,000 |
| cy | smb | 100,000 | 0 | churn -100,000 |
| dee | smb | 50,000 | 0 | churn -50,000, dormant |
| eve | smb | 0 | 70,000 | new 70,000 |
| fay | smb | 0 | 30,000 | reactivation 30,000 |
| gus | smb | 10,000 | 16,000 | expansion 5,000 (add-on), price 1,000, interval -500, fx 500 |
| hal | smb | 40,000 | 40,000 | none |
| sum | | 1,500,000 | 1,406,000 | E 55,000, K 80,000, H 150,000, W 70,000, R 30,000 |
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core import ratios
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.core.table import Table, columns, empty
from expansion_platform.domain.metrics import expanders as metrics_expanders
from expansion_platform.domain.metrics import expansion, reconciliation_totals, retention, rollforward, tables
from expansion_platform.domain.metrics import rows as metrics_rows
from expansion_platform.domain.mrr import reconciliation, vocabulary
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS, ORGANIC
from expansion_platform.domain.pricing.policy import Policy

MONTH, QUIET = "2026-03", "2026-04"
HASHES = {"policy_hash": "p", "catalog_hash": "c"}


MOVED: dict[str, dict[str, Any]] = {
    "ada": {
        "flow_expansion": 50_000,
        "expansion_seat": 30_000,
        "expansion_tier": 20_000,
        "expansion_gross": 60_000,
        "contraction_gross": 10_000,
        "expansion_unadjusted": 50_000,
    },
    "bob": {
        "flow_contraction": -80_000,
        "flow_discount": -20_000,
        "contraction_seat": 80_000,
        "contraction_gross": 80_000,
    },
    "cy": {"flow_churn": -100_000, "movement": "churn"},
    "dee": {"flow_churn": -50_000, "movement": "churn", "dormant": True, "dormant_reason": "zero_usage"},
    "eve": {"flow_new": 70_000, "movement": "new"},
    "fay": {"flow_reactivation": 30_000, "movement": "reactivation"},
    "gus": {
        "flow_expansion": 5_000,
        "flow_price": 1_000,
        "flow_interval": -500,
        "flow_fx": 500,
        "expansion_addon": 5_000,
        "expansion_gross": 5_000,
        "expansion_unadjusted": 6_000,
    },
}


def customer(name: str, segment: str, opening: int, closing: int) -> dict[str, Any]:
    return {
        **HASHES,
        "month": MONTH,
        "customer": name,
        "segment": segment,
        "opening": opening,
        "closing": closing,
        "flow_fx": MOVED.get(name, {}).get("flow_fx", 0),
        "opening_arr": 12 * opening,
        "closing_arr": 12 * closing,
        "opening_list": opening,
        "closing_list": closing,
        "items": 1,
        "pricing_model": "seat",
        "closing_pricing_model": "seat",
        "first_paid_month": "2026-01",
        "first_paid_at": pd.Timestamp("2026-01-05", tz="UTC"),
    }


BOOK = [
    customer("ada", "enterprise", 1_000_000, 1_050_000),
    customer("bob", "mid_market", 300_000, 200_000),
    customer("cy", "smb", 100_000, 0),
    customer("dee", "smb", 50_000, 0),
    customer("eve", "smb", 0, 70_000),
    customer("fay", "smb", 0, 30_000),
    customer("gus", "smb", 10_000, 16_000),
    customer("hal", "smb", 40_000, 40_000),
]


def table(model: type[Table], rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of a table; what they do not say is null, zero, or an empty list where it is text."""
    silent = {
        name: None if column.nullable else {"int64": 0, "bool": False}.get(str(column.dtype), "[]")
        for name, column in columns(model).items()
    }
    return (
        model.validate(pd.DataFrame([silent | row for row in rows])[list(silent)]) if rows else empty(model)
    )


def customer_months(book: list[dict[str, Any]]) -> pd.DataFrame:
    return table(mrr.CustomerMonths, book)


def movements(book: list[dict[str, Any]]) -> pd.DataFrame:
    ends = ("policy_hash", "catalog_hash", "month", "customer", "segment", "opening", "closing")
    return table(
        mrr.Movements,
        [
            {name: row[name] for name in ends}
            | {
                "delta": row["closing"] - row["opening"],
                "movement": "continuing",
                "label": labelled(MOVED[row["customer"]]),
            }
            | MOVED[row["customer"]]
            for row in book
            if row["customer"] in MOVED
        ],
    )


def labelled(moved: dict[str, Any]) -> str:
    return str(moved.get("movement", "expansion" if "flow_expansion" in moved else "contraction"))


def sums(book: list[dict[str, Any]] = BOOK, months: tuple[str, ...] = (MONTH,)) -> pd.DataFrame:
    policy = Policy()
    return query(
        "metrics/slice_sums",
        {
            "months": pd.DataFrame({"month": months}),
            "customer_months": customer_months(book),
            "movements": movements(book),
            "policy": pd.DataFrame(
                {"enterprise_acv": [policy.enterprise_acv], "mid_market_acv": [policy.mid_market_acv]}
            ),
        },
    )


def told(
    rows: pd.DataFrame, dimension: str = "total", value: str = "all", month: str = MONTH
) -> dict[str, tuple[int, int | None, str | None]]:
    """Metric -> numerator, denominator, ratio."""
    rows = rows[(rows["dimension"] == dimension) & (rows["value"] == value) & (rows["month"] == month)]
    return {
        row.metric: (
            row.numerator,
            None if pd.isna(row.denominator) else int(row.denominator),
            None if pd.isna(row.ratio) else row.ratio,
        )
        for row in rows.itertuples()
    }


def test_a_customer_that_only_exchange_rates_moved_counts_in_every_sum() -> None:
    """It has no movement. Its rise is the flow fx and unadjusted expansion, it retains what it paid at
    opening rates, and it is no expander.
    """
    ivy = customer("ivy", "smb", 20_000, 21_000) | {"flow_fx": 1_000}
    before, after = (sums(book).set_index(["dimension", "value"]) for book in (BOOK, [*BOOK, ivy]))
    for name, added in {
        "fx": 1_000,
        "expansion_unadjusted": 1_000,
        "retained": 20_000,
        "opening": 20_000,
        "closing": 21_000,
        "members": 1,
    }.items():
        for of in (("total", "all"), ("segment", "smb")):
            assert after.at[of, name] - before.at[of, name] == added, name
    assert (
        after[["expansion", "expanders", "price", "churn"]]
        == before[["expansion", "expanders", "price", "churn"]]
    ).all(axis=None)
    reconciliation.customers_tie(customer_months([*BOOK, ivy]), movements(BOOK))
    with pytest.raises(DataQualityError, match="ivy/2026-03"):
        reconciliation.customers_tie(customer_months([*BOOK, ivy | {"flow_fx": 999}]), movements(BOOK))
    with pytest.raises(DataQualityError, match="gus/2026-03"):
        reconciliation.customers_tie(
            customer_months(BOOK),
            movements(BOOK).assign(flow_fx=0, flow_price=lambda rows: rows["flow_price"] + 500),
        )


def test_the_book_ties() -> None:
    reconciliation.customers_tie(customer_months(BOOK), movements(BOOK))
    reconciliation_totals.segments_sum(rollforward.rollforward(sums()))


def test_expansion_by_type() -> None:
    rows = expansion.expansion_by_type(sums())
    assert {value: told(rows, "type", value) for value in ORGANIC} == {
        "seat": {
            "expansion_rate": (30_000, 1_500_000, "0.0200000000"),
            "expansion_mix": (30_000, 55_000, "0.5454545455"),
            "contraction_rate": (80_000, 1_500_000, "0.0533333333"),
        },
        "tier": {
            "expansion_rate": (20_000, 1_500_000, "0.0133333333"),
            "expansion_mix": (20_000, 55_000, "0.3636363636"),
            "contraction_rate": (0, 1_500_000, "0.0000000000"),
        },
        "addon": {
            "expansion_rate": (5_000, 1_500_000, "0.0033333333"),
            "expansion_mix": (5_000, 55_000, "0.0909090909"),
            "contraction_rate": (0, 1_500_000, "0.0000000000"),
        },
        **{
            nothing: {
                "expansion_rate": (0, 1_500_000, "0.0000000000"),
                "expansion_mix": (0, 55_000, "0.0000000000"),
                "contraction_rate": (0, 1_500_000, "0.0000000000"),
            }
            for nothing in ("usage", "cross_sell")
        },
    }


def test_expansion_by_segment() -> None:
    rows = expansion.expansion_by_segment(sums())
    rates = {value: told(rows, "segment", value)["expansion_rate"] for value in vocabulary.SEGMENTS}
    assert rates == {
        "enterprise": (50_000, 1_000_000, "0.0500000000"),
        "mid_market": (0, 300_000, "0.0000000000"),
        "smb": (5_000, 200_000, "0.0250000000"),
    }
    assert told(rows, "segment", "smb")["expander_rate"] == (1, 4, "0.2500000000")


def test_expanders_of_a_segment() -> None:
    smb = told(metrics_expanders.expanders(sums()), "segment", "smb")
    assert smb["median_expansion"] == (10_000, 2, "5000.0000000000")  # gus alone is in the middle twice
    assert smb["expansion_share_of_growth"] == (5_000, 0, None)  # 200,000 to 156,000
    assert told(metrics_expanders.expanders(sums()), "segment", "mid_market")["top_10_share"] == (0, 0, None)


def test_a_few_large_expanders_are_seen_beside_many_small_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve that grew by 1 to 12: the ten largest are 75 of 78, the middle two 6 and 7."""
    grown = {f"c{number:02d}": number for number in range(1, 13)}
    monkeypatch.setattr(
        "expansion_platform_tests.domain.metrics.test_one_month.MOVED",
        {
            name: {
                "flow_expansion": up,
                "expansion_seat": up,
                "expansion_gross": up,
                "expansion_unadjusted": up,
                "label": "expansion",
            }
            for name, up in grown.items()
        },
    )
    rows = told(
        metrics_expanders.expanders(
            sums([customer(name, "smb", 100, 100 + up) for name, up in grown.items()])
        )
    )
    assert rows["top_10_share"] == (75, 78, "0.9615384615")
    assert rows["median_expansion"] == (13, 2, "6.5000000000")
    assert rows["expansion_share_of_growth"] == (78, 78, "1.0000000000")


def test_rollforward_and_the_customer_who_became_smaller() -> None:
    rows = rollforward.rollforward(sums()).set_index("value")
    total = rows.loc["all"]
    assert [int(total[name]) for name in ("opening", *FLOWS, "closing")] == [
        1_500_000, 70_000, 30_000, 55_000, -80_000, 1_000, -20_000, -500, 500, -150_000, 1_406_000,
    ]  # fmt: skip
    assert rows["transfer_in"].to_dict() == {"all": 0, "enterprise": 0, "mid_market": 0, "smb": 200_000}
    assert rows["transfer_out"].to_dict() == {"all": 0, "enterprise": 0, "mid_market": 200_000, "smb": 0}


def test_a_month_with_nobody_has_no_base_and_no_losses() -> None:
    rows = retention.retention(sums(months=(MONTH, QUIET)))
    quiet = rows[rows["month"] == QUIET]
    assert set(quiet["value"]) == {"all", *vocabulary.SEGMENTS}
    assert (quiet["numerator"] == 0).all()
    assert quiet["ratio"].isna().all()
    quality = quiet[quiet["dimension"] == "total"].set_index("metric")["quality"]
    assert quality["nrr"] == quality["logo_churn"] == "no_base"
    assert quality["quick_ratio"] == quality["quick_ratio_with_reactivation"] == "no_losses"
    mix = expansion.expansion_by_type(sums([], (QUIET,))).query("metric == 'expansion_mix'")
    assert set(mix["quality"]) == {"no_base"}


def test_one_customer() -> None:
    rows = retention.retention(sums([BOOK[7]]))
    assert told(rows)["nrr"] == (40_000, 40_000, "1.0000000000")
    assert told(rows)["quick_ratio"] == (0, 0, None)
    assert set(rows.query("dimension == 'total' and metric == 'nrr'")["quality"]) == {"low_n"}


def test_dormant_customers_stand_beside_those_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of five members one left, three pay nothing for what they still hold, one stays; one of two that pay
    again had held its items all along.
    """
    moves = {
        "left": {"flow_churn": -100, "movement": "churn"},
        "idle": {"flow_churn": -200, "movement": "churn", "dormant": True, "dormant_reason": "zero_usage"},
        "free": {"flow_churn": -300, "movement": "churn", "dormant": True, "dormant_reason": "full_discount"},
        "none": {"flow_churn": -400, "movement": "churn", "dormant": True, "dormant_reason": "full_discount"},
        "back": {"flow_reactivation": 500, "movement": "reactivation"},
        "woke": {
            "flow_reactivation": 600,
            "movement": "reactivation",
            "dormant": True,
            "dormant_reason": "zero_quantity",
        },
    }
    monkeypatch.setattr("expansion_platform_tests.domain.metrics.test_one_month.MOVED", moves)
    ends = {
        name: (-move.get("flow_churn", 0), move.get("flow_reactivation", 0)) for name, move in moves.items()
    } | {"stay": (1, 1)}
    rows = told(
        retention.retention(sums([customer(name, "smb", *amounts) for name, amounts in ends.items()])),
        "segment",
        "smb",
    )
    assert {name: rows[name] for name in rows if "logo" in name or "dormant" in name} == {
        "logo_churn": (1, 5, "0.2000000000"),
        "dormant_churn": (3, 5, "0.6000000000"),
        "dormant_churn_full_discount": (2, None, None),
        "dormant_churn_zero_quantity": (0, None, None),
        "dormant_churn_zero_usage": (1, None, None),
        "dormant_churn_mrr": (900, None, None),
        "logo_reactivation": (1, None, None),
        "dormant_reactivation": (1, None, None),
        "dormant_reactivation_mrr": (600, None, None),
    }


@pytest.mark.parametrize(
    ("members", "expanders", "quality"), [(30, 5, "ok"), (29, 5, "low_n"), (30, 4, "low_n")]
)
def test_quality_by_size(members: int, expanders: int, quality: str) -> None:
    assert set(expansion.expansion(sums().assign(members=members, expanders=expanders))["quality"]) == {
        quality
    }
    assert metrics_rows.quality_by_size(members, expanders, complete=False) == (
        "provisional" if quality == "ok" else "low_n"
    )


@pytest.mark.parametrize(
    ("arr", "segment"),
    [(9_999_999, "mid_market"), (10_000_000, "enterprise"), (2_499_999, "smb"), (2_500_000, "mid_market")],
)
def test_a_segment_begins_at_its_bound(arr: int, segment: str) -> None:
    """The next opening's segment is by closing ARR; everything else stays where it was."""
    leaver = {**BOOK[7], "segment": "smb", "closing_arr": arr}
    rows = rollforward.rollforward(sums([leaver])).set_index("value")
    assert rows.at[segment, "transfer_in"] == (40_000 if segment != "smb" else 0)


@pytest.mark.parametrize(
    "frame",
    [
        expansion.expansion,
        expansion.expansion_by_type,
        expansion.expansion_by_segment,
        retention.retention,
        metrics_expanders.expanders,
    ],
)
def test_rows_are_the_tables(frame: Any) -> None:
    for months in ((MONTH,), (QUIET,), (MONTH, QUIET)):
        tables.MetricValue.validate(frame(sums(months=months)).assign(**HASHES))


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [
        (1, 3, "0.3333333333"),
        (2, 3, "0.6666666667"),
        (-1, 3, "-0.3333333333"),
        (5, 10**11, "0.0000000000"),  # a half rounds to even
        (15, 10**11, "0.0000000002"),
        (-5, 10**11, "0.0000000000"),
        (0, 7, "0.0000000000"),
        (7, 0, None),
        (0, 0, None),
        (10**17 + 1, 10**17, "1.0000000000"),
        (123, 10, "12.3000000000"),
    ],
)
def test_ratio_text(numerator: int, denominator: int, text: str | None) -> None:
    assert ratios.ratio_text(numerator, denominator) == text
