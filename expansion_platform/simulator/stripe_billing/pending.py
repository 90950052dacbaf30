"""Updates that wait for their payment (`payment_behavior=pending_if_incomplete`), as Stripe treats them.

Here: the bill of such an update, and the change when it is paid or the bill's end when it is not. Not here:
who asks for what (`simulator/company/updates.py`), and updates that are made at once (`billing.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from expansion_platform.simulator.stripe_billing import invoices, objects
from expansion_platform.simulator.stripe_billing.billing import Billing, Edit
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.subscription import Subscription, after
from expansion_platform.simulator.truth.items import Change

JSON = dict[str, Any]
WAITS = 23 * 3_600
"""Seconds an update waits for its payment, or until the period ends."""


@dataclass
class Waiting:
    """An update that waits.

    The subscription as it would be, its bill, the changes it makes, and the discounts only its bill lists.
    """

    wanted: Subscription
    document: JSON
    changes: list[Change]
    listed: list[Discount]
    new_cycle: bool


class PendingUpdates:
    """One customer's updates that wait. `schedule` hands back what Stripe does by itself."""

    def __init__(
        self, billing: Billing, recorder: Recorder, schedule: Callable[[int, Callable[[int], None]], None]
    ) -> None:
        self._billing = billing
        self._events = recorder
        self._schedule = schedule

    def ask(
        self,
        subscription: Subscription,
        at: int,
        edits: Sequence[Edit],
        *,
        new_cycle: bool,
        paid_after: int | None,
        voided_after: int,
    ) -> None:
        """Ask for edits.

        The first charge fails: it is paid `paid_after` seconds later, or (None) voided by then, at the latest
        when it expires.

        With `new_cycle` the billing cycle begins anew with the edits.
        """
        expires = min(at + WAITS, subscription.period[1])
        with self._events.updating(subscription, at, requested=True):
            waiting = self._bill(subscription, at, edits, new_cycle=new_cycle)
            items = [
                objects.subscription_item(item, subscription.id, waiting.wanted.period, at, at)
                for item in waiting.wanted.items
            ]
            anchor = at if new_cycle else None
            subscription.pending_update = {
                **_NOTHING_ELSE,
                "billing_cycle_anchor": anchor,
                "expires_at": expires,
                "subscription_items": items,
            }
            subscription.latest_invoice = waiting.document["id"]
        if paid_after is not None and at + paid_after < expires:
            self._schedule(at + paid_after, lambda now: self._apply(subscription, now, waiting))
        else:
            self._schedule(
                min(at + voided_after, expires),
                lambda now: self._give_up(subscription, now, waiting, expired=now == expires),
            )

    def _bill(
        self, subscription: Subscription, at: int, edits: Sequence[Edit], *, new_cycle: bool
    ) -> Waiting:
        """Bill the update as if it were made, on a copy."""
        log = replace(subscription.log, changes=[])
        wanted = replace(
            subscription, log=log, items=[replace(item) for item in subscription.items], pending=[]
        )
        own = {item.id: item for item in wanted.items}
        invoicing, changes = self._billing.invoicing, log.changes
        unlisted = [
            each for each in [*subscription.given(), *subscription.log.customers_discounts] if not each.billed
        ]
        documents: list[JSON] = []
        if new_cycle:
            for item in wanted.items:
                invoicing.credit(wanted, item, at)
        copied = [edit if edit.item is None else replace(edit, item=own[edit.item.id]) for edit in edits]
        self._billing.edit(wanted, at, copied, prorated=not new_cycle)
        before = wanted.period
        if new_cycle:
            wanted.interval = wanted.items[0].price.interval
            wanted.anchor, wanted.period = at, (at, after(at, wanted.interval, 1))

        def collect(_: Subscription, document: JSON, now: int) -> None:
            documents.append(document)

        invoicing.bill(
            wanted, at, "subscription_update", regular=new_cycle, invoice_period=before, collect=collect
        )
        self._billing.customer["next_invoice_sequence"] += 1
        self._events.invoice("invoice.created", documents[0], at, requested=False)
        self._events.invoice("invoice.finalized", documents[0], at, requested=False)
        invoices.refuse(documents[0])
        listed = [each for each in unlisted if each.billed]
        for each in listed:
            each.billed = False
        return Waiting(wanted, documents[0], changes, listed, new_cycle)

    def _apply(self, subscription: Subscription, at: int, waiting: Waiting) -> None:
        """The bill is paid, and the update is made."""
        if subscription.ended_at is not None:
            self._give_up(subscription, at, waiting, expired=False)
            return
        invoices.pay(waiting.document, at)
        self._events.invoice("invoice.paid", waiting.document, at, requested=False)
        with self._events.updating(subscription, at, requested=False):
            subscription.pending_update = None
            subscription.log.changes += [replace(change, at=at) for change in waiting.changes]
            current = {item.id: item for item in subscription.items}
            subscription.items[:] = [_made(current.get(item.id), item) for item in waiting.wanted.items]
            for each in waiting.listed:
                each.billed = True
            if waiting.new_cycle:
                wanted = waiting.wanted
                subscription.interval, subscription.anchor, subscription.period = (
                    wanted.interval,
                    wanted.anchor,
                    wanted.period,
                )
                self._billing.follow_period(subscription)
        self._events.subscription(
            "customer.subscription.pending_update_applied", subscription, at, requested=False
        )

    def _give_up(self, subscription: Subscription, at: int, waiting: Waiting, *, expired: bool) -> None:
        """The bill is voided, and the subscription stays as it was."""
        invoices.void(waiting.document, at)
        self._events.invoice("invoice.voided", waiting.document, at, requested=not expired)
        if subscription.ended_at is not None:
            return
        with self._events.updating(subscription, at, requested=not expired):
            subscription.pending_update = None
        if expired:
            self._events.subscription(
                "customer.subscription.pending_update_expired", subscription, at, requested=False
            )


_NOTHING_ELSE = dict.fromkeys(
    ("cancel_at_period_end", "discount", "discounts", "metadata", "trial_end", "trial_from_plan")
)


def _made(current: Item | None, wanted: Item) -> Item:
    """An item as the update makes it: the same object, where it was there before."""
    if current is None:
        return wanted
    current.price, current.quantity, current.charges = wanted.price, wanted.quantity, wanted.charges
    return current
