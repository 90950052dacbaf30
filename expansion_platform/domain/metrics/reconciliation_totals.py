"""Identities between published sums and what they are sums of.

Each is a function that raises on the rows that break it.

Here: segments and dimensions against totals, the roll-forward and coverage against customers, origins against
the headline, restatements against what was first reported. Not here: figures against one another
(`reconciliation.py`), customers against causes (`mrr/reconciliation.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr import contributions
from expansion_platform.domain.mrr.vocabulary import FLOWS


def segments_sum(rollforward: pd.DataFrame) -> None:
    """Segments sum to the total in every column, and transfers between them sum to zero.

    Raises:
        DataQualityError: naming month and column.
    """
    columns = ["opening", *FLOWS, "closing"]
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    parts = rollforward[rollforward["dimension"] == "segment"].groupby("month")
    differs = parts[columns].sum() != total[columns]
    broken = [f"{month} {column}" for month, row in differs.iterrows() for column, bad in row.items() if bad]
    transfers = parts[["transfer_in", "transfer_out"]].sum()
    broken += [
        f"{month} transfers"
        for month in transfers.index[transfers["transfer_in"] != transfers["transfer_out"]]
    ]
    if broken:
        raise DataQualityError("segments do not sum to the total", broken)


def slices_chain(rollforward: pd.DataFrame) -> None:
    """A slice opens with what it closed with and what moved (semantics 4.1).

    What moved into it is added, what moved out taken off, wherever both months are given.

    Raises:
        DataQualityError: naming month/slice.
    """
    key = ["month", "dimension", "value"]
    rows = rollforward.assign(month=rollforward["month"].map(lambda month: months.shift(month, 1))).set_index(
        key
    )
    expected = rows["closing"] + rows["transfer_in"] - rows["transfer_out"]
    opened = rollforward.set_index(key)["opening"]
    both = opened.index.intersection(expected.index)
    broken = both[(opened[both] != expected[both]).to_numpy(dtype=bool)]
    if len(broken):
        raise DataQualityError(
            "a slice does not open with what it closed with and what moved",
            (f"{month}/{value}" for month, _, value in broken),
        )


def rollforward_ties(
    rollforward: pd.DataFrame, customer_months: pd.DataFrame, movements: pd.DataFrame
) -> None:
    """The total's roll-forward is the sum of all customers, flow by flow.

    Raises:
        DataQualityError: naming month/figure.
    """
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    flows = movements.groupby("month")[[f"flow_{name}" for name in FLOWS if name != "fx"]].sum()
    sums = (
        flows.join(customer_months.groupby("month")[["opening", "closing", "flow_fx"]].sum(), how="outer")
        .reindex(total.index)
        .fillna(0)
    )
    sums = sums.rename(columns=lambda name: name.removeprefix("flow_"))
    columns = ["opening", *FLOWS, "closing"]
    differs = sums[columns] != total[columns]
    broken = [f"{month}/{figure}" for month, row in differs.iterrows() for figure, bad in row.items() if bad]
    if broken:
        raise DataQualityError("the roll-forward is not the sum of the customers", broken)


def dimensions_sum(rollforward: pd.DataFrame) -> None:
    """Every dimension sums to the total in every column, and transfers between its slices sum to zero.

    Raises:
        DataQualityError: naming month and dimension.
    """
    columns = ["opening", *FLOWS, "closing"]
    sums = rollforward.groupby(["month", "dimension"])[[*columns, "transfer_in", "transfer_out"]].sum()
    total = sums.xs("total", level="dimension")
    differs = (sums[columns] != total[columns].reindex(sums.index.get_level_values("month")).to_numpy()).any(
        axis=1
    )
    differs |= sums["transfer_in"] != sums["transfer_out"]
    if differs.any():
        raise DataQualityError(
            "a dimension does not sum to the total",
            (f"{month} {dimension}" for month, dimension in sums.index[differs]),
        )


def origin_shares_sum(by_origin: pd.DataFrame, expansion: pd.DataFrame) -> None:
    """Origins, and motions, sum to the published headline of their month.

    Args:
        by_origin: metrics/expansion_by_origin.
        expansion: metrics/expansion of the same months.

    Raises:
        DataQualityError: naming month and dimension.
    """
    sums = (
        by_origin[by_origin["metric"] == "expansion_rate"].groupby(["month", "dimension"])["numerator"].sum()
    )
    published = expansion[expansion["metric"] == "expansion_rate"].set_index("month")["numerator"]
    differs = sums != published.reindex(sums.index.get_level_values("month")).to_numpy()
    if differs.any():
        raise DataQualityError(
            "origins do not sum to the headline",
            (f"{month} {dimension}" for month, dimension in sums.index[differs]),
        )


def coverage_ties(coverage: pd.DataFrame, customer_months: pd.DataFrame) -> None:
    """The MRR that coverage is a share of is the closing MRR of all customers.

    Raises:
        DataQualityError: naming month and metric.
    """
    closing = customer_months.groupby("month")["closing"].sum()
    expected = coverage["month"].map(closing).fillna(0).astype("int64")
    broken = coverage[coverage["denominator"] != expected]
    if len(broken):
        raise DataQualityError(
            "coverage is of another MRR than the customers' closing",
            (f"{row.month} {row.metric}" for row in broken.itertuples()),
        )


def restatements_tie(restatements: pd.DataFrame, reported: pd.DataFrame, published: pd.DataFrame) -> None:
    """What is restated sums to every published sum less what was first reported.

    Month by month and figure by figure.

    Args:
        restatements: metrics/restatements.
        reported: mrr/first_reported of the same months. Figures that it does not have (`contributions.kept`)
            are not compared.
        published: the sums that the metrics' tables publish of the same months (`contributions.published`).

    Raises:
        DataQualityError: naming month/figure.
    """
    broken = []
    for month in sorted({*reported["month"], *restatements["month"], *published["month"]}):
        first = reported[reported["month"] == month]
        known = contributions.kept(first)
        rows = restatements[restatements["month"] == month].groupby("metric")["difference"].sum()
        now = published[published["month"] == month].groupby("metric")["amount"].sum()
        names = [name for name in {*now.index, *rows.index} if contributions.compared(name, known)]
        then = contributions.sums(first, known)
        names += [name for name in then.index if name not in names and contributions.compared(name, known)]
        change, recorded = (each.reindex(names, fill_value=0) for each in (now.sub(then, fill_value=0), rows))
        broken += [f"{month}/{name}" for name in sorted(change.index[change != recorded])]
    if broken:
        raise DataQualityError("restatements do not sum to restated less first reported", broken)
