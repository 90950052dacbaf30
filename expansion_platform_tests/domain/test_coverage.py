import pandas as pd
import pytest

from expansion_platform.domain import reconciliation
from expansion_platform.domain.coverage import coverage, mrr_by_product, mrr_by_trust
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.plans import Plans
from expansion_platform.domain.policy import Catalog

VALUED = pd.DataFrame(
    [
        ("prod_1", "price_1", "exact", 700, '{"tax":"20","unit":"840"}'),
        ("prod_1", "price_2", "renewal", 200, "{}"),
        ("prod_2", "price_3", "exact", 70, '{"tax":null,"unit":"70"}'),
        ("prod_2", "price_4", "snapshot", 30, '{"tax":null,"unit":"30"}'),
        ("prod_3", "price_5", "exact", 0, "{}"),
    ],
    columns=["product", "price", "confidence", "mrr_minor", "scheme_json"],
)


def test_sums_by_what_is_known():
    nothing = {"closing": 1000, "inferred": 1000, "inferred_plans": 0, "low_confidence": 230, "tax_unknown": 100}
    assert mrr_by_trust(VALUED, Catalog()) == nothing
    plans = Plans({("price_1", "price_2"): 1})
    assert mrr_by_trust(VALUED, Catalog(), plans) == {**nothing, "inferred_plans": 900}
    product = Catalog.from_dict({"products": {"prod_1": {"kind": "base"}}})
    assert mrr_by_trust(VALUED, product, plans) == {**nothing, "inferred": 100, "inferred_plans": 900}
    price = Catalog.from_dict({"products": {"price_3": {"kind": "base"}, "prod_3": {}}})
    assert mrr_by_trust(VALUED, price)["inferred"] == 930
    assert mrr_by_trust(VALUED.iloc[:0], Catalog()) == dict.fromkeys(nothing, 0)


def test_mrr_by_product():
    assert mrr_by_product(VALUED) == {"prod_1": 900, "prod_2": 100}


def rows(**sums: int) -> pd.DataFrame:
    known = {"month": "2026-01", "dimension": "total", "value": "all", "members": 40, "expanders": 6, **sums}
    return coverage(pd.DataFrame([known, {**known, "dimension": "segment", "value": "smb"}]))


def test_the_shares_are_of_closing_mrr():
    shares = rows(closing=1000, inferred=100, inferred_plans=70, low_confidence=230, tax_unknown=100).set_index("metric")
    assert shares["ratio"].to_dict() == {
        "inferred_mrr_share": "0.1000000000",
        "inferred_plans_mrr_share": "0.0700000000",
        "low_confidence_mrr_share": "0.2300000000",
        "tax_unknown_mrr_share": "0.1000000000",
    }
    assert set(rows(closing=0, inferred=0, inferred_plans=0, low_confidence=0, tax_unknown=0)["quality"]) == {"no_base"}


def test_shares_of_another_mrr_are_refused():
    months = pd.DataFrame({"month": ["2026-01", "2026-01"], "closing": [400, 600]})
    reconciliation.coverage_ties(rows(closing=1000, inferred=100, inferred_plans=0, low_confidence=230, tax_unknown=0), months)
    with pytest.raises(DataQualityError, match=r"2026-01 inferred_mrr_share"):
        reconciliation.coverage_ties(rows(closing=1001, inferred=100, inferred_plans=0, low_confidence=230, tax_unknown=0), months)
