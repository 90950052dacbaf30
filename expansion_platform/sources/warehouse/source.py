"""One reading of a warehouse.

Everything, or what was written since the last time, as changes of the `stripe/*` tables.

Here: which tables are read in which order, and in what pieces. Not here: queries (`tables.py`), shapes
(`objects.py`), storing (`ingestion/importing.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from expansion_platform.domain.core.errors import DataQualityError, ExpansionError
from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import rows
from expansion_platform.sources.stripe.changes import TableChange
from expansion_platform.sources.stripe.events import EVENT_TYPES
from expansion_platform.sources.stripe.fields import PLAIN_KEYS, MetadataKeys, Object
from expansion_platform.sources.stripe.staging import Staging
from expansion_platform.sources.warehouse.objects import Discounts, Looked
from expansion_platform.sources.warehouse.tables import Bound, Record, Warehouse, by_parent

# A loader stamps a row when it extracts it, and commits it up to a long sync later.
OVERLAP = timedelta(days=1)
BATCH_OBJECTS = 20_000
_METADATA = {
    "customers": rows.CUSTOMER_METADATA,
    "products": rows.CATALOG_METADATA,
    "prices": rows.CATALOG_METADATA,
    "subscriptions": rows.SUBSCRIPTION_METADATA,
}
"""Keys read of metadata that has a table of its own, beside the user's (`MetadataKeys`)."""
_READ_EVENTS = frozenset(name for types in EVENT_TYPES for name in types)


@dataclass(frozen=True)
class Part:
    """Some of what was read: the change of each table, and how many objects of each resource."""

    changes: dict[str, TableChange]
    counts: Mapping[str, int]


class WarehouseSource:
    """The Stripe data of a warehouse, read only.

    Args:
        warehouse: Its tables.
        name: The mapping's name.
        keys: Metadata that is kept of what is read.
    """

    def __init__(self, warehouse: Warehouse, name: str, keys: MetadataKeys = PLAIN_KEYS) -> None:
        self.tables = warehouse
        self.name = name
        self.keys = keys
        self.unresolved_discounts: frozenset[str] = frozenset()

    @property
    def server(self) -> str:
        """What identifies the data: the mapping and where the tables are."""
        return f"warehouse {self.tables.place} ({self.name})"

    def probe(self) -> dict[str, str | None]:
        """Each mapped table, by one row of it: None when it can be read, else what is wrong with it.

        WarehouseError when nothing answers.
        """
        self.tables.ping()
        found: dict[str, str | None] = {}
        for kind in type(self.tables.mapping.tables).model_fields:
            bound = None
            try:
                if (bound := self.tables.table(kind)) is not None:
                    found[bound.table.name] = None
                    next(self.tables.records(bound, at_most=1), None)
            except ExpansionError as error:
                found[kind if bound is None else bound.table.name] = str(error)
        return found

    def newest(self) -> datetime | None:
        """When the newest row was written, None where the mapping names no column that says so."""
        return self.tables.newest()

    def read(self, as_of: datetime, since: datetime | None = None) -> Iterator[Part]:
        """Everything, or what was written since an instant, a batch at a time.

        The last batch has the pending invoice items, whole.

        Args:
            as_of: What was created later is left out; it becomes the rows' `observed_at`.
            since: `newest()` of the reading before, None for everything.

        Raises:
            ConfigurationError: A mapped table or column is not there.
            WarehouseError: The warehouse cannot be read.
            DataQualityError: A value of another kind than its field, or an object that lacks what its row
                needs.
        """
        reading = _Reading(self.tables, as_of, None if since is None else since - OVERLAP, self.keys)
        yield from reading.parts()
        self.unresolved_discounts = frozenset(reading.looked.discounts.unresolved)


