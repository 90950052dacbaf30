"""The PostHog adapter, against the loopback PostHog and against answers it never gives."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pyarrow.compute
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.simulator.servers.http import DROPPED, LoopbackServer, Request, Response
from expansion_platform.simulator.servers.posthog import PostHogServer
from expansion_platform.sources.analytics import posthog_queries, requesting
from expansion_platform.sources.analytics.accounts import accounts_of_metadata, read_account_map
from expansion_platform.sources.analytics.counting import EventCounter
from expansion_platform.sources.analytics.posthog import PostHog, PostHogError
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

EVENTS = [
    # account, person, event, instant
    ("org_a", "p1", "report_created", "2026-01-05T10:00:00Z"),
    ("org_a", "p1", "report_created", "2026-01-06T10:00:00Z"),
    ("org_a", "p2", "report_created", "2026-01-07T10:00:00Z"),
    ("org_a", "p1", "api_call", "2026-01-31T23:30:00Z"),  # February in Berlin
    ("org_b's \\ team", "p3", "api_call", "2026-02-28T23:30:00Z"),  # March in Berlin
    ("org_b's \\ team", "p3", "report_created", "2026-02-01T00:00:00Z"),
    ("org_b's \\ team", "p3", "$pageview", "2026-02-02T00:00:00Z"),
    ("", "p4", "report_created", "2026-02-02T00:00:00Z"),  # nobody's account
]


def events() -> pyarrow.Table:
    accounts, people, names, instants = zip(*EVENTS, strict=True)
    return pyarrow.table(
        {
            "uuid": [str(number) for number in range(len(EVENTS))],
            "event": names,
            "timestamp": pyarrow.array(pd.to_datetime(list(instants)), pyarrow.timestamp("us", tz="UTC")),
            "distinct_id": people,
            "person_id": people,
            "$group_0": accounts,
        }
    )


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    with PostHogServer(events) as running:
        yield running


DEFINITION = SignalDefinition.model_validate(
    {"events": {"logins": ["$pageview"], "gate_hits": ["api_call"]}, "excluded_events": ["heartbeat"]}
)


def asked(month: str, timezone: str = "UTC", closes: str | None = None) -> Asked:
    closing = (
        months.closing(month, timezone) + pd.Timedelta(days=5) if closes is None else pd.Timestamp(closes)
    )
    return Asked(month, timezone, closing, pd.Timestamp("2026-06-01", tz="UTC"))


def read(
    server: LoopbackServer,
    month: str = "2026-01",
    timezone: str = "UTC",
    closes: str | None = None,
    definition: SignalDefinition = DEFINITION,
    **options: Any,
) -> MonthUsage:
    options = {"api_key": "phx_simulated", "first_wait_seconds": 0.001, **options}
    with PostHog(server.url, "1", definition=definition, **options) as source:
        return source.month(asked(month, timezone, closes))


def features(usage: MonthUsage) -> list[list[Any]]:
    rows: list[list[Any]] = usage.features.drop(columns="known_at").to_numpy().tolist()
    return rows


def test_usage_is_counted_by_account_and_feature(server: PostHogServer) -> None:
    assert features(read(server)) == [["org_a", "api_call", 1, 1], ["org_a", "report_created", 2, 3]]
    february = read(server, "2026-02")
    account = "org_b's \\ team"
    assert features(february) == [[account, "api_call", 1, 1], [account, "report_created", 1, 1]]
    assert (february.events, february.events_without_account) == (4, 1)
    (row,) = february.accounts.to_dict("records")
    assert row["account"] == account
    assert row["known_at"] == pd.Timestamp("2026-02-28T23:30:00Z")
    counted = ("active_users", "active_days", "features_used", "new_users", "logins", "gate_hits", "invites")
    assert [row[name] for name in counted] == [1, 3, 2, 1, 1, 1, 0]
    assert row["mean_daily_users"] == "0.107143"  # 3 person-days of 28


def test_months_are_those_of_the_time_zone(server: PostHogServer) -> None:
    assert features(read(server, "2026-02", "Europe/Berlin")) == [
        ["org_a", "api_call", 1, 1],
        ["org_b's \\ team", "report_created", 1, 1],
    ]


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York"])
@pytest.mark.parametrize("by", ["event", "property", "listed", "sign-ups"])
def test_figures_are_those_of_the_counted_events(timezone: str, by: str) -> None:
    """PostHog's aggregates are what the counter makes of the same events one by one."""
    made = many_events()
    definition = {
        "event": DEFINITION,
        "property": DEFINITION.model_copy(update={"feature_property": "module"}),
        "listed": DEFINITION.model_copy(update={"features": ("report_created", "sso")}),
        "sign-ups": SignalDefinition.model_validate(
            {"events": {"sign_ups": ["joined"]}, "internal_accounts": ["org_1"]}
        ),
    }[by]
    closes = "2026-02-03T12:00:00Z"
    with PostHogServer(lambda: made) as server:
        found = read(server, "2026-01", timezone, closes, definition)
        in_parts = None
        server.quick_rows = 3
        if by == "event":
            in_parts = read(server, "2026-01", timezone, closes, definition)
    quiet = definition.model_copy(
        update={"excluded_events": (*definition.excluded_events, *posthog_queries.NO_ACTIVITY)}
    )
    with EventCounter(quiet) as counter:
        counter.connection.register("made", made)
        counter.connection.execute(
            """INSERT INTO events SELECT
                CASE WHEN "$group_0" = '' THEN [] ELSE ["$group_0"] END, hash(person_id), timestamp,
                created_at,
                event, nullif(properties['module'], ''), hash(uuid), person_created_at
            FROM made"""
        )
        if definition.feature_property is None:
            counter.connection.execute("UPDATE events SET named = NULL")
        expected = counter.month(asked("2026-01", timezone, closes))
    assert len(expected.accounts) > len(set(expected.accounts["account"])), "some is known only later"
    # What PostHog made itself is activity and no feature; the counter knows no such events.
    features_of_ours = expected.features[~expected.features["feature"].str.startswith("$")]
    pd.testing.assert_frame_equal(
        found.features.drop(columns="known_at"),
        features_of_ours.drop(columns="known_at").reset_index(drop=True),
    )
    without = ["known_at", "features_used"]
    pd.testing.assert_frame_equal(
        found.accounts.drop(columns=without), expected.accounts.drop(columns=without), check_dtype=False
    )
    known = expected.accounts["known_at"].dt.floor("s")
    copied = found.accounts["account"] == copied_account(made)
    assert (found.accounts["known_at"] == known)[~copied].all()
    assert (found.accounts["known_at"] >= known).all(), "a copy that arrived later is of the same figures"
    assert (found.events, found.events_without_account) == (expected.events, expected.events_without_account)
    if in_parts is not None:
        pd.testing.assert_frame_equal(in_parts.accounts, found.accounts)
        pd.testing.assert_frame_equal(in_parts.features, found.features)


