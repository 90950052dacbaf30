"""What expansion costs beside acquisition: exact, and absent where nobody says what was spent."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.metrics.expansion_cac import costs_by_month, expansion_cac
from expansion_platform.domain.metrics.tables import ExpansionCac

MONTH = "2026-03"


GOLDEN = {
    "expansion_cac": [1_200_000, 500_000, "2.4000000000", "ok"],
    "acquisition_cac": [9_000_000, 900_000, "10.0000000000", "ok"],
    "expansion_cac_ratio": [6, 25, "0.2400000000", "ok"],
}


def sums(month: str, expansion: int = 1, new: int = 1, members: int = 40, expanders: int = 9) -> pd.DataFrame:
    return pd.DataFrame(
        [{"month": month, "expansion": expansion, "new": new, "members": members, "expanders": expanders}]
    )


def rows(
    program: int = 0,
    acquisition: int = 0,
    expansion: int = 0,
    new: int = 0,
    members: int = 40,
    expanders: int = 9,
) -> pd.DataFrame:
    made = expansion_cac(sums(MONTH, expansion, new, members, expanders), {MONTH: (program, acquisition)})
    return ExpansionCac.validate(made.assign(policy_hash="p", catalog_hash="c"))


def told(
    program: int = 0,
    acquisition: int = 0,
    expansion: int = 0,
    new: int = 0,
    members: int = 40,
    expanders: int = 9,
) -> dict[str, list[Any]]:
    shown = (
        rows(program, acquisition, expansion, new, members, expanders)
        .set_index("metric")[["numerator", "denominator", "ratio", "quality"]]
        .astype(object)
    )
    return {
        str(metric): [None if pd.isna(value) else value for value in row]
        for metric, row in shown.T.to_dict("list").items()
    }


def test_one_month_by_hand() -> None:
    """12,000.00 for 5,000.00 of expansion is 2.40 a unit; 90,000.00 for 9,000.00 new is 10.00: 6/25."""
    assert told(1_200_000, 9_000_000, 500_000, 900_000) == GOLDEN


def test_programs_that_cost_nothing_are_a_ratio_of_nothing() -> None:
    assert told(0, 100, 50, 50)["expansion_cac_ratio"] == [0, 1, "0.0000000000", "ok"]


@pytest.mark.parametrize("without", ["acquisition", "expansion", "new"])
def test_without_something_to_divide_by_there_is_no_ratio(without: str) -> None:
    rows = told(**{"program": 100, "acquisition": 100, "expansion": 100, "new": 100, without: 0})
    assert rows["expansion_cac_ratio"] == [None, 0, None, "no_base"]


def test_few_customers_are_said_to_be_few() -> None:
    assert told(100, 100, 100, 100, members=29)["expansion_cac_ratio"][3] == "low_n"


def test_a_fraction_beyond_64_bits_keeps_its_quotient() -> None:
    rows = told(10**12 + 39, 10**12 + 61, 10**9 + 7, 10**9 + 9)  # all primes, so that nothing is reduced
    assert rows["expansion_cac_ratio"] == [None, None, "1.0000000020", "ok"]


def test_a_month_without_costs_has_no_figures() -> None:
    rows = expansion_cac(sums(MONTH), {"2026-02": (1, 1)})
    assert rows.empty
    ExpansionCac.validate(rows.assign(policy_hash="p", catalog_hash="c"))


def test_several_months_are_what_each_is_alone() -> None:
    book = pd.concat(
        [sums("2026-01", 100, 50), sums("2026-02"), sums("2026-03", 0, 7, 20)], ignore_index=True
    )
    spent = {"2026-01": (10**12 + 39, 10**12 + 61), "2026-03": (5, 0)}
    made = [
        expansion_cac(book, spent),
        pd.concat([expansion_cac(book[book["month"] == month], spent) for month in spent]),
    ]
    together, alone = (
        ExpansionCac.validate(
            each.sort_values(["month", "metric"], ignore_index=True).assign(policy_hash="p", catalog_hash="c")
        )
        for each in made
    )
    pd.testing.assert_frame_equal(together, alone)


def costs(**changed: str) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "month": MONTH,
                "program_cost": "12000.5",
                "acquisition_cost": "90000",
                "currency": "usd",
                **changed,
            }
        ]
    )


def test_costs_are_minor_units() -> None:
    assert costs_by_month(costs(), "usd") == {MONTH: (1_200_050, 9_000_000)}
    assert costs_by_month(costs(program_cost="12000", currency="jpy"), "jpy") == {MONTH: (12_000, 90_000)}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"currency": "eur"}, "2026-03 are in eur, and the reporting currency is usd"),
        ({"program_cost": "1.005"}, "2026-03 have more decimals than usd"),
    ],
)
def test_costs_that_cannot_be_are_named(changed: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        costs_by_month(costs(**changed), "usd")
