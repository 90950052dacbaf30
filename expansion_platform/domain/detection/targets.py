"""What people decide about alerts: targets, and the smallest shortfall worth a message (semantics 4.7, 5.4).

Here: the alerts file's fields, and looking a target up. Not here: its text (`domain/configuration.py`), any judgement (`rules.py`).
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from expansion_platform.domain.configuration import read_yaml, told
from expansion_platform.domain.errors import ConfigurationError
from expansion_platform.domain.money import decimal
from expansion_platform.domain.schemas.base import MONTH_PATTERN
from expansion_platform.domain.schemas.mrr import SEGMENTS


class Target(BaseModel):
    """A monthly expansion rate to reach, for the total or a segment, over a range of months."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: Literal["total", "enterprise", "mid_market", "smb"] = "total"
    monthly_percent: Decimal = Field(gt=0, le=100, description="Expansion over opening MRR, percent a month")
    first_month: str | None = Field(None, pattern=MONTH_PATTERN)
    last_month: str | None = Field(None, pattern=MONTH_PATTERN)

    @property
    def rate(self) -> Fraction:
        """As a fraction."""
        return Fraction(self.monthly_percent) / 100

    def holds(self, scope: str, month: str) -> bool:
        """Whether it is of this scope and month."""
        return self.scope == scope and (self.first_month or month) <= month <= (self.last_month or month)


class AlertSettings(BaseModel):
    """Targets and thresholds. Without a file: 2 % a month for the total (semantics 4.7), and 500.00 as the smallest shortfall told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_shortfall: str = Field("500.00", description="Smallest shortfall worth a message, in the reporting currency's major unit")
    targets: tuple[Target, ...] = (Target(monthly_percent=Decimal("2.0")),)

    @model_validator(mode="after")
    def _sound(self) -> AlertSettings:
        decimal(self.min_shortfall)
        for scope in ("total", *SEGMENTS):
            spans = sorted((target.first_month or "", target.last_month or "9999-12") for target in self.targets if target.scope == scope)
            if any(later[0] <= earlier[1] for earlier, later in pairwise(spans)):
                raise ValueError(f"two targets of {scope} hold in the same month")
        return self

    @classmethod
    def from_yaml(cls, path: Path | None) -> AlertSettings:
        """From a file, or the defaults. ConfigurationError names the file and the key path."""
        if path is None:
            return cls()
        try:
            return cls.model_validate(read_yaml(path) or {})
        except ValidationError as error:
            raise ConfigurationError(f"alerts file {path}: {told(error, cls)}") from error

    def smallest(self, exponent: int) -> int:
        """The smallest shortfall in minor units of a currency with this exponent."""
        return int(decimal(self.min_shortfall) * 10**exponent)

    def target(self, scope: str, month: str) -> Fraction | None:
        """The rate to reach, None when there is none."""
        return next((target.rate for target in self.targets if target.holds(scope, month)), None)