def copied_account(made: pyarrow.Table) -> str:
    (account,) = made.filter(pyarrow.compute.equal(made["uuid"], "0"))["$group_0"].unique().to_pylist()
    return str(account)


def many_events() -> pyarrow.Table:
    draw = random.Random(4)  # noqa: S311  no secret
    rows = []
    for number in range(600):
        happened = pd.Timestamp("2025-12-31", tz="UTC") + pd.Timedelta(minutes=draw.randrange(33 * 24 * 60))
        person = draw.randrange(25)
        rows.append(
            {
                "uuid": str(number if number % 20 else 0),
                "event": draw.choice(
                    ["report_created", "api_call", "joined", "heartbeat", "$pageview", "$set"]
                ),
                "timestamp": happened,
                "created_at": happened + pd.Timedelta(minutes=draw.randrange(6 * 24 * 60)),
                "distinct_id": f"d{person}",
                "person_id": f"p{person}",
                "person_created_at": pd.Timestamp("2025-12-20", tz="UTC") + pd.Timedelta(days=person),
                "$group_0": draw.choice(["", "org_1", "org_2", "org_3", "org_4", "org_5"]),
                "properties": [("module", draw.choice(["", "sso", "reports"]))],
            }
        )
    first = {row["uuid"]: row for row in reversed(rows)}
    rows = [{**first[row["uuid"]], "created_at": row["created_at"]} for row in rows]  # copies arrive again
    instant = pyarrow.timestamp("us", tz="UTC")
    types = dict.fromkeys(("timestamp", "created_at", "person_created_at"), instant)
    types["properties"] = pyarrow.map_(pyarrow.string(), pyarrow.string())
    return pyarrow.table(
        {name: pyarrow.array([row[name] for row in rows], types.get(name)) for name in rows[0]}
    )


