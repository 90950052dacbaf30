"""Objects as they are read, gathered as the rows of all `stripe/*` tables.

Here: which tables an object goes to, and the changes the rows read so far amount to. Not here: columns
(`rows.py`, `bills.py`, `events.py`), what to read (`pull.py`, `full.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache

import pandas as pd

from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import bills, rows
from expansion_platform.sources.stripe.changes import TableChange
from expansion_platform.sources.stripe.events import event, subject
from expansion_platform.sources.stripe.fields import PLAIN_KEYS, MetadataKeys, Object, Row, frame

ItemsOf = Callable[[set[str]], Mapping[str, str]]
"""Invoice item ids to the subscription items they bill."""

MODELS: tuple[type[Table], ...] = (
    tables.Customers,
    tables.Products,
    tables.Prices,
    tables.Coupons,
    tables.TaxRates,
    tables.Subscriptions,
    tables.SubscriptionItems,
    tables.SubscriptionSchedules,
    tables.Invoices,
    tables.InvoiceLines,
    tables.InvoiceItems,
    tables.CreditNotes,
    tables.Events,
    tables.MeterUsage,
)
_SIMPLE: dict[str, tuple[type[Table], Callable[[Object, datetime], Row]]] = {
    "products": (tables.Products, rows.product),
    "prices": (tables.Prices, rows.price),
    "coupons": (tables.Coupons, rows.coupon),
    "tax_rates": (tables.TaxRates, rows.tax_rate),
    "subscription_schedules": (tables.SubscriptionSchedules, rows.subscription_schedule),
    "invoiceitems": (tables.InvoiceItems, bills.invoice_item),
    "credit_notes": (tables.CreditNotes, bills.credit_note),
}
_FRAME_ROWS = 20_000  # rows kept as dicts before they become a frame, which takes a tenth of the memory


class Staging:
    """The rows of what was read; an object read twice counts once."""

    def __init__(self, as_of: datetime, items_of: ItemsOf, keys: MetadataKeys = PLAIN_KEYS) -> None:
        self._as_of = as_of
        self._keys = keys
        self._items_of = items_of
        self._rows: dict[type[Table], _Rows] = {}
        self._embedded: dict[type[Table], dict[str, Row]] = {tables.Prices: {}, tables.Coupons: {}}
        self.seen: dict[str, set[str]] = defaultdict(set)
        self.deleted_invoices: set[str] = set()

    def add(self, resource: str, item: Object) -> bool:
        """Takes an object's rows; False when it was there already, or is on a test clock."""
        if item["id"] in self.seen[resource] or _on_test_clock(item):
            return False
        self.seen[resource].add(item["id"])
        for model, row in self._staged(resource, item):
            self._of(model).add(row)
        for coupon in rows.embedded_coupons(item):
            self._embedded[tables.Coupons][coupon["id"]] = rows.coupon(coupon, self._as_of, embedded=True)
        for price in rows.embedded_prices(_about(item)) if resource in ("subscriptions", "events") else ():
            row = rows.price(price, self._as_of, embedded=True)
            if row["unreadable"] is None:
                self._embedded[tables.Prices].setdefault(row["id"], row)
        return True

    def changes(
        self, whole: Collection[type[Table]] = (), windows: Sequence[tuple[int, int]] = ()
    ) -> dict[str, TableChange]:
        """The change of each table.

        Args:
            whole: Tables read completely, or completely in the windows.
            windows: Ranges of `created` the objects were read in; none when they were looked up one by one.
                They say nothing of other tables: a window of customers beside one of invoices must not pass
                for invoices that are gone.
        """
        absent = {
            model: [
                row for key, row in kept.items() if key not in self.seen[table_name(model).partition("/")[2]]
            ]
            for model, kept in self._embedded.items()
        }
        frames = {model: self._of(model).frame() for model in MODELS}
        # A subscription's items have their own `created`; a line has its invoice's, so a window read whole
        # replaces its lines by that.
        invoices = frozenset(
            self.deleted_invoices if windows else self.deleted_invoices | set(frames[tables.Invoices]["id"])
        )
        replaced: dict[type[Table], Mapping[str, frozenset[str]]] = {
            tables.Invoices: {"id": invoices},
            tables.InvoiceLines: {"invoice": invoices},
            tables.SubscriptionItems: {"subscription": frozenset(frames[tables.Subscriptions]["id"])},
        }
        result = {}
        for model, read in frames.items():
            result[table_name(model)] = TableChange(
                rows=read,
                replaces=replaced.get(model, {}),
                whole=model in whole,
                windows=tuple(windows)
                if model is not tables.SubscriptionItems and (len(read) or model in whole)
                else (),
                if_absent=frame(model, absent[model]) if absent.get(model) else None,
            )
        return result

    def forget_rows(self) -> None:
        """Begins a new batch: the rows were taken by `changes`; what was seen stays seen."""
        self._rows.clear()
        for kept in self._embedded.values():
            kept.clear()

    def _staged(self, resource: str, item: Object) -> Iterator[tuple[type[Table], Row]]:
        if resource == "events":
            yield tables.Events, event(item, self._as_of, self._keys)
            kind, about = subject(item)
            # The last trace of it; events may come twice.
            if kind == "customer.deleted" and about.get("id") not in self.seen["customers"]:
                self.seen["customers"].add(about["id"])
                yield (
                    tables.Customers,
                    rows.customer({**item["data"]["object"], "deleted": True}, self._as_of, self._keys),
                )
            elif kind == "invoice.deleted" and about.get("id"):
                self.deleted_invoices.add(about["id"])
        elif resource == "invoices":
            yield tables.Invoices, bills.invoice(item, self._as_of, self._keys)
            for row in bills.invoice_lines(item, self._as_of, self._items_of(bills.unresolved_items(item))):
                yield tables.InvoiceLines, row
        elif resource == "subscriptions":
            yield tables.Subscriptions, rows.subscription(item, self._as_of, self._keys)
            for row in rows.subscription_items(item, self._as_of, self._keys):
                yield tables.SubscriptionItems, row
        elif resource == "customers":
            yield tables.Customers, rows.customer(item, self._as_of, self._keys)
        else:
            model, staged = _SIMPLE[resource]
            yield model, staged(item, self._as_of)

    def _of(self, model: type[Table]) -> _Rows:
        return self._rows.setdefault(model, _Rows(model))


def _on_test_clock(item: Object) -> bool:
    """Whether an object, or what an event is about, lives on a test clock, in a time of its own.

    Stripe lists no such subscription, but its bills.
    """
    return isinstance(_about(item).get("test_clock"), str)


def _about(item: Object) -> Object:
    """What an event is about, or the object itself; nothing where an event does not say."""
    if item.get("object") != "event":
        return item
    data = item.get("data")
    about = data.get("object") if isinstance(data, Mapping) else None
    return about if isinstance(about, Mapping) else {}


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
        if not self._pending and not self._frames:
            return _no_rows(self._model)
        self._flush()
        return pd.concat(self._frames, ignore_index=True).sort_values("id", ignore_index=True)

    def _flush(self) -> None:
        self._frames.append(frame(self._model, self._pending))
        self._pending = []


@cache
def _no_rows(model: type[Table]) -> pd.DataFrame:
    """Made once: most windows hold rows of two tables of thirteen, and a frame takes 5 ms."""
    return frame(model, [])
