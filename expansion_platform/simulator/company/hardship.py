"""Customers whose payments fail, those somebody spares for a while, and what else is rare.

Behaviours that are switched on by name.

Here: who, how often and how it ends; decisions come from a generator of its own, so that a company without
them stays as it is. Not here: what Stripe makes of it (`simulator/stripe_billing/collection.py`).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from expansion_platform.domain.core import months as calendar
from expansion_platform.simulator.company.catalog import (
    API,
    RETIRED,
    RETIRED_AMOUNT,
    RETIRED_SHARE,
    Catalog,
    coupons,
)
from expansion_platform.simulator.stripe_billing.billing import Billing
from expansion_platform.simulator.stripe_billing.collection import BY_HAND, EXPIRES_AFTER, Failure
from expansion_platform.simulator.stripe_billing.metering import Metering
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR, DAY = 3_600, 86_400
RETRIES = 21 * DAY
"""Stripe's retries of a failed payment end after three weeks."""
FAILS = 0.06
"""Of all bills."""
FIRST_FAILS = 0.08
CUSTOMER_DISCOUNT = 0.02
"""Of renewals."""
TAKEN_OFF = 0.10
DELETED_COUPON = 0.01
DELETED_LIMITED_COUPON = 0.25
"""Of renewals of a subscription that has the coupon's product and others."""
DELETED = 0.005
"""Of customers a month."""
BUYS_API = 0.03
"""Of subscriptions a month."""
PARTNER = coupons()["PARTNER12"]
NO_CARD = 0.30
"""Of trials that end."""
PAUSE = 0.012
"""Of active subscriptions a month."""
LEAVES = 0.4
"""Of those that stopped paying or never gave a card."""
ENDINGS = {
    "past_due": "paid",
    "dunning_cancel": "canceled",
    "unpaid": "unpaid",
    "uncollectible": "uncollectible",
    "uncollectible_unpaid": "given_up",
    "void_invoice": "void",
    "bill_by_hand": "forgiven",
}
SOON = (6 * 60, 55 * 60)
"""Seconds after which a person gives up a bill that need not be paid."""
GIVEN_UP_SOON = 0.5
"""Of the bills a person gives up."""
NEAR_MONTH_END = 0.6
"""Of first bills made in the last hours of a month: their payment is answered in the next."""
SLOW = 0.25
"""Of first bills that are not paid at once: the payment takes days, and the subscription is active
meanwhile.
"""