@pytest.mark.parametrize("page_size", [1, 2, 3, 4])
def test_pages_make_the_same_table(server: PostHogServer, page_size: int) -> None:
    pd.testing.assert_frame_equal(read(server, page_size=page_size).features, read(server).features)


def test_no_usage_is_empty_frames_of_the_same_types(server: PostHogServer) -> None:
    empty, some = read(server, "2020-01"), read(server)
    assert empty.accounts.empty
    assert empty.features.empty
    assert (empty.accounts.dtypes == some.accounts.dtypes).all()
    assert (empty.features.dtypes == some.features.dtypes).all()
    assert empty.events == 0


def test_a_group_that_posthog_does_not_have_says_what_to_write(server: PostHogServer) -> None:
    named = SignalDefinition.model_validate({"account": {"group": "company"}})
    with pytest.raises(ConfigurationError, match=r"account\.group is company; .* 0 to 4"):
        read(server, definition=named)


def test_the_account_may_be_a_property() -> None:
    definition = SignalDefinition.model_validate({"account": {"property": "module"}})
    with PostHogServer(many_events) as server:
        assert set(read(server, definition=definition).accounts["account"]) == {"sso", "reports"}


def test_a_query_answered_later_is_waited_for(server: PostHogServer) -> None:
    server.looks = 3
    assert len(read(server).features) == 2
    assert [request.method for request in server.requests] == 3 * ["POST", "GET", "GET", "GET"]


def test_an_empty_answer_later_is_empty(server: PostHogServer) -> None:
    server.looks = 1
    assert read(server, "2020-01").features.empty


def test_passing_failures_are_passed_over(server: PostHogServer) -> None:
    server.fail_next(429, {"Retry-After": "0"}, times=2)
    server.fail_next(503)
    server.fail_next(DROPPED)
    assert len(read(server).features) == 2
    assert len(server.requests) == 3 + 4


def test_lasting_failures_end_with_what_posthog_said(server: PostHogServer) -> None:
    server.fail_next(503, times=100)
    with pytest.raises(
        PostHogError, match=r"PostHog answered 503: planned failure \(gave up after 6 attempts\)"
    ):
        read(server)
    assert len(server.requests) == requesting.ATTEMPTS


def test_a_long_retry_after_is_not_sat_through(server: PostHogServer) -> None:
    server.fail_next(429, {"Retry-After": "3600"})
    with pytest.raises(PostHogError, match="asks to wait 3600 s"):
        read(server)


def test_an_unreachable_host_is_named() -> None:
    with PostHogServer(events) as server:
        url = server.url
    with (
        PostHog(url, "1", "phx_secret", DEFINITION, first_wait_seconds=0.001) as source,
        pytest.raises(PostHogError, match="could not be reached") as raised,
    ):
        source.month(asked("2026-01"))
    assert url in str(raised.value)
    assert "phx_secret" not in str(raised.value)


def test_a_wrong_key_or_project_says_what_to_set(server: PostHogServer) -> None:
    with pytest.raises(ConfigurationError, match="POSTHOG_API_KEY"):
        read(server, api_key="phx_wrong")
    with (
        PostHog(server.url, "2", "phx_simulated", DEFINITION) as source,
        pytest.raises(ConfigurationError, match="POSTHOG_PROJECT_ID"),
    ):
        source.month(asked("2026-01"))


