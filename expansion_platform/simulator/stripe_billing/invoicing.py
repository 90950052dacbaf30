"""How Stripe makes a bill.

The regular lines of a period, prorations and what they credit, `once` coupons used up.

Here: one customer's invoices and pending invoice items as they come to be. Not here: when anything is billed
(`billing.py`), the documents' form (`invoices.py`), and what becomes of a bill (`collection.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from expansion_platform.simulator.stripe_billing import charges, invoices, objects
from expansion_platform.simulator.stripe_billing.charges import Charge, Discount, Item
from expansion_platform.simulator.stripe_billing.events import Recorder
from expansion_platform.simulator.stripe_billing.subscription import Subscription, after
from expansion_platform.simulator.stripe_billing.used import Bill, Use

JSON = dict[str, Any]


class Invoicing:
    """Makes one customer's bills.

    `in_force` gives the discounts on a whole subscription, `collect` takes a new bill on.
    """

    def __init__(
        self,
        customer: JSON,
        ids: objects.Ids,
        recorder: Recorder,
        in_force: Callable[[Subscription, int], list[Discount]],
        collect: Callable[[Subscription, JSON, int], None],
    ) -> None:
        self.invoices: list[JSON] = []
        self.invoice_items: list[JSON] = []
        self.usage: Callable[[Subscription, int, int], int] = lambda subscription, start, end: 0
        self.tax: Callable[[list[JSON], int], list[tuple[str, int, str]]] = lambda lines, at: []
        self._customer = customer
        self._ids = ids
        self._events = recorder
        self._in_force = in_force
        self._collect = collect

    def credit(self, subscription: Subscription, item: Item, at: int) -> None:
        """Give back the rest of the period.

        Classic billing at what the item is now, flexible billing each charge as it was debited.
        """
        if not subscription.flexible:
            amount = charges.prorated(item, at, subscription.period, self._in_force(subscription, at))
            if item.charges:
                self._pend(
                    subscription, item, -amount, (at, subscription.period[1]), _credited(item.charges), at
                )
            return
        for charge in item.charges:
            share = Fraction(subscription.period[1] - at, subscription.period[1] - charge.start)
            if (amount := charges.half_even(charge.amount * share)) > 0:
                as_debited = replace(item, price=charge.price, quantity=charge.quantity)
                self._pend(
                    subscription, as_debited, -amount, (at, subscription.period[1]), _credited([charge]), at
                )

    def debit(self, subscription: Subscription, item: Item, at: int) -> None:
        """Charge the rest of the period for an item in its new state."""
        amount = charges.prorated(item, at, subscription.period, self._in_force(subscription, at))
        identity = self._pend(subscription, item, amount, (at, subscription.period[1]), None, at)
        item.charges = [Charge("", identity, item.price, item.quantity, amount, at)]

    def _pend(
        self,
        subscription: Subscription,
        item: Item,
        amount: int,
        period: tuple[int, int],
        credited: JSON | None,
        at: int,
    ) -> str:
        entry = objects.invoice_item(
            self._ids.new("ii_"),
            subscription.customer,
            subscription.id,
            item,
            amount,
            period,
            credited,
            at=at,
        )
        subscription.pending.append(entry)
        self.invoice_items.append(entry)
        self._events.emit("invoiceitem.created", at, lambda: dict(entry), requested=True)
        return str(entry["id"])

    def bill(
        self,
        subscription: Subscription,
        at: int,
        reason: str,
        *,
        regular: bool,
        invoice_period: tuple[int, int],
        back: int | None = None,
        tried: Item | None = None,
        collect: Callable[[Subscription, JSON, int], None] | None = None,
    ) -> None:
        """Bill the running period's regular lines (if asked) and everything pending.

        The bill is collected at once, or by `collect`.

        Lines come first for the time from `back` on, and for the trial of an item.
        """
        identity = self._ids.new("in_")
        bill = Bill(at)
        lines = self._back_lines(subscription, back, at, identity) if back is not None else []
        if tried is not None and tried.trial is not None:
            _, *trial = tried.trial
            line = self._ids.new("il_")
            lines.append(
                invoices.regular_line(
                    line, identity, subscription.id, tried, 0, (trial[0], trial[1]), discounts=[], taken=[]
                )
            )
        lines += self._regular_lines(subscription, at, identity, bill) if regular else []
        lines_of = {entry["id"]: self._ids.new("il_") for entry in subscription.pending}
        for entry in subscription.pending:
            lines.append(invoices.proration_line(lines_of[entry["id"]], identity, entry, lines_of))
            entry["invoice"] = identity
        for item in subscription.items:
            item.charges = [
                replace(each, invoice=identity, line=lines_of[each.line]) if each.line in lines_of else each
                for each in item.charges
            ]
        subscription.log.taxes += self.tax(lines, at)
        prorated_from = subscription.pending[-1]["period"]["start"] if subscription.pending else None
        subscription.pending = []
        listed = self._in_force(subscription, at)
        for each in [
            *listed,
            *(own for item in subscription.items if regular for own in item.discounts if own.listed(at)),
        ]:
            each.billed = True
        sequence = self._customer["next_invoice_sequence"]
        document = invoices.invoice(
            identity,
            f"{self._customer['invoice_prefix']}-{sequence:04d}",
            self._customer,
            subscription.id,
            at,
            period=invoice_period,
            reason=reason,
            collection_method=subscription.collection_method,
            lines=lines,
            discounts=[each.id for each in listed],
            proration_date=prorated_from,
            metadata=subscription.metadata,
        )
        self._use_once(subscription, at, lines)
        bill.document = document
        self.invoices.append(document)
        subscription.latest_invoice = identity
        (collect or self._collect)(subscription, document, at)

    def _back_lines(self, subscription: Subscription, back: int, at: int, invoice: str) -> list[JSON]:
        """The time from a backdated start on.

        A line for each period gone by in flexible billing, in classic billing one proration.
        """
        spans: list[tuple[int, int, Fraction]] = []
        while not spans or spans[-1][1] < at:
            start, whole = (
                after(back, subscription.interval, len(spans)),
                after(back, subscription.interval, len(spans) + 1),
            )
            spans.append((start, min(at, whole), Fraction(min(at, whole) - start, whole - start)))
        lines = []
        for item in subscription.items:
            gross = item.price.gross(item.quantity)
            if not subscription.flexible:
                self._pend(
                    subscription,
                    item,
                    charges.half_even(gross * sum(share for _, _, share in spans)),
                    (back, at),
                    None,
                    at,
                )
            for start, end, share in spans if subscription.flexible else ():
                amount, identity = charges.half_even(gross * share), self._ids.new("il_")
                lines.append(
                    invoices.regular_line(
                        identity, invoice, subscription.id, item, amount, (start, end), discounts=[], taken=[]
                    )
                )
        return lines

    def _regular_lines(self, subscription: Subscription, at: int, invoice: str, bill: Bill) -> list[JSON]:
        lines = []
        trial = subscription.status == "trialing"
        for item in (each for each in subscription.items if each.price.usage_type == "metered"):
            item.quantity = (
                self.usage(subscription, subscription.used_since, at) if at > subscription.created else 0
            )
        taken = (
            {} if trial else charges.line_discounts(subscription.items, at, self._in_force(subscription, at))
        )
        for item in subscription.items:
            off = taken.get(item.id, [])
            own = [each.id for each in item.discounts if each.listed(at)]
            parts = [(item.quantity, 0 if trial else charges.half_even(item.price.gross(item.quantity)))]
            if (
                subscription.flexible
                and item.price.scheme["type"] == "graduated"
                and not (trial or off or own)
            ):
                parts = charges.by_tier(item.price, item.quantity)
            arrears = item.price.usage_type == "metered" and at > subscription.created
            period = (subscription.used_since, at) if arrears else subscription.period
            if arrears:
                subscription.log.usage.append(Use(item.id, *period, item.quantity, bill))
            item.charges = []
            for quantity, amount in parts:
                identity, charged = self._ids.new("il_"), replace(item, quantity=quantity)
                net = amount - sum(each for _, each in off)
                item.charges.append(
                    Charge(invoice, identity, item.price, quantity, net, subscription.period[0])
                )
                lines.append(
                    invoices.regular_line(
                        identity, invoice, subscription.id, charged, amount, period, discounts=own, taken=off
                    )
                )
        subscription.used_since = at
        return lines

    def _use_once(self, subscription: Subscription, at: int, lines: list[JSON]) -> None:
        """A `once` coupon is used up by the first invoice with a line it reduces."""
        for discount in (
            each for each in subscription.given() if each.coupon.duration == "once" and each.listed(at)
        ):
            discount.windows = [
                (
                    line["parent"]["subscription_item_details"]["subscription_item"],
                    line["period"]["start"],
                    line["period"]["end"],
                )
                for line in lines
                if any(
                    entry["discount"] == discount.id and entry["amount"] > 0
                    for entry in line["discount_amounts"]
                )
            ]
            if discount.windows:
                self._events.discount(
                    "customer.discount.deleted", discount, subscription.customer, at, requested=False
                )


def _credited(charged: Sequence[Charge]) -> JSON:
    """What a credit names: the lines of the invoice that charged.

    An invoice item that waits for its invoice is named itself.
    """
    invoice, lines = charged[0].invoice, [each.line for each in charged]
    return {
        "invoice_item": None if invoice else lines[0],
        "invoice_line_item_details": {"invoice": invoice, "invoice_line_items": lines} if invoice else None,
        "type": "invoice_line_items" if invoice else "invoice_item",
    }
