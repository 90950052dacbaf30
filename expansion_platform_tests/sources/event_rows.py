"""Product events in tables of a database, and what a loop over them counts.

Three ways to the same figures: the tables, a table of `EventCounter`, and plain Python.
"""

from __future__ import annotations

import calendar
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import sqlalchemy as sa

from expansion_platform.domain.signals.definition import KINDS, SignalDefinition
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.tracks import Tracks
from expansion_platform.sources.analytics.tracks_mapping import TracksMapping
from expansion_platform.sources.analytics.usage import ACCOUNT_COLUMNS, FEATURE_COLUMNS, Asked, MonthUsage

CANARY = "canary-4711@example.com"
Row = dict[str, Any]


@dataclass(frozen=True)
class Event:
    id: str | None
    event: str | None
    happened: pd.Timestamp
    arrived: pd.Timestamp
    person: str | None
    account: str | None
    named: str | None = None


@dataclass(frozen=True)
class Call:
    """A person is put into an account."""

    person: str
    account: str
    happened: pd.Timestamp
    arrived: pd.Timestamp


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def asked(month: str = "2026-03", timezone: str = "UTC") -> Asked:
    far = at("2027-01-01")
    ends = Asked(month, timezone, far, far).ends
    return Asked(month, timezone, ends + pd.Timedelta(days=5), ends + pd.Timedelta(days=40))


def loaded_after(question: Asked) -> Event:
    """An event by which the month is over."""
    later = question.ends + pd.Timedelta(days=39)
    return Event("loaded", "opened", later, later, "somebody", "elsewhere")


# Databases


@dataclass
class Database:
    """A database with a schema of its own; SQLite has none."""

    url: str
    schema: str | None

    def __post_init__(self) -> None:
        self.engine = sa.create_engine(self.url, poolclass=sa.NullPool)
        if self.schema is not None:
            with self.engine.begin() as connection:
                connection.execute(sa.schema.CreateSchema(self.schema, if_not_exists=True))

    def write(self, name: str, rows: Sequence[Row], columns: dict[str, Any]) -> None:
        """A table with these rows alone. `columns` are types, else names of texts."""
        table = sa.Table(
            name, sa.MetaData(), *(sa.Column(key, kind) for key, kind in columns.items()), schema=self.schema
        )
        with self.engine.begin() as connection:
            table.drop(connection, checkfirst=True)
            table.create(connection)
            if rows:
                connection.execute(table.insert(), [{key: row.get(key) for key in columns} for row in rows])

    def tracks(self, mapping: TracksMapping, definition: SignalDefinition | None = None) -> Tracks:
        return Tracks(self.url, mapping, self.schema, definition or SignalDefinition())


@contextmanager
def database(kind: str, name: str, folder: Path, postgres: str | None) -> Iterator[Database]:
    """`kind` is sqlite or postgres; `name` of the file or schema."""
    url = f"sqlite:///{folder / name}.sqlite" if kind == "sqlite" else str(postgres)
    made = Database(url, None if kind == "sqlite" else name)
    yield made
    made.engine.dispose()


INSTANT = sa.DateTime(timezone=True)
TRACKS = {
    **dict.fromkeys(("id", "event", "user_id", "anonymous_id", "context_group_id", "report"), sa.Text()),
    **dict.fromkeys(("timestamp", "received_at"), INSTANT),
    **dict.fromkeys(("context_ip", "context_traits_email"), sa.Text()),
}
GROUPS = {
    **dict.fromkeys(("id", "group_id", "user_id", "anonymous_id", "email"), sa.Text()),
    **dict.fromkeys(("timestamp", "received_at"), INSTANT),
}


def track_rows(events: Iterable[Event]) -> list[Row]:
    """Rows of Segment's `tracks`; people whose name begins with `visitor` are anonymous."""
    return [
        {
            "id": each.id,
            "event": each.event,
            "timestamp": each.happened.to_pydatetime(),
            "received_at": each.arrived.to_pydatetime(),
            "anonymous_id" if (each.person or "").startswith("visitor") else "user_id": each.person,
            "context_group_id": each.account,
            "report": each.named,
            "context_ip": "203.0.113.7",
            "context_traits_email": CANARY,
        }
        for each in events
    ]


def group_rows(calls: Iterable[Call]) -> list[Row]:
    return [
        {
            "id": f"call {number}",
            "group_id": each.account,
            "anonymous_id" if each.person.startswith("visitor") else "user_id": each.person,
            "timestamp": each.happened.to_pydatetime(),
            "received_at": each.arrived.to_pydatetime(),
            "email": CANARY,
        }
        for number, each in enumerate(calls)
    ]


# Events


