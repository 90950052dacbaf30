"""A range of months at once against the same months one by one: every cell, every flag, and why a month
cannot be computed.

Here: random histories with foreign currencies, aliases, excluded customers, quarantine, missing rates and
gaps between the months. One month is `movements.classify`, which is compared with the plain reference beside
this file.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import beginnings
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import key
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr import vocabulary
from expansion_platform.domain.mrr.first_paid import (
    first_paid_months,
    included,
    rates_by_month,
    refuse_unknown_past,
    refuse_unreadable,
)
from expansion_platform.domain.mrr.monthly import MODELS, Facts, MrrTables, mrr_tables
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.domain.mrr.states import covers, owners
from expansion_platform_tests.conformance.histories import CALENDAR, History, random_history
from expansion_platform_tests.domain.frames import Month, flagged

SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(6, 150))]


def one_month(month: str, history: History, catalog: Catalog, *, rates_alone: bool) -> list[pd.DataFrame]:
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
    plain = classify(
        opening,
        closing,
        catalog=catalog,
        rates_open=rates_open,
        rates_close=rates_close,
        ever_paid=ever_paid,
        plans=plans,
    )
    new = plain.movements.loc[plain.movements["movement"] == "new", "customer"]
    refuse_unknown_past(quarantine, set(new), start, catalog)
    deleted = history.deletions[
        (history.deletions["created"] >= start) & (history.deletions["created"] < end)
    ]
    facts = Month(
        states,
        opening,
        closing,
        rates_open,
        rates_close,
        set(owners(deleted["customer"].astype("str"), catalog)),
        month,
    )
    rows = flagged(plain, facts, catalog, rates_alone=rates_alone)
    customers = plain.customers.assign(**first_paid.columns(plain.customers["customer"]))
    return [frame.assign(month=month) for frame in (customers, rows.movements, rows.causes, rows.migrations)]


def facts_of(history: History, catalog: Catalog) -> Facts:
    return Facts(history.states, history.rates, history.quarantine, history.deletions, catalog)


def texts(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Cells as they compare, whatever the types: categoricals are their texts."""
    return frame[columns].astype(object).where(frame[columns].notna(), None).reset_index(drop=True)


def assert_same(found: MrrTables, month: str, expected: list[pd.DataFrame]) -> None:
    for model, frame in zip(MODELS, expected, strict=True):
        rows = found.frames[model]
        columns = sorted(frame.columns)
        assert sorted(rows.columns) == columns, model
        pd.testing.assert_frame_equal(
            texts(rows[rows["month"] == month], columns),
            texts(frame, columns),
            check_dtype=False,
            obj=f"{model.__name__} {month}",
        )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_range_of_months_is_its_months_one_by_one(seed: int) -> None:
    history = random_history(seed)
    catalog = Catalog.from_dict(history.catalog)
    wanted = sorted(random.Random(seed).sample(CALENDAR, random.Random(seed).randint(1, len(CALENDAR))))  # noqa: S311
    rates_alone = seed % 2 == 0
    found = mrr_tables(wanted, facts_of(history, catalog), rates_alone=rates_alone)
    for month in wanted:
        try:
            expected = one_month(month, history, catalog, rates_alone=rates_alone)
        except DataQualityError as error:
            assert str(found.failures[month]) == str(error), month
            assert found.failures[month].objects == error.objects
            assert all(not (frame["month"] == month).any() for frame in found.frames.values())
        else:
            assert month not in found.failures, found.failures[month]
            assert_same(found, month, expected)


def both_kinds(seed: int) -> tuple[MrrTables, MrrTables]:
    """The tables of a history without faults, as they are stored, and with the rows of exchange rates
    alone.
    """
    history = random_history(seed, faults=False)
    facts = facts_of(history, Catalog.from_dict(history.catalog))
    return mrr_tables(CALENDAR, facts), mrr_tables(CALENDAR, facts, rates_alone=True)


