"""EventCounter, by rows made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from expansion_platform.sources.analytics.counting import FIRST_SEEN, SIGN_UPS, EventCounter
from expansion_platform.sources.analytics.usage import ACCOUNT_COUNTS, MonthUsage
from expansion_platform_tests.sources.plain_count import Event, at, count, definition, question

NEW_YORK = "America/New_York"
SECOND = pd.Timedelta(seconds=1)
MARCH = question()


def accounts(usage: MonthUsage, *columns: str) -> list[tuple[Any, ...]]:
    return list(usage.accounts[["account", *columns]].itertuples(index=False, name=None))


def features(usage: MonthUsage) -> list[tuple[Any, ...]]:
    columns = ["account", "feature", "active_users", "events"]
    return list(usage.features[columns].itertuples(index=False, name=None))


def opened(when: str, **fields: Any) -> Event:
    return Event("opened", at(when), **fields)


# Copies


def test_the_copy_that_arrived_first_counts() -> None:
    first = opened("2026-03-02 10:00", id="e1", arrived=at("2026-03-02 11:00"))
    later = replace(
        first, arrived=at("2026-03-02 12:00"), accounts=("org_b",), happened=at("2026-03-02 10:00:01")
    )
    for order in ([first, later], [later, first]):
        usage = count(order)
        assert usage.events == 1
        assert accounts(usage, "known_at") == [("org_a", at("2026-03-02 11:00"))]
        assert features(usage) == [("org_a", "opened", 1, 1)]


def test_of_copies_that_arrived_at_once_the_earlier_one_counts() -> None:
    arrived = at("2026-03-05")
    copies = [
        opened(f"2026-03-0{day}", id="e", arrived=arrived, accounts=(f"org_{day}",)) for day in (3, 2, 4)
    ]
    assert accounts(count(copies)) == [("org_2",)]


def test_an_event_without_an_id_is_no_copy() -> None:
    usage = count([opened("2026-03-02"), opened("2026-03-02"), opened("2026-03-02", id="e1")])
    assert features(usage) == [("org_a", "opened", 1, 3)]


# Accounts and people


def test_an_event_of_several_accounts_counts_for_each_and_once_in_total() -> None:
    usage = count([opened("2026-03-02", accounts=("org_b", "org_a", "org_b"))])
    assert usage.events == 1
    assert features(usage) == [("org_a", "opened", 1, 1), ("org_b", "opened", 1, 1)]
    assert accounts(usage, "active_users") == [("org_a", 1), ("org_b", 1)]


def test_an_event_without_an_account_counts_in_the_total_only() -> None:
    usage = count([opened("2026-03-02"), opened("2026-03-02", accounts=())])
    assert (usage.events, usage.events_without_account) == (2, 1)
    assert features(usage) == [("org_a", "opened", 1, 1)]


def test_accounts_of_the_own_company_are_left_out() -> None:
    usage = count(
        [opened("2026-03-02", accounts=("org_a", "us")), opened("2026-03-03", accounts=("us",))],
        meaning=definition(internal_accounts=["us"]),
    )
    assert accounts(usage, "active_days") == [("org_a", 1)]
    assert (usage.events, usage.events_without_account) == (2, 0)


def test_people_are_counted_once_and_nobody_is_no_person() -> None:
    usage = count(
        [
            opened("2026-03-02 09:00"),
            opened("2026-03-02 17:00"),
            opened("2026-03-03"),
            opened("2026-03-03", person="p2"),
            opened("2026-03-09", person=None),
        ]
    )
    assert accounts(usage, "active_users", "active_days", "mean_daily_users") == [
        ("org_a", 2, 3, "0.096774")  # 3 person-days in 31
    ]


@pytest.mark.parametrize(("month", "mean"), [("2026-02", "0.035714"), ("2024-02", "0.034483")])
def test_the_mean_is_over_all_days_of_the_month(month: str, mean: str) -> None:
    usage = count([opened(f"{month}-02")], question(month))
    assert accounts(usage, "mean_daily_users") == [("org_a", mean)]


# Time


def test_an_event_after_the_close_makes_another_version() -> None:
    usage = count(
        [
            opened("2026-03-02"),
            opened("2026-03-31", person="p2", arrived=MARCH.closes - SECOND),
            opened("2026-03-09", person="p3", arrived=MARCH.closes),
            opened("2026-03-09", accounts=("org_late",), arrived=MARCH.closes + SECOND),
            opened("2026-03-09", accounts=("org_on_time",)),
        ]
    )
    assert accounts(usage, "known_at", "active_users") == [
        ("org_a", MARCH.closes - SECOND, 2),
        ("org_a", MARCH.closes, 3),
        ("org_late", MARCH.closes + SECOND, 1),
        ("org_on_time", at("2026-03-09"), 1),
    ]


def test_a_late_event_that_changes_no_figure_makes_no_version() -> None:
    usage = count([opened("2026-03-02 09:00"), opened("2026-03-02 10:00", arrived=at("2026-05-01"))])
    assert accounts(usage, "known_at") == [("org_a", at("2026-03-02 09:00"))]
    assert features(usage) == [("org_a", "opened", 1, 1), ("org_a", "opened", 1, 2)]


def test_the_month_and_its_days_are_those_of_the_time_zone() -> None:
    usage = count(
        [
            opened("2026-03-01 04:59:59.999999", person="too early"),
            opened("2026-03-01 05:00:00"),
            opened("2026-03-02 04:59:59"),  # still 1 March
            opened("2026-03-09 04:00:00", person="p2"),  # 9 March: summer time began on the 8th
            opened("2026-04-01 03:59:59.999999", person="p3"),
            opened("2026-04-01 04:00:00", person="too late"),
        ],
        question(timezone=NEW_YORK),
    )
    assert accounts(usage, "active_users", "active_days") == [("org_a", 3, 3)]
    assert usage.events == 4


# What events mean


def test_excluded_events_count_nowhere() -> None:
    usage = count(
        [opened("2026-03-02"), Event("heartbeat", at("2026-03-03"), person="p2")],
        meaning=definition(excluded_events=["heartbeat"], events={"logins": ["heartbeat"]}),
    )
    assert usage.events == 1
    assert accounts(usage, "active_users", "active_days", "logins") == [("org_a", 1, 1, 0)]


def test_an_event_can_count_as_several_kinds() -> None:
    usage = count(
        [
            Event("joined", at("2026-03-02")),
            Event("joined", at("2026-03-03")),
            Event("asked", at("2026-03-03")),
        ],
        meaning=definition(events={"logins": ["joined", "asked"], "milestones": ["joined"]}),
    )
    assert accounts(usage, "logins", "milestones", "invites") == [("org_a", 3, 2, 0)]


USED = [
    Event("viewed", at("2026-03-02"), named="Reports"),
    Event("viewed", at("2026-03-03"), named="Costs", person="p2"),
    Event("saved", at("2026-03-03"), named="Reports", person="p2"),
    Event("opened", at("2026-03-04")),
]


def test_feature_property_names_the_feature_and_else_the_event_does() -> None:
    usage = count(USED, meaning=definition(feature_property="screen"))
    assert features(usage) == [
        ("org_a", "Costs", 1, 1),
        ("org_a", "Reports", 2, 2),
        ("org_a", "opened", 1, 1),
    ]
    assert accounts(usage, "features_used") == [("org_a", 3)]


def test_only_listed_features_are_features() -> None:
    usage = count(USED, meaning=definition(feature_property="screen", features=["Reports", "saved"]))
    assert features(usage) == [("org_a", "Reports", 2, 2)]
    assert accounts(usage, "features_used", "active_users", "active_days") == [("org_a", 1, 2, 3)]


def test_without_feature_property_the_event_is_the_feature() -> None:
    events = [replace(event, named=None) for event in USED]
    assert features(count(events, meaning=definition(features=["saved", "opened"]))) == [
        ("org_a", "opened", 1, 1),
        ("org_a", "saved", 1, 1),
    ]


# New users


def test_new_users_are_the_people_of_sign_up_events() -> None:
    began = at("2026-03-01")
    usage = count(
        [
            Event("signed_up", at("2026-03-02"), person="p1", began=began),
            Event("signed_up", at("2026-03-03"), person="p1", began=began),
            Event("opened", at("2026-03-03"), person="p2", began=began),
        ],
        meaning=definition(events={"sign_ups": ["signed_up"]}),
    )
    assert accounts(usage, "new_users") == [("org_a", 1)]
    assert usage.new_users_by == SIGN_UPS


def test_new_users_are_those_whom_the_provider_first_saw_in_the_month() -> None:
    usage = count(
        [
            opened("2026-03-05", person="p1", began=at("2026-03-01")),
            opened("2026-03-05", person="p2", began=at("2026-02-28 23:59:59")),
            opened("2026-03-05", person="p3"),
        ]
    )
    assert accounts(usage, "new_users") == [("org_a", 1)]
    assert usage.new_users_by == FIRST_SEEN


def test_new_users_are_not_known_without_either() -> None:
    usage = count([opened("2026-03-05")])
    assert usage.accounts["new_users"].isna().all()
    assert usage.new_users_by is None


# The answer


def test_a_month_without_events_is_empty_and_of_the_same_types() -> None:
    empty, full = count([opened("2026-02-28 23:59:59"), opened("2026-04-01")]), count([opened("2026-03-05")])
    assert (empty.events, empty.events_without_account, empty.incomplete) == (0, 0, None)
    for one, other in ((empty.accounts, full.accounts), (empty.features, full.features)):
        assert one.empty and len(other) == 1
        assert (one.dtypes == other.dtypes).all()
    whole = {name: "Int64" if name == "new_users" else "int64" for name in ACCOUNT_COUNTS}
    assert {name: str(full.accounts.dtypes[name]) for name in ACCOUNT_COUNTS} == whole


def test_events_are_deleted_with_their_folder() -> None:
    with EventCounter(definition()) as counter:
        (counter.folder / "export").write_text("x")
        usage = counter.month(MARCH, "it ended early")
    assert usage.incomplete == "it ended early"
    assert not counter.folder.exists()
