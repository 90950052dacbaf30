"""Owners as known at a close, signals of the user's own, and features of several customers at once."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.relationship import owners_at
from expansion_platform_tests.domain.signals.company import (
    MARCH,
    Row,
    company,
    fact,
    own,
    paid,
    ticket,
    touch,
)
from expansion_platform_tests.domain.signals.rule_inputs import inputs

APRIL = "2026-04"


def period(known_at: str, owner: str | None, since: str | None = None, **more: Any) -> Row:
    return fact(known_at, owner=owner, valid_from=since, **more)


def owners(
    rows: list[Row], month: str = MARCH, aliases: dict[str, str] | None = None, timezone: str = "UTC"
) -> str | None:
    asked = pd.DataFrame({"month": [month], "customer": ["c1"]})
    found = owners_at(asked, inputs({signals.OwnerPeriods: rows}, aliases=aliases, timezone=timezone))
    return None if pd.isna(found[0]) else str(found[0])


def test_the_owner_at_the_close() -> None:
    rows = [
        period("2025-01-01", "ana", "2025-01-01"),
        period("2026-02-20", "bo", "2026-03-01"),
        period("2026-03-30", "cy", "2026-04-06"),  # known before the close, begins with the day after it
    ]
    assert owners(rows) == owners(rows[::-1]) == "bo"
    assert owners(rows, "2026-02") == "bo"  # February closes on 6 March
    assert owners(rows, "2026-01") == "ana"
    assert owners(rows, APRIL) == "cy"


def test_a_period_entered_after_the_close_changes_nothing() -> None:
    rows = [period("2025-01-01", "ana", "2025-01-01"), period("2026-04-06T00:00:01", "bo", "2026-02-01")]
    assert (owners(rows), owners(rows, APRIL)) == ("ana", "bo")


def test_an_owner_that_the_source_only_has_today() -> None:
    """Each version of the row counts from when it was read."""
    rows = [period("2026-02-10", "ana"), period("2026-04-10", "bo", version=2)]
    assert [owners(rows, month) for month in ("2026-01", "2026-02", MARCH, APRIL)] == [
        None,
        "ana",
        "ana",
        "bo",
    ]
    # Read while an earlier period is stated: the newer day counts.
    assert owners([*rows, period("2026-02-01", "cy", "2026-02-01")]) == "ana"
    assert owners([*rows, period("2026-02-01", "cy", "2026-02-11")]) == "cy"


def test_nobody_and_gone() -> None:
    first = period("2025-01-01", "ana", "2025-01-01")
    assert owners([first, period("2026-03-01", None, "2026-03-01")]) is None
    assert owners([first, {**first, **fact("2026-03-01", version=2, gone=True)}]) is None
    assert owners([]) is None
    assert owners([{**first, "customer": "c2"}]) is None


def test_the_owner_of_a_merged_customer() -> None:
    rows = [
        period("2025-01-01", "ana", "2025-01-01"),
        period("2025-06-01", "bo", "2025-06-01", customer="c2"),
    ]
    assert owners(rows) == "ana"
    assert owners(rows, aliases={"c2": "c1"}) == "bo"


@pytest.mark.parametrize("timezone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_a_day_of_the_time_zone(timezone: str) -> None:
    """The close is the midnight with which 5 April ends, wherever that is."""
    before = period("2025-01-01", "ana", "2025-01-01")
    on_fifth, on_sixth = (period("2026-01-01", "bo", f"2026-04-0{day}") for day in (5, 6))
    assert owners([before, on_fifth], timezone=timezone) == "bo"
    assert owners([before, on_sixth], timezone=timezone) == "ana"


def test_rows_keep_their_index_and_order() -> None:
    asked = pd.DataFrame({"month": [APRIL, MARCH, MARCH], "customer": ["c1", "c2", "c1"]}, index=[7, 3, 5])
    rows = [
        period("2025-01-01", "ana", "2025-01-01"),
        period("2026-04-20", "bo", "2026-04-20"),
        period("2025-01-01", "cy", "2025-01-01", customer="c2"),
    ]
    found = owners_at(asked, inputs({signals.OwnerPeriods: rows}))
    assert found.to_dict() == {7: "bo", 3: "cy", 5: "ana"}
    nobody = owners_at(asked.iloc[:0], inputs({signals.OwnerPeriods: rows}))
    assert nobody.empty


def test_each_customer_and_month_has_its_own() -> None:
    rows = {
        mrr.CustomerMonths: [paid(month, each) for month in (MARCH, APRIL) for each in ("c1", "c2")],
        signals.SupportTickets: [ticket("2026-03-01", id="k1"), ticket("2026-04-20", id="k2", customer="c2")],
        signals.Activity: [touch("2026-03-02", customer="c2"), touch("2026-04-08")],
        signals.SignalValues: [own("2026-01-01", "fit", "1"), own("2026-04-10", "fit", "2", customer="c2")],
    }
    features = company(rows).signals(MARCH, APRIL)[signals.Features]
    features = features.drop_duplicates(["month", "customer"]).set_index(["month", "customer"])
    names = ["open_tickets", "touches_3m", "last_touch", "own_json"]
    found = features[names].astype(object).where(features[names].notna(), None)
    assert {key: list(row) for key, row in zip(found.index, found.to_numpy(), strict=True)} == {
        (MARCH, "c1"): [1, 0, None, '{"fit":"1"}'],
        (MARCH, "c2"): [0, 1, "2026-03-02", "{}"],
        (APRIL, "c1"): [1, 1, "2026-04-08", '{"fit":"1"}'],
        (APRIL, "c2"): [1, 1, "2026-03-02", '{"fit":"2"}'],
    }


def test_own_signals_are_sorted_whatever_their_order() -> None:
    names = ["zeta", "alpha", "m_1", "m_10", "m_2"]
    rows = [own("2026-01-01", name, str(place)) for place, name in enumerate(names)]
    texts = {company({signals.SignalValues: each}).features()["own_json"] for each in (rows, rows[::-1])}
    assert len(texts) == 1
    text = texts.pop()
    assert list(json.loads(text)) == sorted(names)
    assert json.loads(text) == {name: str(place) for place, name in enumerate(names)}


def test_a_signal_taken_back_is_the_one_before() -> None:
    rows = [
        own("2026-01-01", "fit", "1"),
        own("2026-02-01", "fit", "2"),
        own("2026-02-01", "fit", "2", "2026-03-10", version=2, gone=True),
    ]
    pays = [paid(month) for month in ("2026-02", MARCH)]
    one = company({signals.SignalValues: rows, mrr.CustomerMonths: pays})
    assert one.features("2026-02")["own_json"] == '{"fit":"2"}'
    assert one.features()["own_json"] == '{"fit":"1"}'
