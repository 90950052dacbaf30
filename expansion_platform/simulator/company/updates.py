"""Customers whose updates are not paid at once: behaviours that are switched on by name.

Here: who asks for what, and how it ends; decisions come from a generator of its own, so that a company
without them stays as it is. Not here: what Stripe makes of it (`simulator/stripe_billing/pending.py`,
`simulator/stripe_billing/collection.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from expansion_platform.simulator.company.catalog import PLANS, SSO, STORAGE, Catalog
from expansion_platform.simulator.company.possible import can_change
from expansion_platform.simulator.stripe_billing import charges
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit
from expansion_platform.simulator.stripe_billing.collection import Failure
from expansion_platform.simulator.stripe_billing.pending import WAITS, PendingUpdates
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR, DAY = 3_600, 86_400
NAMES = frozenset({"pending_update", "update_unpaid"})
ASKS = 0.06
"""Of subscriptions a month, for an update that waits for its payment."""
PAYS = 0.35
"""Of updates that wait."""
CANCELED = 0.3
"""Of updates that are not paid, before they expire."""
AGAIN = 0.4
"""Of updates that were not paid somebody asks for another, within days."""
FAILS = 0.15
"""Of bills of updates that are made at once."""
VOIDED = 0.6
"""Of these a person voids; the others are paid after days."""


class Updates:
    """One customer's updates that are not paid at once, among the `behaviours` asked for."""

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

    def begin(self, billing: Billing) -> None:
        """Take part in the customer's updates and in the collection of their bills."""
        self._billing = billing
        self._pending = PendingUpdates(billing, billing.recorder, self._schedule)
        others = billing.collection.failure
        billing.collection.failure = lambda subscription, document: (
            self._failure(subscription, document) or others(subscription, document)
        )

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw whether an update is asked for within the next 30 days.

        Whether it can be is looked at when its instant comes.
        """
        if "pending_update" in self._behaviours and self._rng.random() < ASKS:
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._ask(subscription, now))

    def _ask(self, subscription: Subscription, at: int) -> None:
        """Ask for more seats, a higher plan, a yearly interval or another item."""
        edits, new_cycle = self._rng.choice((self._seats, self._plan, self._interval, self._item))(
            subscription, at
        )
        if (
            not edits
            or not can_change(subscription, at, edits)
            or not self._can_wait(subscription, at, edits, new_cycle=new_cycle)
        ):
            return
        paid = self._rng.random() < PAYS
        canceled = not paid and self._rng.random() < CANCELED
        paid_after = self._rng.randint(2 * 60, WAITS - HOUR) if paid else None
        voided_after = self._rng.randint(10 * 60, WAITS - HOUR) if canceled else WAITS
        self._pending.ask(
            subscription, at, edits, new_cycle=new_cycle, paid_after=paid_after, voided_after=voided_after
        )
        if not paid and self._rng.random() < AGAIN:
            self._schedule(
                at + voided_after + self._rng.randint(60, 4 * DAY), lambda now: self._ask(subscription, now)
            )

    def _can_wait(self, subscription: Subscription, at: int, edits: list[Edit], *, new_cycle: bool) -> bool:
        """Whether there is something to pay, by a subscription that is charged, on a bill of nothing else."""
        plain = (
            not subscription.pending
            and not self._billing.customer["balance"]
            and subscription.schedule is None
        )
        once = subscription.used_once(at) or any(
            coupon.duration == "once" for coupon in subscription.coupons(at)
        )
        licensed = all(
            item.price.usage_type == "licensed" and item.trial is None for item in subscription.items
        )
        more = new_cycle or all(self._costs_more(subscription, at, edit) for edit in edits)
        return (
            plain
            and licensed
            and more
            and not once
            and subscription.collection_method == "charge_automatically"
        )

    def _costs_more(self, subscription: Subscription, at: int, edit: Edit) -> bool:
        if edit.item is None or edit.price is None:
            return True
        in_force = self._billing.redemption.in_force(subscription, at)
        after, before = (
            charges.prorated(item, at, subscription.period, in_force)
            for item in (replace(edit.item, price=edit.price, quantity=edit.quantity), edit.item)
        )
        return after > before + 1

    def _seats(self, subscription: Subscription, at: int) -> tuple[list[Edit], bool]:
        item = subscription.items[0]
        return [Edit(item, item.price, 2 * item.quantity + 7)], False

    def _plan(self, subscription: Subscription, at: int) -> tuple[list[Edit], bool]:
        item = subscription.items[0]
        rank = PLANS.index(item.price.product) + 1 if item.price.product in PLANS else len(PLANS)
        if rank >= len(PLANS) or item.discounts:
            return [], False
        return [Edit(item, self._price(PLANS[rank], subscription, at), item.quantity + 3)], False

    def _interval(self, subscription: Subscription, at: int) -> tuple[list[Edit], bool]:
        if subscription.interval == "year" or "year" not in self._catalog.intervals:
            return [], True
        products = [(item, item.price.product) for item in subscription.items]
        prices = [
            self._catalog.price(product, subscription.log.currency, "year", at) for _, product in products
        ]
        return [
            Edit(item, price, item.quantity) for (item, _), price in zip(products, prices, strict=True)
        ], True

    def _item(self, subscription: Subscription, at: int) -> tuple[list[Edit], bool]:
        missing = [
            product
            for product in (STORAGE, SSO)
            if all(item.price.product is not product for item in subscription.items)
        ]
        if not missing or subscription.items[0].price.product not in PLANS:
            return [], False
        quantity = 1 if missing[0] is SSO else self._rng.randint(120, 900)
        return [Edit(None, self._price(missing[0], subscription, at), quantity)], False

    def _price(self, product: Any, subscription: Subscription, at: int) -> Any:
        return self._catalog.price(product, subscription.log.currency, subscription.interval, at)

    def _failure(self, subscription: Subscription, document: dict[str, Any]) -> Failure | None:
        """The bill of an update that was made at once: paid after days, or voided by a person."""
        made = (
            document["billing_reason"] == "subscription_update"
            and subscription.status == "active"
            and document["due_date"] is None
        )
        # Of an item that is only tried, and gone when the trial ends, a void bill would be the only trace.
        made &= all(item.trial is None or item.trial[1] != document["created"] for item in subscription.items)
        if not made or "update_unpaid" not in self._behaviours or self._rng.random() >= FAILS:
            return None
        if self._rng.random() < VOIDED and not subscription.given() and not self._billing.redemption.own:
            return Failure("void", self._rng.randint(10 * 60, 10 * DAY))
        return Failure("paid", self._rng.randint(DAY + HOUR, 12 * DAY))
