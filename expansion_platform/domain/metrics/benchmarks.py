"""Published figures beside what is said to be usual (semantics 4.6).

Here: the bands, where each comes from, and where a figure stands in them. Not here: the figures
(`trailing.py`, `retention.py`), targets of one's own (`catalog/targets.py`).

The bands are claims of the playbooks they come from, not measured facts, and they contradict one another: 2
to 3 % a month is best in class in one and below healthy (3 to 5 %) in the other, and 2 % compounded is 27 % a
year. Both are shown.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core.ratios import decimal_text
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.metrics import tables as metrics

FIGURES: tuple[type[Table], ...] = (metrics.Trailing, metrics.Expanders, metrics.ExpansionCac)
BENCHMARKING = "003 expansion benchmarks"
PLAYBOOK = "001 expansion playbook"
QUICK_RATIO = "004 quick ratio"
INDICATIVE = ("low_n", "provisional")


@dataclass(frozen=True)
class Benchmark:
    """Bands of one metric, lowest first.

    Each edge is the lower end of the band after it and belongs to it, unless it is one of `beyond`.
    """

    name: str
    source: str
    metric: str
    bands: tuple[str, ...]
    edges: tuple[str, ...]
    """As decimals or fractions."""
    suspicious: str
    """Above this the data are to be checked: price rises and migrations counted as expansion are the usual
    cause.
    """
    dimension: str = "total"
    value: str = "all"
    of_opening: bool = True
    """The metric is a part of opening MRR, so that a gap is an amount."""
    beyond: tuple[str, ...] = ()
    """Edges that belong to the band before them: only what is above one is beyond it."""
    cost: bool = False
    """Less is better, so the gap is the room left; there is none where no costs are given."""

    def band(self, ratio: Fraction) -> int:
        """Index of the band a value is in."""
        return sum(
            ratio > Fraction(edge) if edge in self.beyond else ratio >= Fraction(edge) for edge in self.edges
        )


RANGE = ("below", "within", "above")
BENCHMARKS = [
    Benchmark(
        "overall_annual",
        BENCHMARKING,
        "expansion_rate_t12m",
        ("needs_improvement", "acceptable", "good", "excellent", "best_in_class"),
        ("0.05", "0.10", "0.15", "0.25"),
        "0.40",
    ),
    Benchmark(
        "overall_monthly",
        BENCHMARKING,
        "expansion_rate_t3m_mean",
        ("below", "best_in_class"),
        ("0.02",),
        "0.06",
    ),
    Benchmark(
        "healthy_monthly",
        PLAYBOOK,
        "expansion_rate_t3m_mean",
        ("below", "healthy", "above"),
        ("0.03", "0.05"),
        "0.10",
    ),
    Benchmark(
        "segment",
        BENCHMARKING,
        "expansion_rate_t12m",
        RANGE,
        ("0.20", "0.35"),
        "0.70",
        "segment",
        "enterprise",
    ),
    Benchmark(
        "segment",
        BENCHMARKING,
        "expansion_rate_t12m",
        RANGE,
        ("0.15", "0.25"),
        "0.50",
        "segment",
        "mid_market",
    ),
    Benchmark(
        "segment", BENCHMARKING, "expansion_rate_t12m", RANGE, ("0.10", "0.20"), "0.40", "segment", "smb"
    ),
    Benchmark(
        "pricing_model",
        BENCHMARKING,
        "expansion_rate_t12m",
        RANGE,
        ("0.30", "0.50"),
        "1.00",
        "pricing_model",
        "usage",
    ),
    Benchmark(
        "pricing_model",
        BENCHMARKING,
        "expansion_rate_t12m",
        RANGE,
        ("0.15", "0.25"),
        "0.50",
        "pricing_model",
        "seat",
    ),
    Benchmark(
        "pricing_model",
        BENCHMARKING,
        "expansion_rate_t12m",
        RANGE,
        ("0.05", "0.15"),
        "0.30",
        "pricing_model",
        "flat",
    ),
    Benchmark(
        "share_of_new",
        BENCHMARKING,
        "expansion_share_of_new_t12m",
        ("developing", "median", "above_median", "top_quartile"),
        ("0.15", "0.20", "0.30"),
        "0.80",
        of_opening=False,
    ),
    Benchmark(
        "share_of_growth",
        BENCHMARKING,
        "expansion_share_of_growth",
        RANGE,
        ("0.20", "0.30"),
        "0.60",
        of_opening=False,
    ),
    Benchmark(
        "retention",
        BENCHMARKING,
        "nrr_t12m",
        ("below", "expanding", "highest_group"),
        ("1.00", "1.20"),
        "2.40",
        beyond=("1.00", "1.20"),
    ),
    Benchmark(
        "quick_ratio", QUICK_RATIO, "quick_ratio_t3m", ("below", "healthy"), ("4",), "8", of_opening=False
    ),
    Benchmark(
        "economics",
        BENCHMARKING,
        "expansion_cac_ratio",
        RANGE,
        ("0.20", "1/3"),
        "2/3",
        of_opening=False,
        beyond=("1/3",),
        cost=True,
    ),
]


def benchmarks(figures: pd.DataFrame, opening: pd.DataFrame) -> pd.DataFrame:
    """metrics/benchmarks of some months without hashes.

    Args:
        figures: month, metric, dimension, value, numerator, denominator, ratio and quality of
            metrics/trailing, metrics/expanders and metrics/expansion_cac.
        opening: month, dimension, value, opening: opening MRR of slices, minor units; nobody is in a slice
            that is not there.

    Returns:
        One row per month and benchmark, of costs only where they are given; KeyError where another figure is
        not there. A figure is compared as the exact fraction it is; a compounded or mean rate, which has
        none, with its ten places. One without a value has no band.
    """
    bands = pd.DataFrame(
        [
            {"metric": each.metric, "dimension": each.dimension, "value": each.value, "of": each}
            for each in BENCHMARKS
        ]
    )
    beside = figures[["month"]].drop_duplicates().merge(bands, how="cross")
    beside = beside.merge(
        figures, on=["month", "metric", "dimension", "value"], how="left", indicator="published"
    )
    beside = beside[
        (beside["published"] == "both") | ~beside["of"].map(lambda each: each.cost).astype("bool")
    ]
    if len(absent := beside[beside["published"] != "both"]):
        raise KeyError(f"no figure to compare: {absent[['month', 'metric', 'value']].to_dict('records')}")
    beside = beside.merge(
        opening[["month", "dimension", "value", "opening"]], on=["month", "dimension", "value"], how="left"
    )
    records = []
    for figure in beside.assign(opening=beside["opening"].astype("Int64").fillna(0)).to_dict("records"):
        benchmark: Benchmark = figure["of"]
        records.append(
            {
                "month": figure["month"],
                "benchmark": benchmark.name,
                "source": benchmark.source,
                "metric": benchmark.metric,
                "dimension": benchmark.dimension,
                "value": benchmark.value,
                **_standing(benchmark, figure, int(figure["opening"])),
                "indicative": figure["quality"] in INDICATIVE,
                "quality": figure["quality"],
            }
        )
    return pd.DataFrame.from_records(records).astype({"gap_mrr": "Int64"})


def _standing(benchmark: Benchmark, figure: Mapping[Hashable, Any], opening: int) -> dict[str, object]:
    """The band, its lower edge, and what is missing to the next.

    In points of the ratio, and in MRR where the ratio is a part of opening MRR.
    """
    nothing = dict.fromkeys(("ratio", "band", "lower_edge", "next_band", "gap", "gap_mrr"))
    text, above, below = figure["ratio"], figure["numerator"], figure["denominator"]
    if pd.isna(text):
        return {**nothing, "check_data": False}
    ratio = Fraction(text) if pd.isna(above) or pd.isna(below) else Fraction(int(above), int(below))
    index = benchmark.band(ratio)
    standing: dict[str, object] = {
        **nothing,
        "ratio": text,
        "band": benchmark.bands[index],
        "check_data": ratio > Fraction(benchmark.suspicious),
    }
    if index:
        edge = benchmark.edges[index - 1]
        standing["lower_edge"] = decimal_text(Fraction(edge)) if "/" in edge else edge
    if index < len(benchmark.edges):
        gap = Fraction(benchmark.edges[index]) - ratio
        standing |= {"next_band": benchmark.bands[index + 1], "gap": decimal_text(gap)}
        standing["gap_mrr"] = round(gap * opening) if benchmark.of_opening else None
    return standing


def compute_benchmarks(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/benchmarks of some months."""
    figures = pd.concat([inputs.frame(model) for model in FIGURES])
    by_model = inputs.frame(metrics.RollforwardByDimension).query("dimension == 'pricing_model'")
    flows = pd.concat([inputs.frame(metrics.Rollforward), by_model])
    return Computed({metrics.Benchmarks: benchmarks(figures[figures["month"].isin(wanted)], flows)})
