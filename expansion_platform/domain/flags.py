"""What a reader should know of a row besides its amounts: flags, none of which changes an amount (semantics 3.5, section 7).

Here: `flagged`, which adds reasons and flags to a month that is classified, and one function a flag. Not here: amounts, causes and labels
(`movements.py`), reasons (`reasons.py`), which prices are migrations (`migrations.py`). Only the states of customers that moved are read, so
flags cost what changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain import canonical, months, pricing
from expansion_platform.domain.migrations import SCHEDULE_CAUSES
from expansion_platform.domain.movements import Classified
from expansion_platform.domain.plans import NO_PLANS, Plans
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.pricing import TAX_UNKNOWN
from expansion_platform.domain.reasons import reasons
from expansion_platform.domain.states import among, levels, of_customers, owners, totals_at
from expansion_platform.domain.valuation import Bools, value_states

SURGE_SEATS = 5
SURGE_SHARE = 2  # one in two of the seats held at opening
SURGE_TIMES = 3
SURGE_MONTHS = 12
SURGE_KNOWN = 3
CONCENTRATED = 5  # one in five of the month's headline
BRIEF = pd.Timedelta(days=7)
_OF_BOTH = ("contracted_ramp", "price_migration", "possible_price_migration")
"""Flags of causes that their customer's movement has, too."""


@dataclass(frozen=True)
class Month:
    """The facts of one month: item states with their history, and the two instants' states and rates.

    `states` is billing/item_states; `opening` and `closing` are its rows at the two instants; `deleted` the customers deleted within the month;
    `plans` the prices inferred to be plans before its closing.
    """

    name: str
    timezone: str
    states: pd.DataFrame
    opening: pd.DataFrame
    closing: pd.DataFrame
    rates_open: Mapping[str, str]
    rates_close: Mapping[str, str]
    deleted: Collection[str] = ()
    plans: Plans = NO_PLANS

    @property
    def start(self) -> pd.Timestamp:
        """The opening instant."""
        return months.opening(self.name, self.timezone)

    @property
    def end(self) -> pd.Timestamp:
        """The closing instant."""
        return months.closing(self.name, self.timezone)


def flagged(classified: Classified, month: Month, migrations: pd.DataFrame, catalog: Catalog) -> Classified:
    """The same month with `reason`, `dormant_reason` and `flags_json` on movements, `flags_json` on causes.

    Customers that rose and came back to where they were within the month get a row of mrr/movements, all zero, with `intramonth_reversal`
    (case 3). `migrations` are the month's rows of mrr/price_migrations.
    """
    causes, movements, customers = classified.causes, classified.movements, classified.customers
    truncated = history_truncated(movements, month, catalog)
    changed = _changed_within(month, customers, catalog)
    month = _of_the_concerned(month, changed | _distinct(movements["customer"]), catalog)
    reversed_ = intramonth_reversal(changed, month, catalog)
    movements = _with_still(movements, customers[among(customers["customer"], reversed_)])
    of_cause = {
        **plan_direction(causes, month, catalog),
        **price_migration(causes, migrations),
        "contracted_ramp": contracted_ramp(causes, month),
        "usage_tier_period_mismatch": usage_tier_period_mismatch(causes, month, catalog),
    }
    why = reasons(
        movements, month.opening, month.closing, catalog=catalog, rates_open=month.rates_open, rates_close=month.rates_close, deleted=month.deleted
    )
    customer = movements["customer"]
    of_movement: dict[str, Bools | pd.Series] = {
        "seat_surge": among(customer, seat_surge(causes, month, catalog)),
        "concentrated": concentrated(movements),
        "history_truncated": among(customer, truncated),
        "inferred": among(customer, causes.loc[causes["inferred"], "customer"]),
        "brief_lapse": among(customer, brief_lapse(movements, month, catalog)),
        "intramonth_reversal": among(customer, reversed_),
        "tax_unknown": among(customer, tax_unknown(month)),
        "review": (movements["movement"] == "churn") & (why["reason"] == "trialing"),
        **{name: among(customer, causes.loc[of_cause[name], "customer"]) for name in _OF_BOTH},
    }
    return replace(
        classified,
        movements=movements.assign(reason=why["reason"], dormant_reason=why["dormant_reason"], flags_json=_json(of_movement, len(movements))),
        causes=causes.assign(flags_json=_json(of_cause, len(causes))),
    )


