import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.metrics.coverage import coverage, mrr_by_kind, mrr_by_product, mrr_by_trust
from expansion_platform.domain.mrr.closings import value_closings
from expansion_platform.domain.mrr.first_paid import rates_by_month
from expansion_platform.domain.mrr.states import closing_states
from expansion_platform_tests.benchmarks import book

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


def by_trust(catalog: Catalog, *plans: Plans) -> list[dict[str, int]]:
    """Sums of one instant for each of some plans."""
    mrr = np.repeat(VALUED[["mrr_minor"]].to_numpy(), len(plans), axis=1)
    return mrr_by_trust(VALUED.drop(columns="mrr_minor"), mrr, plans, catalog).to_dict("records")


def test_sums_by_what_is_known():
    nothing = {
        "closing": 1000,
        "inferred": 1000,
        "inferred_plans": 0,
        "low_confidence": 230,
        "tax_unknown": 100,
    }
    plans, others = Plans({("price_1", "price_2"): 1}), Plans({("price_2", "price_9"): 1})
    known = [{**nothing, "inferred_plans": amount} for amount in (0, 900, 200, 900)]
    assert by_trust(Catalog(), NO_PLANS, plans, others, plans) == known
    product = Catalog.from_dict({"products": {"prod_1": {"kind": "base"}}})
    assert by_trust(product, plans) == [{**nothing, "inferred": 100, "inferred_plans": 900}]
    price = Catalog.from_dict({"products": {"price_3": {"kind": "base"}, "prod_3": {}}})
    assert by_trust(price, NO_PLANS)[0]["inferred"] == 930
    empty = np.zeros((0, 2), dtype=np.int64)
    assert (
        mrr_by_trust(VALUED.iloc[:0], empty, [NO_PLANS, plans], Catalog()).to_dict("records")
        == [dict.fromkeys(nothing, 0)] * 2
    )


def test_mrr_of_a_range_is_that_of_each_instant():
    calendar, catalog = months.between("2025-01", "2025-08"), book.platform_catalog()
    states, rates = (
        book.item_states(100, calendar),
        rates_by_month(book.rates(months.between("2018-12", "2025-08"))),
    )
    wanted = [*calendar[:3], *calendar[5:]]
    ends = value_closings(wanted, states, rates, catalog, "UTC")
    kinds, mrr = mrr_by_kind(ends)
    for month in wanted:
        valued = closing_states(states, month, "UTC", rates[month], catalog)
        by_price = (
            pd.Series(mrr[:, ends.timeline.index(month)])
            .groupby(kinds["price"].astype("str").to_numpy())
            .sum()
        )
        expected = valued.groupby(valued["price"].astype("str"))["mrr_minor"].sum()
        assert by_price[by_price > 0].to_dict() == expected[expected > 0].to_dict()


def test_mrr_by_product():
    assert mrr_by_product(VALUED) == {"prod_1": 900, "prod_2": 100}


def rows(**sums: int) -> pd.DataFrame:
    known = {"month": "2026-01", "dimension": "total", "value": "all", "members": 40, "expanders": 6, **sums}
    return coverage(pd.DataFrame([known, {**known, "dimension": "segment", "value": "smb"}]))


def test_the_shares_are_of_closing_mrr():
    shares = rows(
        closing=1000, inferred=100, inferred_plans=70, low_confidence=230, tax_unknown=100
    ).set_index("metric")
    assert shares["ratio"].to_dict() == {
        "inferred_mrr_share": "0.1000000000",
        "inferred_plans_mrr_share": "0.0700000000",
        "low_confidence_mrr_share": "0.2300000000",
        "tax_unknown_mrr_share": "0.1000000000",
    }
    assert set(rows(closing=0, inferred=0, inferred_plans=0, low_confidence=0, tax_unknown=0)["quality"]) == {
        "no_base"
    }


def test_shares_of_another_mrr_are_refused():
    months = pd.DataFrame({"month": ["2026-01", "2026-01"], "closing": [400, 600]})
    reconciliation_totals.coverage_ties(
        rows(closing=1000, inferred=100, inferred_plans=0, low_confidence=230, tax_unknown=0), months
    )
    with pytest.raises(DataQualityError, match=r"2026-01 inferred_mrr_share"):
        reconciliation_totals.coverage_ties(
            rows(closing=1001, inferred=100, inferred_plans=0, low_confidence=230, tax_unknown=0), months
        )
