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
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.money import Ints
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
    amounts = {metric: _whole(rows[column]) for metric, column in AMOUNTS.items() if column in known}
    parts = [_part(metric, of_each) for metric, of_each in amounts.items()]
    if "origins_json" in known:
        parts += _origins(rows)
    for dimension, values, following in _slices(rows, known):
        (codes, next_codes), names = _coded(values, values if following is None else following)
        for metric in [*SLICED, "arr"] if dimension == "segment" else SLICED:
            if metric in amounts:
                parts.append(_sliced(dimension, names, metric, codes, amounts[metric]))
        if following is not None:
            moves = np.where((codes != next_codes) & (codes >= 0) & (next_codes >= 0), amounts["closing"], 0)
            parts.append(_sliced(dimension, names, "transfer_in", next_codes, moves))
            parts.append(_sliced(dimension, names, "transfer_out", codes, moves))
    return _tall(rows, parts)


def sums(rows: pd.DataFrame, known: Collection[str]) -> pd.Series[int]:
    """The sums by metric.

    Rows of the same slices are added up first: 100,000 customers have some hundreds of slices.
    """
    split = [name for name in TEXTS if name != "origins_json"]
    alike = rows.groupby(split, dropna=False, sort=False)[FIGURES].sum().reset_index().assign(customer="")
    added = contributions(alike, set(known) - {"origins_json"})
    if "origins_json" in known:
        added = pd.concat([added, _tall(rows, list(_origins(rows)))], ignore_index=True)
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


Texts = npt.NDArray[np.object_]
Part = tuple[Ints, Texts, Ints]
"""Which rows add to some sums: their numbers, the name of each one's sum, and its amount."""


def _part(metric: str, amounts: Ints) -> Part:
    """Amounts that are not zero, under one metric."""
    which = np.flatnonzero(amounts)
    return which, np.full(len(which), metric, dtype=object), amounts[which]


def _sliced(dimension: str, values: Texts, metric: str, codes: Ints, amounts: Ints) -> Part:
    """Amounts that are not zero, under the metric of each row's slice; rows in no slice add to none."""
    which = np.flatnonzero((amounts != 0) & (codes >= 0))
    names = np.array([f"{dimension}:{value}:{metric}" for value in values], dtype=object)
    return which, names[codes[which]], amounts[which]


def _tall(rows: pd.DataFrame, parts: Sequence[Part]) -> pd.DataFrame:
    """All parts below each other. A frame for each of them took 8 of the 24 s of a first refresh of 50."""
    which, names, amounts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    customers = rows["customer"].to_numpy(dtype=object)[which]
    return pd.DataFrame(
        {
            "customer": pd.Series(customers, dtype="object"),
            "metric": pd.Series(names, dtype="object"),
            "amount": amounts,
        }
    )


def _whole(amounts: pd.Series[int]) -> Ints:
    """Amounts as integers; what a customer without MRR was kept without is zero."""
    return np.asarray(amounts.fillna(0), dtype=np.int64)


def _coded(values: Texts, following: Texts) -> tuple[tuple[Ints, Ints], Texts]:
    """Numbers of both columns' values, -1 where there is none, and the values by number."""
    found, names = pd.factorize(np.concatenate([values, following]))
    codes = found.astype(np.int64)
    return (codes[: len(values)], codes[len(values) :]), names


def _slices(rows: pd.DataFrame, known: Collection[str]) -> Iterator[tuple[str, Texts, Texts | None]]:
    """Dimension, each row's value, and its value at the next opening (None where that is unknown)."""
    segments, following = (rows[name].to_numpy(dtype=object) for name in ("segment", "next_segment"))
    yield "segment", segments, following if "next_segment" in known else None
    if "slices_json" not in known:
        return
    (of, texts), (of_next, next_texts) = (_read(rows[name]) for name in ("slices_json", "next_slices_json"))
    for dimension in sorted({name for values in texts for name in values}):
        yield dimension, _values(texts, dimension)[of], _values(next_texts, dimension)[of_next]


def _values(read: Sequence[Mapping[str, str]], dimension: str) -> Texts:
    """The value of each text read, and None for rows without a text, whose number is -1."""
    return np.array([*(values.get(dimension) for values in read), None], dtype=object)


def _origins(rows: pd.DataFrame) -> Iterator[Part]:
    of, texts = _read(rows["origins_json"])
    for origin in ORIGINS:
        amounts = np.array([*(each.get(origin, 0) for each in texts), 0], dtype=np.int64)
        yield _part(f"{FROM}{origin}", amounts[of])


def _read(texts: pd.Series[str]) -> tuple[Ints, list[Mapping[str, Any]]]:
    """JSON texts read, each distinct one once: the number of each row's, -1 for none, and those by number."""
    codes, distinct = pd.factorize(texts.to_numpy(dtype=object))
    return codes, [json.loads(text) for text in distinct]


def _by_origin(origins: pd.DataFrame) -> dict[str, str]:
    """Customer -> its headline by origin, as canonical JSON."""
    parts: dict[str, dict[str, int]] = {}
    for row in origins[origins["expansion"] > 0].to_dict("records"):
        amounts = parts.setdefault(row["customer"], {})
        amounts[row["origin"]] = amounts.get(row["origin"], 0) + int(row["expansion"])
    return {customer: canonical.dumps(amounts) for customer, amounts in parts.items()}
