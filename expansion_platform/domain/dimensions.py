"""Expansion and roll-forward by what customers buy, pay in, and for how long (semantics 4.1, 4.2).

Here: the rule over a range of months, and the rates. Not here: who is in which slice (`customer_slices.py`), sums (`sql/dimension_sums.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.customer_slices import (
    attributes_of,
    customer_slices,
    customers_of,
    profiles,
    stripes_attributes,
)
from expansion_platform.domain.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.metric_rows import Amount, metric_rows
from expansion_platform.domain.metrics import EXPANSION, RETENTION
from expansion_platform.domain.mrr import included, rates_by_month
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import billing, metrics, mrr, stripe
from expansion_platform.domain.schemas.mrr import FLOWS
from expansion_platform.domain.states import closing_states

METRICS: dict[str, tuple[Amount, Amount | None]] = {
    **EXPANSION,
    **{name: RETENTION[name] for name in ("contraction_rate", "churn_rate", "nrr", "grr", "logo_churn", "dormant_churn")},
}


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
    catalog, timezone, said = inputs.catalog, inputs.timezone, inputs.value("attributes")
    states = included(inputs.frame(billing.ItemStates), catalog)
    rates = rates_by_month(inputs.frame(billing.FxRates))
    stripes = stripes_attributes(inputs.frame(stripe.Customers), inputs.value("attribute_keys"), catalog)
    closed: dict[str, pd.DataFrame] = {}

    def at_close(month: str) -> pd.DataFrame:
        """Profiles at the month's closing instant; kept, because it is the next month's opening."""
        if month not in closed:
            closed[month] = profiles(closing_states(states, month, timezone, rates.get(month, {}), catalog), catalog)
        return closed[month]

    def compute(month: str) -> Frames:
        before = months.shift(month, -1)
        customer_months, movements = inputs.frame(mrr.CustomerMonths, [month]), inputs.arrow(mrr.Movements, [month])
        attributes = [attributes_of(each, said, stripes, catalog) for each in (month, months.shift(month, 1))]
        customers = customers_of(month, customer_months, at_close(before), at_close(month), timezone, catalog.paid_before, *attributes)
        closed.pop(before)
        read = {"months": pd.DataFrame({"month": [month]}), "customer_months": customer_months, "movements": movements, "customers": customers}
        sums = query("dimension_sums", read)
        return {
            mrr.CustomerSlices: customer_slices(customers),
            metrics.ExpansionByDimension: expansion_by_dimension(sums),
            metrics.RollforwardByDimension: rollforward_by_dimension(sums),
        }

    return month_by_month(wanted, compute)
