"""Records of a warehouse as Stripe's objects, in the shape of the pinned API version.

`sources/stripe/rows.py` makes rows of them.

Here: one function a kind of object, and what they look up in other tables: products of prices, tiers,
discounts, metadata. Not here: queries (`tables.py`), and which fields a row needs: `rows.py` refuses an
object without one, whichever way it came.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from expansion_platform.sources.stripe.fields import Object, reference
from expansion_platform.sources.warehouse.tables import Record
from expansion_platform.sources.warehouse.values import moment


class Discounts:
    """The account's discounts, by id and by what they hang on.

    They are kept in memory: about half a kilobyte each.
    """

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.unresolved: set[str] = set()
        self._known: dict[str, Object] = {}
        self._of_owner: dict[str, list[str]] = defaultdict(list)
        self._taken: dict[str, list[Object]] = defaultdict(list)
        self._of_customer: dict[tuple[str, str], list[str]] = defaultdict(list)
        for record in records:
            known = self._known.setdefault(record["id"], _discount(record, record["coupon"]))
            self._known[record["id"]] = {
                name: value if value is not None else record.get(name) for name, value in known.items()
            }
            if record["owner"] is not None:
                self._of_owner[record["owner"]].append(record["id"])
                if record["amount"] is not None:
                    self._taken[record["owner"]].append(
                        {"discount": record["id"], "amount": record["amount"]}
                    )
            if (
                record["customer"] is not None
                and record["subscription"] is None
                and record["invoice"] is None
            ):
                self._of_customer[record["customer"], record["coupon"]].append(record["id"])

    def of(self, owner: str, listed: Sequence[Any] | None) -> list[Object]:
        """Discounts of an object.

        Those it lists (objects, or ids that are looked up), else those that name it as owner, in the order
        they began.
        """
        if listed is None:
            found = [self._known[each] for each in dict.fromkeys(self._of_owner.get(owner, []))]
            return sorted(found, key=lambda one: (one["start"] or 0, one["id"]))
        return [self._listed(each) for each in listed]

    def taken_off(self, line: str) -> list[Object]:
        """What discounts took off a line, where their table says it."""
        return self._taken.get(line, [])

    def customers(self, record: Record) -> Object | None:
        """The customer's own discount, listed or in columns of its own."""
        found = [each for each in self.of(record["id"], record["discounts"]) if each["subscription"] is None]
        if found or record["discount_coupon"] is None:
            return found[-1] if found else None
        same = [
            self._known[each] for each in self._of_customer.get((record["id"], record["discount_coupon"]), [])
        ]
        start = record["discount_start"]
        known = next((each for each in same if each["start"] == start), same[-1] if same else None)
        current = {
            "id": None if known is None else known["id"],
            "start": start,
            "end": record["discount_end"],
            "customer": record["id"],
        }
        return _discount(current, record["discount_coupon"])

    def _listed(self, each: Any) -> Object:
        """A discount by its object or its id.

        One that nothing resolves has a coupon that cannot be read: what it reduces goes to quarantine.
        """
        if not isinstance(each, Mapping):
            if each not in self._known:
                self.unresolved.add(str(each))
            return self._known.get(each) or _discount({"id": each}, f"unknown coupon of {each}")
        coupon = (each.get("source") or {}).get("coupon") or each.get("coupon")
        found = _discount(
            {**each, "start": moment(each.get("start")), "end": moment(each.get("end"))}, coupon
        )
        known = self._known.get(found["id"], found)
        self._known[found["id"]] = {
            name: value if value is not None else known.get(name) for name, value in found.items()
        }
        return self._known[found["id"]]


