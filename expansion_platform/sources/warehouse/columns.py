"""What can be mapped: the fields each kind of Stripe object is made from.

Some of them are required.

Here: one model a kind of row, a field a place in a warehouse's table. Not here: the file they are written in
(`mapping.py`), reading (`tables.py`), what is made of the values (`objects.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from expansion_platform.sources.warehouse import values


@dataclass(frozen=True)
class Place:
    """A column, and the keys that lead into its JSON; an `optional` one may be missing from the table."""

    column: str
    path: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class From:
    """Where a field's value comes from: the first of the places that holds one, else the constant."""

    places: tuple[Place, ...] = ()
    constant: Any = None


@dataclass(frozen=True)
class Reads:
    """How a field's value is read."""

    convert: Callable[[Any], Any]


def _from(written: Any) -> From:
    """`column`, `column.json.path`, a list of them, or `{value: constant}`.

    Either of the first two with `?` when the table may lack it.
    """
    if isinstance(written, From):
        return written
    if isinstance(written, dict) and set(written) == {"value"}:
        return From(constant=written["value"])
    listed = [written] if isinstance(written, str) else written
    if (
        not isinstance(listed, list)
        or not listed
        or not all(isinstance(each, str) and each.strip("?") for each in listed)
    ):
        raise ValueError(
            "write a column, `column.json.path`, a list of them (the first that holds a value counts), "
            "or {value: constant}"
        )
    return From(tuple(_place(each) for each in listed))


def _place(text: str) -> Place:
    column, *path = text.removesuffix("?").split(".")
    return Place(column, tuple(path), text.endswith("?"))


Text = Annotated[From, BeforeValidator(_from), Reads(values.text)]
Whole = Annotated[From, BeforeValidator(_from), Reads(values.whole)]
Number = Annotated[From, BeforeValidator(_from), Reads(values.number)]
Flag = Annotated[From, BeforeValidator(_from), Reads(values.flag)]
Moment = Annotated[From, BeforeValidator(_from), Reads(values.moment)]
Json = Annotated[From, BeforeValidator(_from), Reads(values.json_value)]
Listed = Annotated[From, BeforeValidator(_from), Reads(values.listed)]
NOTHING = From()