def by_customer_month(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.astype({"month": "str", "customer": "str"}).set_index(["month", "customer"])


@pytest.mark.parametrize("seed", SEEDS)
def test_opening_and_flows_are_closing_with_the_months_of_exchange_rates_alone(seed: int) -> None:
    """Opening + what mrr/movements has + the exchange rates of customer-months without a movement = closing,
    by customer, segment and in total.
    """
    found, _ = both_kinds(seed)
    months, moved = (by_customer_month(found.frames[model]) for model in (mrr.CustomerMonths, mrr.Movements))
    flows = moved[[f"flow_{name}" for name in vocabulary.FLOWS]].sum(axis=1)
    assert moved.index.isin(months.index).all()
    assert (moved["flow_fx"] == months["flow_fx"].reindex(moved.index)).all()
    rows = months[["segment", "opening", "closing"]].astype({"segment": "str"})
    rows["flows"] = flows.reindex(rows.index).fillna(months["flow_fx"]).astype("int64")
    amounts = ["opening", "flows", "closing"]
    for sums in (
        rows,
        rows.groupby(["month", "segment"])[amounts].sum(),
        rows.groupby("month")[amounts].sum(),
        rows[amounts].sum().to_frame().T,
    ):
        assert (sums["opening"] + sums["flows"] == sums["closing"]).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_only_months_of_exchange_rates_alone_have_no_rows(seed: int) -> None:
    """What is left out has only causes of one item at one price, quantity and discounts; what stays is the
    same to the cell.
    """
    found, every = both_kinds(seed)
    for model in MODELS:
        kept = by_customer_month(found.frames[mrr.Movements]).index
        rows, stored = every.frames[model], found.frames[model]
        if model in (mrr.Movements, mrr.Causes):
            rows = rows[by_customer_month(rows).index.isin(kept)]
        pd.testing.assert_frame_equal(
            texts(stored, list(stored.columns)), texts(rows, list(stored.columns)), check_dtype=False
        )
    moved, causes = (by_customer_month(every.frames[model]) for model in (mrr.Movements, mrr.Causes))
    left_out, of_them = moved[~moved.index.isin(kept)], causes[~causes.index.isin(kept)]
    assert (left_out["label"].isin(["fx", "flat"]) & (left_out["movement"] == "continuing")).all()
    assert (left_out["flow_fx"] == left_out["delta"]).all()
    assert (of_them["cause"] == "fx").all()
    assert all(
        (of_them[f"from_{name}"] == of_them[f"to_{name}"]).all()
        for name in ("price", "quantity", "discounts_json", "mrr")
    )
    history = random_history(seed, faults=False)
    customer = owners(history.states["customer"].astype("str"), Catalog.from_dict(history.catalog))
    bounds = pd.concat(
        [
            pd.DataFrame({"at": history.states[name], "customer": customer})
            for name in ("valid_from", "valid_to")
        ]
    ).dropna()
    changed = set(zip(bounds["at"].map(months.of), bounds["customer"], strict=True))
    assert set(moved.index[moved.index.isin(kept) & (moved["label"] == "fx").to_numpy()]) <= changed


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_rows_come_in_the_order_of_their_key(seed: int) -> None:
    history = random_history(seed, faults=False)
    found = mrr_tables(CALENDAR, facts_of(history, Catalog.from_dict(history.catalog)))
    assert not found.failures
    for model, frame in found.frames.items():
        names = key(model)
        order = frame[names].astype("str").sort_values(names).index
        assert order.tolist() == list(range(len(frame))), model
    assert len(found.frames[mrr.Movements]) > 20


def test_no_states_make_empty_tables() -> None:
    history = random_history(1)
    nothing = replace(history, states=history.states[:0], quarantine=history.quarantine[:0])
    found = mrr_tables(CALENDAR, facts_of(nothing, Catalog.from_dict({})))
    assert not found.failures
    assert {len(frame) for frame in found.frames.values()} == {0}
