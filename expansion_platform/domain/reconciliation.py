"""Identities that hold between tables (architecture section 4), each as a function that raises on the rows that break it.

Here: causes against movements, customers against movements, segments and dimensions against totals (of months and of windows), coverage
against customers, restatements against what was first reported, history against Stripe's live subscriptions. Not here: invariants of one table
(`schemas/`), published figures against one another (`reconciliation_metrics.py`).
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from expansion_platform.domain import contributions, months
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas.mrr import CAUSES, FLOWS, ORGANIC

COMMERCIAL = ["price", "discount", "interval"]
COUNTED_STATUSES = ["active", "past_due", "trialing", "unpaid", "paused"]


def causes_explain_movements(movements: pd.DataFrame, causes: pd.DataFrame) -> None:
    """The causes of a continuing customer's month sum to its change; nobody else has causes.

    Raises:
        DataQualityError: naming customer/month.
    """
    explained = causes.groupby(["month", "customer"])["amount"].sum().rename("explained")
    rows = movements.merge(explained.reset_index(), on=["month", "customer"], how="outer", indicator=True)
    rows["explained"] = rows["explained"].fillna(0).astype("int64")
    expected = rows["delta"].where(rows["movement"] == "continuing", 0)
    _refuse("causes do not sum to the movement", rows[(rows["_merge"] == "right_only") | (rows["explained"] != expected)])


def flows_follow_causes(movements: pd.DataFrame, causes: pd.DataFrame) -> None:
    """Every flow, gross amount and type of a continuing customer is what semantics 2.2 to 2.4 make of its causes.

    With G the sum of its organic causes and N of its commercial ones: expansion = max(0, min(G, G + N)), contraction = min(0, G), fx its cause;
    commercial flows are their causes, but that what a concession took from the gain is given back to the negative ones. Gross amounts are the
    positive and the negative sums by match group and cause, and no type exceeds its own.

    Raises:
        DataQualityError: naming customer/month.
    """
    key = ["month", "customer"]
    rows = movements[movements["movement"] == "continuing"].set_index(key)
    sums = causes.pivot_table(index=key, columns="cause", values="amount", aggfunc="sum", fill_value=0)
    sums = sums.reindex(index=rows.index, columns=CAUSES, fill_value=0)
    of_groups = causes[causes["cause"].isin(ORGANIC)].groupby([*key, "group", "cause"])["amount"].sum()
    up, down = (
        (sign * of_groups).clip(lower=0).groupby([*key, "cause"]).sum().unstack("cause").reindex(index=rows.index, columns=ORGANIC).fillna(0)
        for sign in (1, -1)
    )
    organic, commercial = sums[ORGANIC].sum(axis=1), sums[COMMERCIAL].sum(axis=1)
    expansion = (organic + commercial).clip(upper=organic).clip(lower=0)
    given_back = (organic - expansion).where((organic > 0) & (commercial < 0), 0)
    flows = rows[[f"flow_{name}" for name in COMMERCIAL]]
    wrong = (rows["flow_expansion"] != expansion) | (rows["flow_contraction"] != organic.clip(upper=0)) | (rows["flow_fx"] != sums["fx"])
    wrong |= (rows["expansion_gross"] != up.sum(axis=1)) | (rows["contraction_gross"] != down.sum(axis=1))
    wrong |= flows.sum(axis=1) != commercial + given_back
    for name in COMMERCIAL:
        cause, flow = sums[name], rows[f"flow_{name}"]
        wrong |= (flow < cause) | (flow > cause.clip(lower=0))
    for name in ORGANIC:
        wrong |= (rows[f"expansion_{name}"] > up[name]) | (rows[f"contraction_{name}"] > down[name])
    _refuse("flows are not those the causes make", rows[wrong].reset_index())


def pairs_sum(causes: pd.DataFrame) -> None:
    """The causes of a matched pair of items, exchange rates aside, sum to the change of its MRR at opening rates.

    Raises:
        DataQualityError: naming customer/month.
    """
    pair = ["month", "customer", "group", "from_item", "to_item"]
    amount = causes["amount"].where(causes["cause"] != "fx", 0)
    rows = causes.assign(explained=amount.groupby([causes[name] for name in pair]).transform("sum"))
    _refuse("causes of a pair do not sum to its change", rows[rows["explained"] != rows["to_mrr"] - rows["from_mrr"]])


def first_paid_ties(customer_months: pd.DataFrame, movements: pd.DataFrame, ever_paid: Collection[str]) -> None:
    """A new customer first paid in the month, everybody else before it; a customer said to have paid earlier may return in its first month.

    Args:
        customer_months: mrr/customer_months.
        movements: mrr/movements of the same months.
        ever_paid: customers the catalog says have paid before.

    Raises:
        DataQualityError: naming customer/month.
    """
    rows = customer_months.merge(movements[["month", "customer", "movement"]], on=["month", "customer"], how="left")
    first = rows["first_paid_month"] == rows["month"]
    imported = (rows["movement"] == "reactivation") & rows["customer"].isin(set(ever_paid))
    late = rows["first_paid_month"] > rows["month"]
    _refuse("who is new is not who first paid", rows[late | ((first != (rows["movement"] == "new")) & ~(first & imported))])


def customers_tie(customer_months: pd.DataFrame, movements: pd.DataFrame) -> None:
    """Opening + flows = closing for every customer; where there is no row of mrr/movements, exchange rates are the only flow.

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
    """Opening of a month is the closing of the month before, customer by customer, wherever both months are given (a run may leave one out).

    Raises:
        DataQualityError: naming customer/month.
    """
    given = sorted(customer_months["month"].unique())
    if not given:
        return
    month = customer_months["month"].map({name: months.distance(given[0], name) for name in given}).to_numpy(dtype=np.int64)
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
        _refuse(f"opening of {name} is not the closing of {months.shift(name, -1)}", pd.DataFrame({"customer": named, "month": name}))


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
    broken += [f"{month} transfers" for month in transfers.index[transfers["transfer_in"] != transfers["transfer_out"]]]
    if broken:
        raise DataQualityError("segments do not sum to the total", broken)


