"""What the user gives because Stripe does not know it: CRM activity, attributes of customers, costs by month.

Here: the columns of each file or table, all read as text. Not here: reading them (`sources/user_tables.py`),
what is made of them (`domain/mrr/origins.py`, `domain/metrics/dimensions.py`,
`domain/metrics/expansion_cac.py`). They are no tables of the lake: what is computed from them says so itself.
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import CURRENCY_PATTERN, MONTH_PATTERN, Table

DATE_PATTERN = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"
AMOUNT_PATTERN = r"^\d+(\.\d+)?$"
NAME_PATTERN = r"^[a-z][a-z0-9_]*$"
OPPORTUNITY, TOUCH = "opportunity", "touch"


class CrmActivity(Table):
    """One row per expansion opportunity closed-won, or touch logged, with a customer."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    date: str = pa.Field(description="a day, YYYY-MM-DD", str_matches=DATE_PATTERN)
    kind: str = pa.Field(
        description="`opportunity` (an expansion opportunity, closed-won that day) or `touch` (a CSM or "
        "AE spoke with the customer that day)",
        isin=[OPPORTUNITY, TOUCH],
    )
    id: str = pa.Field(description="the CRM's id of it, shown as evidence")

    @pa.check("date")
    def a_day(cls, dates):  # noqa: N805, ANN001, ANN201, D102
        return pd.to_datetime(dates, format="%Y-%m-%d", errors="coerce").notna()

    class Config(Table.Config):
        name = "CRM activity"
        metadata = {"key": ["kind", "id"]}


class CustomerAttributes(Table):
    """One row per customer, attribute and month from which it has a value."""

    customer: str = pa.Field(description="a Stripe customer, cus_...")
    attribute: str = pa.Field(
        description="a name of lower-case letters, digits and _, such as region", str_matches=NAME_PATTERN
    )
    value: str = pa.Field(description="the customer's value")
    valid_from: str = pa.Field(
        description="the first month it holds in, YYYY-MM; empty for always",
        str_matches=MONTH_PATTERN,
        nullable=True,
    )

    class Config(Table.Config):
        name = "customer attributes"
        metadata = {"key": ["customer", "attribute", "valid_from"]}


class Costs(Table):
    """One row per month: what expansion and acquisition cost."""

    month: str = pa.Field(description="a month, YYYY-MM", str_matches=MONTH_PATTERN)
    program_cost: str = pa.Field(
        description="cost of expansion programs, in whole units such as 12000.00", str_matches=AMOUNT_PATTERN
    )
    acquisition_cost: str = pa.Field(
        description="cost of acquiring new customers, in whole units", str_matches=AMOUNT_PATTERN
    )
    currency: str = pa.Field(description="the reporting currency, lower case", str_matches=CURRENCY_PATTERN)

    class Config(Table.Config):
        name = "costs"
        metadata = {"key": ["month"]}
