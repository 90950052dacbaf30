"""Whether attempts at a higher plan's features lead to one, and what needs nobody (signals/friction).

Here: attempts of the month before, upgrades in it or in this one, the part of expansion that customers begin
alone. Not here: which figures of usage a close knew (`usage_levels.py`), who began an expansion
(`domain/mrr/origins.py`).

Semantics 6.9 asks for upgrades within 30 days and for hours. Usage is stored by account and month: neither is
known, so months are published.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.ratios import SIGNAL_PLACES, ratio_text
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.proportions import Share
from expansion_platform.domain.signals.tables import AccountUsage, UsageMonths
from expansion_platform.domain.signals.tables.programmes import Friction
from expansion_platform.domain.signals.texts import fixed
from expansion_platform.domain.signals.usage_levels import UsageLevels

SELF_SERVE, UNKNOWN = "self_serve", "unknown"


def compute_friction(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/friction of some months: those of which usage of the month before was read to its end."""
    known = known_months(wanted, inputs)
    if not known:
        return Computed({Friction: empty(Friction)[_COLUMNS]})
    rows = pd.DataFrame({"month": known}, dtype="str")
    rows["gate_month"] = rows["month"].map({month: months.shift(month, -1) for month in known}).astype("str")
    moved = inputs.frame(mrr.Movements)
    upgrades = moved.loc[moved["expansion_tier"] > 0, ["month", "customer"]]
    rows = rows.merge(upgraded(gated(known, inputs), upgrades), on="month", how="left", validate="1:1")
    for name in ("gate_hit_customers", "upgraded"):
        rows[name] = rows[name].fillna(0).astype("int64")
    rate = [Share(one / of if of else np.nan, of).interval for one, of in _pairs(rows)]
    grown = inputs.frame(mrr.Origins)
    sums = grown.groupby(["month", "origin"])["expansion"].sum().unstack(fill_value=0)
    sums = sums.reindex(index=known, columns=sums.columns.union([SELF_SERVE, UNKNOWN]), fill_value=0)
    every = sums.sum(axis=1).tolist()
    rows = rows.assign(
        upgrade_rate=fixed(np.array([each.value for each in rate])),
        upgrade_rate_low=fixed(np.array([each.low for each in rate])),
        upgrade_rate_high=fixed(np.array([each.high for each in rate])),
        median_months=fixed(rows["median_months"].to_numpy(dtype=float)),
        self_serve_share=_quotients(sums[SELF_SERVE].tolist(), every),
        unknown_share=_quotients(sums[UNKNOWN].tolist(), every),
    )
    return Computed({Friction: rows[_COLUMNS]})


_COLUMNS = [each for each in columns(Friction) if not each.endswith("_hash")]


def _pairs(rows: pd.DataFrame) -> Iterator[tuple[int, int]]:
    return zip(rows["upgraded"].tolist(), rows["gate_hit_customers"].tolist(), strict=True)


def _quotients(above: Sequence[int], below: Sequence[int]) -> pd.Series[str]:
    pairs = zip(above, below, strict=True)
    return pd.Series([ratio_text(int(one), int(other), SIGNAL_PLACES) for one, other in pairs], dtype="str")


def known_months(wanted: Sequence[str], inputs: Inputs) -> list[str]:
    """Those of some months of which usage of the month before was read to its end, sorted."""
    read = inputs.frame(UsageMonths)
    complete = set(read.loc[read["complete"].astype(bool), "month"])
    return sorted(month for month in wanted if months.shift(month, -1) in complete)


def gated(wanted: Sequence[str], inputs: Inputs) -> pd.DataFrame:
    """month, gate_month, customer: who paid and tried in the month before, as known at the month's close."""
    calendar = months.between(months.shift(min(wanted), -1), max(wanted))
    usage, aliases = inputs.frame(AccountUsage), inputs.catalog.aliases
    customer = usage["customer"].map(lambda name: aliases.get(name, name)).astype("str")
    usage = usage.assign(customer=customer)
    customers = pd.Index(sorted(customer.dropna().unique()), dtype="str")
    timezone, lag = inputs.timezone, inputs.value("close_lag_days")
    ends = [months.closes(month, timezone, lag) for month in calendar]
    read = inputs.frame(UsageMonths)
    complete = set(read.loc[read["complete"].astype(bool), "month"])
    levels = UsageLevels(
        calendar=calendar,
        closes=pd.DatetimeIndex(ends, dtype="datetime64[us, UTC]"),
        customers=customers,
        accounts=usage,
        features=usage.iloc[:0].assign(feature="", events=0),
        complete=np.array([month in complete for month in calendar], dtype=bool),
        mapped=np.ones(len(customers), dtype=bool),
    )
    at, column = np.nonzero(np.nan_to_num(levels.level("gate_hits", back=1)) > 0)
    index = pd.Index(calendar, dtype="str")
    found = pd.DataFrame(
        {
            "month": index.take(column),
            "gate_month": index.take(column - 1),
            "customer": customers.take(at),
        }
    )
    paid = inputs.frame(mrr.CustomerMonths)
    paid = paid.loc[(paid["opening"] > 0) | (paid["closing"] > 0), ["month", "customer"]]
    paid = paid.rename(columns={"month": "gate_month"})
    found = found.merge(paid, on=["gate_month", "customer"])
    return found[found["month"].isin(list(wanted))]


def upgraded(gates: pd.DataFrame, upgrades: pd.DataFrame) -> pd.DataFrame:
    """By month: gate_hit_customers, upgraded, median_months.

    Args:
        gates: month, gate_month, customer.
        upgrades: month, customer of each month with an upgrade.
    """
    pairs = pd.MultiIndex.from_frame(upgrades[["month", "customer"]])
    same, later = (
        pd.MultiIndex.from_frame(gates[[name, "customer"]]).isin(pairs) for name in ("gate_month", "month")
    )
    after = np.where(same, 0.0, np.where(later, 1.0, np.nan))
    return (
        gates.assign(after=after)
        .groupby("month")["after"]
        .agg(gate_hit_customers="size", upgraded="count", median_months="median")
        .reset_index()
    )
