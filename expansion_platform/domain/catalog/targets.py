"""What people decide about targets and alerts.

What is to be reached, and the smallest shortfall worth a message (semantics 4.7, 5.4).

Here: the alerts file's fields, and looking a target up. Not here: its text (`domain/core/configuration.py`),
how far a target was met (`domain/metrics/attainment.py`), any judgement (`alerts/rules.py`).
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from expansion_platform.domain.core.configuration import problems_text, read_yaml
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.money import decimal
from expansion_platform.domain.core.table import MONTH_PATTERN


class Target(BaseModel):
    """A month's figure to reach or exceed, for the total or a segment, over a range of months."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["expansion_rate", "expansion_share_of_new", "nrr", "grr"] = "expansion_rate"
    scope: Literal["total", "enterprise", "mid_market", "smb"] = "total"
    monthly_percent: Decimal = Field(gt=0, le=1000, description="What the month's figure is to be, percent")
    first_month: str | None = Field(None, pattern=MONTH_PATTERN)
    last_month: str | None = Field(None, pattern=MONTH_PATTERN)
    alert: bool = Field(
        True, description="Whether `below_target` judges it; only an expansion rate is judged"
    )

    @property
    def rate(self) -> Fraction:
        """As a fraction."""
        return Fraction(self.monthly_percent) / 100

    def holds(self, metric: str, scope: str, month: str) -> bool:
        """Whether it is of this metric, scope and month."""
        return (self.metric, self.scope) == (metric, scope) and (self.first_month or month) <= month <= (
            self.last_month or month
        )


def monthly(annual_percent: str) -> Decimal:
    """The monthly percentage that compounds to an annual one: (1 + a)^(1/12) - 1, 20 -> 1.53094705."""
    return (((1 + Decimal(annual_percent) / 100) ** (Decimal(1) / 12) - 1) * 100).quantize(
        Decimal("1e-8"), rounding=ROUND_HALF_EVEN
    )


DEFAULT_TARGETS = (
    Target(monthly_percent=Decimal("2.0")),
    *(
        # Lower edges of the segment benchmarks (semantics 4.6).
        Target(scope=scope, monthly_percent=monthly(annual), alert=False)
        for scope, annual in (("enterprise", "20"), ("mid_market", "15"), ("smb", "10"))
    ),
    Target(metric="expansion_share_of_new", monthly_percent=Decimal(20), alert=False),
)
"""Semantics 4.7. Only the total's rate is judged: a benchmark nobody here has agreed to alerts nobody."""


class AlertSettings(BaseModel):
    """Targets and thresholds.

    Without a file `DEFAULT_TARGETS`, and 500.00 as the smallest shortfall reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_shortfall: str = Field(
        "500.00", description="Smallest shortfall worth a message, in the reporting currency's major unit"
    )
    targets: tuple[Target, ...] = DEFAULT_TARGETS
    fiscal_year_begins: int = Field(1, ge=1, le=12, description="Calendar month in which years to date begin")

    @model_validator(mode="after")
    def _sound(self) -> AlertSettings:
        decimal(self.min_shortfall)
        for metric, scope in sorted({(target.metric, target.scope) for target in self.targets}):
            of_both = [target for target in self.targets if (target.metric, target.scope) == (metric, scope)]
            spans = sorted((target.first_month or "", target.last_month or "9999-12") for target in of_both)
            if any(later[0] <= earlier[1] for earlier, later in pairwise(spans)):
                raise ValueError(f"two targets of {metric}, {scope} hold in the same month")
        return self

    @classmethod
    def from_yaml(cls, path: Path | None) -> AlertSettings:
        """From a file, or the defaults. ConfigurationError names the file and the key path."""
        if path is None:
            return cls()
        try:
            return cls.model_validate(read_yaml(path) or {})
        except ValidationError as error:
            raise ConfigurationError(f"alerts file {path}: {problems_text(error, cls)}") from error

    def smallest(self, exponent: int) -> int:
        """The smallest shortfall in minor units of a currency with this exponent."""
        return int(decimal(self.min_shortfall) * 10**exponent)

    def target(self, scope: str, month: str) -> Fraction | None:
        """The expansion rate alerts judge a scope by, None when there is none."""
        return next(
            (
                target.rate
                for target in self.targets
                if target.alert and target.holds("expansion_rate", scope, month)
            ),
            None,
        )

    def to_reach(self, metric: str, scope: str, month: str) -> Fraction | None:
        """What a figure is to be, None when there is no target."""
        return next((target.rate for target in self.targets if target.holds(metric, scope, month)), None)
