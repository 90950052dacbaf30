"""What becomes of a bill: paid, retried, given up, taken back, left as a draft.

The status of its subscription follows from it.

Here: Stripe's conduct after a bill is made (revenue recovery, paused collection). Not here: what is billed
(`billing.py`), and whose payments fail (`simulator/company/hardship.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from expansion_platform.simulator.stripe_billing import invoices
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.subscription import Subscription
from expansion_platform.simulator.stripe_billing.turns import Turn

if TYPE_CHECKING:
    from expansion_platform.simulator.stripe_billing.billing import Billing

JSON = dict[str, Any]
DAY = 86_400
PAYS_AFTER = 20 * DAY
"""Seconds until an invoice that was sent is paid; a charged one is paid at once."""
RETRIES = 4
"""Charges of a failed payment, at most."""
BY_HAND = ("void", "forgiven")
"""Endings by a person's hand."""
EXPIRES_AFTER = 23 * 3_600
"""Seconds a first bill may stay unpaid."""


@dataclass(frozen=True)
class Failure:
    """How a bill that was not paid when it should have been ends, `after` seconds later.

    `ending`: paid, unpaid (then paid or canceled after `afterwards` more seconds), given_up (the same, and
    marked uncollectible with it), canceled, uncollectible; by a person's hand: void, forgiven (marked
    uncollectible). `leaves`: the subscription is then canceled, at the period's end where a person gave the
    bill up. `slow`: the payment is on its way all the time.
    """

    ending: str
    after: int
    afterwards: int = 0
    leaves: bool = False
    slow: bool = False


