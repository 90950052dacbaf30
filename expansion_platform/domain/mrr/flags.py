"""What a reader should know of a row besides its amounts: flags, none of which changes an amount.

See semantics 3.5, section 7.

Here: one function a flag, each for all customer-months at once, and their names as JSON. Not here: amounts,
causes and labels (`movements.py`), reasons (`reasons.py`), which prices are migrations (`migrations.py`).
Only customer-months in which something changed are looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.attribution import customer_of
from expansion_platform.domain.mrr.migrations import SCHEDULE_CAUSES
from expansion_platform.domain.mrr.month_ends import Amounts, Timeline, spread
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot
from expansion_platform.domain.mrr.movements import CONTINUING, NEW, REACTIVATION, Changes
from expansion_platform.domain.mrr.states import levels
from expansion_platform.domain.mrr.valuation import refuse, value_terms
from expansion_platform.domain.mrr.vocabulary import CAUSES
from expansion_platform.domain.pricing import schemes
from expansion_platform.domain.pricing.schemes import TAX_UNKNOWN

SURGE_SEATS = 5
SURGE_SHARE = 2  # one in two of the seats at opening
SURGE_TIMES = 3
SURGE_MONTHS = 12
SURGE_KNOWN = 3
CONCENTRATED = 5  # one in five of the month's headline
BRIEF = pd.Timedelta(days=7)


@dataclass(frozen=True)
class Facts:
    """What flags read besides the changes, by code of the customer-month.

    `timeline` has the history of all customers, `amounts` its MRR; `month` and `customer` are indexes into
    it, -1 for a customer it does not know; `within` says whether a state begins or ends in the month; `item`
    is the timeline's item by the book's item code.
    """

    timeline: Timeline
    amounts: Amounts
    timezone: str
    month: Ints
    customer: Ints
    within: Bools
    item: Ints
    seats: Bools
    """By terms code of the timeline: a change of the quantity is the cause `seat` (3.3)."""
    first: pd.Timestamp | None
    """When the first state of the whole book begins, None without states."""

    def states_of(self, codes: Ints) -> tuple[Ints, Ints]:
        """All states of the customers of some customer-months: position in `codes`, and state."""
        order = np.argsort(self.timeline.customer, kind="stable")
        ordered = self.timeline.customer[order]
        wanted = self.customer[codes]
        position, place = spread(
            np.searchsorted(ordered, wanted), np.searchsorted(ordered, wanted, side="right")
        )
        return position, order[place]


def flags_of_causes(changes: Changes, facts: Facts, catalog: Catalog) -> dict[str, Bools]:
    """Flags by row of the changes that a customer's own history gives."""
    return {
        **plan_direction(changes),
        "contracted_ramp": contracted_ramp(changes, facts),
        "usage_tier_period_mismatch": usage_tier_period_mismatch(changes, catalog),
    }


def flags_of_movements(
    changes: Changes,
    shown: Ints,
    movements: pd.DataFrame,
    inferred: Bools,
    of_cause: Mapping[str, Bools],
    facts: Facts,
    catalog: Catalog,
) -> dict[str, Bools]:
    """Flags by row of `movements` that a customer's own history gives.

    `movements` are the shown customer-months with their reasons; all flags but `intramonth_reversal`.

    `inferred` says by row of the changes whether a day was inferred.
    """
    customer, size = customer_of(changes.book, changes.pairs)[changes.rows.pair], len(changes.movement)
    by_customer = {
        "seat_surge": seat_surge(changes, facts),
        "history_truncated": history_truncated(changes, facts, catalog),
        "inferred": _any(customer[inferred], size),
        "brief_lapse": brief_lapse(changes, facts, catalog),
        "tax_unknown": tax_unknown(changes.book),
        "contracted_ramp": _any(customer[of_cause["contracted_ramp"]], size),
    }
    trialing = (movements["movement"] == "churn") & (movements["reason"] == "trialing")
    return {
        **{name: found[shown] for name, found in by_customer.items()},
        "review": trialing.to_numpy(dtype=bool),
    }


def licensed_seats(timeline: Timeline, entries: Sequence[Entry]) -> Bools:
    """By terms code: licensed items a change of whose quantity is the cause `seat` (3.3)."""
    seats = [
        not terms.metered and (entry.kind != "addon" or entry.unit == "seat")
        for terms, entry in zip(timeline.read, entries, strict=True)
    ]
    return np.array(seats, dtype=bool)