def random_events(seed: int, count: int, question: Asked) -> list[Event]:
    """Events around a month: copies, late ones, no account, nobody, at the edges of days and of the month."""
    draw = random.Random(seed)  # noqa: S311  a seeded generator is the point
    begins, ends = question.begins, question.ends
    edges = [begins, ends, begins + pd.Timedelta(days=1), ends - pd.Timedelta(days=1)]
    events: list[Event] = []
    for number in range(count):
        if events and draw.random() < 0.2:  # a copy, in its own time and perhaps with another clock
            first = draw.choice(events)
            moved = draw.choice([0, 0, 0, 3, -3])
            events.append(
                replace(
                    first,
                    happened=first.happened + pd.Timedelta(seconds=moved),
                    arrived=_later(draw, first.happened, question) + pd.Timedelta(microseconds=number),
                )
            )
            continue
        happened = begins + (ends - begins) * draw.uniform(-1.0, 1.2)
        if draw.random() < 0.2:
            happened = draw.choice(edges) + pd.Timedelta(microseconds=draw.choice([-1, 0, 1]))
        happened = happened.round("us")
        events.append(
            Event(
                id=None if draw.random() < 0.1 else f"m{number}",
                event=draw.choice(EVENTS),
                happened=happened,
                arrived=_later(draw, happened, question) + pd.Timedelta(microseconds=number),
                person=draw.choice([None, *(f"user {each}" for each in range(12)), "visitor 1", "visitor 2"]),
                account=draw.choice([None, "", *(f"org_{each}" for each in range(6)), "own"]),
                named=draw.choice([None, None, "", "Sales", "Costs"]),
            )
        )
    return [*events, loaded_after(question)]


def random_calls(seed: int, count: int, question: Asked) -> list[Call]:
    draw = random.Random(seed)  # noqa: S311  a seeded generator is the point
    calls = []
    for number in range(count):
        happened = (question.begins + (question.ends - question.begins) * draw.uniform(-1.0, 1.0)).round("us")
        calls.append(
            Call(
                draw.choice([*(f"user {each}" for each in range(12)), "visitor 1"]),
                draw.choice(["org_1", "org_2", "own"]),
                happened,
                _later(draw, happened, question) + pd.Timedelta(microseconds=number),
            )
        )
    return calls


def _later(draw: random.Random, happened: pd.Timestamp, question: Asked) -> pd.Timestamp:
    """An arrival: soon, after days, or about the close of the month."""
    chosen = draw.random()
    if chosen < 0.7:
        return happened + pd.Timedelta(seconds=draw.choice([-20, 0, 2, 30]))
    if chosen < 0.85:
        return happened + pd.Timedelta(hours=draw.randint(1, 24 * 20))
    return max(happened, question.closes + pd.Timedelta(seconds=draw.choice([-1, 0, 1, 90_000])))


EVENTS = ("signed_in", "report_created", "invited", "paywall_seen", "joined", "opened", "heartbeat")
DEFINITION = SignalDefinition.model_validate(
    {
        "events": {
            "logins": ["signed_in"],
            "invites": ["invited"],
            "gate_hits": ["paywall_seen"],
            "milestones": ["report_created", "invited"],
            "sign_ups": ["joined"],
        },
        "feature_property": "report",
        "features": ["Sales", "report_created", "invited"],
        "excluded_events": ["heartbeat"],
        "internal_accounts": ["own"],
    }
)
FIRST_SEEN = DEFINITION.model_copy(
    update={"events": DEFINITION.events.model_copy(update={"sign_ups": ()}), "features": None}
)


# What is expected


def by_event_counter(events: Iterable[Event], question: Asked, definition: SignalDefinition) -> MonthUsage:
    """What EventCounter says; of who is new only by sign-ups."""
    rows = pd.DataFrame([vars(each) for each in events])
    rows = rows.assign(**{name: rows[name].astype("str") for name in ("id", "event", "person", "account")})
    rows["named"] = rows["named"].astype("str")
    with EventCounter(definition) as counter:
        counter.connection.register("given", rows)
        counter.connection.execute(
            """
            INSERT INTO events SELECT
                CASE WHEN nullif(account, '') IS NULL THEN [] ELSE [account] END,
                CASE WHEN person IS NOT NULL THEN hash(person) END,
                happened, arrived, event, nullif(named, ''), CASE WHEN id IS NOT NULL THEN hash(id) END, NULL
            FROM given
            """
        )
        return counter.month(question)


@dataclass
class Expected:
    accounts: pd.DataFrame
    features: pd.DataFrame
    events: int
    without_account: int


