"""Golden months: every metric of every table of figures by hand, in a month with everything, of one customer,
of the first customer, and of nobody.

The month with everything is the book of `test_one_month.py`. One customer is its gus alone: 10,000 to 16,000,
of them 5,000 expansion, 1,000 price, -500 interval and 500 fx. The first customer is its eve alone, new at
70,000. Windows, what lasts, origins and costs have books of their own, in the modules named here. A metric
without a value here fails `test_every_metric_has_a_golden_value`.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from expansion_platform.domain.metrics import dimensions, expanders, expansion, retention
from expansion_platform.domain.metrics.expansion_by_origin import expansion_by_origin
from expansion_platform.domain.metrics.tables import MetricValue
from expansion_platform.domain.tables import TABLES
from expansion_platform_tests.domain.metrics import (
    test_coverage,
    test_dimensions,
    test_durability,
    test_expansion_cac,
    test_trailing,
)
from expansion_platform_tests.domain.metrics.test_one_month import BOOK, MONTH, sums, told
from expansion_platform_tests.domain.mrr import test_origins

Value = tuple[int, int | None, str | None]
"""Numerator, denominator, ratio."""
NOBODY: Value = (0, 0, None)
NOTHING: Value = (0, None, None)
GUS, EVE = [BOOK[6]], [BOOK[4]]
SITUATIONS = {"everything": BOOK, "one customer": GUS, "the first customer": EVE, "nobody": []}

# Metric -> its value in each of SITUATIONS.
EXPANSION: dict[str, list[Value]] = {
    "expansion_rate": [(55_000, 1_500_000, "0.0366666667"), (5_000, 10_000, "0.5000000000"), NOBODY, NOBODY],
    "expansion_gross_rate": [
        (65_000, 1_500_000, "0.0433333333"),
        (5_000, 10_000, "0.5000000000"),
        NOBODY,
        NOBODY,
    ],
    "expansion_unadjusted_rate": [
        (56_000, 1_500_000, "0.0373333333"),
        (6_000, 10_000, "0.6000000000"),
        NOBODY,
        NOBODY,
    ],
    "expander_rate": [(2, 6, "0.3333333333"), (1, 1, "1.0000000000"), NOBODY, NOBODY],
}
RETENTION: dict[str, list[Value]] = {
    # ada 1,050,000 + bob 200,000 + gus 15,500 at opening rates + hal 40,000
    "nrr": [(1_305_500, 1_500_000, "0.8703333333"), (15_500, 10_000, "1.5500000000"), NOBODY, NOBODY],
    "nrr_organic": [(1_325_000, 1_500_000, "0.8833333333"), (15_000, 10_000, "1.5000000000"), NOBODY, NOBODY],
    # ada 1,000,000 + bob 200,000 + gus 10,000 + hal 40,000
    "grr": [(1_250_000, 1_500_000, "0.8333333333"), (10_000, 10_000, "1.0000000000"), NOBODY, NOBODY],
    "grr_organic": [(1_270_000, 1_500_000, "0.8466666667"), (10_000, 10_000, "1.0000000000"), NOBODY, NOBODY],
    "net_mrr_churn": [
        (175_000, 1_500_000, "0.1166666667"),
        (-5_000, 10_000, "-0.5000000000"),
        NOBODY,
        NOBODY,
    ],
    "contraction_rate": [(80_000, 1_500_000, "0.0533333333"), (0, 10_000, "0.0000000000"), NOBODY, NOBODY],
    "churn_rate": [(150_000, 1_500_000, "0.1000000000"), (0, 10_000, "0.0000000000"), NOBODY, NOBODY],
    "price_rate": [(1_000, 1_500_000, "0.0006666667"), (1_000, 10_000, "0.1000000000"), NOBODY, NOBODY],
    "discount_rate": [(-20_000, 1_500_000, "-0.0133333333"), (0, 10_000, "0.0000000000"), NOBODY, NOBODY],
    "interval_rate": [(-500, 1_500_000, "-0.0003333333"), (-500, 10_000, "-0.0500000000"), NOBODY, NOBODY],
    "fx_rate": [(500, 1_500_000, "0.0003333333"), (500, 10_000, "0.0500000000"), NOBODY, NOBODY],
    # dee is dormant
    "logo_churn": [(1, 6, "0.1666666667"), (0, 1, "0.0000000000"), NOBODY, NOBODY],
    "dormant_churn": [(1, 6, "0.1666666667"), (0, 1, "0.0000000000"), NOBODY, NOBODY],
    "dormant_churn_full_discount": [NOTHING] * 4,
    "dormant_churn_zero_quantity": [NOTHING] * 4,
    "dormant_churn_zero_usage": [(1, None, None), NOTHING, NOTHING, NOTHING],
    "dormant_churn_mrr": [(50_000, None, None), NOTHING, NOTHING, NOTHING],
    "logo_reactivation": [(1, None, None), NOTHING, NOTHING, NOTHING],  # fay
    "dormant_reactivation": [NOTHING] * 4,
    "dormant_reactivation_mrr": [NOTHING] * 4,
    "quick_ratio": [(125_000, 230_000, "0.5434782609"), (5_000, 0, None), (70_000, 0, None), NOBODY],
    "quick_ratio_with_reactivation": [
        (155_000, 230_000, "0.6739130435"),
        (5_000, 0, None),
        (70_000, 0, None),
        NOBODY,
    ],
    "net_new_mrr": [(-105_000, None, None), (5_000, None, None), (70_000, None, None), NOTHING],
    "net_new_mrr_with_reactivation": [
        (-75_000, None, None),
        (5_000, None, None),
        (70_000, None, None),
        NOTHING,
    ],
    "mrr_change": [(-94_000, None, None), (6_000, None, None), (70_000, None, None), NOTHING],
}
EXPANDERS: dict[str, list[Value]] = {
    "expanders": [(2, None, None), (1, None, None), NOTHING, NOTHING],  # ada and gus
    "avg_expansion": [(55_000, 2, "27500.0000000000"), (5_000, 1, "5000.0000000000"), NOBODY, NOBODY],
    # both are in the middle; alone, gus is so twice
    "median_expansion": [(55_000, 2, "27500.0000000000"), (10_000, 2, "5000.0000000000"), NOBODY, NOBODY],
    "top_10_share": [(55_000, 55_000, "1.0000000000"), (5_000, 5_000, "1.0000000000"), NOBODY, NOBODY],
    "expansion_share_of_new": [
        (55_000, 125_000, "0.4400000000"),
        (5_000, 5_000, "1.0000000000"),
        (0, 70_000, "0.0000000000"),
        NOBODY,
    ],
    "expansion_share_of_new_with_reactivation": [
        *(
            (55_000, 155_000, "0.3548387097"),
            (5_000, 5_000, "1.0000000000"),
            (0, 70_000, "0.0000000000"),
            NOBODY,
        ),
    ],
    # of everybody MRR fell, so there is no growth to have a share of
    "expansion_share_of_growth": [
        (55_000, 0, None),
        (5_000, 6_000, "0.8333333333"),
        (0, 70_000, "0.0000000000"),
        NOBODY,
    ],
    "arpa": [
        (1_406_000, 6, "234333.3333333333"),
        (16_000, 1, "16000.0000000000"),
        (70_000, 1, "70000.0000000000"),
        NOBODY,
    ],
    "arr": [(16_872_000, None, None), (192_000, None, None), (840_000, None, None), NOTHING],
}
ADDON: dict[str, list[Value]] = {
    "expansion_rate": [(5_000, 1_500_000, "0.0033333333"), (5_000, 10_000, "0.5000000000"), NOBODY, NOBODY],
    "expansion_mix": [(5_000, 55_000, "0.0909090909"), (5_000, 5_000, "1.0000000000"), NOBODY, NOBODY],
    "contraction_rate": [(0, 1_500_000, "0.0000000000"), (0, 10_000, "0.0000000000"), NOBODY, NOBODY],
}
SMB: dict[str, list[Value]] = {  # cy, dee, gus and hal opened with 200,000
    "expansion_rate": [(5_000, 200_000, "0.0250000000"), (5_000, 10_000, "0.5000000000"), NOBODY, NOBODY],
    "expansion_gross_rate": [
        (5_000, 200_000, "0.0250000000"),
        (5_000, 10_000, "0.5000000000"),
        NOBODY,
        NOBODY,
    ],
    "expansion_unadjusted_rate": [
        (6_000, 200_000, "0.0300000000"),
        (6_000, 10_000, "0.6000000000"),
        NOBODY,
        NOBODY,
    ],
    "expander_rate": [(1, 4, "0.2500000000"), (1, 1, "1.0000000000"), NOBODY, NOBODY],
}
OF_FLOWS: dict[
    str, tuple[Callable[[pd.DataFrame], pd.DataFrame], tuple[str, str], dict[str, list[Value]]]
] = {
    "metrics/expansion": (expansion.expansion, ("total", "all"), EXPANSION),
    "metrics/expansion_by_type": (expansion.expansion_by_type, ("type", "addon"), ADDON),
    "metrics/expansion_by_segment": (expansion.expansion_by_segment, ("segment", "smb"), SMB),
    "metrics/retention": (retention.retention, ("total", "all"), RETENTION),
    "metrics/expanders": (expanders.expanders, ("total", "all"), EXPANDERS),
}

# Metric -> its value for the pricing models of `test_dimensions.py`: seat (ada, and cy who returned), hybrid
# (dee, who left), flat (bob, who is new).
BY_DIMENSION: dict[str, list[Value]] = {
    "expansion_rate": [(200, 1_000, "0.2000000000"), (0, 600, "0.0000000000"), NOBODY],
    "expansion_gross_rate": [(200, 1_000, "0.2000000000"), (0, 600, "0.0000000000"), NOBODY],
    "expansion_unadjusted_rate": [(250, 1_000, "0.2500000000"), (0, 600, "0.0000000000"), NOBODY],
    "expander_rate": [(1, 1, "1.0000000000"), (0, 1, "0.0000000000"), NOBODY],
    "contraction_rate": [(0, 1_000, "0.0000000000"), (0, 600, "0.0000000000"), NOBODY],
    "churn_rate": [(0, 1_000, "0.0000000000"), (600, 600, "1.0000000000"), NOBODY],
    "nrr": [(1_250, 1_000, "1.2500000000"), (0, 600, "0.0000000000"), NOBODY],
    "grr": [(1_000, 1_000, "1.0000000000"), (0, 600, "0.0000000000"), NOBODY],
    "logo_churn": [(0, 1, "0.0000000000"), (1, 1, "1.0000000000"), NOBODY],
    "dormant_churn": [(0, 1, "0.0000000000"), (0, 1, "0.0000000000"), NOBODY],
}
COVERAGE: dict[str, list[Value]] = {
    "inferred_mrr_share": [(100, 1_000, "0.1000000000"), NOBODY],
    "inferred_plans_mrr_share": [(70, 1_000, "0.0700000000"), NOBODY],
    "low_confidence_mrr_share": [(230, 1_000, "0.2300000000"), NOBODY],
    "tax_unknown_mrr_share": [(40, 1_000, "0.0400000000"), NOBODY],
}
# Of the month of `domain/mrr/test_origins.py`, sales: ana's 1,000 and ben's 2,000 of 6,440; then a month
# without expansion.
SALES: dict[str, list[Value]] = {
    "expansion_rate": [(3_000, 100_000, "0.0300000000"), (0, 100_000, "0.0000000000")],
    "expansion_mix": [(3_000, 6_440, "0.4658385093"), NOBODY],
}
GOLDEN = {
    **{table: set(golden) for table, (_, _, golden) in OF_FLOWS.items()},
    "metrics/expansion_by_dimension": set(BY_DIMENSION),
    "metrics/coverage": set(COVERAGE),
    "metrics/expansion_by_origin": set(SALES),
    "metrics/trailing": set(test_trailing.FULL),
    "metrics/durability": set(test_durability.EVERYONE),
    "metrics/expansion_cac": set(test_expansion_cac.GOLDEN),
}


def figures() -> dict[str, pd.DataFrame]:
    """Every table of figures as it is computed of some book."""
    return {
        **{table: rule(sums()) for table, (rule, _, _) in OF_FLOWS.items()},
        "metrics/expansion_by_dimension": dimensions.expansion_by_dimension(test_dimensions.sums()),
        "metrics/coverage": test_coverage.rows(
            closing=0, inferred=0, inferred_plans=0, low_confidence=0, tax_unknown=0
        ),
        "metrics/expansion_by_origin": expansion_by_origin(test_origins.golden(), test_origins.published()),
        "metrics/trailing": test_trailing.rows(),
        "metrics/durability": test_durability.rows(),
        "metrics/expansion_cac": test_expansion_cac.rows(1, 1, 1, 1),
    }


def test_every_metric_has_a_golden_value() -> None:
    """A table of figures, or a metric of one, that nobody worked out by hand is not published."""
    assert GOLDEN.keys() == {name for name, model in TABLES.items() if issubclass(model, MetricValue)}
    assert {table: set(rows["metric"]) for table, rows in figures().items()} == GOLDEN


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("table", OF_FLOWS)
def test_of_flows(table: str, situation: str) -> None:
    rule, slice_of, golden = OF_FLOWS[table]
    at = list(SITUATIONS).index(situation)
    assert told(rule(sums(SITUATIONS[situation], (MONTH,))), *slice_of) == {
        metric: values[at] for metric, values in golden.items()
    }


@pytest.mark.parametrize(("at", "value"), [(0, "seat"), (1, "hybrid"), (2, "flat")])
def test_by_dimension(at: int, value: str) -> None:
    rows = dimensions.expansion_by_dimension(test_dimensions.sums())
    assert told(rows, "pricing_model", value) == {
        metric: values[at] for metric, values in BY_DIMENSION.items()
    }


@pytest.mark.parametrize(("at", "known"), [(0, (1_000, 100, 70, 230, 40)), (1, (0, 0, 0, 0, 0))])
def test_of_coverage(at: int, known: tuple[int, ...]) -> None:
    shares = test_coverage.rows(
        **dict(
            zip(
                ("closing", "inferred", "inferred_plans", "low_confidence", "tax_unknown"), known, strict=True
            )
        )
    )
    assert told(shares, month="2026-01") == {metric: values[at] for metric, values in COVERAGE.items()}


def test_of_origins() -> None:
    for at, (rows, headline) in enumerate(
        ((test_origins.golden(), test_origins.E), (test_origins.golden().head(0), 0))
    ):
        split = expansion_by_origin(rows, test_origins.published(headline))
        assert told(split, "origin", "sales") == {metric: values[at] for metric, values in SALES.items()}
