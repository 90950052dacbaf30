"""Floor `signals`: what models expect of customers, and how good they are.

Here: columns. Not here: models (`domain/signals/model/`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.signals.tables.scores import BASES, SHARE

MODELS = ["expansion", "churn"]
SPLITS = ["train", "calibrate", "test", "month"]


class Propensity(Monthly):
    """One row per customer that pays: the probability that it expands within three months.

    Null where the gate refused the model; signals/model_card says why, and signals/readiness ranks instead.
    """

    customer: str = pa.Field(description="Stripe customer after aliases")
    probability: str = pa.Field(
        description="Probability of headline expansion of at least 10.00 or 1 % of MRR in the three months "
        "after; null where the gate refused",
        str_matches=SHARE,
        nullable=True,
    )
    decile: pd.Int64Dtype = pa.Field(
        description="1 for the tenth most likely to; null with it", ge=1, le=10, nullable=True
    )
    model: str = pa.Field(
        description="Version of the model: its kind and the last close it was trained on; null with it",
        nullable=True,
    )
    reasons_json: str = pa.Field(
        description="Figures that raise the probability most, in words; empty without one"
    )

    class Config(Table.Config):
        name = "signals/propensity"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class ChurnRisk(Monthly):
    """One row per customer that pays: how likely it is to leave within three months."""

    customer: str = pa.Field(description="Stripe customer after aliases")
    basis: str = pa.Field(description="What the risk follows", isin=BASES)
    probability: str = pa.Field(
        description="Probability that it stops paying in the three months after, dormant ones not counted; "
        "null where the gate refused the model",
        str_matches=SHARE,
        nullable=True,
    )
    score: int = pa.Field(description="The rule score (semantics 6.8)", ge=0, le=100)
    decile: pd.Int64Dtype = pa.Field(
        description="1 for the tenth at the highest risk; null without a probability",
        ge=1,
        le=10,
        nullable=True,
    )
    top_decile: bool = pa.Field(
        description="Whether it is in the tenth at the highest risk, by what the risk follows, and there is "
        "any risk"
    )
    model: str = pa.Field(description="Version of the model; null without a probability", nullable=True)
    reasons_json: str = pa.Field(description="What raises the risk most, in words")

    class Config(Table.Config):
        name = "signals/churn_risk"
        metadata = {"key": ["month", "customer"], "partitioned_by": "month"}
        unique = ["month", "customer"]


class ModelCard(Monthly):
    """One row per model, slice of time and number: how good the month's model is, and whether it is used.

    Tested on the three newest closes whose three months have closed, which it has not seen.
    """

    model: str = pa.Field(description="What it expects: `expansion` or `churn`", isin=MODELS)
    split: str = pa.Field(
        description="`train`, `calibrate`, `test`: the slices of time; `month`: the customers of the month",
        isin=SPLITS,
    )
    metric: str = pa.Field(
        description="Name of the number: `pr_auc` is mean precision, `psi_...` how far a figure of the month "
        "is from training (above 0.25 it moved), `bin_01_said` and `bin_01_happened` the lowest tenth by "
        "probability; `gate`, `usage`, `replaced`, `sampled` hold a verdict"
    )
    baseline: str = pa.Field(
        description="Whose number it is, or what it is compared with: empty for the model alone, "
        "`rule score`, `expanded lately`, `utilisation alone`, `base rate`, `without usage`"
    )
    value: str = pa.Field(description="The number", str_matches=SHARE, nullable=True)
    low: str = pa.Field(
        description="Lower limit, by resampling customers: 95 %; 90 % of what the gate asks for, the gain "
        "over the rule score and Brier skill",
        str_matches=SHARE,
        nullable=True,
    )
    high: str = pa.Field(description="Upper limit", str_matches=SHARE, nullable=True)
    rows: int = pa.Field(description="Rows that it rests on", ge=0)
    verdict: str = pa.Field(description="What follows, in words; null for a number alone", nullable=True)

    class Config(Table.Config):
        name = "signals/model_card"
        metadata = {"key": ["month", "model", "split", "metric", "baseline"], "partitioned_by": "month"}
        unique = ["month", "model", "split", "metric", "baseline"]
