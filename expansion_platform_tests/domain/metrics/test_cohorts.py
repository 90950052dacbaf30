"""Cohorts followed by hand. US cents:

| month | ada (cohort January) | bob (cohort January) | cy (cohort March) |
|---|---|---|---|
| 2026-01 | new 1,000 | new 500 | |
| 2026-02 | expansion 200 | | |
| 2026-03 | | expansion 100 | new 400 |
| 2026-04 | expansion 300 | churn -600 | churn -400 |
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.metrics import cohorts, reconciliation
from expansion_platform.domain.metrics import tables as metrics

CALENDAR = months.between("2026-01", "2026-05")
LEVELS = {
    "ada": ("2026-01", [1_000, 1_200, 1_200, 1_500, 1_500]),
    "bob": ("2026-01", [500, 500, 600, 0, 0]),
    "cy": ("2026-03", [0, 0, 400, 0, 0]),
}
GREW = {("2026-02", "ada"): 200, ("2026-03", "bob"): 100, ("2026-04", "ada"): 300}


def sums() -> pd.DataFrame:
    held = []
    for customer, (cohort, levels) in LEVELS.items():
        for month, before, after in zip(CALENDAR, [0, *levels], levels, strict=False):
            if before or after:
                held.append(
                    {"month": month, "customer": customer, "first_paid_month": cohort, "closing": after}
                )
    moved = [
        {"month": month, "customer": customer, "flow_expansion": amount}
        for (month, customer), amount in GREW.items()
    ]
    return query(
        "metrics/cohort_sums", {"customer_months": pd.DataFrame(held), "movements": pd.DataFrame(moved)}
    )


def rows(month: str, known: list[str] = CALENDAR) -> pd.DataFrame:
    told = cohorts.cohort_expansion([month], sums(), set(known))
    return metrics.CohortExpansion.validate(told.assign(policy_hash="p", catalog_hash="c"))


def told(frame: pd.DataFrame) -> dict[str, list[Any]]:
    """Cohort -> age, customers, paying, expanders, starting MRR, expansion, cumulative expansion, its rate,
    closing.
    """
    return {row[1]: list(row[2:-3]) for row in frame.itertuples(index=False, name=None)}


def test_expansion_adds_up_over_what_the_cohort_began_with() -> None:
    assert told(rows("2026-01")) == {"2026-01": [0, 2, 2, 0, 1_500, 0, 0, "0.0000000000", 1_500]}
    assert told(rows("2026-02")) == {"2026-01": [1, 2, 2, 1, 1_500, 200, 200, "0.1333333333", 1_700]}
    assert told(rows("2026-03")) == {
        "2026-01": [2, 2, 2, 2, 1_500, 100, 300, "0.2000000000", 1_800],
        "2026-03": [0, 1, 1, 0, 400, 0, 0, "0.0000000000", 400],
    }
    assert told(rows("2026-04")) == {
        "2026-01": [3, 2, 1, 2, 1_500, 300, 600, "0.4000000000", 1_500],
        "2026-03": [1, 1, 0, 0, 400, 0, 0, "0.0000000000", 0],
    }
    # Nobody is left, and its past stays.
    assert told(rows("2026-05"))["2026-03"] == [2, 1, 0, 0, 400, 0, 0, "0.0000000000", 0]
    assert set(rows("2026-05")["quality"]) == {"low_n"}


@pytest.mark.parametrize(
    ("customers", "expanders", "quality"), [(30, 5, "ok"), (29, 5, "low_n"), (30, 4, "low_n")]
)
def test_quality_by_size(customers: int, expanders: int, quality: str) -> None:
    """Expanders are counted once, however often they expand."""
    held = [
        {"month": month, "customer": f"c{n}", "first_paid_month": "2026-01", "closing": 100}
        for month in CALENDAR
        for n in range(customers)
    ]
    moved = [
        {"month": month, "customer": f"c{n}", "flow_expansion": 1}
        for month in CALENDAR[1:]
        for n in range(expanders)
    ]
    found = query(
        "metrics/cohort_sums", {"customer_months": pd.DataFrame(held), "movements": pd.DataFrame(moved)}
    )
    told = cohorts.cohort_expansion(["2026-05"], found, set(CALENDAR))
    assert told[["expanders", "quality"]].to_numpy().tolist() == [[expanders, quality]]


def test_a_cohort_with_a_month_that_is_not_known_is_left_out() -> None:
    assert told(rows("2026-04", CALENDAR[1:])).keys() == {"2026-03"}
    assert told(rows("2026-05", [name for name in CALENDAR if name != "2026-04"])) == {}
    assert rows("2025-12").empty


@pytest.mark.parametrize("column", ["expansion", "closing", "cumulative_expansion"])
def test_the_check_sees_one_cent(column: str) -> None:
    frame = pd.concat([rows(month) for month in CALENDAR], ignore_index=True)
    flows = sums().rename(columns={"cohort": "value"})
    reconciliation.cohorts_tie(frame, flows)
    frame.loc[(frame["month"] == "2026-04") & (frame["cohort"] == "2026-01"), column] += 1
    with pytest.raises(DataQualityError) as caught:
        reconciliation.cohorts_tie(frame, flows)
    assert caught.value.objects == ["2026-04/2026-01"]
