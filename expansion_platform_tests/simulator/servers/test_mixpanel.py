"""The loopback Mixpanel, asked as its documentation says."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pandas as pd
import pyarrow
import pytest

from expansion_platform.domain.core import months
from expansion_platform.simulator.company.usage import usage_events
from expansion_platform.simulator.servers.mixpanel import PATH, Ending, Limits, MixpanelServer
from expansion_platform.simulator.servers.mixpanel_where import parse

OCTOBER = {"project_id": "1", "from_date": "2025-10-01", "to_date": "2025-10-31"}


def some_events() -> pyarrow.Table:
    rows = [
        (f"org_{number}", f"cus_{number}", month, 5)
        for number in range(4)
        for month in ("2025-10", "2025-11")
    ]
    return usage_events(3, pd.DataFrame(rows, columns=["account", "customer", "month", "seats"]))


@pytest.fixture
def server() -> Iterator[MixpanelServer]:
    with MixpanelServer(some_events) as running:
        yield running


def get(
    server: MixpanelServer, path: str, params: dict[str, Any], secret: str, encoding: str
) -> httpx.Response:
    # Without verify=False httpx spends 0.1 s a request on certificates it does not need.
    return httpx.get(
        f"{server.url}{path}",
        params=params,
        auth=(server.username, secret),
        headers={"Accept-Encoding": encoding},
        verify=False,  # noqa: S501
    )


def ask(server: MixpanelServer, encoding: str = "gzip", **params: Any) -> httpx.Response:
    chosen = {name: value for name, value in {**OCTOBER, **params}.items() if value is not None}
    return get(server, PATH, chosen, server.secret, encoding)


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def test_the_events_of_the_dates_are_exported(server: MixpanelServer) -> None:
    events = some_events().to_pandas()
    inside = events[
        (events["timestamp"] >= months.opening("2025-10")) & (events["timestamp"] < months.closing("2025-10"))
    ]
    exported = lines(ask(server))
    assert {line["properties"]["$insert_id"] for line in exported} == set(inside["uuid"])
    assert len(exported) == len(inside) < len(events)
    by_id = inside.set_index("uuid")
    for line in exported:
        properties, row = line["properties"], by_id.loc[line["properties"]["$insert_id"]]
        assert line["event"] == row["event"]
        assert properties["time"] == int(row["timestamp"].timestamp())
        assert (properties["distinct_id"], properties["$user_id"]) == (row["distinct_id"], row["person_id"])
        assert properties["company_id"] == row["$group_0"]
        assert properties["mp_processing_time_ms"] == row["timestamp"].value // 1_000_000
        assert properties["$email"] == server.private


def test_days_are_those_of_an_old_project(server: MixpanelServer) -> None:
    server.timezone = "Pacific/Auckland"
    day = {"from_date": "2025-10-05", "to_date": "2025-10-05"}
    local = some_events().to_pandas()["timestamp"].dt.tz_convert("Pacific/Auckland").dt.tz_localize(None)
    expected = sorted(
        int(instant.timestamp()) for instant in local[local.dt.date == pd.Timestamp("2025-10-05").date()]
    )
    assert [line["properties"]["time"] for line in lines(ask(server, **day))] == expected
    assert expected


def test_a_body_is_compressed_if_it_is_asked_for_and_large(server: MixpanelServer) -> None:
    assert ask(server).headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in ask(server, encoding="identity").headers
    assert "Content-Encoding" not in ask(server, limit=1).headers
    assert ask(server).text == ask(server, encoding="identity").text


def test_parameters_choose_events(server: MixpanelServer) -> None:
    everything = lines(ask(server))
    names = ["api_call", "report_created"]
    chosen = lines(ask(server, event=json.dumps(names)))
    assert chosen == [line for line in everything if line["event"] in names]
    assert 0 < len(chosen) < len(everything)
    accounts = lines(ask(server, where='properties["company_id"] in ["org_1", "org_2"]'))
    assert accounts == [line for line in everything if line["properties"]["company_id"] in ("org_1", "org_2")]
    assert lines(ask(server, limit=3)) == everything[:3]
    in_ms = lines(ask(server, time_in_ms="true"))
    assert [line["properties"]["time"] // 1000 for line in in_ms] == [
        line["properties"]["time"] for line in everything
    ]


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ('properties["plan"] == "pro"', True),
        ('properties["plan"] != "pro"', False),
        ('properties["seats"] >= 5 and properties["seats"] < 6', True),
        ('properties["seats"] > 5 or properties["plan"] in ["free"]', False),
        ('not (properties["seats"] in [1, 2])', True),
        ('"a" in properties["tags"]', True),
        ('properties["none"] == undefined', True),
        ('properties["paying"] == true', True),
        ('properties["plan"] > 3', False),
    ],
)
def test_expressions_keep_events(expression: str, kept: bool) -> None:
    assert parse(expression)({"plan": "pro", "seats": 5, "tags": ["a"], "paying": True}) is kept


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "properties[",
        "event == 1",
        '__import__("os")',
        "properties.plan",
        "1 < 2 < 3",
        'properties["a"] + 1 == 2',
    ],
)
def test_other_expressions_are_refused(expression: str, server: MixpanelServer) -> None:
    with pytest.raises(ValueError, match="expression"):
        parse(expression)
    assert ask(server, where=expression).status_code == 400


@pytest.mark.parametrize(
    ("params", "status", "text"),
    [
        ({"project_id": None}, 400, "project_id is a required parameter"),
        ({"project_id": "2"}, 403, "not a member"),
        ({"from_date": None}, 400, "from_date must be a date"),
        ({"to_date": "2025-13-01"}, 400, "to_date must be a date"),
        ({"to_date": "2025-09-30"}, 400, "to_date cannot be before from_date"),
        ({"to_date": "2025-11-02"}, 400, "to_date cannot be later than today"),
        ({"limit": 100_001}, 400, "limit must be"),
        ({"event": '"api_call"'}, 400, "event must be a JSON array"),
    ],
)
def test_bad_requests_are_refused(
    server: MixpanelServer, params: dict[str, Any], status: int, text: str
) -> None:
    server.now = pd.Timestamp("2025-11-01 12:00", tz="UTC")
    answer = ask(server, **params)
    assert answer.status_code == status
    assert text in answer.text


def test_a_wrong_secret_or_path_is_refused(server: MixpanelServer) -> None:
    assert get(server, PATH, OCTOBER, "another", "gzip").status_code == 401
    assert get(server, "/api/2.0/engage", OCTOBER, server.secret, "gzip").status_code == 404


def test_requests_of_an_hour_and_a_second_are_limited(server: MixpanelServer) -> None:
    now = [0.0]
    server.limits, server.clock = Limits(), lambda: now[0]
    assert [ask(server, limit=1).status_code for _ in range(4)] == [200, 200, 200, 429]
    for _ in range(57):
        now[0] += 1
        assert ask(server, limit=1).status_code == 200
    now[0] += 1
    refused = ask(server, limit=1)
    assert refused.status_code == 429
    assert "60/60 queries in the last hour" in refused.json()["error"]
    now[0] = 3600
    assert ask(server, limit=1).status_code == 200


def test_requests_at_once_are_limited() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> pyarrow.Table:
        begun.set()
        go_on.wait(10)
        return some_events()

    with MixpanelServer(slow) as server:
        server.limits = Limits(concurrent=1)
        first: list[int] = []
        thread = threading.Thread(target=lambda: first.append(ask(server).status_code))
        thread.start()
        begun.wait(10)
        assert ask(server).status_code == 429
        go_on.set()
        thread.join()
        assert first == [200]


def test_oddities_are_as_switched(server: MixpanelServer) -> None:
    def times(**switches: Any) -> dict[str, list[int]]:
        for name, value in {"copied": 0, "copied_later": False, "unsorted": False, **switches}.items():
            setattr(server, name, value)
        found: dict[str, list[int]] = {}
        for line in lines(ask(server)):
            found.setdefault(line["properties"]["$insert_id"], []).append(line["properties"]["time"])
        return found

    plain = times()
    assert all(len(instants) == 1 for instants in plain.values())
    same, later = times(copied=1), times(copied=1, copied_later=True)
    assert all(first == second for first, second in same.values())
    assert all(
        abs(first - second) == 1 and first // 86_400 == second // 86_400 for first, second in later.values()
    )
    shuffled = times(unsorted=True)
    assert shuffled == plain and list(shuffled) != list(plain)
    server.user_ids = server.insert_ids = False
    assert not {"$user_id", "$insert_id"} & set(lines(ask(server))[0]["properties"])


def test_exports_end_early_as_planned(server: MixpanelServer) -> None:
    whole = ask(server).text
    server.end_next(Ending.TEXT)
    assert ask(server).text.splitlines()[-1] == "terminated early"
    server.most_events = 10
    assert ask(server).text.splitlines()[-1] == "terminated early"
    server.most_events = None
    server.end_next(Ending.RESET)
    with pytest.raises(httpx.TransportError):
        ask(server)
    server.end_next(Ending.CUT_GZIP)
    account = (server.username, server.secret)
    with httpx.stream("GET", f"{server.url}{PATH}", params=OCTOBER, auth=account) as answer:
        cut = b"".join(answer.iter_raw())
    with pytest.raises(EOFError):
        gzip.decompress(cut)
    assert ask(server).text == whole
