"""What a rule found: one shape for all of them.

Here: findings and their identity. Not here: how they are found (`rules.py`, `followups.py`), what becomes of
them (`lifecycle.py`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from expansion_platform.domain.alerts.decomposition import Decomposition

SEVERITIES = ["info", "warning", "critical"]
Outcome = Literal["fires", "pending", "clear"]


@dataclass(frozen=True)
class Drop:
    """A rate against its baseline: exact rates, and the expansion missing in minor units."""

    rate: Fraction
    baseline: Fraction
    baseline_months: tuple[str, ...]
    three_months: Fraction
    """Mean of the last three of the baseline's months, shown beside it."""
    expansion: int
    opening: int
    shortfall: int
    """(baseline - rate) * opening, half-even; below zero when the rate rose."""
    members: int
    expanders: int
    p_amount: Fraction
    p_count: Fraction
    parts: Decomposition

    @property
    def change(self) -> Fraction:
        """Relative change against the baseline, -1/4 for a quarter less; 0 where the baseline is."""
        return self.rate / self.baseline - 1 if self.baseline else Fraction(0)

    @property
    def p(self) -> Fraction:
        """Twice the smaller of both, at most 1: two tests were made."""
        return min(Fraction(1), 2 * min(self.p_amount, self.p_count))


@dataclass(frozen=True)
class Finding:
    """What a rule says of one scope and month.

    A rule that cannot be judged (too short a history, no base) finds nothing at all.
    """

    rule: str
    dimension: str
    value: str
    month: str
    outcome: Outcome
    """`pending` is below target for a first month: known, not reported."""
    severity: str
    measured: Fraction
    """What recovery is judged by."""
    recovers_at: Fraction
    """Where it is over; frozen when the rule first fires (semantics 5.6)."""
    falling: bool = True
    """Low is bad: recovered at `recovers_at` or above; else at or below."""
    shortfall: int = 0
    drop: Drop | None = None
    figures: dict[str, Fraction | int | str] = field(default_factory=dict)
    """Further figures of the message, by name."""

    @property
    def scope(self) -> str:
        """`total`, or the slice, such as `segment:smb`."""
        return scope(self.dimension, self.value)

    @property
    def fingerprint(self) -> str:
        """Identity of what is reported, over months (semantics 5.6)."""
        return fingerprint(self.rule, self.dimension, self.value)


def scope(dimension: str, value: str) -> str:
    """Name of a scope: `total`, or the slice, such as `segment:smb`."""
    return dimension if dimension == "total" else f"{dimension}:{value}"


def fingerprint(*parts: str) -> str:
    """SHA-256 of parts, in hex."""
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
