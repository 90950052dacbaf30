"""One field of a small account with any JSON value in it, or gone: what the mappings and the history make of
it.

Here: the account, every field that is read of it (walked from the shapes, so that a new field is covered as
soon as it is declared), and the outcome. Not here: what an outcome has to be (`test_odd_fields.py`).
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.history.records import Staged
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.domain.mrr.states import covers
from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import bills, events, rows, shapes
from expansion_platform.sources.stripe.fields import frame
from expansion_platform.sources.stripe.kinds import ByCurrency, Embedded, Fields, IdOr, Kind, ListOf
from expansion_platform_tests.domain.whole_history import rebuild
from expansion_platform_tests.simulator import stripe_objects as made
from expansion_platform_tests.simulator.stripe_objects import DAY, START

JSON = dict[str, Any]
Path = tuple[str | int, ...]
READ_AT = datetime(2026, 2, 15, tzinfo=UTC)
MONTHS = ("2025-10", "2025-11", "2025-12", "2026-01")
RATES = {"eur": "1.1", "usd": "1"}
GONE = object()
"""In place of a value: the field is not there."""


@dataclass(frozen=True)
class Place:
    """A field of one object: `table` and `id` say which, `path` where in it, `row` the id of the object whose
    row it is part of.
    """

    table: str
    id: str
    path: Path
    kind: Kind
    needed: bool
    row: str


def price(price_id: str, unit: str, **changes: Any) -> JSON:
    plain = {
        "billing_scheme": "per_unit",
        "tiers": None,
        "tiers_mode": None,
        "unit_amount_decimal": unit,
        "product": f"prod_{price_id}",
    }
    return {**made.price(price_id), **plain, **changes}


def discount(discount_id: str, coupon: str, subscription: str | None, **changes: Any) -> JSON:
    return {
        **made.discount(discount_id),
        "source": {"type": "coupon", "coupon": coupon},
        "subscription": subscription,
        **changes,
    }


def item(item_id: str, charged: JSON, quantity: int | None, **changes: Any) -> JSON:
    plain = {
        "id": item_id,
        "price": charged,
        "quantity": quantity,
        "current_period_start": START + 90 * DAY,
        "current_period_end": START + 120 * DAY,
    }
    return {**made.subscription_item("sub_001"), **plain, **changes}


def line(
    line_id: str,
    subscription: str,
    of: str,
    charged: JSON,
    quantity: int,
    start: int,
    end: int,
    amount: int,
    **details: Any,
) -> JSON:
    parent = {"proration": False, "subscription": subscription, "subscription_item": of, **details}
    pricing = {
        "price_details": {"price": charged["id"], "product": charged["product"]},
        "unit_amount_decimal": charged["unit_amount_decimal"],
    }
    return {
        **made.invoice_line("in_0000", 0, 1, START),
        "id": line_id,
        "amount": amount,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "period": {"start": START + start * DAY, "end": START + end * DAY},
        "parent": {"type": "subscription_item_details", "subscription_item_details": parent},
        "pricing": {
            "type": "price_details",
            "price_details": pricing["price_details"],
            "unit_amount_decimal": pricing["unit_amount_decimal"],
        },
        "discounts": [],
        "discount_amounts": [],
    }


def invoice(
    invoice_id: str, day: int, customer: int, discounts: list[JSON], *lines: JSON, **changes: Any
) -> JSON:
    plain = made.invoice(1, customer, customer)
    at = START + day * DAY
    return {
        **plain,
        "id": invoice_id,
        "created": at,
        "billing_reason": "subscription_cycle" if day else "subscription_create",
        "status_transitions": {"finalized_at": at, "paid_at": at},
        "discounts": discounts,
        "lines": made.embedded(list(lines), "/"),
        **changes,
    }


SEAT, FLAT, USE = made.price("price_seat"), price("price_flat", "2500.5"), price("price_use", "3")
USE["recurring"] = {**USE["recurring"], "usage_type": "metered", "meter": "mtr_1"}
FLAT |= {
    "currency_options": {
        "eur": {"unit_amount": 2000, "unit_amount_decimal": "2000"},
        "usd": {"unit_amount_decimal": "2500.5"},
    }
}
VAT = {
    "id": "txr_1",
    "object": "tax_rate",
    "created": START,
    "livemode": True,
    "percentage": 20,
    "effective_percentage": None,
    "inclusive": True,
}
FLAT |= {"tax_behavior": "inclusive"}
TAX_OF_FLAT = {
    "amount": 834,
    "tax_behavior": "inclusive",
    "tax_rate_details": {"tax_rate": "txr_1"},
    "type": "tax_rate_details",
}
UNUSED = price("price_unused", "700", transform_quantity={"divide_by": 5, "round": "up"})
SAVE, OFF = (
    made.coupon(),
    {
        **made.coupon(),
        "id": "OFF5",
        "percent_off": None,
        "amount_off": 500,
        "currency": "usd",
        "duration": "repeating",
    },
)
OFF |= {"duration_in_months": 12, "applies_to": None, "currency_options": {"eur": {"amount_off": 450}}}
WHOLE, OWN = discount("di_1", "SAVE10", "sub_001"), discount("di_2", "OFF5", None, customer="cus_002")


def account() -> dict[str, list[JSON]]:
    """Two customers: one with seats that grew, a flat price with tax inside, use, and 10 % off; one with
    seats by a schedule and 5.00 off.
    """
    first = {
        **made.subscription(1, 1),
        "created": START,
        "discounts": [WHOLE],
        "items": made.embedded(
            [
                item("si_1", SEAT, 6),
                item("si_2", FLAT, 3, discounts=[], tax_rates=[VAT]),
                item("si_3", USE, None),
            ],
            "/",
        ),
    }
    second = {
        **made.subscription(2, 2),
        "created": START,
        "items": made.embedded([item("si_4", SEAT, 4)], "/"),
    }

    def regular(day: int, seats: int, number: int) -> JSON:
        own = [
            line(f"il_{number}1", "sub_001", "si_1", SEAT, seats, day, day + 30, seats * 1000),
            line(f"il_{number}2", "sub_001", "si_2", FLAT, 2, day, day + 30, 5001),
            line(f"il_{number}3", "sub_001", "si_3", USE, 40, day - 30, day, 120),
        ]
        own[0]["discount_amounts"] = [{"amount": seats * 100, "discount": "di_1"}]
        own[1]["taxes"] = [TAX_OF_FLAT]
        return invoice(f"in_{number}", day, 1, [WHOLE], *own[: 3 if day else 2])

    def simple(day: int, seats: int, number: int) -> JSON:
        own = line(f"il_{number}1", "sub_002", "si_4", SEAT, seats, day, day + 30, seats * 1000)
        return invoice(
            f"in_{number}", day, 2, [OWN], {**own, "discount_amounts": [{"amount": 500, "discount": "di_2"}]}
        )

    credit = line("il_90", "sub_001", "si_1", SEAT, 5, 40, 60, -3333, proration=True)
    details = credit["parent"]["subscription_item_details"]
    details["proration_details"] = {"credited_items": {"invoice": "in_2", "invoice_line_items": ["il_21"]}}
    debit = line("il_91", "sub_001", "si_1", SEAT, 6, 40, 60, 4000, proration=True, invoice_item="ii_2")
    changed = invoice("in_9", 40, 1, [], credit, debit, billing_reason="subscription_update")
    pending = {
        **made.invoice_item(1, invoice_id=None),
        "parent": {"subscription_details": {"subscription": "sub_001", "subscription_item": "si_2"}},
    }
    pending |= {
        "period": {"start": START + 95 * DAY, "end": START + 120 * DAY},
        "date": START + 95 * DAY,
        "quantity": 3,
        "quantity_decimal": "3",
    }
    pending |= {
        "amount": 1500,
        "pricing": {
            "price_details": {"price": "price_flat", "product": "prod_price_flat"},
            "unit_amount_decimal": "2500.5",
        },
    }
    phases = [
        {
            "start_date": START + day * DAY,
            "end_date": None,
            "items": [{"price": "price_seat", "quantity": seats}],
        }
        for day, seats in SEATS
    ]
    schedule = {
        "id": "sub_sched_1",
        "object": "subscription_schedule",
        "created": START,
        "livemode": True,
        "customer": "cus_002",
    }
    schedule |= {"subscription": "sub_002", "status": "active", "phases": phases}
    return {
        "customers": [
            {**made.customer(1), "metadata": {"org_id": "org_1"}},
            {**made.customer(2), "discount": OWN, "address": {"country": "NO"}},
        ],
        "products": [
            {
                **made.product(),
                "metadata": {"tier_rank": "1", "family": "plans", "kind": "base", "unit": "seat"},
            }
        ],
        "prices": [SEAT, FLAT, USE, UNUSED],
        "coupons": [SAVE, OFF, {**made.coupon(), "id": "NOBODYS"}],
        "tax_rates": [VAT],
        "subscriptions": [first, second],
        "invoices": [
            *(regular(0, 5, 1), regular(30, 5, 2), changed, regular(60, 6, 3), regular(90, 6, 4)),
            *(simple(0, 3, 5), simple(30, 3, 6), simple(60, 4, 7), simple(90, 4, 8)),
        ],
        "invoiceitems": [pending],
        "credit_notes": [
            {
                "id": "cn_1",
                "object": "credit_note",
                "created": START,
                "livemode": True,
                "customer": "cus_001",
                "invoice": "in_1",
            }
            | {"currency": "usd", "amount": 5, "status": "issued"}
        ],
        "subscription_schedules": [schedule],
        "events": happened(first, second),
    }


SEATS = ((0, 3), (50, 4))


def happened(first: JSON, second: JSON) -> list[JSON]:
    """Events in a new and an old shape: seats bought, a discount given, a session, and one nobody needs."""
    bought = made.event(
        1,
        "customer.subscription.updated",
        copy.deepcopy(first) | {"discounts": ["di_1"]},
        created=START + 95 * DAY,
    )
    bought["data"]["previous_attributes"] = {"items": {"data": [{**item("si_2", FLAT, 2), "discounts": []}]}}
    old_item = {"id": "si_4", "plan": {"id": "price_seat", "product": "prod_seats"}, "quantity": 4}
    old = {
        **second,
        "items": {"data": [old_item]},
        "discount": None,
        "plan": {"id": "price_seat"},
        "quantity": 4,
    }
    old.pop("discounts")
    shown = made.event(2, "customer.subscription.updated", old, created=START + 96 * DAY)
    shown["data"]["previous_attributes"] = {"cancel_at": START + 200 * DAY}
    given = made.event(3, "customer.discount.created", OWN, created=START)
    session = made.event(
        4,
        "checkout.session.completed",
        {"id": "cs_1", "object": "checkout.session", "customer": "cus_001", "subscription": "sub_001"},
    )
    return [
        bought,
        shown,
        given,
        session,
        made.event(5, "invoice.created", {"id": "in_1", "object": "invoice", "customer": "cus_001"}),
    ]


Made = Callable[[JSON, datetime], Any]
MAPPED: dict[str, list[tuple[str, type[tables.StripeObject], Made]]] = {
    "customers": [("customers", tables.Customers, rows.customer)],
    "products": [("products", tables.Products, rows.product)],
    "prices": [("prices", tables.Prices, rows.price)],
    "coupons": [("coupons", tables.Coupons, rows.coupon)],
    "tax_rates": [("tax_rates", tables.TaxRates, rows.tax_rate)],
    "subscriptions": [
        ("subscriptions", tables.Subscriptions, rows.subscription),
        ("subscription_items", tables.SubscriptionItems, rows.subscription_items),
    ],
    "invoices": [
        ("invoices", tables.Invoices, bills.invoice),
        ("invoice_lines", tables.InvoiceLines, bills.invoice_lines),
    ],
    "invoiceitems": [("invoice_items", tables.InvoiceItems, bills.invoice_item)],
    "credit_notes": [("credit_notes", tables.CreditNotes, bills.credit_note)],
    "subscription_schedules": [
        ("subscription_schedules", tables.SubscriptionSchedules, rows.subscription_schedule)
    ],
    "events": [("events", tables.Events, events.event)],
}
SHAPES = {
    "customers": shapes.CUSTOMER,
    "products": shapes.PRODUCT,
    "prices": shapes.PRICE,
    "coupons": shapes.COUPON,
    "tax_rates": shapes.TAX_RATE,
    "subscriptions": shapes.SUBSCRIPTION,
    "invoices": shapes.INVOICE,
    "invoiceitems": shapes.INVOICE_ITEM,
    "credit_notes": shapes.CREDIT_NOTE,
    "subscription_schedules": shapes.SUBSCRIPTION_SCHEDULE,
    "events": shapes.EVENT,
}
PARTS = {"items": shapes.SUBSCRIPTION_ITEM, "lines": shapes.INVOICE_LINE}
SAID = {
    "customer.subscription.updated": shapes.SUBSCRIPTION_SAID,
    "customer.discount.created": shapes.DISCOUNT_SAID,
    "checkout.session.completed": shapes.SESSION_SAID,
}


def places() -> list[Place]:
    """Every field that is read of every object of the account."""
    found = []
    for table, objects in account().items():
        for each in objects:
            found += [
                Place(table, each["id"], path, kind, needed, row)
                for path, kind, needed, row in _of_object(table, each)
            ]
    return found


def _of_object(table: str, each: JSON) -> Iterator[tuple[Path, Kind, bool, str]]:
    for path, kind, needed in _fields(SHAPES[table], ()):
        yield path, kind, needed or path[0] in SHAPES[table].identity, each["id"]
        if isinstance(kind, Embedded):
            for number, part in enumerate(each[str(path[0])]["data"]):
                shape = PARTS[str(path[0])]
                for below, of, must in _fields(shape, ()):
                    yield (*path, "data", number, *below), of, must or below[0] in shape.identity, part["id"]
    if table == "events":
        for path, kind, needed in _fields(SAID.get(each["type"], shapes.OTHER_SAID), ("data",)):
            yield path, kind, needed, each["id"]


def _fields(of: Fields, above: Path) -> Iterator[tuple[Path, Kind, bool]]:
    for name, kind in of.fields.items():
        yield from _under(kind, (*above, name), needed=name in of.needed)


def _under(kind: Kind, path: Path, *, needed: bool) -> Iterator[tuple[Path, Kind, bool]]:
    yield path, kind, needed
    if isinstance(kind, ListOf):
        yield from _under(kind.kind, (*path, 0), needed=True)
    elif isinstance(kind, ByCurrency):
        yield from _under(kind.kind, (*path, "eur"), needed=True)
    elif isinstance(kind, IdOr):
        yield from _fields(kind.kind, path)
    elif isinstance(kind, Fields):
        yield from _fields(kind, path)


def put(held: JSON, path: Path, value: Any) -> None:
    """Puts a value at a place of an object, making the objects on the way."""
    at: Any = held
    for step, following in pairwise(path):
        fresh: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            at.extend([fresh] if len(at) <= step else [])
        elif not isinstance(at.get(step), list if isinstance(following, int) else dict):
            at[step] = fresh
        if not isinstance(at[step], list | dict):
            at[step] = fresh
        at = at[step]
    last = path[-1]
    if value is GONE:
        if not isinstance(last, int):
            at.pop(last, None)
        elif len(at) > last:
            del at[last]
    elif isinstance(last, int) and len(at) <= last:
        at.append(value)
    else:
        at[last] = value


@dataclass(frozen=True)
class Outcome:
    """Months' MRR by item, None for one that the quarantine stops; `named` are the objects of the quarantine,
    or of the error that refused it all.
    """

    by_month: dict[str, dict[str, int] | None]
    named: frozenset[str]
    refused: str | None = None


def outcomes(changes: Sequence[tuple[Place, Any]]) -> list[Outcome]:
    """What comes of the account with one field changed, once for each change: all of them are customers of
    one large account.
    """
    of_tables: dict[str, list[JSON]] = {name: [] for kinds in MAPPED.values() for name, _, _ in kinds}
    found: dict[int, Outcome] = {}
    for number, (place, value) in enumerate(changes):
        try:
            for name, rows_of in _mapped(_changed(place, value, number)):
                of_tables[name] += rows_of
        except DataQualityError as error:
            found[number] = Outcome({}, frozenset(_plain_id(name) for name in error.objects), str(error))
    models = {name: model for kinds in MAPPED.values() for name, model, _ in kinds}
    frames = {name: model.validate(frame(model, of_tables[name])) for name, model in models.items()}
    history = rebuild(
        Staged(**{name: held for name, held in frames.items() if name not in ("products", "credit_notes")})
    )
    hints = {
        row.id: json.loads(row.metadata_json)
        for name in ("products", "prices")
        for row in frames[name].itertuples()
    }
    catalog = Catalog.from_dict({}, {identity: said for identity, said in hints.items() if said})
    states = _refusing(
        found, history.states, lambda states: value_states(states, RATES, catalog.policy, "usd")
    )
    at_ends = [states[covers(states, months.closing(month, "UTC"))] for month in MONTHS[-3:-1]]
    of_both = pd.concat([each.assign(side=side) for side, each in enumerate(at_ends)])
    _refusing(found, of_both, lambda both: _classified(both, catalog))
    by_month = {month: _month(states, history.quarantine, month) for month in MONTHS}
    named: dict[int, set[str]] = defaultdict(set)
    for subscription, text in zip(
        history.quarantine["subscription"], history.quarantine["objects_json"], strict=True
    ):
        named[_number(subscription)].update(map(_plain_id, json.loads(text)))
    for number in range(len(changes)):
        found.setdefault(
            number,
            Outcome({month: by_month[month].get(number, {}) for month in MONTHS}, frozenset(named[number])),
        )
    return [found[number] for number in range(len(changes))]


def _refusing(
    found: dict[int, Outcome], states: pd.DataFrame, rule: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """What a rule makes of the states, without those of accounts it refuses, whose outcome that is."""
    while True:
        try:
            return rule(states)
        except DataQualityError as error:
            owners = dict(zip(states["item"], states["subscription"], strict=True))
            numbers = {_number(owners.get(name, name)) for name in error.objects}
            assert numbers, f"an error that names no item: {error}"
            for number in numbers:
                found[number] = Outcome(
                    {},
                    frozenset(_plain_id(name) for name in error.objects if _number(name) == number),
                    str(error),
                )
            states = states[[_number(name) not in numbers for name in states["subscription"]]]


def _classified(both: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    classify(
        both[both["side"] == 0],
        both[both["side"] == 1],
        catalog=catalog,
        rates_open=RATES,
        rates_close=RATES,
        ever_paid=(),
    )
    return both


def _changed(place: Place, value: Any, number: int) -> dict[str, list[JSON]]:
    """The account with a value at a place, its ids made the number's own."""
    held = {table: list(objects) for table, objects in account().items()}
    at = next(index for index, each in enumerate(held[place.table]) if each["id"] == place.id)
    held[place.table][at] = changed = copy.deepcopy(held[place.table][at])
    # Another object's: of this account still.
    own = isinstance(value, str) and value not in IDS and value and place.path in (("id",), ("customer",))
    put(changed, place.path, f"{value}.{number}" if own else value)
    return {table: [_numbered(each, number) for each in objects] for table, objects in held.items()}


