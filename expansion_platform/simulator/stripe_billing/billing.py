"""Stripe's billing conduct for one customer.

Periods, renewals, prorations, trials, discounts, cancellations (in both billing modes).

Here: what Stripe does when asked, the documents it leaves behind, and the true log of it. Not here: who asks
and why (`simulator/company/behaviour.py`). Every method takes the instant it happens at; `schedule` hands
back what Stripe will do by itself later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from expansion_platform.simulator.company.catalog import Coupon, Price
from expansion_platform.simulator.stripe_billing import invoices, objects
from expansion_platform.simulator.stripe_billing.charges import Item
from expansion_platform.simulator.stripe_billing.collection import Collection
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.invoicing import Invoicing
from expansion_platform.simulator.stripe_billing.redemption import Redemption
from expansion_platform.simulator.stripe_billing.schedules import Phase, Schedule
from expansion_platform.simulator.stripe_billing.subscription import Subscription, after, next_end
from expansion_platform.simulator.truth.items import Change, SubscriptionLog

JSON = dict[str, Any]


@dataclass(frozen=True)
class Edit:
    """A change of one item: `item` None adds one, `price` None removes it."""

    item: Item | None
    price: Price | None
    quantity: int


@dataclass(frozen=True)
class Terms:
    """How a subscription begins.

    In flexible billing or not, how many seconds ago it is said to have begun, and whether those are billed.
    """

    flexible: bool = False
    backdated: int = 0
    back_billed: bool = True


class Billing:
    """One customer's books.

    Subscriptions, invoices, pending items, credit notes, discounts, events and logs.
    """

    def __init__(
        self,
        customer: JSON,
        ids: objects.Ids,
        recorder: Recorder,
        schedule: Callable[[int, Callable[[int], None]], None],
    ) -> None:
        self.customer = customer
        self.subscriptions: list[Subscription] = []
        self.credit_notes: list[JSON] = []
        self.before_renewal: Callable[[Subscription, int], None] = lambda subscription, at: None
        self.terms: Callable[[int], Terms] = lambda at: Terms()
        self.asked: Callable[[Subscription, int, bool], None] = lambda subscription, at, begins: None
        self.schedules: list[Schedule] = []
        self.deleted = False
        self.redemption = Redemption(customer, ids, recorder, schedule)
        self.collection = Collection(self, recorder, schedule)
        self.invoicing = Invoicing(customer, ids, recorder, self.redemption.in_force, self.collection.collect)
        self.invoices = self.invoicing.invoices
        self.invoice_items = self.invoicing.invoice_items
        self._ids = ids
        self.recorder = self._events = recorder
        self._schedule = schedule
        recorder.emit("customer.created", customer["created"], lambda: dict(customer), requested=True)

    def create(
        self,
        at: int,
        wanted: Sequence[tuple[Price, int]],
        coupons: Sequence[tuple[Coupon, int | None]] = (),
        *,
        trial_days: int = 0,
        sends_invoice: bool = False,
    ) -> Subscription:
        """Start a subscription holding (price, quantity) items of one interval, and bill it.

        After a trial if it has one.

        `coupons` are redeemed with it, each on the subscription (None) or on the item of that index.
        """
        identity, price, terms = self._ids.new("sub_"), wanted[0][0], self.terms(at)
        trial_end = at + trial_days * 86_400 if trial_days else None
        start = at - terms.backdated if trial_end is None and price.usage_type == "licensed" else at
        end = trial_end if trial_end is not None else after(at, price.interval, 1)
        subscription = Subscription(
            id=identity,
            customer=self.customer["id"],
            interval=price.interval,
            created=at,
            anchor=trial_end or at,
            period=(at, end),
            collection_method="send_invoice" if sends_invoice else "charge_automatically",
            log=SubscriptionLog(
                identity,
                self.customer["id"],
                price.currency,
                start,
                trial_end,
                customers_discounts=self.redemption.own,
                created=at,
            ),
            items=[Item(self._ids.new("si_"), price, quantity, at) for price, quantity in wanted],
            status="trialing" if trial_end else "active",
            trial_end=trial_end,
            flexible=terms.flexible,
            used_since=at,
        )
        subscription.log.changes += [
            Change(start, item.id, item.price, item.quantity) for item in subscription.items
        ]
        self.subscriptions.append(subscription)
        self.asked(subscription, at, True)
        if self.customer["currency"] is None:
            self.customer["currency"] = price.currency
            self._events.emit(
                "customer.updated", at, lambda: dict(self.customer), {"currency": None}, requested=False
            )
        for coupon, index in coupons:
            self.redemption.give(
                subscription, at, coupon, None if index is None else subscription.items[index]
            )
        if trial_end is None or not terms.flexible:  # flexible billing makes no bill of nothing for a trial
            back = start if terms.back_billed and start < at else None
            self.invoicing.bill(
                subscription, at, "subscription_create", regular=True, invoice_period=(at, at), back=back
            )
        self._events.subscription("customer.subscription.created", subscription, at, requested=True)
        self._schedule(end, lambda now: self._period_ends(subscription, now))
        return subscription

    def delete_customer(self, at: int) -> None:
        """Delete the customer: its subscriptions end at once and nothing is collected any more."""
        for subscription in self.subscriptions:
            if subscription.ended_at is None:
                self.cancel(subscription, at)
        self.deleted = True
        self._events.emit("customer.deleted", at, lambda: dict(self.customer), requested=True)

    def change(self, subscription: Subscription, at: int, edits: Sequence[Edit], proration: str) -> None:
        """Change items in the running period with Stripe's `proration_behavior`.

        create_prorations, always_invoice or none.
        """
        with self._events.updating(subscription, at, requested=True):
            self.asked(subscription, at, False)
            self._make(subscription, at, edits, prorated=proration != "none", renewal=subscription.period[1])
            # An item swapped in was never debited, so that in flexible billing its next change would credit
            # nothing and show nothing of it.
            swapped = any(edit.item is None or edit.price is None for edit in edits)
            subscription.locked = proration == "none" and (swapped or not subscription.flexible)
            if proration == "always_invoice":
                self.invoicing.bill(
                    subscription, at, "subscription_update", regular=False, invoice_period=subscription.period
                )

    def restart(
        self, subscription: Subscription, at: int, edits: Sequence[Edit], *, credited: bool = True
    ) -> None:
        """Begin the billing cycle anew (`billing_cycle_anchor=now`).

        Credits for the unused time if asked, the edits, the new periods billed.
        """
        with self._events.updating(subscription, at, requested=True):
            self.asked(subscription, at, False)
            for item in subscription.items if credited else ():
                self.invoicing.credit(subscription, item, at)
            for edit in edits:
                self._apply(subscription, at, edit)
            subscription.log.billed(at)
            before = subscription.period
            subscription.interval = subscription.items[0].price.interval
            subscription.anchor = at
            self._roll(subscription, at)
            self.invoicing.bill(subscription, at, "subscription_update", regular=True, invoice_period=before)

    def begin_trial(self, subscription: Subscription, at: int, price: Price, quantity: int) -> None:
        """Add an item that costs nothing until the running period ends.

        Its bill of nothing is made at once, and nothing else until then.
        """
        with self._events.updating(subscription, at, requested=True):
            self.asked(subscription, at, False)
            item = self._apply(subscription, at, Edit(None, price, quantity))
            item.trial = (self._ids.new("to_"), at, subscription.period[1])
            subscription.log.item_trials.append((item.id, at, subscription.period[1]))
            subscription.locked = True
            self.invoicing.bill(
                subscription,
                at,
                "subscription_update",
                regular=False,
                invoice_period=subscription.period,
                tried=item,
            )

    def drop(self, subscription: Subscription, at: int, item: Item) -> None:
        """Take an item off in the second a period of it ends, so that nothing is credited."""
        with self._events.updating(subscription, at, requested=True):
            self._apply(subscription, at, Edit(item, None, 0))

    def plan(
        self,
        subscription: Subscription,
        at: int,
        steps: Sequence[tuple[int, int]],
        until: int,
        proration: str,
    ) -> Schedule:
        """Put the subscription on a schedule.

        The first item's quantity becomes each step's (start, quantity), the rest stays.
        """
        priced = [(item.price, item.quantity) for item in subscription.items]
        bounds = [subscription.period[0], *(start for start, _ in steps), until]
        items = [priced, *([(priced[0][0], quantity), *priced[1:]] for _, quantity in steps)]
        phases = [
            Phase(start, end, tuple(each))
            for start, end, each in zip(bounds[:-1], bounds[1:], items, strict=True)
        ]
        schedule = Schedule(
            self._ids.new("sub_sched_"),
            self.customer["id"],
            subscription.id,
            subscription.log.currency,
            at,
            phases,
            proration,
            subscription.flexible,
        )
        self.schedules.append(schedule)
        with self._events.updating(subscription, at, requested=True):
            subscription.schedule = schedule.id
        self._events.schedule("subscription_schedule.created", schedule, at, requested=True)
        return schedule

    def enter(self, subscription: Subscription, at: int, schedule: Schedule, phase: Phase) -> None:
        """A phase begins: its items are the subscription's now.

        The schedule dates what nothing is billed for.
        """
        edits = [
            Edit(item, price, quantity)
            for item, (price, quantity) in zip(subscription.items, phase.items, strict=True)
        ]
        changed = [
            edit
            for edit in edits
            if edit.item is not None and (edit.price, edit.quantity) != (edit.item.price, edit.item.quantity)
        ]
        subscription.log.phases.append(at)
        prorated = schedule.proration != "none" and at < subscription.period[1]
        with self._events.updating(subscription, at, requested=False):
            self._make(subscription, at, changed, prorated=prorated, renewal=None)
        self._events.schedule("subscription_schedule.updated", schedule, at, requested=False)

    def release(self, subscription: Subscription, at: int, schedule: Schedule) -> None:
        """The schedule lets go of the subscription, which goes on as it is."""
        schedule.released_at = at
        with self._events.updating(subscription, at, requested=False):
            subscription.schedule = None
        self._events.schedule("subscription_schedule.released", schedule, at, requested=False)

    def edit(self, subscription: Subscription, at: int, edits: Sequence[Edit], *, prorated: bool) -> None:
        """Make edits in the running period, with prorations if asked, without a bill and without an event."""
        self._make(subscription, at, edits, prorated=prorated, renewal=None)

    def follow_period(self, subscription: Subscription) -> None:
        """Have the running period end when it does: it was begun anew."""
        self._schedule(subscription.period[1], lambda now: self._period_ends(subscription, now))

    def cancel(
        self, subscription: Subscription, at: int, *, prorate: bool = False, invoice_now: bool = False
    ) -> None:
        """End the subscription at once, crediting the unused time if asked.

        Credits stay pending unless invoiced now.
        """
        if prorate:
            for item in subscription.items:
                self.invoicing.credit(subscription, item, at)
        subscription.canceled_at = at
        if invoice_now and subscription.pending:
            self.invoicing.bill(
                subscription, at, "subscription_update", regular=False, invoice_period=subscription.period
            )
        self._end(subscription, at, requested=True)

    def resume_after_trial(self, subscription: Subscription, at: int) -> None:
        """A subscription whose trial ended without a payment method gets one.

        Its first paid period begins now.
        """
        with self._events.updating(subscription, at, requested=True):
            before = subscription.period
            self.collection.turn(subscription, at, "active")
            subscription.anchor = at
            self._roll(subscription, at)
            self.invoicing.bill(subscription, at, "subscription_update", regular=True, invoice_period=before)

    def finish(self, subscription: Subscription, at: int) -> None:
        """End a metered subscription at once and bill what was used."""
        with self._events.updating(subscription, at, requested=True):
            subscription.canceled_at = at
            self.invoicing.bill(
                subscription, at, "subscription_update", regular=True, invoice_period=subscription.period
            )
        self._end(subscription, at, requested=True)

    def cancel_at_period_end(self, subscription: Subscription, at: int) -> None:
        """Ask for the end of the subscription with its running period."""
        with self._events.updating(subscription, at, requested=True):
            subscription.cancel_at_period_end = True
            subscription.canceled_at = at

    def refund(self, document: JSON, at: int, amount: int) -> None:
        """Give part of a paid invoice's money back by a credit note."""
        line = max(document["lines"]["data"], key=lambda each: each["amount"])
        note = invoices.credit_note(
            self._ids.new("cn_"), line["id"], document, amount, at, line_identity=self._ids.new("cnli_")
        )
        document["post_payment_credit_notes_amount"] += amount
        self.credit_notes.append(note)
        self._events.emit("credit_note.created", at, lambda: note, requested=True)

    def _period_ends(self, subscription: Subscription, at: int) -> None:
        if (
            subscription.ended_at is not None
            or subscription.period[1] != at
            or subscription.status == "paused"
        ):
            return
        if subscription.cancel_at_period_end:
            if subscription.pending:
                self.invoicing.bill(
                    subscription, at, "subscription_cycle", regular=False, invoice_period=subscription.period
                )
            self._end(subscription, at, requested=False)
            return
        if subscription.status == "trialing" and self.collection.pauses_at_trial_end(subscription, at):
            return
        if subscription.status in ("active", "trialing") and subscription.paused is None:
            self.before_renewal(subscription, at)
        with self._events.updating(subscription, at, requested=False):
            before = subscription.period
            if subscription.status == "trialing":
                subscription.status = "active"
            self._roll(subscription, at)
            self.invoicing.bill(subscription, at, "subscription_cycle", regular=True, invoice_period=before)
            subscription.locked = False

    def _roll(self, subscription: Subscription, at: int) -> None:
        """The period that starts at `at`, counted from the anchor so that the 31st returns after February."""
        end = next_end(subscription.anchor, subscription.interval, at)
        subscription.period = (at, end)
        self._schedule(end, lambda now: self._period_ends(subscription, now))

    def _end(self, subscription: Subscription, at: int, *, requested: bool) -> None:
        subscription.status = "canceled"
        subscription.ended_at = subscription.log.ended_at = at
        self._events.subscription("customer.subscription.deleted", subscription, at, requested=requested)

    def _make(
        self,
        subscription: Subscription,
        at: int,
        edits: Sequence[Edit],
        *,
        prorated: bool,
        renewal: int | None,
    ) -> None:
        """Make edits in the running period; without proration their first bill comes at `renewal`."""
        for edit in edits:
            if edit.item is not None and prorated:
                self.invoicing.credit(subscription, edit.item, at)
            item = self._apply(subscription, at, edit, renewal=None if prorated else renewal)
            if edit.price is not None and prorated:
                self.invoicing.debit(subscription, item, at)

    def _apply(self, subscription: Subscription, at: int, edit: Edit, *, renewal: int | None = None) -> Item:
        """Make an edit. `renewal` is when its first bill comes, where nothing before that shows it."""
        item = edit.item
        if item is None:
            item = Item(self._ids.new("si_"), edit.price, edit.quantity, at)  # type: ignore[arg-type]  # an edit that adds an item has a price
            subscription.items.append(item)
        elif edit.price is None:
            subscription.items.remove(item)
        else:
            item.price, item.quantity = edit.price, edit.quantity
        subscription.log.changes.append(Change(at, item.id, edit.price, edit.quantity, renewal))
        return item
