"""What became of expansion: seats that were kept or given back, and what lasts of the rest.

Here: the tables' columns and invariants (semantics 4.5). Not here: how they are computed (`domain/durability.py`).
"""

from __future__ import annotations

from fractions import Fraction

import pandas as pd
import pandera.pandas as pa

from expansion_platform.domain.schemas.base import DECIMAL_PATTERN, MONTH_PATTERN, Table
from expansion_platform.domain.schemas.metrics import MetricValue
from expansion_platform.domain.schemas.mrr import SEGMENTS, Monthly

STATUSES = ["pending", "durable", "partial", "reverted"]
DURABLE, REVERTED = Fraction(8, 10), Fraction(2, 10)
"""Shares of the seats added from which, and up to which, they are called so."""


class SeatEvents(Monthly):
    """One row per month told of, month of purchase, customer and match group: seats added in the month or the three before it, and what is left."""

    expanded_month: str = pa.Field(description="Month in which the seats were added", str_matches=MONTH_PATTERN)
    customer: str = pa.Field(description="Stripe customer after aliases")
    group: str = pa.Field(description="Match group whose seats rose: family or add-on product")
    segment: str = pa.Field(description="Size at the opening of the month of purchase, by ACV", isin=SEGMENTS)
    seats_added: str = pa.Field(description="Seats added, decimal text", str_matches=DECIMAL_PATTERN)
    seats_kept: str = pa.Field(
        description="Of them still held at the closing instant of `month`, decimal text; none once the customer has left", str_matches=DECIMAL_PATTERN
    )
    amount: int = pa.Field(description="What they added to MRR: the causes `seat` of the group, minor units", ge=1)
    kept: int = pa.Field(description="amount x seats_kept / seats_added, minor units, half-even", ge=0)
    status: str = pa.Field(
        description="`pending` for three months, then `durable` (80 % or more of the seats are kept), `reverted` (20 % or less) or `partial`",
        isin=STATUSES,
    )
    surge: bool = pa.Field(description="The customer's month of purchase has the flag `seat_surge`")

    @pa.dataframe_check(description="0 <= seats_kept <= seats_added, and kept is their share of the amount")
    def share(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        shares = [Fraction(kept) / Fraction(added) for kept, added in zip(frame["seats_kept"], frame["seats_added"], strict=True)]
        parts = zip(shares, frame["amount"], frame["kept"], strict=True)
        return pd.Series([0 <= share <= 1 and round(share * amount) == kept for share, amount, kept in parts], index=frame.index, dtype=bool)

    class Config(Table.Config):
        name = "mrr/seat_events"
        metadata = {"key": ["month", "expanded_month", "customer", "group"], "partitioned_by": "month"}
        unique = ["month", "expanded_month", "customer", "group"]


class Durability(MetricValue):
    """One row per month, slice and metric: what is left of the expansion of three months before and of its seats, the month's own without surges.

    The names that end in `_3m`, and the seats that were kept or given back, are of three months before; the rest is of the month itself.
    """

    expanded_month: str = pa.Field(description="Month whose expansion it is; of pending seats the newest of three", str_matches=MONTH_PATTERN)
    n_customers: int = pa.Field(description="Customers that paid at its opening", ge=0)
    n_expanders: int = pa.Field(description="Customers with expansion in it; for seats, customers that added some", ge=0)

    class Config(Table.Config):
        name = "metrics/durability"
        metadata = {"key": ["month", "metric", "dimension", "value"], "partitioned_by": "month"}
        unique = ["month", "metric", "dimension", "value"]
