"""Identities between the tables of floor `mrr` (semantics 2 to 4).

Each is a function that raises on the rows that break it.

Here: causes against movements, customers against movements, months against months, origins and seat events
against causes. Not here: invariants of one table (`tables/`), which tables of a run they are asked of
(`audits.py`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.vocabulary import CAUSES, FLOWS, ORGANIC

COMMERCIAL = ["price", "discount", "interval"]


def causes_explain_movements(movements: pd.DataFrame, causes: pd.DataFrame) -> None:
    """The causes of a continuing customer's month sum to its change; nobody else has causes.

    Raises:
        DataQualityError: naming customer/month.
    """
    explained = causes.groupby(["month", "customer"])["amount"].sum().rename("explained")
    rows = movements.merge(explained.reset_index(), on=["month", "customer"], how="outer", indicator=True)
    rows["explained"] = rows["explained"].fillna(0).astype("int64")
    expected = rows["delta"].where(rows["movement"] == "continuing", 0)
    _refuse(
        "causes do not sum to the movement",
        rows[(rows["_merge"] == "right_only") | (rows["explained"] != expected)],
    )


def flows_follow_causes(movements: pd.DataFrame, causes: pd.DataFrame) -> None:
    """Every flow, gross amount and type of a continuing customer follows from its causes.

    As semantics 2.2 to 2.4 say.

    With G the sum of its organic causes and N of its commercial ones: expansion = max(0, min(G, G + N)),
    contraction = min(0, G), fx its cause; commercial flows are their causes, but that what a concession took
    from the gain is given back to the negative ones. Gross amounts are the positive and the negative sums by
    match group and cause, and no type exceeds its own.

    Raises:
        DataQualityError: naming customer/month.
    """
    key = ["month", "customer"]
    rows = movements[movements["movement"] == "continuing"].set_index(key)
    sums = causes.pivot_table(index=key, columns="cause", values="amount", aggfunc="sum", fill_value=0)
    sums = sums.reindex(index=rows.index, columns=CAUSES, fill_value=0)
    of_groups = causes[causes["cause"].isin(ORGANIC)].groupby([*key, "group", "cause"])["amount"].sum()
    up, down = (
        (sign * of_groups)
        .clip(lower=0)
        .groupby([*key, "cause"])
        .sum()
        .unstack("cause")
        .reindex(index=rows.index, columns=ORGANIC)
        .fillna(0)
        for sign in (1, -1)
    )
    organic, commercial = sums[ORGANIC].sum(axis=1), sums[COMMERCIAL].sum(axis=1)
    expansion = (organic + commercial).clip(upper=organic).clip(lower=0)
    given_back = (organic - expansion).where((organic > 0) & (commercial < 0), 0)
    flows = rows[[f"flow_{name}" for name in COMMERCIAL]]
    wrong = (
        (rows["flow_expansion"] != expansion)
        | (rows["flow_contraction"] != organic.clip(upper=0))
        | (rows["flow_fx"] != sums["fx"])
    )
    wrong |= (rows["expansion_gross"] != up.sum(axis=1)) | (rows["contraction_gross"] != down.sum(axis=1))
    wrong |= flows.sum(axis=1) != commercial + given_back
    for name in COMMERCIAL:
        cause, flow = sums[name], rows[f"flow_{name}"]
        wrong |= (flow < cause) | (flow > cause.clip(lower=0))
    for name in ORGANIC:
        wrong |= (rows[f"expansion_{name}"] > up[name]) | (rows[f"contraction_{name}"] > down[name])
    _refuse("flows are not those the causes make", rows[wrong].reset_index())


def pairs_sum(causes: pd.DataFrame) -> None:
    """The causes of a matched pair of items sum to the change of its MRR.

    Exchange rates aside: at opening rates.

    Raises:
        DataQualityError: naming customer/month.
    """
    pair = ["month", "customer", "group", "from_item", "to_item"]
    amount = causes["amount"].where(causes["cause"] != "fx", 0)
    rows = causes.assign(explained=amount.groupby([causes[name] for name in pair]).transform("sum"))
    _refuse(
        "causes of a pair do not sum to its change",
        rows[rows["explained"] != rows["to_mrr"] - rows["from_mrr"]],
    )


def first_paid_ties(
    customer_months: pd.DataFrame, movements: pd.DataFrame, ever_paid: Collection[str]
) -> None:
    """A new customer first paid in the month, everybody else before it.

    A customer said to have paid earlier may return in its first month.

    Args:
        customer_months: mrr/customer_months.
        movements: mrr/movements of the same months.
        ever_paid: customers the catalog says have paid before.

    Raises:
        DataQualityError: naming customer/month.
    """
    rows = customer_months.merge(
        movements[["month", "customer", "movement"]], on=["month", "customer"], how="left"
    )
    first = rows["first_paid_month"] == rows["month"]
    imported = (rows["movement"] == "reactivation") & rows["customer"].isin(set(ever_paid))
    late = rows["first_paid_month"] > rows["month"]
    _refuse(
        "who is new is not who first paid",
        rows[late | ((first != (rows["movement"] == "new")) & ~(first & imported))],
    )


def customers_tie(customer_months: pd.DataFrame, movements: pd.DataFrame) -> None:
    """Opening + flows = closing for every customer.

    Where there is no row of mrr/movements, exchange rates are the only flow.

    What exchange rates did is one amount in both tables.

    Raises:
        DataQualityError: naming customer/month.
    """
    others = movements[[f"flow_{name}" for name in FLOWS if name != "fx"]].sum(axis=1)
    flows = movements[["month", "customer"]].assign(_flows=others, _rates=movements["flow_fx"])
    rows = customer_months.merge(flows, on=["month", "customer"], how="outer", indicator=True)
    both = rows["_merge"] == "both"
    wrong = (rows["_merge"] == "right_only") | (both & (rows["flow_fx"] != rows["_rates"]))
    wrong |= rows["opening"] + rows["flow_fx"] + rows["_flows"].fillna(0).astype("int64") != rows["closing"]
    _refuse("opening + flows is not closing", rows[wrong])


def months_chain(customer_months: pd.DataFrame) -> None:
    """Opening of a month is the closing of the month before, customer by customer.

    Wherever both months are given (a run may leave one out).

    Raises:
        DataQualityError: naming customer/month.
    """
    given = sorted(customer_months["month"].unique())
    if not given:
        return
    month = (
        customer_months["month"]
        .map({name: months.distance(given[0], name) for name in given})
        .to_numpy(dtype=np.int64)
    )
    customer, customers = pd.factorize(customer_months["customer"])
    present = np.zeros(month.max() + 3, dtype=bool)
    present[month + 1] = True
    closing, opening = (customer_months[name].to_numpy() for name in ("closing", "opening"))
    left, right = (closing > 0) & present[month + 2], (opening > 0) & present[month]
    at = month * len(customers) + customer
    before = pd.DataFrame({"at": at[left] + len(customers), "closing": closing[left]})
    rows = before.merge(pd.DataFrame({"at": at[right], "opening": opening[right]}), on="at", how="outer")
    wrong = rows.loc[rows["closing"] != rows["opening"], "at"].to_numpy()
    for number in np.unique(wrong // len(customers))[:1].tolist():
        name = months.shift(given[0], number)
        named = customers[np.sort(wrong[wrong // len(customers) == number] % len(customers))]
        _refuse(
            f"opening of {name} is not the closing of {months.shift(name, -1)}",
            pd.DataFrame({"customer": named, "month": name}),
        )


def origins_tie(origins: pd.DataFrame, movements: pd.DataFrame) -> None:
    """Origins sum, customer by customer, to gross expansion and, cause by cause, to the headline.

    Args:
        origins: mrr/origins.
        movements: mrr/movements of the same months.

    Raises:
        DataQualityError: naming customer/month.
    """
    by = ["month", "customer"]
    parts = origins.pivot_table(index=by, columns="cause", values="expansion", aggfunc="sum", fill_value=0)
    sums = parts.reindex(columns=ORGANIC, fill_value=0).rename(columns=lambda name: f"expansion_{name}")
    sums = sums.assign(expansion_gross=origins.groupby(by)["amount"].sum())
    expected = movements.set_index(by)[list(sums.columns)]
    expected = expected[(expected != 0).any(axis=1)]
    every = expected.index.union(sums.index)
    differs = (expected.reindex(every, fill_value=0) != sums.reindex(every, fill_value=0)).any(axis=1)
    _refuse("origins do not sum to expansion", every[differs.to_numpy()].to_frame(index=False))


def _refuse(problem: str, rows: pd.DataFrame) -> None:
    if len(rows):
        raise DataQualityError(problem, (f"{row.customer}/{row.month}" for row in rows.itertuples()))


def seat_events_tie(events: pd.DataFrame, seat_causes: pd.DataFrame) -> None:
    """Every seat event is worth what the causes `seat` of its customer's group in its month are.

    Args:
        events: mrr/seat_events of whole months.
        seat_causes: the rows `seat` of mrr/causes of those months and the three before each.

    Raises:
        DataQualityError: naming customer/month.
    """
    key = ["expanded_month", "customer", "group"]
    causes = (
        seat_causes.rename(columns={"month": "expanded_month"}).groupby(key, as_index=False)["amount"].sum()
    )
    rows = events[["month", *key, "amount"]].merge(causes, on=key, how="left", suffixes=("", "_caused"))
    _refuse("added seats are not those of the causes", rows[rows["amount"] != rows["amount_caused"]])
