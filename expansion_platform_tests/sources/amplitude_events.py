"""Events for the tests of Amplitude, and what a plain loop counts of them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.simulator.servers.http import LoopbackServer
from expansion_platform.sources.analytics.amplitude import Amplitude
from expansion_platform.sources.analytics.amplitude_lines import OWN_EVENTS
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

CANARY = "canary-4711@example.com"
NAMES = ["report_created", "login", "invite_sent", "paywall_seen", "[Amplitude] Page Viewed"]
DEFINITION = SignalDefinition(
    events=Events(
        logins=("login",), invites=("invite_sent",), gate_hits=("paywall_seen",), milestones=("login",)
    )
)


@dataclass(frozen=True)
class Event:
    name: str
    person: str
    happened: pd.Timestamp
    arrived: pd.Timestamp
    accounts: tuple[str, ...]
    properties: str = "{}"

    @property
    def row(self) -> dict[str, Any]:
        return {
            "event": self.name,
            "timestamp": self.happened,
            "created_at": self.arrived,
            "distinct_id": self.person,
            "person_id": self.person,
            "$group_0": list(self.accounts),
            "properties": self.properties,
        }


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def event(
    name: str = "login",
    person: str = "p1",
    happened: str = "2026-01-10 12:00:00",
    arrived: str | None = None,
    accounts: Sequence[str] = ("org_a",),
    **properties: Any,
) -> Event:
    return Event(name, person, at(happened), at(arrived or happened), tuple(accounts), json.dumps(properties))


def some_events(seed: int, count: int = 1500) -> list[Event]:
    """Around January, a third of them late by up to 20 days; of no, one or two accounts."""
    chance = random.Random(seed)  # noqa: S311 - events
    events = []
    for number in range(count):
        happened = at("2025-12-10") + pd.Timedelta(seconds=chance.randrange(80 * 86400), microseconds=number)
        late = chance.choice([chance.randrange(60), chance.randrange(3600), chance.randrange(20 * 86400)])
        accounts = tuple(chance.sample(["org_a", "org_b", "org_c", "org_d"], chance.choice([0, 1, 1, 1, 2])))
        person = f"person {chance.randrange(40)} of {number % 3}"
        name = chance.choice([*NAMES, OWN_EVENTS[number % len(OWN_EVENTS)]])
        events.append(Event(name, person, happened, happened + pd.Timedelta(seconds=late), accounts))
    return events


def table(events: Sequence[Event]) -> pyarrow.Table:
    rows = [{"uuid": f"uuid-{number}", **event.row} for number, event in enumerate(events)]
    instant = pyarrow.timestamp("us", tz="UTC")
    schema = {
        "uuid": pyarrow.string(),
        "event": pyarrow.string(),
        "timestamp": instant,
        "created_at": instant,
        "distinct_id": pyarrow.string(),
        "person_id": pyarrow.string(),
        "$group_0": pyarrow.list_(pyarrow.string()),
        "properties": pyarrow.string(),
    }
    return pyarrow.Table.from_pylist(rows, pyarrow.schema(list(schema.items())))


def question(month: str = "2026-01", timezone: str = "UTC", now: str = "2026-06-01") -> Asked:
    return Asked(month, timezone, months.closes(month, timezone, 5), at(now))


def counted(
    events: Sequence[Event], asked: Asked, until: pd.Timestamp
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows of both tables, of what was uploaded until an instant, counted one by one."""
    begins = {}
    for item in events:
        begins[item.person] = min(begins.get(item.person, item.happened), item.happened)
    days = pd.Period(asked.month).days_in_month
    usual = [
        item for item in events if item.name not in OWN_EVENTS and asked.begins <= item.happened < asked.ends
    ]
    accounts: dict[tuple[Any, ...], pd.Timestamp] = {}
    features: dict[tuple[Any, ...], pd.Timestamp] = {}
    for before in (min(asked.closes, until), until):
        known = [item for item in usual if item.arrived < before]
        for account in {account for item in known for account in item.accounts}:
            own = [item for item in known if account in item.accounts]
            names = [item.name for item in own]
            visits = {
                (item.person, item.happened.tz_convert(ZoneInfo(asked.timezone)).date()) for item in own
            }
            mean = (Decimal(len(visits)) / days).quantize(Decimal("1.000000"), ROUND_HALF_EVEN)
            figures = (
                len({item.person for item in own}),
                len({day for _, day in visits}),
                len(set(names)),
                len({item.person for item in own if asked.begins <= begins[item.person] < asked.ends}),
                names.count("login"),
                names.count("invite_sent"),
                names.count("paywall_seen"),
                0,
                0,
                names.count("login"),
                str(mean),
            )
            accounts.setdefault((account, *figures), max(item.arrived for item in own))
            for name in set(names):
                used = [item for item in own if item.name == name]
                row = (account, name, len({item.person for item in used}), len(used))
                features.setdefault(row, max(item.arrived for item in used))
    account_rows = [(row[0], known_at, *row[1:]) for row, known_at in accounts.items()]
    feature_rows = [(*row[:2], known_at, *row[2:]) for row, known_at in features.items()]
    return sorted(account_rows), sorted(feature_rows)


def rows(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(frame.itertuples(index=False, name=None))


def assert_counted(
    usage: MonthUsage, events: Sequence[Event], asked: Asked, until: str = "2100-01-01"
) -> None:
    accounts, features = counted(events, asked, at(until))
    assert usage.incomplete is None
    assert rows(usage.accounts) == accounts
    assert rows(usage.features) == features


# A server's events that the tests of requests read, as they read them

EVENTS = some_events(11, 400)
SOON, UNTIL = "2026-02-06 01:30", "2026-02-05 22:00"  # asked at, and what Amplitude can have ready then


def read(
    server: LoopbackServer,
    asked: Asked | None = None,
    definition: SignalDefinition = DEFINITION,
    **keys: str,
) -> MonthUsage:
    source = Amplitude(
        server.url,
        **{"api_key": "amplitude_simulated", "secret_key": "amplitude_secret", **keys},
        definition=definition,
        first_wait_seconds=0.001,
    )
    try:
        return source.month(asked or question(now=SOON))
    finally:
        source.close()


def assert_read(usage: MonthUsage) -> None:
    """Nothing is missing and nothing counted twice of what EVENTS had been uploaded."""
    assert usage.events > 100
    assert_counted(usage, EVENTS, question(), UNTIL)
