"""The history of a shard of customers: their news for the log, and the states that follow from it.

Here: what each task reads of the lake, as plain values for any process. Not here: how history is read
(`domain/history/`), whose history changed (`changed_customers.py`), writing (`tables/history.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow.dataset

from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.item_states import History, states_of
from expansion_platform.domain.history.log import holding, unlogged
from expansion_platform.domain.history.records import Staged
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.ingestion.changed_customers import relevant_events
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.rows import among
from expansion_platform.storage.shards import EVERYONE, Shard, shards_of

STAGED: dict[str, type[Table]] = {
    "customers": stripe.Customers,
    "prices": stripe.Prices,
    "coupons": stripe.Coupons,
    "tax_rates": stripe.TaxRates,
    "subscriptions": stripe.Subscriptions,
    "subscription_items": stripe.SubscriptionItems,
    "subscription_schedules": stripe.SubscriptionSchedules,
    "invoices": stripe.Invoices,
    "invoice_lines": stripe.InvoiceLines,
    "invoice_items": stripe.InvoiceItems,
    "events": stripe.Events,
    "meter_usage": stripe.MeterUsage,
}
HAPPENING = ["created", "type", "object_id", "request_id", "state_json", "previous_json"]
"""What two events of one happening have in common."""


@dataclass(frozen=True)
class Whose:
    """Customers of whom history is read, and where.

    Their names, None for everyone, and until when Stripe was read, None before the first pull.
    """

    root: Path
    names: frozenset[str] | None
    until: pd.Timestamp | None
    timezone: str

    @cached_property
    def lake(self) -> Lake:
        """The tables."""
        return Lake(self.root)

    def shards(self, model: type[Table], size: int) -> list[Shard]:
        """The customers in parts of about so many rows of a table."""
        return shards_of(self.lake, model, size, {}, self.rows(EVERYONE))

    def rows(self, shard: Shard, column: str = "customer") -> pyarrow.dataset.Expression | None:
        """Which rows are of those of them that are in a shard."""
        theirs = shard.rows(column)
        if self.names is None:
            return theirs
        named = among(column, self.names)
        return named if theirs is None else named & theirs


def news_of(whose: Whose, shard: Shard) -> pd.DataFrame:
    """What Stripe's rows say of a shard's customers that the log does not have yet."""
    found = changes(stage(whose, shard), whose.timezone)
    return unlogged(found, holding(whose.lake.read(billing.ItemChanges, where=whose.rows(shard))))


def history_of(whose: Whose, shard: Shard) -> History:
    """The states of a shard's customers that follow from the valid entries of the log."""
    valid = holding(whose.lake.read(billing.ItemChanges, where=whose.rows(shard)))
    return states_of(valid, whose.lake.read(stripe.Prices), whose.lake.read(stripe.Coupons))


def stage(whose: Whose, shard: Shard = EVERYONE) -> Staged:
    """What history is rebuilt from, of some customers.

    A stored row keeps the instant it was first seen as it is. An invoice was still so at the newest pull,
    which reads every change of one: its `observed_at` is raised to that, so that a draft left, a bill unpaid
    and a month without usage mean the same however often was pulled before. Stripe sometimes makes two events
    of one happening: the second would follow the first in its second, and could not.
    """
    lake, theirs = whose.lake, whose.rows(shard)
    subscriptions = lake.read(stripe.Subscriptions, where=theirs)
    where: dict[type[Table], pyarrow.dataset.Expression | None] = {
        stripe.Customers: whose.rows(shard, "id"),
        stripe.SubscriptionItems: None if theirs is None else among("subscription", subscriptions["id"]),
        stripe.Events: relevant_events() if theirs is None else relevant_events() & theirs,
        **dict.fromkeys((stripe.Prices, stripe.Coupons, stripe.TaxRates)),
    }
    frames = {
        name: lake.read(model, where=where.get(model, theirs))
        for name, model in STAGED.items()
        if model is not stripe.Subscriptions
    }
    frames["events"] = frames["events"].drop_duplicates(HAPPENING)
    if whose.until is not None:
        observed = frames["invoices"]["observed_at"]
        frames["invoices"] = frames["invoices"].assign(
            observed_at=observed.mask(observed < whose.until, whose.until)
        )
    return Staged(subscriptions=subscriptions, **frames)
