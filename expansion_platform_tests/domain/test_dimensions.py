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

from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain import customer_slices, dimensions, reconciliation
from expansion_platform.domain.canonical import dumps
from expansion_platform.domain.errors import ConfigurationError, DataQualityError
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import metrics as tables

MONTH = "2026-03"
HASHES = {"policy_hash": "p", "catalog_hash": "c"}
CATALOG = Catalog.from_dict({"aliases": {"ada_old": "ada"}})
BOOK = {
    "ada": (1_000, 1_250, {"flow_expansion": 200, "flow_price": 50, "expansion_gross": 200, "expansion_unadjusted": 250}, "2025-12-01T12:00"),
    "bob": (0, 300, {"flow_new": 300}, "2026-03-05"),
    "cy": (0, 400, {"flow_reactivation": 400}, "2025-12-25"),
    "dee": (600, 0, {"flow_churn": -600}, "2025-03-01"),
}
MODELS = {"ada": "seat", "bob": "flat", "cy": "seat", "dee": "hybrid"}
FLOWS = [f"flow_{name}" for name in ("new", "reactivation", "expansion", "contraction", "price", "discount", "interval", "fx", "churn")]


def item(customer: str, item: str, product: str, mrr: int, **changed: Any) -> dict[str, Any]:
    return {
        "customer": customer,
        "item": item,
        "product": product,
        "currency": "usd",
        "mrr_minor": mrr,
        **changed,
    }


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def profile(*items: dict[str, Any]) -> pd.DataFrame:
    return customer_slices.profiles(pd.DataFrame(items), CATALOG)


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


COUNTRIES = {"country": {"ada": "DE", "bob": "US"}, "region": {"ada": "north", "dee": "south"}}
MOVED = {"country": {"ada": "FR", "bob": "US"}, "region": {"ada": "north", "cy": "west", "dee": "south"}}


def customers(*ever_paid: str) -> pd.DataFrame:
    opened = profile(item("ada", "i1", "prod_a", 1_000), item("dee", "i2", "prod_flat", 500), item("dee", "i3", "prod_a", 500, currency="eur"))
    closed = profile(item("ada", "i1", "prod_flat", 1_250), item("bob", "i4", "prod_flat", 300), item("cy", "i5", "prod_a", 400))
    return customer_slices.customers_of(MONTH, customer_months(), opened, closed, "UTC", ever_paid, COUNTRIES, MOVED)


def sums() -> pd.DataFrame:
    silent = {**dict.fromkeys([*FLOWS, "expansion_gross", "expansion_unadjusted"], 0), "dormant": False}
    moved = pd.DataFrame([{"month": MONTH, "customer": name, **silent, **flows} for name, (_, _, flows, _) in BOOK.items()])
    months = pd.DataFrame({"month": [MONTH]})
    read = {"months": months, "customer_months": customer_months(), "movements": moved, "customers": customers()}
    return query("dimension_sums", read)


def test_currency_and_plan_are_those_of_the_item_that_pays_most() -> None:
    rows = profile(
        item("ada_old", "i3", "prod_a", 70, currency="eur"),
        item("ada", "i2", "prod_b", 70, currency="gbp"),
        item("ada", "i1", "prod_flat", 60),
        item("zoe", "i9", "prod_a", 0),
    )
    assert rows[["currency", "plan"]].to_dict("index") == {"ada": {"currency": "gbp", "plan": "prod_b"}}


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
        "ada": {"cohort": "2025-12", "currency": "usd", "plan": "prod_a", "pricing_model": "seat", "tenure": "first_90_days"}  # 89.5 days
        | {"country": "DE", "region": "north"},
        "bob": {"cohort": "2026-03", "currency": "usd", "plan": "prod_flat", "pricing_model": "flat", "tenure": "first_90_days"}
        | {"country": "US", "region": "unknown"},
        # 97 days at closing, as it came back; 66 at opening
        "cy": {"cohort": "2025-12", "currency": "usd", "plan": "prod_a", "pricing_model": "seat", "tenure": "rest_of_year_1"}
        | {"country": "unknown", "region": "unknown"},
        "dee": {"cohort": "2025-03", "currency": "usd", "plan": "prod_flat", "pricing_model": "hybrid", "tenure": "rest_of_year_1"}  # 365 days
        | {"country": "unknown", "region": "south"},
    }


def test_what_it_is_at_the_next_opening() -> None:
    told = customers().pivot(index="customer", columns="dimension", values="next_value")
    assert told.loc["ada", ["plan", "pricing_model", "country", "tenure"]].tolist() == ["prod_flat", "flat", "FR", "rest_of_year_1"]  # 120.5 days
    assert told.loc["cy", ["region", "tenure"]].tolist() == ["west", "rest_of_year_1"]
    assert told.loc["dee", ["plan", "region"]].tolist() == ["unknown", "south"]  # left: it has no plan, and nothing to take along


def test_the_tenure_of_customers_said_to_have_paid_earlier_is_not_known() -> None:
    told = customers("ada", "cy", "dee").pivot(index="customer", columns="dimension", values="value")["tenure"]
    assert told.to_dict() == {"ada": "unknown", "bob": "first_90_days", "cy": "unknown", "dee": "unknown"}


