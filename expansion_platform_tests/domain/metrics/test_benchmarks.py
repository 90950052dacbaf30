"""Where figures stand: every edge belongs to the band above it, NRR's and the cost's upper one to the one
below, and no figure has no band.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.ratios import ratio_text
from expansion_platform.domain.metrics import tables
from expansion_platform.domain.metrics.benchmarks import BENCHMARKS, benchmarks

MONTH = "2026-03"
OPENING = pd.DataFrame(
    [
        ("total", "all", 1_000_000),
        ("segment", "enterprise", 600_000),
        ("segment", "mid_market", 300_000),
        ("segment", "smb", 100_001),
        ("pricing_model", "seat", 900_000),
    ],
    columns=["dimension", "value", "opening"],
).assign(month=MONTH)


def rows(quality: str = "ok", **ratios: str) -> pd.DataFrame:
    """Benchmarks of one month in which a figure is 0 unless `metric` or `metric__segment` says otherwise;
    costs only where they are said.

    A figure is a decimal text, or a fraction: then it has a numerator and a denominator, too.
    """
    figures = []
    for benchmark in BENCHMARKS:
        if benchmark.cost and benchmark.metric not in ratios:
            continue
        name = (
            benchmark.metric if benchmark.dimension == "total" else f"{benchmark.metric}__{benchmark.value}"
        )
        ratio = ratios.get(name, "0.0000000000")
        cells = {
            "month": MONTH,
            "metric": benchmark.metric,
            "dimension": benchmark.dimension,
            "value": benchmark.value,
        }
        above, _, below = ratio.partition("/")
        exact = {"numerator": int(above) if below else None, "denominator": int(below) if below else None}
        text = ratio_text(int(above), int(below)) if below else ratio or None
        figures.append({**cells, **exact, "ratio": text, "quality": quality})
    frame = pd.DataFrame(figures).astype({"numerator": "Int64", "denominator": "Int64"})
    told = benchmarks(frame.drop_duplicates(), OPENING)
    return tables.Benchmarks.validate(told.assign(policy_hash="p", catalog_hash="c"))


def standing(name: str, value: str = "all", **given: str) -> dict[str, Any]:
    frame = rows(**given)
    row = frame[(frame["benchmark"] == name) & (frame["value"] == value)].iloc[0]
    return {
        column: None if pd.isna(row[column]) else row[column]
        for column in ("band", "lower_edge", "next_band", "gap", "gap_mrr", "check_data")
    }


def test_what_is_missing_is_told_in_points_and_in_mrr() -> None:
    assert standing("overall_annual", expansion_rate_t12m="0.1234567890") == {
        "band": "good",
        "lower_edge": "0.10",
        "next_band": "excellent",
        "gap": "0.0265432110",
        "gap_mrr": 26_543,  # of 1,000,000
        "check_data": False,
    }
    assert standing("segment", "smb", expansion_rate_t12m__smb="0.0500000000")["gap_mrr"] == 5_000  # 5,000.05
    assert standing("quick_ratio", quick_ratio_t3m="2.5000000000")["gap"] == "1.5000000000"
    # Not a part of opening MRR.
    assert standing("quick_ratio", quick_ratio_t3m="2.5000000000")["gap_mrr"] is None


@pytest.mark.parametrize(
    ("name", "metric", "ratio", "band"),
    [
        ("overall_annual", "expansion_rate_t12m", "0.0499999999", "needs_improvement"),
        ("overall_annual", "expansion_rate_t12m", "0.0500000000", "acceptable"),
        ("overall_annual", "expansion_rate_t12m", "0.1500000000", "excellent"),
        ("overall_annual", "expansion_rate_t12m", "0.2500000000", "best_in_class"),
        ("overall_monthly", "expansion_rate_t3m_mean", "0.0200000000", "best_in_class"),
        # The sources contradict one another.
        ("healthy_monthly", "expansion_rate_t3m_mean", "0.0200000000", "below"),
        ("healthy_monthly", "expansion_rate_t3m_mean", "0.0499999999", "healthy"),
        ("share_of_new", "expansion_share_of_new_t12m", "0.2999999999", "above_median"),
        ("share_of_growth", "expansion_share_of_growth", "0.3000000000", "above"),
        ("economics", "expansion_cac_ratio", "0.1999999999", "below"),
        ("economics", "expansion_cac_ratio", "0.2000000000", "within"),
        ("economics", "expansion_cac_ratio", "1/5", "within"),
        ("economics", "expansion_cac_ratio", "199999999999/1000000000000", "below"),  # 0.2000000000 as text
        ("economics", "expansion_cac_ratio", "0.3300000000", "within"),
        ("economics", "expansion_cac_ratio", "1/3", "within"),
        ("economics", "expansion_cac_ratio", "333333333334/1000000000000", "above"),  # 0.3333333333 as text
        ("share_of_growth", "expansion_share_of_growth", "299999999999/1000000000000", "within"),
        ("share_of_growth", "expansion_share_of_growth", "3/10", "above"),
        ("retention", "nrr_t12m", "1.0000000000", "below"),
        ("retention", "nrr_t12m", "1.0000000001", "expanding"),
        ("retention", "nrr_t12m", "1.2000000000", "expanding"),
        ("retention", "nrr_t12m", "1.2000000001", "highest_group"),
        ("quick_ratio", "quick_ratio_t3m", "4.0000000000", "healthy"),
    ],
)
def test_bands(name: str, metric: str, ratio: str, band: str) -> None:
    assert standing(name, **{metric: ratio})["band"] == band


@pytest.mark.parametrize(("value", "edge"), [("enterprise", "0.20"), ("mid_market", "0.15"), ("smb", "0.10")])
def test_each_segment_has_its_own_range(value: str, edge: str) -> None:
    told = standing("segment", value, **{f"expansion_rate_t12m__{value}": f"{edge}00000000"})
    assert (told["band"], told["lower_edge"], told["next_band"]) == ("within", edge, "above")


@pytest.mark.parametrize(("value", "edge"), [("usage", "0.30"), ("seat", "0.15"), ("flat", "0.05")])
def test_each_pricing_model_has_its_own_range(value: str, edge: str) -> None:
    told = standing("pricing_model", value, **{f"expansion_rate_t12m__{value}": f"{edge}00000000"})
    assert (told["band"], told["lower_edge"], told["next_band"]) == ("within", edge, "above")


def test_a_pricing_models_gap_is_of_its_own_opening_mrr_and_hybrid_is_not_graded() -> None:
    # 5 points of 900,000.
    assert standing("pricing_model", "seat", expansion_rate_t12m__seat="0.1000000000")["gap_mrr"] == 45_000
    assert standing("pricing_model", "flat")["gap_mrr"] == 0  # nobody has it
    assert set(rows().query("dimension == 'pricing_model'")["value"]) == {"usage", "seat", "flat"}


@pytest.mark.parametrize(("ratio", "suspicious"), [("0.4000000000", False), ("0.4000000001", True)])
def test_a_figure_too_good_is_to_be_checked(ratio: str, suspicious: bool) -> None:
    told = standing("overall_annual", expansion_rate_t12m=ratio)
    assert told == {
        "band": "best_in_class",
        "lower_edge": "0.25",
        "next_band": None,
        "gap": None,
        "gap_mrr": None,
        "check_data": suspicious,
    }


def test_no_figure_no_band() -> None:
    told = standing("retention", nrr_t12m="")
    assert told == {
        "band": None,
        "lower_edge": None,
        "next_band": None,
        "gap": None,
        "gap_mrr": None,
        "check_data": False,
    }


@pytest.mark.parametrize(("quality", "indicative"), [("ok", False), ("low_n", True), ("provisional", True)])
def test_a_figure_of_few_is_indicative(quality: str, indicative: bool) -> None:
    assert set(rows(quality)["indicative"]) == {indicative}


def test_a_third_is_told_with_ten_places() -> None:
    told = standing("economics", expansion_cac_ratio="1/2")
    assert (told["band"], told["lower_edge"], told["next_band"], told["check_data"]) == (
        "above",
        "0.3333333333",
        None,
        False,
    )
    assert not standing("economics", expansion_cac_ratio="2/3")["check_data"]
    assert standing("economics", expansion_cac_ratio="6666666667/10000000000")["check_data"]


def test_costs_are_compared_only_where_they_are_given() -> None:
    assert "economics" not in set(rows()["benchmark"])
    assert standing("economics", expansion_cac_ratio="0.2500000000") == {
        "band": "within",
        "lower_edge": "0.20",
        "next_band": "above",
        "gap": "0.0833333333",
        "gap_mrr": None,
        "check_data": False,
    }
