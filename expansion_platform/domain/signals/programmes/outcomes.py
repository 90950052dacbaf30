"""What each programme of outreach did, as known at each close (signals/programmes, semantics 6.5, 6.9).

Here: arms side by side, and the verdict. Not here: who is in an arm (`assignments.py`), the tests
(`intervals.py`, `sample_ratio.py`, `balance.py`), the row as text (`programme_rows.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs, stacked
from expansion_platform.domain.catalog.tables import AMOUNT
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.statistics import generator
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.programmes.assignments import (
    HORIZON,
    Units,
    known_customers,
    units_of,
)
from expansion_platform.domain.signals.programmes.balance import Balance, balance
from expansion_platform.domain.signals.programmes.detectable import detectable_amount, detectable_share
from expansion_platform.domain.signals.programmes.intervals import (
    Difference,
    mean_difference,
    permuted,
    share_difference,
    winsorised,
)
from expansion_platform.domain.signals.programmes.observational import Stratified, stratified
from expansion_platform.domain.signals.programmes.plans import Plan
from expansion_platform.domain.signals.programmes.programme_rows import programme_row
from expansion_platform.domain.signals.programmes.sample_ratio import INVALID_UNDER, sample_ratio_p
from expansion_platform.domain.signals.tables import Features, Readiness
from expansion_platform.domain.signals.tables.programmes import (
    EARLY,
    INVALID,
    NOT_SHOWN,
    SHOWN,
    ProgrammeOutcomes,
)

UNKNOWN = Difference()
FEWEST = 2
"""Customers measured in an arm; of fewer no spread is known."""


@dataclass(frozen=True)
class Arms:
    """Two arms, treatment first."""

    members: tuple[int, int]
    measured: tuple[int, int]
    expanders: tuple[int, int]
    expansion: tuple[int, int]

    @property
    def shares(self) -> tuple[float | None, float | None]:
        """Share of each that expanded; None where nobody was measured."""
        one, other = (
            count / size if size else None for count, size in zip(self.expanders, self.measured, strict=True)
        )
        return one, other


@dataclass(frozen=True)
class Outcome:
    """What a programme did. Where arms were not drawn only `stratified` compares them.

    Args:
        arms: counts and sums.
        balance: at assignment.
        share: of the shares of expanders.
        amount: of mean expansion per customer, minor units.
        winsorised: the same without extremes.
        sample_ratio_p: None without a planned share.
        detectable: share and amount.
        stratified: None where arms were drawn.
        verdict: None where they were not.
    """

    arms: Arms
    balance: Balance
    share: Difference = UNKNOWN
    amount: Difference = UNKNOWN
    winsorised: Difference = UNKNOWN
    sample_ratio_p: float | None = None
    detectable: tuple[float | None, float | None] = (None, None)
    stratified: Stratified | None = None
    verdict: str | None = None


def outcome(units: pd.DataFrame, plan: Plan, name: str) -> Outcome:
    """What a programme did.

    Args:
        units: a row a customer assigned, in the order of customers: treated, measured (its months are over),
            expansion (of them, minor units), randomised; segment, mrr, tenure_months, readiness at
            assignment, missing where not known.
        plan: what was planned.
        name: of the programme; it seeds the permutations, so a repeated run says the same.
    """
    treated, measured = (units[each].to_numpy(dtype=bool) for each in ("treated", "measured"))
    expansion = units["expansion"].to_numpy(dtype=np.int64)
    arms = _arms(treated, measured, expansion)
    alike = balance(units, permuted(treated, generator("programme balance", name)))
    if not units["randomised"].all():
        return Outcome(arms, alike, stratified=stratified(units[units["measured"]]))
    planned = plan.planned_share
    ratio = None if planned is None else sample_ratio_p(*arms.members, planned=float(planned))
    share = share_difference(arms.expanders, arms.measured)
    values, own = expansion[measured].astype(np.float64), treated[measured]
    labels = permuted(own, generator("programme", name))
    amount = mean_difference(values, own, labels)
    base = arms.shares[1]
    return Outcome(
        arms,
        alike,
        share,
        amount,
        mean_difference(winsorised(values), own, labels),
        ratio,
        (
            None if base is None else detectable_share(base, *arms.measured),
            detectable_amount(float(values.std(ddof=1)) if len(values) >= FEWEST else 0.0, *arms.measured),
        ),
        verdict=_verdict(arms, ratio, amount if plan.primary == AMOUNT else share),
    )


def _arms(treated: Bools, measured: Bools, expansion: Ints) -> Arms:
    def both(of: Callable[[Bools], int]) -> tuple[int, int]:
        return of(treated), of(~treated)

    return Arms(
        members=both(lambda arm: int(arm.sum())),
        measured=both(lambda arm: int((arm & measured).sum())),
        expanders=both(lambda arm: int((expansion[arm & measured] > 0).sum())),
        expansion=both(lambda arm: int(expansion[arm & measured].sum())),
    )


def _verdict(arms: Arms, ratio: float | None, primary: Difference) -> str:
    if ratio is not None and ratio < INVALID_UNDER:
        return INVALID
    # A verdict a month, of those measured so far, would call too many effects shown that are none.
    if arms.measured != arms.members or min(arms.measured) < FEWEST:
        return EARLY
    return SHOWN if primary.shown else NOT_SHOWN


def compute_programmes(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/programmes of some months."""
    given = inputs.value("assignments")
    if given.empty:
        return Computed({ProgrammeOutcomes: empty(ProgrammeOutcomes)[_COLUMNS]})
    timezone, lag = inputs.timezone, inputs.value("close_lag_days")
    plans: dict[str, Plan] = inputs.value("programmes")
    known, facts = known_customers(wanted, inputs), _Facts(inputs)
    found: dict[str, tuple[pd.DataFrame, Outcome]] = {}
    rows = []
    for month in sorted(wanted):
        units = units_of(given, months.closes(month, timezone, lag), known, inputs.catalog, timezone, lag)
        for name in sorted({*units.rows["programme"], *units.left_out["programme"]}):
            seen, plan = facts.of(units, name, month), plans.get(name, Plan())
            # A programme that is over says the same in every later month: 0.2 s of permutations each.
            if name not in found or not found[name][0].equals(seen):
                found[name] = seen, outcome(seen, plan, name)
            out = units.left_out[units.left_out["programme"] == name]
            rows.append(programme_row(month, name, found[name][1], plan, out, seen))
    frame = pd.DataFrame(rows, columns=_COLUMNS) if rows else empty(ProgrammeOutcomes)[_COLUMNS]
    return Computed({ProgrammeOutcomes: frame})


