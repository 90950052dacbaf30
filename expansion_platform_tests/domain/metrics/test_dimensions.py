"""What a customer is in each dimension, and a small month by every one of them, worked out by hand.

March 2026, US cents; ada opened the month, bob came in it, cy returned, dee left:

| customer | opening | closing | flow | first paid | pricing model |
|---|---|---|---|---|---|
| ada | 1,000 | 1,250 | expansion 200, price 50 | 1 December 2025, noon | seat |
| bob | 0 | 300 | new | 5 March 2026 | flat |
| cy | 0 | 400 | reactivation | 25 December 2025 | seat |
| dee | 600 | 0 | churn | 1 March 2025 | hybrid |
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError
from expansion_platform.domain.metrics import dimensions, reconciliation_totals, tables
from expansion_platform.domain.mrr import customer_attributes, customer_slices
from expansion_platform.domain.mrr import tables as tables_of_mrr
from expansion_platform.domain.mrr.closings import Closings, value_closings
from expansion_platform.domain.mrr.customer_profiles import profiles
from expansion_platform.domain.mrr.customer_slices import Known, Slices, slices_of
from expansion_platform.domain.mrr.first_paid import rates_by_month
from expansion_platform.domain.mrr.states import closing_states
from expansion_platform_tests.benchmarks import book
from expansion_platform_tests.domain import books, frames

MONTH = "2026-03"
HASHES = {"policy_hash": "p", "catalog_hash": "c"}
CATALOG = Catalog.from_dict({"aliases": {"ada_old": "ada"}})
BOOK = {
    "ada": (
        1_000,
        1_250,
        {"flow_expansion": 200, "flow_price": 50, "expansion_gross": 200, "expansion_unadjusted": 250},
        "2025-12-01T12:00",
    ),
    "bob": (0, 300, {"flow_new": 300}, "2026-03-05"),
    "cy": (0, 400, {"flow_reactivation": 400}, "2025-12-25"),
    "dee": (600, 0, {"flow_churn": -600}, "2025-03-01"),
}
MODELS = {"ada": "seat", "bob": "flat", "cy": "seat", "dee": "hybrid"}
FLOWS = [
    f"flow_{name}"
    for name in (
        "new",
        "reactivation",
        "expansion",
        "contraction",
        "price",
        "discount",
        "interval",
        "fx",
        "churn",
    )
]


def item(customer: str, name: str, product: str, mrr: int, currency: str = "usd") -> dict[str, Any]:
    return books.item(name, product, str(mrr), "1", customer=customer, currency=currency)


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def ends(*opened: dict[str, Any], closed: Sequence[dict[str, Any]] = ()) -> Closings:
    """What holds at both ends of the month; one unit of each currency is one cent's."""
    dated = [
        frames.dated(frames.states(list(rows)), *at)
        for rows, at in ((opened, ("2026-01-01", "2026-03-15")), (closed, ("2026-03-15", None)))
    ]
    rates = {month: {"eur": "1", "gbp": "1"} for month in ("2026-02", MONTH)}
    return value_closings(["2026-02", MONTH], pd.concat(dated, ignore_index=True), rates, CATALOG, "UTC")


def paid_most(at_ends: Closings) -> pd.DataFrame:
    """Currency and plan at the opening, by customer."""
    timeline = at_ends.timeline
    terms = profiles(at_ends).at(
        np.arange(len(timeline.customers)), np.zeros(len(timeline.customers), dtype=np.int64)
    )
    return (
        timeline.distinct[["currency", "product"]]
        .iloc[terms[terms >= 0]]
        .set_axis(timeline.customers[terms >= 0])
    )


def customer_months() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "month": MONTH,
                "customer": name,
                "opening": opening,
                "closing": closing,
                "flow_fx": flows.get("flow_fx", 0),
                "first_paid_month": paid_at[:7],
                "first_paid_at": instant(paid_at),
            }
            | {"pricing_model": MODELS[name], "closing_pricing_model": {**MODELS, "ada": "flat"}[name]}
            for name, (opening, closing, flows, paid_at) in BOOK.items()
        ]
    )


OPENED = (
    item("ada", "i1", "prod_a", 1_000),
    item("dee", "i2", "prod_flat", 500),
    item("dee", "i3", "prod_a", 500, "eur"),
)
CLOSED = (
    item("ada", "i1", "prod_flat", 1_250),
    item("bob", "i4", "prod_flat", 300),
    item("cy", "i5", "prod_a", 400),
)
STRIPES = {"country": {"ada": "DE", "bob": "US"}}
GIVEN = [
    ("ada", "region", "north", None),
    ("cy", "region", "west", "2026-04"),
    ("dee", "region", "south", None),
    ("zoe", "region", "east", None),
]
"""What is said changes at the next opening; nobody knows zoe."""


