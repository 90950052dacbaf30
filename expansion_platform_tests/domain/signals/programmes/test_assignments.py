"""Who is in which arm of a programme at a close, whom it leaves out, and which months count."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.signals.programmes.assignments import (
    Units,
    arms_at,
    assignments_by_month,
    units_of,
)
from expansion_platform_tests.domain.signals.programmes.programme_inputs import assigned, inputs

KNOWN = frozenset({"cus_1", "cus_2", "cus_3", "cus_4"})
CLOSE = pd.Timestamp("2026-07-06", tz="UTC")


def units(
    given: pd.DataFrame, close: pd.Timestamp = CLOSE, timezone: str = "UTC", **catalog: object
) -> Units:
    return units_of(given, close, KNOWN, Catalog.from_dict(catalog), timezone, 5)


@pytest.mark.parametrize(
    ("at", "first", "before"),
    [
        ("2026-03-01", "2026-03", "2026-01"),  # February closes on 6 March
        ("2026-03-01T23:00:00Z", "2026-03", "2026-01"),
        ("2026-03-02", "2026-04", "2026-01"),
        ("2026-03-06", "2026-04", "2026-02"),
        ("2026-03-31T23:59:59Z", "2026-04", "2026-02"),
        ("2025-12-31", "2026-01", "2025-11"),
    ],
)
def test_the_first_whole_month_counts_and_the_newest_closed_one_is_before(
    at: str, first: str, before: str
) -> None:
    found = units(assigned(("autumn", "cus_1", "treatment", at))).rows
    assert found[["first_month", "before"]].to_numpy().tolist() == [[first, before]]


def test_a_day_begins_in_the_reporting_time_zone() -> None:
    """The first of March in Auckland begins on 28 February 11:00 UTC; it still is March's first day."""
    rows = assigned(("autumn", "cus_1", "treatment", "2026-03-01"))
    found = units(rows, timezone="Pacific/Auckland").rows.iloc[0]
    assert found["assigned_at"] == pd.Timestamp("2026-02-28T11:00Z")
    assert found["first_month"] == "2026-03"


def test_whom_arms_leave_out_and_why() -> None:
    given = assigned(
        ("autumn", "cus_1", "treatment", "2026-03-02"),
        ("autumn", "cus_1", "treatment", "2026-04-02"),
        ("autumn", "cus_2", "treatment", "2026-03-02"),
        ("autumn", "cus_2", "control", "2026-03-09"),
        ("autumn", "cus_old", "control", "2026-03-02"),  # merged into cus_3, which is in treatment
        ("autumn", "cus_3", "treatment", "2026-03-02"),
        ("autumn", "cus_gone", "control", "2026-03-02"),
        ("autumn", "cus_4", "control", "2026-03-02"),
        ("winter", "cus_2", "control", "2026-03-02"),
    )
    found = units(given, aliases={"cus_old": "cus_3"}, excluded_customers=["cus_4"])
    assert found.rows[["programme", "customer", "treated"]].to_numpy().tolist() == [
        ["autumn", "cus_1", True],
        ["winter", "cus_2", False],
    ]
    assert found.rows["assigned_at"].iloc[0] == pd.Timestamp("2026-03-02", tz="UTC")
    assert dict(zip(found.left_out["customer"], found.left_out["because"], strict=True)) == {
        "cus_2": "in both arms",
        "cus_3": "in both arms",
        "cus_4": "excluded by the catalog",
        "cus_gone": "not in Stripe",
    }


def test_a_close_sees_what_was_assigned_by_then() -> None:
    given = assigned(
        ("autumn", "cus_1", "treatment", "2026-03-02"), ("autumn", "cus_2", "control", "2026-07-06T00:00:01Z")
    )
    assert units(given).rows["customer"].tolist() == ["cus_1"]
    texts = [
        assignments_by_month(["2026-05", "2026-06", "2026-07"], rows, "UTC", 5)
        for rows in (given, given.iloc[::-1], given.iloc[:1])
    ]
    assert texts[0] == texts[1]
    assert texts[0]["2026-05"] == texts[0]["2026-06"] == texts[2]["2026-07"] != texts[0]["2026-07"]


def test_picked_once_is_picked() -> None:
    given = assigned(
        ("autumn", "cus_1", "treatment", "2026-03-02"),
        ("autumn", "cus_1", "treatment", "2026-04-02", "false"),
        ("autumn", "cus_2", "treatment", "2026-03-02"),
    )
    assert units(given).rows["randomised"].tolist() == [False, True]


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    given = assigned(
        *(
            (
                "autumn",
                f"cus_{number % 4}",
                ("treatment", "control")[number % 3 == 0],
                f"2026-03-0{number + 1}",
            )
            for number in range(6)
        )
    )
    one, other = units(given), units(given.iloc[order])
    pd.testing.assert_frame_equal(one.rows, other.rows)
    pd.testing.assert_frame_equal(one.left_out, other.left_out)


def test_nobody_assigned_is_no_rows() -> None:
    assert units(assigned()).rows.empty
    found = units(assigned(("autumn", "cus_none", "control", "2026-03-02")))
    assert found.rows.empty
    assert len(found.left_out) == 1


def test_candidates_show_the_arm_as_long_as_it_counts() -> None:
    """Assigned in March: April to June count, and from March's close to June's the arm is shown."""
    given = assigned(
        ("autumn", "cus_old", "control", "2026-03-02"),
        ("winter", "cus_1", "treatment", "2026-03-02"),
        ("autumn", "cus_2", "treatment", "2026-03-02"),
    )
    calendar = ["2026-02", "2026-03", "2026-06", "2026-07"]
    rows = pd.DataFrame(
        [(month, name) for month in calendar for name in ("cus_1", "cus_2", "cus_3")],
        columns=["month", "customer"],
        index=range(100, 112),
    )
    found = arms_at(rows, inputs({}, assignments=given, aliases={"cus_old": "cus_1"}))
    # 2 March is before the close of February, 6 March.
    held = ["control", "treatment", None]
    shown = [*held, *held, *held, None, None, None]
    assert found.index.equals(rows.index)
    assert found.astype(object).where(found.notna(), None).tolist() == shown
    nothing = arms_at(rows, inputs({}))
    assert nothing.isna().all()
