"""A simulated subscription as it is now, and the calendar of its billing periods.

Here: the state Stripe keeps of a subscription, and questions about it. Not here: what changes it
(`billing.py`), its API form (`objects.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from dateutil.relativedelta import relativedelta

from expansion_platform.simulator.company.catalog import Coupon
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.truth.items import SubscriptionLog

_MONTHS = {"month": 1, "year": 12}
_LONGEST_MONTH = 31 * 24 * 3600


@dataclass
class Subscription:
    """All items share its interval.

    `period` is the running one, `pending` what the next invoice will bill; `flexible` is its billing mode.

    `locked` while a change without proration waits for the renewal that will show it: until then nothing else
    happens to it.
    """

    id: str
    customer: str
    interval: str
    created: int
    anchor: int
    period: tuple[int, int]
    collection_method: str
    log: SubscriptionLog
    items: list[Item]
    discounts: list[Discount] = field(default_factory=list)
    pending: list[dict[str, Any]] = field(default_factory=list)
    status: str = "active"
    trial_end: int | None = None
    flexible: bool = False
    cancel_at_period_end: bool = False
    canceled_at: int | None = None
    ended_at: int | None = None
    latest_invoice: str | None = None
    locked: bool = False
    paused: str | None = None
    schedule: str | None = None
    pending_update: dict[str, Any] | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    used_since: int = 0
    """From when on usage is not billed yet."""

    def given(self) -> list[Discount]:
        """Every discount ever given to it or to its present items: item-level ones first."""
        return [*(each for item in self.items for each in item.discounts), *self.discounts]

    def coupons(self, at: int) -> list[Coupon]:
        """Coupons in force."""
        return [each.coupon for each in self.given() if each.listed(at)]

    def is_free(self, at: int) -> bool:
        """Whether 100 % is off."""
        return any(coupon.percent == "100" for coupon in self.coupons(at))

    def used_once(self, at: int) -> bool:
        """Whether a `once` coupon reduces the running period."""
        return any(start <= at < end for each in self.given() for _, start, end in each.windows)


def next_end(start: int, interval: str, at: int) -> int:
    """The first end of a whole number of intervals after `start` that is after `at`."""
    count = max(1, (at - start) // (_MONTHS[interval] * _LONGEST_MONTH))  # so many have passed
    while (end := after(start, interval, count)) <= at:
        count += 1
    return end


def after(start: int, interval: str, count: int) -> int:
    """`count` intervals after `start` (epoch seconds), clamped to the month's length.

    31 Jan + 1 month = 28 Feb, + 2 months = 31 Mar.
    """
    months = count * _MONTHS[interval]
    return int((datetime.fromtimestamp(start, UTC) + relativedelta(months=months)).timestamp())
