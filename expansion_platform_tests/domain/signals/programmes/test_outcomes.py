"""Rows of signals/programmes from a few customers, worked out by hand, and of a fair simulated programme."""

from __future__ import annotations

import json
from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.statistics import newcombe
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.programmes.holdout import arm
from expansion_platform.domain.signals.programmes.observational import deciles, stratified
from expansion_platform.domain.signals.programmes.outcomes import compute_programmes
from expansion_platform.domain.signals.programmes.plans import programme_plans
from expansion_platform.domain.signals.tables import Features, ProgrammeOutcomes, Readiness
from expansion_platform.domain.stripe.tables import Customers
from expansion_platform_tests.domain.signals.programmes.programme_inputs import (
    assigned,
    heavy,
    inputs,
    planned,
    valid,
)

ON = "2026-03-10"
"""April, May and June count."""
JUNE = "2026-06"
Expansions = Iterable[tuple[str, str, int]]


def tables(
    customers: Iterable[str], expansions: Expansions, readiness: dict[str, int] | None = None
) -> dict[Any, list[dict[str, Any]]]:
    """Of customers in Stripe that paid in February, and what they expanded by: customer, month, amount."""
    names, scores = list(customers), readiness or {}
    before = {"month": "2026-02"}
    return {
        Customers: [{"id": name} for name in names],
        Features: [
            {**before, "customer": name, "segment": "smb", "mrr": 1000 + at, "tenure_months": at % 7}
            for at, name in enumerate(names)
        ],
        Readiness: [{**before, "customer": name, "score": scores.get(name, 50)} for name in names],
        mrr.Movements: [
            {"month": month, "customer": name, "flow_expansion": amount} for name, month, amount in expansions
        ],
    }


def rows_of(months: list[str], **given: Any) -> Any:
    data = given.pop("data")
    found = compute_programmes(months, inputs(data, **given)).frames[ProgrammeOutcomes]
    return valid(ProgrammeOutcomes, found).set_index(["month", "programme"])


def arms(treated: int, control: int, randomised: str = "true") -> pd.DataFrame:
    names = [(f"cus_t{n}", "treatment") for n in range(treated)]
    names += [(f"cus_c{n}", "control") for n in range(control)]
    return assigned(*(("autumn", name, side, ON, randomised) for name, side in names))


def test_counts_sums_and_worth_by_hand() -> None:
    """Four and four. Treatment: 400 + 200 of one in April and June, 100 of another; control: 100 of one.
    Expansion before April and after June is not the programme's.
    """
    given = arms(4, 4)
    moved = [
        ("cus_t0", "2026-04", 400),
        ("cus_t0", "2026-06", 200),
        ("cus_t1", "2026-05", 100),
        ("cus_t2", "2026-03", 9000),
        ("cus_t2", "2026-07", 9000),
        ("cus_c0", "2026-05", 100),
        ("cus_other", "2026-05", 7000),
    ]
    data = tables([*given["customer"], "cus_other"], moved)
    plan = planned(("autumn", "0.5", "amount", "2.00", "0.8", "10"))
    found = rows_of([JUNE, "2026-08"], data=data, assignments=given, programmes=plan)
    row = found.loc[(JUNE, "autumn")]
    assert row["basis"] == "randomised"
    assert row["verdict"] == "not shown to differ"
    sides = ["members", "measured", "expanders", "expansion"]
    assert [row[f"{name}_treatment"] for name in sides] == [4, 4, 2, 700]
    assert [row[f"{name}_control"] for name in sides] == [4, 4, 1, 100]
    assert (row["share_treatment"], row["share_control"]) == ("0.500000", "0.250000")
    low, high = newcombe(0.5, 4, 0.25, 4)
    assert row["share_difference"] == "0.250000"
    assert (float(row["share_low"]), float(row["share_high"])) == pytest.approx((low, high), abs=1e-6)
    assert row["amount_difference"] == "150.000000"  # 175 - 25
    assert row["incremental"] == 600  # 150 of each of four
    assert (row["influenced_share"], row["natural_share"]) == ("0.857143", "0.142857")
    assert row["roi"] == "23.000000"  # (6.00 * 0.8 * 10 - 2.00) / 2.00
    assert row["sample_ratio_p"] == "1.000000"
    assert json.loads(row["notes_json"]) == []
    pd.testing.assert_series_equal(row, found.loc[("2026-08", "autumn")], check_names=False)


