"""What is arranged with some customers: behaviours that are switched on by name.

Here: billing cycles begun anew, backdated starts, flexible billing, trials of one item: who, how often and with what. Decisions come from a
generator of its own, so that a company without them stays as it is. Not here: how Stripe bills it (`billing.py`, `invoicing.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from expansion_platform.simulator.billing import Billing, Edit, Terms
from expansion_platform.simulator.catalog import PLANS, SSO, STORAGE, Catalog
from expansion_platform.simulator.possible import can_change
from expansion_platform.simulator.subscription import Subscription

HOUR, DAY = 3_600, 86_400
NAMES = frozenset({"cycle_reset", "backdating", "flexible", "item_trial"})
RESETS = 0.02
"""Of subscriptions a month."""
MORE_AT_RESET = 0.6
"""A cycle begun anew comes with more seats."""
UNCREDITED = 0.3
BACKDATED = 0.15
"""Of new subscriptions."""
LONGEST_BACK = 75 * DAY
BACK_BILLED = 0.7
"""Of backdated subscriptions the time gone by is billed."""
FLEXIBLE = 0.5
"""Of new subscriptions: what accounts from 2025-09-30 on begin with."""

TRIES = 0.03
"""Of subscriptions a month an add-on."""
NOT_KEPT = 0.4


class Arrangements:
    """One customer's arrangements, among the `behaviours` asked for."""

    def __init__(
        self, rng: random.Random, behaviours: frozenset[str], catalog: Catalog, schedule: Callable[[int, Callable[[int], None]], None]
    ) -> None:
        self._rng = rng
        self._behaviours = behaviours
        self._catalog = catalog
        self._schedule = schedule

    def begin(self, billing: Billing) -> None:
        """Take part in how the customer's subscriptions begin."""
        self._billing = billing
        billing.terms = self._terms
        plain = billing.before_renewal
        billing.before_renewal = lambda subscription, at: (plain(subscription, at), self._before_renewal(subscription, at))[0]

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw what happens to the subscription within the next 30 days; each thing is looked at again when its instant comes."""
        if self._occurs("cycle_reset", RESETS):
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._restart(subscription, now))

        if self._occurs("item_trial", TRIES):
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._try_addon(subscription, now))

    def _try_addon(self, subscription: Subscription, at: int) -> None:
        missing = [product for product in (STORAGE, SSO) if all(item.price.product is not product for item in subscription.items)]
        if missing and subscription.items[0].price.product in PLANS and can_change(subscription, at) and not subscription.used_once(at):
            price = self._catalog.price(missing[0], subscription.log.currency, subscription.interval, at)
            self._billing.begin_trial(subscription, at, price, 1 if missing[0] is SSO else self._rng.randint(120, 900))

    def _before_renewal(self, subscription: Subscription, at: int) -> None:
        for item in [each for each in subscription.items if each.trial is not None and each.trial[2] == at]:
            if self._rng.random() < NOT_KEPT:
                self._billing.drop(subscription, at, item)

    def _terms(self, at: int) -> Terms:
        """How a subscription that is made at `at` begins; none before the company did."""
        furthest = min(LONGEST_BACK, at - self._catalog.opened)
        backdated = self._rng.randint(DAY, furthest) if self._occurs("backdating", BACKDATED) and furthest > DAY else 0
        return Terms(self._occurs("flexible", FLEXIBLE), backdated, back_billed=self._rng.random() < BACK_BILLED)

    def _restart(self, subscription: Subscription, at: int) -> None:
        item = subscription.items[0]
        more = Edit(item, item.price, item.quantity + max(1, item.quantity // 5))
        edits = [more] if self._rng.random() < MORE_AT_RESET else []
        credited = self._rng.random() >= UNCREDITED
        if can_change(subscription, at, edits) and not subscription.used_once(at):
            self._billing.restart(subscription, at, edits, credited=credited)

    def _occurs(self, behaviour: str, chance: float) -> bool:
        return behaviour in self._behaviours and self._rng.random() < chance
