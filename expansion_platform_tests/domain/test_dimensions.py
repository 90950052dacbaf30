"""What a customer is in each dimension, and a small month by every one of them, worked out by hand.

March 2026, US cents; ada opened the month, bob came in it, cy returned, dee left:

| customer | opening | closing | flow | cohort | pricing model |
|---|---|---|---|---|---|
| ada | 1,000 | 1,250 | expansion 200, price 50 | 2025-12 | seat |
| bob | 0 | 300 | new | 2026-03 | flat |
| cy | 0 | 400 | reactivation | 2024-01 | seat |
| dee | 600 | 0 | churn | 2025-02 | hybrid |
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain import dimensions, reconciliation
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import metrics as tables
from expansion_platform.storage.engine import query

MONTH = "2026-03"
HASHES = {"policy_hash": "p", "catalog_hash": "c"}
CATALOG = Catalog.from_dict({"aliases": {"ada_old": "ada"}})
BOOK = {
    "ada": (1_000, 1_250, {"flow_expansion": 200, "flow_price": 50, "expansion_gross": 200, "expansion_unadjusted": 250}, "2025-12"),
    "bob": (0, 300, {"flow_new": 300}, "2026-03"),
    "cy": (0, 400, {"flow_reactivation": 400}, "2024-01"),
    "dee": (600, 0, {"flow_churn": -600}, "2025-02"),
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


def profile(*items: dict[str, Any]) -> pd.DataFrame:
    return dimensions.profiles(pd.DataFrame(items), CATALOG)


def customer_months() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"month": MONTH, "customer": name, "opening": opening, "closing": closing, "pricing_model": MODELS[name], "first_paid_month": cohort}
            for name, (opening, closing, _, cohort) in BOOK.items()
        ]
    )


def customers() -> pd.DataFrame:
    opened = profile(item("ada", "i1", "prod_a", 1_000), item("dee", "i2", "prod_flat", 500), item("dee", "i3", "prod_a", 500, currency="eur"))
    closed = profile(item("ada", "i1", "prod_flat", 1_250), item("bob", "i4", "prod_flat", 300), item("cy", "i5", "prod_a", 400))
    return dimensions.customers_of(MONTH, customer_months(), opened, closed, "UTC")


def sums(known: pd.DataFrame | None = None) -> pd.DataFrame:
    silent = {**dict.fromkeys([*FLOWS, "expansion_gross", "expansion_unadjusted"], 0), "dormant": False}
    moved = pd.DataFrame([{"month": MONTH, "customer": name, **silent, **flows} for name, (_, _, flows, _) in BOOK.items()])
    read = {"customer_months": customer_months(), "movements": moved, "customers": customers() if known is None else known}
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
    ("days", "bucket"),
    [
        (-31, "first_90_days"),
        (90, "first_90_days"),
        (91, "rest_of_year_1"),
        (365, "rest_of_year_1"),
        (366, "year_2"),
        (730, "year_2"),
        (731, "year_3_plus"),
    ],
)
def test_tenure(days: int, bucket: str) -> None:
    assert dimensions.tenure(days) == bucket


def test_a_customer_is_what_it_was_at_opening_or_what_it_came_as() -> None:
    assert customers().set_index("customer").drop(columns="month").to_dict("index") == {
        "ada": {"cohort": "2025-12", "currency": "usd", "plan": "prod_a", "pricing_model": "seat", "tenure": "first_90_days"},  # 59 days
        "bob": {"cohort": "2026-03", "currency": "usd", "plan": "prod_flat", "pricing_model": "flat", "tenure": "first_90_days"},
        "cy": {"cohort": "2024-01", "currency": "usd", "plan": "prod_a", "pricing_model": "seat", "tenure": "year_3_plus"},  # 759 days
        "dee": {"cohort": "2025-02", "currency": "usd", "plan": "prod_flat", "pricing_model": "hybrid", "tenure": "rest_of_year_1"},  # 365 days
    }


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
    rows = tables.RollforwardByDimension.validate(dimensions.rollforward_by_dimension(sums(customers().head(1))).assign(**HASHES))
    reconciliation.dimensions_sum(rows)
    assert rows.set_index(["dimension", "value"])["closing"].to_dict()[("plan", "unknown")] == 700


def test_the_check_sees_one_cent() -> None:
    rows = dimensions.rollforward_by_dimension(sums())
    reconciliation.dimensions_sum(rows)
    rows.loc[(rows["dimension"] == "tenure") & (rows["value"] == "year_3_plus"), "closing"] += 1
    with pytest.raises(DataQualityError, match="2026-03 tenure"):
        reconciliation.dimensions_sum(rows)
