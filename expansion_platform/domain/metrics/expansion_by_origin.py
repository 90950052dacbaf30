"""The headline by who began it (semantics 4.3).

Here: each origin's and each motion's part of the published headline. Not here: who began what
(`mrr/origins.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.metrics.rows import Amount, metric_rows
from expansion_platform.domain.metrics.tables import Expansion, ExpansionByOrigin
from expansion_platform.domain.mrr.tables import Origins
from expansion_platform.domain.mrr.vocabulary import MOTIONS, ORIGINS

MOST_UNKNOWN = 5  # one in five of the headline
METRICS: dict[str, tuple[Amount, Amount | None]] = {
    "expansion_rate": (lambda s: s.expansion, lambda s: s.opening),
    "expansion_mix": (lambda s: s.expansion, lambda s: s.headline),
}


def compute_expansion_by_origin(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/expansion_by_origin of some months."""
    published = inputs.frame(Expansion).query("dimension == 'total' and metric == 'expansion_rate'")
    return Computed(
        {
            ExpansionByOrigin: expansion_by_origin(
                inputs.frame(Origins), published[published["month"].isin(wanted)]
            )
        }
    )


def expansion_by_origin(rows: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_origin of some months without hashes.

    Args:
        rows: mrr/origins of the months.
        published: `expansion_rate` of metrics/expansion, one row a month: month, numerator (the headline),
            denominator (opening MRR), n_customers, n_expanders.

    Returns:
        Each month's origins and motions, also those nothing came from.
    """
    names = {
        "denominator": "opening",
        "numerator": "headline",
        "n_customers": "members",
        "n_expanders": "expanders",
    }
    shared = published[["month", *names]].rename(columns=names).set_index("month")
    found = rows.groupby(["month", "origin"])["expansion"].sum().unstack("origin", fill_value=0)
    origins = found.reindex(
        index=shared.index, columns=pd.Index(ORIGINS, name="origin"), fill_value=0
    ).astype("int64")
    motions = pd.DataFrame({motion: origins[list(names)].sum(axis=1) for motion, names in MOTIONS.items()})
    parts = pd.concat({"origin": origins, "motion": motions}, axis=1, names=["dimension", "value"])
    sums = (
        pd.Series(parts.stack(["dimension", "value"]), name="expansion")
        .reset_index()
        .join(shared, on="month")
    )
    incomplete = origins["unknown"] * MOST_UNKNOWN > shared["headline"]
    made = metric_rows(sums, METRICS)
    return made.assign(incomplete=made["month"].map(incomplete).astype("bool"))