def test_a_refused_query_is_not_repeated(server: PostHogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posthog_queries, "_TOTALS", "SELECT persons FROM events")
    with pytest.raises(PostHogError, match=r"refused the query \(400\): .*persons"):
        read(server)
    assert len(server.requests) == 1


class Canned(LoopbackServer):
    """Answers every request with one body."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def answer(self, request: Request) -> Response:
        return Response(self.body)


COLUMNS = ["events", "without_account"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<html>", "something else than JSON"),
        ([], "something else than an object"),
        ({}, "columns None"),
        ({"columns": ["account"], "results": [["org_a"]]}, r"columns \['account'\]"),
        ({"columns": COLUMNS}, "without a list of results"),
        ({"columns": COLUMNS, "results": [[1, 2]], "error": "out of memory"}, "out of memory"),
        ({"columns": COLUMNS, "results": [[1]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [[1, 1.5]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [[1, -1]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [{"events": 1}]}, "a row that is not"),
        (
            {
                "query_status": {
                    "id": "q",
                    "complete": True,
                    "error": True,
                    "error_message": "too much memory",
                }
            },
            "too much memory",
        ),
    ],
)
def test_an_answer_that_is_something_else_is_refused(body: Any, problem: str) -> None:
    with Canned(body) as server, pytest.raises(PostHogError, match=problem):
        read(server)


class Pages(LoopbackServer):
    """Answers totals, and every other query with one account whose numbers are texts."""

    @staticmethod
    def number(column: str) -> str:
        return "1767225600" if column.startswith("known_at") else "9007199254740993"

    def answer(self, request: Request) -> Response:
        sql = json.loads(request.body)["query"]["query"]
        if "without_account" in sql:
            return Response({"columns": COLUMNS, "results": [["12", "0"]]})
        names = ["account", *(["feature"] if "account,\n    feature" in sql else [])]
        figures = posthog_queries.FEATURE_FIGURES if len(names) == 2 else posthog_queries.ACCOUNT_FIGURES
        columns = [f"{name}_{number}" for number in (0, 1) for name in ("known_at", *figures)]
        return Response({"columns": [*names, *columns], "results": [[*names, *map(self.number, columns)]]})


def test_numbers_sent_as_text_are_read() -> None:
    with Pages() as server:
        assert read(server).features["events"].tolist() == [9_007_199_254_740_993]


def test_the_same_page_again_is_no_endless_loop() -> None:
    with Pages() as server, pytest.raises(PostHogError, match="same page twice"):
        read(server, page_size=1)


# Accounts


def test_a_mapping_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text("note,account,customer\nx, org_a ,cus_1\n,org_z,cus_2\n", encoding="utf-8-sig")
    assert read_account_map(path).to_numpy().tolist() == [["org_a", "cus_1"], ["org_z", "cus_2"]]


def test_metadata_names_accounts_and_a_conflict_is_nobodys() -> None:
    customers = [
        ("cus_1", '{"org": "a", "email": "canary-4711@example.com"}'),
        ("cus_2", '{"org": " b "}'),
        ("cus_3", '{"org": "b"}'),
        ("cus_4", '{"org": ""}'),
        ("cus_5", "{}"),
        ("cus_6", '{"org": "known"}'),
    ]
    found, conflicts = accounts_of_metadata(customers, "org", ["known"])
    assert found.to_numpy().tolist() == [["a", "cus_1"]]
    assert conflicts == {"b": ["cus_2", "cus_3"]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: no column account and no column customer"),
        ("account,client\n", ":1: no column customer"),
        ("account,customer\norg_a,\n", ":2: account and customer must both be given"),
        ("account,customer\norg_a,cus_1\norg_a,cus_2\n", ":3: account org_a is mapped to cus_2 and to cus_1"),
    ],
)
def test_a_wrong_mapping_names_the_line(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=f"accounts.csv{problem}"):
        read_account_map(path)


def test_a_missing_mapping_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.csv: cannot be read"):
        read_account_map(tmp_path / "none.csv")