def plan_direction(changes: Changes) -> dict[str, Bools]:
    """`upgrade` and `downgrade` of a changed plan by rank, even where money moves the other way (3.5).

    Neither where a rank is unknown.
    """
    book, pairs = changes.book, changes.pairs
    rows = np.flatnonzero(changes.rows.cause == CAUSES.index("tier"))
    pair = changes.rows.pair[rows]
    terms = [book.opening.terms[pairs.opening[pair]], book.closing.terms[pairs.closing[pair]]]
    rank = np.array(
        [np.nan if entry.tier_rank is None else entry.tier_rank for entry in book.entries], dtype="float64"
    )
    before, after = (rank[codes] for codes in terms)
    # Plans are inferred only where neither rank was said.
    plan = book.plan[book.closing.customer[pairs.closing[pair]]]
    moves = zip(*(codes.tolist() for codes in (*terms, plan)), strict=True)
    inferred = np.array(
        [book.plans[known].step(book.terms[a].price, book.terms[b].price) or 0 for a, b, known in moves],
        dtype="float64",
    )
    found = {name: np.zeros(len(changes.rows.pair), dtype=bool) for name in ("upgrade", "downgrade")}
    found["upgrade"][rows] = (after > before) | (inferred > 0)
    found["downgrade"][rows] = (after < before) | (inferred < 0)
    return found


def price_migration(causes: pd.DataFrame, migrations: pd.DataFrame) -> dict[str, Bools]:
    """`price_migration` (declared) and `possible_price_migration` (detected, to confirm).

    Amounts of the schedule on such a price pair (3.3).
    """
    found = {
        name: np.zeros(len(causes), dtype=bool) for name in ("price_migration", "possible_price_migration")
    }
    rows = np.flatnonzero(causes["cause"].isin(SCHEDULE_CAUSES))
    if len(migrations) and len(rows):
        pair = pd.MultiIndex.from_frame(causes[["month", "from_price", "to_price"]].iloc[rows].astype("str"))
        for name, basis in (("price_migration", "declared"), ("possible_price_migration", "detected")):
            known = migrations.loc[migrations["basis"] == basis, ["month", "old_price", "new_price"]]
            found[name][rows] = np.asarray(
                pair.isin(list(known.itertuples(index=False, name=None))), dtype=bool
            )
    return found


def contracted_ramp(changes: Changes, facts: Facts) -> Bools:
    """What a phase of a subscription schedule that began within the month brought: it was agreed long before.

    See case 25.
    """
    timeline, book, pairs, rows = facts.timeline, changes.book, changes.pairs, changes.rows
    begun = np.flatnonzero((timeline.states["source"] == "schedule").to_numpy(dtype=bool))
    width = max(1, len(timeline.items)) + 1
    ramps = timeline.begins[begun] * width + timeline.item[begun]
    found = np.zeros(len(rows.pair), dtype=bool)
    for side, at in ((book.opening, pairs.opening[rows.pair]), (book.closing, pairs.closing[rows.pair])):
        there = np.flatnonzero(at >= 0)
        month = facts.month[side.customer[at[there]]]
        item = facts.item[side.item[at[there]]]
        found[there] |= (item >= 0) & np.isin(month * width + item, ramps)
    return np.asarray(found & (rows.cause != CAUSES.index("fx")), dtype=bool)


def usage_tier_period_mismatch(changes: Changes, catalog: Catalog) -> Bools:
    """Usage in tiers on a billing period longer than a month.

    Tiers see one month's usage, which is an approximation (1.5).
    """
    book, pairs = changes.book, changes.pairs
    wrong = np.array([one.metered for one in book.terms], dtype=bool)
    kinds = book.distinct.loc[wrong, ["interval", "interval_count", "scheme_json"]]
    known = {
        kind: _tiers_on_a_long_period(kind, catalog)
        for kind in kinds.drop_duplicates().itertuples(index=False, name=None)
    }
    wrong[wrong] = [known[kind] for kind in kinds.itertuples(index=False, name=None)]
    found = np.zeros(len(changes.rows.pair), dtype=bool)
    for side, at in (
        (book.opening, pairs.opening[changes.rows.pair]),
        (book.closing, pairs.closing[changes.rows.pair]),
    ):
        there = np.flatnonzero(at >= 0)
        found[there] |= wrong[side.terms[at[there]]]
    return found


