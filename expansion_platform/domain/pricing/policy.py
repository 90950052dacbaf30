"""The counting policy: which items count and how (semantics 1.3, 8.1), versioned by the hash of its content.

Here: its fields, defaults and presets. Not here: the catalog that it is a part of (`catalog/catalog.py`), the
file's text (`core/configuration.py`).
"""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.configuration import FileModel, only_known
from expansion_platform.domain.stripe.vocabulary import PAUSES, STATUSES

PRESETS: dict[str, dict[str, Any]] = {
    "house": {},
    "stripe_parity": {"metered_counts": False, "repeating_discount_counts": False},
}
"""What each preset changes in the defaults. `stripe_parity` counts as Stripe's dashboard does, only to
reconcile with it (semantics 1.3).
"""


class Policy(FileModel):
    """How items count.

    Every field has the default of semantics 8.1 or its preset; changing one is a new policy version.
    """

    preset: Literal["house", "stripe_parity"] = Field(
        "house", description="Where the other fields start from; `stripe_parity` is for reconciliation"
    )
    statuses: tuple[str, ...] = Field(
        ("active", "past_due"), description="Subscription statuses that count (D-1)"
    )
    paused_counts: tuple[str, ...] = Field(
        ("keep_as_draft",), description="Paused collection behaviours that still count"
    )
    metered_counts: bool = Field(True, description="Whether usage is MRR (D-3)")
    repeating_discount_counts: bool = Field(True, description="Whether repeating coupons reduce MRR")
    once_discount_min_months: int = Field(
        12, ge=1, description="Shortest billing period whose `once` coupon reduces MRR (D-4)"
    )
    week_in_months: str = Field("84/365", description="Months in a week (D-10)")
    day_in_months: str = Field("12/365", description="Months in a day (D-10)")
    enterprise_acv: int = Field(
        10_000_000,
        ge=0,
        description="Lowest yearly value of enterprise, minor units of the reporting currency",
    )
    mid_market_acv: int = Field(
        2_500_000,
        ge=0,
        description="Lowest yearly value of mid-market, minor units of the reporting currency",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, content: Any) -> Any:
        preset = content.get("preset") if isinstance(content, dict) else None
        return {**PRESETS[preset], **content} if isinstance(preset, str) and preset in PRESETS else content

    @field_validator("statuses")
    @classmethod
    def _known_statuses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return only_known(value, STATUSES, "subscription status")

    @field_validator("paused_counts")
    @classmethod
    def _known_pauses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return only_known(value, PAUSES, "paused collection behaviour")

    @field_validator("week_in_months", "day_in_months")
    @classmethod
    def _positive_fraction(cls, value: str) -> str:
        try:
            positive = Fraction(value) > 0
        except (ValueError, ZeroDivisionError):
            positive = False
        if not positive:
            raise ValueError(f"{value!r} is not a positive fraction such as 84/365")
        return value

    @model_validator(mode="after")
    def _ordered_segments(self) -> Policy:
        if self.mid_market_acv > self.enterprise_acv:
            raise ValueError("mid_market_acv is above enterprise_acv")
        return self

    @cached_property
    def week(self) -> Fraction:
        """Months in a week, exact."""
        return Fraction(self.week_in_months)

    @cached_property
    def day(self) -> Fraction:
        """Months in a day, exact."""
        return Fraction(self.day_in_months)

    @property
    def policy_hash(self) -> str:
        """16 hex digits of what it decides.

        Neither the order of names in a list nor the preset it started from matters.
        """
        content = self.model_dump(exclude={"preset"})
        return content_hash(
            {
                **content,
                "statuses": sorted(set(self.statuses)),
                "paused_counts": sorted(set(self.paused_counts)),
            }
        )