class _Reading:
    """The state of one reading."""

    def __init__(
        self, warehouse: Warehouse, as_of: datetime, since: datetime | None, keys: MetadataKeys
    ) -> None:
        self._warehouse = warehouse
        self._keys = keys
        self._as_of = as_of
        self._since = since
        self._billed_items: dict[str, str] | None = None
        self.looked = self._look_up()

    def parts(self) -> Iterator[Part]:
        """All tables, parents before what refers to them."""
        staging = Staging(self._as_of, self._items_of, self._keys)
        counts: dict[str, int] = defaultdict(int)
        for resource, item, deleted in self._objects():
            if deleted:
                staging.deleted_invoices.add(item["id"])
                continue
            counts[resource] += staging.add(resource, item)
            if sum(counts.values()) >= BATCH_OBJECTS:
                yield Part(staging.changes(), dict(counts))
                staging, counts = Staging(self._as_of, self._items_of, self._keys), defaultdict(int)
        for item in self._pending():
            counts["invoiceitems"] += staging.add("invoiceitems", item)
        yield Part(staging.changes(whole=[tables.InvoiceItems]), dict(counts))

    def _objects(self) -> Iterator[tuple[str, Object, bool]]:
        """(resource, object, whether it is a deleted invoice)."""
        looked = self.looked
        simple: list[tuple[str, Callable[[Record], Object]]] = [
            ("products", looked.product),
            ("prices", looked.price),
            ("coupons", looked.coupon),
            ("events", looked.event),
            ("customers", looked.customer),
        ]
        for resource, made in simple:
            for record in self._records(resource):
                if resource != "events" or record["type"] in _READ_EVENTS:
                    yield resource, _made(resource, record, made), False
        for record, items in self._with_items():
            if self._in_time(record):
                yield "subscriptions", _made("subscriptions", record, looked.subscription, items), False
        for record, lines, amounts in self._with_lines():
            if self._in_time(record):
                yield (
                    "invoices",
                    _made("invoices", record, looked.invoice, lines, amounts),
                    bool(record["deleted"]),
                )
        for record in self._records("credit_notes"):
            yield "credit_notes", _made("credit_notes", record, looked.credit_note), False

    def _records(self, kind: str) -> Iterator[Record]:
        bound = self._warehouse.table(kind)
        if bound is not None:
            yield from filter(
                self._in_time, self._warehouse.records(bound, *self._warehouse.changed(bound, self._since))
            )

    def _with_items(self) -> Iterator[tuple[Record, list[Record]]]:
        parents, items = self._warehouse.needed("subscriptions"), self._warehouse.table("subscription_items")
        conditions = self._warehouse.changed(parents, self._since, items=(items, "subscription"))
        item_records = (
            iter(())
            if items is None
            else self._warehouse.children(items, "subscription", parents, *conditions)
        )
        yield from self._grouped(parents, conditions, item_records, "subscription")

    def _with_lines(self) -> Iterator[tuple[Record, list[Record], list[Record]]]:
        parents, lines = self._warehouse.needed("invoices"), self._warehouse.needed("invoice_lines")
        taken = self._warehouse.table("line_discount_amounts")
        conditions = self._warehouse.changed(
            parents, self._since, lines=(lines, "invoice"), amounts=(taken, "invoice")
        )
        amounts = (
            iter(())
            if taken is None
            else _first(self._warehouse.children(taken, "invoice", parents, *conditions))
        )
        billed = self._grouped(
            parents, conditions, self._warehouse.children(lines, "invoice", parents, *conditions), "invoice"
        )
        flat = ({"id": record["id"], "of": (record, own)} for record, own in billed)
        for parent, own in by_parent(flat, amounts, "invoice"):
            yield *parent["of"], own

    def _grouped(
        self, parents: Bound, conditions: list[Any], children: Iterator[Record], field: str
    ) -> Iterator[tuple[Record, list[Record]]]:
        """Parents with their children; the children's query is sent first."""
        ordered = _first(children)
        yield from by_parent(
            self._warehouse.records(parents, *conditions, order_by=parents.column("id")), ordered, field
        )

    def _pending(self) -> Iterator[Object]:
        bound = self._warehouse.table("invoice_items")
        if bound is not None:
            for record in filter(
                self._in_time, self._warehouse.records(bound, bound.column("invoice").is_(None))
            ):
                if not record["deleted"]:
                    yield self.looked.invoice_item(record)

    def _in_time(self, record: Record) -> bool:
        """Not created after the instant of the reading; a record without `created` is refused by its row."""
        return record["created"] is None or record["created"] <= self._as_of.timestamp()

    def _items_of(self, wanted: set[str]) -> Mapping[str, str]:
        """Subscription items of invoice items, for lines that name only the latter.

        The table is read once, when the first such line comes.
        """
        if self._billed_items is None:
            bound = self._warehouse.table("invoice_items")
            self._billed_items = (
                {} if bound is None else _pairs(self._warehouse.records(bound), "id", "subscription_item")
            )
        return {each: self._billed_items[each] for each in wanted if each in self._billed_items}

    def _look_up(self) -> Looked:
        warehouse = self._warehouse
        prices = list(warehouse.records(warehouse.needed("prices")))
        subscriptions, tiers, discounts = (
            warehouse.needed("subscriptions"),
            warehouse.table("price_tiers"),
            warehouse.table("discounts"),
        )
        of_price: dict[str, list[Record]] = defaultdict(list)
        for tier in () if tiers is None else warehouse.records(tiers):
            of_price[tier["price"]].append(tier)
        return Looked(
            products={price["id"]: price["product"] for price in prices},
            currencies={price["id"]: price["currency"] for price in prices},
            billed_in={}
            if subscriptions.has("currency")
            else warehouse.value_by(warehouse.needed("invoices"), "subscription", "currency"),
            tiers=of_price,
            options=self._options("price_currency_options", "coupon_currency_options"),
            metadata={kind: self._metadata(kind, names) for kind, names in _METADATA.items()},
            discounts=Discounts(() if discounts is None else warehouse.records(discounts)),
        )

    def _options(self, *kinds: str) -> dict[str, dict[str, Object]]:
        found: dict[str, dict[str, Object]] = defaultdict(dict)
        for bound in filter(None, map(self._warehouse.table, kinds)):
            for option in self._warehouse.records(bound):
                found[option["owner"]][option["currency"]] = option
        return found

    def _metadata(self, kind: str, names: tuple[str, ...]) -> dict[str, dict[str, str]]:
        bound = self._warehouse.table(f"{kind}_metadata")
        found: dict[str, dict[str, str]] = defaultdict(dict)
        wanted = (*names, *self._keys.customers, self._keys.initiated_by)
        for entry in () if bound is None else self._warehouse.records(bound, bound.column("key").in_(wanted)):
            found[entry["owner"]][entry["key"]] = entry["value"]
        return found


def _made(resource: str, record: Record, made: Callable[..., Object], *parts: Any) -> Object:
    """A record as an object. JSON of another form than Stripe's is an error with the object's id."""
    try:
        return made(record, *parts)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataQualityError(
            f"warehouse: {resource} with JSON of another form than Stripe's ({error!r})", [str(record["id"])]
        ) from error


def _pairs(records: Iterator[Record], key: str, value: str) -> dict[str, str]:
    return {record[key]: record[value] for record in records if record[value] is not None}


def _first(records: Iterator[Record]) -> Iterator[Record]:
    """The same records, with the query sent now and not when the first is asked for."""
    first = next(records, None)

    def all_of_them() -> Iterator[Record]:
        if first is not None:
            yield first
            yield from records

    return all_of_them()
