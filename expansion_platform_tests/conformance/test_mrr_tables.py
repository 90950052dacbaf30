"""A range of months at once against the same months one by one: every cell, every flag, and why a month cannot be computed.

Here: random histories with foreign currencies, aliases, excluded customers, quarantine, missing rates and gaps between the months. One month is
`movements.classify`, which is compared with the plain reference beside this file.
"""

from __future__ import annotations

import random

import pandas as pd
import pytest

from expansion_platform.domain import months
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.movements import classify
from expansion_platform.domain.mrr import first_paid_months, included, rates_by_month, refuse_unknown_past, refuse_unreadable
from expansion_platform.domain.mrr_tables import MODELS, MrrTables, mrr_tables
from expansion_platform.domain.plans import beginnings
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.base import key
from expansion_platform.domain.states import covers, owners
from expansion_platform_tests.conformance.histories import CALENDAR, History, random_history
from expansion_platform_tests.domain.frames import Month, flagged

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 150))]


def one_month(month: str, history: History, catalog: Catalog) -> list[pd.DataFrame]:
    """The four tables of a month from the one-month rules, in the order of `MODELS`."""
    states, quarantine = included(history.states, catalog), included(history.quarantine, catalog)
    rates = rates_by_month(history.rates)
    first_paid = first_paid_months(states, catalog=catalog, rates=rates, last=month)
    start, end = months.opening(month), months.closing(month)
    refuse_unreadable(quarantine, start, end)
    opening, closing = states[covers(states, start)], states[covers(states, end)]
    rates_open, rates_close = rates.get(months.shift(month, -1), {}), rates.get(month, {})
    ever_paid = first_paid.before(month).append(pd.Index(catalog.ever_paid, dtype="str"))
    plans = beginnings(states, catalog).plans(end)
    plain = classify(opening, closing, catalog=catalog, rates_open=rates_open, rates_close=rates_close, ever_paid=ever_paid, plans=plans)
    new = plain.movements.loc[plain.movements["movement"] == "new", "customer"]
    refuse_unknown_past(quarantine, set(new), start, catalog)
    deleted = history.deletions[(history.deletions["created"] >= start) & (history.deletions["created"] < end)]
    facts = Month(states, opening, closing, rates_open, rates_close, set(owners(deleted["customer"].astype("str"), catalog)), month)
    rows = flagged(plain, facts, catalog)
    customers = plain.customers.assign(**first_paid.columns(plain.customers["customer"]))
    return [frame.assign(month=month) for frame in (customers, rows.movements, rows.causes, rows.migrations)]


def texts(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Cells as they compare, whatever the types: categoricals are their texts."""
    return frame[columns].astype(object).where(frame[columns].notna(), None).reset_index(drop=True)


def assert_same(found: MrrTables, month: str, expected: list[pd.DataFrame]) -> None:
    for model, frame in zip(MODELS, expected, strict=True):
        rows = found.frames[model]
        columns = sorted(frame.columns)
        assert sorted(rows.columns) == columns, model
        pd.testing.assert_frame_equal(
            texts(rows[rows["month"] == month], columns), texts(frame, columns), check_dtype=False, obj=f"{model.__name__} {month}"
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_range_of_months_is_its_months_one_by_one(seed: int) -> None:
    history = random_history(seed)
    catalog = Catalog.from_dict(history.catalog)
    wanted = sorted(random.Random(seed).sample(CALENDAR, random.Random(seed).randint(1, len(CALENDAR))))  # noqa: S311
    found = mrr_tables(wanted, history.states, history.rates, history.quarantine, history.deletions, catalog)
    for month in wanted:
        try:
            expected = one_month(month, history, catalog)
        except DataQualityError as error:
            assert str(found.failures[month]) == str(error), month
            assert found.failures[month].objects == error.objects
            assert all(not (frame["month"] == month).any() for frame in found.frames.values())
        else:
            assert month not in found.failures, found.failures[month]
            assert_same(found, month, expected)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_rows_come_in_the_order_of_their_key(seed: int) -> None:
    history = random_history(seed, faults=False)
    found = mrr_tables(CALENDAR, history.states, history.rates, history.quarantine, history.deletions, Catalog.from_dict(history.catalog))
    assert not found.failures
    for model, frame in found.frames.items():
        names = key(model)
        order = frame[names].astype("str").sort_values(names).index
        assert order.tolist() == list(range(len(frame))), model
    assert len(found.frames[mrr.Movements]) > 20


def test_no_states_make_empty_tables() -> None:
    history = random_history(1)
    found = mrr_tables(CALENDAR, history.states[:0], history.rates, history.quarantine[:0], history.deletions, Catalog.from_dict({}))
    assert not found.failures
    assert {len(frame) for frame in found.frames.values()} == {0}
