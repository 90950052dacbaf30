"""The four tables of floor `mrr` over a range of months.

Customer months, movements, causes and price migrations, computed in one batch.

Here: `mrr_tables`, the order of the steps. Not here: any step. Every state is valued once (`month_ends.py`);
customers' sums at month ends are made of that (`customer_levels.py`); only customer-months in which something
changed are matched, attributed and flagged (`changed_months.py`, `movements.py`, `flags.py`). 36 months of
20,000 customers: 639,006 customer months, of which 51,602 changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs, Together
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.mrr import flags
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.attribution import cause_frame, customer_of
from expansion_platform.domain.mrr.changed_months import Keys, changed_book, changed_months, rate_changes
from expansion_platform.domain.mrr.customer_levels import CustomerMonths, customer_months
from expansion_platform.domain.mrr.customer_rows import coded, customer_rows
from expansion_platform.domain.mrr.first_paid import (
    FirstPaid,
    deletions,
    first_paid_months,
    included,
    rates_by_month,
)
from expansion_platform.domain.mrr.migrations import PriceMoves, customers_on_prices, price_moves
from expansion_platform.domain.mrr.month_ends import (
    Amounts,
    Timeline,
    month_of,
    read_timeline,
    value_month_ends,
)
from expansion_platform.domain.mrr.month_failures import (
    Failures,
    Rates,
    uncompared_months,
    unknown_pasts,
    unreadable_months,
)
from expansion_platform.domain.mrr.month_snapshot import catalog_entries
from expansion_platform.domain.mrr.movements import (
    MOVEMENT_COLUMNS,
    NEW,
    NONE,
    Changes,
    customer_totals,
    explained,
    membership,
    movement_rows,
    only_rates_moved,
    rate_flows,
    without,
)
from expansion_platform.domain.mrr.parts import Shown, Unflagged, flagged, shown_by_all
from expansion_platform.domain.mrr.past import Past, past_of_all, past_of_some
from expansion_platform.domain.mrr.reasons import reasons
from expansion_platform.domain.stripe import tables as stripe

MODELS: list[type[Table]] = [mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.PriceMigrations]


@dataclass(frozen=True)
class MrrTables:
    """The rows of all months that can be computed, without hashes, in key order.

    For each of the other months, the reason why it cannot.
    """

    frames: Mapping[type[Table], pd.DataFrame]
    failures: Failures


@dataclass(frozen=True)
class Facts:
    """What the tables are made of.

    Args:
        states: billing/item_states; text columns may be categoricals.
        rates: billing/fx_rates.
        quarantine: billing/quarantine.
        deletions: Customers deleted in Stripe: customer, created.
        catalog: Products, migrations, aliases, excluded customers, policy and reporting currency.
        timezone: Reporting time zone.
    """

    states: pd.DataFrame
    rates: pd.DataFrame
    quarantine: pd.DataFrame
    deletions: pd.DataFrame
    catalog: Catalog
    timezone: str = "UTC"


@dataclass(frozen=True)
class MrrPart:
    """The rows of some customers before the whole book is known.

    Also what the book has to know of them, and why months cannot be computed.

    Both are None, and there are no rows, where no month can be.
    """

    customer_months: pd.DataFrame
    unflagged: Unflagged | None
    moves: PriceMoves | None
    failures: Failures


def mrr_tables(wanted: Sequence[str], facts: Facts, *, rates_alone: bool = False) -> MrrTables:
    """Computes mrr/customer_months, mrr/movements, mrr/causes and mrr/price_migrations of some months.

    See semantics 2 and 3.

    A month in which nothing of a customer but exchange rates moved has no row in mrr/movements and mrr/causes
    (2.6).

    Args:
        wanted: Months, in any order, with or without gaps.
        facts: Of all customers.
        rates_alone: Movements and causes also of those months, as `expansion explain` shows them.
    """
    catalog = facts.catalog
    past = past_of_all([past_of_some(included(facts.states, catalog), catalog)])
    part = mrr_part(wanted, facts, past, rates_alone=rates_alone)
    done = [month for month in wanted if month not in part.failures]
    if part.unflagged is None or part.moves is None:
        return MrrTables({}, part.failures)
    shown = shown_by_all([part.moves], catalog, done)
    rows = flagged(part.unflagged, shown) | {
        mrr.CustomerMonths: part.customer_months,
        mrr.PriceMigrations: shown.migrations,
    }
    return MrrTables(rows, part.failures)


def mrr_part(wanted: Sequence[str], facts: Facts, past: Past, *, rates_alone: bool = False) -> MrrPart:
    """The rows of some customers: `facts` of these, `past` of all."""
    catalog, timezone = facts.catalog, facts.timezone
    states, quarantine = included(facts.states, catalog), included(facts.quarantine, catalog)
    by_month = rates_by_month(facts.rates)
    due, first_paid, failures = _readable(sorted(wanted), states, by_month, catalog, timezone)
    if not due:
        return MrrPart(pd.DataFrame(), None, None, failures)
    # Flags look at the gains of the twelve months before a month, between thirteen month ends.
    calendar = months.between(months.shift(due[0], -1 - flags.SURGE_MONTHS), due[-1])
    timeline = read_timeline(states, calendar, catalog, timezone)
    amounts = value_month_ends(timeline, by_month, catalog, _ends(timeline, due))
    failures |= unreadable_months(due, timeline, amounts, first_paid, quarantine, catalog, by_month)
    run = _Run(
        timeline,
        amounts,
        catalog_entries(timeline.distinct, catalog),
        by_month,
        first_paid,
        past,
        catalog,
        timezone,
    )
    while due := [month for month in due if month not in failures]:
        changed = run.changed(due, rates_alone=rates_alone)
        unknown = changed.failures | unknown_pasts(changed.new, timeline, quarantine, catalog)
        if not unknown:
            return run.part(changed, due, facts.deletions, failures, rates_alone=rates_alone)
        failures |= unknown
    return MrrPart(pd.DataFrame(), None, None, failures)


def unflagged_rows(
    changes: Changes,
    facts: flags.Facts,
    *,
    ends: tuple[pd.DataFrame, pd.DataFrame],
    deleted: Bools,
    catalog: Catalog,
    rates_alone: bool = False,
) -> Unflagged:
    """The rows of mrr/movements and mrr/causes, with reasons and the flags of the customers' own history.

    Args:
        changes: What moved and why.
        facts: The history that flags look at.
        ends: The item states that the rows of the opening and of the closing side are of.
        deleted: By code of the customer-month: the customer was deleted in the month.
        catalog: Declared migrations, ranks, policy.
        rates_alone: Rows also of customer-months in which exchange rates alone moved.

    Customers that rose and came back to where they were within the month get a row of mrr/movements, all
    zero, with `intramonth_reversal` (case 3).
    """
    reversed_ = flags.intramonth_reversal(changes, facts, catalog)
    if not rates_alone:
        changes = without(changes, only_rates_moved(changes) & ~reversed_)
    shown = np.flatnonzero(changes.moved | reversed_)
    names = facts.timeline.calendar
    movements = movement_rows(changes, shown, catalog)[MOVEMENT_COLUMNS].assign(
        month=coded(facts.month[shown], names)
    )
    why = reasons(changes, shown, ends, deleted)
    movements = movements.assign(reason=why["reason"], dormant_reason=why["dormant_reason"])
    customer = customer_of(changes.book, changes.pairs)[changes.rows.pair]
    causes = cause_frame(changes.book, changes.pairs, changes.rows).assign(
        month=coded(facts.month[customer], names)
    )
    of_causes = flags.flags_of_causes(changes, facts, catalog)
    of_movements = flags.flags_of_movements(
        changes, shown, movements, causes["inferred"].to_numpy(dtype=bool), of_causes, facts, catalog
    )
    of_movements["intramonth_reversal"] = reversed_[shown]
    return Unflagged(movements, causes, of_movements, of_causes, np.searchsorted(shown, customer))


def _readable(
    wanted: list[str], states: pd.DataFrame, rates: Rates, catalog: Catalog, timezone: str
) -> tuple[list[str], FirstPaid, Failures]:
    """The months up to which every state can be read, and who paid first when.

    A state that cannot be is one of all months from its beginning on.
    """
    failures: Failures = {}
    for count in range(len(wanted), 0, -1):
        try:
            first_paid = first_paid_months(
                states, catalog=catalog, rates=rates, last=wanted[count - 1], timezone=timezone
            )
            return wanted[:count], first_paid, failures
        except DataQualityError as error:
            failures[wanted[count - 1]] = error
    return [], FirstPaid(pd.Series(dtype="str"), pd.Series(dtype="datetime64[us, UTC]"), {}), failures


def _ends(timeline: Timeline, due: Sequence[str]) -> Bools:
    """Month ends at which a month opens or closes."""
    needed = np.zeros(timeline.size, dtype=bool)
    closing = np.array([timeline.index(month) for month in due], dtype=np.int64)
    needed[closing] = needed[closing - 1] = True
    return needed


@dataclass(frozen=True)
class _Changed:
    """The rows of some months, and what they are made of.

    The customer-months, those in which something changed, and months that cannot be compared.
    """

    every: CustomerMonths
    keys: Keys
    changes: Changes | None
    new: tuple[Ints, Ints]
    failures: Failures


@dataclass(frozen=True)
class _Run:
    """Everything about the states that does not depend on which months are computed."""

    timeline: Timeline
    amounts: Amounts
    entries: list[Entry]
    rates: Rates
    first_paid: FirstPaid
    past: Past
    catalog: Catalog
    timezone: str

    def changed(self, due: Sequence[str], *, rates_alone: bool) -> _Changed:
        """What changed in months whose states can be read."""
        timeline, amounts = self.timeline, self.amounts
        index = [timeline.index(month) for month in due]
        wanted = np.zeros(timeline.size, dtype=bool)
        wanted[index] = True
        every = customer_months(timeline, amounts, index, self.entries)
        crossed = (every.totals["opening"] > 0) != (every.totals["closing"] > 0)
        also = [(every.month[crossed].astype(np.int64), every.customer[crossed].astype(np.int64))]
        if rates_alone:
            also.append(rate_changes(timeline, amounts, wanted))
        keys = changed_months(timeline, wanted, also)
        plans, plan = self._plans(index)
        book = changed_book(
            timeline, amounts, keys, entries=self.entries, rates=self.rates, plans=plans, plan=plan
        )
        totals = customer_totals(book)
        movement = membership(totals, self._paid_before(keys))
        failures = uncompared_months(book, movement, timeline)
        changes = None if failures else explained(book, totals, movement, self.catalog)
        new = movement == NEW
        return _Changed(every, keys, changes, (keys.month[new], keys.customer[new]), failures)

    def part(
        self,
        changed: _Changed,
        due: Sequence[str],
        deletions: pd.DataFrame,
        failures: Failures,
        *,
        rates_alone: bool,
    ) -> MrrPart:
        """The rows of months that can be compared."""
        timeline, changes = self.timeline, changed.changes
        assert changes is not None  # noqa: S101  for mypy: there were no failures
        rows = unflagged_rows(
            changes,
            self._facts(changed),
            ends=(timeline.states, timeline.states),
            deleted=self._deleted(changed.keys, deletions),
            catalog=self.catalog,
            rates_alone=rates_alone,
        )
        moves = price_moves(rows.causes, rows.movements, customers_on_prices(timeline, due))
        return MrrPart(self._customer_rows(changed.every, changed.keys, changes), rows, moves, failures)

    def _customer_rows(self, every: CustomerMonths, keys: Keys, changes: Changes) -> pd.DataFrame:
        known, customer = self.timeline.customers, every.customer
        first = {
            "first_paid_month": pd.Categorical(self.first_paid.months.reindex(known)).take(customer),
            "first_paid_at": self.first_paid.instants.reindex(known).array.take(customer),
        }
        rows = customer_rows(every.totals, self.catalog).assign(
            **first, flow_fx=self._rate_flows(every, keys, changes)
        )
        rows.insert(0, "customer", coded(customer, known))
        return rows.assign(month=self._month(every.month))

    def _rate_flows(self, every: CustomerMonths, keys: Keys, changes: Changes) -> Ints:
        """What exchange rates did to each customer that paid at both ends.

        Its causes `fx`, or all that moved where nothing was compared.
        """
        opening, closing = every.totals["opening"], every.totals["closing"]
        flows = np.where((opening > 0) & (closing > 0), closing - opening, 0)
        compared = np.flatnonzero(changes.movement != NONE)
        flows[every.places(keys.month[compared], keys.customer[compared])] = rate_flows(changes)[compared]
        return flows

    def _month(self, month: npt.NDArray[Any]) -> pd.Series[Any]:
        return coded(month, self.timeline.calendar)

    def _plans(self, index: Sequence[int]) -> tuple[list[Plans], Ints]:
        """The distinct plans of some months, the first of them none.

        The second array says which of them each month of the calendar has.
        """
        plan = np.zeros(self.timeline.size, dtype=np.int64)
        known = [NO_PLANS]
        for month in index if self.past.begun.sold else ():
            plans = self.past.begun.plans(self.timeline.closings[month])
            if plans not in known:
                known.append(plans)
            plan[month] = known.index(plans)
        return known, plan

    def _paid_before(self, keys: Keys) -> Bools:
        """By customer-month: whether the customer had paid at an earlier month end, or is said to have."""
        known = self.timeline.customers
        first = self.first_paid.months.reindex(known)
        month = pd.Index(self.timeline.calendar).get_indexer(pd.Index(first))  # -1 before the calendar
        month[first.isna().to_numpy()] = self.timeline.size
        said = known.isin(self.catalog.paid_before | set(self.catalog.ever_paid))
        return np.asarray((month[keys.customer] < keys.month) | said[keys.customer], dtype=bool)

    def _facts(self, changed: _Changed) -> flags.Facts:
        timeline, keys = self.timeline, changed.keys
        assert changed.changes is not None  # noqa: S101  for mypy
        seats = flags.licensed_seats(timeline, self.entries)
        item = changed.changes.book.known_item
        return flags.Facts(
            timeline,
            self.amounts,
            self.timezone,
            keys.month,
            keys.customer,
            keys.within,
            item,
            seats,
            self.past.first,
        )

    def _deleted(self, keys: Keys, deletions: pd.DataFrame) -> Bools:
        """By customer-month: whether the customer was deleted in Stripe within the month.

        The customer itself, or one merged into it.
        """
        customer = self.timeline.customers.get_indexer(
            pd.Index(deletions["customer"].map(self.catalog.customer).astype("str"))
        )
        width = len(self.timeline.customers)
        gone = month_of(self.timeline.closings, deletions["created"]) * width + customer
        return np.asarray(np.isin(keys.month * width + keys.customer, gone[customer >= 0]), dtype=bool)


def compute_mrr(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """The mrr tables of some customers in some months, but for what the whole book says.

    mrr/customer_months, mrr/movements and mrr/causes.
    """
    facts = Facts(
        inputs.frame(billing.ItemStates),
        inputs.frame(billing.FxRates),
        inputs.frame(billing.Quarantine),
        deletions(inputs.frame(stripe.Events)),
        inputs.catalog,
        inputs.timezone,
    )
    part = mrr_part(wanted, facts, inputs.value("past"))
    return Computed(
        {mrr.CustomerMonths: part.customer_months}, part.failures, rest=part.unflagged, shows=part.moves
    )


def show_mrr(wanted: Sequence[str], parts: Sequence[PriceMoves], inputs: Inputs) -> Together:
    """What all customers show of some months.

    The rows of mrr/price_migrations, and what the flags of the others' rows wait for.
    """
    shown = shown_by_all(parts, inputs.catalog, wanted)
    return Together({mrr.PriceMigrations: shown.migrations}, shown)


def finish_mrr(wanted: Sequence[str], computed: Computed, shown: Shown) -> Frames:
    """The rows of some customers with all their flags."""
    unflagged: Unflagged = computed.rest
    return {**computed.frames, **flagged(unflagged.of_months(wanted), shown)}


def past_rule(_: Sequence[str], inputs: Inputs) -> Past:
    """What some customers show of the past."""
    return past_of_some(included(inputs.frame(billing.ItemStates), inputs.catalog), inputs.catalog)
