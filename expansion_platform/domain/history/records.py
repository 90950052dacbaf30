"""What history is rebuilt from, as small records.

Here: the staged Stripe tables, and the records of one subscription. Instants are int microseconds since the
epoch, quantities decimal text. Not here: reading the tables (`subscriptions.py`), prices and coupons
(`pricing/terms.py`), and what the records mean (`facts.py`, `discounts.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.history.discount_lists import DISCOUNT_EVENTS, CustomersDiscount, Discount
from expansion_platform.domain.history.unreadable import Unreadable

DRAFT_LEFT = pd.Timedelta(days=3)
"""Stripe finalizes a draft after an hour, at most three days; an older one was left."""
SUBSCRIPTION_EVENTS = "customer.subscription."
TELLING_EVENTS = (SUBSCRIPTION_EVENTS, DISCOUNT_EVENTS)
"""Prefixes of the types of the events that history is computed from."""


@dataclass(frozen=True)
class Staged:
    """The `stripe/*` tables history is rebuilt from.

    Each has the columns of its model in `stripe/tables/`.
    """

    customers: pd.DataFrame
    prices: pd.DataFrame
    coupons: pd.DataFrame
    subscriptions: pd.DataFrame
    subscription_items: pd.DataFrame
    subscription_schedules: pd.DataFrame
    invoices: pd.DataFrame
    invoice_lines: pd.DataFrame
    invoice_items: pd.DataFrame
    events: pd.DataFrame
    tax_rates: pd.DataFrame
    meter_usage: pd.DataFrame | None = None


class State(NamedTuple):
    """What an item is at an instant.

    Its price and its quantity (decimal text; empty: none is known; `unreadable`: it cannot be read).
    """

    price: str
    quantity: str


class Line(NamedTuple):
    """An invoice line, or a pending invoice item, of a subscription item: a state over a service period.

    `taken` is what discounts took off it, by discount, those that took something, and `taxes` the tax Stripe
    computed for it, as JSON. `void` lines are weak evidence: the bill was taken back, or is a draft.
    `reverses` are the lines a credit gives back a share of.
    """

    id: str
    invoice: str | None
    created: int
    observed_at: int
    item: str
    state: State
    amount: int
    start: int
    end: int
    proration: bool
    credits: bool
    void: bool
    discounts: tuple[Discount, ...]
    taken: Mapping[str, int]
    draft: bool
    taxes: str | None
    reverses: frozenset[str]
    metered: bool = False


class Bill(NamedTuple):
    """An invoice of the subscription as a whole.

    Its outcome (paid or not, void, uncollectible) shows the subscription's status (`bills.py`).
    """

    id: str
    status: str
    reason: str | None
    created: int
    observed_at: int
    finalized: int | None
    due: int | None
    paid: int | None
    voided: int | None
    uncollectible: int | None
    why_uncollectible: str | None
    attempts: int | None


class Event(NamedTuple):
    """A subscription event: the state after it, and the changed fields before it."""

    id: str
    at: int
    type: str
    state: dict[str, Any]
    previous: dict[str, Any]


class Item(NamedTuple):
    """An item now on the subscription.

    `trial_start` and `trial_end` of a trial of its own, `tax_inside` by the tax rates set on it.
    """

    id: str
    created: int
    observed_at: int
    state: State
    discounts: tuple[Discount, ...]
    trial_start: int | None
    trial_end: int | None
    tax_inside: str | None = None


class Phase(NamedTuple):
    """A phase of a schedule that may have begun: (price, quantity) of every item from `start` on.

    `first` of its schedule, it repeats what was.
    """

    schedule: str
    start: int
    items: tuple[State, ...]
    first: bool


@dataclass
class Subscription:
    """One subscription as it is now, with everything that shows its past.

    `given` and `removed`, by discount: when an event reported its beginning and its end, and which event.
    `known` is the newest instant anything of it was read at: a row that stays as it is keeps the instant it
    was first read at.
    """

    id: str
    customer: str
    status: str
    currency: str
    livemode: bool
    created: int
    observed_at: int
    start_date: int
    trial_start: int | None
    trial_end: int | None
    ended_at: int | None
    paused: str | None
    discounts: tuple[Discount, ...]
    customer_discount: Discount | None
    customers_discounts: list[CustomersDiscount]
    given: Mapping[str, int]
    removed: Mapping[str, tuple[int, str]]
    items: list[Item]
    lines: list[Line]
    bills: list[Bill]
    events: list[Event]
    phases: list[Phase]
    unread: list[Unreadable]
    known: int = field(init=False)

    def __post_init__(self) -> None:
        self.note_known()

    def note_known(self) -> None:
        """Sets `known`, of which there is another when a bill is left out."""
        self.known = max(
            [
                self.observed_at,
                *[item.observed_at for item in self.items],
                *[bill.observed_at for bill in self.bills],
            ]
        )


def quantity(text: str | int | None) -> str:
    """Decimal text of a quantity; none at all reads as empty, which only a metered price may have."""
    return "" if text is None else _plain(text)


NO_QUANTITY = "?"
"""Of lines that together assert no quantity; followed by what is wrong, of an item that cannot be read."""


def unreadable(text: str) -> bool:
    """Whether a quantity is none.

    Negative, asserted by lines that contradict each other, or of an item that cannot be read.
    """
    return text.startswith(("-", NO_QUANTITY))


_plain = lru_cache(maxsize=1 << 16)(canonical.decimal_text)


def by_item(lines: list[Line]) -> dict[str, list[Line]]:
    """Lines of each item, in the order given."""
    grouped: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        grouped[line.item].append(line)
    return grouped
