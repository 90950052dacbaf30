"""Customers whose payments fail, and those somebody spares for a while: behaviours that are switched on by name.

Here: who, how often and how it ends; decisions come from a generator of its own, so that a company without them stays as it is. Not here: what
Stripe makes of it (`collection.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from expansion_platform.simulator.billing import Billing
from expansion_platform.simulator.collection import Failure
from expansion_platform.simulator.subscription import Subscription

HOUR, DAY = 3_600, 86_400
RETRIES = 21 * DAY
"""Stripe's retries of a failed payment end after three weeks."""
FAILS = 0.06
"""Of all bills."""
FIRST_FAILS = 0.08
NO_CARD = 0.30
"""Of trials that end."""
PAUSE = 0.012
"""Of active subscriptions a month."""
LEAVES = 0.4
"""Of those that stopped paying or never gave a card."""
ENDINGS = {"past_due": "paid", "dunning_cancel": "canceled", "unpaid": "unpaid", "uncollectible": "uncollectible", "void_invoice": "void"}


class Hardship:
    """One customer's troubles, among the `behaviours` asked for."""

    def __init__(self, rng: random.Random, behaviours: frozenset[str], schedule: Callable[[int, Callable[[int], None]], None]) -> None:
        self._rng = rng
        self._behaviours = behaviours
        self._schedule = schedule
        self._endings = [ending for name, ending in ENDINGS.items() if name in behaviours]

    def begin(self, billing: Billing) -> None:
        """Take part in the collection of the customer's bills."""
        self._billing = billing
        billing.collection.failure = self._failure
        billing.collection.lacks_card = self._lacks_card

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw whether collection is paused within the next 30 days."""
        if "pause_collection" in self._behaviours and self._rng.random() < PAUSE:
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._pause(subscription, now))

    def _failure(self, subscription: Subscription, document: dict[str, Any]) -> Failure | None:
        first = document["billing_reason"] == "subscription_create"
        if first and subscription.collection_method == "charge_automatically":
            fails = "incomplete" in self._behaviours and self._rng.random() < FIRST_FAILS
            return Failure("paid" if self._rng.random() < 0.6 else "void", self._rng.randint(2 * HOUR, 22 * HOUR)) if fails else None
        possible = [each for each in self._endings if each != "void" or not subscription.given()]
        if document["billing_reason"] != "subscription_cycle" or subscription.cancel_at_period_end or not possible or self._rng.random() >= FAILS:
            return None
        ending = self._rng.choice(possible)
        after = RETRIES if ending in ("canceled", "unpaid", "uncollectible") else self._rng.randint(2 * HOUR, RETRIES)
        return Failure(ending, after, self._rng.randint(2 * DAY, 100 * DAY), leaves=self._rng.random() < LEAVES)

    def _lacks_card(self, subscription: Subscription, at: int) -> bool:
        if "pause_after_trial" not in self._behaviours or self._rng.random() >= NO_CARD:
            return False
        act = self._cancel if self._rng.random() < LEAVES else self._resume_after_trial
        self._schedule(at + self._rng.randint(5 * DAY, 120 * DAY), lambda now: act(subscription, now))
        return True

    def _resume_after_trial(self, subscription: Subscription, at: int) -> None:
        if subscription.ended_at is None:
            self._billing.resume_after_trial(subscription, at)

    def _cancel(self, subscription: Subscription, at: int) -> None:
        if subscription.ended_at is None:
            self._billing.cancel(subscription, at)

    def _pause(self, subscription: Subscription, at: int) -> None:
        steady = subscription.status == "active" and subscription.paused is None and subscription.ended_at is None
        inside = subscription.period[0] + HOUR < at < subscription.period[1] - 6 * HOUR
        if steady and inside and not subscription.locked and not subscription.cancel_at_period_end:
            self._billing.collection.pause(subscription, at, self._rng.choice(("void", "mark_uncollectible", "keep_as_draft")))
            self._schedule(at + self._rng.randint(5 * DAY, 150 * DAY), lambda now: self._resume(subscription, now))

    def _resume(self, subscription: Subscription, at: int) -> None:
        if subscription.ended_at is None and subscription.paused is not None:
            self._billing.collection.pause(subscription, at, None)
