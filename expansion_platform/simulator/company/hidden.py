"""The hidden life of one customer of a company with signals: month by month its states, and what they cause.

Here: how states move, what is drawn by the hazards, and the changes of the subscription that follow. Not
here: the hazards (`hazards.py`), events and records that show the states (`usage_of_states.py`,
`relationship.py`). It takes the place of the plain life's growing, upgrading, add-ons and leaving.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from math import exp
from typing import Any

from expansion_platform.simulator.company.catalog import PLANS, SSO, STORAGE, Catalog
from expansion_platform.simulator.company.hazards import Hazards, State, hazards
from expansion_platform.simulator.company.possible import can_change, steady
from expansion_platform.simulator.company.signals import EXPANSIONS, Programme, Signals
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR, DAY = 3_600, 86_400
AGAIN = 7 * HOUR
"""After which a change is tried again that could not be made, to the end of the month."""
GROWTH = (0.10, 0.30)
COOLS, WARMS, COOLING = 0.05, 0.12, 0.30
WANTS, STILL_WANTS = 0.07, 0.65
TROUBLE, STILL_TROUBLE = 0.05, 0.60
MOST_FEATURES, FEWEST_FEATURES = 8, 3


class Hidden:
    """Of one customer.

    `states` are of each closed month in which it had seats, `risks` of each month in which it could expand or
    leave: the hazards it had, and what came of them.

    Args:
        rng: of its own.
        catalog: what can be bought.
        signals: how states act.
        closings: instants at which months close, with the month that closes and the one that begins, in
            order.
        account: its name in the product.
    """

    def __init__(
        self,
        rng: random.Random,
        catalog: Catalog,
        signals: Signals,
        closings: Sequence[tuple[int, str, str]],
        account: str,
    ) -> None:
        self._rng = rng
        self._catalog = catalog
        self._signals = signals
        self._account = account
        self._coming: Iterator[tuple[int, str, str]] = iter(closings)
        self._ends = {begins: at for (_, _, begins), (at, _, _) in pairwise(closings)}
        self.schedule: Callable[[int, Callable[[int], None]], None]
        self.frailty = rng.gauss(0, 1)
        self.arms: dict[str, tuple[str, int]] = {}
        self.states: list[dict[str, Any]] = []
        self.risks: list[dict[str, Any]] = []
        self._people_trend = rng.gauss(0.02, 0.02)
        self._base_days = rng.gauss(0, 0.25)
        self._need: float | None = None
        self._left = 0
        self._falls = [0.0]
        self._cooling = self._wants = self._trouble = False
        self._integrations = 0
        self._features = rng.uniform(FEWEST_FEATURES, MOST_FEATURES)
        self._months = 0
        self._expanded: int | None = None

    def begin(self, billing: Billing) -> None:
        """Take part from the first close after now on."""
        self._billing = billing
        self._next()

    @property
    def identity(self) -> tuple[str, str, float]:
        """Account, Stripe customer, and the difference that nothing shows."""
        return self._account, self._billing.customer["id"], self.frailty

    def decide(self, subscription: Subscription, at: int) -> None:
        """Nothing: it decides by calendar months."""

    def _next(self) -> None:
        coming = next(self._coming, None)
        if coming is not None:
            at, closed, begins = coming
            self.schedule(at, lambda now: self._close(now, closed, begins))

    def _close(self, at: int, closed: str, begins: str) -> None:
        """A month closes: what it was like, and what the next one brings."""
        self._next()
        live = [each for each in self._billing.subscriptions if each.ended_at is None]
        main = next((each for each in live if each.items[0].price.product in PLANS), None)
        if main is None or main.status not in ("active", "trialing", "past_due"):
            return
        items = [item for each in live for item in each.items if item.price.product.unit == "seat"]
        seats = sum(item.quantity for item in items)
        if not seats:
            return
        row = self._moved(closed, seats, main)
        self.states.append(row)
        if main.status == "active" and not main.cancel_at_period_end:
            self._risk(at, begins, row, main)

    def _moved(self, month: str, seats: int, main: Subscription) -> dict[str, Any]:
        """The states of a month, moved on from those of the month before."""
        rng = self._rng
        self._months += 1
        if self._need is None:
            self._need = seats * rng.uniform(0.5, 0.85)
        self._cooling = rng.random() >= WARMS if self._cooling else rng.random() < COOLS
        down = self._falls[-1]
        down = down + COOLING if self._cooling else 0.6 * down + rng.gauss(0, 0.08)
        self._falls.append(min(down, 1.8))
        self._need *= exp(self._people_trend + rng.gauss(0, 0.05) - 0.06 * self._cooling)
        self._need = min(self._need, 1.3 * seats)
        people = max(1, min(seats, round(self._need)))
        self._left += self._poisson(0.03 * people)
        self._wants = rng.random() < (STILL_WANTS if self._wants else WANTS)
        self._trouble = rng.random() < (STILL_TROUBLE if self._trouble else TROUBLE)
        connected = self._poisson(0.12) if self._integrations < MOST_FEATURES else 0
        self._integrations += connected
        higher = main.items[0].price.product is not PLANS[-1]
        full = people / seats
        return {
            "account": self._account,
            "customer": self._billing.customer["id"],
            "month": month,
            "seats": seats,
            "people": people,
            "left": self._left,
            "engagement": exp(self._base_days - self._falls[-1]),
            "features": max(1, round(self._features - 1.5 * max(0.0, self._falls[-1]))),
            "gate_hits": self._poisson(3.0 if self._wants else 0.3) if higher else 0,
            "limit_warnings": self._poisson(12.0 * max(0.0, full - 0.8)),
            "invites": self._poisson(0.4 + 0.02 * people),
            "integrations": connected,
            "milestones": self._poisson(0.4),
            "trouble": self._trouble,
            "fall": max(0.0, self._falls[-1] - self._falls[max(0, len(self._falls) - 4)]),
            "utilisation": full,
            "connected": self._integrations,
            "higher_plan": higher,
            "since_expansion": None if self._expanded is None else self._months - self._expanded,
        }

    def _risk(self, at: int, month: str, row: dict[str, Any], main: Subscription) -> None:
        """Draws what the month brings."""
        rng = self._rng
        names = ("seats", "utilisation", "gate_hits", "fall", "trouble", "since_expansion", "higher_plan")
        state = State(
            integrations=row["connected"], frailty=self.frailty, **{name: row[name] for name in names}
        )
        multiplier = self._multiplier(at, month, state)
        chances = hazards(state, self._signals, multiplier)
        kind, leaves = self._drawn(chances), rng.random() < chances.churn
        risk = {
            **{name: row[name] for name in ("account", "customer")},
            "month": month,
            **{f"hazard_{name}": getattr(chances, name) for name in (*EXPANSIONS, "churn", "expansion")},
            "multiplier": multiplier,
            "drawn": kind,
            "drawn_churn": leaves,
            "expanded_at": None,
            "churned_at": None,
        }
        self.risks.append(risk)
        until = self._ends.get(month, at + 28 * DAY)
        first, last = at + 12 * HOUR, until - 2 * DAY
        when, gone = rng.randint(first, last), rng.randint(first, last)
        if kind is not None:
            self.schedule(when, lambda now: self._expand(now, until, main, kind, risk))
        if leaves:
            self.schedule(gone, lambda now: self._leave(now, until, risk))

    def _multiplier(self, at: int, month: str, state: State) -> float:
        """Of the programmes whose effect lasts; puts the customer into an arm of those that begin."""
        found = 1.0
        for programme in self._signals.programmes:
            if programme.begins == month:
                self.arms[programme.name] = (self._arm(programme, state), at)
            arm, _ = self.arms.get(programme.name, ("", 0))
            if arm == "treatment" and month in programme.lasting:
                found *= programme.multiplier
        return found

    def _arm(self, programme: Programme, state: State) -> str:
        share = programme.planned_share
        if not programme.randomised:  # who uses more, and is fonder of it than shows, is spoken to
            odds = share / (1 - share) * exp(6 * (state.utilisation - 0.7) + self.frailty)
            share = odds / (1 + odds)
        return "treatment" if self._rng.random() < share else "control"

    def _drawn(self, chances: Hazards) -> str | None:
        drawn = self._rng.random()
        for kind in EXPANSIONS:
            drawn -= getattr(chances, kind)
            if drawn < 0:
                return kind
        return None

    def _expand(self, at: int, until: int, main: Subscription, kind: str, risk: dict[str, Any]) -> None:
        edits = self._edits(at, main, kind)
        if can_change(main, at, edits):
            proration = "create_prorations" if self._rng.random() < 0.7 else "always_invoice"
            self._billing.change(main, at, edits, proration)
            risk["expanded_at"] = at
            self._expanded = self._months
        elif at + AGAIN < until and main.ended_at is None:
            self.schedule(at + AGAIN, lambda now: self._expand(now, until, main, kind, risk))

    def _edits(self, at: int, main: Subscription, kind: str) -> list[Edit]:
        item = main.items[0]
        product = item.price.product
        if kind == "upgrade" and product is not PLANS[-1]:
            price = self._price(PLANS[PLANS.index(product) + 1], main, at)
            return [Edit(item, price, item.quantity)]
        held = {each.price.product for each in main.items}
        missing = [each for each in (SSO, STORAGE) if each not in held]
        if kind == "addon" and missing and not main.used_once(at):
            quantity = 1 if missing[0] is SSO else self._rng.randint(200, 900)
            return [Edit(None, self._price(missing[0], main, at), quantity)]
        quantity = item.quantity + max(2, round(item.quantity * self._rng.uniform(*GROWTH)))
        # By volume, a few more seats may cost less.
        while item.price.gross(quantity) <= item.price.gross(item.quantity) * 102 / 100:
            quantity += max(2, quantity // 20)
        return [Edit(item, item.price, quantity)]

    def _leave(self, at: int, until: int, risk: dict[str, Any]) -> None:
        live = [each for each in self._billing.subscriptions if each.ended_at is None]
        if not live:
            return
        if all(steady(each) or each.status == "past_due" for each in live):
            for each in live:
                self._billing.cancel(each, at)
            risk["churned_at"] = at
        elif at + AGAIN < until:
            self.schedule(at + AGAIN, lambda now: self._leave(now, until, risk))

    def _price(self, product: Any, main: Subscription, at: int) -> Any:
        return self._catalog.price(product, main.log.currency, main.interval, at)

    def _poisson(self, mean: float) -> int:
        """A Poisson number by counting uniform ones; means are small."""
        limit, product, count = exp(-min(mean, 30.0)), self._rng.random(), 0
        while product > limit:
            product *= self._rng.random()
            count += 1
        return count
