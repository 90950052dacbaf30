"""What each month depends on in tables that are not monthly: a change shows in the months that it is about,
and in no other.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import month_fingerprints as rules
from expansion_platform.domain.stripe import tables as stripe

MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


def given(tables: Mapping[type[Table], pd.DataFrame], **values: Any) -> Inputs:
    load = {
        model: (lambda _months, rows=rows: pa.Table.from_pandas(rows, preserve_index=False))
        for model, rows in tables.items()
    }
    made = {"timezone": "UTC", "catalog": Catalog.from_dict({}), **values}
    return Inputs(
        "a test",
        load,
        lambda _: frozenset(),
        {name: (lambda value=value: value) for name, value in made.items()},
        MONTHS,
    )


def differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    return [month for month in MONTHS if first[month] != second[month]]


def rates(february: str) -> Inputs:
    rows = [(month, "eur", february if month == "2026-02" else "1.1") for month in ["2025-12", *MONTHS]]
    return given({billing.FxRates: pd.DataFrame(rows, columns=["month", "currency", "rate"])})


def test_a_rate_is_of_its_month_and_those_after_it_and_at_the_ends_of_two() -> None:
    before, after = rates("1.1"), rates("1.2")
    assert differing(rules.rates_digest(MONTHS, before), rules.rates_digest(MONTHS, after)) == [
        "2026-02",
        "2026-03",
        "2026-04",
    ]
    assert differing(rules.end_rates_digest(MONTHS, before), rules.end_rates_digest(MONTHS, after)) == [
        "2026-02",
        "2026-03",
    ]


@pytest.mark.parametrize(
    ("at", "month"),
    [("2026-02-01", "2026-02"), ("2026-02-28 23:59:59", "2026-02"), ("2026-03-01", "2026-03")],
)
def test_a_deleted_customer_is_of_the_month_of_its_deletion(at: str, month: str) -> None:
    kinds = {"object_id": ["cus_1"], "type": ["customer.deleted"], "created": [instant(at)]}
    none = given({stripe.Events: pd.DataFrame(kinds).iloc[:0]})
    assert differing(
        rules.deletions_digest(MONTHS, none),
        rules.deletions_digest(MONTHS, given({stripe.Events: pd.DataFrame(kinds)})),
    ) == [month]


def backdated(begins: str, created: str = "2026-04-20") -> dict[str, str]:
    """Of a subscription made after the months of January to March closed."""
    closes = {month: SimpleNamespace(at=instant("2026-04-06").to_pydatetime()) for month in MONTHS[:3]}
    subscriptions = pd.DataFrame({"id": ["sub_1"], "created": [instant(created)]})
    states = pd.DataFrame({"subscription": ["sub_1"], "valid_from": [instant(begins)]})
    return rules.backdated_digest(
        MONTHS, given({stripe.Subscriptions: subscriptions, billing.ItemStates: states}, closes=closes)
    )


def test_a_subscription_made_later_is_of_the_closed_months_in_which_it_has_states() -> None:
    """`metrics/restatements` reads subscriptions; once its months did not depend on them."""
    assert differing(backdated("2026-04-20"), backdated("2026-02-10")) == ["2026-02", "2026-03"]
    # Made before they closed: nothing new.
    assert differing(backdated("2026-04-20"), backdated("2026-02-10", created="2026-02-10")) == []


def test_no_subscriptions_and_no_states_are_normal() -> None:
    subscriptions = pd.DataFrame(
        {"id": pd.Series(dtype="str"), "created": pd.Series(dtype="datetime64[us, UTC]")}
    )
    states = pd.DataFrame(
        {"subscription": pd.Series(dtype="str"), "valid_from": pd.Series(dtype="datetime64[us, UTC]")}
    )
    closes = {MONTHS[0]: SimpleNamespace(at=instant("2026-02-06").to_pydatetime())}
    empty = rules.backdated_digest(
        MONTHS, given({stripe.Subscriptions: subscriptions, billing.ItemStates: states}, closes=closes)
    )
    assert set(empty) == set(MONTHS)
