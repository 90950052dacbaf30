"""Floor `signals`: what outreach really did, what conversations led to, and where the product sells itself.

Here: the tables (semantics 6.9). Not here: any rule (`domain/signals/programmes/`).
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.tables import OUTCOMES
from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import Monthly, Table
from expansion_platform.domain.signals.tables.scores import SHARE

RANDOMISED, OBSERVATIONAL = BASES = ("randomised", "observational, not causal")
SHOWN, NOT_SHOWN, INVALID, EARLY = VERDICTS = (
    "shown",
    "not shown to differ",
    "invalid assignment",
    "too early",
)
EVERY = "all"


def _number(description: str) -> Any:
    return pa.Field(description=description, str_matches=SHARE, nullable=True)


def _count(description: str) -> Any:
    return pa.Field(description=description, ge=0)


def _money(description: str) -> Any:
    return pa.Field(description=f"{description}, minor units", nullable=True)


class ProgrammeOutcomes(Monthly):
    """One row per programme since its first customer was assigned: what it did, as known at the close.

    Customers are compared by the arm they were assigned to, whatever was done and whether they stayed. What
    counts is headline expansion in the first 3 whole calendar months since the assignment; figures of
    outcomes are of the customers whose 3 months are over.
    """

    programme: str = pa.Field(description="The programme")
    basis: str = pa.Field(
        description="`randomised`; else customers were picked, and no effect of the programme is known",
        isin=list(BASES),
    )
    verdict: str = pa.Field(
        description="`shown` where the 95 % interval of the primary outcome excludes 0; `invalid assignment` "
        "where the arms are not of the sizes planned; `too early` with fewer than 2 customers measured in an "
        "arm; null where arms were not drawn",
        isin=list(VERDICTS),
        nullable=True,
    )
    primary_outcome: str = pa.Field(description="What the verdict follows", isin=list(OUTCOMES))
    planned_share: str = _number("Share of treatment planned; null where EXPANSION_PROGRAMMES does not say")
    members_treatment: int = _count("Customers assigned to treatment by the close")
    members_control: int = _count("Customers assigned to control by the close")
    left_out: int = _count("Customers assigned that count in no arm")
    left_out_json: str = pa.Field(description="{why: [how many, the first 20 of them]}")
    sample_ratio_p: str = _number(
        "How rarely a fair draw is as far from the planned share; invalid below 0.001"
    )
    balance_json: str = pa.Field(
        description="{figure at assignment: standardised difference, treatment minus control}; single ones "
        "above 0.1 happen in 71 % of fair programmes of 400"
    )
    balance_p: str = _number("How rarely a fair draw sets the arms as far apart in all figures together")
    balance_flagged: bool = pa.Field(description="Whether that is below 0.001")
    measured_treatment: int = _count("Customers of treatment whose 3 months are over")
    measured_control: int = _count("Customers of control whose 3 months are over")
    expanders_treatment: int = _count("Those of treatment that expanded")
    expanders_control: int = _count("Those of control that expanded")
    expansion_treatment: int = _count("Headline expansion of treatment, minor units")
    expansion_control: int = _count("Headline expansion of control, minor units")
    share_treatment: str = _number("Share of treatment that expanded")
    share_control: str = _number("Share of control that expanded")
    share_difference: str = _number("Treatment minus control; null where arms were not drawn")
    share_low: str = _number("Low end of Newcombe's 95 % interval of it")
    share_high: str = _number("High end of it")
    amount_difference: str = _number("Mean expansion per customer, treatment minus control, minor units")
    amount_low: str = _number("Low end of its 95 % interval by the inverted permutation test; null for none")
    amount_high: str = _number("High end of it; null for none")
    amount_p: str = _number("How rarely arms without effect differ as much, by permutation")
    winsorised_difference: str = _number("The same with expansion cut at the 99th percentile")
    winsorised_low: str = _number("Low end of its interval")
    winsorised_high: str = _number("High end of its interval")
    winsorised_p: str = _number("Its p")
    detectable_share: str = _number(
        "Smallest rise of the share, from that of control, that such a programme finds in 80 %"
    )
    detectable_amount: str = _number(
        "Smallest difference of mean expansion that it finds in 80 %, minor units"
    )
    incremental: pd.Int64Dtype = _money(
        "MRR that the programme brought: the difference of means x customers measured in treatment; null "
        "where arms were not drawn, assignment is invalid, or it is too early"
    )
    incremental_low: pd.Int64Dtype = _money("Low end of it")
    incremental_high: pd.Int64Dtype = _money("High end of it")
    influenced_share: str = _number(
        "Incremental over expansion of treatment; not cut to 0 and 1. The rest would have come by itself"
    )
    natural_share: str = _number("That rest")
    cost: pd.Int64Dtype = _money("What the programme cost; null when not given")
    margin: str = _number("Gross margin; null when not given")
    months_retained: int = pa.Field(description="Months for which expansion is taken to be kept", ge=1)
    roi: str = _number("(incremental x margin x months_retained - cost) / cost; null without cost or margin")
    roi_low: str = _number("Low end of it")
    roi_high: str = _number("High end of it")
    stratified_share: str = _number(
        "Where arms were not drawn: difference of the shares within segment and decile of readiness, "
        "weighted by treatment. Observational, not causal"
    )
    stratified_amount: str = _number("The same of mean expansion, minor units. Observational, not causal")
    stratified_customers: pd.Int64Dtype = pa.Field(
        description="Customers measured in strata that have both arms; null where arms were drawn",
        ge=0,
        nullable=True,
    )
    notes_json: str = pa.Field(description="What else a reader has to know, in words")

    class Config(Table.Config):
        name = "signals/programmes"
        metadata = {"key": ["month", "programme"], "partitioned_by": "month"}
        unique = ["month", "programme"]


class Conversations(Monthly):
    """One row per channel, and `all`: what expansion opportunities became, as known at the close."""

    channel: str = pa.Field(description="How they came about; `unknown`, and `all` for every one")
    opened: int = _count("Opportunities opened in the month, as far as their first stage is known")
    open: int = _count("Opportunities open at the close")
    won: int = _count("Won in the month")
    lost: int = _count("Lost in the month")
    entered_late: int = _count(
        "Won or lost in an earlier month, and known only since that month closed; in no month's won or lost"
    )
    win_rate: str = _number("won / (won + lost)")
    win_rate_low: str = _number("Low end of Wilson's 95 % interval")
    win_rate_high: str = _number("High end of it")
    median_days: str = _number("Median days from opened to won, of those won whose opening is known")
    mrr_won: int = _count(
        "Headline expansion of the month, minor units, that has a win of its customer from 30 days before to "
        "14 days after it; each credited once, to the nearest win. Attribution, not causation"
    )

    class Config(Table.Config):
        name = "signals/conversations"
        metadata = {"key": ["month", "channel"], "partitioned_by": "month"}
        unique = ["month", "channel"]


class Friction(Monthly):
    """One row a month whose usage before is known: attempts at a higher plan's features, and self-serve.

    Usage is known by account and month, not by product, day or hour: so attempts are followed to the end of
    the month after them, and time is counted in months.
    """

    gate_month: str = pa.Field(description="Month of the attempts: the one before")
    gate_hit_customers: int = _count("Customers that paid in it and tried")
    upgraded: int = _count("Those of them with headline expansion by a higher plan in that month or this one")
    upgrade_rate: str = _number("upgraded / gate_hit_customers; null when nobody tried")
    upgrade_rate_low: str = _number("Low end of Wilson's 95 % interval")
    upgrade_rate_high: str = _number("High end of it")
    median_months: str = _number("Median months from attempt to upgrade: 0 is the same month")
    self_serve_share: str = _number("Share of the month's headline expansion that the customer began alone")
    unknown_share: str = _number("Share of which nothing says who began it")

    class Config(Table.Config):
        name = "signals/friction"
        metadata = {"key": ["month"], "partitioned_by": "month"}
        unique = ["month"]