def plan_direction(causes: pd.DataFrame, month: Month, catalog: Catalog) -> dict[str, Bools]:
    """`upgrade` and `downgrade` of a changed plan by rank, even where money moves the other way (3.5); neither where a rank is unknown."""
    tier = (causes["cause"] == "tier").to_numpy()
    ranks = []
    for end, states in (("from", month.opening), ("to", month.closing)):
        held = _held(causes.loc[tier, f"{end}_item"], states, ["price", "product", "usage_type"])
        known = {kind: catalog.entry(*kind).tier_rank for kind in held.dropna().drop_duplicates().itertuples(index=False, name=None)}
        kinds = held.itertuples(index=False, name=None)
        ranks.append(np.array([np.nan if (rank := known.get(kind)) is None else rank for kind in kinds], dtype="float64"))
    moves = causes.loc[tier, ["from_price", "to_price"]].itertuples(index=False, name=None)
    inferred = np.array([month.plans.step(*move) or 0 for move in moves], dtype="float64")  # only where neither rank was said
    found = {name: np.zeros(len(causes), dtype=bool) for name in ("upgrade", "downgrade")}
    found["upgrade"][tier] = (ranks[1] > ranks[0]) | (inferred > 0)
    found["downgrade"][tier] = (ranks[1] < ranks[0]) | (inferred < 0)
    return found


def price_migration(causes: pd.DataFrame, migrations: pd.DataFrame) -> dict[str, Bools]:
    """`price_migration` (declared) and `possible_price_migration` (detected, to confirm): amounts of the schedule on such a price pair (3.3)."""
    pair = pd.MultiIndex.from_frame(causes[["from_price", "to_price"]])
    schedule = causes["cause"].isin(SCHEDULE_CAUSES).to_numpy()
    found = {}
    for name, basis in (("price_migration", "declared"), ("possible_price_migration", "detected")):
        known = migrations.loc[migrations["basis"] == basis, ["old_price", "new_price"]]
        found[name] = schedule & np.asarray(pair.isin(list(known.itertuples(index=False, name=None))), dtype=bool)
    return found


def contracted_ramp(causes: pd.DataFrame, month: Month) -> Bools:
    """What a phase of a subscription schedule that began within the month brought: it was agreed long before (case 25)."""
    states = month.states
    begun = (states["source"] == "schedule") & (states["valid_from"] >= month.start) & (states["valid_from"] < month.end)
    items = states.loc[begun, "item"]
    return (among(causes["from_item"], items) | among(causes["to_item"], items)) & (causes["cause"] != "fx").to_numpy()


def usage_tier_period_mismatch(causes: pd.DataFrame, month: Month, catalog: Catalog) -> Bools:
    """Usage in tiers on a billing period longer than a month: tiers see one month's usage, which is an approximation (1.5)."""
    found = np.zeros(len(causes), dtype=bool)
    for end, states in (("from", month.opening), ("to", month.closing)):
        metered = states[states["usage_type"] == "metered"]
        terms = ["interval", "interval_count", "scheme_json"]
        kinds = metered[terms].drop_duplicates().itertuples(index=False, name=None)
        wrong = {kind for kind in kinds if _tiers_on_a_long_period(kind, catalog)}
        items = metered["item"][[kind in wrong for kind in metered[terms].itertuples(index=False, name=None)]]
        found |= among(causes[f"{end}_item"], items)
    return found