class Hardship:
    """One customer's troubles, among the `behaviours` asked for."""

    def __init__(
        self,
        rng: random.Random,
        behaviours: frozenset[str],
        catalog: Catalog,
        schedule: Callable[[int, Callable[[int], None]], None],
        metering: Metering,
    ) -> None:
        self._rng = rng
        self._metering = metering
        self._catalog = catalog
        self._behaviours = behaviours
        self._schedule = schedule
        self._endings = [ending for name, ending in ENDINGS.items() if name in behaviours]

    def begin(self, billing: Billing) -> None:
        """Take part in the collection of the customer's bills."""
        self._billing = billing
        billing.collection.failure = self._failure
        billing.collection.lacks_card = self._lacks_card
        billing.invoicing.usage = lambda subscription, start, end: self._metering.used(start, end)
        plain = billing.before_renewal

        def before_renewal(subscription: Subscription, at: int) -> None:
            plain(subscription, at)
            self._before_renewal(subscription, at)

        billing.before_renewal = before_renewal

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw whether collection is paused within the next 30 days."""
        if "pause_collection" in self._behaviours and self._rng.random() < PAUSE:
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._pause(subscription, now))

        if "metered" in self._behaviours and self._rng.random() < BUYS_API:
            currency = subscription.log.currency
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), lambda now: self._buy_api(currency, now))
        if "deleted_customer" in self._behaviours and self._rng.random() < DELETED:
            self._schedule(at + self._rng.randint(HOUR, 29 * DAY), self._delete)

    def _buy_api(self, currency: str, at: int) -> None:
        """A subscription of its own, billed by use.

        For the rest of the customer's life or some months of it.
        """
        if self._billing.deleted or any(each.log.metering for each in self._billing.subscriptions):
            return
        subscription = self._billing.create(at, [(self._catalog.price(API, currency, "month", at), 0)])
        subscription.log.metering = self._metering
        if self._rng.random() < LEAVES:
            self._schedule(
                at + self._rng.randint(5 * DAY, 400 * DAY), lambda now: self._finish(subscription, now)
            )

    def _finish(self, subscription: Subscription, at: int) -> None:
        if (
            subscription.ended_at is None
            and subscription.status == "active"
            and at > subscription.used_since + HOUR
        ):
            self._billing.finish(subscription, at)

    def _delete(self, at: int) -> None:
        subscriptions = self._billing.subscriptions
        # A customer's discount that no bill showed, hidden by a subscription's own, would be gone without a
        # trace.
        hidden = self._billing.redemption.own and any(each.given() for each in subscriptions)
        # Of a bill written off just before the end, nothing shows whether it left the subscription past due
        # or unpaid.
        unclear = ("incomplete", "past_due")
        if (
            not self._billing.deleted
            and not hidden
            and all(each.status not in unclear for each in subscriptions)
        ):
            self._billing.delete_customer(at)

    def _before_renewal(self, subscription: Subscription, at: int) -> None:
        """In the renewal's own second: coupons for the customer, or one that will be deleted.

        A coupon of the customer may be taken off again, too.
        """
        redeemed = [each for each in self._billing.redemption.own if each.listed(at)]
        if redeemed and redeemed[0].start <= subscription.period[0]:
            others = [
                each
                for each in self._billing.subscriptions
                if each is not subscription and (each.ended_at or at) > redeemed[0].start
            ]
            if not others and not subscription.given() and self._rng.random() < TAKEN_OFF:
                self._billing.redemption.remove_own(at)
        elif (
            not self._billing.redemption.own
            and "customer_discount" in self._behaviours
            and self._rng.random() < CUSTOMER_DISCOUNT
        ):
            deletes = "deleted_coupon" in self._behaviours and self._rng.random() < 0.5
            self._billing.redemption.redeem_own(at, RETIRED if deletes else PARTNER)
        elif (
            not redeemed
            and "deleted_coupon" in self._behaviours
            and not subscription.coupons(at)
            and self._rng.random() < DELETED_COUPON
        ):
            self._billing.redemption.redeem(subscription, at, RETIRED)
        elif not redeemed and "deleted_limited_coupon" in self._behaviours:
            self._redeem_limited(subscription, at)

    def _redeem_limited(self, subscription: Subscription, at: int) -> None:
        """A coupon that lowers one product of several: the renewal's bill shows which."""
        covered = [item for item in subscription.items if RETIRED_SHARE.covers(item.price)]
        if (
            not covered
            or len(covered) == len(subscription.items)
            or subscription.coupons(at)
            or self._rng.random() >= DELETED_LIMITED_COUPON
        ):
            return
        amount = self._catalog.coupons[f"{RETIRED_AMOUNT}{subscription.log.currency.upper()}"]
        self._billing.redemption.redeem(subscription, at, self._rng.choice([RETIRED_SHARE, amount]))

    def _failure(self, subscription: Subscription, document: dict[str, Any]) -> Failure | None:
        reason = document["billing_reason"]
        if reason == "subscription_create" and subscription.collection_method == "charge_automatically":
            return self._first_failure(document["created"])
        shown = subscription.given() or self._billing.redemption.own or subscription.log.usage
        possible = [each for each in self._endings if each not in BY_HAND or not shown]
        if (
            reason != "subscription_cycle"
            or subscription.cancel_at_period_end
            or not possible
            or self._rng.random() >= FAILS
        ):
            return None
        ending = self._rng.choice(possible)
        if ending in BY_HAND:
            return self._given_up(ending)
        after = (
            RETRIES
            if ending in ("canceled", "unpaid", "uncollectible", "given_up")
            else self._rng.randint(2 * HOUR, RETRIES)
        )
        return Failure(
            ending, after, self._rng.randint(2 * DAY, 100 * DAY), leaves=self._rng.random() < LEAVES
        )

    def _given_up(self, ending: str) -> Failure:
        """A person voids a bill or writes it off, within the hour or later.

        Some let the subscription end with its period.
        """
        if ending == "forgiven" and self._rng.random() < 0.5:
            ending = "void"
        soon = "bill_by_hand" in self._behaviours and self._rng.random() < GIVEN_UP_SOON
        after = self._rng.randint(*SOON) if soon else self._rng.randint(2 * HOUR, RETRIES)
        return Failure(ending, after, leaves=soon and self._rng.random() < LEAVES)

    def _first_failure(self, at: int) -> Failure | None:
        """A first payment that is not answered at once.

        Within 23 hours, over the month's end where that is near, or by a slow method.
        """
        over = int(calendar.closing(calendar.of(datetime.fromtimestamp(at, UTC))).timestamp()) - at
        if (
            "first_payment" in self._behaviours
            and over < EXPIRES_AFTER - HOUR
            and self._rng.random() < NEAR_MONTH_END
        ):
            return Failure("paid", over + self._rng.randint(60, EXPIRES_AFTER - over - 60))
        if "incomplete" not in self._behaviours or self._rng.random() >= FIRST_FAILS:
            return None
        if "first_payment" in self._behaviours and self._rng.random() < SLOW:
            return Failure("paid", self._rng.randint(2 * DAY, 9 * DAY), slow=True)
        return Failure("paid" if self._rng.random() < 0.6 else "void", self._rng.randint(2 * 60, 22 * HOUR))

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
        steady = (
            subscription.status == "active" and subscription.paused is None and subscription.ended_at is None
        )
        newest = next(
            (each for each in reversed(self._billing.invoices) if each["id"] == subscription.latest_invoice),
            None,
        )
        # A draft after a bill still owed cannot be distinguished from one of an unpaid subscription.
        steady &= newest is not None and newest["status"] == "paid"
        inside = subscription.period[0] + HOUR < at < subscription.period[1] - 6 * HOUR
        if steady and inside and not subscription.locked and not subscription.cancel_at_period_end:
            self._billing.collection.pause(
                subscription, at, self._rng.choice(("void", "mark_uncollectible", "keep_as_draft"))
            )
            self._schedule(
                at + self._rng.randint(5 * DAY, 150 * DAY), lambda now: self._resume(subscription, now)
            )

    def _resume(self, subscription: Subscription, at: int) -> None:
        if subscription.ended_at is None and subscription.paused is not None:
            self._billing.collection.pause(subscription, at, None)
