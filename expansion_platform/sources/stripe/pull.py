"""One pull of a Stripe account: everything the first time, afterwards only what may have changed.

Here: what is read when. Not here: requests (`client.py`), columns (`rows.py`, `events.py`), what the result means for a stored table (`changes.py`).

Stripe has no "updated since". Later pulls therefore read the events since the last one, then the objects the events name, as they are now; new
objects come by `created`, and what changes without an event of its own (drafts, open invoices, pending items) is read each time. Stripe forgets
events after 30 days, so a longer gap means reading everything again. Events are read before objects: what happens meanwhile is in the next pull.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pandas as pd

from expansion_platform.domain.schemas import stripe as tables
from expansion_platform.domain.schemas.base import Table, table_name
from expansion_platform.sources.stripe import rows
from expansion_platform.sources.stripe.changes import PullResult, PullState, TableChange
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.events import EVENT_TYPES, event
from expansion_platform.sources.stripe.fields import Object, Row, frame, reference

OVERLAP_SECONDS = 3600  # `created` has whole seconds, and an event can be listed a little after it is dated
LONGEST_GAP_SECONDS = 29 * 86400  # a day less than Stripe keeps events
_CREATED = ("products", "prices", "coupons", "customers", "subscriptions", "invoices", "credit_notes")
_UNSETTLED = ("draft", "open")
_FRAME_ROWS = 20_000  # rows held as dicts before they become a frame, which takes a tenth of the memory

Progress = Callable[[str, int], None]


def pull(source: StripeSource, state: PullState, as_of: datetime, progress: Progress | None = None) -> PullResult:
    """Reads what a stored copy of the account lacks.

    Args:
        source: The account.
        state: What the last pull returned, or `PullState()`.
        as_of: The instant up to which objects and events are read; it becomes the rows' `observed_at`. Must carry a time zone.
        progress: Called with a resource and the objects of it read so far, every hundred and at the end.

    Returns:
        A change for every `stripe/*` table. Pulling again from the same state gives the same rows.

    Raises:
        DataQualityError: An object lacks what its row needs.
        ConfigurationError, StripeRequestError: As in `StripeSource.objects`.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"an instant without a time zone: {as_of}")
    now = int(as_of.timestamp())
    if state.last_pull_at is None:
        since, reason = None, "first pull"
    elif now - state.last_pull_at > LONGEST_GAP_SECONDS:
        since, reason = None, f"{(now - state.last_pull_at) // 86400} days since the last pull, and Stripe keeps events for 30"
    else:
        since, reason = state.last_pull_at - OVERLAP_SECONDS, f"changes since {datetime.fromtimestamp(state.last_pull_at, as_of.tzinfo).isoformat()}"

    reading = _Reading(source, as_of, full=since is None, progress=progress)
    happened = reading.read_events(since, frozenset(state.recent_events))
    for resource in _CREATED:
        reading.read(resource, created_gte=since)
    if since is not None:
        for status in _UNSETTLED:
            reading.read("invoices", status=status)
        for resource, object_id in sorted(_named_by(happened)):
            reading.read_one(resource, object_id)
    reading.read("invoiceitems", pending=True)
    return PullResult(
        changes=reading.changes(),
        state=PullState(last_pull_at=max(now, state.last_pull_at or now), recent_events=tuple(sorted(reading.recent_events))),
        counts=dict(reading.counts),
        full=since is None,
        reason=reason,
    )


def _named_by(happened: list[Object]) -> set[tuple[str, str]]:
    """(resource, id) of the objects events are about. What was deleted cannot be read any more, but a canceled subscription can."""
    named: set[tuple[str, str]] = set()
    for item in happened:
        about, kind = item["data"]["object"], item["type"]
        if kind.startswith("customer.discount."):
            subscription, customer = about.get("subscription"), reference(about.get("customer"))
            named |= {("subscriptions", subscription)} if subscription else {("customers", customer)} if customer else set()
        elif kind.startswith("customer.subscription."):
            named.add(("subscriptions", about["id"]))
        elif not kind.endswith(".deleted"):
            named.add((f"{kind.split('.')[0]}s", about["id"]))
    return named