class Columns(BaseModel):
    """Fields of one kind of row; one without a default has to be mapped."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class _Object(Columns):
    id: Text
    created: Moment
    livemode: Flag


class Customers(_Object):
    """`discounts` is the customer's own.

    Left out, `discounts` rows whose owner is the customer stand for it.
    """

    currency: Text = NOTHING
    country: Text = NOTHING
    deleted: Flag = NOTHING
    discounts: Listed = NOTHING
    discount_coupon: Text = NOTHING
    discount_start: Moment = NOTHING
    discount_end: Moment = NOTHING
    metadata: Json = NOTHING


class Products(_Object):
    """Products."""

    name: Text
    active: Flag
    metadata: Json = NOTHING


class Prices(_Object):
    """Prices; `tiers` as JSON, or in `price_tiers`.

    `currency_options` as JSON, or in `price_currency_options`.
    """

    product: Text
    currency: Text
    active: Flag
    type: Text
    billing_scheme: Text
    unit_amount: Whole = NOTHING
    unit_amount_decimal: Number = NOTHING
    tiers_mode: Text = NOTHING
    tiers: Json = NOTHING
    divide_by: Whole = NOTHING
    round: Text = NOTHING
    interval: Text = NOTHING
    interval_count: Whole = NOTHING
    usage_type: Text = NOTHING
    lookup_key: Text = NOTHING
    metadata: Json = NOTHING
    currency_options: Json = NOTHING
    tax_behavior: Text = NOTHING


class CurrencyOptions(Columns):
    """A price or a coupon (`owner`) in one of its further currencies."""

    owner: Text
    currency: Text
    unit_amount: Whole = NOTHING
    unit_amount_decimal: Number = NOTHING
    amount_off: Whole = NOTHING


class PriceTiers(Columns):
    """Tiers of prices; `up_to` is null in the last."""

    price: Text
    up_to: Whole
    unit_amount: Whole = NOTHING
    unit_amount_decimal: Number = NOTHING
    flat_amount: Whole = NOTHING
    flat_amount_decimal: Number = NOTHING


class Coupons(_Object):
    """Coupons; `applies_to` lists product ids.

    `currency_options` as JSON, or in `coupon_currency_options`.
    """

    duration: Text
    duration_in_months: Whole = NOTHING
    percent_off: Number = NOTHING
    amount_off: Whole = NOTHING
    currency: Text = NOTHING
    applies_to: Listed = NOTHING
    currency_options: Json = NOTHING


class Discounts(Columns):
    """Applications of coupons.

    `owner` is the id of what it hangs on: a customer, subscription, item, invoice or line.
    """

    id: Text
    coupon: Text
    start: Moment = NOTHING
    end: Moment = NOTHING
    owner: Text = NOTHING
    customer: Text = NOTHING
    subscription: Text = NOTHING
    subscription_item: Text = NOTHING
    invoice: Text = NOTHING
    amount: Whole = NOTHING


class Subscriptions(_Object):
    """Subscriptions as they are now, one row each; `items` as JSON, or in `subscription_items`."""

    customer: Text
    status: Text
    start_date: Moment
    billing_cycle_anchor: Moment
    currency: Text = NOTHING
    trial_start: Moment = NOTHING
    trial_end: Moment = NOTHING
    cancel_at: Moment = NOTHING
    cancel_at_period_end: Flag = NOTHING
    canceled_at: Moment = NOTHING
    ended_at: Moment = NOTHING
    pause_collection: Text = NOTHING
    current_period_start: Moment = NOTHING
    current_period_end: Moment = NOTHING
    discounts: Listed = NOTHING
    metadata: Json = NOTHING
    items: Json = NOTHING


class SubscriptionItems(Columns):
    """Items now on subscriptions."""

    id: Text
    subscription: Text
    created: Moment
    price: Text
    quantity: Number
    current_period_start: Moment = NOTHING
    current_period_end: Moment = NOTHING
    discounts: Listed = NOTHING


class Invoices(_Object):
    """Invoices."""

    customer: Text
    subscription: Text
    status: Text
    currency: Text
    period_start: Moment
    period_end: Moment
    subtotal: Whole
    total: Whole
    billing_reason: Text = NOTHING
    finalized_at: Moment = NOTHING
    voided_at: Moment = NOTHING
    due_date: Moment = NOTHING
    paid_at: Moment = NOTHING
    uncollectible_at: Moment = NOTHING
    uncollectible_reason: Text = NOTHING
    attempt_count: Whole = NOTHING
    attempted: Flag = NOTHING
    discounts: Listed = NOTHING
    deleted: Flag = NOTHING
    subscription_metadata: Json = NOTHING


class InvoiceLines(Columns):
    """All lines of invoices."""

    id: Text
    invoice: Text
    subscription: Text
    subscription_item: Text
    price: Text
    quantity: Number
    amount: Whole
    currency: Text
    period_start: Moment
    period_end: Moment
    proration: Flag
    product: Text = NOTHING
    quantity_decimal: Number = NOTHING
    unit_amount_decimal: Number = NOTHING
    invoice_item: Text = NOTHING
    credited_lines: Listed = NOTHING
    discounts: Listed = NOTHING
    discount_amounts: Json = NOTHING
    taxes: Json = NOTHING


class LineDiscountAmounts(Columns):
    """What each discount took off a line."""

    line: Text
    invoice: Text
    discount: Text
    amount: Whole


class InvoiceItems(_Object):
    """Invoice items; those without an invoice are pending."""

    customer: Text
    invoice: Text
    amount: Whole
    currency: Text
    period_start: Moment
    period_end: Moment
    proration: Flag
    subscription: Text = NOTHING
    subscription_item: Text = NOTHING
    price: Text = NOTHING
    quantity: Number = NOTHING
    quantity_decimal: Number = NOTHING
    unit_amount_decimal: Number = NOTHING
    deleted: Flag = NOTHING


class CreditNotes(_Object):
    """Credit notes."""

    customer: Text
    invoice: Text
    currency: Text
    amount: Whole
    status: Text


class Events(_Object):
    """Events with their payload, as Stripe sent them."""

    type: Text
    data: Json
    api_version: Text = NOTHING
    request: Json = NOTHING


class MetadataEntries(Columns):
    """Metadata in a table of its own, a row a key."""

    owner: Text
    key: Text
    value: Text


class ChangeEvents(Columns):
    """Stripe's own `subscription_item_change_events`: every change of MRR and quantity of every item."""

    customer: Text
    currency: Text
    event_timestamp: Moment
    mrr_change: Whole
    subscription_item: Text = NOTHING
    quantity_change: Whole = NOTHING
    local_event_timestamp: Moment = NOTHING
