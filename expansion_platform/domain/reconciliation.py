"""Identities that hold between tables (architecture section 4), each as a function that raises on the rows that break it.

Here: causes against movements, customers against movements, segments and dimensions against totals (of months and of windows), coverage
against customers, seat events against causes and sums of them against events, restatements against what was first reported, history against
Stripe's live subscriptions. Not here: invariants of one table (`schemas/`).
"""

from __future__ import annotations

from itertools import pairwise

import pandas as pd

from expansion_platform.domain import months
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.schemas.mrr import FLOWS, ORGANIC

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


def customers_tie(customer_months: pd.DataFrame, movements: pd.DataFrame) -> None:
    """Opening + flows = closing for every customer, also for those without a movement row (their closing equals their opening).

    Raises:
        DataQualityError: naming customer/month.
    """
    flows = movements.assign(_flows=movements[[f"flow_{name}" for name in FLOWS]].sum(axis=1))[["month", "customer", "_flows"]]
    rows = customer_months.merge(flows, on=["month", "customer"], how="outer", indicator=True)
    rows["_flows"] = rows["_flows"].fillna(0).astype("int64")
    _refuse("opening + flows is not closing", rows[(rows["_merge"] == "right_only") | (rows["opening"] + rows["_flows"] != rows["closing"])])


def months_chain(customer_months: pd.DataFrame) -> None:
    """Opening of a month is the closing of the month before, customer by customer, wherever both months are given (a run may leave one out).

    Raises:
        DataQualityError: naming customer/month.
    """
    for before, month in pairwise(sorted(customer_months["month"].unique())):
        if months.shift(before, 1) != month:
            continue
        left = customer_months.loc[(customer_months["month"] == before) & (customer_months["closing"] > 0), ["customer", "closing"]]
        right = customer_months.loc[(customer_months["month"] == month) & (customer_months["opening"] > 0), ["customer", "opening"]]
        rows = left.merge(right, on="customer", how="outer")
        _refuse(f"opening of {month} is not the closing of {before}", rows[rows["closing"] != rows["opening"]].assign(month=month))


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


def slices_sum(metric_values: pd.DataFrame) -> None:
    """Slices sum to the total, dimension by dimension, numerator by numerator and denominator by denominator.

    Raises:
        DataQualityError: naming month, metric and dimension.
    """
    columns = ["numerator", "denominator"]
    given = metric_values[metric_values["numerator"].notna()]
    total = given[given["dimension"] == "total"].set_index(["month", "metric"])[columns]
    broken = []
    for dimension in sorted(set(metric_values["dimension"]) - {"total"}):
        parts = given[given["dimension"] == dimension].groupby(["month", "metric"])[columns].sum()
        differs = (parts.reindex(total.index, fill_value=0) != total).any(axis=1)
        broken += [f"{month} {metric} by {dimension}" for month, metric in total.index[differs]]
    if broken:
        raise DataQualityError("slices do not sum to the total", broken)


def seat_events_tie(events: pd.DataFrame, seat_causes: pd.DataFrame) -> None:
    """Every seat event is worth what the causes `seat` of its customer's group in its month are.

    Args:
        events: mrr/seat_events of whole months.
        seat_causes: the rows `seat` of mrr/causes of those months and the three before each.

    Raises:
        DataQualityError: naming customer/month.
    """
    key = ["expanded_month", "customer", "group"]
    causes = seat_causes.rename(columns={"month": "expanded_month"}).groupby(key, as_index=False)["amount"].sum()
    rows = events[["month", *key, "amount"]].merge(causes, on=key, how="left", suffixes=("", "_caused"))
    _refuse("added seats are not those of the causes", rows[rows["amount"] != rows["amount_caused"]])


