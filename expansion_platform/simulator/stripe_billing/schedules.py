"""Subscription schedules: a subscription's phases, planned ahead and carried out by Stripe.

Here: a schedule, its object in API version 2026-10-28.endive, and what became of it. Not here: who plans what
(`simulator/company/arrangements.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from expansion_platform.simulator.company.catalog import Price
from expansion_platform.simulator.stripe_billing import objects

JSON = dict[str, Any]


@dataclass(frozen=True)
class Phase:
    """(price, quantity) of every item over [start, end)."""

    start: int
    end: int
    items: tuple[tuple[Price, int], ...]


@dataclass
class Schedule:
    """`released_at` when it let go of its subscription.

    After the last phase, or when somebody took the subscription off it.
    """

    id: str
    customer: str
    subscription: str
    currency: str
    created: int
    phases: Sequence[Phase]
    proration: str
    flexible: bool
    released_at: int | None = None

    def rendered(self, ended_at: int | None, at: int) -> JSON:
        """The schedule at `at`; one whose subscription ended (at `ended_at`) first is canceled with it."""
        released = self.released_at is not None
        canceled = not released and ended_at is not None
        running = (
            next((phase for phase in self.phases if phase.start <= at < phase.end), None)
            if not (released or canceled)
            else None
        )
        return {
            "id": self.id,
            "object": "subscription_schedule",
            "application": None,
            "billing_mode": objects.billing_mode(self.created, flexible=self.flexible),
            "canceled_at": ended_at if canceled else None,
            "completed_at": None,
            "created": self.created,
            "current_phase": None
            if running is None
            else {"end_date": running.end, "start_date": running.start},
            "customer": self.customer,
            "customer_account": None,
            "default_settings": {
                "billing_cycle_anchor": "automatic",
                "invoice_settings": {"issuer": {"type": "self"}},
            },
            "end_behavior": "release",
            "livemode": True,
            "metadata": {},
            "pause_schedules": [],
            "phases": [self._phase(phase) for phase in self.phases],
            "released_at": self.released_at,
            "released_subscription": self.subscription if released else None,
            "status": "released" if released else "canceled" if canceled else "active",
            "subscription": None if released else self.subscription,
            "test_clock": None,
        }

    def _phase(self, phase: Phase) -> JSON:
        items = [
            {"discounts": [], "plan": price.id, "price": price.id, "quantity": quantity}
            for price, quantity in phase.items
        ]
        return {
            "add_invoice_items": [],
            "currency": self.currency,
            "discounts": [],
            "end_date": phase.end,
            "items": items,
            "proration_behavior": self.proration,
            "start_date": phase.start,
        }
