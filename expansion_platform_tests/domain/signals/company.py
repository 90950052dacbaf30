"""A company of a few rows: what customers pay, hold, do in the product and say, and their signals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.months import parse, shift
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.by_customer import compute_signals
from expansion_platform.domain.signals.tables.facts import FACT_TABLES
from expansion_platform.domain.stripe.tables import Coupons
from expansion_platform_tests.domain.signals.rule_inputs import inputs, valid

Row = dict[str, Any]
Rows = Mapping[type[Table], Sequence[Mapping[str, Any]]]
MARCH = "2026-03"
"""Its month ends on 1 April and closes on 6 April 2026, midnight UTC."""
SIGNALS = (signals.Features, signals.Utilisation, signals.Health, signals.Readiness)
TABLES = (
    *(mrr.CustomerMonths, mrr.Movements, billing.ItemStates, Coupons),
    *(signals.AccountUsage, signals.FeatureUsage, signals.UsageMonths),
    *FACT_TABLES.values(),
)
GIVEN = frozenset(table_name(model) for model in FACT_TABLES.values())
NOTHING = {
    "active_users": 0, "active_days": 0, "mean_daily_users": "0.000000", "features_used": 0, "new_users": 0,
    "logins": 0, "invites": 0, "gate_hits": 0, "limit_warnings": 0, "integrations": 0, "milestones": 0,
}  # fmt: skip


def at(text: str) -> datetime:
    """An instant, UTC where the text says no other zone."""
    found = pd.Timestamp(text)
    return (found.tz_localize("UTC") if found.tzinfo is None else found).to_pydatetime()


def paid(
    month: str, customer: str = "c1", closing: int = 10000, listed: int | None = None, **more: Any
) -> Row:
    """A row of mrr/customer_months; a customer since 2025-01."""
    row = {
        "month": month,
        "customer": customer,
        "opening": closing,
        "closing": closing,
        "closing_list": closing if listed is None else listed,
        "closing_arr": 12 * closing,
        "first_paid_month": "2025-01",
    }
    return {**row, **more}


def moved(month: str, expansion: int = 0, contraction: int = 0, customer: str = "c1", **more: Any) -> Row:
    """A row of mrr/movements."""
    flows = {"flow_expansion": expansion, "flow_contraction": contraction}
    return {"month": month, "customer": customer, "segment": "smb", **flows, **more}


def state(begins: str, ends: str | None = None, **more: Any) -> Row:
    """A row of billing/item_states: 10 seats of `pro`; `scheme` and `discounts` as values."""
    row = {
        "customer": "c1", "subscription": "sub_1", "item": "si_1", "status": "active", "livemode": True,
        "currency": "usd", "product": "pro", "price": "pro_month", "usage_type": "licensed",
        "interval": "month", "interval_count": 1, "quantity": "10",
    }  # fmt: skip
    row = {**row, "valid_from": at(begins), "valid_to": None if ends is None else at(ends), **more}
    row["scheme_json"] = dumps(row.pop("scheme", {"type": "per_unit", "unit": "1000"}))
    row["discounts_json"] = dumps(row.pop("discounts", []))
    return row


def discount(duration: str = "repeating", coupon: str = "spring", value: str = "20") -> Row:
    return {"type": "percent", "value": value, "duration": duration, "coupon": coupon}


def graduated(*tiers: tuple[int | None, str]) -> Row:
    """A scheme by the edges of its tiers and their units."""
    return {
        "type": "graduated",
        "tiers": [
            {"up_to": None if up_to is None else str(up_to), "unit": unit, "flat": "0"}
            for up_to, unit in tiers
        ],
    }


def used(
    month: str, account: str = "a1", customer: str = "c1", known_at: str | None = None, **said: Any
) -> Row:
    """A row of analytics/account_usage, known since the month's end."""
    row = {"month": month, "account": account, "customer": customer, **NOTHING, **said}
    return {**row, "known_at": at(known_at or f"{shift(month, 1)}-01")}


def feature(month: str, name: str, events: int = 1, known_at: str | None = None, **more: Any) -> Row:
    """A row of analytics/feature_usage."""
    row = {"month": month, "account": "a1", "customer": "c1", "feature": name, "active_users": 1}
    return {**row, "events": events, "known_at": at(known_at or f"{shift(month, 1)}-01"), **more}