def test_until_three_months_are_over_it_is_too_early_and_nothing_is_claimed() -> None:
    given = arms(4, 4)
    data = tables(given["customer"], [("cus_t0", "2026-04", 400)])
    found = rows_of(["2026-02", "2026-03", "2026-05", JUNE], data=data, assignments=given)
    assert found.index.get_level_values("month").tolist() == ["2026-03", "2026-05", JUNE]
    early = found.loc[("2026-05", "autumn")]
    assert early["verdict"] == "too early"
    assert (early["members_treatment"], early["measured_treatment"], early["expansion_treatment"]) == (
        4,
        0,
        0,
    )
    assert early[["share_difference", "amount_difference", "incremental", "roi"]].isna().all()
    assert any("8 customers not measured yet" in note for note in json.loads(early["notes_json"]))
    # One that comes later is waited for: a verdict of those measured so far would be a second look.
    late = pd.concat([given, assigned(("autumn", "cus_late", "treatment", "2026-05-04"))])
    data = tables(late["customer"], [("cus_t0", "2026-04", 400)])
    row = rows_of([JUNE], data=data, assignments=late).loc[(JUNE, "autumn")]
    assert (row["verdict"], row["measured_treatment"]) == ("too early", 4)
    assert pd.isna(row["incremental"])
    assert row["share_difference"] == "0.250000"


def test_customers_that_leave_stay_with_nothing() -> None:
    """Those without a row in any later month count in the denominator."""
    given = arms(3, 2)
    row = rows_of(
        [JUNE], data=tables(given["customer"], [("cus_t0", "2026-04", 300)]), assignments=given
    ).loc[(JUNE, "autumn")]
    assert (row["measured_treatment"], row["share_treatment"]) == (3, "0.333333")
    assert row["amount_difference"] == "100.000000"


def test_customers_that_stripe_does_not_have_or_in_both_arms_are_named() -> None:
    given = pd.concat(
        [
            arms(3, 3),
            assigned(("autumn", "cus_t0", "control", "2026-03-12"), ("autumn", "cus_typo", "control", ON)),
        ]
    )
    data = tables([name for name in given["customer"].unique() if name != "cus_typo"], [])
    row = rows_of([JUNE], data=data, assignments=given).loc[(JUNE, "autumn")]
    assert (row["members_treatment"], row["members_control"], row["left_out"]) == (2, 3, 2)
    assert json.loads(row["left_out_json"]) == {
        "in both arms": [1, ["cus_t0"]],
        "not in Stripe": [1, ["cus_typo"]],
    }
    assert any("EXPANSION_PROGRAMMES does not have it" in note for note in json.loads(row["notes_json"]))
    assert row[["planned_share", "sample_ratio_p", "cost", "roi", "amount_low"]].isna().all()


def test_arms_of_other_sizes_than_planned_are_invalid() -> None:
    """180 and 220 at a half: z = 2, p = 0.0455; 160 and 240: z = 4, p = 0.000063."""
    for treated, p, verdict in ((180, 0.0455, "not shown to differ"), (160, 0.000063, "invalid assignment")):
        given = arms(treated, 400 - treated)
        data = tables(given["customer"], [("cus_t0", "2026-04", 300), ("cus_c0", "2026-04", 300)])
        plan = planned(("autumn", "0.5", None, "100", "0.5"))
        row = rows_of([JUNE], data=data, assignments=given, programmes=plan).loc[(JUNE, "autumn")]
        assert float(row["sample_ratio_p"]) == pytest.approx(p, abs=1e-4 if p > 0.01 else 1e-6)
        assert row["verdict"] == verdict
        assert pd.isna(row["roi"]) is (verdict == "invalid assignment")


def test_customers_that_were_picked_are_compared_and_never_credited() -> None:
    """Ready ones (90) were picked: two treated beside two others; of the rest (10) four beside one.

    Within those of 90: shares 1 - 0.5; of 10: 0.25 - 0. Weighted by 2 and 4: 1/3. Amounts: 300 - 100 and
    100 - 0, so (2 * 200 + 4 * 100) / 6.
    """
    given = arms(6, 3, "false")
    ready = dict.fromkeys(("cus_t0", "cus_t1", "cus_c0", "cus_c1"), 90)
    scores = {name: ready.get(name, 10) for name in given["customer"]}
    moved = [("cus_t0", "2026-04", 200), ("cus_t1", "2026-05", 400), ("cus_t2", "2026-06", 400)]
    moved += [("cus_c0", "2026-04", 200)]
    plan = planned(("autumn", "0.6", "share", "10", "0.9"))
    data = tables(given["customer"], moved, scores)
    row = rows_of([JUNE], data=data, assignments=given, programmes=plan).loc[(JUNE, "autumn")]
    assert row["basis"] == "observational, not causal"
    nothing = ["verdict", "incremental", "roi", "share_difference", "amount_difference", "influenced_share"]
    assert row[nothing].isna().all()
    assert row["stratified_share"] == "0.333333"
    assert row["stratified_amount"] == "133.333333"
    assert row["stratified_customers"] == 9


