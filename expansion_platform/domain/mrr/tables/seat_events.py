"""Seats that were added, and what is left of them (semantics 4.5).

Here: columns and invariants. Not here: the rule (`domain/mrr/seat_events.py`).
"""

from __future__ import annotations

from fractions import Fraction

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import DECIMAL_PATTERN, MONTH_PATTERN, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import SEGMENTS

STATUSES = ["pending", "durable", "partial", "reverted"]
DURABLE, REVERTED = Fraction(8, 10), Fraction(2, 10)
"""Shares of the seats added from which, and up to which, they are called so."""


class SeatEvents(Monthly):
    """One row per month, month of purchase, customer and match group.

    Seats added in the month or the three before it, and what is left.
    """

    expanded_month: str = pa.Field(
        description="Month in which the seats were added", str_matches=MONTH_PATTERN
    )
    customer: str = pa.Field(description="Stripe customer after aliases")
    group: str = pa.Field(description="Match group whose seats rose: family or add-on product")
    segment: str = pa.Field(description="Size at the opening of the month of purchase, by ACV", isin=SEGMENTS)
    seats_added: str = pa.Field(description="Seats added, decimal text", str_matches=DECIMAL_PATTERN)
    seats_kept: str = pa.Field(
        description="Of them still there at the closing instant of `month`, decimal text; none once the "
        "customer has left",
        str_matches=DECIMAL_PATTERN,
    )
    amount: int = pa.Field(
        description="What they added to MRR: the causes `seat` of the group, minor units", ge=1
    )
    kept: int = pa.Field(description="amount x seats_kept / seats_added, minor units, half-even", ge=0)
    status: str = pa.Field(
        description="`pending` for three months, then `durable` (80 % or more of the seats are kept), "
        "`reverted` (20 % or less) or `partial`",
        isin=STATUSES,
    )
    surge: bool = pa.Field(description="The customer's month of purchase has the flag `seat_surge`")

    @pa.dataframe_check(description="0 <= seats_kept <= seats_added, and kept is their share of the amount")
    def share(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        shares = [
            Fraction(kept) / Fraction(added)
            for kept, added in zip(frame["seats_kept"], frame["seats_added"], strict=True)
        ]
        parts = zip(shares, frame["amount"], frame["kept"], strict=True)
        return pd.Series(
            [0 <= share <= 1 and round(share * amount) == kept for share, amount, kept in parts],
            index=frame.index,
            dtype=bool,
        )

    class Config(Table.Config):
        name = "mrr/seat_events"
        metadata = {"key": ["month", "expanded_month", "customer", "group"], "partitioned_by": "month"}
        unique = ["month", "expanded_month", "customer", "group"]