def slices(*ever_paid: str) -> Slices:
    at_ends = ends(*OPENED, closed=CLOSED)
    timeline = at_ends.timeline
    calendar = timeline.calendar
    attributes = customer_attributes.attributes(
        said(*GIVEN), STRIPES, timeline.customers, [*calendar, "2026-04"], CATALOG
    )
    known = Known(calendar, timeline, profiles(at_ends), attributes)
    return slices_of(customer_months(), known, "UTC", ever_paid)


def customers(*ever_paid: str) -> pd.DataFrame:
    """A row per customer and dimension: value, next_value."""
    rows = customer_slices.customer_slices(customer_months(), slices(*ever_paid))
    return rows.merge(dimensions.pairs(pa.Table.from_pandas(rows)), on=["slices_json", "next_slices_json"])


def sums() -> pd.DataFrame:
    silent = {**dict.fromkeys([*FLOWS, "expansion_gross", "expansion_unadjusted"], 0), "dormant": False}
    moved = pd.DataFrame(
        [{"month": MONTH, "customer": name, **silent, **flows} for name, (_, _, flows, _) in BOOK.items()]
    )
    rows = customer_slices.customer_slices(customer_months(), slices())
    return dimensions.dimension_sums([MONTH], dimensions.pair_sums(rows, customer_months(), moved))


def test_currency_and_plan_are_those_of_the_item_that_pays_most() -> None:
    rows = paid_most(
        ends(
            item("ada_old", "i3", "prod_a", 70, "eur"),
            item("ada", "i2", "prod_b", 70, "gbp"),
            item("ada", "i1", "prod_flat", 60),
            item("zoe", "i9", "prod_a", 0),
        )
    )
    assert rows.to_dict("index") == {"ada": {"currency": "gbp", "product": "prod_b"}}


def test_what_pays_most_is_the_same_over_a_range_as_at_each_instant() -> None:
    calendar = months.between("2025-01", "2025-08")
    states, catalog = book.item_states(150, calendar), book.platform_catalog()
    rates = rates_by_month(book.rates(months.between("2018-12", calendar[-1])))
    at_ends = value_closings(calendar, states, rates, catalog, "UTC")
    timeline, stretches = at_ends.timeline, profiles(at_ends)
    for at, month in enumerate(calendar):
        valued = closing_states(states, month, "UTC", rates[month], catalog).query("mrr_minor > 0")
        expected = (
            valued.sort_values(["mrr_minor", "item"], ascending=[False, True])
            .drop_duplicates("customer")
            .set_index("customer")
        )
        terms = stretches.at(np.arange(len(timeline.customers)), np.full(len(timeline.customers), at))
        assert sorted(expected.index) == timeline.customers[terms >= 0].tolist()
        rows = timeline.distinct.iloc[terms[terms >= 0]][["currency", "product", "price"]]
        assert (
            rows.astype("str").to_numpy().tolist()
            == expected.sort_index()[["currency", "product", "price"]].astype("str").to_numpy().tolist()
        )


def test_an_instant_that_cannot_be_valued_is_named_and_the_others_are() -> None:
    states = frames.dated(
        frames.states([item("ada", "i1", "prod_a", 70, "eur"), item("bob", "i2", "prod_a", 60)]),
        "2026-01-10",
        None,
    )
    broken = frames.dated(
        frames.states([item("cy", "i3", "prod_a", 70) | {"quantity": "-1"}]), "2026-02-10", "2026-03-10"
    )
    unseen = frames.dated(
        frames.states([item("dee", "i4", "prod_a", 70) | {"quantity": "-1"}]), "2026-02-10", "2026-02-20"
    )
    asked = months.between("2026-01", "2026-04")
    rates = {month: {"eur": "1"} for month in asked if month != "2026-04"}
    found = value_closings(
        asked, pd.concat([states, broken, unseen], ignore_index=True), rates, CATALOG, "UTC"
    )
    assert {month: error.objects for month, error in found.failures.items()} == {
        "2026-02": ["i3"],
        "2026-04": ["i1"],
    }
    for month, problem in (
        ("2026-02", "quantity is negative or malformed"),
        ("2026-04", "no exchange rate for eur"),
    ):
        with pytest.raises(DataQualityError, match=problem):
            closing_states(pd.concat([states, broken]), month, "UTC", rates.get(month, {}), CATALOG)
        assert problem in found.failures[month].problem
    assert found.needed.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("days", "bucket", "imported"),
    [
        (0, "first_90_days", "unknown"),
        (90, "first_90_days", "unknown"),
        (90.9, "first_90_days", "unknown"),
        (91, "rest_of_year_1", "unknown"),
        (365, "rest_of_year_1", "unknown"),
        (366, "year_2", "unknown"),
        (730, "year_2", "unknown"),
        (731, "year_3_plus", "year_3_plus"),  # so long at least
    ],
)
def test_tenure(days: float, bucket: str, imported: str) -> None:
    at = instant("2026-03-01")
    paid_at = pd.Series([at - pd.Timedelta(days=days)] * 2)
    assert customer_slices.tenures(paid_at, at, np.array([False, True])).tolist() == [bucket, imported]


