"""Identities between published figures (semantics 4).

Each is a function that raises on the rows that break it.

Here: slices against totals, rates and types against the roll-forward, windows against their months, what
became of expansion against the expansion. Not here: the roll-forward itself and what customers sum to
(`reconciliation_totals.py`), invariants of one table (`tables/`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.vocabulary import FLOWS

# The rates of semantics 4.2 as their flows: numerator columns with their signs, over opening MRR unless a
# second list says otherwise.
RATES: Mapping[str, tuple[list[str], list[str] | None]] = {
    "expansion_rate": (["expansion"], ["opening"]),
    "nrr": (["opening", "expansion", "contraction", "price", "discount", "interval", "churn"], ["opening"]),
    "nrr_organic": (["opening", "expansion", "contraction", "churn"], ["opening"]),
    "grr_organic": (["opening", "contraction", "churn"], ["opening"]),
    "net_mrr_churn": (["-churn", "-contraction", "-expansion"], ["opening"]),
    "contraction_rate": (["-contraction"], ["opening"]),
    "churn_rate": (["-churn"], ["opening"]),
    "price_rate": (["price"], ["opening"]),
    "discount_rate": (["discount"], ["opening"]),
    "interval_rate": (["interval"], ["opening"]),
    "fx_rate": (["fx"], ["opening"]),
    "quick_ratio": (["new", "expansion"], ["-contraction", "-churn"]),
    "quick_ratio_with_reactivation": (["new", "reactivation", "expansion"], ["-contraction", "-churn"]),
    "net_new_mrr": (["new", "expansion", "contraction", "churn"], None),
    "net_new_mrr_with_reactivation": (["new", "reactivation", "expansion", "contraction", "churn"], None),
    "mrr_change": (FLOWS, None),
    "expansion_share_of_new": (["expansion"], ["expansion", "new"]),
    "expansion_share_of_new_with_reactivation": (["expansion"], ["expansion", "new", "reactivation"]),
}
SUMMED = {  # of metrics/trailing: the flows summed over the window of so many months
    "expansion_rate_t12m_simple": (12, ["expansion"], None),
    "expansion_share_of_new_t12m": (12, ["expansion"], ["expansion", "new"]),
    "quick_ratio_t3m": (3, ["new", "expansion"], ["-contraction", "-churn"]),
}
FROM_START = [
    "expansion_rate_t12m_simple",
    "expansion_rate_t12m_cohort",
    "nrr_t12m",
    "grr_t12m",
    "grr_continuous_t12m",
]
"""Of metrics/trailing: over the MRR the window opened with."""
YEAR = 12


def slices_sum(metric_values: pd.DataFrame) -> None:
    """Slices sum to the total, dimension by dimension, numerator by numerator and denominator by denominator.

    Raises:
        DataQualityError: naming month, metric and dimension.
    """
    columns = ["numerator", "denominator"]
    given = metric_values[metric_values["numerator"].notna()].fillna({"denominator": 0})  # an amount has none
    total = given[given["dimension"] == "total"].set_index(["month", "metric"])[columns]
    broken = []
    for dimension in sorted(set(metric_values["dimension"]) - {"total"}):
        parts = given[given["dimension"] == dimension].groupby(["month", "metric"])[columns].sum()
        differs = (parts.reindex(total.index, fill_value=0) != total).any(axis=1)
        broken += [f"{month} {metric} by {dimension}" for month, metric in total.index[differs]]
    if broken:
        raise DataQualityError("slices do not sum to the total", broken)


def rates_tie(rates: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """Every rate is the roll-forward's flows over its opening MRR, and GRR lies between 0 and both 1 and NRR.

    See semantics 4.2.

    Args:
        rates: metrics/expansion, expansion_by_segment, retention and expanders, or some of them.
        rollforward: metrics/rollforward of the same months.

    Raises:
        DataQualityError: naming month, metric and slice.
    """
    flows = rollforward.set_index(["month", "dimension", "value"])
    by_metric = {
        metric: rows.set_index(["month", "dimension", "value"]) for metric, rows in rates.groupby("metric")
    }
    broken: list[str] = []
    for metric, (above, below) in RATES.items():
        if metric in by_metric:
            rows = by_metric[metric]
            of_rows = flows.reindex(rows.index)
            wrong = rows["numerator"] != _signed(of_rows, above)
            if below is not None:
                wrong |= rows["denominator"] != _signed(of_rows, below)
            broken += _named(metric, rows[wrong.to_numpy(dtype=bool)])
    if "grr" in by_metric:
        grr, nrr = by_metric["grr"], by_metric["nrr"]["numerator"]
        beyond = (
            (grr["numerator"] < 0)
            | (grr["numerator"] > grr["denominator"])
            | (grr["numerator"] > nrr.reindex(grr.index))
        )
        broken += _named("grr", grr[beyond.to_numpy(dtype=bool)])
    if broken:
        raise DataQualityError("rates are not of the roll-forward", broken)


def types_sum(by_type: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """Types sum to expansion and to contraction, over the total's opening MRR and as shares of expansion.

    See semantics 2.4.

    Raises:
        DataQualityError: naming month and metric.
    """
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    wholes = {
        "expansion_rate": ("expansion", "opening"),
        "expansion_mix": ("expansion", "expansion"),
        "contraction_rate": ("-contraction", "opening"),
    }
    broken: list[str] = []
    for metric, (above, below) in wholes.items():
        rows = by_type[by_type["metric"] == metric].set_index("month")
        of_rows = total.loc[rows.index]
        sums = rows["numerator"].groupby(level="month").transform("sum")
        wrong = (sums != _signed(of_rows, [above])) | (rows["denominator"] != of_rows[below])
        broken += [f"{month} {metric}" for month in rows.index[wrong.to_numpy(dtype=bool)]]
    if broken:
        raise DataQualityError("types do not sum to the total", dict.fromkeys(broken))


def windows_tie(trailing: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """The total's sums over a window are those of its months (semantics 4.2).

    What it opened with is the first month's opening MRR.

    Args:
        trailing: metrics/trailing.
        rollforward: metrics/rollforward of all the months its windows hold.

    Raises:
        DataQualityError: naming month and metric.
    """
    flows = rollforward[rollforward["dimension"] == "total"].set_index("month")
    broken: list[str] = []
    for row in trailing[(trailing["dimension"] == "total") & trailing["numerator"].notna()].to_dict(
        "records"
    ):
        month, metric, wrong = row["month"], row["metric"], False
        if metric in SUMMED:
            length, above, below = SUMMED[metric]
            window = flows[(flows.index >= months.shift(month, 1 - length)) & (flows.index <= month)]
            wrong = row["numerator"] != _signed(window, above).sum()
            wrong |= below is not None and row["denominator"] != _signed(window, below).sum()
        if metric in FROM_START:
            wrong |= row["denominator"] != flows["opening"].get(months.shift(month, 1 - YEAR))
        broken += [f"{month} {metric}"] if wrong else []
    if broken:
        raise DataQualityError("windows are not the sums of their months", broken)


def benchmarks_tie(benchmarks: pd.DataFrame, figures: pd.DataFrame) -> None:
    """What is compared is the figure as published, with its quality.

    Args:
        benchmarks: metrics/benchmarks.
        figures: the tables it compares, of the same months.

    Raises:
        DataQualityError: naming month and benchmark.
    """
    key = ["month", "metric", "dimension", "value"]
    rows = benchmarks.merge(
        figures[[*key, "ratio", "quality"]], on=key, how="left", suffixes=("", "_published")
    )
    same = (rows["ratio"] == rows["ratio_published"]) | (
        rows["ratio"].isna() & rows["ratio_published"].isna()
    )
    broken = rows[~same | (rows["quality"] != rows["quality_published"])]
    if len(broken):
        raise DataQualityError(
            "what is compared is not the published figure",
            (f"{row.month} {row.benchmark}" for row in broken.itertuples()),
        )


def durability_follows_expansion(durability: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """What lasted and what is core is a part of the expansion of its month, over that or its opening MRR.

    See semantics 4.5.

    Args:
        durability: metrics/durability.
        rollforward: metrics/rollforward of the months that expanded.

    Raises:
        DataQualityError: naming month and metric.
    """
    flows = rollforward.rename(columns={"month": "expanded_month"})[
        ["expanded_month", "dimension", "value", "expansion", "opening"]
    ]
    rows = durability.merge(flows, on=["expanded_month", "dimension", "value"], how="left").fillna(
        {"expansion": 0, "opening": 0}
    )
    rows = rows[~rows["metric"].str.startswith(("seat_durability", "seat_events", "seat_amount"))]
    of_expansion = rows["metric"].isin(["durability_3m", "seat_surge_share", "seat_surge_share_3m"])
    below = rows["expansion"].where(of_expansion, rows["opening"])
    broken = rows[
        (rows["denominator"] != below) | (rows["numerator"] > rows["expansion"]) | (rows["numerator"] < 0)
    ]
    if len(broken):
        raise DataQualityError(
            "what lasts is not a part of the expansion",
            (f"{row.month} {row.metric}" for row in broken.itertuples()),
        )


def durability_ties(durability: pd.DataFrame, events: pd.DataFrame) -> None:
    """What metrics/durability says of seats is the sum of mrr/seat_events.

    Judged events under the month they were made in, pending ones together.

    Raises:
        DataQualityError: naming month and metric.
    """
    reported = durability[durability["dimension"] == "total"].set_index(["month", "metric"])
    judged, pending = events[events["status"] != "pending"], events[events["status"] == "pending"]
    sums = {
        ("seat_durability_3m", "numerator"): judged.groupby("month")["kept"].sum(),
        ("seat_durability_3m", "denominator"): judged.groupby("month")["amount"].sum(),
        ("seat_events_pending", "numerator"): pending.groupby("month").size(),
        ("seat_amount_pending", "numerator"): pending.groupby("month")["amount"].sum(),
    }
    for status in ("durable", "partial", "reverted"):
        of_status = judged[judged["status"] == status].groupby("month")["amount"]
        sums |= {
            (f"seat_events_{status}", "numerator"): of_status.size(),
            (f"seat_amount_{status}", "numerator"): of_status.sum(),
        }
    broken = []
    for (metric, column), expected in sums.items():
        found = reported.xs(metric, level="metric")[column]
        broken += [
            f"{month} {metric}" for month in found.index[found != expected.reindex(found.index, fill_value=0)]
        ]
    if broken:
        raise DataQualityError("durability is not the sum of the seat events", broken)


def expanders_tie(after: pd.DataFrame, expansion: pd.DataFrame) -> None:
    """Expanders with a reported churn are those that metrics/expansion counts in their month of expansion.

    Rows without a base are left out.

    Raises:
        DataQualityError: naming month and span.
    """
    counted = expansion[expansion["metric"] == "expander_rate"].set_index("month")["numerator"]
    total = after[(after["dimension"] == "total") & (after["quality"] != "no_base")]
    broken = total[total["expanders"] != total["expanded_month"].map(counted)]
    if len(broken):
        raise DataQualityError(
            "expanders are not those of metrics/expansion",
            (f"{row.month}/{row.within_months}" for row in broken.itertuples()),
        )


def cohorts_tie(cohorts: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """A cohort's expansion and closing MRR are those of the roll-forward.

    Its expansion since it began is the sum of its months'.

    Args:
        cohorts: metrics/cohort_expansion.
        rollforward: metrics/rollforward_by_dimension of all months, by cohort.

    Raises:
        DataQualityError: naming month/cohort.
    """
    key = ["month", "cohort"]
    flows = rollforward.rename(columns={"value": "cohort"}).sort_values("month")[
        [*key, "expansion", "closing"]
    ]
    flows["cumulative_expansion"] = flows.groupby("cohort")["expansion"].cumsum()
    rows = cohorts.merge(flows, on=key, how="left", suffixes=("", "_flow"))
    columns = ["expansion", "closing", "cumulative_expansion"]
    differs = rows[[f"{name}_flow" for name in columns]].to_numpy() != rows[columns].to_numpy()
    # A cohort nobody is left of has no row there.
    gone = rows["expansion_flow"].isna() & (rows["expansion"] == 0) & (rows["closing"] == 0)
    broken = rows[differs.any(axis=1) & ~gone]
    if len(broken):
        raise DataQualityError(
            "a cohort's expansion is not the roll-forward's",
            (f"{row.month}/{row.cohort}" for row in broken.itertuples()),
        )


def _signed(rows: pd.DataFrame, columns: list[str]) -> pd.Series[int]:
    """Sum of columns; one written with a minus is taken off."""
    parts = [-rows[name[1:]] if name.startswith("-") else rows[name] for name in columns]
    return sum(parts[1:], start=parts[0])


def _named(metric: str, rows: pd.DataFrame) -> list[str]:
    return [f"{month} {metric} {value}" for month, _, value in rows.index]
