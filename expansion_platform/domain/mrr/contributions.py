"""What one customer's month adds to each published sum.

`expansion`, `contraction_seat`, `expansion_from_sales`, `segment:smb:opening`.

Here: the names of these sums, what a customer adds to each, and the same sums as the published tables say
them. Not here: the comparison of two states of knowledge (`metrics/restatements.py`), rates and counts, which
are made of these (`metrics/retention.py`).

Every published figure of a month is one of these sums, a ratio of two, or a count or ranking of the
customers' own amounts. So a figure cannot change without a change here (docs/operations.md lists the tables).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.mrr.vocabulary import DORMANT_REASONS, FLOWS, ORGANIC, ORIGINS
from expansion_platform.domain.pricing.policy import Policy

FLOW_COLUMNS = [f"flow_{name}" for name in FLOWS]
TYPE_COLUMNS = [f"expansion_{name}" for name in ORGANIC]
CONTRACTION_COLUMNS = [f"contraction_{name}" for name in ORGANIC]
GROSS_COLUMNS = ["expansion_gross", "contraction_gross", "expansion_unadjusted"]
DORMANT = [
    "dormant_churn",
    *(f"dormant_churn_{reason}" for reason in DORMANT_REASONS),
    "dormant_reactivation",
]
"""Parts of churn and reactivation: logo churn leaves these customers out."""
AMOUNTS = {
    "opening": "opening",
    **{name: f"flow_{name}" for name in FLOWS},
    "closing": "closing",
    **{name: name for name in (*TYPE_COLUMNS, *CONTRACTION_COLUMNS, *GROSS_COLUMNS, *DORMANT)},
    "arr": "closing_arr",
}
"""Figure -> its column in `figures` and in mrr/first_reported."""
FIGURES = list(dict.fromkeys(AMOUNTS.values()))
TEXTS = ["segment", "next_segment", "slices_json", "next_slices_json", "origins_json"]
SLICED = ["opening", *FLOWS, "closing", "expansion_gross", "expansion_unadjusted", *DORMANT]
"""Figures that are published by slice; of segments `arr`, too."""
TRANSFERS = ["transfer_in", "transfer_out"]
FROM = "expansion_from_"
"""Of an origin: `expansion_from_sales`."""
UNPUBLISHED = {"contraction_gross", *DORMANT[1:-1]}
"""No table publishes these sums: of dormant churn by reason it is the customers that are counted."""
OF_SEGMENTS = {"arr", *DORMANT}
"""Published for the total and segments only."""


def figures(
    customer_months: pd.DataFrame,
    movements: pd.DataFrame,
    slices: pd.DataFrame,
    origins: pd.DataFrame,
    *,
    policy: Policy,
) -> pd.DataFrame:
    """One row per customer that paid at either end.

    Customer, first_paid_month, TEXTS and FIGURES, in minor units.

    Args:
        customer_months: mrr/customer_months of the month.
        movements: mrr/movements of the month.
        slices: mrr/customer_slices of the month.
        origins: mrr/origins of the month.
        policy: its thresholds say the segment at the next opening.
    """
    of_customers = ["flow_fx", "expansion_unadjusted"]
    others = [
        name
        for name in (*FLOW_COLUMNS, *TYPE_COLUMNS, *CONTRACTION_COLUMNS, *GROSS_COLUMNS)
        if name not in of_customers
    ]
    moved = movements[["customer", *others]].assign(**_dormant(movements))
    amounts = [name for name in moved.columns if name != "customer"]
    rows = customer_months[
        ["customer", "segment", "first_paid_month", "opening", "closing", "closing_arr", "flow_fx"]
    ]
    rise = (rows["closing"] - rows["opening"]).clip(lower=0)
    rows = rows.assign(expansion_unadjusted=rise.where((rows["opening"] > 0) & (rows["closing"] > 0), 0))
    rows = rows.merge(moved.astype(dict.fromkeys(amounts, "Int64")), on="customer", how="left")
    rows = rows.merge(slices[["customer", "slices_json", "next_slices_json"]], on="customer", how="left")
    filled = rows[amounts].fillna(0).astype("int64")
    origins_of = _by_origin(origins)
    large, middle = rows["closing_arr"] >= policy.enterprise_acv, rows["closing_arr"] >= policy.mid_market_acv
    return rows.assign(
        **{name: filled[name] for name in amounts},
        next_segment=pd.Series(
            np.select([large, middle], ["enterprise", "mid_market"], "smb"), index=rows.index, dtype="str"
        ),
        origins_json=pd.Series(
            [origins_of.get(customer, "{}") for customer in rows["customer"]], index=rows.index, dtype="str"
        ),
    )


def _dormant(movements: pd.DataFrame) -> dict[str, pd.Series[int]]:
    dormant = movements["dormant"].astype(bool)
    churn, back = (movements[f"flow_{name}"].where(dormant, 0) for name in ("churn", "reactivation"))
    reasons = {
        f"dormant_churn_{reason}": churn.where(movements["dormant_reason"] == reason, 0)
        for reason in DORMANT_REASONS
    }
    return {"dormant_churn": churn, **reasons, "dormant_reactivation": back}


def kept(reported: pd.DataFrame) -> set[str]:
    """Columns that the version kept which wrote these rows of mrr/first_reported.

    The others are unknown there, not zero.
    """
    paid = reported[(reported["opening"] > 0) | (reported["closing"] > 0)]
    return {name for name in (*FIGURES, *TEXTS) if paid[name].notna().all()}


def contributions(rows: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """What rows add to each sum: customer, metric, amount, without zeros.

    Args:
        rows: `figures`, or rows of mrr/first_reported.
        known: columns to look at (`kept`).
    """
    parts = [_named(rows, metric, rows[column]) for metric, column in AMOUNTS.items() if column in known]
    if "origins_json" in known:
        parts += _origins(rows)
    for dimension, values, following in _slices(rows, known):
        wanted = [*SLICED, "arr"] if dimension == "segment" else SLICED
        for metric in wanted:
            if AMOUNTS[metric] in known:
                parts.append(_named(rows, _sliced(dimension, values, metric), rows[AMOUNTS[metric]]))
        if following is not None:
            moves = rows["closing"].where((values != following) & values.notna() & following.notna(), 0)
            parts.append(_named(rows, _sliced(dimension, following, "transfer_in"), moves))
            parts.append(_named(rows, _sliced(dimension, values, "transfer_out"), moves))
    return pd.concat(parts, ignore_index=True)


def sums(rows: pd.DataFrame, known: Collection[str]) -> pd.Series[int]:
    """The sums by metric.

    Rows of the same slices are added up first: 100,000 customers have some hundreds of slices.
    """
    split = [name for name in TEXTS if name != "origins_json"]
    alike = rows.groupby(split, dropna=False, sort=False)[FIGURES].sum().reset_index().assign(customer="")
    added = contributions(alike, set(known) - {"origins_json"})
    if "origins_json" in known:
        added = pd.concat([added, *_origins(rows)], ignore_index=True)
    return added.groupby("metric")["amount"].sum()


def published(
    rollforward: pd.DataFrame,
    by_dimension: pd.DataFrame,
    metric_values: pd.DataFrame,
    by_type: pd.DataFrame,
    by_origin: pd.DataFrame,
) -> pd.DataFrame:
    """The same sums as the tables publish them: month, metric, amount.

    Args:
        rollforward: metrics/rollforward.
        by_dimension: metrics/rollforward_by_dimension.
        metric_values: metrics/expansion, expansion_by_segment, expansion_by_dimension, retention and
            expanders together.
        by_type: metrics/expansion_by_type.
        by_origin: metrics/expansion_by_origin.
    """
    flows = pd.concat([rollforward, by_dimension[by_dimension["dimension"] != "total"]], ignore_index=True)
    figures_of = ["opening", *FLOWS, "closing", *TRANSFERS]
    tall = flows.melt(["month", "dimension", "value"], figures_of, var_name="metric", value_name="amount")
    tall = tall[~((tall["dimension"] == "total") & tall["metric"].isin(TRANSFERS))]
    names = {
        "expansion_gross_rate": "expansion_gross",
        "expansion_unadjusted_rate": "expansion_unadjusted",
        "arr": "arr",
        "dormant_churn_mrr": "dormant_churn",
        "dormant_reactivation_mrr": "dormant_reactivation",
    }
    ratios = [_numerators(metric_values, names).drop_duplicates(["month", "dimension", "value", "metric"])]
    ratios[0]["amount"] *= np.where(
        ratios[0]["metric"] == "dormant_churn", -1, 1
    )  # churn is published as a positive amount, as a flow it is below zero
    for prefix, metric in (("expansion", "expansion_rate"), ("contraction", "contraction_rate")):
        rows = by_type[by_type["metric"] == metric]
        ratios.append(
            _numerators(rows, {metric: prefix}).assign(dimension="total", metric=prefix + "_" + rows["value"])
        )
    origins = by_origin[(by_origin["dimension"] == "origin") & (by_origin["metric"] == "expansion_rate")]
    ratios.append(
        _numerators(origins, {"expansion_rate": "expansion"}).assign(
            dimension="total", metric=FROM + origins["value"]
        )
    )
    found = pd.concat([tall, *ratios], ignore_index=True)
    total = found["dimension"] == "total"
    named = found["metric"].where(total, found["dimension"] + ":" + found["value"] + ":" + found["metric"])
    return found.assign(metric=named, amount=found["amount"].astype("int64"))[["month", "metric", "amount"]]


def compared(metric: str, known: Collection[str]) -> bool:
    """Whether a sum is both published and kept by the version whose columns are `known`."""
    dimension, figure = metric.split(":")[0] if ":" in metric else "", metric.rsplit(":")[-1]
    if figure in UNPUBLISHED or (figure in OF_SEGMENTS and dimension not in ("", "segment")):
        return False
    if figure.startswith(FROM):
        return "origins_json" in known
    if dimension not in ("", "segment") and "slices_json" not in known:
        return False
    needs = "next_segment" if dimension == "segment" else "next_slices_json"
    return needs in known if figure in TRANSFERS else AMOUNTS[figure] in known


def _numerators(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    chosen = rows[rows["metric"].isin(list(names))]
    columns = chosen[["month", "dimension", "value"]]
    return columns.assign(metric=chosen["metric"].map(names), amount=chosen["numerator"])


def _named(rows: pd.DataFrame, metric: str | pd.Series[str], amounts: pd.Series[int]) -> pd.DataFrame:
    """Amounts that are not zero, under their metric."""
    found = pd.DataFrame({"customer": rows["customer"], "metric": metric, "amount": amounts})
    return found[amounts.ne(0)].astype({"customer": "object", "metric": "object", "amount": "int64"})


def _sliced(dimension: str, values: pd.Series[str], metric: str) -> pd.Series[str]:
    return dimension + ":" + values.astype("object") + ":" + metric


def _slices(
    rows: pd.DataFrame, known: Collection[str]
) -> Iterator[tuple[str, pd.Series[str], pd.Series[str] | None]]:
    """Dimension, each row's value, and its value at the next opening (None where that is unknown)."""
    yield "segment", rows["segment"], rows["next_segment"] if "next_segment" in known else None
    if "slices_json" not in known:
        return
    of, following = (_read(rows[name]) for name in ("slices_json", "next_slices_json"))
    for dimension in sorted({name for values in of.dropna() for name in values}):
        yield dimension, _value(of, dimension), _value(following, dimension)