def by_loop(
    events: Sequence[Event],
    question: Asked,
    definition: SignalDefinition,
    calls: Sequence[Call] | None = None,
) -> Expected:
    """The figures by plain loops; with `calls`, accounts are those of the person's last call."""
    activity = [each for each in events if each.event not in definition.excluded_events]
    within = [each for each in activity if question.begins <= each.happened < question.ends]
    first: dict[Any, Event] = {}
    for each in sorted(within, key=lambda event: event.arrived):
        first.setdefault(("id", each.id) if each.id else object(), each)
    once, earlier = list(first.values()), [each for each in activity if each.happened < question.begins]
    if calls is not None:
        once, earlier = ([_by_call(each, calls, question) for each in some] for some in (once, earlier))
    seen: dict[tuple[Any, Any], pd.Timestamp] = {}
    for each in earlier:
        key = (each.account, each.person)
        seen[key] = min(seen.get(key, each.arrived), each.arrived)
    counted = [each for each in once if each.account and each.account not in definition.internal_accounts]
    accounts, features = [], []
    for account in sorted({str(each.account) for each in counted}):
        own = [each for each in counted if each.account == account]
        accounts += _versions(own, question, definition, seen, account)
        for feature in sorted({name for each in own if (name := _feature(each, definition))}):
            of_feature = [each for each in own if _feature(each, definition) == feature]
            features += _feature_versions(of_feature, question, account, feature)
    kinds = dict.fromkeys(("active_users", "active_days", "features_used", *KINDS), "int64")
    return Expected(
        pd.DataFrame(accounts, columns=list(ACCOUNT_COLUMNS)).astype(
            {"account": "str", **kinds, "new_users": "Int64", "mean_daily_users": "str", **_KNOWN}
        ),
        pd.DataFrame(features, columns=list(FEATURE_COLUMNS)).astype(
            {"account": "str", "feature": "str", "active_users": "int64", "events": "int64", **_KNOWN}
        ),
        len(once),
        sum(not each.account for each in once),
    )


_KNOWN = {"known_at": "datetime64[us, UTC]"}


def _versions(
    own: list[Event], question: Asked, definition: SignalDefinition, seen: dict[Any, Any], account: str
) -> list[Row]:
    versions: list[Row] = []
    days = calendar.monthrange(*map(int, question.month.split("-")))[1]
    for until, late in ((question.closes, False), (at("2100-01-01"), True)):
        rows = [each for each in own if each.arrived < until]
        if not rows:
            continue
        people = {each.person for each in rows if each.person}
        before = {who for who in people if seen.get((account, who), until) < until}
        person_days = {(each.person, _day(each, question)) for each in rows if each.person}
        mean = (Decimal(len(person_days)) / days).quantize(Decimal("0.000001"), ROUND_HALF_EVEN)
        sign_ups = definition.events.sign_ups
        known = [each.arrived for each in rows]
        if late and not sign_ups:
            known += [seen[account, who] for who in before if seen[account, who] >= question.closes]
        figures = {
            "account": account,
            "active_users": len(people),
            "active_days": len({_day(each, question) for each in rows}),
            "features_used": len({_feature(each, definition) for each in rows} - {None}),
            "new_users": len({each.person for each in rows if each.event in sign_ups} - {None, ""})
            if sign_ups
            else len(people - before),
            **{kind: sum(each.event in getattr(definition.events, kind) for each in rows) for kind in KINDS},
            "mean_daily_users": str(mean),
        }
        if not versions or {**versions[0], "known_at": None} != {**figures, "known_at": None}:
            versions.append({**figures, "known_at": max(known)})
    return versions


def _feature_versions(own: list[Event], question: Asked, account: str, feature: str) -> list[Row]:
    versions: list[Row] = []
    for until in (question.closes, at("2100-01-01")):
        rows = [each for each in own if each.arrived < until]
        people = {each.person for each in rows if each.person}
        if rows and (not versions or len(rows) != versions[0]["events"]):
            versions.append(
                {
                    "account": account,
                    "feature": feature,
                    "known_at": max(each.arrived for each in rows),
                    "active_users": len(people),
                    "events": len(rows),
                }
            )
    return versions


def _by_call(event: Event, calls: Sequence[Call], question: Asked) -> Event:
    usable = [
        call
        for call in sorted(calls, key=lambda call: (call.happened, call.arrived, call.account))
        if call.person == event.person
        and call.happened <= event.happened
        and (call.arrived < question.closes or event.arrived >= question.closes)
    ]
    if not usable:
        return replace(event, account=None)
    since = usable[-1]
    for call in reversed(usable):
        if call.account != since.account:
            break
        since = call
    return replace(event, account=since.account, arrived=max(event.arrived, since.arrived))


def _feature(event: Event, definition: SignalDefinition) -> str | None:
    name = event.named or event.event
    return name if definition.features is None or name in definition.features else None


def _day(event: Event, question: Asked) -> Any:
    local: datetime = event.happened.to_pydatetime().astimezone(ZoneInfo(question.timezone))
    return local.date()


def same(found: MonthUsage, accounts: pd.DataFrame, features: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found.accounts, accounts)
    pd.testing.assert_frame_equal(found.features, features)


DAY = timedelta(days=1)
