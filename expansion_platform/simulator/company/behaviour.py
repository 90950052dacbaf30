"""How the simulated customers behave: what each of their decisions does to their subscriptions.

Here: a customer's life, month by month. Not here: how often anything happens (`propensities.py`), how Stripe
bills it (`simulator/stripe_billing/billing.py`). Decisions come from the customer's own generator in the
order of its clock, so the past never depends on how far the simulation runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeVar

from expansion_platform.simulator.company import propensities as p
from expansion_platform.simulator.company.agenda import Agenda
from expansion_platform.simulator.company.catalog import (
    INSIGHTS,
    PLANS,
    SSO,
    STORAGE,
    Catalog,
    Coupon,
    Price,
    Product,
)
from expansion_platform.simulator.company.couponing import Couponing
from expansion_platform.simulator.company.possible import can_change, inside_period, steady
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR, DAY = 3_600, 86_400
MONTH = 30 * DAY
T = TypeVar("T")


class Extra(Protocol):
    """What a customer does beyond a plain life.

    It takes part in its books, and in each month's decisions about a subscription.
    """

    def begin(self, billing: Billing) -> None:
        """Take part."""

    def decide(self, subscription: Subscription, at: int) -> None:
        """Draw what happens within the next 30 days."""


class Life:
    """One customer's life: an agenda of instants, and the decisions taken at them.

    The books they are written to belong to it. One that is `driven` neither grows nor leaves by itself: an
    extra sees to that.
    """

    def __init__(
        self,
        rng: random.Random,
        catalog: Catalog,
        extras: Callable[[Agenda], Sequence[Extra]] = lambda agenda: (),
        driven: bool = False,
    ) -> None:
        self.rng = rng
        self.catalog = catalog
        self._driven = driven
        self.segment = rng.choices(p.SEGMENTS, [segment.share for segment in p.SEGMENTS])[0]
        currency = self._one_of(p.CURRENCIES)
        self.currency = currency if currency in catalog.currencies else catalog.currencies[0]
        self.agenda = Agenda()
        self._extras = extras(self.agenda)
        self.billing: Billing
        self._couponing: Couponing

    def begin(self, billing: Billing, at: int) -> None:
        """Sign up at `at`."""
        self.billing = billing
        self._couponing = Couponing(self.rng, self.catalog, self.currency, billing, self.agenda.put)
        billing.before_renewal = self._couponing.before_renewal
        for extra in self._extras:
            extra.begin(billing)
        self.agenda.put(at, self._sign_up)
        repriced = self.catalog.repriced_at
        for date in repriced[:1] if len(repriced) > 1 and self._happens(p.GRANDFATHERED) else repriced:
            self.agenda.put(max(at, date) + 1, self._migrate)

    # Signing up, leaving, coming back

    def _sign_up(self, at: int) -> None:
        self._subscribe(
            at,
            self._one_of(self.segment.plans),
            self.rng.randint(*self.segment.seats),
            trial=self._happens(p.TRIAL),
        )
        if self._happens(p.SECOND_SUBSCRIPTION):
            self.agenda.put(at + self.rng.randint(5 * DAY, 90 * DAY), self._subscribe_to_insights)

    def _subscribe(self, at: int, plan: Product, seats: int, *, trial: bool) -> None:
        interval = (
            "year" if self._happens(self.segment.annual) and "year" in self.catalog.intervals else "month"
        )
        wanted = [(self._price(plan, interval, at), seats)]
        if self._happens(p.SSO_AT_START):
            wanted.append((self._price(SSO, interval, at), 1))
        days = self.rng.choice((14, 30)) if trial else 0
        coupons = self._couponing.opening(wanted, trial=trial) if self._happens(p.COUPON) else []
        sends = seats >= p.SENT_FROM_SEATS and self._happens(p.SENDS_INVOICE)
        subscription = self.billing.create(at, wanted, coupons, trial_days=days, sends_invoice=sends)
        if trial and self._happens(p.TRIAL_LOST):
            self.agenda.put(
                at + int(days * DAY * self.rng.uniform(0.2, 0.9)),
                lambda now: self._give_up_trial(subscription, now),
            )
        self._follow(subscription)

    def _subscribe_to_insights(self, at: int) -> None:
        if not self._active() or any(
            item.price.product is INSIGHTS for each in self._active() for item in each.items
        ):
            return
        wanted = [(self._price(INSIGHTS, "month", at), self.rng.randint(5, 60))]
        coupons: list[tuple[Coupon, int | None]] = (
            [(self.catalog.coupons["INSIGHTS30"], None)] if self._happens(p.COUPON) else []
        )
        self._follow(self.billing.create(at, wanted, coupons))

    def _give_up_trial(self, subscription: Subscription, at: int) -> None:
        if self._happens(0.5):
            self.billing.cancel(subscription, at)
        else:
            self.billing.cancel_at_period_end(subscription, at)

    def _leave(self, subscription: Subscription, at: int) -> None:
        if not steady(subscription) or not inside_period(subscription, at):
            return
        plan, seats = subscription.items[0].price.product, subscription.items[0].quantity
        if self._happens(p.LEAVES_AT_PERIOD_END):
            self.billing.cancel_at_period_end(subscription, at)
            gone = subscription.period[1]
        else:
            credited = self._happens(p.CREDITED) and not subscription.is_free(at)
            self.billing.cancel(
                subscription, at, prorate=credited, invoice_now=credited and self._happens(p.CREDIT_INVOICED)
            )
            gone = at
        if plan not in PLANS:
            return
        if self._happens(p.RESUBSCRIBES_ON_ANOTHER_PLAN):
            plan = self.rng.choice(PLANS)
        back_within = self.rng.randint(2 * HOUR, 5 * DAY)
        if gone == at and self._happens(p.RESUBSCRIBES) and _month(at) == _month(at + back_within):
            self.agenda.put(at + back_within, lambda now: self._return(now, plan, seats))
        elif self._happens(p.RETURNS):
            self.agenda.put(
                gone + self.rng.randint(40 * DAY, 200 * DAY), lambda now: self._return(now, plan, seats)
            )

    def _return(self, at: int, plan: Product, seats: int) -> None:
        if not self._active() and not self.billing.deleted:
            self._subscribe(at, plan, max(1, round(seats * self.rng.uniform(0.8, 1.2))), trial=False)

    # A month's decisions

    @property
    def _driving(self) -> tuple[Callable[[Subscription, int], None], ...]:
        return (self._grow, self._upgrade, self._add_addon, self._cross_sell, self._leave)

    def _follow(self, subscription: Subscription) -> None:
        self.agenda.put(subscription.created + 2 * HOUR, lambda now: self._decide(subscription, now))

    def _decide(self, subscription: Subscription, at: int) -> None:
        """Draw what happens to the subscription within the next 30 days.

        Each thing is looked at again when its instant comes.
        """
        if subscription.ended_at is not None:
            return
        chances: list[tuple[float, Callable[[Subscription, int], None]]] = [
            (self.segment.grow, self._grow),
            (self.segment.upgrade, self._upgrade),
            (p.ADD_ADDON, self._add_addon),
            (p.CROSS_SELL, self._cross_sell),
            (p.SHRINK, self._shrink),
            (p.DOWNGRADE, self._downgrade),
            (p.DROP_ADDON, self._drop_addon),
            (p.SWITCH_INTERVAL, self._switch_interval),
            (p.NEW_COUPON, self._couponing.plan),
            (p.REFUND, self._refund),
            (self.segment.leave, self._leave),
        ]
        for chance, act in chances:
            if self._happens(chance) and not (self._driven and act in self._driving):
                self.agenda.put(at + self.rng.randint(HOUR, 29 * DAY), partial(act, subscription))
        for extra in self._extras:
            extra.decide(subscription, at)
        self.agenda.put(at + MONTH, lambda now: self._decide(subscription, now))

    def _grow(self, subscription: Subscription, at: int) -> None:
        if self._expands(at):
            self._resize(subscription, at, self.rng.uniform(*self.segment.growth))

    def _shrink(self, subscription: Subscription, at: int) -> None:
        self._resize(subscription, at, -self.rng.uniform(*p.SHRINKAGE))

    def _resize(self, subscription: Subscription, at: int, share: float) -> None:
        """More or fewer units by `share`, at least one; sometimes corrected within days."""
        storage = [item for item in subscription.items if item.price.product is STORAGE]
        item = storage[0] if storage and self._happens(p.RESIZES_STORAGE) else subscription.items[0]
        step = max(1, round(item.quantity * abs(share)))
        quantity = item.quantity + step if share > 0 else item.quantity - step
        changed = quantity >= 1 and self._change(
            subscription, at, [Edit(item, item.price, quantity)], self._proration(subscription)
        )
        if changed and not subscription.locked and self._happens(p.SECOND_CHANGE):
            correction = -share / 2 if self._happens(0.5) else share
            act = (
                self._resize
                if correction < 0
                else lambda each, now, by: self._resize(each, now, by) if self._expands(now) else None
            )
            self.agenda.put(
                at + self.rng.randint(DAY, 6 * DAY), lambda now: act(subscription, now, correction)
            )

    def _upgrade(self, subscription: Subscription, at: int) -> None:
        if self._expands(at):
            self._change_tier(subscription, at, +1)

    def _downgrade(self, subscription: Subscription, at: int) -> None:
        self._change_tier(subscription, at, -1)

    def _change_tier(self, subscription: Subscription, at: int, step: int) -> None:
        item = subscription.items[0]
        rank = PLANS.index(item.price.product) + step if item.price.product in PLANS else -1
        if not 0 <= rank < len(PLANS):
            return
        price = self._price(PLANS[rank], subscription.interval, at)
        quantity = (
            item.quantity + max(1, item.quantity // 10)
            if step > 0 and self._happens(p.SEATS_WITH_UPGRADE)
            else item.quantity
        )
        if self._happens(p.NEW_ITEM) and not item.discounts and not subscription.used_once(at):
            edits = [Edit(item, None, 0), Edit(None, price, quantity)]
            self._change(
                subscription, at, edits, "create_prorations" if self._happens(0.6) else "always_invoice"
            )
        else:
            self._change(subscription, at, [Edit(item, price, quantity)], self._proration(subscription))

    def _add_addon(self, subscription: Subscription, at: int) -> None:
        missing = [
            product
            for product in (STORAGE, SSO)
            if all(item.price.product is not product for item in subscription.items)
        ]
        if missing and subscription.items[0].price.product in PLANS and self._expands(at):
            product = self.rng.choice(missing)
            self._add(subscription, at, product, 1 if product is SSO else self.rng.randint(120, 900))

    def _cross_sell(self, subscription: Subscription, at: int) -> None:
        if any(
            item.price.product is INSIGHTS for each in self._active() for item in each.items
        ) or not self._expands(at):
            return
        if self._happens(p.OWN_SUBSCRIPTION):
            self._subscribe_to_insights(at)
        else:
            self._add(subscription, at, INSIGHTS, self.rng.randint(5, 60))

    def _add(self, subscription: Subscription, at: int, product: Product, quantity: int) -> None:
        if not subscription.used_once(at):
            price = self._price(product, subscription.interval, at)
            self._change(
                subscription,
                at,
                [Edit(None, price, quantity)],
                "create_prorations" if self._happens(0.7) else "always_invoice",
            )

    def _drop_addon(self, subscription: Subscription, at: int) -> None:
        extras = [
            item for item in subscription.items if item.price.product not in PLANS and not item.discounts
        ]
        if len(subscription.items) > 1 and extras and not subscription.used_once(at):
            self._change(subscription, at, [Edit(extras[-1], None, 0)], "create_prorations")

    def _switch_interval(self, subscription: Subscription, at: int) -> None:
        other = "year" if subscription.interval == "month" else "month"
        if other not in self.catalog.intervals:
            return
        edits = [
            Edit(item, self._price(item.price.product, other, at), item.quantity)
            for item in subscription.items
        ]
        if can_change(subscription, at, edits) and not subscription.used_once(at):
            self.billing.restart(subscription, at, edits)

    def _refund(self, subscription: Subscription, at: int) -> None:
        paid = [
            each for each in self.billing.invoices if each["status"] == "paid" and each["amount_paid"] > 0
        ]
        if paid and paid[-1]["post_payment_credit_notes_amount"] == 0:
            self.billing.refund(paid[-1], at, max(1, paid[-1]["amount_paid"] // self.rng.randint(2, 10)))

    def _migrate(self, at: int) -> None:
        """Move what is still on a retired price to its successor.

        Tomorrow where today something forbids it.
        """
        waiting = False
        for subscription in self.billing.subscriptions:
            edits = [
                Edit(item, new, item.quantity)
                for item in subscription.items
                if (new := self.catalog.successor(item.price)) is not None
            ]
            if edits and subscription.ended_at is None:
                waiting |= not self._change(
                    subscription,
                    at,
                    edits,
                    "none" if self._happens(p.MIGRATED_WITHOUT_PRORATION) else "create_prorations",
                )
        if waiting:
            self.agenda.put(at + DAY, self._migrate)

    # How it is done

    def _change(self, subscription: Subscription, at: int, edits: list[Edit], proration: str) -> bool:
        """Make the change if the subscription can be changed now; whether it was made."""
        if not can_change(subscription, at, edits):
            return False
        self.billing.change(subscription, at, edits, proration)
        return True

    def _expands(self, at: int) -> bool:
        return _month(at) != p.SLUMP_MONTH or self._happens(p.SLUMP)

    def _active(self) -> list[Subscription]:
        return [subscription for subscription in self.billing.subscriptions if subscription.ended_at is None]

    def _price(self, product: Product, interval: str, at: int) -> Price:
        return self.catalog.price(product, self.currency, interval, at)

    def _proration(self, subscription: Subscription) -> str:
        return self._one_of(p.PRORATION[subscription.interval])

    def _happens(self, chance: float) -> bool:
        return self.rng.random() < chance

    def _one_of(self, weights: Mapping[T, float]) -> T:
        return self.rng.choices(list(weights), list(weights.values()))[0]


def _month(at: int) -> tuple[int, int]:
    instant = datetime.fromtimestamp(at, UTC)
    return instant.year, instant.month