@dataclass
class Looked:
    """What objects look up in other tables."""

    products: Mapping[str, str] = field(default_factory=dict)  # price -> product
    currencies: Mapping[str, str] = field(default_factory=dict)  # price -> currency
    billed_in: Mapping[str, str] = field(default_factory=dict)  # subscription -> currency of its bills
    tiers: Mapping[str, list[Record]] = field(default_factory=dict)
    # Price or coupon -> currency -> amounts.
    options: Mapping[str, Mapping[str, Object]] = field(default_factory=dict)
    # Kind -> owner -> entries.
    metadata: Mapping[str, Mapping[str, dict[str, str]]] = field(default_factory=dict)
    discounts: Discounts = field(default_factory=Discounts)

    def customer(self, record: Record) -> Object:
        """A customer."""
        return {
            **_plain(record, "customer", "currency", "deleted"),
            "address": {"country": record["country"]},
            "discount": self.discounts.customers(record),
            "metadata": self._metadata("customers", record),
        }

    def product(self, record: Record) -> Object:
        """A product."""
        return {**_plain(record, "product", "name", "active"), "metadata": self._metadata("products", record)}

    def price(self, record: Record) -> Object:
        """A price with its tiers in order, and its amounts in further currencies."""
        recurring = {name: record[name] for name in ("interval", "interval_count", "usage_type")}
        return {
            **_plain(
                record,
                "price",
                "product",
                "currency",
                "active",
                "type",
                "billing_scheme",
                "unit_amount",
                "unit_amount_decimal",
                "tiers_mode",
            ),
            **{name: record[name] for name in ("lookup_key", "tax_behavior")},
            "recurring": recurring if record["type"] == "recurring" else None,
            "transform_quantity": None
            if record["divide_by"] is None
            else {"divide_by": record["divide_by"], "round": record["round"]},
            "tiers": self._tiers(record),
            "currency_options": record["currency_options"] or self.options.get(record["id"]),
            "metadata": self._metadata("prices", record),
        }

    def coupon(self, record: Record) -> Object:
        """A coupon."""
        products = record["applies_to"]
        return {
            **_plain(
                record, "coupon", "duration", "duration_in_months", "percent_off", "amount_off", "currency"
            ),
            "applies_to": {"products": products} if products else None,
            "currency_options": record["currency_options"] or self.options.get(record["id"]),
        }

    def subscription(self, record: Record, items: Sequence[Record]) -> Object:
        """A subscription with its items, from their own table or from its JSON."""
        names = ("customer", "status", "start_date", "billing_cycle_anchor", "trial_start", "trial_end")
        given = record["items"]
        listed = (
            [_item_record(each, record["id"]) for each in given["data"]]
            if isinstance(given, Mapping)
            else list(items)
        )
        item_objects = [self._item(each, record) for each in listed]
        currency = record["currency"] or self.billed_in.get(record["id"])
        return {
            **_plain(
                record, "subscription", *names, "cancel_at", "cancel_at_period_end", "canceled_at", "ended_at"
            ),
            "currency": currency
            or next((self.currencies.get(each["price"]["id"]) for each in item_objects), None),
            "pause_collection": None
            if record["pause_collection"] is None
            else {"behavior": record["pause_collection"]},
            "discounts": self.discounts.of(record["id"], record["discounts"]),
            "metadata": self._metadata("subscriptions", record),
            "items": {
                "data": item_objects,
                "has_more": bool(given.get("has_more")) if isinstance(given, Mapping) else False,
            },
        }

    def invoice(self, record: Record, lines: Sequence[Record], amounts: Sequence[Record]) -> Object:
        """An invoice with all its lines and what discounts took off them."""
        dated = ("period_start", "period_end", "due_date")
        names = (
            "customer",
            "status",
            "billing_reason",
            "currency",
            *dated,
            "subtotal",
            "total",
            "attempt_count",
            "attempted",
        )
        own = self.discounts.of(record["id"], record["discounts"])
        taken: dict[str, list[Object]] = defaultdict(list)
        for each in amounts:
            taken[each["line"]].append({"discount": each["discount"], "amount": each["amount"]})
        return {
            **_plain(record, "invoice", *names),
            "discounts": own,
            "parent": {
                "subscription_details": {
                    "subscription": record["subscription"],
                    "metadata": record["subscription_metadata"],
                }
            },
            "status_transitions": {
                **{name: record[name] for name in ("finalized_at", "paid_at", "voided_at")},
                "marked_uncollectible_at": record["uncollectible_at"],
            },
            "status_details": {"uncollectible": {"reason": record["uncollectible_reason"]}},
            "lines": {
                "data": [self._line(each, own, taken[each["id"]]) for each in lines],
                "has_more": False,
            },
        }

    def invoice_item(self, record: Record) -> Object:
        """A pending invoice item."""
        parent = {"subscription": record["subscription"], "subscription_item": record["subscription_item"]}
        return {
            **_plain(
                record,
                "invoiceitem",
                "customer",
                "invoice",
                "amount",
                "currency",
                "proration",
                "quantity",
                "quantity_decimal",
            ),
            "date": record["created"],
            "parent": {"subscription_details": parent},
            "period": {"start": record["period_start"], "end": record["period_end"]},
            "pricing": self._pricing(record),
        }

    def credit_note(self, record: Record) -> Object:
        """A credit note."""
        return _plain(record, "credit_note", "customer", "invoice", "currency", "amount", "status")

    def event(self, record: Record) -> Object:
        """An event as Stripe sent it."""
        return _plain(record, "event", "type", "api_version", "data", "request")

    def _line(self, record: Record, invoices: Sequence[Object], taken: Sequence[Object]) -> Object:
        """A line.

        Where it does not list its discounts, those that took something off it or name it, and are not the
        invoice's, are its own.
        """
        taken = taken or record["discount_amounts"] or self.discounts.taken_off(record["id"])
        listed = record["discounts"]
        if listed is None:
            of_invoice = {each["id"] for each in invoices}
            named = [each["id"] for each in self.discounts.of(record["id"], None)] or [
                reference(each["discount"]) for each in taken
            ]
            listed = [each for each in named if each not in of_invoice]
        details = {
            name: record[name] for name in ("invoice_item", "proration", "subscription", "subscription_item")
        }
        credited = record["credited_lines"]
        details["proration_details"] = {
            "credited_items": {"invoice_line_items": credited} if credited else None
        }
        return {
            **_plain(record, "line_item", "amount", "currency", "quantity", "quantity_decimal"),
            "discounts": self.discounts.of(record["id"], listed),
            "discount_amounts": list(taken),
            "taxes": [_tax(each) for each in record["taxes"] or []],
            "parent": {"subscription_item_details": details},
            "period": {"start": record["period_start"], "end": record["period_end"]},
            "pricing": self._pricing(record),
        }

    def _item(self, record: Record, subscription: Record) -> Object:
        """An item; its period is its subscription's in API versions before 2025-03-31."""
        price = record["price"]
        return {
            **_plain(record, "subscription_item", "quantity"),
            "price": {"id": price, "product": record.get("product") or self.products.get(price)},
            "discounts": self.discounts.of(record["id"], record["discounts"]),
            **{
                name: record[name] or subscription[name]
                for name in ("current_period_start", "current_period_end")
            },
        }

    def _pricing(self, record: Record) -> Object:
        product = record.get("product") or self.products.get(record["price"] or "")
        return {
            "price_details": {"price": record["price"], "product": product},
            "unit_amount_decimal": record["unit_amount_decimal"],
        }

    def _tiers(self, record: Record) -> list[Object] | None:
        if record["billing_scheme"] != "tiered":
            return None
        given = record["tiers"] or self.tiers.get(record["id"]) or []
        return sorted(given, key=lambda tier: (tier.get("up_to") is None, tier.get("up_to") or 0)) or None

    def _metadata(self, kind: str, record: Record) -> Mapping[str, str]:
        return record.get("metadata") or self.metadata.get(kind, {}).get(record["id"], {})