def test_a_customer_is_what_it_was_at_opening_or_what_it_came_as() -> None:
    told = customers().pivot(index="customer", columns="dimension", values="value")
    assert told.to_dict("index") == {
        # 89.5 days.
        "ada": {
            "cohort": "2025-12",
            "currency": "usd",
            "plan": "prod_a",
            "pricing_model": "seat",
            "tenure": "first_90_days",
        }
        | {"country": "DE", "region": "north"},
        "bob": {
            "cohort": "2026-03",
            "currency": "usd",
            "plan": "prod_flat",
            "pricing_model": "flat",
            "tenure": "first_90_days",
        }
        | {"country": "US", "region": "unknown"},
        # 97 days at closing, as it came back; 66 at opening
        "cy": {
            "cohort": "2025-12",
            "currency": "usd",
            "plan": "prod_a",
            "pricing_model": "seat",
            "tenure": "rest_of_year_1",
        }
        | {"country": "unknown", "region": "unknown"},
        # 365 days.
        "dee": {
            "cohort": "2025-03",
            "currency": "usd",
            "plan": "prod_flat",
            "pricing_model": "hybrid",
            "tenure": "rest_of_year_1",
        }
        | {"country": "unknown", "region": "south"},
    }


def test_what_it_is_at_the_next_opening() -> None:
    told = customers().pivot(index="customer", columns="dimension", values="next_value")
    # 120.5 days.
    assert told.loc["ada", ["plan", "pricing_model", "country", "tenure"]].tolist() == [
        "prod_flat",
        "flat",
        "DE",
        "rest_of_year_1",
    ]
    assert told.loc["cy", ["region", "tenure"]].tolist() == ["west", "rest_of_year_1"]
    # Left: it has no plan, and nothing to take along.
    assert told.loc["dee", ["plan", "region"]].tolist() == ["unknown", "south"]


def test_the_tenure_of_customers_said_to_have_paid_earlier_is_not_known() -> None:
    told = customers("ada", "cy", "dee").pivot(index="customer", columns="dimension", values="value")[
        "tenure"
    ]
    assert told.to_dict() == {"ada": "unknown", "bob": "first_90_days", "cy": "unknown", "dee": "unknown"}


def test_transfers_are_what_crosses_to_another_slice() -> None:
    flows = dimensions.rollforward_by_dimension(sums()).set_index(["dimension", "value"])[
        ["closing", "transfer_in", "transfer_out"]
    ]
    assert flows.loc["pricing_model"].T.to_dict("list") == {
        "flat": [300, 1_250, 0],
        "hybrid": [0, 0, 0],
        "seat": [1_650, 0, 1_250],
    }
    assert flows.loc["country"].T.to_dict("list") == {
        "DE": [1_250, 0, 0],
        "US": [300, 0, 0],
        "unknown": [400, 0, 0],
    }
    assert flows.loc["region"].T.to_dict("list") == {
        "north": [1_250, 0, 0],
        "south": [0, 0, 0],
        "unknown": [700, 0, 400],
        "west": [0, 400, 0],
    }
    assert flows.loc["total"].T.to_dict("list") == {"all": [1_950, 0, 0]}


