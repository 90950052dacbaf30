"""What the sentences of each month are made of, over a range of months.

Here: the figures and the customers that the rules of `diagnosis.py` see, and the rule of the table. Not here:
thresholds, sentences.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from fractions import Fraction
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Computed, Inputs, stacked
from expansion_platform.domain.core import months
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.diagnosis import (
    BASELINE_MONTHS,
    GREW,
    GREW_TIMES,
    Accounts,
    Figures,
    diagnosis,
    looked_at,
)
from expansion_platform.domain.metrics.rows import total
from expansion_platform.domain.metrics.tables import Diagnosis
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr import vocabulary


def stopped_growing(
    wanted: Sequence[str], movements: Any, customer_months: Any, known: Set[str]
) -> dict[str, pd.DataFrame]:
    """By month, the customers that used to expand and stopped; the largest first.

    They expanded in two or more of six months, in none of the three since, and still pay.

    Args:
        wanted: the months to describe. Before nine months are known nobody is said to have stopped.
        movements: month, customer, flow_expansion of mrr/movements of the nine months.
        customer_months: month, customer, closing of mrr/customer_months.
        known: months that have been computed.

    Returns:
        customer, flow_expansion, months, last of the six months, and of_all: what everybody expanded by in
            them. Months without any are left out.
    """
    windows = [(month, looked_at(month)) for month in wanted]
    whole = [
        (month, window[0], window[GREW], GREW_TIMES) for month, window in windows if known >= set(window)
    ]
    if not whole:
        return {}
    read = {
        "windows": pd.DataFrame(whole, columns=["month", "first", "since", "times"]),
        "movements": movements,
        "customer_months": customer_months,
    }
    return {str(month): rows for month, rows in query("metrics/stopped_growing", read).groupby("month")}


def compute_diagnosis(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/diagnosis of some months."""
    expansion, flows = (
        total(inputs.frame(metrics.Expansion), "expansion_rate"),
        total(inputs.frame(metrics.Rollforward)),
    )
    retention, trailing = (
        _ratios(inputs.frame(model).query("dimension == 'total'"), "metric")
        for model in (metrics.Retention, metrics.Trailing)
    )
    mix = _ratios(inputs.frame(metrics.ExpansionByType).query("metric == 'expansion_mix'"), "value")
    grr = {month: found["grr"] for month, found in retention.items() if "grr" in found}
    moved, migrations = inputs.arrow(mrr.Movements), inputs.frame(mrr.PriceMigrations)
    expanded = to_pandas(moved.filter(pc.is_in(moved["month"], pa.array(wanted, pa.string()))))
    stopped = stopped_growing(wanted, moved, inputs.scan(mrr.CustomerMonths), inputs.months(mrr.Movements))
    expanded_in, migrated_in = dict(iter(expanded.groupby("month"))), dict(iter(migrations.groupby("month")))
    found = [
        diagnosis(
            Figures(
                month=month,
                currency=inputs.value("currency"),
                flows={name: int(flows[month][name]) for name in ("opening", *vocabulary.FLOWS, "closing")},
                expanders=int(expansion[month]["n_expanders"]),
                members=int(expansion[month]["n_customers"]),
                retention=retention.get(month, {}),
                trailing=trailing.get(month, {}),
                mix=mix.get(month, {}),
                grr_before={name: grr[name] for name in _before(month) if name in grr},
            ),
            Accounts(
                expanded_in.get(month, expanded.head(0)),
                migrated_in.get(month, migrations.head(0)),
                stopped.get(month),
            ),
        )
        for month in wanted
    ]
    return Computed({Diagnosis: stacked(found)})


def _before(month: str) -> list[str]:
    return months.between(months.shift(month, -BASELINE_MONTHS), months.shift(month, -1))


def _ratios(rows: pd.DataFrame, name: str) -> dict[str, dict[str, Fraction]]:
    """Month -> what `name` says -> the ratio, of those that have one."""
    found: dict[str, dict[str, Fraction]] = {}
    known = rows[rows["ratio"].notna()]
    for month, key, text in zip(known["month"], known[name], known["ratio"], strict=True):
        found.setdefault(str(month), {})[str(key)] = Fraction(text)
    return found