def slices_chain(rollforward: pd.DataFrame) -> None:
    """A slice opens with what it closed with and what moved into it less what moved out, wherever both months are given (semantics 4.1).

    Raises:
        DataQualityError: naming month/slice.
    """
    key = ["month", "dimension", "value"]
    rows = rollforward.assign(month=rollforward["month"].map(lambda month: months.shift(month, 1))).set_index(key)
    expected = rows["closing"] + rows["transfer_in"] - rows["transfer_out"]
    opened = rollforward.set_index(key)["opening"]
    both = opened.index.intersection(expected.index)
    broken = both[(opened[both] != expected[both]).to_numpy(dtype=bool)]
    if len(broken):
        raise DataQualityError("a slice does not open with what it closed with and what moved", (f"{month}/{value}" for month, _, value in broken))


def rollforward_ties(rollforward: pd.DataFrame, customer_months: pd.DataFrame, movements: pd.DataFrame) -> None:
    """The total's roll-forward is the sum of all customers, flow by flow.

    Raises:
        DataQualityError: naming month/figure.
    """
    total = rollforward[rollforward["dimension"] == "total"].set_index("month")
    flows = movements.groupby("month")[[f"flow_{name}" for name in FLOWS if name != "fx"]].sum()
    sums = flows.join(customer_months.groupby("month")[["opening", "closing", "flow_fx"]].sum(), how="outer").reindex(total.index).fillna(0)
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
    differs = (sums[columns] != total[columns].reindex(sums.index.get_level_values("month")).to_numpy()).any(axis=1)
    differs |= sums["transfer_in"] != sums["transfer_out"]
    if differs.any():
        raise DataQualityError("a dimension does not sum to the total", (f"{month} {dimension}" for month, dimension in sums.index[differs]))


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
    told = parts.reindex(columns=ORGANIC, fill_value=0).rename(columns=lambda name: f"expansion_{name}")
    told = told.assign(expansion_gross=origins.groupby(by)["amount"].sum())
    expected = movements.set_index(by)[list(told.columns)]
    expected = expected[(expected != 0).any(axis=1)]
    every = expected.index.union(told.index)
    differs = (expected.reindex(every, fill_value=0) != told.reindex(every, fill_value=0)).any(axis=1)
    _refuse("origins do not sum to expansion", every[differs.to_numpy()].to_frame(index=False))


