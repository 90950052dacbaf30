"""A simulated account laid out as Fivetran, Airbyte and Stripe Data Pipeline lay one out, and put into a
database.

The shapes are those the built-in mappings name their sources for; they are written down here a second time,
from the objects' side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from expansion_platform.simulator.stripe_billing.account import StripeAccount

Row = dict[str, Any]
Tables = dict[str, list[Row]]


def stamp(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def naive(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def fivetran(account: StripeAccount) -> Tables:
    held = account.objects
    tables: Tables = {
        "customer": [
            {
                **_pick(each, "id", "currency", "livemode", "email", "name"),
                "created": stamp(each["created"]),
                "is_deleted": False,
                **_text(each),
            }
            for each in held["customers"]
        ],
        "product": [
            {
                **_pick(each, "id", "livemode", "name", "active"),
                "created": stamp(each["created"]),
                **_text(each),
            }
            for each in held["products"]
        ],
        "price": [
            {
                **_pick(
                    each,
                    "id",
                    "livemode",
                    "active",
                    "type",
                    "billing_scheme",
                    "currency",
                    "unit_amount",
                    "unit_amount_decimal",
                    "tiers_mode",
                ),
                **_prefixed(each, "recurring", "interval", "interval_count", "usage_type"),
                **_prefixed(each, "transform_quantity", "divide_by", "round"),
                "lookup_key": None,
                "product_id": each["product"],
                "created": stamp(each["created"]),
                **_text(each),
            }
            for each in held["prices"]
        ],
        "tier": [
            {**tier, "index": index, "price_id": each["id"]}
            for each in held["prices"]
            if each["tiers"]
            for index, tier in enumerate(each["tiers"])
        ],
        "coupon": [
            {
                **_pick(
                    each,
                    "id",
                    "livemode",
                    "duration",
                    "duration_in_months",
                    "percent_off",
                    "amount_off",
                    "currency",
                ),
                "created": stamp(each["created"]),
                "applies_to_products": None
                if each["applies_to"] is None
                else json.dumps(each["applies_to"]["products"]),
                "is_deleted": each["id"] in account.deleted_coupons,
            }
            for each in [*held["coupons"], *account.deleted_coupons.values()]
        ],
        "subscription_history": [
            {
                **_pick(each, "id", "livemode", "status", "cancel_at_period_end"),
                **{
                    name: stamp(each[name])
                    for name in (
                        *("created", "start_date", "billing_cycle_anchor", "trial_start", "trial_end"),
                        *("cancel_at", "canceled_at", "ended_at"),
                    )
                },
                "customer_id": each["customer"],
                "pause_collection_behavior": (each["pause_collection"] or {}).get("behavior"),
                "_fivetran_active": active,
                **_text(each),
            }
            for each in held["subscriptions"]
            for active in (False, True)  # history mode keeps earlier versions of the row
        ],
        "subscription_item": [
            {
                **_pick(item, "id"),
                "quantity": item.get("quantity"),
                "subscription_id": each["id"],
                "plan_id": item["price"]["id"],
                **{
                    name: stamp(item[name])
                    for name in ("created", "current_period_start", "current_period_end")
                },
            }
            for each in held["subscriptions"]
            for item in each["items"]["data"]
        ],
        "invoice": [
            {
                **_pick(
                    each,
                    "id",
                    "livemode",
                    "status",
                    "billing_reason",
                    "currency",
                    "subtotal",
                    "total",
                    "attempt_count",
                ),
                **{name: stamp(each[name]) for name in ("created", "period_start", "period_end", "due_date")},
                **{
                    f"status_transitions_{name}": stamp(at) for name, at in each["status_transitions"].items()
                },
                "customer_id": each["customer"],
                "subscription_id": _subscription(each),
                "is_deleted": False,
            }
            for each in held["invoices"]
        ],
        "invoice_line_item": [
            {
                **_line(line),
                "invoice_id": each["id"],
                "unique_id": line["id"],
                "period_start": stamp(start),
                "period_end": stamp(end),
            }
            for each, line, start, end in _lines(account)
        ],
        "invoice_item": [
            {
                **_pending(each),
                "date": stamp(each["date"]),
                "period_start": stamp(each["period"]["start"]),
                "period_end": stamp(each["period"]["end"]),
            }
            for each in held["invoiceitems"]
        ],
        "credit_note": [_credit(each, stamp) for each in held["credit_notes"]],
        "discount": [],
    }
    for owner, discount, amount in _hung(account):
        found = account.discounts[discount]
        tables["discount"].append(
            {
                "id": discount,
                "type": None,
                "type_id": owner,
                "amount": amount,
                "coupon_id": found["source"]["coupon"],
                "customer_id": found["customer"],
                "subscription_id": found["subscription"],
                "invoice_id": found["invoice"],
                "start": stamp(found["start"]),
                "end": stamp(found["end"]),
            }
        )
    return tables


def stripe_data_pipeline(account: StripeAccount) -> Tables:
    held = account.objects
    tables: Tables = {
        "customers": [
            {
                **_pick(each, "id", "currency", "email"),
                "deleted": None,
                "created": naive(each["created"]),
                **_customers_discount(each["discount"]),
            }
            for each in held["customers"]
        ],
        "products": [
            {**_pick(each, "id", "name", "active"), "created": naive(each["created"])}
            for each in held["products"]
        ],
        "prices": [
            {
                **_pick(
                    each,
                    "id",
                    "active",
                    "type",
                    "billing_scheme",
                    "currency",
                    "unit_amount",
                    "unit_amount_decimal",
                    "tiers_mode",
                    "lookup_key",
                ),
                **_prefixed(each, "recurring", "interval", "interval_count", "usage_type"),
                **_prefixed(each, "transform_quantity", "divide_by", "round"),
                "product_id": each["product"],
                "created": naive(each["created"]),
            }
            for each in held["prices"]
        ],
        "price_tiers": [
            {
                "price_id": each["id"],
                "upto": None if tier["up_to"] is None else str(tier["up_to"]),
                "amount": tier["unit_amount"],
                "amount_decimal": tier["unit_amount_decimal"],
                "flat_amount": tier["flat_amount"],
                "flat_amount_decimal": tier["flat_amount_decimal"],
            }
            for each in held["prices"]
            if each["tiers"]
            for tier in each["tiers"]
        ],
        "prices_currency_options": [
            {
                "price_id": each["id"],
                "currency": currency,
                "unit_amount": option["unit_amount"],
                "unit_amount_decimal": option["unit_amount_decimal"],
            }
            for each in held["prices"]
            for currency, option in (each["currency_options"] or {}).items()
        ],
        "coupons_currency_options": [
            {"coupon_id": each["id"], "currency": currency, "amount_off": option["amount_off"]}
            for each in held["coupons"]
            for currency, option in (each["currency_options"] or {}).items()
        ],
        "coupons": [
            {
                **_pick(
                    each, "id", "duration", "duration_in_months", "percent_off", "amount_off", "currency"
                ),
                "created": naive(each["created"]),
                "applies_to_products": None
                if each["applies_to"] is None
                else ",".join(each["applies_to"]["products"]),
            }
            for each in held["coupons"]
        ],
        "discounts": [
            {
                "id": each["id"],
                "coupon_id": each["source"]["coupon"],
                "created": naive(each["start"]),
                "end": each["end"],
                "customer_id": each["customer"],
                "subscription_id": each["subscription"],
                "subscription_item_id": each["subscription_item"],
                "invoice_id": each["invoice"],
            }
            for each in account.discounts.values()
        ],
        "subscriptions": [
            {
                **_pick(each, "id", "status", "cancel_at_period_end"),
                **{
                    name: naive(each[name])
                    for name in (
                        *("created", "start_date", "billing_cycle_anchor", "trial_start", "trial_end"),
                        *("cancel_at", "canceled_at", "ended_at"),
                    )
                },
                **{
                    name: naive(each["items"]["data"][0][name])
                    for name in ("current_period_start", "current_period_end")
                },
                "customer_id": each["customer"],
                "pause_collection_behavior": (each["pause_collection"] or {}).get("behavior"),
                "discounts": ",".join(each["discounts"]),
            }
            for each in held["subscriptions"]
        ],
        "subscription_items": [
            {
                "id": item["id"],
                "subscription_id": each["id"],
                "created": item["created"],
                "price_id": item["price"]["id"],
                "plan_id": item["price"]["id"],
                "quantity": item.get("quantity"),
                "item_current_period_start": naive(item["current_period_start"]),
                "item_current_period_end": naive(item["current_period_end"]),
                "discounts": ",".join(item["discounts"]),
            }
            for each in held["subscriptions"]
            for item in each["items"]["data"]
        ],
        "invoices": [
            {
                **_pick(each, "id", "status", "billing_reason", "currency", "subtotal", "total", "attempted"),
                "status_details_uncollectible_reason": (
                    (each.get("status_details") or {}).get("uncollectible") or {}
                ).get("reason"),
                **{name: naive(each[name]) for name in ("period_start", "period_end", "due_date")},
                **{
                    f"status_transitions_{name}": naive(at) for name, at in each["status_transitions"].items()
                },
                "date": naive(each["created"]),
                "customer_id": each["customer"],
                "subscription_id": _subscription(each),
                "discounts": ",".join(each["discounts"]),
            }
            for each in held["invoices"]
        ],
        "invoice_line_items": [
            {
                **_line(line),
                "invoice_id": each["id"],
                "subscription": line["subscription"],
                "quantity_decimal": line["quantity_decimal"],
                "period_start": naive(start),
                "period_end": naive(end),
                "proration_details_credited_items_invoice_line_items": ",".join(_credited(line)) or None,
            }
            for each, line, start, end in _lines(account)
        ],
        "invoice_line_item_discount_amounts": [
            {
                "id": f"{line['id']}:{taken['discount']}",
                "invoice_id": each["id"],
                "invoice_line_item_id": line["id"],
                **taken,
            }
            for each, line, _, _ in _lines(account)
            for taken in line["discount_amounts"]
        ],
        "invoice_items": [
            {
                **_pending(each),
                "date": naive(each["date"]),
                "period_start": naive(each["period"]["start"]),
                "period_end": naive(each["period"]["end"]),
            }
            for each in held["invoiceitems"]
        ],
        "credit_notes": [_credit(each, naive) for each in held["credit_notes"]],
    }
    for resource, owner in (
        ("customers", "customer_id"),
        ("products", "product_id"),
        ("prices", "price_id"),
        ("subscriptions", "subscription_id"),
    ):
        tables[f"{resource}_metadata"] = [
            {owner: each["id"], "key": key, "value": value}
            for each in held[resource]
            for key, value in each["metadata"].items()
        ] or [{owner: "none", "key": "none", "value": "none"}]
    return tables


def airbyte(account: StripeAccount) -> Tables:
    """Objects as API version 2022-11-15 shows them, a column a field, JSON where it is nested."""
    held = account.objects
    by_id = account.by_id()

    def discount(identity: str | None) -> Row | None:
        if identity is None:
            return None
        found = account.discounts[identity]
        coupon = {
            name: value for name, value in by_id[found["source"]["coupon"]].items() if name != "applies_to"
        }
        return {
            **_pick(found, "id", "object", "customer", "start", "end", "subscription", "invoice"),
            "coupon": coupon,
        }

    return {
        "customers": [
            {
                **_pick(each, "id", "created", "livemode", "currency", "metadata", "email"),
                "discount": discount((each["discount"] or {}).get("id")),
            }
            for each in held["customers"]
        ],
        "products": [
            _pick(each, "id", "created", "livemode", "name", "active", "metadata")
            for each in held["products"]
        ],
        "prices": [
            _pick(
                each,
                *("id", "created", "livemode", "product", "currency"),
                *("active", "type", "billing_scheme", "unit_amount", "unit_amount_decimal"),
                *("tiers_mode", "tiers", "transform_quantity", "recurring"),
                *("lookup_key", "metadata", "currency_options"),
            )
            for each in held["prices"]
        ],
        "coupons": [
            _pick(
                each,
                *("id", "created", "livemode", "duration", "duration_in_months"),
                *("percent_off", "amount_off", "currency", "applies_to"),
                "currency_options",
            )
            for each in held["coupons"]
        ],
        "subscriptions": [
            {
                **_pick(
                    each,
                    *(
                        "id",
                        "created",
                        "livemode",
                        "customer",
                        "status",
                        "currency",
                        "start_date",
                        "billing_cycle_anchor",
                        "trial_start",
                        "trial_end",
                    ),
                    *("cancel_at", "cancel_at_period_end", "canceled_at"),
                    *("ended_at", "pause_collection", "metadata"),
                ),
                **_pick(each["items"]["data"][0], "current_period_start", "current_period_end"),
                "discount": discount(each["discounts"][-1] if each["discounts"] else None),
                "items": {
                    **each["items"],
                    "data": [
                        _without(item, "current_period_start", "current_period_end")
                        for item in each["items"]["data"]
                    ],
                },
            }
            for each in held["subscriptions"]
        ],
        "invoices": [
            {
                **_pick(
                    each,
                    *("id", "created", "livemode", "customer", "status"),
                    *("currency", "billing_reason", "period_start", "period_end"),
                    *("subtotal", "total", "status_transitions", "due_date", "attempted", "attempt_count"),
                ),
                "status_details": each.get("status_details"),
                "subscription": _subscription(each),
                "discounts": [discount(identity) for identity in each["discounts"]],
            }
            for each in held["invoices"]
        ],
        "invoice_line_items": [
            {
                **_pick(_line(line), "id", "amount", "currency", "quantity", "proration"),
                **_pick(line, "discounts", "discount_amounts", "period"),
                "invoice_id": each["id"],
                "subscription": line["subscription"],
                "subscription_item": line["parent"]["subscription_item_details"]["subscription_item"],
                "invoice_item": line["parent"]["subscription_item_details"]["invoice_item"],
                "price": by_id[line["pricing"]["price_details"]["price"]],
                "proration_details": {
                    "credited_items": {"invoice_line_items": _credited(line)} if _credited(line) else None
                },
            }
            for each, line, _, _ in _lines(account)
        ],
        "invoice_items": [
            {
                **_pick(
                    each,
                    "id",
                    "date",
                    "livemode",
                    "customer",
                    "invoice",
                    "quantity",
                    "amount",
                    "currency",
                    "period",
                    "proration",
                ),
                **each["parent"]["subscription_details"],
                "price": by_id[each["pricing"]["price_details"]["price"]],
            }
            for each in held["invoiceitems"]
        ],
        "credit_notes": [
            _pick(each, "id", "created", "livemode", "customer", "invoice", "currency", "amount", "status")
            for each in held["credit_notes"]
        ],
        "events": [
            _pick(each, "id", "created", "livemode", "type", "api_version", "data", "request")
            for each in held["events"]
        ],
    }


LAYOUTS: dict[str, tuple[Callable[[StripeAccount], Tables], str]] = {
    "fivetran": (fivetran, "_fivetran_synced"),
    "airbyte": (airbyte, "_airbyte_extracted_at"),
    "stripe_data_pipeline": (stripe_data_pipeline, "batch_timestamp"),
}
_KEYS = (
    "id",
    "type_id",
    "invoice_line_item_id",
    "key",
    "price_id",
    "product_id",
    "upto",
    "index",
    "customer_id",
    "subscription_id",
    "_fivetran_active",
)


class Filled:
    """A schema of a database that a loader keeps: a row is stamped when it was last written."""

    def __init__(self, url: str, schema: str, layout: str) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.schema = schema
        self._laid_out, self._synced = LAYOUTS[layout]
        self._stamps: dict[tuple[str, str], tuple[str, datetime]] = {}
        with self.engine.begin() as connection:
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))

    def load(self, account: StripeAccount, at: datetime) -> None:
        """What a sync at that instant leaves: rows that are new or differ are stamped with it, rows that are
        gone are gone.
        """
        for name, rows in self._laid_out(account).items():
            stamped = [{**row, self._synced: self._stamp(name, row, at)} for row in rows]
            self.write(name, stamped)

    def write(self, name: str, rows: list[Row]) -> None:
        """A table with these rows, in place of any there was; a loader makes one when its first row comes."""
        names = dict.fromkeys(key for row in rows for key in row)
        columns = [sa.Column(key, _kind([row.get(key) for row in rows])) for key in names]
        table = sa.Table(name, sa.MetaData(), *columns, schema=self.schema)
        with self.engine.begin() as connection:
            table.drop(connection, checkfirst=True)
            if rows:
                table.create(connection)
                connection.execute(
                    table.insert(), [{key: row.get(key, sa.null()) for key in names} for row in rows]
                )

    def alter(self, name: str, how: str) -> None:
        """Changes a table as somebody else might."""
        with self.engine.begin() as connection:
            connection.execute(sa.DDL(f"alter table {self.schema}.{name} {how}"))

    def _stamp(self, table: str, row: Row, at: datetime) -> datetime:
        key, content = (
            (table, "|".join(str(row.get(name)) for name in _KEYS)),
            json.dumps(row, sort_keys=True, default=str),
        )
        known = self._stamps.get(key)
        if known is None or known[0] != content:
            self._stamps[key] = (content, at)
        return self._stamps[key][1]


def _kind(values: list[Any]) -> sa.types.TypeEngine[Any]:
    value = next((value for value in values if value is not None), "")
    if isinstance(value, bool):
        return sa.Boolean()
    if isinstance(value, int):
        return sa.BigInteger()
    if isinstance(value, float):
        return sa.Double()
    if isinstance(value, datetime):
        return sa.DateTime(timezone=value.tzinfo is not None)
    return JSONB(none_as_null=True) if isinstance(value, dict | list) else sa.Text()


def _lines(account: StripeAccount) -> Iterator[tuple[Row, Row, int, int]]:
    for each in account.objects["invoices"]:
        for line in each["lines"]["data"]:
            yield each, line, line["period"]["start"], line["period"]["end"]


def _line(line: Row) -> Row:
    details = line["parent"]["subscription_item_details"]
    price = line["pricing"]["price_details"]["price"]
    return {
        **_pick(line, "id", "amount", "currency", "quantity"),
        "subscription_id": details["subscription"],
        "subscription_item_id": details["subscription_item"],
        "invoice_item_id": details["invoice_item"],
        "price_id": price,
        "plan_id": price,
        "proration": details["proration"],
        "livemode": True,
    }


def _credited(line: Row) -> list[str]:
    details = line["parent"]["subscription_item_details"]["proration_details"]
    return list((details["credited_items"] or {}).get("invoice_line_items") or [])


def _pending(each: Row) -> Row:
    parent = each["parent"]["subscription_details"]
    price = each["pricing"]["price_details"]["price"]
    return {
        **_pick(each, "id", "livemode", "amount", "currency", "proration", "quantity", "quantity_decimal"),
        "customer_id": each["customer"],
        "invoice_id": each["invoice"],
        "subscription_id": parent["subscription"],
        "subscription_item_id": parent["subscription_item"],
        "subscription_item": parent["subscription_item"],
        "price_id": price,
        "plan_id": price,
        "is_deleted": False,
    }


def _credit(each: Row, instant: Callable[[int | None], datetime | None]) -> Row:
    kept = _pick(each, "id", "livemode", "currency", "amount", "status")
    return {
        **kept,
        "created": instant(each["created"]),
        "customer_id": each["customer"],
        "invoice_id": each["invoice"],
    }


def _customers_discount(found: Row | None) -> Row:
    return {
        "discount_coupon_id": None if found is None else found["source"]["coupon"],
        "discount_start": None if found is None else naive(found["start"]),
        "discount_end": None if found is None else naive(found["end"]),
    }


def _hung(account: StripeAccount) -> Iterator[tuple[str, str, int | None]]:
    """(what it hangs on, discount, what it took off there)."""
    held = account.objects
    for each in held["customers"]:
        if each["discount"] is not None:
            yield each["id"], each["discount"]["id"], None
    for each in held["subscriptions"]:
        yield from ((each["id"], identity, None) for identity in each["discounts"])
        for item in each["items"]["data"]:
            yield from ((item["id"], identity, None) for identity in item["discounts"])
    for each in held["invoices"]:
        yield from ((each["id"], identity, None) for identity in each["discounts"])
        for line in each["lines"]["data"]:
            taken = {entry["discount"]: entry["amount"] for entry in line["discount_amounts"]}
            yield from (
                (line["id"], identity, taken.get(identity))
                for identity in dict.fromkeys([*line["discounts"], *taken])
            )


def _pick(each: Row, *names: str) -> Row:
    return {name: each.get(name) for name in names}


def _without(each: Row, *names: str) -> Row:
    return {name: value for name, value in each.items() if name not in names}


def _prefixed(each: Row, prefix: str, *names: str) -> Row:
    return {f"{prefix}_{name}": (each[prefix] or {}).get(name) for name in names}


def _text(each: Row) -> Row:
    return {"metadata": json.dumps(each["metadata"])}


def _subscription(each: Row) -> str | None:
    details = each["parent"]["subscription_details"] or {}
    return details.get("subscription")