def _plain(record: Record, kind: str, *names: str) -> Object:
    """The fields that are the same in a record and an object.

    A field of an API object that a table lacks is null there.
    """
    return {"object": kind, **{name: record.get(name) for name in ("id", "created", "livemode", *names)}}


def _tax(given: Mapping[str, Any]) -> Object:
    """A tax of a line; in API versions before 2025-03-31 `inclusive` and `tax_rate` say what it is."""
    behavior = given.get("tax_behavior") or ("inclusive" if given.get("inclusive") else "exclusive")
    rate = (given.get("tax_rate_details") or {}).get("tax_rate") or given.get("tax_rate")
    return {
        "amount": given.get("amount"),
        "tax_behavior": behavior,
        "tax_rate_details": {"tax_rate": reference(rate)},
    }


def _discount(record: Mapping[str, Any], coupon: Any) -> dict[str, Any]:
    names = ("id", "start", "end", "customer", "subscription", "subscription_item", "invoice")
    return {
        "object": "discount",
        "source": {"type": "coupon", "coupon": coupon},
        **{name: record.get(name) for name in names},
    }


def _item_record(item: Mapping[str, Any], subscription: str) -> Record:
    """An item as it stands in a subscription's JSON.

    Before prices (2020) the plan is the price, under the same id.
    """
    charged = item.get("price") or item.get("plan") or {}
    charged = {"id": charged} if isinstance(charged, str) else charged
    return {
        **{
            name: item.get(name)
            for name in ("id", "created", "quantity", "current_period_start", "current_period_end")
        },
        "subscription": subscription,
        "price": charged.get("id"),
        "product": reference(charged.get("product")),
        "discounts": item.get("discounts") or [],
    }