def _numbered(value: Any, number: int) -> Any:
    """A value as it comes out of Stripe's answer, each id of the account made another's."""
    if isinstance(value, dict):
        return {name: _numbered(each, number) for name, each in value.items()}
    if isinstance(value, list):
        return [_numbered(each, number) for each in value]
    if isinstance(value, float):
        return Decimal(repr(value))
    return f"{value}.{number}" if isinstance(value, str) and value in IDS else value


def _ids(value: Any) -> Iterator[str]:
    for name, each in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(each, dict | list):
            yield from _ids(each)
        elif isinstance(each, str) and name in ("id", "product", "meter"):
            yield each


IDS = frozenset(_ids(account()))


def _mapped(held: dict[str, list[JSON]]) -> Iterator[tuple[str, list[JSON]]]:
    done = []
    for table, objects in held.items():
        for name, _, mapping in MAPPED[table]:
            for each in objects:
                made_rows = mapping(each, READ_AT)
                done.append((name, made_rows if isinstance(made_rows, list) else [made_rows]))
    yield from done


def _plain_id(name: str) -> str:
    return name.rpartition(".")[0] or name


def _number(name: str) -> int:
    return int(name.rpartition(".")[2])


def _month(valued: pd.DataFrame, quarantine: pd.DataFrame, month: str) -> dict[int, dict[str, int] | None]:
    """Each account's MRR by item at a month's end, None where the quarantine stops the month."""
    opening, closing = months.opening(month, "UTC"), months.closing(month, "UTC")
    found: dict[int, dict[str, int] | None] = defaultdict(dict)
    here = valued[covers(valued, closing)]
    for subscription, item_id, amount in zip(
        here["subscription"], here["item"], here["mrr_minor"], strict=True
    ):
        own = found[_number(subscription)]
        assert own is not None
        own[_plain_id(item_id)] = int(amount)
    return found | {
        _number(name): None
        for name in quarantine.loc[covers(quarantine, opening) | covers(quarantine, closing), "subscription"]
    }