def read(month: str, complete: bool = True, new_users_by: str | None = "first seen") -> Row:
    """A row of analytics/usage_months."""
    return {"month": month, "complete": complete, "new_users_by": new_users_by}


def months_read(last: str, count: int = 4) -> list[Row]:
    """The months up to one, each read to its end."""
    return [read(shift(last, -back)) for back in range(count)]


def fact(known_at: str, version: int = 1, customer: str = "c1", gone: bool = False, **said: Any) -> Row:
    """A row of a table of facts."""
    row = {"customer": customer, "version": version, "gone": gone, "first_load": False}
    return {**row, **said, "known_at": at(known_at)}


def touch(day: str, known_at: str | None = None, id: str | None = None, **more: Any) -> Row:
    """A row of crm/activity, known since the day itself."""
    return fact(known_at or day, kind="touch", id=id or f"t{day}", date=day, **more)


def ticket(opened: str, known_at: str | None = None, id: str | None = None, **more: Any) -> Row:
    return fact(known_at or opened, id=id or f"k{opened}", opened=opened, **more)


def answer(day: str, score: int, known_at: str | None = None, id: str = "n1", **more: Any) -> Row:
    return fact(known_at or day, id=id, date=day, score=score, **more)


def own(day: str, signal: str, value: str, known_at: str | None = None, **more: Any) -> Row:
    return fact(known_at or day, date=day, signal=signal, value=value, **more)


@dataclass(frozen=True)
class Company:
    """Rows by table, and what else the rules see; c1 has account a1."""

    rows: Rows = field(default_factory=dict)
    accounts: Mapping[str, str] = field(default_factory=lambda: {"a1": "c1"})
    aliases: Mapping[str, str] = field(default_factory=dict)
    timezone: str = "UTC"
    values: Mapping[str, Any] = field(default_factory=dict)

    def with_rows(self, more: Rows) -> Company:
        """The same with more rows."""
        both = {model: [*self.rows.get(model, ()), *rows] for model, rows in more.items()}
        return replace(self, rows={**self.rows, **both})

    def inputs(self, only: Iterable[str] | None = None) -> Inputs:
        """What the rule sees: all customers, or the rows of some, as the engine gives a shard."""
        accounts = {"account": list(self.accounts), "customer": list(self.accounts.values())}
        given = {model: self.rows.get(model, ()) for model in TABLES}
        if only is not None:
            whole = (signals.Activity, signals.SupportTickets)
            given = {
                model: [
                    row
                    for row in rows
                    if model in whole or "customer" not in row or row["customer"] in set(only)
                ]
                for model, rows in given.items()
            }
        values = {
            "account_map": pd.DataFrame(accounts, dtype="str"), "facts_given": GIVEN, **self.values
        }  # fmt: skip
        return inputs(given, aliases=self.aliases, timezone=self.timezone, **values)

    def signals(self, *wanted: str, only: Iterable[str] | None = None) -> dict[type[Table], pd.DataFrame]:
        """The tables that the rule makes of some months, valid and in the order of their key."""
        found = compute_signals(list(wanted), self.inputs(only)).frames
        return {model: valid(model, found[model]) for model in SIGNALS}

    def row(self, model: type[Table], month: str = MARCH, customer: str = "c1", **more: str) -> Row:
        """One row of one month, null as None."""
        frame = self.signals(month)[model]
        for name, value in {"customer": customer, **more}.items():
            frame = frame[frame[name] == value]
        assert len(frame) == 1
        return {
            str(name): None if pd.isna(value) else value
            for name, value in zip(frame.columns, frame.iloc[0], strict=True)
        }

    def features(self, month: str = MARCH, customer: str = "c1") -> Row:
        return self.row(signals.Features, month, customer)


def company(more: Rows | None = None, **others: Any) -> Company:
    """Customer c1 with 10 seats of `pro` for 100.00 a month since January 2025, and what more is said."""
    base: Rows = {mrr.CustomerMonths: [paid(MARCH)], billing.ItemStates: [state("2025-01-10")]}
    return Company({**base, **(more or {})}, **others)


def calendar(first: str, last: str) -> list[str]:
    """Months from one to another."""
    assert parse(first) <= parse(last)
    return [first] if first == last else [first, *calendar(shift(first, 1), last)]
