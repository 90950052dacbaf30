"""How the simulated customers behave: one table of propensities, and what each decision does to their subscriptions.

Here: who signs up for what, and what they change, month by month. Not here: how Stripe bills it (`billing.py`).
Decisions come from the customer's own generator in the order of its clock, so the past never depends on how far the simulation runs.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from expansion_platform.simulator.billing import Billing, Edit, Subscription
from expansion_platform.simulator.catalog import BASIC, ENTERPRISE, INSIGHTS, PRO, SSO, Catalog, Product

HOUR, DAY = 3_600, 86_400
MONTH = 30 * DAY


@dataclass(frozen=True)
class Segment:
    """Size of a kind of customer and how it grows: expansions are frequent and small in large accounts, rare and large in small ones."""

    share: float
    plans: dict[Product, float]
    seats: tuple[int, int]
    annual: float
    grow: float
    growth: tuple[float, float]
    leave: float


SEGMENTS = (
    Segment(0.64, {BASIC: 0.7, PRO: 0.3}, (3, 30), 0.20, grow=0.07, growth=(0.10, 0.35), leave=0.018),
    Segment(0.26, {PRO: 0.8, ENTERPRISE: 0.2}, (60, 150), 0.30, grow=0.12, growth=(0.06, 0.18), leave=0.008),
    Segment(0.10, {PRO: 0.3, ENTERPRISE: 0.7}, (180, 420), 0.50, grow=0.30, growth=(0.02, 0.07), leave=0.003),
)
CURRENCY_SHARES = {"usd": 0.62, "eur": 0.18, "gbp": 0.12, "jpy": 0.08}

# Chance a month, for each subscription, unless said otherwise.
SHRINK = 0.020
UPGRADE = 0.008
DOWNGRADE = 0.003
ADD_ADDON = 0.010
DROP_ADDON = 0.020
CROSS_SELL = 0.008
SWITCH_INTERVAL = 0.006
NEW_COUPON = 0.010
REMOVE_FOREVER = 0.05
"""Of a forever discount, at each renewal."""
REFUND = 0.010

# Shares within a decision.
PRORATION = {"create_prorations": 0.65, "always_invoice": 0.25, "none": 0.10}
ANNUAL_PRORATION = {"create_prorations": 0.60, "always_invoice": 0.38, "none": 0.02}
SECOND_CHANGE = 0.15
NEW_ITEM_ON_TIER_CHANGE = 0.35
OWN_SUBSCRIPTION_FOR_CROSS_SELL = 0.5
CANCEL_AT_PERIOD_END = 0.5
CANCEL_PRORATED = 0.6
CREDIT_INVOICED_NOW = 0.3
RESUBSCRIBES_AT_ONCE = 0.15
RETURNS = 0.20
TRIAL = 0.15
TRIAL_LOST = 0.35
COUPON_AT_START = 0.25
SECOND_SUBSCRIPTION = 0.06
ADDON_AT_START = 0.15
SENDS_INVOICE = 0.3
"""Of annual subscriptions."""

SLUMP_MONTH = (2026, 10)
SLUMP = 0.35
"""Share of the usual expansions that still happen in the slump month."""
EXPANSIONS = ("grow", "upgrade", "add_addon", "cross_sell")


class Life:
    """One customer's life: an agenda of instants, the decisions taken at them, and the books they are written to."""

    def __init__(self, rng: random.Random, catalog: Catalog, number: int) -> None:
        self.rng = rng
        self.catalog = catalog
        self.segment = rng.choices(SEGMENTS, [segment.share for segment in SEGMENTS])[0]
        self.currency = rng.choices(list(CURRENCY_SHARES), list(CURRENCY_SHARES.values()))[0]
        self.billing: Billing
        self._agenda: list[tuple[int, int, Callable[[int], None]]] = []
        self._scheduled = 0

    def schedule(self, at: int, act: Callable[[int], None]) -> None:
        """Put something on the agenda; what was put first happens first within one second."""
        self._scheduled += 1
        heapq.heappush(self._agenda, (at, self._scheduled, act))

    def run(self, until: int) -> None:
        """Live up to `until`, inclusive."""
        while self._agenda and self._agenda[0][0] <= until:
            at, _, act = heapq.heappop(self._agenda)
            act(at)

    def begin(self, billing: Billing, at: int) -> None:
        """Sign up at `at`."""
        self.billing = billing
        billing.before_renewal = self._before_renewal
        self.schedule(at, self._subscribe)
        self.schedule(self.catalog.migrated_at, self._migrate)

    # Signing up and leaving

    def _subscribe(self, at: int) -> None:
        """A first subscription: a plan, sometimes with an add-on, a trial, coupons, or a second subscription beside it."""
        plan = self.rng.choices(list(self.segment.plans), list(self.segment.plans.values()))[0]
        interval = "year" if self.rng.random() < self.segment.annual else "month"
        wanted = [(self.catalog.price(plan, self.currency, interval, at), self.rng.randint(*self.segment.seats))]
        if self.rng.random() < ADDON_AT_START:
            wanted.append((self.catalog.price(SSO, self.currency, interval, at), 1))
        trial_days = self.rng.choice((14, 30)) if self.rng.random() < TRIAL else 0
        total = sum(price.gross(quantity) for price, quantity in wanted)
        coupons = self._coupons_at_start(float(total), interval, len(wanted), trial=trial_days > 0)
        sends = interval == "year" and self.rng.random() < SENDS_INVOICE
        subscription = self.billing.create(at, wanted, coupons, trial_days=trial_days, sends_invoice=sends)
        if trial_days and self.rng.random() < TRIAL_LOST:
            leaves_at = at + int(trial_days * DAY * self.rng.uniform(0.2, 0.9))
            self.schedule(leaves_at, lambda now: self._leave_trial(subscription, now))
        self._follow(subscription)
        if self.rng.random() < SECOND_SUBSCRIPTION:
            self.schedule(at + self.rng.randint(5 * DAY, 90 * DAY), self._second_subscription)

    def _follow(self, subscription: Subscription) -> None:
        self.schedule(subscription.created + 2 * HOUR, lambda now: self._decide(subscription, now))

    def _second_subscription(self, at: int) -> None:
        if not self._live():
            return
        price = self.catalog.price(INSIGHTS, self.currency, "month", at)
        self._follow(self.billing.create(at, [(price, self.rng.randint(5, 60))]))

    def _coupons_at_start(self, total: float, interval: str, items: int, *, trial: bool) -> list[tuple[object, int | None]]:
        return []

    def _before_renewal(self, subscription: Subscription, at: int) -> None:
        return None

    def _migrate(self, at: int) -> None:
        return None

    def _decide(self, subscription: Subscription, at: int) -> None:
        if subscription.ended_at is not None:
            return
        if self.rng.random() < self.segment.grow:
            self.schedule(at + self.rng.randint(HOUR, 29 * DAY), lambda now: self._resize(subscription, now, self.rng.uniform(*self.segment.growth)))
        if self.rng.random() < self.segment.leave:
            self.schedule(at + self.rng.randint(HOUR, 29 * DAY), lambda now: self._leave(subscription, now))
        self.schedule(at + MONTH, lambda now: self._decide(subscription, now))

    def _leave(self, subscription: Subscription, at: int) -> None:
        if self._can_change(subscription, at):
            self.billing.cancel(subscription, at, prorate=self.rng.random() < CANCEL_PRORATED)

    def _leave_trial(self, subscription: Subscription, at: int) -> None:
        if subscription.status == "trialing":
            self.billing.cancel(subscription, at)

    def _resize(self, subscription: Subscription, at: int, share: float) -> None:
        if not self._can_change(subscription, at) or (share > 0 and not self._expands(at)):
            return
        item = subscription.items[0]
        step = max(1, round(item.quantity * abs(share)))
        quantity = item.quantity + step if share > 0 else max(1, item.quantity - step)
        self.billing.change(subscription, at, [Edit(item, item.price, quantity)], self._proration(subscription))

    def _proration(self, subscription: Subscription) -> str:
        shares = PRORATION if subscription.interval == "month" else ANNUAL_PRORATION
        return self.rng.choices(list(shares), list(shares.values()))[0]

    def _expands(self, at: int) -> bool:
        now = datetime.fromtimestamp(at, UTC)
        return (now.year, now.month) != SLUMP_MONTH or self.rng.random() < SLUMP

    def _can_change(self, subscription: Subscription, at: int) -> bool:
        start, end = subscription.period
        return (
            subscription.status == "active"
            and not subscription.locked
            and not subscription.cancel_at_period_end
            and start + HOUR < at < end - 6 * HOUR
        )

    def _live(self) -> bool:
        return any(subscription.status == "active" for subscription in self.billing.subscriptions)
