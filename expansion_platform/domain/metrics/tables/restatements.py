"""Figures of closed months that are no longer as first reported (semantics 1.8).

Here: columns and invariants, the figures' names, the reasons. Not here: the comparison
(`domain/metrics/restatements.py`).
"""

from __future__ import annotations

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Instant, Monthly, Table
from expansion_platform.domain.mrr.vocabulary import DORMANT_REASONS, FLOWS, ORGANIC

RESTATED_FIGURES = [
    *("opening", *FLOWS, "closing"),
    *(f"{flow}_{kind}" for flow in ("expansion", "contraction") for kind in ORGANIC),
    *("expansion_gross", "contraction_gross", "expansion_unadjusted", "arr", "transfer_in", "transfer_out"),
    *("dormant_churn", *(f"dormant_churn_{reason}" for reason in DORMANT_REASONS), "dormant_reactivation"),
]
RESTATED_PATTERN = rf"^(([a-z][a-z0-9_]*:.+:)?({'|'.join(RESTATED_FIGURES)})|expansion_from_[a-z_]+)$"
"""A figure, or a slice's: `dimension:value:figure`."""
RESTATED_BECAUSE = [
    "merge",
    "backdated",
    "late_event",
    "late_usage",
    "fx_revision",
    "catalog_change",
    "policy_change",
    "code_change",
]
"""Reasons of a restatement (semantics 1.8), what is surest of one customer first."""


class Restatements(Monthly):
    """One row per closed month, customer and figure that is no longer as first reported, and why.

    Rows sum, month by month and figure by figure, to the published sum less what was first reported. A
    customer that moved to another slice has a row in both, also where its own figures are unchanged. What an
    older version did not keep as the month closed is not compared.
    """

    customer: str = pa.Field(description="Stripe customer, under its id of then or of now")
    metric: str = pa.Field(
        description="`opening`, one of the nine flows, `closing`; `expansion_seat` and so on, "
        "`contraction_seat` and so on; `expansion_from_sales` and so on, by origin; `expansion_gross`, "
        "`contraction_gross`, `expansion_unadjusted`, `arr`, `dormant_churn` (and by reason), "
        "`dormant_reactivation`; the same of a slice, with `transfer_in` and `transfer_out`, as "
        "`segment:smb:opening`, `plan:prod_pro:expansion`",
        str_matches=RESTATED_PATTERN,
    )
    first_reported: int = pa.Field(description="Minor units, when the month closed")
    restated: int = pa.Field(
        description="Minor units, by everything known now under the present policy, catalog and rules"
    )
    difference: int = pa.Field(description="restated - first_reported; never zero", ne=0)
    reason: str = pa.Field(
        description="`merge`: customers were merged; `backdated`: a subscription made after the close; "
        "`late_event`: another fact not known then; `late_usage`: metered usage not billed then; "
        "`fx_revision`: an exchange rate; `catalog_change`, `policy_change` (the time zone, too), "
        "`code_change`. Of several the first of these, the surest of one customer",
        isin=RESTATED_BECAUSE,
    )
    also_json: str = pa.Field(
        description="Sorted list of the other reasons that hold beside it: no amount is split between "
        "changes made together"
    )
    reported_at: Instant = pa.Field(description="When Stripe had last been read as the month closed")

    @pa.dataframe_check(description="difference = restated - first_reported")
    def differs(cls, frame):  # noqa: N805, ANN001, ANN201, D102
        return frame["restated"] - frame["first_reported"] == frame["difference"]

    class Config(Table.Config):
        name = "metrics/restatements"
        metadata = {"key": ["month", "customer", "metric"], "partitioned_by": "month"}
        unique = ["month", "customer", "metric"]