def concentrated(movements: pd.DataFrame, totals: Mapping[str, int]) -> Bools:
    """The customer is at least a fifth of its month's headline expansion (3.5).

    `totals` has that by month.
    """
    expansion = movements["flow_expansion"].to_numpy()
    total = movements["month"].map(totals).fillna(0).to_numpy(dtype=np.int64)
    return np.asarray((expansion > 0) & (expansion * CONCENTRATED >= total), dtype=bool)


def history_truncated(changes: Changes, facts: Facts, catalog: Catalog) -> Bools:
    """New customers of the month history begins with, nothing being said of who paid before.

    They may have returned (case 57).
    """
    if facts.first is None or catalog.ever_paid:
        return np.zeros(len(changes.movement), dtype=bool)
    first = facts.timeline.index(months.of(facts.first, facts.timezone))
    return np.asarray((changes.movement == NEW) & (facts.month == first), dtype=bool)


def seat_surge(changes: Changes, facts: Facts) -> Bools:
    """Customers whose gain in licensed seats may not recur (3.5).

    The gain of the month's `seat` causes is at least 5 and at least half of the seats at opening, and at
    least three times the largest gain of a month in the twelve months before, where it had seats at both
    ends of three of them.
    """
    gained, paid = _seat_gains(changes)
    codes = np.flatnonzero((gained >= SURGE_SEATS) & (paid > 0))
    seats = _opening_seats(codes, facts)
    before = np.diff(seats, axis=1)
    known = ~np.isnan(before)
    largest = np.where(known, before, -np.inf).max(axis=1, initial=-np.inf)
    largest = np.where(np.isinf(largest), 0, largest)
    large = gained[codes] * SURGE_SHARE >= np.nan_to_num(seats[:, -1])
    unusual = (gained[codes] >= SURGE_TIMES * largest) | (known.sum(axis=1) < SURGE_KNOWN)
    return _any(codes[large & unusual], len(changes.movement))


def _seat_gains(changes: Changes) -> tuple[Any, Ints]:
    """By customer-month: seats gained, as numbers to compare, and what is paid for them.

    They are gained by the pairs with the cause `seat`.
    """
    book, pairs, rows = changes.book, changes.pairs, changes.rows
    at = np.flatnonzero(rows.cause == CAUSES.index("seat"))
    pair, customer = rows.pair[at], customer_of(book, pairs)[rows.pair[at]]
    quantity = pd.to_numeric(book.distinct["quantity"]).to_numpy(dtype="float64")
    gained, paid = np.zeros(len(changes.movement)), np.zeros(len(changes.movement), dtype=np.int64)
    for side, place, sign in (
        (book.closing, pairs.closing[pair], 1),
        (book.opening, pairs.opening[pair], -1),
    ):
        there = np.flatnonzero(place >= 0)
        np.add.at(gained, customer[there], sign * quantity[side.terms[place[there]]])
    np.add.at(paid, customer, rows.amount[at])
    return gained, paid


def _opening_seats(codes: Ints, facts: Facts) -> Any:
    """Licensed seats at the opening instants of the twelve months before and of the month.

    A row a customer-month; NaN where there are none.
    """
    timeline = facts.timeline
    position, row = facts.states_of(codes)
    licensed = timeline.counts[row] & facts.seats[timeline.terms[row]]
    position, row = position[licensed], row[licensed]
    first = facts.month[codes][position] - 1 - SURGE_MONTHS
    start, stop = (
        np.maximum(timeline.begins[row], first),
        np.minimum(timeline.beyond[row], first + SURGE_MONTHS + 1),
    )
    each, month_end = spread(start, stop)
    quantity = pd.to_numeric(timeline.distinct["quantity"]).to_numpy(dtype="float64")
    seats = np.full((len(codes), SURGE_MONTHS + 1), np.nan)
    place = (position[each], month_end - first[each])
    seats[place] = 0
    np.add.at(seats, place, quantity[timeline.terms[row[each]]])
    return seats


def tax_unknown(book: MonthSnapshot) -> Bools:
    """Customer-months with a price that has tax inside at a rate nobody knows, at either end.

    Their MRR has the tax in it (case 60).
    """
    inside = book.distinct["scheme_json"].str.contains(TAX_UNKNOWN, regex=False).to_numpy(dtype=bool)
    ends = [side.customer[inside[side.terms]] for side in (book.opening, book.closing)]
    return _any(np.concatenate(ends), len(book.customers))