def concentrated(movements: pd.DataFrame) -> Bools:
    """The customer is at least a fifth of the month's headline expansion (3.5)."""
    expansion = movements["flow_expansion"].to_numpy()
    return np.asarray((expansion > 0) & (expansion * CONCENTRATED >= expansion.sum()), dtype=bool)


def history_truncated(movements: pd.DataFrame, month: Month, catalog: Catalog) -> set[str]:
    """New customers of the month history begins with, nothing being said of who paid before: they may have returned (case 57)."""
    first = not month.states.empty and months.of(month.states["valid_from"].min(), month.timezone) == month.name
    return _distinct(movements.loc[movements["movement"] == "new", "customer"]) if first and not catalog.ever_paid else set()


def seat_surge(causes: pd.DataFrame, month: Month, catalog: Catalog) -> set[str]:
    """Customers whose gain in licensed seats may not recur (3.5).

    The gain of the month's `seat` causes is at least 5 and at least half of the seats held at opening, and at least three times the largest gain
    of a month in the twelve months before, where it held seats at both ends of three of them.
    """
    seat = causes[causes["cause"] == "seat"]
    gained = (_number(seat["to_quantity"]) - _number(seat["from_quantity"])).groupby(seat["customer"]).sum()
    paid = seat.groupby("customer")["amount"].sum()
    gained = gained[(gained >= SURGE_SEATS) & (paid > 0)]
    states = of_customers(month.states, set(gained.index), catalog)
    states = states[_licensed_seats(states, catalog)]
    instants = [months.opening(months.shift(month.name, -back), month.timezone) for back in range(SURGE_MONTHS, -1, -1)]
    held = totals_at(states, _number(states["quantity"]), instants, gained.index)
    before = held.diff(axis=1)
    large = gained * SURGE_SHARE >= held[SURGE_MONTHS].fillna(0)
    unusual = (gained >= SURGE_TIMES * before.max(axis=1).fillna(0)) | (before.notna().sum(axis=1) < SURGE_KNOWN)
    return set(gained.index[large & unusual])


def tax_unknown(month: Month) -> set[str]:
    """Customers with a price that has tax inside at a rate nobody knows, at either end: their MRR has the tax in it (case 60)."""
    ends = [states[states["scheme_json"].str.contains(TAX_UNKNOWN, regex=False)] for states in (month.opening, month.closing)]
    return set().union(*(_distinct(states["customer"]) for states in ends))


def brief_lapse(movements: pd.DataFrame, month: Month, catalog: Catalog) -> set[str]:
    """Reactivated customers that had paid until at most 7 days before they paid again (3.5, case 16)."""
    customers = _distinct(movements.loc[movements["movement"] == "reactivation", "customer"])
    states = of_customers(month.states, customers, catalog)
    states = states[states["valid_from"] < month.end]
    paying = states[_amounts(states, catalog, {}) > 0].sort_values(["customer", "valid_from"])
    until = paying["valid_to"].fillna(month.end).groupby(paying["customer"]).cummax()
    before = until.groupby(paying["customer"]).shift()
    lapse = (before <= month.start) & (paying["valid_from"] >= month.start)
    return set(paying.loc[lapse & (paying["valid_from"] - before <= BRIEF), "customer"])


def intramonth_reversal(changed: set[str], month: Month, catalog: Catalog) -> set[str]:
    """Of the continuing customers `changed` within the month, those that pay at closing what they paid at opening, and more in between (case 3).

    Valued at one set of rates, so that only changes count.
    """
    own = of_customers(month.states, changed, catalog)
    own = own[(own["valid_from"] < month.end) & (own["valid_to"].isna() | (own["valid_to"] >= month.start))]
    found = levels(own, _amounts(own, catalog, month.rates_open), month.start, month.end)
    return set(found.index[(found["first"] == found["last"]) & (found["highest"] > found["first"])])


