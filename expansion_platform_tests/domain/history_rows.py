"""A tiny builder of staged Stripe rows for the history tests: days count from 2026-01-01T00:00Z, everything
left out has a plain default.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.table import Table, arrow_schema, empty
from expansion_platform.domain.history.records import Staged
from expansion_platform.ingestion.histories import STAGED
from expansion_platform_tests.domain.whole_history import rebuild

START = pd.Timestamp("2026-01-01", tz="UTC")
NOW = 100.0


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(days=number)


def seconds(number: float) -> int:
    return int(day(number).timestamp())


@cache
def _nothing(model: type[Table]) -> pd.DataFrame:
    return empty(model)


@cache
def _blank(model: type[Table]) -> dict[str, Any]:
    return {
        name: False if column.dtype == "bool" else None for name, column in model.to_schema().columns.items()
    }


class Account:
    """One customer's subscription `sub` with per-unit prices `basic` (1000), `pro` (2000) and `extra` (500)
    of the same currency.
    """

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in STAGED}
        for name, unit in (("basic", "1000"), ("pro", "2000"), ("extra", "500")):
            self.price(name, unit_amount_decimal=unit)

    def _add(self, table: str, row: dict[str, Any]) -> None:
        blank = _blank(STAGED[table])
        common = {
            "created": day(0),
            "livemode": True,
            "observed_at": day(NOW),
            "currency": "usd",
            "metadata_json": "{}",
        }
        self.rows[table].append(
            {name: value for name, value in {**blank, **common, **row}.items() if name in blank}
        )

    def price(self, name: str, **fields: Any) -> None:
        plain = {"product": f"prod_{name}", "active": True, "type": "recurring", "billing_scheme": "per_unit"}
        self._add(
            "prices",
            plain | {"id": name, "interval": "month", "interval_count": 1, "usage_type": "licensed"} | fields,
        )

    def customer(self, held: dict[str, Any] | None = None, *, deleted: bool = False) -> None:
        discount_json = None if held is None else canonical.dumps(shown(held))
        self._add("customers", {"id": "cus", "deleted": deleted, "discount_json": discount_json})

    def coupon(
        self,
        name: str,
        duration: str = "forever",
        percent: str | None = None,
        amount: int | None = None,
        **fields: Any,
    ) -> None:
        self._add(
            "coupons",
            {"id": name, "duration": duration, "percent_off": percent, "amount_off": amount} | fields,
        )

    def subscription(
        self, start: float = 0, *, status: str = "active", discounts: tuple[Any, ...] = (), **fields: Any
    ) -> None:
        plain = {
            "id": "sub",
            "customer": "cus",
            "status": status,
            "start_date": day(start),
            "created": day(start),
        }
        plain |= {"billing_cycle_anchor": day(start), "discounts_json": canonical.dumps(discounts)}
        self._add("subscriptions", plain | fields)

    def item(
        self,
        name: str,
        price: str,
        quantity: str | None,
        created: float = 0,
        *,
        discounts: tuple[Any, ...] = (),
        **fields: Any,
    ) -> None:
        plain = {
            "id": name,
            "subscription": "sub",
            "price": price,
            "product": f"prod_{price}",
            "quantity": quantity,
            "created": day(created),
        }
        plain |= {
            "current_period_start": day(0),
            "current_period_end": day(30),
            "discounts_json": canonical.dumps(discounts),
        }
        self._add("subscription_items", plain | fields)

    def invoice(
        self,
        name: str,
        at: float,
        *lines: dict[str, Any],
        status: str = "paid",
        discounts: tuple[Any, ...] = (),
    ) -> None:
        plain = {
            "id": name,
            "customer": "cus",
            "subscription": "sub",
            "status": status,
            "created": day(at),
            "subtotal": 0,
            "total": 0,
        }
        self._add("invoices", plain | {"period_start": day(at), "period_end": day(at)})
        for number, line in enumerate(lines):
            own = line.pop("discounts", ())
            listed = [{**one, "level": "line"} for one in own] + [
                {**one, "level": "invoice"} for one in discounts
            ]
            fields = {
                "id": f"{name}_{number}",
                "invoice": name,
                "created": day(at),
                "discounts_json": canonical.dumps(listed),
            }
            self._add("invoice_lines", fields | line)

    def pending(self, name: str, line: dict[str, Any]) -> None:
        self._add("invoice_items", {**line, "id": name, "created": line["period_start"]})

    def used(self, first: float, *values: str | None, meter: str = "mtr", formula: str = "sum") -> None:
        """What the customer used on days from the first on, by a meter."""
        for number, value in enumerate(values):
            at = {"id": f"{meter} cus {first + number}", "created": day(first + number)}
            self._add(
                "meter_usage", at | {"customer": "cus", "meter": meter, "formula": formula, "value": value}
            )

    def event(
        self, name: str, at: float, state: dict[str, Any], previous: dict[str, Any], kind: str = "updated"
    ) -> None:
        texts = {"state_json": canonical.dumps(state), "previous_json": canonical.dumps(previous)}
        self._add(
            "events",
            {"id": name, "created": day(at), "type": f"customer.subscription.{kind}", "object_id": "sub"}
            | texts,
        )

    def discount_event(self, name: str, at: float, kind: str, held: dict[str, Any]) -> None:
        told = {name: held.get(name) for name in ("id", "coupon", "start", "end", "subscription", "invoice")}
        plain = {
            "id": name,
            "created": day(at),
            "type": f"customer.discount.{kind}",
            "object_id": held["id"],
            "customer": "cus",
        }
        self._add(
            "events", plain | {"state_json": canonical.dumps({"discount": told}), "previous_json": "{}"}
        )

    def staged(self) -> Staged:
        # Of twelve tables few have rows, and checking one without takes 20 ms.
        return Staged(
            **{
                name: STAGED[name].validate(pd.DataFrame(rows, columns=arrow_schema(STAGED[name]).names))
                if rows
                else _nothing(STAGED[name])
                for name, rows in self.rows.items()
            }
        )

    def states(self) -> pd.DataFrame:
        """The item states of an account in which everything can be read."""
        found = rebuild(self.staged())
        assert found.quarantine.empty
        return found.states

    def story(self) -> list[tuple[Any, ...]]:
        """(item, from day, to day, price, quantity) of each row."""
        return [
            (row.item, days(row.valid_from), days(row.valid_to), row.price, row.quantity)
            for row in self.states().itertuples(index=False)
        ]

    def discounts(self) -> list[tuple[Any, ...]]:
        """(item, from day, to day, [(coupon, value)]) of each row."""
        return [
            (
                row.item,
                days(row.valid_from),
                days(row.valid_to),
                [(one["coupon"], one["value"]) for one in pd.io.json.ujson_loads(row.discounts_json)],
            )
            for row in self.states().itertuples(index=False)
        ]


def days(instant: Any) -> float | None:
    if pd.isna(instant):
        return None
    number = (instant - START) / pd.Timedelta(days=1)
    return int(number) if number == int(number) else number


def line(
    item: str, price: str, quantity: str, start: float, end: float, amount: int = 1000, **fields: Any
) -> dict[str, Any]:
    """A regular line; `off` = {discount id: amount} is what discounts took."""
    taken = [{"discount": name, "amount": off} for name, off in fields.pop("off", {}).items()]
    plain = {
        "customer": "cus",
        "subscription": "sub",
        "subscription_item": item,
        "price": price,
        "product": f"prod_{price}",
        "quantity": quantity,
    }
    plain |= {"amount": amount, "period_start": day(start), "period_end": day(end), "proration": False}
    return plain | {"discount_amounts_json": canonical.dumps(taken)} | fields


def proration(item: str, price: str, quantity: str, start: float, end: float, amount: int) -> dict[str, Any]:
    return line(item, price, quantity, start, end, amount, proration=True)


def discount(
    name: str, coupon: str, start: float, end: float | None = None, subscription: str | None = "sub"
) -> dict[str, Any]:
    return {
        "id": name,
        "coupon": coupon,
        "start": seconds(start),
        "end": None if end is None else seconds(end),
        "subscription": subscription,
    }


def shown(discount_row: dict[str, Any]) -> dict[str, Any]:
    """A discount as subscriptions, items and events list it."""
    return {name: discount_row[name] for name in ("id", "coupon", "start", "end")}