def test_strata_that_have_one_arm_compare_with_nobody() -> None:
    units = pd.DataFrame(
        {
            "treated": [True, False],
            "segment": pd.Series(["smb", None], dtype="str"),
            "readiness": [50.0, np.nan],
            "expansion": [5, 0],
        }
    )
    found = stratified(units)
    assert (found.share, found.amount, found.customers) == (None, None, 0)
    assert deciles(pd.Series([*np.arange(20.0), np.nan])).tolist() == [*np.repeat(range(10), 2), -1]
    assert stratified(units.iloc[:0]).customers == 0


def drawn(share: tuple[float, float], size: int = 400) -> tuple[pd.DataFrame, Expansions]:
    """A programme drawn by the hash, one half control, and heavy-tailed expansion in May."""
    names = [f"cus_{number}" for number in range(size)]
    sides = [arm("autumn", name, Fraction(1, 2)) for name in names]
    amounts = heavy(np.random.default_rng(11), np.array(sides) == "treatment", share)
    moved = [(name, "2026-05", int(each)) for name, each in zip(names, amounts, strict=True) if each]
    return assigned(*(("autumn", name, side, ON) for name, side in zip(names, sides, strict=True))), moved


def test_a_large_effect_is_shown_with_an_interval_of_its_return_whatever_the_order_of_rows() -> None:
    given, moved = drawn((0.4, 0.1))
    plan = planned(("autumn", "0.5", "share", "1000", "0.8"))
    data = tables(given["customer"], moved)
    row = rows_of([JUNE], data=data, assignments=given, programmes=plan).loc[(JUNE, "autumn")]
    assert row["verdict"] == "shown"
    assert not row["balance_flagged"]
    assert row["incremental_low"] < row["incremental"] < row["incremental_high"]
    for end in ("", "_low", "_high"):
        gained = row[f"incremental{end}"] * 0.8 * 12
        assert float(row[f"roi{end}"]) == pytest.approx((gained - 100_000) / 100_000, abs=1e-4)
    assert float(row["amount_p"]) <= 0.01
    shuffled = {model: list(reversed(rows)) for model, rows in data.items()}
    again = rows_of([JUNE], data=shuffled, assignments=given.iloc[::-1], programmes=plan)
    pd.testing.assert_series_equal(again.loc[(JUNE, "autumn")], row)


def test_the_primary_outcome_alone_decides() -> None:
    """Twice as many expand by a tenth each: the share differs, the amount does not."""
    given, moved = drawn((0.3, 0.1))
    treated = set(given.loc[given["arm"] == "treatment", "customer"])
    moved = [(name, month, each // 4 if name in treated else each) for name, month, each in moved]
    data = tables(given["customer"], moved)
    found = {
        primary: rows_of(
            [JUNE], data=data, assignments=given, programmes=planned(("autumn", "0.5", primary))
        ).loc[(JUNE, "autumn"), "verdict"]
        for primary in ("share", "amount")
    }
    assert found == {"share": "shown", "amount": "not shown to differ"}


def test_arms_that_were_not_alike_are_flagged() -> None:
    given = arms(200, 200)
    data = tables(given["customer"], [("cus_t0", "2026-04", 100)])
    assert (
        data[Features][0]["customer"] == "cus_t0"
    )  # MRR rises from the first to the last: all of control is above
    row = rows_of([JUNE], data=data, assignments=given).loc[(JUNE, "autumn")]
    assert row["balance_flagged"]
    assert float(json.loads(row["balance_json"])["log_mrr"]) < -1
    assert any("differed before the programme" in note for note in json.loads(row["notes_json"]))


def test_without_programmes_there_are_no_rows_and_nothing_is_read() -> None:
    found = compute_programmes([JUNE], inputs({})).frames[ProgrammeOutcomes]
    assert valid(ProgrammeOutcomes, found).empty


def test_customers_of_whom_nothing_is_known_before() -> None:
    given = arms(3, 3)
    data = {**tables(given["customer"], []), Features: [], Readiness: [], mrr.Movements: []}
    row = rows_of([JUNE], data=data, assignments=given).loc[(JUNE, "autumn")]
    assert (row["balance_json"], row["verdict"], row["expanders_treatment"]) == (
        "{}",
        "not shown to differ",
        0,
    )
    assert row[["amount_low", "amount_high", "incremental_low", "detectable_amount"]].isna().all()


def test_a_cost_with_a_part_of_a_cent_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"cost of programme autumn is 1\.005"):
        programme_plans(planned(("autumn", "0.5", None, "1.005")), "usd")
    assert programme_plans(planned(("autumn", "0.5", None, "1.050")), "usd")["autumn"].worth.cost == 105
