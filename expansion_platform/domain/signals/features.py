"""What was known of each customer when a month closed (signals/features, semantics 6.1).

Here: features from billing, usage and relationship, over whole ranges of months. Not here: what customers
hold (`holdings.py`), usage as it was known (`usage_levels.py`), facts of the relationship
(`relationship.py`), scores (`health.py`, `readiness.py`).

A feature looks at nothing that became known after the close: usage and facts in the version of the close,
billing up to the month's end.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.core.table import columns
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.domain.signals.holdings import Holdings
from expansion_platform.domain.signals.members import Floats, Members
from expansion_platform.domain.signals.relationship import relationship
from expansion_platform.domain.signals.tables import Features
from expansion_platform.domain.signals.texts import fixed, listed
from expansion_platform.domain.signals.usage_levels import UsageLevels

LAST_EXPANSION = 24
"""Months in which an expansion is looked for."""
YEAR, HALF, QUARTER = 12, 6, 3
TEXTS = ("last_touch", "own_json")
COUNTS = (
    "new_users",
    "active_days",
    "features_used",
    "logins",
    "invites",
    "gate_hits",
    "limit_warnings",
    "integrations",
    "milestones",
)
SAYS_NONE = {"segment", "last_touch", "months_since_expansion", "months_to_discount_end"}
"""Columns whose null says that there is none, and not that it is not known."""
NULLABLE = [name for name, column in columns(Features).items() if column.nullable and name not in SAYS_NONE]


def features_of(members: Members, held: Holdings, usage: UsageLevels, inputs: Inputs) -> pd.DataFrame:
    """Rows of signals/features, one a member.

    Args:
        members: of the months.
        held: what they hold.
        usage: their usage, as each close knew it.
        inputs: mrr/movements, the tables of floor `crm`, signals, catalog, facts_given.
    """
    found = {
        **of_billing(members, held),
        **of_movements(members, inputs.frame(mrr.Movements)),
        **of_usage(members, usage, held, inputs.value("signals")),
        **relationship(members, inputs),
    }
    return as_rows(members.frame, found)


def of_billing(members: Members, held: Holdings) -> dict[str, Floats]:
    """Features of what the customer pays and holds."""
    rows = members.frame
    seats = members.pick(held.seats)
    amount, listed_amount = rows["mrr"].to_numpy(dtype=float), rows["closing_list"].to_numpy(dtype=float)
    units = 10.0**members.exponent
    used, included, _ = held.limited
    return {
        "log_mrr": np.log(amount / units),
        "tenure_months": members.tenure,
        "seats": seats,
        **{f"seats_growth_{back}m": growth(seats, members.pick(held.seats, back)) for back in (1, 3, 6)},
        "discount_share": np.where(listed_amount > 0, 1 - amount / np.maximum(listed_amount, 1), np.nan),
        "interval_months": members.pick(held.interval_months),
        "months_to_renewal": members.pick(held.months_to_renewal),
        "months_to_discount_end": members.pick(held.months_to_discount_end),
        "past_due": members.pick(held.past_due.astype(float)),
        "products_held": members.pick(held.products),
        "tier_rank": members.pick(held.rank),
        "tier_headroom": members.pick(held.headroom),
        "unit_utilisation": share(members.pick(used), members.pick(included)),
    }


def of_movements(members: Members, movements: pd.DataFrame) -> dict[str, Floats]:
    """How long ago and how often the customer expanded and contracted."""
    expanded = members.matrix(movements[movements["flow_expansion"] > 0])
    contracted = members.matrix(movements[movements["flow_contraction"] < 0])
    at = np.arange(expanded.shape[1])
    newest = np.maximum.accumulate(np.where(expanded, at, -1), axis=1)
    since = np.where(newest >= 0, at - newest, np.nan)
    since[since >= LAST_EXPANSION] = np.nan
    return {
        "months_since_expansion": members.pick(since),
        "expansions_12m": members.pick(_in_last(expanded, YEAR)),
        "contractions_3m": members.pick(_in_last(contracted, QUARTER)),
        "contractions_6m": members.pick(_in_last(contracted, HALF)),
    }


def of_usage(
    members: Members, usage: UsageLevels, held: Holdings, definition: SignalDefinition
) -> dict[str, Floats]:
    """Features of product usage, as known at the close."""
    active, month_ago, quarter_ago = (members.pick(usage.level("active_users", back)) for back in (0, 1, 3))
    daily = [members.pick(usage.level("mean_daily_users", back)) for back in (0, 1, 2)]
    mean = (daily[0] + daily[1] + daily[2]) / 3
    wanted = sorted(set(definition.key_features))
    adopted = members.pick(usage.adopted(wanted)) / len(wanted) if wanted else np.full(len(active), np.nan)
    return {
        "seat_utilisation": share(active, members.pick(held.seats)),
        "active_users": active,
        "active_users_change_1m": growth(active, month_ago),
        "active_users_change_3m": growth(active, quarter_ago),
        "stickiness": share(daily[0], active),
        # Least squares through three months: half of the last less the first.
        "engagement_trend": share((daily[0] - daily[2]) / 2, mean),
        "key_feature_adoption": adopted,
        **{name: members.pick(usage.level(name)) for name in COUNTS},
    }


def as_rows(members: pd.DataFrame, found: Mapping[str, Floats]) -> pd.DataFrame:
    """Rows of signals/features from numbers: NaN becomes null, shares become text."""
    known = columns(Features)
    rows = members[["month", "customer", "segment", "mrr"]].reset_index(drop=True)
    typed: dict[str, object] = {}
    for name, values in found.items():
        kind = known[name].dtype
        if name in TEXTS:
            typed[name] = pd.Series(values, dtype="str")
        elif kind == "text":
            typed[name] = fixed(values)
        elif kind == "Int64":
            typed[name] = pd.array(np.floor(values + 1e-9), dtype="Int64")
        else:
            typed[name] = values.astype("bool" if kind == "bool" else "int64")
    rows = pd.concat([rows, pd.DataFrame(typed)], axis=1)
    return rows.assign(missing_json=listed({name: rows[name].isna().to_numpy() for name in NULLABLE}))


def growth(now: Floats, before: Floats) -> Floats:
    """Change as a share of what was before; NaN where that is zero or not known."""
    return share(now - before, before)


def share(part: Floats, whole: Floats) -> Floats:
    """A quotient; NaN where the whole is zero or not known."""
    quotient: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return quotient


def _in_last(happened: Bools, months: int) -> Floats:
    """How many of the last months, this one among them."""
    sums = np.cumsum(happened, axis=1)
    before = np.zeros_like(sums)
    before[:, months:] = sums[:, :-months]
    return np.asarray(sums - before, dtype=float)
