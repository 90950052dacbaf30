"""When a simulated customer gets a coupon and when one is taken off.

Here: those decisions. Not here: the rest of its life (`behaviour.py`), what a coupon takes off
(`simulator/stripe_billing/charges.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable

from expansion_platform.simulator.company import propensities as p
from expansion_platform.simulator.company.catalog import Catalog, Coupon, Price
from expansion_platform.simulator.company.possible import can_change
from expansion_platform.simulator.stripe_billing.billing import Billing
from expansion_platform.simulator.stripe_billing.charges import bears
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR, DAY = 3_600, 86_400
LEAD = 5 * DAY
"""A coupon in mid-life comes at most this long before a renewal, whose invoice then shows it."""


class Couponing:
    """One customer's coupons, drawn from its own generator."""

    def __init__(
        self,
        rng: random.Random,
        catalog: Catalog,
        currency: str,
        billing: Billing,
        schedule: Callable[[int, Callable[[int], None]], None],
    ) -> None:
        self._rng = rng
        self._catalog = catalog
        self._currency = currency
        self._billing = billing
        self._schedule = schedule
        self._at_renewal: dict[str, tuple[Coupon, bool]] = {}

    def opening(self, wanted: list[tuple[Price, int]], *, trial: bool) -> list[tuple[Coupon, int | None]]:
        """One coupon, sometimes two, that a new subscription starts with; none that a trial would use up."""
        annual = wanted[0][0].interval == "year"
        names = ["LAUNCH20", "PARTNER12", "NONPROFIT", *self._amounts("OFF25", "LOYAL40", "PLAN30")]
        if not trial:
            names += [*(["ANNUAL15"] if annual else ["WELCOME50", "FREE2"]), *self._amounts("CREDIT99")]
        first = self._catalog.coupons[self._rng.choice(names)]
        if not bears(wanted, [first], 10):
            return []
        on_item = self._happens(p.ON_ITEM) and not first.products and first.id != "FREE2"
        chosen: list[tuple[Coupon, int | None]] = [(first, 0 if on_item else None)]
        second = self._catalog.coupons[self._amounts("LOYAL40")[0]]
        if (
            first.id in ("LAUNCH20", "PARTNER12", "NONPROFIT")
            and self._happens(p.SECOND_COUPON)
            and bears(wanted, [second], 20)
        ):
            chosen.append((second, None))
        return chosen

    def plan(self, subscription: Subscription, at: int) -> None:
        """A coupon in mid-life.

        On the subscription some days before its next renewal, or (the only way for `once`, or on an item) at
        it.
        """
        names = ["LAUNCH20", "PARTNER12", *self._amounts("OFF25", "LOYAL40")]
        at_renewal = self._happens(0.6)
        if at_renewal:
            names += [
                "ANNUAL15" if subscription.interval == "year" else "WELCOME50",
                *self._amounts("CREDIT99"),
            ]
        coupon, on_item = self._catalog.coupons[self._rng.choice(names)], self._happens(p.ON_ITEM)
        if at_renewal:
            self._at_renewal[subscription.id] = (coupon, on_item)
            return
        before = max(at + HOUR, subscription.period[1] - self._rng.randint(1, LEAD // HOUR) * HOUR)
        self._schedule(before, lambda now: self._redeem_before_renewal(subscription, now, coupon))

    def before_renewal(self, subscription: Subscription, at: int) -> None:
        """What is done in the renewal's own second, before it is billed.

        Discounts taken off (once an invoice has shown them) or given.
        """
        for discount in subscription.given():
            billed = subscription.latest_invoice is not None and discount.start <= subscription.period[0]
            shown = discount.coupon.duration == "forever" and discount.listed(at) and billed
            if shown and self._happens(p.REMOVE_FOREVER):
                self._billing.redemption.remove(subscription, at, discount)
        if subscription.id in self._at_renewal:
            coupon, on_item = self._at_renewal.pop(subscription.id)
            self._redeem(subscription, at, coupon, on_item=on_item)

    def _redeem_before_renewal(self, subscription: Subscription, at: int, coupon: Coupon) -> None:
        if can_change(subscription, at) and at >= subscription.period[1] - LEAD:
            self._redeem(subscription, at, coupon)

    def _redeem(self, subscription: Subscription, at: int, coupon: Coupon, *, on_item: bool = False) -> None:
        items = [(item.price, item.quantity) for item in subscription.items]
        listed = subscription.coupons(at)
        if (
            len(listed) < 2
            and coupon not in listed
            and not subscription.is_free(at)
            and bears(items, [*listed, coupon], 10)
        ):
            self._billing.redemption.redeem(
                subscription, at, coupon, subscription.items[0] if on_item else None
            )

    def _amounts(self, *names: str) -> list[str]:
        return [f"{name}{self._currency.upper()}" for name in names]

    def _happens(self, chance: float) -> bool:
        return self._rng.random() < chance
