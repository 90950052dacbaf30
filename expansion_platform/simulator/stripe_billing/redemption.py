"""Coupons redeemed: on a customer, a subscription or an item, and taken off again.

Here: one customer's discounts and what is said of them. Not here: what they take off (`charges.py`), who
redeems them (`simulator/company/couponing.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from expansion_platform.simulator.company.catalog import Coupon
from expansion_platform.simulator.stripe_billing import objects
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.subscription import Subscription, after

JSON = dict[str, Any]


class Redemption:
    """One customer's discounts: `every` one there ever was, and its `own`, which hang on no subscription."""

    def __init__(
        self,
        customer: JSON,
        ids: objects.Ids,
        recorder: Recorder,
        schedule: Callable[[int, Callable[[int], None]], None],
    ) -> None:
        self.every: list[Discount] = []
        self.own: list[Discount] = []
        self._customer = customer
        self._ids = ids
        self._events = recorder
        self._schedule = schedule

    def redeem(self, subscription: Subscription, at: int, coupon: Coupon, item: Item | None = None) -> None:
        """Redeem a coupon on the subscription, or on one of its items.

        A repeating one lasts its calendar months from `at`.
        """
        with self._events.updating(subscription, at, requested=True):
            self.give(subscription, at, coupon, item)

    def give(self, subscription: Subscription, at: int, coupon: Coupon, item: Item | None) -> None:
        """The same within another change of the subscription, whose event shows it."""
        end = after(at, "month", coupon.months) if coupon.months is not None else None
        given = Discount(self._ids.new("di_"), coupon, subscription.id, item.id if item else None, at, end)
        (item.discounts if item else subscription.discounts).append(given)
        self.every.append(given)
        log = subscription.log.discounts
        log.insert(sum(each.item is not None for each in log) if item else len(log), given)
        self._events.discount("customer.discount.created", given, subscription.customer, at, requested=True)
        if end is not None:
            self._schedule(end, lambda now: self._expires(subscription, given, now))

    def redeem_own(self, at: int, coupon: Coupon) -> None:
        """Redeem a lasting coupon on the customer.

        It reduces every subscription that has no discount of its own.
        """
        given = Discount(self._ids.new("di_"), coupon, None, None, at, None)
        self._change_own(at, given, objects.discount(given, self._customer["id"]))
        self.own.append(given)
        self.every.append(given)
        self._events.discount("customer.discount.created", given, self._customer["id"], at, requested=True)

    def remove_own(self, at: int) -> None:
        """Take the customer's discount off."""
        self.own[-1].removed_at = at
        self._change_own(at, self.own[-1], None)
        self._events.discount(
            "customer.discount.deleted", self.own[-1], self._customer["id"], at, requested=True
        )

    def _change_own(self, at: int, given: Discount, shown: JSON | None) -> None:
        before, self._customer["discount"] = self._customer["discount"], shown
        self._events.emit(
            "customer.updated", at, lambda: dict(self._customer), {"discount": before}, requested=True
        )

    def in_force(self, subscription: Subscription, at: int) -> list[Discount]:
        """Discounts on the whole subscription: its own, else the customer's."""
        own = [each for each in subscription.discounts if each.listed(at)]
        return own or [each for each in self.own if each.listed(at)]

    def remove(self, subscription: Subscription, at: int, given: Discount) -> None:
        """Take a discount off."""
        with self._events.updating(subscription, at, requested=True):
            given.removed_at = at
        self._events.discount("customer.discount.deleted", given, subscription.customer, at, requested=True)

    def _expires(self, subscription: Subscription, given: Discount, at: int) -> None:
        if subscription.ended_at is None and given.removed_at is None:
            self._events.discount(
                "customer.discount.deleted", given, subscription.customer, at, requested=False
            )
