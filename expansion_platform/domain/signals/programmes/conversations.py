"""What expansion opportunities became, by channel (signals/conversations, semantics 6.9).

Here: opportunities as each close knew them, and the expansion that each win is nearest to. Not here: which
version a close saw (`facts.py`), who began an expansion (`domain/mrr/origins.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.catalog.tables import LOST, OPEN, OPPORTUNITY, WON
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.core.statistics import wilson
from expansion_platform.domain.core.table import columns, empty
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.origin_rules import AFTER, BEFORE
from expansion_platform.domain.signals.facts import known_facts
from expansion_platform.domain.signals.tables.facts import Activity
from expansion_platform.domain.signals.tables.programmes import EVERY, Conversations
from expansion_platform.domain.signals.texts import fixed

UNKNOWN = "unknown"
COUNTS = ["opened", "open", "won", "lost", "entered_late", "mrr_won"]


def compute_conversations(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """signals/conversations of some months."""
    names = [each for each in columns(Conversations) if not each.endswith("_hash")]
    facts = inputs.frame(Activity)
    facts = facts[facts["kind"] == OPPORTUNITY]
    if facts.empty:
        return Computed({Conversations: empty(Conversations)[names]})
    origins = inputs.frame(mrr.Origins)
    origins = origins[origins["expansion"] > 0]
    timezone, lag = inputs.timezone, inputs.value("close_lag_days")
    found = []
    for month in sorted(wanted):
        close = months.closes(month, timezone, lag)
        known = opportunities(facts, close, inputs.catalog.aliases)
        before = known_facts(facts, Activity, months.closes(months.shift(month, -1), timezone, lag))
        grown = origins[origins["month"] == month]
        counts = _counted(known, before, month)
        counts["mrr_won"] = credited(grown, known[known["stage"] == WON], timezone)
        found.append(by_channel(known["channel"], counts, known["days"]).assign(month=month))
    rows = pd.concat(found, ignore_index=True)
    return Computed({Conversations: rows[names] if len(rows) else empty(Conversations)[names]})


def opportunities(facts: pd.DataFrame, close: pd.Timestamp, aliases: dict[str, str]) -> pd.DataFrame:
    """Opportunities as known at a close: id, customer, stage, date, channel, opened, days.

    Opened is the first day that a version known by then was open on; null where none was. Days are those from
    it to the day of the stage.
    """
    known = known_facts(facts, Activity, close).reset_index(drop=True)
    versions = facts[(facts["known_at"] <= close) & (facts["stage"] == OPEN) & ~facts["gone"].astype(bool)]
    opened = known["id"].map(versions.groupby("id")["date"].min()).astype("str")
    days = pd.to_datetime(known["date"]) - pd.to_datetime(opened)
    return known.assign(
        customer=known["customer"].map(lambda name: aliases.get(name, name)).astype("str"),
        channel=known["channel"].fillna(UNKNOWN).replace({EVERY: f"{EVERY} (channel)"}),
        opened=opened,
        days=days.dt.days.astype("float64"),
    )


def _counted(known: pd.DataFrame, before: pd.DataFrame, month: str) -> pd.DataFrame:
    """By opportunity, 1 where it counts."""
    here = known["date"].str[:7] == month
    decided = known["stage"].isin([WON, LOST])
    same = pd.MultiIndex.from_frame(known[["id", "stage", "date"]]).isin(
        pd.MultiIndex.from_frame(before[["id", "stage", "date"]])
    )
    return pd.DataFrame(
        {
            "opened": known["opened"].str[:7].eq(month).fillna(False),
            "open": known["stage"] == OPEN,
            "won": here & (known["stage"] == WON),
            "lost": here & (known["stage"] == LOST),
            "entered_late": decided & (known["date"].str[:7] < month) & ~same,
        }
    ).astype("int64")


def credited(grown: pd.DataFrame, won: pd.DataFrame, timezone: str) -> pd.Series[int]:
    """By opportunity won, the headline expansion it is nearest to; each amount goes to one of them.

    Args:
        grown: rows of mrr/origins: month, customer, changed_at, expansion. One without an instant, as of
            usage, can have happened on any day of its month.
        won: id, customer, date, by opportunity.
        timezone: reporting time zone, in which a change has its day.
    """
    nothing = pd.Series(0, index=won.index, dtype="int64")
    if grown.empty or won.empty:
        return nothing
    first, last = _days(grown, timezone)
    amounts = grown[["customer", "expansion"]].assign(first=first, last=last, amount=np.arange(len(grown)))
    wins = won[["customer", "date", "id"]].assign(
        day=np.array(won["date"].tolist(), dtype="datetime64[D]").astype(np.int64), win=won.index
    )
    # Of a customer with many wins only those near the month can be near an amount of it.
    wins = wins[(wins["day"] >= first.min() - BEFORE.days) & (wins["day"] <= last.max() + AFTER.days)]
    pairs = amounts.merge(wins, on="customer")
    near = (pairs["day"] >= pairs["first"] - BEFORE.days) & (pairs["day"] <= pairs["last"] + AFTER.days)
    pairs = pairs[near]
    away = np.maximum(np.maximum(pairs["first"] - pairs["day"], pairs["day"] - pairs["last"]), 0)
    nearest = pairs.assign(away=away).sort_values(["amount", "away", "day", "id"]).drop_duplicates("amount")
    return nearest.groupby("win")["expansion"].sum().reindex(won.index).fillna(0).astype("int64")


def _days(grown: pd.DataFrame, timezone: str) -> tuple[Ints, Ints]:
    """Numbers of the first and the last day on which each amount can have come."""
    local = grown["changed_at"].dt.tz_convert(timezone).dt.strftime("%Y-%m-%d")
    starts = grown["month"] + "-01"
    ends = grown["month"].map({month: f"{months.shift(month, 1)}-01" for month in grown["month"].unique()})
    first, last = (
        np.array(local.where(local.notna(), bound).tolist(), dtype="datetime64[D]").astype(np.int64)
        for bound in (starts, ends)
    )
    return first, last - local.isna().to_numpy(dtype=np.int64)


def by_channel(channels: pd.Series[str], counts: pd.DataFrame, days: pd.Series[float]) -> pd.DataFrame:
    """Rows of the table by channel, and of all; channels of which nothing counts have none.

    Args:
        channels: of each opportunity.
        counts: COUNTS of each; mrr_won is null or missing where it is not won.
        days: from opened to the stage.
    """
    counts = counts.fillna({"mrr_won": 0}).astype("int64")
    counts = counts[counts[COUNTS].ne(0).any(axis=1)]
    each = counts.assign(channel=channels[counts.index], days=days[counts.index].where(counts["won"] == 1))
    both = pd.concat([each, each.assign(channel=EVERY)], ignore_index=True)
    found = both.groupby("channel").agg({**dict.fromkeys(COUNTS, "sum"), "days": "median"}).reset_index()
    decided = found["won"] + found["lost"]
    rates = (found["won"] / decided.where(decided > 0)).to_numpy(dtype=float)
    bounds = np.array(
        [
            (np.nan, np.nan) if size == 0 else wilson(rate, size)
            for rate, size in zip(rates.tolist(), decided.tolist(), strict=True)
        ]
    ).reshape(-1, 2)
    return found.assign(
        win_rate=fixed(rates),
        win_rate_low=fixed(bounds[:, 0]),
        win_rate_high=fixed(bounds[:, 1]),
        median_days=fixed(found["days"].to_numpy(dtype=float)),
    ).drop(columns="days")
