"""Readings of product usage: what is kept of each month, and when it is asked for again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.core.table import Table, key, table_name
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.product_usage import columns_of
from expansion_platform.domain.signals.tables import AccountUsage, FeatureUsage, UsageMonths
from expansion_platform.product_usage import asked, product_usage
from expansion_platform.resources import Platform
from expansion_platform.sources.analytics.usage import Asked, MonthUsage
from expansion_platform.storage.lake import Lake

FEBRUARY, MARCH = "2026-02", "2026-03"
MODELS = (AccountUsage, FeatureUsage, UsageMonths)


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def said(*rows: tuple[str, str, int], new_users: int | None = None, **others: Any) -> MonthUsage:
    """What a source answers: account, known_at, active users; export used as often."""
    zeros = dict.fromkeys(columns_of(AccountUsage), 0)
    accounts = [
        {
            **zeros,
            "account": account,
            "known_at": at(known_at),
            "active_users": users,
            "mean_daily_users": "0.500000",
        }
        for account, known_at, users in rows
    ]
    frame = pd.DataFrame(accounts, columns=columns_of(AccountUsage))
    features = [
        {"account": each, "feature": "export", "known_at": at(known), "active_users": 1, "events": users}
        for each, known, users in rows
    ]
    return MonthUsage(
        accounts=frame.assign(new_users=pd.array([new_users] * len(frame), dtype="Int64")),
        features=pd.DataFrame(features, columns=columns_of(FeatureUsage)),
        events=sum(users for *_, users in rows),
        events_without_account=0,
        new_users_by=None if new_users is None else "first seen",
        **others,
    )


@dataclass
class Source:
    """Answers by month, or what it raises; remembers what it was asked."""

    answers: Mapping[str, MonthUsage | ExpansionError]
    name: str = "the tool"
    questions: list[str] = field(default_factory=list)

    def month(self, question: Asked) -> MonthUsage:
        self.questions.append(question.month)
        answer = self.answers[question.month]
        if isinstance(answer, ExpansionError):
            raise answer
        return answer


@dataclass
class Stub:
    """What `product_usage` reaches of a platform."""

    lake: Lake
    usage: Source | None
    as_of: pd.Timestamp
    accounts: Mapping[str, str] = field(default_factory=lambda: {"a": "cus_1"})
    counted_by: str = "one way"
    timezone: str = "UTC"

    def account_map(self) -> pd.DataFrame:
        named = {"account": list(self.accounts), "customer": list(self.accounts.values())}
        return pd.DataFrame(named, dtype="str")

    def closes(self, month: str) -> pd.Timestamp:
        return months.closes(month, self.timezone, 5)


class Readings:
    """A lake and the readings that filled it, each checked against the tables."""

    def __init__(self, folder: Path) -> None:
        self.lake = Lake(folder)

    def read(
        self, answers: Mapping[str, MonthUsage | ExpansionError], as_of: str = "2026-04-06", **others: Any
    ) -> dict[type[Table], pd.DataFrame]:
        source = Source(answers)
        stub = Stub(self.lake, source, at(as_of), **others)
        found = product_usage(cast(Platform, stub), sorted(answers))
        self.questions = source.questions
        for model in MODELS:
            frame = validate(model, found[table_name(model)])
            self.lake.replace(model, frame.sort_values(key(model)), months=sorted(answers))
        return {model: found[table_name(model)] for model in MODELS}


@pytest.fixture
def readings(tmp_path: Path) -> Readings:
    return Readings(tmp_path)


def test_no_tool_gives_tables_without_rows(tmp_path: Path) -> None:
    for frame in product_usage(
        cast(Platform, Stub(Lake(tmp_path), None, at("2026-04-06"))), [MARCH]
    ).values():
        assert frame.empty


def test_a_month_is_stored_with_its_customers(readings: Readings) -> None:
    found = readings.read({MARCH: said(("a", "2026-04-01", 5), ("b", "2026-04-02", 3), new_users=1)})
    rows = found[AccountUsage].set_index("account")
    assert rows["active_users"].to_dict() == {"a": 5, "b": 3}
    assert rows.loc["a", "customer"] == "cus_1" and pd.isna(rows.loc["b", "customer"])
    month = found[UsageMonths].iloc[0]
    assert (month["accounts"], month["accounts_unmapped"], month["events"]) == (2, 1, 8)
    assert month["complete"] and month["new_users_by"] == "first seen"
    assert found[FeatureUsage]["events"].tolist() == [5, 3]


def test_new_users_that_the_source_does_not_know_stay_unknown(readings: Readings) -> None:
    answers = {MARCH: said(("a", "2026-04-01", 5), ("b", "2026-04-01", 3))}
    assert readings.read(answers)[AccountUsage]["new_users"].isna().all()
    again = readings.read(answers, "2026-04-07")[AccountUsage]
    assert len(again) == 2 and again["new_users"].isna().all()
    later = readings.read({MARCH: said(("a", "2026-04-06T12:00", 6), new_users=2)}, "2026-04-08")
    rows = later[AccountUsage].set_index(["account", "known_at"])["new_users"]
    assert rows[("a", at("2026-04-06T12:00"))] == 2
    assert pd.isna(rows[("a", at("2026-04-01"))]) and pd.isna(rows[("b", at("2026-04-08"))])


def test_a_month_without_events_is_read_and_has_no_rows(readings: Readings) -> None:
    found = readings.read({MARCH: said()})
    assert found[AccountUsage].empty and found[UsageMonths]["complete"].tolist() == [True]


@pytest.mark.parametrize("why", ["part", "unreachable"])
def test_of_a_month_that_was_not_read_to_its_end_nothing_is_stored(readings: Readings, why: str) -> None:
    partly = said(("a", "2026-04-01", 5), incomplete="the export stopped")
    answer = partly if why == "part" else ExpansionError("the export stopped")
    found = readings.read({MARCH: answer})
    assert found[AccountUsage].empty and found[FeatureUsage].empty
    month = found[UsageMonths].iloc[0]
    assert (month["complete"], month["incomplete_because"]) == (False, "the export stopped")
    # Once it is read whole, its rows are there.
    found = readings.read({MARCH: said(("a", "2026-04-01", 5))}, "2026-04-07")
    assert found[AccountUsage]["active_users"].tolist() == [5] and found[UsageMonths]["complete"].all()


def test_a_reading_that_fails_leaves_the_month_as_it_was(readings: Readings) -> None:
    first = readings.read({MARCH: said(("a", "2026-04-01", 5), ("b", "2026-04-01", 1))})
    failed = readings.read({MARCH: ExpansionError("no")}, "2026-04-07", accounts={"b": "cus_2"})
    assert failed[UsageMonths]["complete"].tolist() == [True]
    assert failed[UsageMonths]["read_at"].tolist() == first[UsageMonths]["read_at"].tolist()
    # With the customers that the mapping names today.
    rows = failed[AccountUsage].set_index("account")
    assert rows.loc["b", "customer"] == "cus_2" and pd.isna(rows.loc["a", "customer"])


def test_a_tool_that_is_unreachable_is_not_asked_for_the_next_month(readings: Readings) -> None:
    found = readings.read({FEBRUARY: ExpansionError("no answer"), MARCH: said(("a", "2026-04-01", 5))})
    assert readings.questions == [FEBRUARY]
    assert found[UsageMonths]["incomplete_because"].tolist() == ["no answer", "no answer"]


def test_what_was_read_before_an_outage_is_stored(readings: Readings) -> None:
    found = readings.read({FEBRUARY: said(("a", "2026-03-01", 5)), MARCH: ExpansionError("no answer")})
    assert found[AccountUsage]["month"].tolist() == [FEBRUARY]
    assert found[UsageMonths]["complete"].tolist() == [True, False]


def test_a_wrong_configuration_is_no_outage(readings: Readings) -> None:
    with pytest.raises(ConfigurationError, match="wrong key"):
        readings.read({MARCH: ConfigurationError("wrong key")})


def test_versions_of_readings(readings: Readings) -> None:
    readings.read({MARCH: said(("a", "2026-04-01", 5), ("b", "2026-04-01", 2))})
    found = readings.read({MARCH: said(("a", "2026-04-06T09:00", 6))}, "2026-04-08")
    rows = found[AccountUsage][["account", "known_at", "active_users"]].to_numpy().tolist()
    assert rows == [
        ["a", at("2026-04-01"), 5],
        ["a", at("2026-04-06T09:00"), 6],
        ["b", at("2026-04-01"), 2],
        ["b", at("2026-04-08"), 0],
    ]


def test_figures_that_are_counted_otherwise_are_no_versions(readings: Readings) -> None:
    readings.read({MARCH: said(("a", "2026-04-01", 5))})
    found = readings.read({MARCH: said(("a", "2026-04-01", 9))}, "2026-04-08", counted_by="another way")
    assert found[AccountUsage]["active_users"].tolist() == [9]
    assert found[AccountUsage]["known_at"].tolist() == [at("2026-04-01")]


def depends_on(readings: Readings, as_of: str, **others: Any) -> str:
    stub = cast(Platform, Stub(readings.lake, None, at(as_of), **others))
    return asked(stub, [MARCH])[MARCH]


def test_a_month_is_asked_for_again_while_late_events_may_come(readings: Readings) -> None:
    readings.read({MARCH: said(("a", "2026-04-01", 5))})
    # The month ends with 31 March; 31 days later is 2 May.
    assert depends_on(readings, "2026-05-01") != depends_on(readings, "2026-05-01T23:59")
    assert depends_on(readings, "2026-05-02") == depends_on(readings, "2027-05-02")


def test_a_month_that_was_read_in_part_is_asked_for_again(readings: Readings) -> None:
    readings.read({MARCH: ExpansionError("no answer")})
    assert depends_on(readings, "2026-06-01") != depends_on(readings, "2026-06-02")


def test_a_month_depends_on_the_mapping_and_on_what_is_counted(readings: Readings) -> None:
    settled = "2026-06-01"
    bases = {
        depends_on(readings, settled),
        depends_on(readings, settled, accounts={"a": "cus_2"}),
        depends_on(readings, settled, counted_by="another way"),
    }
    assert len(bases) == 3
