"""Item states as frames, from the dictionaries of `books.py`, at an instant and over a month."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.flags import Facts, licensed_seats
from expansion_platform.domain.mrr.migrations import price_moves
from expansion_platform.domain.mrr.month_ends import read_timeline, value_month_ends
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, catalog_entries
from expansion_platform.domain.mrr.monthly import unflagged_rows
from expansion_platform.domain.mrr.movements import Classified
from expansion_platform.domain.mrr.parts import flagged as with_flags
from expansion_platform.domain.mrr.parts import shown_by_all
from expansion_platform.domain.mrr.valuation import STATE

_DEFAULTS = {
    "collection_paused": None,
    "livemode": True,
    "usage_type": "licensed",
    "interval": "month",
    "interval_count": 1,
}


def states(items: list[dict[str, Any]]) -> pd.DataFrame:
    """One row an item, the columns of `billing/item_states` that rules read."""
    texts = [
        {
            "scheme_json": canonical.dumps(row["scheme"]),
            "discounts_json": canonical.dumps(row.get("discounts", [])),
        }
        for row in items
    ]
    rows = [_DEFAULTS | row | text for row, text in zip(items, texts, strict=True)]
    return pd.DataFrame(rows, columns=STATE).astype({"livemode": "bool", "interval_count": "int64"})


@dataclass(frozen=True)
class Month:
    """A month's item states with their history and at both ends, rates, and who was deleted."""

    history: pd.DataFrame
    opening: pd.DataFrame
    closing: pd.DataFrame
    rates_open: Any
    rates_close: Any
    deleted: Any
    name: str = "2026-03"


@dataclass(frozen=True)
class Flagged:
    """Rows of one month as they are stored, without month and hashes."""

    movements: pd.DataFrame
    causes: pd.DataFrame
    migrations: pd.DataFrame


def month(
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    history: pd.DataFrame | None = None,
    rates: Any = None,
    rates_close: Any = None,
    deleted: Any = (),
) -> Month:
    """March 2026 with these states at its ends; without `history`, every change is in its middle."""
    if history is None:
        history = pd.concat(
            [dated(before, "2026-01-01", "2026-03-15"), dated(after, "2026-03-15", None)], ignore_index=True
        )
    return Month(history, before, after, rates or {}, rates_close or rates or {}, deleted)


def flagged(plain: Classified, month: Month, catalog: Catalog, *, rates_alone: bool = False) -> Flagged:
    """The rows of a classified month with reasons and flags."""
    calendar = months.between(months.shift(month.name, -13), month.name)
    timeline = read_timeline(month.history, calendar, catalog, "UTC")
    needed = np.zeros(len(calendar), dtype=bool)
    needed[-2:] = True
    amounts = value_month_ends(
        timeline, {calendar[-2]: month.rates_open, calendar[-1]: month.rates_close}, catalog, needed
    )
    book, last = plain.changes.book, len(calendar) - 1
    customer = timeline.customers.get_indexer(book.customers)
    inside = timeline.customer[(timeline.begins == last) | (timeline.beyond == last)]
    facts = Facts(
        timeline,
        amounts,
        "UTC",
        month=np.full(len(customer), last),
        customer=customer,
        within=np.isin(customer, inside),
        item=timeline.items.get_indexer(book.items),
        seats=licensed_seats(timeline, catalog_entries(timeline.distinct, catalog)),
        first=None if month.history.empty else month.history["valid_from"].min(),
    )
    rows = unflagged_rows(
        plain.changes,
        facts,
        ends=(month.opening, month.closing),
        deleted=np.asarray(book.customers.isin(list(month.deleted)), dtype=bool),
        catalog=catalog,
        rates_alone=rates_alone,
    )
    shown = shown_by_all(
        [price_moves(rows.causes, rows.movements, holding(book, month.name))], catalog, [month.name]
    )
    found = {**with_flags(rows, shown), mrr.PriceMigrations: shown.migrations}
    return Flagged(
        *(found[model].drop(columns="month") for model in (mrr.Movements, mrr.Causes, mrr.PriceMigrations))
    )


def holding(book: MonthSnapshot, month: str) -> pd.DataFrame:
    """Customers with a counting item on each price at the opening, one price after the other."""
    side = book.opening
    price = book.distinct["price"].astype("str").to_numpy()[side.terms]
    rows = [(month, old, len(set(side.customer[side.counts & (price == old)]))) for old in sorted(set(price))]
    return pd.DataFrame(rows, columns=["month", "old_price", "customers_on_old"]).astype(
        {"month": "str", "old_price": "str"}
    )


def dated(rows: pd.DataFrame, start: str, end: str | None, source: str = "event") -> pd.DataFrame:
    """The rows as states from `start` to `end`, ISO dates."""
    bounds = {"valid_from": start, "valid_to": end}
    return rows.assign(
        source=source,
        **{
            name: pd.Series(pd.to_datetime([at] * len(rows), utc=True).as_unit("us"), index=rows.index)
            for name, at in bounds.items()
        },
    )
