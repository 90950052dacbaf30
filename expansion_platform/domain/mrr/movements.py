"""Each customer's month: membership, nine flows that sum to the change, types and label (semantics 2).

Here: `classify`, from two frames of item states to the rows of `mrr/customer_months`, `mrr/movements` and
`mrr/causes`. Not here: pricing, matching, attribution and what a customer-month is in money, which it calls,
and every rate made of the result.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.core.money import Ints, split_rows
from expansion_platform.domain.mrr.attribution import (
    FX,
    CauseRows,
    attribute,
    cause_frame,
    customer_of,
    group_of,
    in_key_order,
)
from expansion_platform.domain.mrr.customer_rows import (
    UNITS,
    coded,
    customer_rows,
    dominant_unit,
    listed_of,
    segments,
    unit_counted,
)
from expansion_platform.domain.mrr.matching import Pairs, match
from expansion_platform.domain.mrr.month_snapshot import MonthSnapshot, by_customer, read_book
from expansion_platform.domain.mrr.states import among
from expansion_platform.domain.mrr.valuation import refuse
from expansion_platform.domain.mrr.vocabulary import CAUSES, FLOWS, ORGANIC

COMMERCIAL = ["price", "discount", "interval"]
NONE, NEW, REACTIVATION, CHURN, CONTINUING = range(5)
MOVEMENTS = ["none", "new", "reactivation", "churn", "continuing"]

MOVEMENT_COLUMNS = [
    *("customer", "movement", "label", "segment", "dormant", "opening", "closing", "delta"),
    *(f"flow_{name}" for name in FLOWS),
    *(f"expansion_{name}" for name in ORGANIC),
    *(f"contraction_{name}" for name in ORGANIC),
    *("expansion_gross", "contraction_gross", "expansion_unadjusted"),
]


@dataclass(frozen=True)
class Classified:
    """The rows of one month without month, hashes and cohort, sorted by key.

    Money in int64 minor units of the reporting currency.
    """

    customers: pd.DataFrame
    movements: pd.DataFrame
    causes: pd.DataFrame
    changes: Changes
    """What the rows were made of."""


def classify(
    opening: pd.DataFrame,
    closing: pd.DataFrame,
    *,
    catalog: Catalog,
    rates_open: Mapping[str, str],
    rates_close: Mapping[str, str],
    ever_paid: Collection[str],
    plans: Plans = NO_PLANS,
) -> Classified:
    """Classifies one month (semantics 2 and 3).

    Args:
        opening: Item states at the opening instant (`billing/item_states` columns up to `discounts_json`),
            one row an item, customers before aliases. Non-counting items are validated, then ignored.
        closing: The same at the closing instant.
        catalog: Products, migrations, aliases, policy and reporting currency.
        rates_open: Reporting currency for one unit of each currency at the opening instant, decimal text.
        rates_close: The same at the closing instant.
        ever_paid: Customers with MRR at any earlier closing, before or after aliases.
        plans: Prices of one product inferred to be plans before the closing instant (`plans.Beginnings`).

    Returns:
        Customers that pay at one end at least; movements and causes where anything moved, also if only
        exchange rates did (`only_rates_moved`).

    Raises:
        DataQualityError: Names items that are duplicated, malformed, unpriceable or without a rate.
    """
    rates = {"rates_open": rates_open, "rates_close": rates_close}
    every = classify_wide(
        opening, closing, catalog=catalog, **rates, ever_paid=ever_paid, still=False, plans=plans
    )
    return Classified(every.customers, every.movements[MOVEMENT_COLUMNS], every.causes, every.changes)


def classify_wide(
    opening: pd.DataFrame,
    closing: pd.DataFrame,
    *,
    catalog: Catalog,
    rates_open: Mapping[str, str],
    rates_close: Mapping[str, str],
    ever_paid: Collection[str],
    still: bool,
    plans: Plans = NO_PLANS,
) -> Classified:
    """As `classify`, with more columns of each customer in `movements`.

    The causes and the gross amounts by type (`cause_*`, `expansion_gross_*`, ...).

    `still` adds the customers in whom nothing moved, and those with items that never counted (movement and
    label `none`).
    """
    book = read_book(opening, closing, catalog, rates_open, rates_close, plans)
    totals = customer_totals(book)
    movement = membership(totals, _paid_before(book, totals, catalog, ever_paid))
    compared = compared_at_open(book, movement)
    refuse(
        book.at_open.missing, book.closing.terms[compared], book.item_ids(book.closing, compared).to_series()
    )
    changes = explained(book, totals, movement, catalog)
    every = np.arange(len(book.customers))
    paying, shown = every[changes.movement != NONE], every[changes.moved]
    totals = {name: amounts if still else amounts[paying] for name, amounts in totals.items()}
    customers = customer_rows(totals, catalog)
    customers.insert(0, "customer", book.customers if still else book.customers.take(paying))
    customers["flow_fx"] = rate_flows(changes) if still else rate_flows(changes)[paying]
    movements = movement_rows(changes, every if still else shown, catalog, wide=True)
    return Classified(
        _as_text(customers), _as_text(movements), cause_frame(book, changes.pairs, changes.rows), changes
    )


@dataclass(frozen=True)
class Changes:
    """What moved in some customer-months and why.

    By code of the customer-month where nothing else is said.
    """

    book: MonthSnapshot
    totals: Mapping[str, Ints]
    movement: Ints
    """Index into `MOVEMENTS`."""
    moved: npt.NDArray[np.bool_]
    """It began or stopped paying, or something of it has a cause."""
    pairs: Pairs
    rows: CauseRows
    """In the order of the key of mrr/causes."""


def compared_at_open(book: MonthSnapshot, movement: Ints) -> Ints:
    """The closing items that are valued at opening rates: those of continuing customers.

    Positions of the closing side.
    """
    return np.flatnonzero(book.closing.counts & (movement == CONTINUING)[book.closing.customer])


def explained(book: MonthSnapshot, totals: Mapping[str, Ints], movement: Ints, catalog: Catalog) -> Changes:
    """Matches and attributes customer-months, none of whose items lacks an opening rate that it needs."""
    pairs = match(book, movement == CONTINUING)
    rows = in_key_order(book, pairs, attribute(book, pairs, catalog))
    moved = ~np.isin(movement, [NONE, CONTINUING])
    moved[customer_of(book, pairs)[rows.pair]] = True
    return Changes(book, totals, movement, moved, pairs, rows)


def rate_flows(changes: Changes) -> Ints:
    """By code: what exchange rates did to a customer that paid at both ends, the sum of its causes `fx`."""
    flows = np.zeros(len(changes.movement), dtype=np.int64)
    of_rates = changes.rows.cause == FX
    np.add.at(
        flows,
        customer_of(changes.book, changes.pairs)[changes.rows.pair[of_rates]],
        changes.rows.amount[of_rates],
    )
    return flows


def only_rates_moved(changes: Changes) -> npt.NDArray[np.bool_]:
    """By code: customers that paid at both ends and in whom exchange rates alone moved.

    Each cause is of an item charged the same at both ends.
    """
    book, pair = changes.book, changes.rows.pair
    opening, closing = changes.pairs.opening[pair], changes.pairs.closing[pair]
    same = (opening >= 0) & (closing >= 0)
    same[same] = book.opening.terms[opening[same]] == book.closing.terms[closing[same]]
    alone = changes.moved & (changes.movement == CONTINUING)
    alone[customer_of(book, changes.pairs)[pair[~same]]] = False
    return np.asarray(alone, dtype=bool)


def without(changes: Changes, codes: npt.NDArray[np.bool_]) -> Changes:
    """The changes without the causes of some customer-months."""
    kept = ~codes[customer_of(changes.book, changes.pairs)[changes.rows.pair]]
    return replace(changes, moved=changes.moved & ~codes, rows=changes.rows.take(np.flatnonzero(kept)))


def customer_totals(book: MonthSnapshot) -> dict[str, Ints]:
    """By customer code: what each customer holds at both ends.

    Money at both ends, counting items at closing, and pricing model and chargeable items at each end.
    """
    at_open, at_close = book.at_open, book.at_close
    ones = np.ones(len(book.terms), dtype=np.int64)
    counted = unit_counted(book.entries)
    sides = {"opening": (book.opening, at_open), "closing": (book.closing, at_close)}
    chargeable = book.chargeable.astype(np.int64)
    return {
        "opening": by_customer(book, book.opening, at_open.mrr),
        "closing": by_customer(book, book.closing, at_close.mrr),
        "closing_at_open": by_customer(book, book.closing, at_open.mrr),
        "opening_arr": by_customer(book, book.opening, at_open.arr),
        "closing_arr": by_customer(book, book.closing, at_close.arr),
        "opening_list": by_customer(book, book.opening, at_open.list_mrr),
        "closing_list": by_customer(book, book.closing, at_close.list_mrr),
        "items": by_customer(book, book.closing, ones),
        "opening_chargeable": by_customer(book, book.opening, chargeable),
        "closing_chargeable": by_customer(book, book.closing, chargeable),
        **{
            f"{end}_model": dominant_unit(
                [by_customer(book, side, listed_of(unit, counted, valued)) for unit in UNITS]
            )
            for end, (side, valued) in sides.items()
        },
    }


def membership(totals: Mapping[str, Ints], paid_before: npt.NDArray[np.bool_]) -> Ints:
    """Membership by customer code: a customer pays when its MRR is above zero, nothing else counts.

    See semantics 2.1, D-9.
    """
    before, after = totals["opening"] > 0, totals["closing"] > 0
    return np.select(
        [before & after, before, after & paid_before, after], [CONTINUING, CHURN, REACTIVATION, NEW], NONE
    )


def _paid_before(
    book: MonthSnapshot, totals: Mapping[str, Ints], catalog: Catalog, ever_paid: Collection[str]
) -> npt.NDArray[np.bool_]:
    """By customer code: whether a customer that pays only at closing had paid earlier.

    Under its own id or one merged into it.
    """
    found = np.zeros(len(book.customers), dtype=bool)
    appeared = np.flatnonzero((totals["opening"] == 0) & (totals["closing"] > 0))
    asked = book.customers.take(appeared)
    # The few that appeared are looked up among all that paid, not the other way round: hashing a million
    # texts takes longer than reading them.
    paid = pd.Series(ever_paid if isinstance(ever_paid, pd.Index) else list(ever_paid), dtype="str")
    known = set(paid[among(paid, {*asked, *catalog.aliases})])
    merged = {owner for alias, owner in catalog.aliases.items() if alias in known}
    found[appeared] = [customer in known or customer in merged for customer in asked]
    return found


def movement_rows(changes: Changes, shown: Ints, catalog: Catalog, *, wide: bool = False) -> pd.DataFrame:
    """One row of mrr/movements per shown customer-month code, in that order.

    `wide` adds its causes and gross amounts by type.
    """
    book, pairs, rows, totals, movement = (
        changes.book,
        changes.pairs,
        changes.rows,
        changes.totals,
        changes.movement,
    )
    at = np.full(len(book.customers), -1)
    at[shown] = np.arange(len(shown))
    causes = np.zeros((len(shown), len(CAUSES)), dtype=np.int64)
    customer = at[customer_of(book, pairs)[rows.pair]]
    np.add.at(causes, (customer, rows.cause), rows.amount)
    up, down = _gross(customer, group_of(book, pairs)[rows.pair], rows, len(shown))
    kind = movement[shown]
    opening, closing = totals["opening"][shown], totals["closing"][shown]
    flows = _flows(causes, kind, opening, closing)
    columns = {
        "customer": book.customers.take(shown),
        "movement": coded(kind, MOVEMENTS),
        "label": _labels(kind, flows),
        "segment": segments({name: amounts[shown] for name, amounts in totals.items()}, catalog),
        "dormant": dormant_months(changes)[shown],
        "opening": opening,
        "closing": closing,
        "delta": closing - opening,
        **{f"flow_{name}": flows[name] for name in FLOWS},
        **_by_name("expansion", split_rows(flows["expansion"], up)),
        **_by_name("contraction", split_rows(-flows["contraction"], down)),
        "expansion_gross": up.sum(axis=1),
        "contraction_gross": down.sum(axis=1),
        "expansion_unadjusted": np.where(kind == CONTINUING, np.maximum(0, closing - opening), 0),
    }
    if wide:
        columns |= {f"cause_{name}": causes[:, index] for index, name in enumerate(CAUSES)}
        columns |= _by_name("expansion_gross", up) | _by_name("contraction_gross", down)
    return pd.DataFrame(columns, copy=False)


def dormant_months(changes: Changes) -> npt.NDArray[np.bool_]:
    """By code: whether a customer that left, or came back, had a chargeable item all the time.

    See semantics 2.1.
    """
    totals, movement = changes.totals, changes.movement
    left = (movement == CHURN) & (totals["closing_chargeable"] > 0)
    return np.asarray(left | ((movement == REACTIVATION) & (totals["opening_chargeable"] > 0)), dtype=bool)


def _gross(customer: Ints, group: Ints, rows: CauseRows, size: int) -> tuple[Ints, Ints]:
    """Positive and negative organic amounts as positive numbers, by (customer, cause) (D-6).

    Each is summed over (customer, match group, cause) first.
    """
    organic = rows.cause < len(ORGANIC)
    customer, group, cause, amount = (
        customer[organic],
        group[organic],
        rows.cause[organic],
        rows.amount[organic],
    )
    groups = group.max(initial=0) + 1
    cells, which = np.unique((customer * groups + group) * len(ORGANIC) + cause, return_inverse=True)
    sums = np.zeros(len(cells), dtype=np.int64)
    np.add.at(sums, which, amount)
    cell_customer, cell_cause = cells // len(ORGANIC) // groups, cells % len(ORGANIC)
    up, down = np.zeros((2, size, len(ORGANIC)), dtype=np.int64)
    np.add.at(up, (cell_customer, cell_cause), np.maximum(sums, 0))
    np.add.at(down, (cell_customer, cell_cause), np.maximum(-sums, 0))
    return up, down


def _flows(causes: Ints, movement: Ints, opening: Ints, closing: Ints) -> dict[str, Ints]:
    """The nine flows (semantics 2.2).

    Gains are capped by concessions made in the same month, losses are never offset by price rises.
    """
    commercial = causes[:, [CAUSES.index(name) for name in COMMERCIAL]]
    organic_sum, commercial_sum = causes[:, : len(ORGANIC)].sum(axis=1), commercial.sum(axis=1)
    expansion = np.maximum(0, np.minimum(organic_sum, organic_sum + commercial_sum))
    conceded = np.where((organic_sum > 0) & (commercial_sum < 0), organic_sum - expansion, 0)
    commercial = commercial + split_rows(conceded, np.maximum(-commercial, 0))
    return {
        "new": np.where(movement == NEW, closing, 0),
        "reactivation": np.where(movement == REACTIVATION, closing, 0),
        "expansion": expansion,
        "contraction": np.minimum(0, organic_sum),
        **{name: commercial[:, index] for index, name in enumerate(COMMERCIAL)},
        "fx": causes[:, CAUSES.index("fx")],
        "churn": np.where(movement == CHURN, -opening, 0),
    }


def _labels(movement: Ints, flows: Mapping[str, Ints]) -> pd.Series[Any]:
    """The one label of a customer's month (semantics 2.5)."""
    still = movement != CONTINUING
    repriced = np.any([flows[name] != 0 for name in COMMERCIAL], axis=0)
    conditions = [still, flows["expansion"] > 0, flows["contraction"] < 0, repriced, flows["fx"] != 0]
    first = len(MOVEMENTS)
    code = np.select(conditions, [movement, first, first + 1, first + 2, first + 3], first + 4)
    return coded(code, [*MOVEMENTS, "expansion", "contraction", "repriced", "fx", "flat"])


def _by_name(prefix: str, amounts: Ints) -> dict[str, Ints]:
    return {f"{prefix}_{name}": amounts[:, index] for index, name in enumerate(ORGANIC)}


def _as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Text columns in pandas' string type, whatever the input came in."""
    return frame.astype(
        {
            name: "str"
            for name in ("customer", "movement", "label", "segment", "pricing_model", "closing_pricing_model")
            if name in frame.columns
        }
    )
