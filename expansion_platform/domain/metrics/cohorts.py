"""How cohorts grow with age: when expansion happens, and whether newer cohorts expand more (semantics 4.1).

Here: a cohort's expansion summed up since it began, over the MRR it began with. Not here: the sums by month
(`cohort_sums.sql`), a month's rates by cohort and tenure (`dimensions.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.core.ratios import ratio_text
from expansion_platform.domain.metrics.rows import quality_by_size
from expansion_platform.domain.metrics.tables import CohortExpansion
from expansion_platform.domain.mrr import tables as mrr

COLUMNS = [
    *("month", "cohort", "months_since", "customers", "paying", "expanders", "starting_mrr", "expansion"),
    *("cumulative_expansion", "cumulative_rate", "closing", "quality"),
]


def cohort_expansion(wanted: Sequence[str], sums: pd.DataFrame, known: AbstractSet[str]) -> pd.DataFrame:
    """metrics/cohort_expansion of some months without hashes.

    Args:
        wanted: the months to compute.
        sums: `cohort_sums.sql` over the months up to the last.
        known: months that have been computed.

    Returns:
        A row per month and cohort that began in a computed month, with every month since computed, too; of an
        earlier one nobody knows with what it began.
    """
    whole_since = {month: _whole_since(month, known) for month in wanted}
    by_month: dict[str, list[dict[str, object]]] = {month: [] for month in wanted}
    for cohort, rows in sums.groupby("cohort"):
        first, of_month = str(cohort), {str(row["month"]): row for row in rows.to_dict("records")}
        total = expanders = 0
        for month in months.between(first, max(wanted)):
            # Nobody may be left.
            now = of_month.get(month, {"paying": 0, "expansion": 0, "closing": 0, "expanders": 0})
            total, expanders = total + int(now["expansion"]), expanders + int(now["expanders"])
            if month not in by_month or first < whole_since[month]:
                continue
            start = of_month[first]
            base, customers = int(start["closing"]), int(start["paying"])
            by_month[month].append(
                {
                    "month": month,
                    "cohort": first,
                    "months_since": months.distance(first, month),
                    "customers": customers,
                    "paying": int(now["paying"]),
                    "expanders": expanders,
                    "starting_mrr": base,
                    "expansion": int(now["expansion"]),
                    "cumulative_expansion": total,
                    "cumulative_rate": ratio_text(total, base),
                    "closing": int(now["closing"]),
                    "quality": quality_by_size(customers, expanders),
                }
            )
    return pd.DataFrame.from_records([row for rows in by_month.values() for row in rows], columns=COLUMNS)


def _whole_since(month: str, known: AbstractSet[str]) -> str:
    """The first of the months in a row up to `month` that have been computed.

    The next one where it has not.
    """
    first = months.shift(month, 1)
    while (before := months.shift(first, -1)) in known:
        first = before
    return first


def compute_cohorts(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/cohort_expansion of some months."""
    known = set(inputs.months(mrr.CustomerMonths))
    sums = query(
        "metrics/cohort_sums",
        {"customer_months": inputs.scan(mrr.CustomerMonths), "movements": inputs.scan(mrr.Movements)},
    )
    return Computed({CohortExpansion: cohort_expansion(wanted, sums, known)})
