"""The PostHog adapter, against the loopback PostHog and against answers it never gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.tables import FeatureUsage
from expansion_platform.simulator.servers.http import DROPPED, LoopbackServer, Request, Response
from expansion_platform.simulator.servers.posthog import PostHogServer
from expansion_platform.sources.analytics import posthog
from expansion_platform.sources.analytics.accounts import map_accounts, read_account_map
from expansion_platform.sources.analytics.posthog import PostHog, PostHogError

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


def read(
    server: LoopbackServer,
    first: str = "2026-01",
    last: str = "2026-02",
    timezone: str = "UTC",
    **options: Any,
) -> pd.DataFrame:
    with PostHog(
        server.url, "1", **{"api_key": "phx_simulated", "first_wait_seconds": 0.001, **options}
    ) as source:
        return source.feature_usage(first, last, timezone)


def test_usage_is_counted_by_month_account_and_feature(server: PostHogServer) -> None:
    usage = read(server)
    assert usage.to_dict("split")["columns"] == ["month", "account", "feature", "active_users", "events"]
    assert usage.to_numpy().tolist() == [
        ["2026-01", "org_a", "api_call", 1, 1],
        ["2026-01", "org_a", "report_created", 2, 3],
        ["2026-02", "org_b's \\ team", "api_call", 1, 1],
        ["2026-02", "org_b's \\ team", "report_created", 1, 1],
    ]


def test_months_are_those_of_the_time_zone(server: PostHogServer) -> None:
    usage = read(server, "2026-02", "2026-02", "Europe/Berlin")
    assert usage[["account", "feature"]].to_numpy().tolist() == [
        ["org_a", "api_call"],
        ["org_b's \\ team", "report_created"],
    ]


@pytest.mark.parametrize("page_size", [1, 2, 3, 4])
def test_pages_make_the_same_table(server: PostHogServer, page_size: int) -> None:
    pd.testing.assert_frame_equal(read(server, page_size=page_size), read(server))


def test_no_usage_is_an_empty_table_of_the_same_types(server: PostHogServer) -> None:
    empty = read(server, "2020-01", "2020-02")
    assert empty.empty
    assert (empty.dtypes == read(server).dtypes).all()
    FeatureUsage.validate(map_accounts(empty, pd.DataFrame({"account": [], "customer": []})))


def test_a_query_answered_later_is_waited_for(server: PostHogServer) -> None:
    server.looks = 3
    usage = read(server)
    assert len(usage) == 4
    assert [request.method for request in server.requests] == ["POST", "GET", "GET", "GET"]


def test_an_empty_answer_later_is_empty(server: PostHogServer) -> None:
    server.looks = 1
    assert read(server, "2020-01", "2020-01").empty


def test_passing_failures_are_passed_over(server: PostHogServer) -> None:
    server.fail_next(429, {"Retry-After": "0"}, times=2)
    server.fail_next(503)
    server.fail_next(DROPPED)
    assert len(read(server)) == 4
    assert len(server.requests) == 5


def test_lasting_failures_end_with_what_posthog_said(server: PostHogServer) -> None:
    server.fail_next(503, times=100)
    with pytest.raises(
        PostHogError, match=r"PostHog answered 503: planned failure \(gave up after 6 attempts\)"
    ):
        read(server)
    assert len(server.requests) == posthog.ATTEMPTS


def test_a_long_retry_after_is_not_sat_through(server: PostHogServer) -> None:
    server.fail_next(429, {"Retry-After": "3600"})
    with pytest.raises(PostHogError, match="asks to wait 3600 s"):
        read(server)


def test_an_unreachable_host_is_named() -> None:
    with PostHogServer(events) as server:
        url = server.url
    with (
        PostHog(url, "1", "phx_secret", first_wait_seconds=0.001) as source,
        pytest.raises(PostHogError, match="could not be reached") as raised,
    ):
        source.feature_usage("2026-01", "2026-01")
    assert url in str(raised.value)
    assert "phx_secret" not in str(raised.value)


def test_a_wrong_key_or_project_says_what_to_set(server: PostHogServer) -> None:
    with pytest.raises(ConfigurationError, match="POSTHOG_API_KEY"):
        read(server, api_key="phx_wrong")
    with (
        PostHog(server.url, "2", "phx_simulated") as source,
        pytest.raises(ConfigurationError, match="POSTHOG_PROJECT_ID"),
    ):
        source.feature_usage("2026-01", "2026-01")


def test_a_refused_query_is_not_repeated(server: PostHogServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posthog, "_QUERY", "SELECT person FROM events")
    with pytest.raises(PostHogError, match=r"refused the query \(400\): .*person"):
        read(server)
    assert len(server.requests) == 1


class Canned(LoopbackServer):
    """Answers every request with one body."""

    def __init__(self, body: Any) -> None:
        super().__init__()
        self.body = body

    def answer(self, request: Request) -> Response:
        return Response(self.body)


GOOD = ["org_a", "2026-01", "api_call", 1, 1]
COLUMNS = ["account", "month", "feature", "active_users", "events"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("<html>", "something else than JSON"),
        ([], "something else than an object"),
        ({}, "columns None"),
        ({"columns": ["account"], "results": [["org_a"]]}, r"columns \['account'\]"),
        ({"columns": COLUMNS}, "without a list of results"),
        ({"columns": COLUMNS, "results": [GOOD], "error": "out of memory"}, "out of memory"),
        ({"columns": COLUMNS, "results": [GOOD[:4]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [[*GOOD[:4], 1.5]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [[*GOOD[:4], -1]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [["org_a", "2026-01-01", "api_call", 1, 1]]}, "a row that is not"),
        ({"columns": COLUMNS, "results": [[None, "2026-01", "api_call", 1, 1]]}, "a row that is not"),
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


def test_numbers_sent_as_text_are_read() -> None:
    with Canned({"columns": COLUMNS, "results": [[*GOOD[:3], "12", "9007199254740993"]]}) as server:
        assert read(server)["events"].tolist() == [9_007_199_254_740_993]


def test_the_same_page_again_is_no_endless_loop() -> None:
    with (
        Canned({"columns": COLUMNS, "results": [GOOD]}) as server,
        pytest.raises(PostHogError, match="same page twice"),
    ):
        read(server, page_size=1)


# Accounts


def test_accounts_are_mapped_and_the_rest_kept(server: PostHogServer, tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    path.write_text("note,account,customer\nx, org_a ,cus_1\n,org_z,cus_2\n", encoding="utf-8-sig")
    usage = map_accounts(read(server), read_account_map(path))
    FeatureUsage.validate(usage)
    assert usage["customer"].isna().tolist() == [False, False, True, True]
    assert set(usage["customer"].dropna()) == {"cus_1"}


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


def test_an_account_is_one_customer(server: PostHogServer) -> None:
    mapping = pd.DataFrame({"account": ["org_a", "org_a"], "customer": ["cus_1", "cus_2"]})
    with pytest.raises(ConfigurationError, match="mapped more than once: org_a"):
        map_accounts(read(server), mapping)