def test_transfers_are_what_crosses_to_another_slice() -> None:
    flows = dimensions.rollforward_by_dimension(sums()).set_index(["dimension", "value"])[["closing", "transfer_in", "transfer_out"]]
    assert flows.loc["pricing_model"].T.to_dict("list") == {"flat": [300, 1_250, 0], "hybrid": [0, 0, 0], "seat": [1_650, 0, 1_250]}
    assert flows.loc["country"].T.to_dict("list") == {"DE": [1_250, 0, 1_250], "FR": [0, 1_250, 0], "US": [300, 0, 0], "unknown": [400, 0, 0]}
    assert flows.loc["region"].T.to_dict("list") == {"north": [1_250, 0, 0], "south": [0, 0, 0], "unknown": [700, 0, 400], "west": [0, 400, 0]}
    assert flows.loc["total"].T.to_dict("list") == {"all": [1_950, 0, 0]}


def said(*rows: tuple[str, str, str, str | None]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["customer", "attribute", "value", "valid_from"]).astype("str")


def stripes(**metadata: dict[str, str]) -> pd.DataFrame:
    rows = [{"id": name, "country": said.pop("country", None), "metadata_json": dumps(said)} for name, said in metadata.items()]
    return pd.DataFrame(rows, columns=["id", "country", "metadata_json"]).astype("str")


def test_attributes_hold_from_their_month_on_and_go_before_metadata() -> None:
    given = said(
        ("ada", "region", "south", "2026-03"), ("ada", "region", "north", None), ("dee", "region", "east", None), ("bob", "crm", "a", "2026-04")
    )
    known = stripes(ada={"country": "DE", "region": "west", "other": "x"}, bob={"region": "west"}, dee={})
    stripe = customer_slices.stripes_attributes(known, ["region"], CATALOG)
    at = {month: customer_slices.attributes_of(month, given, stripe, CATALOG) for month in ("2026-02", "2026-03", "2026-04")}
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
    told = customer_slices.attributes_of(MONTH, given, customer_slices.stripes_attributes(known, ["region"], CATALOG), CATALOG)
    assert told == {"country": {"ada": "DE"}, "region": {"ada": "west"}, "crm": {"ada": "a"}}


def test_an_attribute_cannot_be_called_as_a_dimension_is() -> None:
    with pytest.raises(ConfigurationError, match="cannot be called plan"):
        customer_slices.attributes_of(MONTH, said(("ada", "plan", "x", None)), {}, CATALOG)
    with pytest.raises(ConfigurationError, match="cannot be called currency"):
        customer_slices.stripes_attributes(stripes(), ["currency"], CATALOG)


def test_rates_and_flows_by_pricing_model() -> None:
    rates = dimensions.expansion_by_dimension(sums())
    rates = rates[rates["dimension"] == "pricing_model"].set_index(["value", "metric"])
    assert rates.loc[("seat", "expansion_rate"), ["numerator", "denominator", "ratio"]].tolist() == [200, 1_000, "0.2000000000"]
    assert rates.loc[("seat", "nrr"), ["numerator", "denominator", "ratio"]].tolist() == [1_250, 1_000, "1.2500000000"]
    assert rates.loc[("hybrid", "churn_rate"), ["numerator", "denominator", "ratio"]].tolist() == [600, 600, "1.0000000000"]
    assert rates.loc[("hybrid", "logo_churn"), ["numerator", "denominator"]].tolist() == [1, 1]
    assert rates.loc[("flat", "expansion_rate"), "quality"] == "no_base"
    flows = dimensions.rollforward_by_dimension(sums()).set_index(["dimension", "value"])
    shown = ["opening", "new", "reactivation", "expansion", "price", "churn", "closing"]
    assert flows.loc[("pricing_model", "seat"), shown].tolist() == [1_000, 0, 400, 200, 50, 0, 1_650]
    assert flows.loc[("pricing_model", "flat"), shown].tolist() == [0, 300, 0, 0, 0, 0, 300]
    assert flows.loc[("total", "all"), shown].tolist() == [1_600, 300, 400, 200, 50, -600, 1_950]


def test_rows_are_the_tables_and_what_nothing_says_is_unknown() -> None:
    tables.ExpansionByDimension.validate(dimensions.expansion_by_dimension(sums()).assign(**HASHES))
    rows = tables.RollforwardByDimension.validate(dimensions.rollforward_by_dimension(sums()).assign(**HASHES))
    reconciliation.dimensions_sum(rows)
    assert rows.set_index(["dimension", "value"])["closing"].to_dict()[("region", "unknown")] == 700


def test_the_check_sees_one_cent() -> None:
    rows = dimensions.rollforward_by_dimension(sums())
    reconciliation.dimensions_sum(rows)
    rows.loc[(rows["dimension"] == "tenure") & (rows["value"] == "rest_of_year_1"), "closing"] += 1
    with pytest.raises(DataQualityError, match="2026-03 tenure"):
        reconciliation.dimensions_sum(rows)


def test_the_check_sees_a_transfer_that_comes_from_nowhere() -> None:
    rows = dimensions.rollforward_by_dimension(sums())
    rows.loc[(rows["dimension"] == "region") & (rows["value"] == "west"), "transfer_in"] += 1
    with pytest.raises(DataQualityError, match="2026-03 region"):
        reconciliation.dimensions_sum(rows)