class _Reading:
    """The rows of one pull as they accumulate; an object read twice counts once."""

    def __init__(self, source: StripeSource, as_of: datetime, *, full: bool, progress: Progress | None) -> None:
        self._source = source
        self._as_of = as_of
        self._before = int(as_of.timestamp()) + 1
        self._full = full
        self._progress = progress or (lambda resource, count: None)
        self._rows: dict[type[Table], _Rows] = {}
        self._seen: dict[str, set[str]] = defaultdict(set)
        self._deleted_invoices: set[str] = set()
        self._embedded_coupons: dict[str, Row] = {}
        self._item_of: dict[str, str | None] = {}
        self.recent_events: set[str] = set()
        self.counts: dict[str, int] = defaultdict(int)

    def read_events(self, since: int | None, known: frozenset[str]) -> list[Object]:
        """Events not seen before, oldest first; each is a row, and some are the last trace of what was deleted."""
        listed: list[Object] = [
            item for types in EVENT_TYPES for item in self._source.objects("events", created_gte=since, created_lt=self._before, types=list(types))
        ]
        self.recent_events = {item["id"] for item in listed if item["created"] >= self._before - 1 - OVERLAP_SECONDS}
        new = sorted((item for item in listed if item["id"] not in known), key=lambda item: (item["created"], item["id"]))
        for item in new:
            self._count("events")
            self._of(tables.Events).add(event(item, self._as_of))
            if item["type"] == "customer.deleted":
                deleted = item["data"]["object"]
                self._seen["customers"].add(deleted["id"])
                self._of(tables.Customers).add(rows.customer({**deleted, "deleted": True}, self._as_of))
            elif item["type"] == "invoice.deleted":
                self._deleted_invoices.add(item["data"]["object"]["id"])
        self._progress("events", self.counts["events"])
        return new

    def read(self, resource: str, created_gte: int | None = None, **filters: Any) -> None:
        """Reads a list of a resource."""
        for item in self._source.objects(resource, created_gte=created_gte, created_lt=self._before, **filters):
            self._add(resource, item)
        self._progress(resource, self.counts[resource])

    def read_one(self, resource: str, object_id: str) -> None:
        """Reads one object unless it has been; one that Stripe no longer has keeps its stored row, except a deleted draft invoice."""
        if object_id in self._seen[resource]:
            return
        item = self._source.object(resource, object_id)
        if item is not None:
            self._add(resource, item)
        elif resource == "invoices":
            self._deleted_invoices.add(object_id)

    def changes(self) -> dict[str, TableChange]:
        """The change of each table."""
        invoices = frozenset(self._seen["invoices"] | self._deleted_invoices)
        absent = [row for key, row in self._embedded_coupons.items() if key not in self._seen["coupons"]]
        special: dict[type[Table], dict[str, Any]] = {
            # A full pull has seen every invoice, so one it did not see was a draft deleted meanwhile.
            tables.Invoices: {"replaces": {"id": invoices}, "whole": self._full},
            tables.InvoiceLines: {"replaces": {"invoice": invoices}, "whole": self._full},
            tables.SubscriptionItems: {"replaces": {"subscription": frozenset(self._seen["subscriptions"])}},
            tables.InvoiceItems: {"whole": True},
            tables.Coupons: {"if_absent": frame(tables.Coupons, absent)},
        }
        result = {}
        for model in _MODELS:
            read = self._of(model).frame()
            given = special.get(model, {})
            result[table_name(model)] = TableChange(rows=read, **{"replaces": {"id": frozenset(read["id"])}, **given})
        return result

    def _add(self, resource: str, item: Object) -> None:
        if item["id"] in self._seen[resource]:
            return
        self._seen[resource].add(item["id"])
        for model, row in self._staged(resource, item):
            self._of(model).add(row)
        for coupon in rows.embedded_coupons(item):
            self._embedded_coupons[coupon["id"]] = rows.coupon(coupon, self._as_of)
        self._count(resource)

    def _staged(self, resource: str, item: Object) -> Iterator[tuple[type[Table], Row]]:
        if resource == "invoices":
            yield tables.Invoices, rows.invoice(item, self._as_of)
            for row in rows.invoice_lines(item, self._as_of, self._items_of(rows.unresolved_items(item))):
                yield tables.InvoiceLines, row
        elif resource == "subscriptions":
            yield tables.Subscriptions, rows.subscription(item, self._as_of)
            for row in rows.subscription_items(item, self._as_of):
                yield tables.SubscriptionItems, row
        else:
            model, staged = _SIMPLE[resource]
            yield model, staged(item, self._as_of)

    def _items_of(self, invoice_items: set[str]) -> dict[str, str]:
        """Subscription items of invoice items: all in one list on a full pull, else one by one."""
        if invoice_items and self._full and not self._item_of:
            for item in self._source.objects("invoiceitems", created_lt=self._before):
                self._item_of[item["id"]] = rows.invoice_item(item, self._as_of)["subscription_item"]
        for missing in invoice_items - self._item_of.keys():
            found = self._source.object("invoiceitems", missing)
            self._item_of[missing] = None if found is None else rows.invoice_item(found, self._as_of)["subscription_item"]
        return {key: held for key in invoice_items if (held := self._item_of[key]) is not None}

    def _count(self, resource: str) -> None:
        self.counts[resource] += 1
        if self.counts[resource] % 100 == 0:
            self._progress(resource, self.counts[resource])

    def _of(self, model: type[Table]) -> _Rows:
        return self._rows.setdefault(model, _Rows(model))


_SIMPLE: dict[str, tuple[type[Table], Callable[[Object, datetime], Row]]] = {
    "customers": (tables.Customers, rows.customer),
    "products": (tables.Products, rows.product),
    "prices": (tables.Prices, rows.price),
    "coupons": (tables.Coupons, rows.coupon),
    "invoiceitems": (tables.InvoiceItems, rows.invoice_item),
    "credit_notes": (tables.CreditNotes, rows.credit_note),
}
_MODELS: tuple[type[Table], ...] = (
    tables.Customers,
    tables.Products,
    tables.Prices,
    tables.Coupons,
    tables.Subscriptions,
    tables.SubscriptionItems,
    tables.Invoices,
    tables.InvoiceLines,
    tables.InvoiceItems,
    tables.CreditNotes,
    tables.Events,
)


class _Rows:
    """Rows of one table, turned into frames as they come."""

    def __init__(self, model: type[Table]) -> None:
        self._model = model
        self._pending: list[Row] = []
        self._frames: list[pd.DataFrame] = []

    def add(self, row: Row) -> None:
        self._pending.append(row)
        if len(self._pending) >= _FRAME_ROWS:
            self._flush()

    def frame(self) -> pd.DataFrame:
        self._flush()
        return pd.concat(self._frames, ignore_index=True).sort_values("id", ignore_index=True)

    def _flush(self) -> None:
        self._frames.append(frame(self._model, self._pending))
        self._pending = []
