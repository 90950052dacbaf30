"""Usage of customers by close: sums over accounts, versions, and what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import to_pandas
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.definition import Events, SignalDefinition
from expansion_platform.domain.signals.usage_levels import UsageLevels
from expansion_platform_tests.domain.signals.company import (
    MARCH,
    Row,
    calendar,
    company,
    feature,
    months_read,
    read,
    used,
)
from expansion_platform_tests.domain.signals.rule_inputs import arrow

MONTHS = calendar("2025-12", MARCH)
NAN = float("nan")


def levels(
    accounts: list[Row] | None = None, features: list[Row] | None = None, **others: Any
) -> UsageLevels:
    """Usage of c1 and c2 from December to March, all of it known but for c2, which has no account."""
    closes = pd.DatetimeIndex([months.closes(month, "UTC", 5) for month in MONTHS]).as_unit("us")
    values = {
        "complete": np.ones(len(MONTHS), dtype=bool),
        "mapped": np.array([True, False]),
        **others,
    }
    return UsageLevels(
        calendar=MONTHS,
        closes=closes,
        customers=pd.Index(["c1", "c2"], dtype="str"),
        accounts=to_pandas(arrow(signals.AccountUsage, accounts or [])),
        features=to_pandas(arrow(signals.FeatureUsage, features or [])),
        **values,
    )


def of_first(matrix: Any) -> list[float | None]:
    """The row of c1, None for what is not known."""
    return [None if np.isnan(value) else float(value) for value in matrix[0]]


def test_a_month_without_events_has_zeros_and_a_customer_without_account_nothing() -> None:
    found = levels([used("2026-01", active_users=4)]).level("active_users")
    assert of_first(found) == [0, 4, 0, 0]
    assert np.isnan(found[1]).all()
    assert of_first(levels().level("active_users")) == [0, 0, 0, 0]


def test_of_a_month_that_was_not_read_to_its_end_nothing_is_known() -> None:
    complete = np.array([True, False, True, True])
    usage = levels([used("2026-01", active_users=4), used(MARCH, active_users=7)], complete=complete)
    assert of_first(usage.level("active_users")) == [0, None, 0, 7]
    # A month later that month is the one before, and still nothing is known of it.
    assert of_first(usage.level("active_users", 1)) == [None, 0, None, 0]
    assert of_first(usage.adopted(["export"])) == [0, None, 0, 0]


def test_accounts_of_a_customer_are_summed_and_days_are_not() -> None:
    rows = [
        used(MARCH, "a1", active_users=3, active_days=20, features_used=5, mean_daily_users="0.500001"),
        used(MARCH, "a2", active_users=4, active_days=25, features_used=2, mean_daily_users="1.250000"),
        used(MARCH, "a3", "c3", active_users=100),
    ]
    usage = levels(rows)
    assert usage.level("active_users")[0, -1] == 7
    assert usage.level("mean_daily_users")[0, -1] == 1.750001
    # Both accounts may have had the same days: 45 of 31 is no number of days.
    assert (usage.level("active_days")[0, -1], usage.level("features_used")[0, -1]) == (25, 5)


def test_the_version_that_the_close_knew() -> None:
    rows = [
        used(MARCH, active_users=5, known_at="2026-04-02"),
        used(MARCH, active_users=6, known_at="2026-04-06"),  # at the close exactly
        used(MARCH, active_users=9, known_at="2026-04-06T00:00:00.000001"),
    ]
    assert levels(rows).level("active_users")[0, -1] == 6
    assert levels(rows[:1] + rows[2:]).level("active_users")[0, -1] == 5
    assert levels(rows[2:]).level("active_users")[0, -1] == 0


def test_an_earlier_month_is_seen_as_the_later_close_knew_it() -> None:
    rows = [
        used("2026-02", active_users=5, known_at="2026-03-01"),
        used("2026-02", active_users=8, known_at="2026-03-20"),
        used("2026-02", active_users=11, known_at="2026-05-01"),
    ]
    usage = levels(rows)
    assert usage.level("active_users")[0, 2] == 5
    assert usage.level("active_users", 1)[0, 3] == 8


def test_versions_are_of_one_account_and_one_feature() -> None:
    rows = [
        used(MARCH, "a1", active_users=5, known_at="2026-04-01"),
        used(MARCH, "a2", active_users=1, known_at="2026-04-02"),
        used(MARCH, "a1", active_users=2, known_at="2026-04-03"),
    ]
    assert levels(rows).level("active_users")[0, -1] == 3
    features = [
        feature(MARCH, "export", known_at="2026-04-01"),
        feature(MARCH, "reports", known_at="2026-04-02"),
        feature(MARCH, "reports", events=0, known_at="2026-04-03"),
        feature(MARCH, "reports", known_at="2026-04-04", account="a2"),
        feature(MARCH, "export", known_at="2026-04-05", account="a2"),
        feature(MARCH, "beta"),
    ]
    assert levels(features=features[:3]).adopted(["export", "reports"])[0, -1] == 1
    assert levels(features=features).adopted(["export", "reports"])[0, -1] == 2
    assert levels(features=features).adopted([])[0, -1] == 0


def test_a_figure_that_is_not_counted_is_not_known() -> None:
    counted = {"logins": np.array([False, False, True, True])}
    usage = levels([used(MARCH, logins=2)], counted=counted)
    assert of_first(usage.level("logins")) == [None, None, 0, 2]
    assert of_first(usage.level("logins", 2)) == [None, None, None, None]
    assert of_first(usage.level("invites")) == [0, 0, 0, 0]


def test_new_people_of_one_account_are_not_known() -> None:
    rows = [used(MARCH, "a1", new_users=None), used(MARCH, "a2", new_users=3)]
    assert of_first(levels(rows).level("new_users")) == [0, 0, 0, None]


@pytest.mark.parametrize(
    ("accounts", "aliases", "active"),
    [
        ({"a1": "c1"}, {}, 3),
        ({"a1": "c1", "a2": "c1"}, {}, 7),
        ({}, {}, None),
        ({"a1": "c9"}, {}, None),
        ({"a1": "c9"}, {"c9": "c1"}, 3),
        ({"a3": "c1"}, {}, 0),
    ],
    ids=["one", "two", "none", "another's", "merged", "quiet"],
)
def test_accounts_by_the_mapping(
    accounts: dict[str, str], aliases: dict[str, str], active: int | None
) -> None:
    figures = {"a1": 3, "a2": 4}
    rows = [
        used(MARCH, account, accounts[account], active_users=figures[account])
        for account in figures
        if account in accounts
    ]
    found = company(
        {signals.UsageMonths: months_read(MARCH), signals.AccountUsage: rows},
        accounts=accounts,
        aliases=aliases,
    ).features()
    assert found["active_users"] == active


def test_all_of_usage_is_unknown_where_the_month_was_not_read_to_its_end() -> None:
    definition = SignalDefinition(events=Events(logins=("in",)), key_features=("export",))
    rows = {
        signals.UsageMonths: [*months_read("2026-02"), read(MARCH, complete=False)],
        signals.AccountUsage: [used(MARCH, active_users=3), used("2026-02", active_users=2)],
    }
    partly = company(rows, values={"signals": definition})
    of_usage = (
        *("active_users", "active_users_change_1m", "active_users_change_3m", "new_users", "active_days"),
        *("stickiness", "engagement_trend", "features_used", "key_feature_adoption", "logins"),
        *("seat_utilisation", "gate_hits"),
    )
    assert {name: partly.features()[name] for name in of_usage} == dict.fromkeys(of_usage)
    # What is known of February stays known in March's neighbours only.
    assert company(rows | {signals.UsageMonths: months_read(MARCH)}).features()["active_users"] == 3


def test_months_not_read_are_no_month_of_zeros_to_grow_from() -> None:
    rows = {
        signals.UsageMonths: [read(MARCH), read("2026-02")],
        signals.AccountUsage: [used(MARCH, active_users=3), used("2026-02", active_users=2)],
    }
    found = company(rows).features()
    assert (found["active_users_change_1m"], found["active_users_change_3m"]) == ("0.500000", None)
    assert found["engagement_trend"] is None
