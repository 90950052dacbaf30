"""Floor `metrics`: our MRR beside Stripe's own.

Here: the comparison's two tables. Not here: how differences are explained (`domain/metrics/parity.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table

UNEXPLAINED = "unexplained"
REASONS = [
    "rounding",
    "discount_rule",
    "metered",
    "pause",
    "churn_timing",
    "normalisation",
    "currency",
    "time_zone",
    "late_data",
    UNEXPLAINED,
]


class StripeParity(Monthly):
    """One row per month of which Stripe's own MRR is known.

    The total under the preset `stripe_parity`, Stripe's, and how much nothing explains.
    """

    ours: int = pa.Field(
        description="Our MRR at the month's end under `stripe_parity`, over the customers compared", ge=0
    )
    stripes: int = pa.Field(description="Stripe's MRR of the same customers")
    customers: int = pa.Field(description="Customers compared: those that pay on either side", ge=0)
    differing: int = pa.Field(description="Customers whose MRR differs", ge=0)
    explained: int = pa.Field(description="Sum of the absolute differences that have a reason", ge=0)
    unexplained: int = pa.Field(description="Sum of the absolute differences that have none", ge=0)
    unexplained_share: str = pa.Field(
        description="unexplained / stripes as decimal text with 10 places; null when Stripe's is zero",
        nullable=True,
    )

    class Config(Table.Config):
        name = "metrics/stripe_parity"
        metadata = {"key": ["month"], "partitioned_by": "month"}
        unique = ["month"]


class StripeDifferences(Monthly):
    """One row per month and customer whose MRR under `stripe_parity` is not what Stripe says.

    Each has the reason that evidence gives.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    ours: int = pa.Field(description="Our MRR at the month's end under `stripe_parity`", ge=0)
    stripes: int = pa.Field(description="Stripe's MRR")
    difference: int = pa.Field(description="ours - stripes", ne=0)
    reason: str = pa.Field(
        description="What makes the difference vanish, the first that "
        "does; `unexplained` when nothing tried does",
        isin=REASONS,
    )
    evidence: str = pa.Field(description="What was switched, in words; empty when unexplained")

    class Config(Table.Config):
        name = "metrics/stripe_differences"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]
