"""Events of a company with signals, counted in plain Python and compared with its states."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pandas as pd
import pyarrow
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.signals.definition import KINDS, SignalDefinition
from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform.simulator.company.signals import PREDICTIVE
from expansion_platform.simulator.company.usage import FEATURES
from expansion_platform.simulator.company.usage_of_states import (
    CANARY,
    COUNTED,
    DEFINITION,
    LOGIN,
    OWN_ACCOUNT,
    SIGN_UP,
    usage_of_states,
)


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(9, 40, 6, signals=PREDICTIVE)


@pytest.fixture(scope="module")
def events(company: Company) -> pd.DataFrame:
    assert company.signals is not None
    found = company.signals.events().to_pandas()
    return found.assign(month=found["timestamp"].dt.strftime("%Y-%m"))


def states_of(company: Company) -> pd.DataFrame:
    assert company.signals is not None
    return company.signals.truth.states


def test_active_people_and_counted_events_are_those_of_the_states(
    company: Company, events: pd.DataFrame
) -> None:
    people: dict[tuple[str, str], set[str]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for account, month, name, person in zip(
        events["$group_0"], events["month"], events["event"], events["person_id"], strict=True
    ):
        if name == LOGIN:
            people.setdefault((account, month), set()).add(person)
        counts[account, month, name] += 1
    states = states_of(company)
    assert len(states) > 100
    for row in states.to_dict("records"):
        here = row["account"], row["month"]
        assert len(people[here]) == row["people"]
        for kind, name in COUNTED.items():
            assert counts[*here, name] == row[kind]
    known = set(zip(states["account"], states["month"], strict=True))
    assert {each for each in people if each[0] != OWN_ACCOUNT} == known


def test_people_sign_up_once_join_and_leave(company: Company, events: pd.DataFrame) -> None:
    signed = events[events["event"] == SIGN_UP]
    assert not signed["person_id"].duplicated().any()
    logins = events[(events["event"] == LOGIN) & (events["$group_0"] != OWN_ACCOUNT)]
    first = logins.groupby("person_id")["month"].min()
    assert (signed.set_index("person_id")["month"].reindex(first.index) == first).all()
    later = signed.groupby("$group_0")["month"].nunique()
    assert (later > 1).mean() > 0.5
    last = logins.groupby(["$group_0", "person_id"])["month"].max()
    ended = states_of(company).groupby("account")["month"].max()
    assert (last < ended.reindex(last.index.get_level_values(0)).to_numpy()).mean() > 0.02


def test_engaged_accounts_are_active_on_more_days(company: Company, events: pd.DataFrame) -> None:
    logins = events[events["event"] == LOGIN].groupby(["$group_0", "month"]).size()
    states = states_of(company).set_index(["account", "month"])
    each = logins.reindex(states.index) / states["people"]
    assert each.corr(states["engagement"]) > 0.9
    assert each.mean() == pytest.approx(3.0 * states["engagement"].mean(), rel=0.1)


def test_no_more_features_are_used_than_known(company: Company, events: pd.DataFrame) -> None:
    used = events[events["event"].isin(list(FEATURES))].groupby(["$group_0", "month"])["event"].nunique()
    known = states_of(company).set_index(["account", "month"])["features"]
    assert (used <= known.reindex(used.index)).all()
    assert used.max() > 5


def test_every_person_has_an_address_that_must_not_be_kept(company: Company, events: pd.DataFrame) -> None:
    assert events["distinct_id"].str.endswith(f"@{CANARY}").all()
    assert not events["uuid"].duplicated().any()
    assert not events["$group_0"].str.contains("@").any()
    assert company.signals is not None
    with_properties = company.signals.events(properties=True)
    first = with_properties.slice(0, 1).to_pylist()[0]
    assert first["distinct_id"] in first["properties"]


def test_some_events_arrive_days_later(events: pd.DataFrame) -> None:
    delay = events["created_at"] - events["timestamp"]
    assert delay.min() >= timedelta(0)
    assert delay.max() <= timedelta(days=12)
    assert (delay > timedelta(hours=12)).mean() == pytest.approx(0.01, abs=0.003)


def test_the_companys_own_people_have_events_to_the_last_day(events: pd.DataFrame) -> None:
    own = events[events["$group_0"] == OWN_ACCOUNT]
    day = own["timestamp"].dt.date
    assert not day.duplicated().any()
    assert (AS_OF - own["timestamp"].max()) < timedelta(days=2)
    assert (own["timestamp"] < AS_OF).all()
    assert events["timestamp"].max() == own["timestamp"].max()


def test_a_months_events_stay_when_later_months_come(company: Company) -> None:
    states = states_of(company)
    earlier = states[states["month"] <= "2026-07"].sample(frac=1, random_state=1)
    until = months.opening("2026-08").to_pydatetime()

    def made(rows: pd.DataFrame) -> pyarrow.Table:
        table = usage_of_states(9, rows, 3.0, AS_OF).to_pandas()
        mine = table[(table["timestamp"] < until) & (table["$group_0"] != OWN_ACCOUNT)]
        return mine.sort_values("uuid", ignore_index=True)

    pd.testing.assert_frame_equal(made(earlier), made(states))


def test_the_definition_names_every_kind() -> None:
    definition = SignalDefinition.model_validate(DEFINITION)
    assert {kind for kind, _ in definition.counted} == {*KINDS, "sign_ups"}
