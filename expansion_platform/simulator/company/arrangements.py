"""What is arranged with some customers: behaviours that are switched on by name.

Here: billing cycles begun anew, backdated starts, flexible billing, trials of one item, ramps by schedule,
plans replaced by another item: who, how often and with what. Decisions come from a generator of its own, so
that a company without them stays as it is. Not here: how Stripe bills it
(`simulator/stripe_billing/billing.py`, `simulator/stripe_billing/invoicing.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from expansion_platform.simulator.company.catalog import PLANS, SSO, STORAGE, Catalog
from expansion_platform.simulator.company.possible import can_change, steady
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit, Terms
from expansion_platform.simulator.stripe_billing.charges import Item
from expansion_platform.simulator.stripe_billing.schedules import Phase, Schedule
from expansion_platform.simulator.stripe_billing.subscription import Subscription, next_end

HOUR, DAY = 3_600, 86_400
NAMES = frozenset({"cycle_reset", "backdating", "flexible", "item_trial", "schedule", "replacement"})
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
REPLACED = 0.03
"""Of subscriptions a month a plan, by another item."""
IN_ONE_REQUEST = 0.5
AGAIN = 0.4
"""A replaced plan is replaced again within days."""
RAMPS = 0.02
"""Of subscriptions a month."""
WITH_RENEWAL = 0.4
PRORATED = 0.3
"""Of ramps; the others are billed for from the next renewal on."""


class Arrangements:
    """One customer's arrangements, among the `behaviours` asked for."""

    def __init__(
        self,
        rng: random.Random,
        behaviours: frozenset[str],
        catalog: Catalog,
        schedule: Callable[[int, Callable[[int], None]], None],
    ) -> None:
        self._rng = rng
        self._behaviours = behaviours
        self._catalog = catalog
        self._schedule = schedule
        self._entered: set[tuple[str, int]] = set()

    def begin(self, billing: Billing) -> None:
        """Take part in how the customer's subscriptions begin."""
        self._billing = billing
        billing.terms = self._terms
        plain = billing.before_renewal

        def before_renewal(subscription: Subscription, at: int) -> None:
            plain(subscription, at)
            self._before_renewal(subscription, at)

        billing.before_renewal = before_renewal

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw what happens to the subscription within the next 30 days.

        Each thing is looked at again when its instant comes.
        """
        chances: list[tuple[str, float, Callable[[Subscription, int], None]]] = [
            ("cycle_reset", RESETS, self._restart),
            ("item_trial", TRIES, self._try_addon),
            ("schedule", RAMPS, self._ramp),
            ("replacement", REPLACED, self._replace),
        ]
        for behaviour, chance, act in chances:
            if self._occurs(behaviour, chance):
                self._schedule(at + self._rng.randint(HOUR, 29 * DAY), partial(act, subscription))

    def _ramp(self, subscription: Subscription, at: int) -> None:
        """Two or three steps up in seats, months apart, some of them with a renewal."""
        if (
            not can_change(subscription, at)
            or subscription.schedule is not None
            or subscription.used_once(at)
        ):
            return
        steps, start, quantity = [], at, subscription.items[0].quantity
        for _ in range(self._rng.randint(2, 3)):
            start, quantity = start + self._rng.randint(20 * DAY, 100 * DAY), quantity + max(1, quantity // 6)
            renewal = next_end(subscription.anchor, subscription.interval, start)
            start = renewal if self._rng.random() < WITH_RENEWAL else start
            steps.append((start, quantity))
        proration = "create_prorations" if self._rng.random() < PRORATED else "none"
        schedule = self._billing.plan(subscription, at, steps, start + 90 * DAY, proration)
        for phase in schedule.phases[1:]:
            self._schedule(phase.start, partial(self._enter, subscription, schedule=schedule, phase=phase))
        self._schedule(schedule.phases[-1].end, lambda now: self._let_go(subscription, now, schedule))

    def _enter(self, subscription: Subscription, at: int, schedule: Schedule, phase: Phase) -> None:
        """A phase that cannot begin finds its schedule released.

        The subscription was changed by hand or is not paid.
        """
        if (
            schedule.released_at is not None
            or subscription.ended_at is not None
            or (schedule.id, at) in self._entered
        ):
            return
        self._entered.add((schedule.id, at))
        edits = [
            Edit(item, price, quantity)
            for item, (price, quantity) in zip(subscription.items, phase.items, strict=False)
        ]
        same = [item.price.id for item in subscription.items] == [price.id for price, _ in phase.items]
        with_renewal = at == subscription.period[1] and steady(subscription) and not subscription.is_free(at)
        if same and (with_renewal or can_change(subscription, at, edits)):
            self._billing.enter(subscription, at, schedule, phase)
        else:
            self._billing.release(subscription, at, schedule)

    def _let_go(self, subscription: Subscription, at: int, schedule: Schedule) -> None:
        if schedule.released_at is None and subscription.ended_at is None:
            self._billing.release(subscription, at, schedule)

    def _replace(self, subscription: Subscription, at: int) -> None:
        """Another plan as another item.

        Swapped in one request without proration, or added, and the old one deleted within the minute.
        """
        old = next((item for item in subscription.items if item.price.product in PLANS), None)
        if old is None or old.discounts or subscription.used_once(at):
            return
        product = self._rng.choice([each for each in PLANS if each is not old.price.product])
        price = self._catalog.price(product, subscription.log.currency, subscription.interval, at)
        added, gone = Edit(None, price, old.quantity), Edit(old, None, 0)
        if not can_change(subscription, at, [gone, added]):
            return
        if self._rng.random() < IN_ONE_REQUEST:
            self._billing.change(subscription, at, [gone, added], "none")
        else:
            self._billing.change(subscription, at, [added], "create_prorations")
            self._schedule(at + self._rng.randint(1, 59), lambda now: self._delete(subscription, now, old))
        if self._rng.random() < AGAIN:
            self._schedule(at + self._rng.randint(DAY, 9 * DAY), lambda now: self._replace(subscription, now))

    def _delete(self, subscription: Subscription, at: int, item: Item) -> None:
        if item in subscription.items and can_change(subscription, at, [Edit(item, None, 0)]):
            self._billing.change(subscription, at, [Edit(item, None, 0)], "create_prorations")

    def _try_addon(self, subscription: Subscription, at: int) -> None:
        missing = [
            product
            for product in (STORAGE, SSO)
            if all(item.price.product is not product for item in subscription.items)
        ]
        if (
            missing
            and subscription.items[0].price.product in PLANS
            and can_change(subscription, at)
            and not subscription.used_once(at)
        ):
            price = self._catalog.price(missing[0], subscription.log.currency, subscription.interval, at)
            self._billing.begin_trial(
                subscription, at, price, 1 if missing[0] is SSO else self._rng.randint(120, 900)
            )

    def _before_renewal(self, subscription: Subscription, at: int) -> None:
        for schedule in [each for each in self._billing.schedules if each.id == subscription.schedule]:
            for phase in [each for each in schedule.phases[1:] if each.start == at]:
                self._enter(subscription, at, schedule, phase)
        for item in [each for each in subscription.items if each.trial is not None and each.trial[2] == at]:
            if self._rng.random() < NOT_KEPT:
                self._billing.drop(subscription, at, item)

    def _terms(self, at: int) -> Terms:
        """How a subscription that is made at `at` begins; none before the company did."""
        furthest = min(LONGEST_BACK, at - self._catalog.opened)
        backdated = (
            self._rng.randint(DAY, furthest)
            if self._occurs("backdating", BACKDATED) and furthest > DAY
            else 0
        )
        return Terms(
            self._occurs("flexible", FLEXIBLE), backdated, back_billed=self._rng.random() < BACK_BILLED
        )

    def _restart(self, subscription: Subscription, at: int) -> None:
        item = subscription.items[0]
        more = Edit(item, item.price, item.quantity + max(1, item.quantity // 5))
        edits = [more] if self._rng.random() < MORE_AT_RESET else []
        credited = self._rng.random() >= UNCREDITED
        if can_change(subscription, at, edits) and not subscription.used_once(at):
            self._billing.restart(subscription, at, edits, credited=credited)

    def _occurs(self, behaviour: str, chance: float) -> bool:
        return behaviour in self._behaviours and self._rng.random() < chance