def said(*rows: tuple[str, str, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer", "attribute", "value", "valid_from"]).astype("str")


def stripes(**metadata: dict[str, str]) -> pd.DataFrame:
    rows = [
        {"id": name, "country": said.pop("country", None), "metadata_json": dumps(said)}
        for name, said in metadata.items()
    ]
    return pd.DataFrame(rows, columns=["id", "country", "metadata_json"]).astype("str")


def in_force(given: pd.DataFrame, stripe: customer_attributes.Said) -> dict[str, dict[str, dict[str, str]]]:
    """Month -> attribute -> customer -> value, of February to April 2026."""
    known, calendar = pd.Index(["ada", "bob", "dee"]), months.between("2026-02", "2026-04")
    found = customer_attributes.attributes(given, stripe, known, calendar, CATALOG)
    codes = {
        month: {name: each.at(np.arange(len(known)), np.full(len(known), at)) for name, each in found.items()}
        for at, month in enumerate(calendar)
    }
    return {
        month: {
            name: {who: found[name].names[one] for who, one in zip(known, code, strict=True) if one >= 0}
            for name, code in of.items()
        }
        for month, of in codes.items()
    }


def test_attributes_hold_from_their_month_on_and_go_before_metadata() -> None:
    given = said(
        ("ada", "region", "south", "2026-03"),
        ("ada", "region", "north", None),
        ("dee", "region", "east", None),
        ("bob", "crm", "a", "2026-04"),
    )
    known = stripes(ada={"country": "DE", "region": "west", "other": "x"}, bob={"region": "west"}, dee={})
    at = in_force(given, customer_attributes.stripes_attributes(known, ["region"], CATALOG))
    assert [at[month]["region"] for month in at] == [
        {"ada": "north", "bob": "west", "dee": "east"},
        {"ada": "south", "bob": "west", "dee": "east"},
        {"ada": "south", "bob": "west", "dee": "east"},
    ]
    assert [at[month]["crm"] for month in at] == [{}, {}, {"bob": "a"}]
    assert at["2026-02"]["country"] == {"ada": "DE"}


def test_a_merged_customer_is_what_the_one_that_is_left_is() -> None:
    known = stripes(ada={"country": "DE"}, ada_old={"country": "FR", "region": "west"})
    given = said(("ada", "crm", "a", None), ("ada_old", "crm", "b", "2026-01"))
    at = in_force(given, customer_attributes.stripes_attributes(known, ["region"], CATALOG))
    assert at[MONTH] == {"country": {"ada": "DE"}, "region": {"ada": "west"}, "crm": {"ada": "a"}}


def test_an_attribute_cannot_be_called_as_a_dimension_is() -> None:
    with pytest.raises(ConfigurationError, match="cannot be called plan"):
        in_force(said(("ada", "plan", "x", None)), {})
    with pytest.raises(ConfigurationError, match="cannot be called currency"):
        customer_attributes.stripes_attributes(stripes(), ["currency"], CATALOG)


def test_slices_are_one_text_a_combination() -> None:
    rows = customer_slices.customer_slices(customer_months(), slices())
    texts = rows["slices_json"].astype("str").map(json.loads)
    assert texts[0] == customers().query("customer == 'ada'").set_index("dimension")["value"].to_dict()
    assert rows["slices_json"].cat.categories.is_unique
    tables_of_mrr.CustomerSlices.validate(rows.assign(**HASHES))


def test_rates_and_flows_by_pricing_model() -> None:
    rates = dimensions.expansion_by_dimension(sums())
    rates = rates[rates["dimension"] == "pricing_model"].set_index(["value", "metric"])
    assert rates.loc[("seat", "expansion_rate"), ["numerator", "denominator", "ratio"]].tolist() == [
        200,
        1_000,
        "0.2000000000",
    ]
    assert rates.loc[("seat", "nrr"), ["numerator", "denominator", "ratio"]].tolist() == [
        1_250,
        1_000,
        "1.2500000000",
    ]
    assert rates.loc[("hybrid", "churn_rate"), ["numerator", "denominator", "ratio"]].tolist() == [
        600,
        600,
        "1.0000000000",
    ]
    assert rates.loc[("hybrid", "logo_churn"), ["numerator", "denominator"]].tolist() == [1, 1]
    assert rates.loc[("flat", "expansion_rate"), "quality"] == "no_base"
    flows = dimensions.rollforward_by_dimension(sums()).set_index(["dimension", "value"])
    shown = ["opening", "new", "reactivation", "expansion", "price", "churn", "closing"]
    assert flows.loc[("pricing_model", "seat"), shown].tolist() == [1_000, 0, 400, 200, 50, 0, 1_650]
    assert flows.loc[("pricing_model", "flat"), shown].tolist() == [0, 300, 0, 0, 0, 0, 300]
    assert flows.loc[("total", "all"), shown].tolist() == [1_600, 300, 400, 200, 50, -600, 1_950]


def test_rows_are_the_tables_and_what_nothing_says_is_unknown() -> None:
    tables.ExpansionByDimension.validate(dimensions.expansion_by_dimension(sums()).assign(**HASHES))
    rows = tables.RollforwardByDimension.validate(
        dimensions.rollforward_by_dimension(sums()).assign(**HASHES)
    )
    reconciliation_totals.dimensions_sum(rows)
    assert rows.set_index(["dimension", "value"])["closing"].to_dict()[("region", "unknown")] == 700


def test_the_check_sees_one_cent() -> None:
    rows = dimensions.rollforward_by_dimension(sums())
    reconciliation_totals.dimensions_sum(rows)
    rows.loc[(rows["dimension"] == "tenure") & (rows["value"] == "rest_of_year_1"), "closing"] += 1
    with pytest.raises(DataQualityError, match="2026-03 tenure"):
        reconciliation_totals.dimensions_sum(rows)


def test_the_check_sees_a_transfer_that_comes_from_nowhere() -> None:
    rows = dimensions.rollforward_by_dimension(sums())
    rows.loc[(rows["dimension"] == "region") & (rows["value"] == "west"), "transfer_in"] += 1
    with pytest.raises(DataQualityError, match="2026-03 region"):
        reconciliation_totals.dimensions_sum(rows)
