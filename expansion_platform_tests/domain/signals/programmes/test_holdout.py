"""The draw of a control group: always the same, independent of other programmes, of the share asked."""

from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.tables import Assignments
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.programmes.holdout import arm, holdout

NAMES = [f"cus_{number}" for number in range(20_000)]
ON = date(2026, 3, 5)
TENTH = Fraction(1, 10)


def test_about_a_tenth_is_control_and_programmes_are_independent() -> None:
    one = [arm("autumn", name) == "control" for name in NAMES]
    other = [arm("winter", name) == "control" for name in NAMES]
    both = sum(a and b for a, b in zip(one, other, strict=True))
    # 2,000 +- 4 standard errors of 42; both 200 +- 4 of 14.
    assert abs(sum(one) - 2000) < 170
    assert abs(sum(other) - 2000) < 170
    assert abs(both - 200) < 57


@given(st.text(), st.text(), st.fractions(Fraction(1, 100), Fraction(1, 2)))
def test_a_larger_share_keeps_the_control_group(programme: str, customer: str, share: Fraction) -> None:
    assert arm(programme, customer, share) == arm(programme, customer, share)
    if arm(programme, customer, share) == "control":
        assert arm(programme, customer, share + Fraction(1, 4)) == "control"


def test_names_do_not_run_into_each_other() -> None:
    """`a` + `bc` and `ab` + `c` are different draws: of 200 such pairs some differ at one half."""
    half = Fraction(1, 2)
    pairs = [(arm(f"p{n}", f"1c{n}", half), arm(f"p{n}1", f"c{n}", half)) for n in range(200)]
    assert 60 < sum(a != b for a, b in pairs) < 140


@pytest.mark.parametrize("share", [Fraction(0), Fraction(1), Fraction(-1, 2)])
def test_no_such_share(share: Fraction) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        arm("autumn", "cus_1", share)


def test_rows_are_assignments_and_aliases_have_one_arm() -> None:
    catalog = Catalog.from_dict({"aliases": {"cus_old": "cus_7"}, "excluded_customers": ["cus_me"]})
    rows = holdout("autumn", ["cus_old", "cus_7", "cus_me", "cus_3"], TENTH, ON, catalog)
    assert validate(Assignments, rows)["customer"].tolist() == ["cus_3", "cus_7"]
    assert set(rows["assigned_at"]) == {"2026-03-05"}
    assert rows.equals(holdout("autumn", ["cus_3", "cus_7"], TENTH, ON, catalog))
