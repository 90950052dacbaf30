"""The tables the platform stores against the plain reference: who is listed, what moved, and the evidence row
by row.

`classify_month` shows every customer; the stored tables leave out those in whom nothing moved and add a row
for each pair of items. Both differences are places to go wrong, so they are compared on their own.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import canonical
from expansion_platform.domain.mrr.movements import Classified, classify
from expansion_platform.simulator.truth import reference
from expansion_platform_tests.conformance.books import MonthSnapshot, Row, random_book

DEFAULTS: Row = {
    "collection_paused": None,
    "livemode": True,
    "usage_type": "licensed",
    "interval": "month",
    "interval_count": 1,
    "discounts": [],
}
COLUMNS = [
    "customer",
    "subscription",
    "item",
    "status",
    "collection_paused",
    "livemode",
    "currency",
    "product",
    "price",
    "usage_type",
]
COLUMNS += ["interval", "interval_count", "scheme_json", "quantity", "discounts_json"]


def states(items: list[Row]) -> pd.DataFrame:
    rows = [DEFAULTS | item for item in items]
    rows = [
        row
        | {"scheme_json": canonical.dumps(row["scheme"]), "discounts_json": canonical.dumps(row["discounts"])}
        for row in rows
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"interval_count": "int64", "livemode": "bool"})


def tables(book: MonthSnapshot) -> Classified:
    prev, curr, catalog = book
    rates = catalog["fx"]
    return classify(
        states(prev),
        states(curr),
        catalog=Catalog.from_dict(catalog),
        rates_open=rates["prev"],
        rates_close=rates["curr"],
        ever_paid=catalog["ever_paid"],
    )


@pytest.fixture(scope="module", params=[11, 12, 13])
def both(request: pytest.FixtureRequest) -> tuple[dict[str, Any], Classified]:
    """The reference's rows with evidence, and the tables, of one book of many customers."""
    book = random_book(request.param, customers=300)
    return reference.classify_month(*book, evidence=True)["customers"], tables(book)


def test_customers_paying_at_one_end_are_listed(both: tuple[dict[str, Any], Classified]) -> None:
    expected, found = both
    amounts = ["opening", "closing", "opening_arr", "closing_arr", "segment"]
    listed = {
        row["customer"]: {name: row[name] for name in amounts} for row in found.customers.to_dict("records")
    }
    assert listed == {
        customer: {name: row[name] for name in amounts}
        for customer, row in expected.items()
        if row["movement"] != "none"
    }


def test_movements_are_listed_where_anything_moved(both: tuple[dict[str, Any], Classified]) -> None:
    expected, found = both
    listed = {row["customer"]: row for row in found.movements.to_dict("records")}
    moved = {
        customer
        for customer, row in expected.items()
        if any(row["flows"].values()) or any(row["causes"].values())
    }
    assert (
        moved
        <= listed.keys()
        <= moved | {customer for customer, row in expected.items() if row["cause_rows"]}
    )
    for customer, row in listed.items():
        same = expected[customer]
        for name in (
            "movement",
            "label",
            "segment",
            "dormant",
            "opening",
            "closing",
            "delta",
            "expansion_gross",
            "contraction_gross",
        ):
            assert row[name] == same[name], f"{customer} {name}"
        assert {flow: row[f"flow_{flow}"] for flow in reference.FLOWS} == same["flows"], customer
        for direction in ("expansion", "contraction"):
            assert {cause: row[f"{direction}_{cause}"] for cause in reference.ORGANIC} == same[
                f"{direction}_by_type"
            ], customer


def test_evidence_agrees_pair_by_pair(both: tuple[dict[str, Any], Classified]) -> None:
    expected, found = both
    names = ["customer", "group", "cause", "amount", "from_item", "to_item"]
    listed = sorted(found.causes[names].itertuples(index=False, name=None))
    assert listed == sorted(
        (customer, row["group"], row["cause"], row["amount"], row["from_item"], row["to_item"])
        for customer, same in expected.items()
        for row in same["cause_rows"]
    )
