"""The table of how often simulated customers do what, and how much.

Here: named constants only. Not here: what a decision does (`behaviour.py`). Rates are chances a month for
each subscription unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from expansion_platform.simulator.company.catalog import BASIC, ENTERPRISE, PRO, Product


@dataclass(frozen=True)
class Segment:
    """A kind of customer; `growth` is the relative change of seats.

    Large accounts grow often and by little, small ones rarely and by much: so does a real base, and no single
    account decides a month's rate.
    """

    share: float
    plans: dict[Product, float]
    seats: tuple[int, int]
    annual: float
    grow: float
    growth: tuple[float, float]
    upgrade: float
    leave: float


SEGMENTS = (
    Segment(
        0.64,
        {BASIC: 0.7, PRO: 0.3},
        (6, 40),
        annual=0.20,
        grow=0.08,
        growth=(0.10, 0.35),
        upgrade=0.012,
        leave=0.020,
    ),
    Segment(
        0.26,
        {BASIC: 0.2, PRO: 0.7, ENTERPRISE: 0.1},
        (70, 150),
        annual=0.30,
        grow=0.14,
        growth=(0.05, 0.15),
        upgrade=0.005,
        leave=0.010,
    ),
    Segment(
        0.10,
        {PRO: 0.3, ENTERPRISE: 0.7},
        (180, 400),
        annual=0.45,
        grow=0.34,
        growth=(0.02, 0.06),
        upgrade=0.002,
        leave=0.004,
    ),
)
CURRENCIES = {"usd": 0.62, "eur": 0.18, "gbp": 0.12, "jpy": 0.08}

SHRINK = 0.022
SHRINKAGE = (0.05, 0.30)
DOWNGRADE = 0.004
ADD_ADDON = 0.012
DROP_ADDON = 0.025
CROSS_SELL = 0.010
SWITCH_INTERVAL = 0.007
NEW_COUPON = 0.025
REFUND = 0.010
REMOVE_FOREVER = 0.05
"""Of a forever discount, at each renewal."""

PRORATION = {
    "month": {"create_prorations": 0.65, "always_invoice": 0.25, "none": 0.10},
    "year": {"create_prorations": 0.74, "always_invoice": 0.20, "none": 0.06},
}
SECOND_CHANGE = 0.15
"""A change of seats is followed by another within days."""
RESIZES_STORAGE = 0.3
"""A change of size is of the storage add-on, where there is one."""
NEW_ITEM = 0.35
"""A tier change deletes the item and adds another, instead of swapping its price."""
SEATS_WITH_UPGRADE = 0.3
OWN_SUBSCRIPTION = 0.5
"""A cross-sold product gets its own subscription."""
MIGRATED_WITHOUT_PRORATION = 0.5
GRANDFATHERED = 0.3
"""Of a company that repriced twice: customers who keep their price the second time."""

LEAVES_AT_PERIOD_END = 0.5
CREDITED = 0.6
"""A cancellation at once credits the unused time."""
CREDIT_INVOICED = 0.3
RESUBSCRIBES = 0.40
"""After a cancellation at once, within the same month."""
RETURNS = 0.25
"""After months."""
RESUBSCRIBES_ON_ANOTHER_PLAN = 0.3

TRIAL = 0.15
TRIAL_LOST = 0.35
COUPON = 0.30
"""A new subscription starts with a coupon."""
SECOND_COUPON = 0.15
ON_ITEM = 0.35
"""A coupon is redeemed on the first item instead of the subscription."""
SSO_AT_START = 0.15
SECOND_SUBSCRIPTION = 0.06
SENDS_INVOICE = 0.35
SENT_FROM_SEATS = 60
"""Customers from this size on may be sent invoices instead of being charged."""

SLUMP_MONTH = (2026, 10)
SLUMP = 0.35
"""Share of the usual expansions that still happen in the slump month."""