class Collection:
    """Collects one customer's bills.

    `failure` says whether a bill fails and how that ends; `lacks_card` whether a trial ends without a card.
    """

    def __init__(
        self, billing: Billing, recorder: Recorder, schedule: Callable[[int, Callable[[int], None]], None]
    ) -> None:
        self.failure: Callable[[Subscription, JSON], Failure | None] = lambda subscription, document: None
        self.lacks_card: Callable[[Subscription, int], bool] = lambda subscription, at: False
        self._billing = billing
        self._events = recorder
        self._schedule = schedule
        self._newest: dict[str, str] = {}

    def collect(self, subscription: Subscription, document: JSON, at: int) -> None:
        """Finalize a new invoice and charge or send it, unless the subscription's state forbids."""
        cycle = document["billing_reason"] == "subscription_cycle"
        if cycle and subscription.log.pauses and not subscription.log.pauses[-1].records:
            subscription.log.pauses[-1].records.append(at)
        if subscription.status == "unpaid" or subscription.paused == "keep_as_draft":
            if subscription.status == "unpaid":
                subscription.log.statuses[-1].records.append(at)
            invoices.leave_draft(document)
            self._events.invoice("invoice.created", document, at, requested=False)
            return
        self._billing.customer["next_invoice_sequence"] += 1
        self._events.invoice("invoice.created", document, at, requested=False)
        self._events.invoice("invoice.finalized", document, at, requested=False)
        if subscription.paused is not None and cycle:
            self._void(document, at) if subscription.paused == "void" else self._give_up(
                document, at, "subscription_paused"
            )
            return
        self._billing.customer["balance"] = document["ending_balance"]
        self._newest[subscription.id] = document["id"]
        failure = (
            self.failure(subscription, document)
            if document["amount_due"] > 0 and subscription.status != "trialing"
            else None
        )
        sent = subscription.collection_method == "send_invoice" and document["amount_due"] > 0
        if failure is None:
            self._schedule(
                at + PAYS_AFTER if sent else at, lambda now: self._pay(subscription, document, now)
            )
        elif failure.slow:
            self._schedule(at + failure.after, lambda now: self._pay(subscription, document, now))
        elif document["billing_reason"] == "subscription_create" and not sent:
            self._begin_incomplete(subscription, document, at, failure)
        elif sent and failure.ending in BY_HAND and at + failure.after < document["due_date"]:
            self._schedule(at + failure.after, lambda now: self._settle(subscription, document, now, failure))
        else:
            self._schedule(
                document["due_date"] or at, lambda now: self._fail(subscription, document, now, failure)
            )

    def turn(self, subscription: Subscription, at: int, status: str, bill: int | None = None) -> None:
        """The subscription's status is another from now on.

        `bill` is when the bill behind `unpaid` was not paid.
        """
        subscription.status = status
        subscription.log.statuses.append(Turn(at, status, bill))

    def pause(self, subscription: Subscription, at: int, behavior: str | None) -> None:
        """Pause collection, or resume it (None)."""
        with self._events.updating(subscription, at, requested=True):
            subscription.paused = behavior
            subscription.log.pauses.append(Turn(at, behavior))

    def pauses_at_trial_end(self, subscription: Subscription, at: int) -> bool:
        """A trial that ends without a payment method may leave the subscription paused, unbilled."""
        if not self.lacks_card(subscription, at):
            return False
        subscription.log.pauses_after_trial = True
        with self._events.updating(subscription, at, requested=False):
            self.turn(subscription, at, "paused")
        self._events.subscription("customer.subscription.paused", subscription, at, requested=False)
        return True

    def _begin_incomplete(
        self, subscription: Subscription, document: JSON, at: int, failure: Failure
    ) -> None:
        self.turn(subscription, at, "incomplete")
        invoices.refuse(document)
        if failure.ending == "paid":
            self._schedule(
                at + min(failure.after, EXPIRES_AFTER - 1), lambda now: self._pay(subscription, document, now)
            )
        else:
            subscription.log.never_started = True
            self._schedule(at + EXPIRES_AFTER, lambda now: self._expire(subscription, document, now))

    def _expire(self, subscription: Subscription, document: JSON, at: int) -> None:
        if subscription.ended_at is None:
            with self._events.updating(subscription, at, requested=False):
                subscription.status, subscription.ended_at = "incomplete_expired", at
            self._void(document, at)

    def _fail(self, subscription: Subscription, document: JSON, at: int, failure: Failure) -> None:
        if subscription.ended_at is not None or self._newest[subscription.id] != document["id"]:
            return
        invoices.refuse(document)
        if subscription.status == "active":
            with self._events.updating(subscription, at, requested=False):
                self.turn(subscription, at, "past_due")
        self._schedule(at + failure.after, lambda now: self._settle(subscription, document, now, failure))

    def _settle(self, subscription: Subscription, document: JSON, at: int, failure: Failure) -> None:
        if subscription.ended_at is not None or document["status"] not in ("open", "uncollectible"):
            return
        if failure.ending == "paid":
            self._pay(subscription, document, at)
        elif failure.ending in BY_HAND:
            self._by_hand(subscription, document, at, failure)
        elif failure.ending == "canceled":
            self._billing.cancel(subscription, at)
        else:
            self._end_retries(subscription, document, at, failure)

    def _by_hand(self, subscription: Subscription, document: JSON, at: int, failure: Failure) -> None:
        """Somebody takes the bill back or writes it off.

        The subscription is in good standing again, or is to end with its period.
        """
        self._void(document, at) if failure.ending == "void" else self._give_up(document, at, "user_forgiven")
        self._activate(subscription, document, at)
        # Until the renewal shows it, nothing else does that a change on a void bill was made.
        subscription.locked |= document["billing_reason"] == "subscription_update"
        if failure.leaves and subscription.status == "active" and not subscription.cancel_at_period_end:
            self._billing.cancel_at_period_end(subscription, at)

    def _end_retries(self, subscription: Subscription, document: JSON, at: int, failure: Failure) -> None:
        """The last retry has failed.

        By the account's settings the bill is written off, the subscription is unpaid, or both.
        """
        unpaid = (
            failure.ending != "uncollectible"
            and subscription.status == "past_due"
            and self._newest[subscription.id] == document["id"]
        )
        invoices.refuse(document, RETRIES)
        if failure.ending != "unpaid":
            self._give_up(document, at, "max_payment_attempts")
        if unpaid:
            bill = document["due_date"] or document["created"] if failure.ending == "unpaid" else None
            with self._events.updating(subscription, at, requested=False):
                self.turn(subscription, at, "unpaid", bill)
            follows = Failure("canceled" if failure.leaves else "paid", 0)
            self._schedule(
                at + failure.afterwards, lambda now: self._settle(subscription, document, now, follows)
            )

    def _pay(self, subscription: Subscription, document: JSON, at: int) -> None:
        if self._billing.deleted:
            return
        invoices.pay(document, at)
        self._events.invoice("invoice.paid", document, at, requested=False)
        self._activate(subscription, document, at)

    def _activate(self, subscription: Subscription, document: JSON, at: int) -> None:
        """The newest bill is settled: so is the subscription."""
        owing = subscription.status in ("incomplete", "past_due", "unpaid") and subscription.ended_at is None
        if owing and self._newest[subscription.id] == document["id"]:
            with self._events.updating(subscription, at, requested=False):
                self.turn(subscription, at, "active")

    def _void(self, document: JSON, at: int) -> None:
        invoices.void(document, at)
        self._events.invoice("invoice.voided", document, at, requested=False)

    def _give_up(self, document: JSON, at: int, reason: str) -> None:
        invoices.give_up(document, at, reason)
        self._events.invoice("invoice.marked_uncollectible", document, at, requested=False)
