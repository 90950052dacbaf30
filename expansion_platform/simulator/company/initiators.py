"""Who asks for a customer's changes, and what of it Stripe and the CRM record.

A behaviour that is switched on by name.

Here: the ways a company works, drawn once per customer: its own application writes `initiated_by` with every
change, customers click in Stripe's portal and checkout, an account executive records in the CRM, or nobody
records anything. And the true log of it. Not here: the changes (`behaviour.py`). Decisions come from a
generator of its own and change no amount, so that the company is otherwise the same.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.objects import Ids
from expansion_platform.simulator.stripe_billing.subscription import Subscription

JSON = dict[str, Any]
BEHAVIOUR = "initiators"
WAYS = {"application": 0.5, "portal": 0.25, "crm": 0.17, "unrecorded": 0.08}
SAID = {"self_serve": 0.5, "product": 0.15, "sales": 0.2, "csm": 0.15}
"""Of what the application writes."""
WON = 0.6
"""Of an executive's changes an opportunity; the others are touches before it."""
LONGEST_SESSION = 45 * 60
WON_WITHIN, TOUCHED_WITHIN = 10, 25
"""Days around the change, and before it."""


@dataclass(frozen=True)
class Initiation:
    """The truth of one request.

    It says which subscription changed when, who began it, and where that is recorded.
    """

    customer: str
    subscription: str
    at: int
    who: str
    way: str


class Initiators:
    """Of one customer: says who asks, and leaves what a real company leaves.

    `log` is the truth, `crm` the rows of the CRM.
    """

    def __init__(self, rng: random.Random, ids: Ids, recorder: Recorder) -> None:
        self._rng = rng
        self._ids = ids
        self._recorder = recorder
        self._way = rng.choices(list(WAYS), list(WAYS.values()))[0]
        self.log: list[Initiation] = []
        self.crm: list[tuple[str, str, str, str]] = []

    def asked(self, subscription: Subscription, at: int, begins: bool) -> None:
        """Somebody asks for a change, or for the subscription itself.

        Called as it is made, before Stripe shows it.
        """
        who = {"portal": "self_serve", "crm": "sales"}.get(self._way) or self._rng.choices(
            list(SAID), list(SAID.values())
        )[0]
        self.log.append(Initiation(subscription.customer, subscription.id, at, who, self._way))
        if self._way == "application":
            subscription.metadata = {"initiated_by": who}
        elif self._way == "portal" and begins:
            self._recorder.emit(
                "checkout.session.completed",
                at,
                lambda: _checkout(self._ids.new("cs_live_"), subscription, at),
                requested=True,
            )
        elif self._way == "portal":
            opened = at - self._rng.randint(60, LONGEST_SESSION)
            made = _portal_session(self._ids.new("bps_"), subscription.customer, opened)
            self._recorder.emit("billing_portal.session.created", opened, lambda: made, requested=True)
        elif self._way == "crm" and not begins:
            won = self._rng.random() < WON
            days = (
                self._rng.randint(-WON_WITHIN, WON_WITHIN) if won else -self._rng.randint(0, TOUCHED_WITHIN)
            )
            day = datetime.fromtimestamp(at, UTC).date() + timedelta(days=days)
            self.crm.append(
                (
                    subscription.customer,
                    day.isoformat(),
                    "opportunity" if won else "touch",
                    self._ids.new("006" if won else "00T"),
                )
            )


def _portal_session(identity: str, customer: str, at: int) -> JSON:
    """A session of the customer portal."""
    return {
        "id": identity,
        "object": "billing_portal.session",
        "configuration": "bpc_Simulated",
        "created": at,
        "customer": customer,
        "flow": None,
        "livemode": True,
        "locale": None,
        "on_behalf_of": None,
        "return_url": None,
        "url": "https://billing.stripe.com/p/session/live_simulated",
    }


def _checkout(identity: str, subscription: Subscription, at: int) -> JSON:
    """A finished checkout, as far as a reader of subscriptions looks at it."""
    return {
        "id": identity,
        "object": "checkout.session",
        "created": at,
        "currency": subscription.log.currency,
        "customer": subscription.customer,
        "livemode": True,
        "metadata": {},
        "mode": "subscription",
        "payment_status": "paid",
        "status": "complete",
        "subscription": subscription.id,
    }
