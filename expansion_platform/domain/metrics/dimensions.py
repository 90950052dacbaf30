"""Expansion and roll-forward by what customers buy, pay in, and for how long (semantics 4.1, 4.2).

Here: the rule over a range of months, and the rates. Not here: who is in which slice
(`mrr/customer_slices.py`), sums (`slice_pair_sums.sql` of customers, `dimension_sums.sql` of those).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core.queries import query, query_arrow
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.expansion import EXPANSION
from expansion_platform.domain.metrics.retention import RETENTION
from expansion_platform.domain.metrics.rows import Amount, metric_rows
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.vocabulary import FLOWS

METRICS: dict[str, tuple[Amount, Amount | None]] = {
    **EXPANSION,
    **{
        name: RETENTION[name]
        for name in ("contraction_rate", "churn_rate", "nrr", "grr", "logo_churn", "dormant_churn")
    },
}
AT_ONCE = 6
"""Months whose customers are joined at once: 1M customers are 5M rows."""


def pair_sums(customer_slices: Any, customer_months: Any, movements: Any) -> pa.Table:
    """The sums of every pair of slices, of a month and of the next opening.

    From `slice_pair_sums.sql`: what a customer is for a month and at the next opening.

    Args:
        customer_slices: mrr/customer_slices of some months.
        customer_months: mrr/customer_months of them.
        movements: mrr/movements of them.
    """
    read = {"customer_slices": customer_slices, "customer_months": customer_months, "movements": movements}
    return query_arrow("metrics/slice_pair_sums", read)


def dimension_sums(wanted: Sequence[str], sums: pa.Table) -> pd.DataFrame:
    """The sums of every slice of some months (`dimension_sums.sql`), from `pair_sums` of them."""
    return query(
        "metrics/dimension_sums",
        {"months": pd.DataFrame({"month": list(wanted)}, dtype="str"), "sums": sums, "pairs": pairs(sums)},
    )


def pairs(sums: pa.Table) -> pd.DataFrame:
    """The distinct pairs in `pair_sums`: both texts, dimension, value, next_value.

    A row per pair and dimension.
    """
    texts = sums.group_by(["slices_json", "next_slices_json"]).aggregate([])
    rows = []
    for now, then in zip(
        texts["slices_json"].to_pylist(), texts["next_slices_json"].to_pylist(), strict=True
    ):
        after = json.loads(then)
        rows += [
            (now, then, dimension, value, after[dimension]) for dimension, value in json.loads(now).items()
        ]
    return pd.DataFrame(
        rows, columns=["slices_json", "next_slices_json", "dimension", "value", "next_value"], dtype="str"
    )


def expansion_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_dimension without hashes, from `dimension_sums.sql`."""
    return metric_rows(sums, METRICS)


def rollforward_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward_by_dimension without hashes."""
    return sums.rename(columns={"interval_": "interval"})[
        ["month", "dimension", "value", "opening", *FLOWS, "closing", "transfer_in", "transfer_out"]
    ]


def compute_dimensions(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_by_dimension and metrics/rollforward_by_dimension of some months."""
    parts = []
    for start in range(0, len(wanted), AT_ONCE):
        here = wanted[start : start + AT_ONCE]
        parts.append(
            pair_sums(
                *(
                    inputs.scan(model, here)
                    for model in (mrr.CustomerSlices, mrr.CustomerMonths, mrr.Movements)
                )
            )
        )
    sums = dimension_sums(wanted, pa.concat_tables(parts))
    return Computed(
        {
            metrics.ExpansionByDimension: expansion_by_dimension(sums),
            metrics.RollforwardByDimension: rollforward_by_dimension(sums),
        }
    )
