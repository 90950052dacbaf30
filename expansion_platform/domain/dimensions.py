"""What a customer is, beside its size: pricing model, plan, currency, cohort, tenure (semantics 4.1).

Here: the one value a customer has in each dimension for a month, fixed at opening (at closing for new and returned customers). Not here:
segments and pricing models (`movements.py`), sums by value (`sql/dimension_sums.sql`) and their rates (`metrics.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.metrics import EXPANSION, RETENTION, Amount, metric_rows
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas.metrics import DIMENSIONS
from expansion_platform.domain.schemas.mrr import FLOWS
from expansion_platform.domain.states import owners

TENURES = [(90, "first_90_days"), (365, "rest_of_year_1"), (730, "year_2")]
"""Most days since first paid -> bucket; longer is `year_3_plus`."""
METRICS: dict[str, tuple[Amount, Amount | None]] = {
    **EXPANSION,
    **{name: RETENTION[name] for name in ("contraction_rate", "churn_rate", "nrr", "grr", "logo_churn")},
}


def profiles(valued: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """What each customer's items make it at one instant.

    Args:
        valued: item states with `mrr_minor`, as `valuation.value_states` returns them.
        catalog: says who was merged into whom.

    Returns:
        Columns currency, plan (product) by customer after aliases, for those that pay: of the item that pays most, the smallest item id on a tie.
    """
    paying = valued.assign(customer=owners(valued["customer"], catalog))[(valued["mrr_minor"] > 0).to_numpy()]
    largest = paying.sort_values(["mrr_minor", "item"], ascending=[False, True]).drop_duplicates("customer").set_index("customer")
    return pd.DataFrame({"currency": largest["currency"].astype("str"), "plan": largest["product"].astype("str")})


def customers_of(month: str, customer_months: pd.DataFrame, opened: pd.DataFrame, closed: pd.DataFrame, timezone: str) -> pd.DataFrame:
    """Each customer's value in every dimension for a month.

    Args:
        month: whose.
        customer_months: mrr/customer_months of the month (month, customer, opening, pricing_model, first_paid_month).
        opened: `profiles` at the opening instant.
        closed: `profiles` at the closing instant.
        timezone: reporting time zone.

    Returns:
        month, customer and one column a dimension, null where nothing says. Tenure runs from the first closing instant at which the customer
        paid to the opening instant, in days.
    """
    rows = customer_months[["month", "customer", "opening", "pricing_model", "first_paid_month"]].set_index("customer")
    member = rows["opening"] > 0
    held = pd.concat([opened.reindex(rows.index[member]), closed.reindex(rows.index[~member])]).reindex(rows.index)
    first = rows["first_paid_month"]
    told = held.assign(month=month, cohort=first, pricing_model=rows["pricing_model"], tenure=tenures(month, first, timezone))
    return told.rename_axis("customer").reset_index()[["month", "customer", *DIMENSIONS]]


def tenures(month: str, first_paid: pd.Series[str], timezone: str) -> pd.Series[str]:
    """The tenure bucket at a month's opening of customers that first paid in these months."""
    at = months.opening(month, timezone)
    return first_paid.map({first: tenure((at - months.closing(first, timezone)).days) for first in first_paid.unique()})


def tenure(days: int) -> str:
    """The tenure bucket of so many days since a customer first paid."""
    return next((name for most, name in TENURES if days <= most), "year_3_plus")


def expansion_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/expansion_by_dimension without hashes, from `sql/dimension_sums.sql`."""
    return metric_rows(sums, METRICS)


def rollforward_by_dimension(sums: pd.DataFrame) -> pd.DataFrame:
    """metrics/rollforward_by_dimension without hashes."""
    return sums.rename(columns={"interval_": "interval"})[["month", "dimension", "value", "opening", *FLOWS, "closing"]]
