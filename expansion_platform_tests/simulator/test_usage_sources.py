"""Each source of usage of a company with signals, read by the platform's own reader of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pandas as pd
import pyarrow
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.simulator.company.company import AS_OF
from expansion_platform.simulator.company.signals import PREDICTIVE
from expansion_platform.simulator.company.usage_of_states import CANARY, COUNTED, OWN_ACCOUNT
from expansion_platform.simulator.usage_sources import Analytics, track_rows, usage
from expansion_platform.simulator.world import World, with_signals
from expansion_platform.sources.analytics.configured import usage_from, usage_source
from expansion_platform.sources.analytics.usage import Asked, MonthUsage

MONTH = "2026-09"
SOURCES: tuple[Analytics, ...] = ("posthog", "mixpanel", "amplitude", "warehouse")


@pytest.fixture(scope="module", params=SOURCES)
def read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[World, MonthUsage, str]]:
    folder = tmp_path_factory.mktemp(request.param)
    with with_signals(folder, PREDICTIVE, seed=8, customers=15, months=3, analytics=request.param) as world:
        assert usage_from(world.settings) == request.param
        definition = SignalDefinition.from_yaml(world.settings.expansion_signals)
        source = usage_source(world.settings, definition)
        assert source is not None
        closes = months.closes(MONTH, "UTC", 0)
        found = source.month(Asked(MONTH, "UTC", closes, pd.Timestamp(AS_OF)))
        source.close()
        yield world, found, request.param


def newest(rows: pd.DataFrame, grain: list[str]) -> pd.DataFrame:
    return rows.sort_values("known_at").drop_duplicates(grain, keep="last").set_index(grain)


def test_what_is_read_is_what_the_states_say(read: tuple[World, MonthUsage, str]) -> None:
    world, found, _ = read
    assert found.incomplete is None
    assert world.company.signals is not None
    states = world.company.signals.truth.states.query("month == @MONTH").set_index("account")
    rows = newest(found.accounts, ["account"])
    assert len(states) > 8
    assert set(rows.index) == set(states.index)
    assert OWN_ACCOUNT not in rows.index
    assert rows["active_users"].to_dict() == states["people"].to_dict()
    for kind in COUNTED:
        assert rows[kind].to_dict() == states[kind].to_dict()
    assert (rows["logins"] >= rows["active_users"]).all()


def test_who_is_new_is_who_was_not_there_before(read: tuple[World, MonthUsage, str]) -> None:
    world, found, _ = read
    assert world.company.signals is not None
    events = world.company.signals.events().to_pandas()
    events = events[(events["event"] == "signed_in") & (events["$group_0"] != OWN_ACCOUNT)]
    first = events.groupby(["$group_0", "person_id"])["timestamp"].min().dt.strftime("%Y-%m")
    expected = (first == MONTH).groupby(level=0).sum()
    rows = newest(found.accounts, ["account"])
    assert rows["new_users"].to_dict() == expected.reindex(rows.index).to_dict()
    assert rows["new_users"].sum() > 0


def test_late_events_make_a_second_version(read: tuple[World, MonthUsage, str]) -> None:
    _, found, _ = read
    assert found.accounts["account"].duplicated().any()


def test_no_address_is_in_what_was_read(read: tuple[World, MonthUsage, str]) -> None:
    _, found, _ = read
    for frame in (found.accounts, found.features):
        texts = frame.astype("str").to_csv()
        assert CANARY not in texts
        assert "@" not in texts


def test_the_addresses_are_in_what_is_served(read: tuple[World, MonthUsage, str]) -> None:
    world, _, source = read
    settings = world.environment
    if source == "posthog":
        answer = httpx.post(
            f"{settings['POSTHOG_HOST']}/api/projects/1/query/",
            headers={"Authorization": f"Bearer {settings['POSTHOG_API_KEY']}"},
            json={"query": {"kind": "HogQLQuery", "query": "SELECT distinct_id FROM events LIMIT 5"}},
        )
        assert answer.text.count(f"@{CANARY}") == 5
    elif source == "mixpanel":
        answer = httpx.get(
            f"{settings['MIXPANEL_HOST']}/api/2.0/export",
            params={"project_id": "1", "from_date": "2026-09-01", "to_date": "2026-09-02"},
            auth=(settings["MIXPANEL_USERNAME"], settings["MIXPANEL_SECRET"]),
        )
        lines = answer.text.splitlines()
        assert lines
        assert all(f"@{CANARY}" in line for line in lines)
    elif source == "amplitude":
        events = usage(world.company, 8, properties=True).to_pylist()
        assert all(each["distinct_id"] in each["properties"] for each in events)
    else:
        path = settings["EXPANSION_WAREHOUSE_URL"].removeprefix("sqlite:///")
        with sqlite3.connect(path) as connection:
            query = "SELECT count(*), sum(context_traits_email LIKE ?) FROM tracks"
            rows, named = connection.execute(query, (f"%@{CANARY}",)).fetchone()
        connection.close()
        assert rows == named > 1000


def test_rows_for_a_warehouse_have_all_that_segments_table_has() -> None:
    rows = track_rows(
        pyarrow.table(
            {
                "uuid": ["u"],
                "event": ["signed_in"],
                "timestamp": [pd.Timestamp("2026-09-01", tz="UTC")],
                "distinct_id": ["p@x"],
                "person_id": ["p"],
                "$group_0": ["a"],
            }
        )
    )
    assert rows[0]["received_at"] == rows[0]["timestamp"]
    assert rows[0]["context_group_id"] == "a"


def test_the_user_files_are_configured(tmp_path: Path) -> None:
    with with_signals(tmp_path, customers=5, months=3) as world:
        settings = world.settings
        for name in ("owners", "tickets", "nps", "crm_activity", "customer_signals", "signals"):
            assert Path(str(getattr(settings, f"expansion_{name}"))).is_file()
        assert "STRIPE_API_KEY" in world.environment