def origin_shares_sum(by_origin: pd.DataFrame, expansion: pd.DataFrame) -> None:
    """Origins, and motions, sum to the published headline of their month.

    Args:
        by_origin: metrics/expansion_by_origin.
        expansion: metrics/expansion of the same months.

    Raises:
        DataQualityError: naming month and dimension.
    """
    sums = by_origin[by_origin["metric"] == "expansion_rate"].groupby(["month", "dimension"])["numerator"].sum()
    published = expansion[expansion["metric"] == "expansion_rate"].set_index("month")["numerator"]
    differs = sums != published.reindex(sums.index.get_level_values("month")).to_numpy()
    if differs.any():
        raise DataQualityError("origins do not sum to the headline", (f"{month} {dimension}" for month, dimension in sums.index[differs]))


def coverage_ties(coverage: pd.DataFrame, customer_months: pd.DataFrame) -> None:
    """The MRR that coverage is a share of is the closing MRR of all customers.

    Raises:
        DataQualityError: naming month and metric.
    """
    closing = customer_months.groupby("month")["closing"].sum()
    expected = coverage["month"].map(closing).fillna(0).astype("int64")
    broken = coverage[coverage["denominator"] != expected]
    if len(broken):
        raise DataQualityError("coverage is of another MRR than the customers' closing", (f"{row.month} {row.metric}" for row in broken.itertuples()))


def restatements_tie(restatements: pd.DataFrame, reported: pd.DataFrame, published: pd.DataFrame) -> None:
    """What is restated sums, month by month and figure by figure, to every published sum less what was first reported.

    Args:
        restatements: metrics/restatements.
        reported: mrr/first_reported of the same months. Figures that it does not have (`contributions.kept`) are not compared.
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
        change, told = (each.reindex(names, fill_value=0) for each in (now.sub(then, fill_value=0), rows))
        broken += [f"{month}/{name}" for name in sorted(change.index[change != told])]
    if broken:
        raise DataQualityError("restatements do not sum to restated less first reported", broken)


def history_matches_stripe(item_states: pd.DataFrame, quarantine: pd.DataFrame, subscriptions: pd.DataFrame, subscription_items: pd.DataFrame) -> int:
    """The rebuilt current state of every item equals what Stripe shows now (price and quantity); returns how many were compared.

    Items of subscriptions whose present is in quarantine are left out: it says what is wrong with them.

    Raises:
        DataQualityError: naming the items that differ, are missing or should not be there.
    """
    unread = quarantine.loc[quarantine["valid_to"].isna(), "subscription"]
    live = subscriptions.loc[subscriptions["status"].isin(COUNTED_STATUSES) & ~subscriptions["id"].isin(unread), "id"]
    shown = subscription_items[subscription_items["subscription"].isin(live)].rename(columns={"id": "item"})
    rebuilt = item_states[item_states["valid_to"].isna()]
    rows = shown[["item", "price", "quantity"]].merge(
        rebuilt[["item", "price", "quantity", "usage_type"]], on="item", how="outer", suffixes=("", "_rebuilt"), indicator=True
    )
    licensed = rows["usage_type"] != "metered"  # a metered item has no quantity in Stripe
    differs = (rows["_merge"] != "both") | (rows["price"] != rows["price_rebuilt"])
    differs |= licensed & (rows["quantity"] != rows["quantity_rebuilt"])
    if differs.any():
        raise DataQualityError("the rebuilt history does not end in Stripe's current items", rows.loc[differs, "item"])
    return len(rows)


def _refuse(problem: str, rows: pd.DataFrame) -> None:
    if len(rows):
        raise DataQualityError(problem, (f"{row.customer}/{row.month}" for row in rows.itertuples()))
