"""Expansion and roll-forward by what customers buy, pay in, and for how long (semantics 4.1, 4.2).

Here: the rule over a range of months, and the rates. Not here: who is in which slice (`customer_slices.py`), sums (`sql/dimension_sums.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from expansion_platform.domain import months
from expansion_platform.domain.closings import value_closings
from expansion_platform.domain.customer_attributes import attributes, stripes_attributes
from expansion_platform.domain.customer_profiles import profiles
from expansion_platform.domain.customer_slices import Known, Slices, customer_slices, slices_of
from expansion_platform.domain.inputs import Computed, Inputs
from expansion_platform.domain.metric_rows import Amount, metric_rows
from expansion_platform.domain.metrics import EXPANSION, RETENTION
from expansion_platform.domain.mrr import included, rates_by_month
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import billing, metrics, mrr, stripe
from expansion_platform.domain.schemas.base import Table, to_pandas
from expansion_platform.domain.schemas.mrr import FLOWS

METRICS: dict[str, tuple[Amount, Amount | None]] = {
    **EXPANSION,
    **{name: RETENTION[name] for name in ("contraction_rate", "churn_rate", "nrr", "grr", "logo_churn", "dormant_churn")},
}

SEEN = ["month", "customer", "opening", "pricing_model", "closing_pricing_model", "first_paid_month", "first_paid_at"]
"""Columns of mrr/customer_months that say in which slices a customer is."""


def dimension_sums(wanted: Sequence[str], customer_months: pa.Table, movements: pa.Table, slices: Slices) -> pd.DataFrame:
    """The sums of every slice of some months (`sql/dimension_sums.sql`).

    Args:
        wanted: the months.
        customer_months: mrr/customer_months of them.
        movements: mrr/movements of them.
        slices: the slices of each of the customer-months, in their order.
    """
    pair, values = slices.pairs()
    paired = customer_months.select(["month", "customer", "opening", "closing", "flow_fx"]).append_column("pair", pa.array(pair, pa.int64()))
    read = {"months": pd.DataFrame({"month": list(wanted)}, dtype="str"), "customer_months": paired, "movements": movements, "pairs": values}
    return query("dimension_sums", read)


def expansion_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_dimension without hashes, from `sql/dimension_sums.sql`."""
    return metric_rows(sums, METRICS)


def rollforward_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward_by_dimension without hashes."""
    return sums.rename(columns={"interval_": "interval"})[
        ["month", "dimension", "value", "opening", *FLOWS, "closing", "transfer_in", "transfer_out"]
    ]


def compute_dimensions(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/customer_slices, metrics/expansion_by_dimension and metrics/rollforward_by_dimension of some months."""
    catalog, timezone = inputs.catalog, inputs.timezone
    stripes = stripes_attributes(inputs.frame(stripe.Customers), inputs.value("attribute_keys"), catalog)
    states, rates = included(inputs.frame(billing.ItemStates), catalog), rates_by_month(inputs.frame(billing.FxRates))
    ends = value_closings({end for month in wanted for end in (months.shift(month, -1), month)}, states, rates, catalog, timezone)
    failures = {month: ends.failures[end] for month in wanted for end in (month, months.shift(month, -1)) if end in ends.failures}
    good = [month for month in wanted if month not in failures]
    if not good:
        return Computed({}, failures)
    calendar, timeline = ends.timeline.calendar, ends.timeline
    said = attributes(inputs.value("attributes"), stripes, timeline.customers, [*calendar, months.shift(calendar[-1], 1)], catalog)
    known = Known(calendar, timeline, profiles(ends), said)
    rows = inputs.arrow(mrr.CustomerMonths, good)
    customer_months = to_pandas(rows.select(SEEN))
    slices = slices_of(customer_months, known, timezone, catalog.paid_before)
    sums = dimension_sums(good, rows, inputs.arrow(mrr.Movements, good), slices)
    frames: dict[type[Table], pd.DataFrame] = {
        mrr.CustomerSlices: customer_slices(customer_months, slices),
        metrics.ExpansionByDimension: expansion_by_dimension(sums),
        metrics.RollforwardByDimension: rollforward_by_dimension(sums),
    }
    return Computed(frames, failures)
