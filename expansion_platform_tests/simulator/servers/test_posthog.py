"""The simulated usage and the loopback PostHog that is asked about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.simulator.company.usage import FEATURES, FEWEST_EVENTS, usage_events
from expansion_platform.simulator.servers.posthog import PostHogServer


def account_months(accounts: int = 20, last: str = "2026-04") -> pd.DataFrame:
    rows = [
        (f"org_{number}", f"cus_{number}", month, number)
        for number in range(accounts)
        for month in months.between("2026-01", last)
    ]
    return pd.DataFrame(rows, columns=["account", "customer", "month", "seats"])


@pytest.fixture
def server() -> Iterator[PostHogServer]:
    with PostHogServer(lambda: usage_events(7, account_months())) as running:
        yield running


def post(
    server: PostHogServer, body: Any, project: int = 1, key: str = "phx_simulated"
) -> tuple[int, dict[str, Any]]:
    # Without verify=False httpx spends 0.1 s a request on certificates it does not need.
    url = f"{server.url}/api/projects/{project}/query/"
    answer = httpx.post(url, json=body, headers={"Authorization": f"Bearer {key}"}, verify=False)  # noqa: S501
    return answer.status_code, answer.json()


def ask(
    server: PostHogServer, query: str, kind: str = "HogQLQuery", **options: Any
) -> tuple[int, dict[str, Any]]:
    return post(server, {"query": {"kind": kind, "query": query}}, **options)


# Events


def test_events_are_the_same_for_the_same_seed_only() -> None:
    assert usage_events(7, account_months()).equals(usage_events(7, account_months()))
    assert not usage_events(7, account_months()).equals(usage_events(8, account_months()))


def test_later_months_do_not_change_earlier_ones() -> None:
    early = usage_events(7, account_months(last="2026-02")).to_pandas()
    late = usage_events(7, account_months(last="2026-04")).to_pandas()
    kept = late[late["timestamp"] < months.opening("2026-03")]
    pd.testing.assert_frame_equal(
        early.sort_values("uuid", ignore_index=True), kept.sort_values("uuid", ignore_index=True)
    )


def test_events_fit_the_seats_and_the_month() -> None:
    events = usage_events(7, account_months()).to_pandas()
    assert events["uuid"].is_unique
    assert set(events["event"]) == set(FEATURES)
    months_of = events["timestamp"].map(months.of)
    assert set(months_of) == set(months.between("2026-01", "2026-04"))
    by_account = events.groupby(["$group_0", months_of])
    assert by_account.size().min() > FEWEST_EVENTS
    people = by_account["person_id"].nunique()
    seats = people.index.get_level_values(0).str.removeprefix("org_").astype(int)
    assert (people <= seats).all()
    assert (people >= seats * 0.2).all()
    assert "org_0" not in set(events["$group_0"])  # has no seats
    assert (events.groupby("person_id")["distinct_id"].nunique() == 1).all()


def test_no_accounts_give_no_events() -> None:
    events = usage_events(7, account_months(accounts=0))
    assert events.num_rows == 0
    assert events.schema == usage_events(7, account_months()).schema


# Server


def test_clickhouse_functions_run(server: PostHogServer) -> None:
    query = (
        "SELECT count(DISTINCT event) AS features, formatDateTime(toTimeZone(max(timestamp), 'Asia/Tokyo'), "
        "'%Y-%m') AS last FROM events"
    )
    status, body = ask(server, query)
    assert status == 200
    assert body["columns"] == ["features", "last"]
    assert body["results"] == [[len(FEATURES), "2026-05"]]  # the last of April's events are May's in Tokyo


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT nothing FROM events", "nothing"),
        ("SELECT bogus(event) FROM events", r"Unsupported function call 'bogus\(...\)'"),
        # ClickHouse's names are case sensitive.
        ("SELECT totimezone(timestamp, 'UTC') FROM events", "Unsupported function call"),
        ("SELECT event FROM happenings", "Unknown table `happenings`"),
        ("SELECT event FROM", "."),
        ("DROP TABLE events", "Only SELECT"),
        ("SELECT event, count() FROM events", "."),
    ],
)
def test_a_wrong_query_is_refused(server: PostHogServer, query: str, problem: str) -> None:
    status, body = ask(server, query)
    assert status == 400
    assert body["type"] == "validation_error"
    assert pd.Series([body["detail"]]).str.contains(problem, regex=True).all(), body["detail"]


def test_rows_are_limited(server: PostHogServer) -> None:
    assert len(ask(server, "SELECT event FROM events")[1]["results"]) == 100
    body = ask(server, "SELECT event FROM events LIMIT 7")[1]
    assert (len(body["results"]), body["hasMore"]) == (7, True)
    assert not ask(server, "SELECT DISTINCT event FROM events")[1]["hasMore"]
    assert ask(server, "SELECT event FROM events LIMIT 60000")[1]["limit"] == 50_000


def test_keys_projects_and_kinds(server: PostHogServer) -> None:
    assert ask(server, "SELECT event FROM events", key="phx_other")[0] == 401
    assert ask(server, "SELECT event FROM events", kind="EventsQuery")[0] == 400
    assert post(server, {}, project=2)[0] == 404
    assert post(server, {})[0] == 400