_COLUMNS = [each for each in columns(ProgrammeOutcomes) if not each.endswith("_hash")]


class _Facts:
    """What is known of customers at their assignment, and what they expanded by since."""

    def __init__(self, inputs: Inputs) -> None:
        names = ["month", "customer", "segment", "mrr", "tenure_months"]
        self._before = inputs.frame(Features)[names].merge(
            inputs.frame(Readiness)[["month", "customer", "score"]].rename(columns={"score": "readiness"}),
            on=["month", "customer"],
            how="left",
            validate="1:1",
        )
        moved = inputs.frame(mrr.Movements)
        self._moved = moved.loc[moved["flow_expansion"] > 0, ["month", "customer", "flow_expansion"]]

    def of(self, units: Units, programme: str, month: str) -> pd.DataFrame:
        """The customers of a programme at a month's close, as `outcome` takes them."""
        rows = units.rows[units.rows["programme"] == programme].sort_values("customer", ignore_index=True)
        every = [rows.assign(month=_later(rows["first_month"], by), row=rows.index) for by in range(HORIZON)]
        moved = stacked(every).merge(self._moved, on=["month", "customer"]) if len(rows) else None
        counted = (
            np.zeros(0, dtype=np.int64)
            if moved is None
            else moved[moved["month"] <= month].groupby("row")["flow_expansion"].sum().reindex(rows.index)
        )
        before = self._before.rename(columns={"month": "before"})
        found = rows.merge(before, on=["before", "customer"], how="left", validate="1:1")
        measured = _later(rows["first_month"], HORIZON - 1) <= month
        expansion = pd.Series(counted, index=rows.index).fillna(0).astype("int64")
        return found.assign(
            measured=measured.astype(bool),
            expansion=expansion.where(measured, 0),
            **{name: found[name].astype("float64") for name in ("mrr", "tenure_months", "readiness")},
        )


def _later(of: pd.Series[str], by: int) -> pd.Series[str]:
    return of.map({month: months.shift(month, by) for month in of.unique()}).astype("str")
