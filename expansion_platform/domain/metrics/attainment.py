"""How far targets were met (semantics 4.7).

Here: a target beside its figure, in the month and over the fiscal quarter and year to date. Not here: the
targets (`catalog/targets.py`), the figures (`retention.py`), whether a miss is noise (`alerts/rules.py`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from fractions import Fraction
from operator import itemgetter
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.ratios import decimal_text
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.rows import SLICES
from expansion_platform.domain.metrics.tables import Attainment

FIGURES: tuple[type[Table], ...] = (
    metrics.Expansion,
    metrics.ExpansionBySegment,
    metrics.Expanders,
    metrics.Retention,
)
"""Where the figures are published."""
METRICS = ["expansion_rate", "expansion_share_of_new", "nrr", "grr"]
OF_OPENING = {"expansion_rate", "nrr", "grr"}
"""Parts of opening MRR, so that a gap is an amount."""
QUARTER, YEAR = 3, 12
KEY = ["month", "period", "metric", "dimension", "value", "first_month"]
COLUMNS = [
    *KEY,
    "numerator",
    "denominator",
    "actual",
    "target",
    "attainment",
    "gap",
    "gap_mrr",
    "met",
    "quality",
]


def periods(month: str, fiscal_year_begins: int) -> dict[str, list[str]]:
    """The months of each period that ends with `month`, oldest first."""
    into_year = (int(month[5:]) - fiscal_year_begins) % YEAR
    return {
        "month": [month],
        "quarter_to_date": months.between(months.shift(month, -(into_year % QUARTER)), month),
        "year_to_date": months.between(months.shift(month, -into_year), month),
    }


def attainment(wanted: Sequence[str], figures: pd.DataFrame, settings: AlertSettings) -> pd.DataFrame:
    """metrics/attainment of some months without hashes.

    Args:
        wanted: the months to describe.
        figures: month, metric, dimension, value, numerator, denominator, quality of `METRICS`, for the months
            of the fiscal years up to them.
        settings: targets, and where the fiscal year begins.

    Returns:
        A row per target that holds; of expansion rates also for the fiscal quarter and year to date, where
        sums of expansion stand over sums of target x opening MRR, if each month so far has a target and a
        figure.
    """
    of_months = [
        (month, period, names[0], len(names), name)
        for month in wanted
        for period, names in periods(month, settings.fiscal_year_begins).items()
        for name in names
    ]
    known = pd.DataFrame(SLICES, columns=["dimension", "value"]).merge(
        figures[figures["metric"].isin(METRICS)], on=["dimension", "value"]
    )
    scopes = known["dimension"].where(known["dimension"] == "total", known["value"])
    targets = [
        settings.to_reach(*named) for named in zip(known["metric"], scopes, known["month"], strict=True)
    ]
    known = known.assign(to_reach=pd.Series(targets, index=known.index, dtype="object"))
    known = known[known["to_reach"].notna()].rename(columns={"month": "of"})
    joined = (
        pd.DataFrame(of_months, columns=["month", "period", "first_month", "size", "of"])
        .merge(known, on="of")
        .sort_values("of")
    )
    joined = joined[(joined["period"] == "month") | (joined["metric"] == "expansion_rate")]
    found: dict[tuple[Any, ...], list[dict[Hashable, Any]]] = {}
    for row in joined.to_dict("records"):
        found.setdefault(tuple(row[name] for name in (*KEY, "size")), []).append(row)
    records = []
    for (*named, size), rows in sorted(found.items(), key=itemgetter(0)):
        if len(rows) == size:
            labels = dict(zip(KEY, named, strict=True))
            to_reach = [row["to_reach"] for row in rows]
            records.append({**labels, **_standing(str(labels["metric"]), to_reach, rows)})
    return pd.DataFrame.from_records(records, columns=COLUMNS).astype({"gap_mrr": "Int64", "met": "boolean"})


def ties(frame: pd.DataFrame, figures: pd.DataFrame) -> None:
    """Every numerator and denominator is the sum of the published ones of its months.

    Raises:
        DataQualityError: rows of which that is not so.
    """
    by = ["metric", "dimension", "value"]
    joined = frame.merge(figures, on=by, suffixes=("", "_published"))
    within = joined[
        (joined["month_published"] >= joined["first_month"]) & (joined["month_published"] <= joined["month"])
    ]
    sums = within.groupby(["month", "period", *by])[["numerator_published", "denominator_published"]].sum()
    reported = frame.set_index(["month", "period", *by])[["numerator", "denominator"]]
    wrong = reported[(reported.to_numpy() != sums.reindex(reported.index).to_numpy()).any(axis=1)]
    if len(wrong):
        raise DataQualityError(
            "metrics/attainment is not of the published figures",
            ["/".join(map(str, key)) for key in wrong.index],
        )


def _standing(metric: str, targets: list[Fraction], rows: list[dict[Hashable, Any]]) -> dict[str, object]:
    """Sums of the months' numerators over sums of their denominators.

    Compared with the target weighted by the latter.
    """
    numerator = sum(int(row["numerator"]) for row in rows)
    denominators = [int(row["denominator"]) for row in rows]
    base = sum(denominators)
    wanted = sum((target * under for target, under in zip(targets, denominators, strict=True)), Fraction(0))
    target = wanted / base if base else targets[-1]
    standing: dict[str, object] = {
        "numerator": numerator,
        "denominator": base,
        "target": decimal_text(target),
        "quality": _quality(rows, base),
    }
    if not base:
        return standing
    actual = Fraction(numerator, base)
    standing |= {
        "actual": decimal_text(actual),
        "attainment": decimal_text(actual / target),
        "gap": decimal_text(target - actual),
        "met": actual >= target,
    }
    return standing | ({"gap_mrr": round(wanted - numerator)} if metric in OF_OPENING else {})


def _quality(rows: list[dict[Hashable, Any]], base: int) -> str:
    return "no_base" if not base else "low_n" if any(row["quality"] == "low_n" for row in rows) else "ok"


def compute_attainment(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/attainment of some months."""
    return Computed({Attainment: attainment(wanted, figures(inputs), inputs.value("targets"))})


def figures(inputs: Inputs) -> pd.DataFrame:
    """The published figures that targets are for."""
    return pd.concat([inputs.frame(model) for model in FIGURES], ignore_index=True)
