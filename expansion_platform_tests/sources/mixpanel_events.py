"""Events for the tests of Mixpanel, and reading them through a loopback server."""

from __future__ import annotations

import json
import logging
import random
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow
import pytest

from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response
from expansion_platform.simulator.servers.mixpanel import MixpanelServer
from expansion_platform.sources.analytics.mixpanel import Mixpanel
from expansion_platform.sources.analytics.usage import Asked, MonthUsage
from expansion_platform_tests.sources.plain_count import Event, definition, question

CANARY = "canary-4711@example.com"
SECRET = "secret-4711"
MEANING = definition(
    events={"logins": ["opened"], "invites": ["invited"], "milestones": ["opened"], "sign_ups": ["joined"]},
    feature_property="screen",
    excluded_events=["heartbeat"],
    internal_accounts=["us"],
)


def some_events(asked: Asked, seed: int = 5, count: int = 800) -> list[Event]:
    """Around a month: late ones, at its edges and those of days, of no, one or several accounts."""
    draw = random.Random(seed)  # noqa: S311 - events
    edges = [asked.begins, asked.ends, asked.begins + pd.Timedelta(days=9)]
    events = []
    for number in range(count):
        happened = (asked.begins + (asked.ends - asked.begins) * draw.uniform(-0.2, 1.2)).floor("s")
        if draw.random() < 0.2:
            happened = draw.choice(edges) + pd.Timedelta(seconds=draw.choice([-1, 0, 1]))
        late = draw.choice([draw.randrange(9), draw.randrange(9), draw.randrange(20 * 86400)])
        events.append(
            Event(
                draw.choice(["opened", "invited", "joined", "viewed", "heartbeat"]),
                happened,
                tuple(draw.sample(["org_a", "org_b", "org_c", "us"], draw.choice([0, 1, 1, 1, 2]))),
                draw.choice([None, *(f"p{person}" for person in range(30))]),
                # No two at once: of equal arrivals, the newest one would say nothing.
                happened + pd.Timedelta(seconds=late, milliseconds=number),
                draw.choice([None, "Reports", "Costs"]),
                f"insert-{number}",
            )
        )
    return events


def by_device(events: Sequence[Event]) -> list[Event]:
    """The same where people are known by their `distinct_id` only: each has two of them."""
    return [event if event.person is None else replace(event, person=_device(event)) for event in events]


def table(events: Sequence[Event]) -> pyarrow.Table:
    """As the stand-in takes them."""
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
    rows = [
        {
            "uuid": event.id,
            "event": event.event,
            "timestamp": event.happened,
            "created_at": event.arrived,
            "distinct_id": _device(event),
            "person_id": event.person,
            "$group_0": list(event.accounts),
            "properties": json.dumps({} if event.named is None else {"screen": event.named}),
        }
        for event in events
    ]
    return pyarrow.Table.from_pylist(rows, pyarrow.schema(list(schema.items())))


def _device(event: Event) -> str:
    return "" if event.person is None else f"{event.person} on device {len(str(event.id)) % 2}"


def server_of(events: Sequence[Event], **oddities: Any) -> MixpanelServer:
    server = MixpanelServer(lambda: table(events), secret=SECRET)
    for name, value in {"private": CANARY, **oddities}.items():
        assert hasattr(server, name)
        setattr(server, name, value)
    return server


def source_of(server: LoopbackServer, meaning: SignalDefinition = MEANING, **options: Any) -> Mixpanel:
    account = {"project_id": "1", "username": "simulated.service-account", "secret": SECRET}
    return Mixpanel(server.url, definition=meaning, **{"first_wait_seconds": 0.001, **account, **options})


def read(
    server: LoopbackServer, asked: Asked | None = None, meaning: SignalDefinition = MEANING, **options: Any
) -> MonthUsage:
    with source_of(server, meaning, **options) as source:
        return source.month(asked or question())


# Lines that the stand-in would not write


@dataclass(frozen=True)
class Raw(Response):
    """Bytes as they are."""

    def encoded(self) -> tuple[bytes, str]:
        return self.body, "text/plain; charset=utf-8"


class Canned(LoopbackServer):
    """Answers every request with the same bytes."""

    def __init__(self, body: bytes, status: int = 200, **headers: str) -> None:
        super().__init__()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = Raw(body, status, named)

    def answer(self, request: Request) -> Response:
        return self.response


def line(event: str = "opened", **properties: Any) -> str:
    """A line of March 2026; a property given as `...` is missing."""
    given = {
        "time": 1_772_600_000,  # 4 March
        "distinct_id": "p1",
        "$email": CANARY,
        "mp_processing_time_ms": 1_772_600_001_000,
        "company_id": "org_a",
        **properties,
    }
    kept = {name: value for name, value in given.items() if value is not ...}
    return json.dumps({"event": event, "properties": kept})


def read_lines(*lines: str | bytes, meaning: SignalDefinition = MEANING, **options: Any) -> MonthUsage:
    body = b"".join((text.encode() if isinstance(text, str) else text) + b"\n" for text in lines)
    with Canned(body) as server:
        return read(server, meaning=meaning, **options)


def failure(raised: pytest.ExceptionInfo[BaseException]) -> str:
    """The text of an error; of it and all before it nothing quotes a line or a secret."""
    error: BaseException | None = raised.value
    seen = []
    while error is not None:
        seen.append(f"{error!r} {error.args} {''.join(traceback.format_exception(error))}")
        error = error.__cause__ or error.__context__
    assert not any(text in whole for whole in seen for text in (CANARY, SECRET))
    return str(raised.value)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing about people and no secret is ever logged."""
    caplog.set_level(logging.DEBUG)
    yield
    assert CANARY not in caplog.text and SECRET not in caplog.text
