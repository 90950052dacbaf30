"""A programme's outcome as a row of signals/programmes: money in whole minor units, statistics as text.

Here: the columns, and what a reader has to know beside them. Not here: any statistic (`outcomes.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.wording import counted
from expansion_platform.domain.signals.programmes.intervals import Difference
from expansion_platform.domain.signals.programmes.plans import Plan
from expansion_platform.domain.signals.programmes.roi import influenced, roi
from expansion_platform.domain.signals.tables.programmes import (
    INVALID,
    NOT_SHOWN,
    OBSERVATIONAL,
    RANDOMISED,
    SHOWN,
)
from expansion_platform.domain.signals.texts import fixed

if TYPE_CHECKING:
    from expansion_platform.domain.signals.programmes.outcomes import Outcome

NAMED = 20
"""Customers left out that are named."""
SIDES = ("treatment", "control")


def programme_row(
    month: str, name: str, found: Outcome, plan: Plan, left_out: pd.DataFrame, units: pd.DataFrame
) -> dict[str, Any]:
    """The row of a programme at a month's close.

    Args:
        month: the month.
        name: of the programme.
        found: what it did.
        plan: what was planned.
        left_out: customers that count in no arm: customer, because.
        units: the customers that count: randomised, measured.
    """
    arms, stratified = found.arms, found.stratified
    drawn = stratified is None
    valid = found.verdict in (SHOWN, NOT_SHOWN)
    incremental = found.amount.times(arms.measured[0]) if valid else Difference()
    brought, made = roi(incremental, plan.worth), influenced(incremental, arms.expansion[0])
    texts = {
        "planned_share": None if plan.planned_share is None else float(plan.planned_share),
        "sample_ratio_p": found.sample_ratio_p,
        "balance_p": found.balance.p,
        "share_treatment": arms.shares[0],
        "share_control": arms.shares[1],
        **_interval("share", found.share),
        **_interval("amount", found.amount),
        "amount_p": found.amount.p,
        **_interval("winsorised", found.winsorised),
        "winsorised_p": found.winsorised.p,
        "detectable_share": found.detectable[0],
        "detectable_amount": found.detectable[1],
        "influenced_share": made,
        "natural_share": None if made is None else 1 - made,
        "margin": plan.worth.margin,
        "roi": brought.value,
        "roi_low": brought.low,
        "roi_high": brought.high,
        "stratified_share": None if stratified is None else stratified.share,
        "stratified_amount": None if stratified is None else stratified.amount,
    }
    sides = {
        f"{column}_{side}": amount
        for column in ("members", "measured", "expanders", "expansion")
        for side, amount in zip(SIDES, getattr(arms, column), strict=True)
    }
    return {
        "month": month,
        "programme": name,
        "basis": RANDOMISED if drawn else OBSERVATIONAL,
        "verdict": found.verdict,
        "primary_outcome": plan.primary,
        **sides,
        "left_out": len(left_out),
        "left_out_json": dumps(_named(left_out)),
        "balance_json": dumps(
            dict(zip(found.balance.differences, _texts(found.balance.differences), strict=True))
        ),
        "balance_flagged": found.balance.flagged,
        **dict(zip(texts, _texts(texts), strict=True)),
        "incremental": _whole(incremental.value),
        "incremental_low": _whole(incremental.low),
        "incremental_high": _whole(incremental.high),
        "cost": plan.worth.cost,
        "months_retained": plan.worth.months,
        "stratified_customers": None if stratified is None else stratified.customers,
        "notes_json": dumps(list(_notes(found, plan, units))),
    }


def _interval(name: str, of: Difference) -> dict[str, float | None]:
    return {f"{name}_difference": of.value, f"{name}_low": of.low, f"{name}_high": of.high}


def _texts(numbers: dict[str, Any]) -> list[str | None]:
    values = np.array([np.nan if each is None else each for each in numbers.values()], dtype=float)
    return [None if pd.isna(text) else str(text) for text in fixed(values)]


def _whole(amount: float | None) -> int | None:
    return None if amount is None else round(amount)


def _named(left_out: pd.DataFrame) -> dict[str, list[Any]]:
    return {
        str(because): [len(customers), sorted(customers)[:NAMED]]
        for because, customers in left_out.groupby("because")["customer"]
    }


def _notes(found: Outcome, plan: Plan, units: pd.DataFrame) -> Iterator[str]:
    if plan.planned_share is None:
        yield "EXPANSION_PROGRAMMES does not have it: the arms' sizes cannot be checked, and there is no ROI"
    if (waiting := int((~units["measured"]).sum())) > 0:
        yield f"{counted(waiting, 'customer')} not measured yet: 3 whole months after the assignment count"
    if found.stratified is not None:
        if units["randomised"].any():
            yield f"{counted(int((~units['randomised']).sum()), 'customer')} picked, not drawn"
        outside = sum(found.arms.measured) - found.stratified.customers
        if outside > 0:
            yield f"{counted(outside, 'customer')} measured have nobody of their kind in the other arm"
    elif found.balance.flagged:
        yield "the arms differed before the programme by more than a fair draw makes them"
    if found.verdict == INVALID:
        yield "more or fewer customers are in an arm than planned: somebody or something moved them"
