"""How cohorts grow with age: when expansion happens, and whether newer cohorts expand more (semantics 4.1).

Here: a cohort's expansion summed up since it began, over the MRR it began with. Not here: the sums by month (`sql/cohort_sums.sql`), a month's
rates by cohort and tenure (`dimensions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.inputs import Computed, Inputs, month_by_month
from expansion_platform.domain.metric_rows import quality_by_size, ratio_text
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.lasting import CohortExpansion

COLUMNS = [
    *("month", "cohort", "months_since", "customers", "paying", "expanders", "starting_mrr", "expansion"),
    *("cumulative_expansion", "cumulative_rate", "closing", "quality"),
]


def cohort_expansion(month: str, sums: pd.DataFrame, known: AbstractSet[str]) -> pd.DataFrame:
    """metrics/cohort_expansion of one month without hashes.

    Args:
        month: told of.
        sums: `sql/cohort_sums.sql` over the months up to it.
        known: months that have been computed.

    Returns:
        A row per cohort that began in a computed month, with every month since computed, too; of an earlier one nobody knows with what it began.
    """
    begun = {cohort for cohort in sums["cohort"].unique() if known >= set(months.between(cohort, month))}
    past = sums[(sums["month"] <= month) & sums["cohort"].isin(begun)]
    records = []
    for cohort, rows in past.groupby("cohort"):
        by_month = {row["month"]: row for row in rows.to_dict("records")}
        start, now = by_month[cohort], by_month.get(month, {"paying": 0, "expansion": 0, "closing": 0})  # nobody may be left
        total, base, expanders = int(rows["expansion"].sum()), int(start["closing"]), int(rows["expanders"].sum())
        records.append(
            {
                "month": month,
                "cohort": cohort,
                "months_since": months.distance(str(cohort), month),
                "customers": int(start["paying"]),
                "paying": int(now["paying"]),
                "expanders": expanders,
                "starting_mrr": base,
                "expansion": int(now["expansion"]),
                "cumulative_expansion": total,
                "cumulative_rate": ratio_text(total, base),
                "closing": int(now["closing"]),
                "quality": quality_by_size(int(start["paying"]), expanders),
            }
        )
    return pd.DataFrame.from_records(records, columns=COLUMNS)


def compute_cohorts(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/cohort_expansion of some months."""
    known = set(inputs.months(mrr.CustomerMonths))
    sums = query("cohort_sums", {"customer_months": inputs.arrow(mrr.CustomerMonths), "movements": inputs.arrow(mrr.Movements)})
    return month_by_month(wanted, lambda month: {CohortExpansion: cohort_expansion(month, sums, known)})
