"""The history of one subscription as typed changes, one type per kind.

Facts are combined into changes, the log keeps them, and states are computed from them.

Here: the changes of each kind, and all of one subscription's. Not here: how facts show them (each in its own
module), how the log writes them (`log_rows.py`), and the states that follow (`item_states.py`).
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from expansion_platform.domain.history.records import State
from expansion_platform.domain.history.unreadable import Unreadable
from expansion_platform.domain.pricing.terms import Coupon, Price

Value = TypeVar("Value")

Spoken = tuple[str, int, int]
"""A Stripe object and the stretch it speaks of: (id, from, to)."""


@dataclass(slots=True)
class Mark(Generic[Value]):
    """From `at` on the value holds, until the next mark.

    `evidence` are the facts behind it and when they speak.
    """

    at: int
    value: Value
    source: str
    confidence: str
    evidence: list[Spoken] = field(default_factory=list)


ItemMark = Mark[State | None]
"""An item is at a price and quantity; None: it is not there."""


class Window(NamedTuple):
    """A discount in force from `start` until `end` (None: it lasts).

    It is on one item or, when `item` is None, on the whole subscription.
    """

    discount: str
    coupon: Coupon
    level: str
    item: str | None
    start: int
    end: int | None


class Discounted(NamedTuple):
    """A discount in force, its place among those that apply, and how its beginning is known."""

    place: int
    window: Window
    mark: Mark[None]


class DiscountEnd(NamedTuple):
    """How it is known that a discount ends; of which item, where that is known."""

    item: str | None
    coupon: str | None
    mark: Mark[None]


class Trial(NamedTuple):
    """An item costs nothing from `start` to `end` (None: it still does).

    `object` is the object that says so.
    """

    start: int
    end: int | None
    object: str
    source: str


class MonthUsed(NamedTuple):
    """What an item used at one of its metered prices in a month that ends at `end`."""

    price: str
    end: int
    quantity: Mark[str]


@dataclass
class Timelines:
    """What holds of one subscription: its life, and when what of it changed to what.

    `billed` are prices whose terms only its invoices show.
    """

    customer: str
    id: str
    currency: str
    livemode: bool
    begin: int
    end: int | None
    statuses: list[Mark[str]] = field(default_factory=list)
    pauses: list[Mark[str | None]] = field(default_factory=list)
    discounts: list[Discounted] = field(default_factory=list)
    discount_ends: list[DiscountEnd] = field(default_factory=list)
    trials: dict[str, list[Trial]] = field(default_factory=lambda: defaultdict(list))
    items: dict[str, list[ItemMark]] = field(default_factory=lambda: defaultdict(list))
    taxes: dict[str, list[Mark[str]]] = field(default_factory=lambda: defaultdict(list))
    usage: dict[str, list[MonthUsed]] = field(default_factory=lambda: defaultdict(list))
    unread: list[Unreadable] = field(default_factory=list)
    billed: dict[str, Price] = field(default_factory=dict)
