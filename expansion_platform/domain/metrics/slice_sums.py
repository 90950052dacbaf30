"""The sums that every metric of a month divides, per month and slice.

Here: running `slice_sums.sql`. Not here: what divides them (`retention.py`, `coverage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.mrr import tables as mrr


def slice_sums(months: Sequence[str], inputs: Inputs) -> pd.DataFrame:
    """The sums behind every metric, per month and slice (`slice_sums.sql`)."""
    policy = inputs.catalog.policy
    return query(
        "metrics/slice_sums",
        {
            "months": pd.DataFrame({"month": list(months)}),
            "customer_months": inputs.scan(mrr.CustomerMonths, months),
            "movements": inputs.scan(mrr.Movements, months),
            "policy": pd.DataFrame(
                {"enterprise_acv": [policy.enterprise_acv], "mid_market_acv": [policy.mid_market_acv]}
            ),
        },
    )
