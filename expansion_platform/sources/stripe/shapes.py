"""Which fields of Stripe's objects are read, and what a value of each has to be.

Here: one shape a kind of object, and `read`, which every mapping begins with. Not here: the kinds of values
(`kinds.py`), and which field becomes which column (`rows.py`, `bills.py`, `events.py`).

A field that is not declared here does not reach the mappings. Where a value is of another type than declared,
the row has a blank, and its column `unreadable` says what is wrong: the domain then sets apart the stretch
that the object describes (`domain/history/unreadable.py`), and nothing else stops. Only an object that cannot
be distinguished from others, or whose customer is unknown, is refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.sources.stripe.kinds import (
    Anything,
    ByCurrency,
    Currency,
    Discount,
    Embedded,
    Expanded,
    Fields,
    Flag,
    Found,
    IdOr,
    Kind,
    Label,
    ListOf,
    Metadata,
    Moment,
    Needed,
    Number,
    Reference,
    Text,
    Whole,
    Word,
)

NOTED = "unreadable"
"""The key of a read object that says what of it cannot be read, None when everything can."""
_MOST_NOTED = 5
_SHOWN = 40


class Shape(Fields):
    """An object that becomes a row. `identity` are the fields without which it is refused."""

    def __init__(
        self, name: str, fields: Mapping[str, Kind | Needed], identity: tuple[str, ...] = ("id", "created")
    ) -> None:
        super().__init__(
            {**fields, **{each: fields.get(each, Text() if each == "id" else Moment()) for each in identity}}
        )
        self.name = name
        self.identity = identity
        self._declared |= {"object", NOTED}


def read(shape: Shape, item: Mapping[str, Any], owner: str = "") -> Found:
    """The fields of an object that are read, each of its kind.

    What is wrong with the others is under `NOTED`.

    Raises:
        DataQualityError: Its id cannot be read, or something else it is known by; names it, else its owner.
    """
    wrong: list[str] = []
    found = shape.read_fields(item, wrong)
    for name in shape.identity:
        if found.get(name) in (None, "") or any(text.startswith(f"{name} is ") for text in wrong):
            named = found.get("id") or (
                f"of {owner}" if owner else f"created {item.get('created')!r}"[:_SHOWN]
            )
            raise DataQualityError(f"{shape.name} without a readable {name}", [named])
    found["object"] = shape.name
    found[NOTED] = noted(wrong)
    return found


def identified(shape: Shape, item: Mapping[str, Any]) -> bool:
    """Whether an object says which it is, so that `read` does not refuse it."""
    wrong: list[str] = []
    found = Fields({name: Needed(shape.fields[name]) for name in shape.identity}).read_fields(item, wrong)
    return not wrong and found["id"] != ""


def noted(wrong: list[str]) -> str | None:
    """What is wrong with an object in one text, None when nothing is."""
    more = len(wrong) - _MOST_NOTED
    return "; ".join([*wrong[:_MOST_NOTED], *([f"and {more} more"] if more > 0 else [])]) or None


_OBJECT: dict[str, Kind | Needed] = {"livemode": Needed(Flag()), "test_clock": Text()}
_COUPON = Fields({"coupon": Reference()})
DISCOUNT = Discount(
    {
        "id": Needed(Text()),
        "source": _COUPON,
        "coupon": Reference(),
        "start": Moment(),
        "end": Moment(),
        "customer": Reference(),
        "subscription": Reference(),
        "subscription_item": Reference(),
        "invoice": Reference(),
    }
)
_DISCOUNTS = ListOf(DISCOUNT)
_TIERS = ListOf(
    Fields(
        {
            "up_to": Whole(1),
            "unit_amount": Whole(),
            "unit_amount_decimal": Number(),
            "flat_amount": Whole(),
            "flat_amount_decimal": Number(),
        }
    )
)
_AMOUNTS: dict[str, Kind | Needed] = {
    "unit_amount": Whole(),
    "unit_amount_decimal": Number(),
    "tiers": _TIERS,
    "tax_behavior": Word(),
}
_RATES = ListOf(IdOr(Fields({"percentage": Needed(Number()), "inclusive": Needed(Flag())})))

CUSTOMER = Shape(
    "customer",
    {
        **_OBJECT,
        "currency": Label(),
        "address": Fields({"country": Label()}, loose=True),
        "deleted": Flag(),
        "discount": DISCOUNT,
        "metadata": Metadata(),
    },
)
PRODUCT = Shape("product", {**_OBJECT, "name": Label(), "active": Needed(Flag()), "metadata": Metadata()})
PRICE = Shape(
    "price",
    {
        **_OBJECT,
        **_AMOUNTS,
        "product": Needed(Reference()),
        "currency": Needed(Currency()),
        "active": Needed(Flag()),
        "type": Needed(Word()),
        "billing_scheme": Needed(Word()),
        "tiers_mode": Word(),
        "currency_options": ByCurrency(Fields(_AMOUNTS)),
        "transform_quantity": Fields({"divide_by": Needed(Whole(1)), "round": Needed(Word())}),
        "recurring": Fields(
            {
                "interval": Needed(Word()),
                "interval_count": Needed(Whole(1)),
                "usage_type": Word(),
                "meter": Reference(),
            },
        ),
        "lookup_key": Label(),
        "metadata": Metadata(),
    },
)
COUPON = Shape(
    "coupon",
    {
        **_OBJECT,
        "duration": Needed(Word()),
        "duration_in_months": Whole(0),
        "percent_off": Number(),
        "amount_off": Whole(0),
        "currency": Currency(),
        "currency_options": ByCurrency(Fields({"amount_off": Whole(0)})),
        "applies_to": Fields({"products": Needed(ListOf(Reference(), filled=True))}),
    },
)
TAX_RATE = Shape(
    "tax rate",
    {**_OBJECT, "percentage": Number(), "effective_percentage": Number(), "inclusive": Needed(Flag())},
)
SUBSCRIPTION = Shape(
    "subscription",
    {
        **_OBJECT,
        "customer": Reference(),
        "status": Needed(Word()),
        "currency": Needed(Currency()),
        "start_date": Needed(Moment()),
        "billing_cycle_anchor": Needed(Moment()),
        "trial_start": Moment(),
        "trial_end": Moment(),
        "cancel_at": Moment(),
        "cancel_at_period_end": Flag(),
        "canceled_at": Moment(),
        "ended_at": Moment(),
        "pause_collection": Fields({"behavior": Needed(Word())}),
        "discounts": _DISCOUNTS,
        "metadata": Metadata(),
        "items": Needed(Embedded()),
    },
    ("id", "created", "customer"),
)
SUBSCRIPTION_ITEM = Shape(
    "subscription item",
    {
        "price": Needed(Expanded({"product": Needed(Reference())})),
        "quantity": Number(),
        "current_period_start": Needed(Moment()),
        "current_period_end": Needed(Moment()),
        "current_trial": Fields({"start_date": Moment(), "end_date": Moment()}),
        "discounts": _DISCOUNTS,
        "tax_rates": _RATES,
        "metadata": Metadata(),
    },
)
ITEMS_OWNER = Shape(
    "subscription",
    {"livemode": Needed(Flag()), "default_tax_rates": _RATES, "items": Needed(Embedded())},
    ("id",),
)
SUBSCRIPTION_SCHEDULE = Shape(
    "subscription schedule",
    {
        **_OBJECT,
        "customer": Reference(),
        "subscription": Reference(),
        "released_subscription": Reference(),
        "status": Needed(Word()),
        **dict.fromkeys(("released_at", "completed_at", "canceled_at"), Moment()),
        "phases": Needed(
            ListOf(
                Fields(
                    {
                        "start_date": Needed(Moment()),
                        "end_date": Moment(),
                        "items": Needed(ListOf(Fields({"price": Needed(Reference()), "quantity": Number()}))),
                    }
                )
            )
        ),
    },
    ("id", "created", "customer"),
)
_BILLED_SUBSCRIPTION = Fields(
    {"subscription": Reference(), "subscription_item": Reference(), "metadata": Metadata()}
)
_PARENT = Fields({"subscription_details": _BILLED_SUBSCRIPTION})
INVOICE = Shape(
    "invoice",
    {
        **_OBJECT,
        "customer": Reference(),
        "parent": _PARENT,
        "status": Needed(Word()),
        "billing_reason": Text(),
        "currency": Needed(Currency()),
        "period_start": Needed(Moment()),
        "period_end": Needed(Moment()),
        "subtotal": Needed(Whole()),
        "total": Needed(Whole()),
        "attempted": Flag(),
        "attempt_count": Whole(0),
        "status_details": Fields({"uncollectible": Fields({"reason": Text()})}),
        "status_transitions": Fields(
            dict.fromkeys(("finalized_at", "voided_at", "paid_at", "marked_uncollectible_at"), Moment())
        ),
        "due_date": Moment(),
        "latest_revision": Reference(),
        "discounts": _DISCOUNTS,
        "lines": Needed(Embedded()),
    },
    ("id", "created", "customer"),
)
LINES_OWNER = Shape(
    "invoice",
    {
        "livemode": Needed(Flag()),
        "customer": Reference(),
        "automatic_tax": Fields({"status": Text()}),
        "discounts": _DISCOUNTS,
        "lines": Needed(Embedded()),
    },
    ("id", "created", "customer"),
)
_PRORATION = Fields({"credited_items": Fields({"invoice_line_items": ListOf(Text())})})
_DETAILS = Fields(
    {
        "invoice_item": Reference(),
        "proration": Needed(Flag()),
        "proration_details": _PRORATION,
        "subscription": Reference(),
        "subscription_item": Reference(),
    }
)
_LINE_PARENT = Fields({"subscription_item_details": _DETAILS, "invoice_item_details": _DETAILS})
LINE_PARENT = Fields({"parent": _LINE_PARENT})
_BILLED: dict[str, Kind | Needed] = {
    "amount": Needed(Whole()),
    "currency": Needed(Currency()),
    "quantity": Number(),
    "quantity_decimal": Number(),
    "period": Needed(Fields({"start": Needed(Moment()), "end": Needed(Moment())})),
    "pricing": Fields(
        {
            "price_details": Fields({"price": Reference(), "product": Reference()}),
            "unit_amount_decimal": Number(),
        }
    ),
}
INVOICE_LINE = Shape(
    "line_item",
    {
        **_BILLED,
        "parent": _LINE_PARENT,
        "discounts": _DISCOUNTS,
        "discount_amounts": ListOf(Fields({"discount": Needed(Reference()), "amount": Needed(Whole())})),
        "taxes": ListOf(
            Fields(
                {
                    "amount": Needed(Whole()),
                    "tax_behavior": Needed(Word()),
                    "tax_rate_details": Fields({"tax_rate": Reference()}),
                }
            ),
        ),
    },
    ("id",),
)
INVOICE_ITEM = Shape(
    "invoiceitem",
    {
        **_OBJECT,
        **_BILLED,
        "customer": Reference(),
        "parent": _PARENT,
        "proration": Needed(Flag()),
        "invoice": Reference(),
        "date": Moment(),
    },
    ("id", "date", "customer"),
)
CREDIT_NOTE = Shape(
    "credit note",
    {
        **_OBJECT,
        "customer": Reference(),
        "invoice": Needed(Reference()),
        "currency": Needed(Currency()),
        "amount": Needed(Whole(0)),
        "status": Needed(Word()),
    },
    ("id", "created", "customer"),
)

METER = Shape(
    "billing meter",
    {"livemode": Needed(Flag()), "default_aggregation": Needed(Fields({"formula": Needed(Word())}))},
    ("id",),
)

# What events are about, in every version since 2018: lists of discounts hold ids or objects, and
# `previous_attributes` only what changed.
EVENT = Shape(
    "event",
    {
        "livemode": Needed(Flag()),
        "type": Text(),
        "api_version": Label(),
        "request": Expanded({}, partial=True),
        "data": Needed(Anything()),
    },
    ("id", "created", "type"),
)
_SHOWN_DISCOUNT = IdOr(Discount({**DISCOUNT.fields, "id": Text()}))  # before 2020 a discount had no id
_SHOWN_DISCOUNTS: dict[str, Kind | Needed] = {
    "discounts": ListOf(_SHOWN_DISCOUNT),
    "discount": _SHOWN_DISCOUNT,
}
_SHOWN_ITEM: dict[str, Kind | Needed] = {
    **dict.fromkeys(("price", "plan"), Expanded({"product": Reference()})),
    "quantity": Number(),
    **_SHOWN_DISCOUNTS,
}
_BEFORE_ITEM = {
    **_SHOWN_ITEM,
    **dict.fromkeys(("price", "plan"), Expanded({"product": Reference()}, partial=True)),
}
_STATE: dict[str, Kind | Needed] = {
    **dict.fromkeys(("ended_at", "trial_end", "cancel_at"), Moment()),
    "metadata": Metadata(),
    **_SHOWN_DISCOUNTS,
}
_ABOUT: dict[str, Kind | Needed] = {"id": Text(), "object": Label(), "customer": Reference()}
ABOUT = Fields(_ABOUT)
ABOUT_SUBSCRIPTION = Fields(
    {
        **_ABOUT,
        **_STATE,
        "status": Needed(Word()),
        "pause_collection": Fields({"behavior": Needed(Word())}),
        "items": Fields({"data": ListOf(Fields({"id": Needed(Text()), **_SHOWN_ITEM})), "has_more": Flag()}),
    }
)
SUBSCRIPTION_BEFORE = Fields(
    {
        **_STATE,
        "status": Word(),
        "pause_collection": Fields({"behavior": Word()}),
        "items": Fields({"data": ListOf(Fields({"id": Needed(Text()), **_BEFORE_ITEM}))}),
        "plan": _BEFORE_ITEM["plan"],
        "quantity": Number(),
    }
)
ABOUT_DISCOUNT = Discount({**DISCOUNT.fields, **_ABOUT, "id": Needed(Text())})
ABOUT_SESSION = Fields({**_ABOUT, "subscription": Reference()})
SUBSCRIPTION_SAID = Fields({"object": Needed(ABOUT_SUBSCRIPTION), "previous_attributes": SUBSCRIPTION_BEFORE})
DISCOUNT_SAID = Fields({"object": Needed(ABOUT_DISCOUNT)})
SESSION_SAID = Fields({"object": Needed(ABOUT_SESSION)})
OTHER_SAID = Fields({"object": Needed(ABOUT)})
