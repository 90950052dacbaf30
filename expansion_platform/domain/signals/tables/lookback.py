"""Floor `signals`: what customers that expanded had shown before, against those that did not.

Here: columns of the tables that look back from a closed month. Not here: features (`scores.py`), models.

Every row compares customers as they were; none says that one thing caused another.
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.signals.tables.scores import SHARE

VERDICTS = ["shown", "not shown", "too few"]
_LABEL = "Always `observational`: who adopted was not decided by chance"


class Indicators(Monthly):
    """One row per sign that customers show: how much more often those who show it expand, how long before.

    Over the customers of the 12 newest closes after which three months have closed.
    """

    indicator: str = pa.Field(description="Name of the sign")
    says: str = pa.Field(description="What it means")
    customers_with: int = pa.Field(description="Distinct customers that showed it at a close", ge=0)
    rows_with: int = pa.Field(description="Customers and closes with it", ge=0)
    rows_without: int = pa.Field(description="Customers and closes without, where it is known", ge=0)
    rows_unknown: int = pa.Field(description="Customers and closes of which it is not known", ge=0)
    expanded_with: int = pa.Field(description="Rows with it after which the customer expanded", ge=0)
    expanded_without: int = pa.Field(description="Rows without it after which the customer expanded", ge=0)
    share_with: str = pa.Field(
        description="expanded_with / rows_with; null for none", str_matches=SHARE, nullable=True
    )
    share_without: str = pa.Field(
        description="expanded_without / rows_without; null for none", str_matches=SHARE, nullable=True
    )
    lift: str = pa.Field(
        description="share_with / share_without; null where one is not known or the second is 0",
        str_matches=SHARE,
        nullable=True,
    )
    lift_low: str = pa.Field(
        description="Lower 95 % limit; rows of one customer count as what they are worth",
        str_matches=SHARE,
        nullable=True,
    )
    lift_high: str = pa.Field(
        description="Upper 95 % limit; null where there is none", str_matches=SHARE, nullable=True
    )
    pr_auc: str = pa.Field(
        description="Mean precision of ranking by the figure behind the sign alone; compare with base_rate",
        str_matches=SHARE,
        nullable=True,
    )
    base_rate: str = pa.Field(
        description="Share of the known rows that expanded", str_matches=SHARE, nullable=True
    )
    lead_days: pd.Int64Dtype = pa.Field(
        description="Median days from the end of the month in which it first showed to the expansion; null "
        "for none",
        ge=0,
        nullable=True,
    )
    leads: int = pa.Field(description="Expansions that this is the median of", ge=0)
    verdict: str = pa.Field(
        description="`shown` where the interval of the lift lies on one side of 1, `not shown` where it "
        "contains it, `too few` with fewer than 10 customers on a side or 10 expansions",
        isin=VERDICTS,
    )

    class Config(Table.Config):
        name = "signals/indicators"
        metadata = {"key": ["month", "indicator"], "partitioned_by": "month"}
        unique = ["month", "indicator"]


class FeatureAdoption(Monthly):
    """One row per product feature: whether customers expand more often after they first use it.

    Over first uses at the 12 newest closes after which three months have closed, against customers of the
    same close that had not used it, of the same segment, tenure and utilisation.
    """

    feature: str = pa.Field(description="Event or feature name")
    label: str = pa.Field(description=_LABEL, isin=["observational"])
    adopters: int = pa.Field(description="Customers that first used it", ge=0)
    matched: int = pa.Field(description="Those of them for whom there are others to compare with", ge=0)
    compared: int = pa.Field(description="Customers and closes they are compared with", ge=0)
    expanded_share: str = pa.Field(
        description="Share of the matched adopters that expanded in the three months after",
        str_matches=SHARE,
        nullable=True,
    )
    others_share: str = pa.Field(
        description="The same of the others, weighted as the adopters are spread",
        str_matches=SHARE,
        nullable=True,
    )
    difference: str = pa.Field(description="The first less the second", str_matches=SHARE, nullable=True)
    difference_low: str = pa.Field(description="Lower 95 % limit", str_matches=SHARE, nullable=True)
    difference_high: str = pa.Field(description="Upper 95 % limit", str_matches=SHARE, nullable=True)
    verdict: str = pa.Field(
        description="`shown` where the interval does not contain 0, `too few` with fewer than 10 matched "
        "adopters",
        isin=VERDICTS,
    )

    class Config(Table.Config):
        name = "signals/feature_adoption"
        metadata = {"key": ["month", "feature"], "partitioned_by": "month"}
        unique = ["month", "feature"]


class Practices(Monthly):
    """One row per segment and figure: its mean before customers expanded, and where they did not.

    Over the customers of the 12 newest closes after which three months have closed.
    """

    segment: str = pa.Field(description="Segment at the close; `all` for all of them")
    indicator: str = pa.Field(description="The figure of signals/features")
    expanders: int = pa.Field(description="Distinct customers that expanded and of which it is known", ge=0)
    others: int = pa.Field(description="Distinct customers that did not, at some close", ge=0)
    mean_expanders: str = pa.Field(
        description="Mean over rows that expanded", str_matches=SHARE, nullable=True
    )
    mean_others: str = pa.Field(description="Mean over the other rows", str_matches=SHARE, nullable=True)
    difference: str = pa.Field(description="The first less the second", str_matches=SHARE, nullable=True)
    difference_low: str = pa.Field(
        description="Lower 95 % limit, by customers", str_matches=SHARE, nullable=True
    )
    difference_high: str = pa.Field(description="Upper 95 % limit", str_matches=SHARE, nullable=True)
    verdict: str = pa.Field(
        description="`shown` where the interval does not contain 0, `too few` with fewer than 10 customers "
        "on a side",
        isin=VERDICTS,
    )

    class Config(Table.Config):
        name = "signals/practices"
        metadata = {"key": ["month", "segment", "indicator"], "partitioned_by": "month"}
        unique = ["month", "segment", "indicator"]