def _changed_within(month: Month, customers: pd.DataFrame, catalog: Catalog) -> set[str]:
    """Continuing customers any of whose states begins or ends within the month."""
    states = month.states
    within = [(states[bound] >= month.start) & (states[bound] < month.end) for bound in ("valid_from", "valid_to")]
    changed = owners(states.loc[within[0] | within[1], "customer"], catalog)
    return _distinct(changed[among(changed, customers.loc[(customers["opening"] > 0) & (customers["closing"] > 0), "customer"])])


def _of_the_concerned(month: Month, customers: set[str], catalog: Catalog) -> Month:
    """The month with these customers' states only, so that every rule costs what changed."""
    states, opening, closing = (of_customers(rows, customers, catalog) for rows in (month.states, month.opening, month.closing))
    return replace(month, states=states, opening=opening, closing=closing)


def _distinct(texts: pd.Series[str]) -> set[str]:
    """As plain strings at once; to walk over a pandas text column costs a microsecond an element."""
    return set(texts.to_numpy(dtype=object))


def _number(quantity: pd.Series[str]) -> pd.Series[float]:
    """Seats as numbers to compare, never money; nothing is zero."""
    return pd.to_numeric(quantity).astype("float64").fillna(0)


def _held(items: pd.Series[str], states: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """`columns` of each item at an instant, null where it is not there."""
    return states.loc[among(states["item"], items), ["item", *columns]].set_index("item").reindex(items).reset_index(drop=True)


def _licensed_seats(states: pd.DataFrame, catalog: Catalog) -> Bools:
    """Counting items a change of whose quantity is the cause `seat` (3.3)."""
    kinds = ["price", "product", "usage_type"]
    entries = {kind: catalog.entry(*kind) for kind in states[kinds].drop_duplicates().itertuples(index=False, name=None)}
    of_row = [entries[kind] for kind in states[kinds].itertuples(index=False, name=None)]
    seats = np.array([entry.kind != "addon" or entry.unit == "seat" for entry in of_row], dtype=bool)
    counting = value_states(states, _at_par(states), catalog.policy, catalog.reporting_currency)["counts"].to_numpy(dtype=bool)
    return np.asarray(seats & (states["usage_type"] == "licensed").to_numpy() & counting, dtype=bool)


def _amounts(states: pd.DataFrame, catalog: Catalog, rates: Mapping[str, str]) -> pd.Series:
    """MRR of each row, a currency without a rate at par: whether an item pays, and whether it changed, does not depend on the rate."""
    return value_states(states, {**_at_par(states), **rates}, catalog.policy, catalog.reporting_currency)["mrr_minor"]


def _at_par(states: pd.DataFrame) -> dict[str, str]:
    return dict.fromkeys(states["currency"].unique(), "1")


def _tiers_on_a_long_period(kind: tuple[Any, ...], catalog: Catalog) -> bool:
    (interval, interval_count, scheme_json), policy = kind, catalog.policy
    period = pricing.period_months(interval, int(interval_count), metered=False, week=policy.week, day=policy.day)
    return period > 1 and "tiers" in json.loads(scheme_json)


def _with_still(movements: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Movements, and a row of zeros for each of `customers` without one."""
    still = customers.loc[~customers["customer"].isin(movements["customer"]), ["customer", "segment", "opening", "closing"]]
    if still.empty:
        return movements
    rows = still.assign(movement="continuing", label="flat", dormant=False).reindex(columns=movements.columns).fillna(0)
    return pd.concat([movements, rows.astype(movements.dtypes)]).sort_values("customer", ignore_index=True)


def _json(flags: Mapping[str, Bools | pd.Series], size: int) -> pd.Series[str]:
    """The names that hold in each row, sorted, as canonical JSON; each combination is written once."""
    names = sorted(flags)
    code = np.zeros(size, dtype=np.int64)
    for bit, name in enumerate(names):
        code |= np.asarray(flags[name], dtype=np.int64) << bit
    distinct, which = np.unique(code, return_inverse=True)
    texts = [canonical.dumps([name for bit, name in enumerate(names) if one >> bit & 1]) for one in distinct.tolist()]
    return pd.Series(np.array(texts, dtype=object)[which], dtype="str")
