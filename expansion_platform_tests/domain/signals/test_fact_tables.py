"""The user's text as rows of the lake: kinds of values, amounts in minor units, the days of facts."""

from __future__ import annotations

import pandas as pd
import pytest

from expansion_platform.domain.catalog.tables import FACTS, CrmActivity, CustomerSignals, Nps, Owners, Tickets
from expansion_platform.domain.core.table import Table, empty, key, to_pandas
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.facts import known_facts, versions
from expansion_platform.domain.signals.tables.facts import (
    FACT_TABLES,
    Activity,
    SupportTickets,
    as_facts,
    content,
    fact_key,
)
from expansion_platform.storage.rows import conform
from expansion_platform_tests.domain.signals.fact_rows import Stored, at, given, plain

DEAL = {"customer": "cus_1", "date": "2026-03-05", "kind": "opportunity", "id": "o1"}


def activity(reporting: str = "usd", **row: str | None) -> pd.DataFrame:
    return as_facts(given(CrmActivity, [DEAL | row]), Activity, reporting, "UTC")


@pytest.mark.parametrize("model", FACTS, ids=lambda model: model.__name__)
def test_each_table_keeps_what_the_users_has(model: type[Table]) -> None:
    """But for the currency of amounts, which are in one; and a fact is keyed as the user's row."""
    lake = FACT_TABLES[model]
    read = as_facts(given(model, []), lake, "usd", "UTC")
    gone = {"currency"} if model is CrmActivity else set()
    assert set(content(lake)) == set(empty(model).columns) - {"known_at"} - gone
    assert fact_key(lake) == [name for name in key(model) if name != "known_at"]
    assert list(read.columns) == [*content(lake), "stated_at", "own_at", "begun_at"]
    assert versions(empty(lake), read, at("2026-04-01"), lake).empty


def test_an_opportunity_without_a_stage_is_won_and_a_touch_has_none() -> None:
    assert plain(activity(), "stage") == [("won",)]
    assert plain(activity(stage="lost"), "stage") == [("lost",)]
    assert plain(activity(kind="touch", stage="won"), "stage") == [(None,)]


@pytest.mark.parametrize(
    ("currency", "amount", "of", "units"),
    [
        ("usd", "12000.00", None, 1_200_000),
        ("usd", "0.125", "usd", 12),  # half to even
        ("usd", "0.135", None, 14),
        ("jpy", "1500", None, 1_500),
        ("kwd", "1.5", None, 1_500),
        ("usd", "100", "eur", None),
        ("eur", "100", "eur", 10_000),
        ("usd", None, None, None),
        ("usd", "9" * 40, None, None),
    ],
)
def test_amounts_are_minor_units_of_the_reporting_currency(
    currency: str, amount: str | None, of: str | None, units: int | None
) -> None:
    rows = activity(currency, amount=amount, currency=of)
    assert str(rows["amount"].dtype) == "Int64"
    assert plain(rows, "amount") == [(units,)]


@pytest.mark.parametrize(
    ("written", "stored"),
    [("0.50", "0.5"), ("-0.0", "0"), ("100", "100"), ("1e2", None), ("-12.30", "-12.3"), ("007", "7")],
)
def test_values_have_one_spelling(written: str, stored: str | None) -> None:
    row = {"customer": "cus_1", "date": "2026-03-05", "signal": "csat", "value": written}
    if stored is None:
        with pytest.raises(Exception, match="str_matches"):
            CustomerSignals.validate(given(CustomerSignals, [row]))
    else:
        lake = FACT_TABLES[CustomerSignals]
        assert plain(as_facts(given(CustomerSignals, [row]), lake, "usd", "UTC"), "value") == [(stored,)]


def test_scores_are_numbers() -> None:
    row = {"customer": "cus_1", "date": "2026-03-05", "score": "10"}
    rows = as_facts(given(Nps, [row]), FACT_TABLES[Nps], "usd", "UTC")
    assert plain(rows, "score", "id") == [(10, None)]
    assert str(rows["score"].dtype) == "Int64"


def test_a_ticket_begins_on_the_day_it_was_opened_and_is_dated_by_its_closing() -> None:
    ticket = {"customer": "cus_1", "id": "7", "opened": "2026-03-05"}
    rows = as_facts(
        given(Tickets, [ticket, ticket | {"id": "8", "closed": "2026-03-09"}]), SupportTickets, "usd", "UTC"
    )
    assert plain(rows, "begun_at", "own_at") == [
        ("2026-03-06T00:00:00+00:00", "2026-03-06T00:00:00+00:00"),
        ("2026-03-06T00:00:00+00:00", "2026-03-10T00:00:00+00:00"),
    ]


def test_rows_that_come_back_from_the_lake_are_the_same_facts() -> None:
    """Arrow gives whole numbers with nulls as floats."""
    stored = Stored(CrmActivity)
    rows = [DEAL | {"amount": "10"}, DEAL | {"id": "o2"}]
    stored.read("2026-04-01", *rows)
    back = to_pandas(conform(stored.model, stored.rows))
    assert str(back["amount"].dtype) == "float64"
    read = as_facts(given(CrmActivity, rows), stored.model, "usd", "UTC")
    assert versions(back, read, at("2026-05-01"), stored.model).empty
    pd.testing.assert_frame_equal(
        known_facts(back, stored.model, at("2026-05-01")),
        known_facts(stored.rows, stored.model, at("2026-05-01")),
    )


def test_the_models_refuse_what_cannot_be() -> None:
    stored = Stored(Owners)
    row = {"customer": "cus_1", "owner": "77", "valid_from": "2026-03-01"}
    stored.read("2026-04-01", row)
    with pytest.raises(Exception, match="crm/owners breaks"):
        validate(stored.model, pd.concat([stored.rows, stored.rows], ignore_index=True))