def durability_ties(durability: pd.DataFrame, events: pd.DataFrame) -> None:
    """What metrics/durability says of seats is the sum of mrr/seat_events: judged events under the month they were made in, pending ones together.

    Raises:
        DataQualityError: naming month and metric.
    """
    told = durability[durability["dimension"] == "total"].set_index(["month", "metric"])
    judged, pending = events[events["status"] != "pending"], events[events["status"] == "pending"]
    sums = {
        ("seat_durability_3m", "numerator"): judged.groupby("month")["kept"].sum(),
        ("seat_durability_3m", "denominator"): judged.groupby("month")["amount"].sum(),
        ("seat_events_pending", "numerator"): pending.groupby("month").size(),
        ("seat_amount_pending", "numerator"): pending.groupby("month")["amount"].sum(),
    }
    for status in ("durable", "partial", "reverted"):
        of_status = judged[judged["status"] == status].groupby("month")["amount"]
        sums |= {(f"seat_events_{status}", "numerator"): of_status.size(), (f"seat_amount_{status}", "numerator"): of_status.sum()}
    broken = []
    for (metric, column), expected in sums.items():
        found = told.xs(metric, level="metric")[column]
        broken += [f"{month} {metric}" for month in found.index[found != expected.reindex(found.index, fill_value=0)]]
    if broken:
        raise DataQualityError("durability is not the sum of the seat events", broken)


def expanders_tie(after: pd.DataFrame, expansion: pd.DataFrame) -> None:
    """Expanders whose churn is told are those that metrics/expansion counts in the month they expanded in; rows without a base are left out.

    Raises:
        DataQualityError: naming month and span.
    """
    counted = expansion[expansion["metric"] == "expander_rate"].set_index("month")["numerator"]
    total = after[(after["dimension"] == "total") & (after["quality"] != "no_base")]
    broken = total[total["expanders"] != total["expanded_month"].map(counted)]
    if len(broken):
        raise DataQualityError("expanders are not those of metrics/expansion", (f"{row.month}/{row.within_months}" for row in broken.itertuples()))


def cohorts_tie(cohorts: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """A cohort's expansion and closing MRR are those of the roll-forward, and its expansion since it began is the sum of its months'.

    Args:
        cohorts: metrics/cohort_expansion.
        rollforward: metrics/rollforward_by_dimension of all months, by cohort.

    Raises:
        DataQualityError: naming month/cohort.
    """
    key = ["month", "cohort"]
    flows = rollforward.rename(columns={"value": "cohort"}).sort_values("month")[[*key, "expansion", "closing"]]
    flows["cumulative_expansion"] = flows.groupby("cohort")["expansion"].cumsum()
    rows = cohorts.merge(flows, on=key, how="left", suffixes=("", "_flow"))
    columns = ["expansion", "closing", "cumulative_expansion"]
    differs = rows[[f"{name}_flow" for name in columns]].to_numpy() != rows[columns].to_numpy()
    gone = rows["expansion_flow"].isna() & (rows["expansion"] == 0) & (rows["closing"] == 0)  # a cohort nobody is left of has no row there
    broken = rows[differs.any(axis=1) & ~gone]
    if len(broken):
        raise DataQualityError("a cohort's expansion is not the roll-forward's", (f"{row.month}/{row.cohort}" for row in broken.itertuples()))


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


def restatements_tie(restatements: pd.DataFrame, reported: pd.DataFrame, rollforward: pd.DataFrame) -> None:
    """What is restated sums, month by month and figure by figure, to the published roll-forward less what was first reported.

    Args:
        restatements: metrics/restatements.
        reported: mrr/first_reported of the same months.
        rollforward: metrics/rollforward of the same months.

    Raises:
        DataQualityError: naming month/figure.
    """
    published = rollforward[rollforward["dimension"] == "total"].set_index("month")[["opening", *FLOWS, "closing"]]
    first = reported.rename(columns={f"flow_{name}": name for name in FLOWS}).groupby("month")[list(published.columns)].sum()
    expected = published.sub(first.reindex(published.index, fill_value=0))
    told = restatements.pivot_table(index="month", columns="metric", values="difference", aggfunc="sum", fill_value=0)
    differs = expected != told.reindex(index=published.index, columns=published.columns, fill_value=0)
    broken = [f"{month}/{figure}" for month, row in differs.iterrows() for figure, bad in row.items() if bad]
    broken += [f"{month}/roll-forward" for month in sorted(set(restatements["month"]) - set(published.index))]
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
