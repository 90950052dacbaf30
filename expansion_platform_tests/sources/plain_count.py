"""What a month's events say: counted one by one in plain Python, and by EventCounter."""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import KINDS, SignalDefinition
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.usage import ACCOUNT_COLUMNS, FEATURE_COLUMNS, Asked, MonthUsage

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Event:
    """One line of a source. Copies have the same id."""

    event: str
    happened: pd.Timestamp
    accounts: tuple[str, ...] = ("org_a",)
    person: str | None = "p1"
    arrived: pd.Timestamp | None = None
    named: str | None = None
    id: str | None = None
    began: pd.Timestamp | None = None

    @property
    def known(self) -> pd.Timestamp:
        """When it arrived; as it happened, where nothing else is said."""
        return self.arrived if self.arrived is not None else self.happened


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def question(month: str = "2026-03", timezone: str = "UTC", now: str = "2026-09-01") -> Asked:
    """Closed after five days."""
    return Asked(month, timezone, months.closes(month, timezone, 5), at(now))


@dataclass(frozen=True)
class Counted:
    accounts: list[Row]
    features: list[Row]
    events: int
    events_without_account: int


def plain_count(events: Iterable[Event], asked: Asked, definition: SignalDefinition | None = None) -> Counted:
    definition = definition or SignalDefinition()
    active = [event for event in events if event.event not in definition.excluded_events]
    once: dict[Any, Event] = {}
    for event in sorted(active, key=lambda event: (event.known, event.happened)):
        once.setdefault(object() if event.id is None else event.id, event)
    month = [event for event in once.values() if asked.begins <= event.happened < asked.ends]
    known_began = any(event.began is not None for event in month)
    accounts, features = dict[Row, pd.Timestamp](), dict[Row, pd.Timestamp]()
    for before in (asked.closes, at("2200-01-01")):
        seen = [event for event in month if event.known < before]
        for account in {name for event in seen for name in event.accounts} - {*definition.internal_accounts}:
            own = [event for event in seen if account in event.accounts]
            figures = (account, *_figures(own, asked, definition, known_began))
            accounts.setdefault(figures, max(event.known for event in own))
            for feature in _features(own, definition):
                used = [event for event in own if _feature(event, definition) == feature]
                row = (account, feature, len(_people(used)), len(used))
                features.setdefault(row, max(event.known for event in used))
    return Counted(
        sorted(((row[0], known, *row[1:]) for row, known in accounts.items()), key=lambda row: row[:2]),
        sorted(((*row[:2], known, *row[2:]) for row, known in features.items()), key=lambda row: row[:3]),
        len(month),
        sum(not event.accounts for event in month),
    )


def _figures(own: Sequence[Event], asked: Asked, definition: SignalDefinition, known_began: bool) -> Row:
    """Values of ACCOUNT_COLUMNS but account and known_at."""
    visits = {(event.person, _day(event, asked)) for event in own if event.person is not None}
    days = calendar.monthrange(*map(int, asked.month.split("-")))[1]
    new: int | None = None
    if sign_ups := definition.events.sign_ups:
        new = len(_people(event for event in own if event.event in sign_ups))
    elif known_began:
        new = len(_people(event for event in own if event.began and asked.begins <= event.began < asked.ends))
    return (
        len(_people(own)),
        len({_day(event, asked) for event in own}),
        len(_features(own, definition)),
        new,
        *(sum(event.event in getattr(definition.events, kind) for event in own) for kind in KINDS),
        str((Decimal(len(visits)) / days).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)),
    )


def _people(events: Iterable[Event]) -> set[str]:
    return {event.person for event in events if event.person is not None}


def _features(events: Iterable[Event], definition: SignalDefinition) -> set[str]:
    return {feature for event in events if (feature := _feature(event, definition)) is not None}


def _feature(event: Event, definition: SignalDefinition) -> str | None:
    name = event.event if event.named is None else event.named
    return name if definition.features is None or name in definition.features else None


def _day(event: Event, asked: Asked) -> Any:
    return event.happened.to_pydatetime().astimezone(ZoneInfo(asked.timezone)).date()


def found(usage: MonthUsage) -> Counted:
    """The same of what a source answered."""
    assert tuple(usage.accounts.columns) == ACCOUNT_COLUMNS
    assert tuple(usage.features.columns) == FEATURE_COLUMNS
    new_users = usage.accounts["new_users"].astype(object)
    accounts = usage.accounts.assign(new_users=new_users.where(new_users.notna(), None))
    return Counted(
        list(accounts.itertuples(index=False, name=None)),
        list(usage.features.itertuples(index=False, name=None)),
        usage.events,
        usage.events_without_account,
    )


def definition(**fields: Any) -> SignalDefinition:
    return SignalDefinition.model_validate(fields)


def count(
    events: Iterable[Event], asked: Asked | None = None, meaning: SignalDefinition | None = None
) -> MonthUsage:
    with EventCounter(meaning or definition()) as counter:
        for each in events:
            counter.connection.execute(
                "INSERT INTO events SELECT ?, CASE WHEN who IS NOT NULL THEN hash(who) END, ?, ?, ?, ?, "
                "CASE WHEN id IS NOT NULL THEN hash(id) END, ? "
                "FROM (SELECT ?::VARCHAR AS who, ?::VARCHAR AS id)",
                [
                    list(each.accounts),
                    each.happened.to_pydatetime(),
                    each.known.to_pydatetime(),
                    each.event,
                    each.named,
                    None if each.began is None else each.began.to_pydatetime(),
                    each.person,
                    each.id,
                ],
            )
        return counter.month(asked or question())