def _value(slices: pd.Series[Any], dimension: str) -> pd.Series[str]:
    found = [None if values is None or values != values else values.get(dimension) for values in slices]
    return pd.Series(found, index=slices.index, dtype="object")


def _origins(rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
    texts = rows["origins_json"].astype("object")
    said = rows[texts.notna() & (texts != "{}")]
    found = _read(said["origins_json"])
    for origin in ORIGINS:
        amounts = pd.Series([amounts.get(origin, 0) for amounts in found], index=said.index, dtype="int64")
        yield _named(said, f"{FROM}{origin}", amounts)


def _read(texts: pd.Series[str]) -> pd.Series[Any]:
    """JSON texts read, each distinct one once."""
    return texts.astype("object").map({text: json.loads(text) for text in texts.dropna().unique()})


def _by_origin(origins: pd.DataFrame) -> dict[str, str]:
    """Customer -> its headline by origin, as canonical JSON."""
    parts: dict[str, dict[str, int]] = {}
    for row in origins[origins["expansion"] > 0].to_dict("records"):
        amounts = parts.setdefault(row["customer"], {})
        amounts[row["origin"]] = amounts.get(row["origin"], 0) + int(row["expansion"])
    return {customer: canonical.dumps(amounts) for customer, amounts in parts.items()}
