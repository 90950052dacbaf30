"""A month cut within it, and the pace of months before it, worked out by hand."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import NO_PLANS
from expansion_platform.domain.metrics import pace
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr.vocabulary import FLOWS
from expansion_platform_tests.domain.books import catalog, item
from expansion_platform_tests.domain.frames import dated, states

MONTH = "2026-03"
AT = pd.Timestamp("2026-03-18T06:00Z")
SEATS, CALLS = (
    item("i1", "basic", "100", "10"),
    item("i2", "api", "10", "500", usage_type="metered", customer="c2"),
)


def to_date(
    *history: pd.DataFrame, at: pd.Timestamp = AT, rates: dict[str, str] | None = None, **more: Any
) -> dict[str, dict[str, int]]:
    """Flows that are not zero, by customer."""
    made = Catalog.from_dict(catalog(**more))
    rows = pd.concat(history, ignore_index=True)
    moved = pace.month_to_date(
        rows, MONTH, at, catalog=made, rates=rates or {}, ever_paid=["c9"], timezone="UTC", plans=NO_PLANS
    )
    return {
        row["customer"]: {name: row[f"flow_{name}"] for name in FLOWS if row[f"flow_{name}"]}
        for row in moved.to_dict("records")
    }


def grown(on: str, **changed: Any) -> list[pd.DataFrame]:
    """Ten seats of 1.00 that become fifteen on a day."""
    more = SEATS | {"quantity": "15"} | changed
    return [dated(states([SEATS | changed]), "2026-01-01", on), dated(states([more]), on, None)]


def test_what_happened_up_to_the_instant_counts_and_what_comes_after_does_not() -> None:
    assert to_date(*grown("2026-03-17")) == {"c1": {"expansion": 500}}
    assert to_date(*grown("2026-03-18T06:00:00")) == {}  # at the instant itself: not before it
    assert to_date(*grown("2026-03-19")) == {}
    # The opening instant belongs to the month.
    assert to_date(*grown("2026-03-01")) == {"c1": {"expansion": 500}}
    assert to_date(*grown("2026-02-28")) == {}


def test_who_came_back_left_and_is_new() -> None:
    def held(customer: str, start: str, end: str | None) -> pd.DataFrame:
        return dated(states([item(f"i_{customer}", "basic", "100", "10", customer=customer)]), start, end)

    assert to_date(
        held("c7", "2026-03-02", None), held("c8", "2026-01-01", "2026-03-05"), held("c9", "2026-03-06", None)
    ) == {
        "c7": {"new": 1000},
        "c8": {"churn": -1000},
        "c9": {"reactivation": 1000},
    }


def test_usage_that_is_not_reported_yet_is_no_contraction() -> None:
    """500 calls in February, 20 by the 18th of March, and a price that fell: the last complete month's calls
    at the new price.
    """
    cheaper = CALLS | {"quantity": "20", "scheme": {"type": "per_unit", "unit": "5"}}
    assert (
        to_date(
            dated(states([CALLS]), "2026-02-01", "2026-03-01"),
            dated(states([CALLS | {"quantity": "20"}]), "2026-03-01", None),
        )
        == {}
    )
    repriced = to_date(
        dated(states([CALLS]), "2026-02-01", "2026-03-01"), dated(states([cheaper]), "2026-03-01", None)
    )
    assert repriced == {"c2": {"price": -2500}}


def test_usage_of_an_item_that_came_since_is_pending() -> None:
    seats = dated(states([SEATS | {"customer": "c2"}]), "2026-01-01", None)
    assert to_date(seats, dated(states([CALLS]), "2026-03-02", None)) == {}


def test_exchange_rates_stay_those_of_the_opening() -> None:
    assert to_date(*grown("2026-03-17", currency="eur"), rates={"eur": "1.10"}) == {"c1": {"expansion": 550}}


def test_merged_customers_are_one() -> None:
    moved = [
        dated(states([item("i1", "basic", "100", "10", customer="old")]), "2026-01-01", "2026-03-04"),
        dated(states([item("i1", "basic", "100", "12", customer="c1")]), "2026-03-04", None),
    ]
    assert to_date(*moved, aliases={"old": "c1"}) == {"c1": {"expansion": 200}}


@pytest.mark.parametrize(
    ("month", "at", "point"),
    [
        ("2026-02", "2026-03-18T06:00Z", "2026-02-18T06:00Z"),
        ("2026-02", "2026-03-31T06:00Z", "2026-03-01T00:00Z"),  # a shorter month is over by then
        ("2025-12", "2026-03-31T06:00Z", "2025-12-31T06:00Z"),
    ],
)
def test_the_same_point_of_another_month(month: str, at: str, point: str) -> None:
    assert pace.same_point(month, MONTH, pd.Timestamp(at), "UTC") == pd.Timestamp(point)


def test_the_same_point_is_of_the_reporting_time_zone() -> None:
    assert pace.same_point(
        "2026-02", MONTH, pd.Timestamp("2026-03-17T23:00Z"), "Europe/Berlin"
    ) == pd.Timestamp("2026-02-17T23:00Z")


@given(
    st.lists(st.fractions(0, 2, max_denominator=1000), min_size=1, max_size=6),
    st.sampled_from(list(pace.SHARES.values())),
)
def test_quantiles_are_numpys(values: list[Fraction], at: Fraction) -> None:
    assert float(pace.quantile(values, at)) == pytest.approx(
        float(np.quantile([float(value) for value in values], float(at))), abs=1e-12
    )


def moved(**segments: int) -> pd.DataFrame:
    """A movement a segment, of so much expansion."""
    rows = [
        {"segment": name, **{f"flow_{flow}": 0 for flow in FLOWS}, "flow_expansion": amount}
        for name, amount in segments.items()
    ]
    return pd.DataFrame(rows, columns=["segment", *(f"flow_{flow}" for flow in FLOWS)])


def ended(month: str, **segments: int) -> list[dict[str, Any]]:
    """The roll-forward of a month that ended with 1,000.00 in smb and 500.00 in enterprise, 100.00 of which
    crossed over to it.
    """
    row = {"month": month, "transfer_in": 0, "transfer_out": 0}
    return [
        row | {"dimension": "total", "value": "all", "closing": 150_000, "expansion": sum(segments.values())},
        row
        | {
            "dimension": "segment",
            "value": "smb",
            "closing": 100_000,
            "expansion": segments.get("smb", 0),
            "transfer_out": 10_000,
        },
        row | {"dimension": "segment", "value": "mid_market", "closing": 0, "expansion": 0},
        row
        | {
            "dimension": "segment",
            "value": "enterprise",
            "closing": 50_000,
            "expansion": segments.get("enterprise", 0),
            "transfer_in": 10_000,
        },
    ]


def judged(expansion: int, *, day: int = 18, months: int = 6, target: str | None = "0.02") -> pd.DataFrame:
    """Six months that had made 40, 50, ... 90 % by then: the 10th percentile is 45 %, so that 2 % of 1,500.00
    asks for 13.50.
    """
    wanted = pace.compared(MONTH)
    then = {name: moved(smb=400 + 100 * place) for place, name in enumerate(wanted)}
    rows = pace.pace(
        MONTH,
        at=pd.Timestamp(f"2026-03-{day:02d}T06:00Z"),
        so_far=moved(smb=expansion, enterprise=5),
        then={name: then[name] for name in wanted[6 - months :]},
        rollforward=pd.DataFrame([row for name in wanted for row in ended(name, smb=1000)]),
        targets={"total": None if target is None else Fraction(target)},
        timezone="UTC",
    )
    return metrics.Pace.validate(rows.assign(policy_hash="p", catalog_hash="c")).set_index("value")


def test_the_open_month_beside_its_pace() -> None:
    rows = judged(1344)
    total = rows.loc["all"]
    assert (total["opening"], total["expansion"], total["closing"], total["day"]) == (
        150_000,
        1349,
        151_349,
        18,
    )
    assert [total[name] for name in pace.SHARES] == [
        "0.4500000000",
        "0.5250000000",
        "0.6500000000",
        "0.7750000000",
    ]
    assert (total["target"], total["due"], total["behind"]) == ("0.0200000000", 1350, True)
    # After who crossed over.
    assert rows["opening"].to_dict() == {"all": 150_000, "smb": 90_000, "mid_market": 0, "enterprise": 60_000}
    # Only months with expansion have a pace.
    assert rows["months_compared"].to_dict() == {"all": 6, "smb": 6, "mid_market": 0, "enterprise": 0}
    assert rows.loc[["mid_market", "enterprise"], "share_p10"].isna().all()
    assert set(rows["quality"]) == {"provisional"}


@pytest.mark.parametrize(
    ("expansion", "more", "behind"),
    [
        (1345, {}, False),  # exactly what is due
        (1344, {"day": 16}, True),
        (1344, {"day": 15}, None),
        (1344, {"target": None}, None),
        (1344, {"months": 2}, None),
        (0, {"months": 3}, True),
    ],
)
def test_a_month_is_behind_under_what_is_due_after_the_fifteenth(
    expansion: int, more: dict[str, Any], behind: bool | None
) -> None:
    found = judged(expansion, **more).loc["all", "behind"]
    assert (None if pd.isna(found) else bool(found)) == behind


def test_a_gain_that_was_taken_back_is_a_share_above_one() -> None:
    rollforward = pd.DataFrame([row for name in pace.compared(MONTH) for row in ended(name, smb=100)])
    rows = pace.pace(
        MONTH, at=AT, so_far=moved(), then={"2026-02": moved(smb=250)}, rollforward=rollforward, targets={},
        timezone="UTC"
    )  # fmt: skip
    assert rows.set_index("value").loc["all", "shares_json"] == '{"2026-02":"2.5000000000"}'