def brief_lapse(changes: Changes, facts: Facts, catalog: Catalog) -> Bools:
    """Reactivated customers that had paid until at most 7 days before they paid again (3.5, case 16)."""
    timeline = facts.timeline
    codes = np.flatnonzero(changes.movement == REACTIVATION)
    position, row = facts.states_of(codes)
    month = facts.month[codes][position]
    here = timeline.begins[row] <= month
    position, row, month = position[here], row[here], month[here]
    paying = (_at_par(row, facts, catalog) > 0) & timeline.counts[row]
    position, row, month = position[paying], row[paying], month[paying]
    end = timeline.closings[month]
    states = timeline.states.iloc[row]
    rows = pd.DataFrame(
        {
            "code": codes[position],
            "since": states["valid_from"].to_numpy(),
            "start": timeline.closings[month - 1],
            "end": end,
        }
    )
    rows["until"] = states["valid_to"].reset_index(drop=True).fillna(rows["end"])
    rows["since"] = states["valid_from"].reset_index(drop=True)
    rows = rows.sort_values(["code", "since"])
    before = rows["until"].groupby(rows["code"]).cummax().groupby(rows["code"]).shift()
    lapse = (before <= rows["start"]) & (rows["since"] >= rows["start"]) & (rows["since"] - before <= BRIEF)
    return _any(rows.loc[lapse, "code"].to_numpy(dtype=np.int64), len(changes.movement))


def intramonth_reversal(changes: Changes, facts: Facts, catalog: Catalog) -> Bools:
    """Continuing customers that pay at closing what they paid at opening, and more in between (case 3).

    Valued at one set of rates, the opening ones, so that only changes count; at par where there is none.
    """
    book, timeline = changes.book, facts.timeline
    same = changes.totals["opening"] == changes.totals["closing_at_open"]
    codes = np.flatnonzero((changes.movement == CONTINUING) & facts.within & same)
    position, row = facts.states_of(codes)
    month = facts.month[codes][position]
    here = (timeline.begins[row] <= month) & (timeline.beyond[row] >= month)
    position, row, month = position[here], row[here], month[here]
    cell = facts.amounts.cell(timeline.terms[row], month - 1)
    priced = (cell >= 0) & ~np.isin(cell, list(facts.amounts.valued.missing))
    amounts = np.where(priced, facts.amounts.valued.mrr[cell], 0)
    amounts[~priced] = _at_par(row[~priced], facts, catalog)
    states = (
        timeline.states.iloc[row][["valid_from", "valid_to"]]
        .reset_index(drop=True)
        .assign(customer=codes[position])
    )
    opening, closing = (pd.Series(timeline.closings[at]) for at in (month - 1, month))
    found = levels(states, pd.Series(np.where(timeline.counts[row], amounts, 0)), opening, closing)
    reversed_ = found.index[(found["first"] == found["last"]) & (found["highest"] > found["first"])]
    return _any(reversed_.to_numpy(dtype=np.int64), len(book.customers))


def _at_par(rows: Ints, facts: Facts, catalog: Catalog) -> Ints:
    """MRR of some states with every currency at par: whether an item pays does not depend on the rate."""
    timeline = facts.timeline
    used, which = np.unique(timeline.terms[rows], return_inverse=True)
    terms = [timeline.read[code] for code in used.tolist()]
    valued = value_terms(
        terms, dict.fromkeys((one.currency for one in terms), "1"), catalog.reporting_currency
    )
    refuse(valued.missing, which, timeline.states["item"].iloc[rows])
    return valued.mrr[which]


def _any(codes: Ints, size: int) -> Bools:
    """True at the codes given."""
    found = np.zeros(size, dtype=bool)
    found[codes] = True
    return found


def _tiers_on_a_long_period(kind: tuple[Any, ...], catalog: Catalog) -> bool:
    (interval, interval_count, scheme_json), policy = kind, catalog.policy
    period = schemes.period_months(
        interval, int(interval_count), metered=False, week=policy.week, day=policy.day
    )
    return period > 1 and "tiers" in json.loads(scheme_json)


def flags_json(flags: Mapping[str, Bools], size: int) -> pd.Series[str]:
    """The names that hold in each row, sorted, as canonical JSON; each combination is written once."""
    names = sorted(flags)
    code = np.zeros(size, dtype=np.int64)
    for bit, name in enumerate(names):
        code |= np.asarray(flags[name], dtype=np.int64) << bit
    distinct, which = np.unique(code, return_inverse=True)
    texts = [
        canonical.dumps([name for bit, name in enumerate(names) if one >> bit & 1])
        for one in distinct.tolist()
    ]
    return pd.Series(np.array(texts, dtype=object)[which], dtype="str")
