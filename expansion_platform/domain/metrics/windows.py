"""Customers over windows of months.

What each window sums up, month by month, and what those who opened it pay at its end (semantics 4.1, 4.2).

Here: sums of windows. Not here: the rates they make (`trailing.py`), reading (`window_months.sql`,
`window_moves.sql`).

A customer keeps one slice for the whole window: that of its first month in it, so that nobody changes slice
inside a sum. What a customer is in a window depends on the window's first month only, and seldom changes from
one to the next. So every month is added up once as it is, and for each window only those customers are moved
that were something else when it began. Customers and months are places in a matrix; some customers at a time
bound its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.core.queries import query_arrow
from expansion_platform.domain.mrr.vocabulary import PRICING_MODELS, SEGMENTS

SUMS = ("opening", "new", "expansion", "contraction", "churn", "member_expansion", "members", "expanders")
OPENING, NEW, EXPANSION, CONTRACTION, CHURN, MEMBER_EXPANSION, MEMBERS, EXPANDERS = range(len(SUMS))
SLICES = pd.DataFrame(
    [(segment, model) for segment in SEGMENTS for model in PRICING_MODELS],
    columns=["segment", "pricing_model"],
)
AT_ONCE = 9_000_000
"""Months of customers in memory at once: 0.6 GB."""
LARGE, TOO_NEAR = 1e12, 1e-13
"""A product of twelve floating-point quotients is off by less than 1e-14 of it: ten times that from a half
its rounding is certain, up to 1e12.
"""


Columns = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Book:
    """Some customers: their months as matrices of months (rows) and customers, and what moved."""

    slices: npt.NDArray[np.int8]
    """-1 where the customer paid at neither end."""
    opening: Ints
    closing: Ints
    fx: Columns
    """customer, month, fx, in this order: where exchange rates added something."""
    moves: list[Columns]
    """By month: the columns of `window_moves.sql`, and before (`_expanded_before`)."""


def books(calendar: Sequence[str], customer_months: Any, movements: Any) -> Iterator[Book]:
    """All customers, some at a time.

    Args:
        calendar: the months that windows are made of, without a gap; others are left out.
        customer_months: mrr/customer_months (month, customer, segment, pricing_model, opening, closing,
            flow_fx).
        movements: mrr/movements (month, customer, flow_new, flow_expansion, flow_contraction, flow_churn).
    """
    months = pd.DataFrame(
        {"month": pd.Series(calendar, dtype="str"), "number": np.arange(len(calendar), dtype=np.int32)}
    )
    numbered = SLICES.assign(number=np.arange(len(SLICES), dtype=np.int8))
    size = query_arrow("metrics/window_rows", {"customer_months": customer_months})["rows"][0].as_py()
    parts = -(-size // AT_ONCE)
    for part in range(parts):
        read = {"months": months, "part": pd.DataFrame({"number": [part], "parts": [parts]})}
        month_rows, customers = _numbered(
            query_arrow(
                "metrics/window_months", {"customer_months": customer_months, "slices": numbered, **read}
            )
        )
        place = month_rows["month"].astype(np.int64) * len(customers) + month_rows["customer"]
        shape = len(calendar), len(customers)
        slices = _filled(shape, place, month_rows["slice"], -1)
        moves, _ = _numbered(
            query_arrow("metrics/window_moves", {"movements": movements, "months": months}), customers
        )
        moves["before"] = _expanded_before(moves)
        there = slices[moves["month"], moves["customer"]] >= 0
        moves = {name: column[there] for name, column in moves.items()}
        ends = np.searchsorted(moves["month"], np.arange(len(calendar) + 1, dtype=np.int32))
        yield Book(
            slices=slices,
            opening=_filled(shape, place, month_rows["opening"], 0),
            closing=_filled(shape, place, month_rows["closing"], 0),
            fx=_rated(month_rows),
            moves=[
                {name: column[first:beyond] for name, column in moves.items()}
                for first, beyond in pairwise(ends.tolist())
            ],
        )


def _numbered(rows: pa.Table, customers: pa.Array | None = None) -> tuple[Columns, pa.Array]:
    """The columns with customers as numbers, and the customers by number; without rows of others than given.

    Arrow finds 3.2M customers in 0.15 s of CPU, where a join takes 0.5 s.
    """
    if customers is None:
        coded = rows["customer"].combine_chunks().dictionary_encode()
        number, customers = coded.indices, coded.dictionary
    else:
        number = pc.index_in(rows["customer"], value_set=customers)
    rows = rows.set_column(rows.schema.get_field_index("customer"), "customer", number)
    return _columns(rows.filter(pc.is_valid(number)) if number.null_count else rows), customers


def _expanded_before(moves: Columns) -> Ints:
    """The month of each customer's last expansion before each of its moves, -1 where there was none."""
    order = np.lexsort([moves["month"], moves["customer"]])
    customer, month, expansion = (moves[name][order] for name in ("customer", "month", "expansion"))
    # One rising number: the customer's place, and behind it the month of its last expansion so far.
    places = customer.astype(np.int64) << 32
    so_far = np.maximum.accumulate(places + np.where(expansion > 0, month + 1, 0))
    before = np.full(len(order), -1, dtype=np.int64)
    before[order[1:]] = np.maximum(so_far[:-1] - places[1:], 0) - 1
    return before


def _columns(rows: pa.Table) -> Columns:
    return {name: rows[name].to_numpy() for name in rows.column_names}


def _rated(rows: Columns) -> Columns:
    """The rows in which exchange rates added something, each customer's oldest first."""
    added = np.flatnonzero(rows["fx"])
    added = added[np.lexsort([rows["month"][added], rows["customer"][added]])]
    return {name: rows[name][added] for name in ("customer", "month", "fx")}


def _filled(
    shape: tuple[int, int], place: Ints, values: npt.NDArray[Any], otherwise: int
) -> npt.NDArray[Any]:
    matrix = np.full(shape, otherwise, dtype=values.dtype)
    matrix.reshape(-1)[place] = values
    return matrix


def window_sums(book: Book, longest: int) -> Ints:
    """The sums of windows of up to `longest` months.

    By first month, months after it, slice (`SLICES`) and sum (`SUMS`).
    """
    size = len(book.slices)
    monthly = [_of_month(book, month) for month in range(size)]
    found = np.zeros((size, longest, len(SLICES), len(SUMS)), dtype=np.int64)
    kept = np.full(book.slices.shape[1], -1, dtype=np.int8)
    for first in reversed(range(size)):
        # Of a customer that comes later, its first slice.
        kept = np.where(book.slices[first] >= 0, book.slices[first], kept)
        member = book.opening[first] > 0
        for month in range(first, min(first + longest, size)):
            sums = found[first, month - first]
            sums += monthly[month]
            _move(sums, book, month, kept)
            _add_moves(sums, book, month, kept, member, first)
    return found


def _of_month(book: Book, month: int) -> Ints:
    """Opening MRR and members by the slice of the month itself."""
    sums = np.zeros((len(SLICES), len(SUMS)), dtype=np.int64)
    there = np.flatnonzero(book.slices[month] >= 0)
    of, opening = book.slices[month, there], book.opening[month, there]
    np.add.at(sums[:, OPENING], of, opening)
    sums[:, MEMBERS] = np.bincount(of[opening > 0], minlength=len(SLICES))
    return sums


def _move(sums: Ints, book: Book, month: int, kept: npt.NDArray[np.int8]) -> None:
    """Opening MRR and members of a month from the slice of the month to the one that is kept."""
    now = book.slices[month]
    other = np.flatnonzero((now != kept) & (now >= 0))
    opening = book.opening[month, other]
    for of, sign in ((now[other], -1), (kept[other], 1)):
        np.add.at(sums[:, OPENING], of, sign * opening)
        sums[:, MEMBERS] += sign * np.bincount(of[opening > 0], minlength=len(SLICES))


def _add_moves(
    sums: Ints, book: Book, month: int, kept: npt.NDArray[np.int8], member: npt.NDArray[np.bool_], first: int
) -> None:
    """What moved in a month.

    An expander is counted in one month of a window only, so that months add up to customers.
    """
    moves = book.moves[month]
    customer, expansion = moves["customer"], moves["expansion"]
    of = kept[customer]
    for which, amount in (
        *(
            (NEW, moves["new"]),
            (EXPANSION, expansion),
            (CONTRACTION, moves["contraction"]),
            (CHURN, moves["churn"]),
        ),
        (MEMBER_EXPANSION, np.where(member[customer], expansion, 0)),
    ):
        np.add.at(sums[:, which], of, amount)
    sums[:, EXPANDERS] += np.bincount(of[(expansion > 0) & (moves["before"] < first)], minlength=len(SLICES))


def cohorts(book: Book, lasts: Sequence[int], longest: int) -> Iterator[dict[str, Any]]:
    """What those who paid at a window's start pay at its end, for NRR and GRR over `longest` months.

    Closing is at the exchange rates of the window's start: without what rates added, month by month, as a
    product of quotients, rounded half-even once. Where floating point leaves the rounding in doubt, the
    customer has a row of its own, whose closing is for others to make.

    Args:
        book: some customers.
        lasts: the last months of the windows.
        longest: their months.

    Yields:
        A row per last month and slice: opening, closing, retained (no more than opening), and continuous
            (that of those who never stopped paying);
        and one per customer in doubt: opening, paid, interrupted, and closings and fxs of the months in which
            rates added anything.
    """
    names = list(SLICES.itertuples(index=False, name=None))
    lost = np.full(book.slices.shape[1], -1, dtype=np.int64)
    moved, quotients = _quotients(book)
    for last in range(len(book.slices)):
        lost[book.moves[last]["customer"][book.moves[last]["churn"] < 0]] = last
        first = last + 1 - longest
        if last not in lasts or first < 0:
            continue
        began = np.flatnonzero(book.opening[first] > 0)
        of, opening, paid, interrupted = (
            book.slices[first, began],
            book.opening[first, began],
            book.closing[last, began],
            lost[began] >= first,
        )
        foreign = np.flatnonzero((moved[began] >= 0) & (paid > 0))
        estimate = paid[foreign] * quotients[first : last + 1, moved[began[foreign]]].prod(axis=0)
        doubtful = np.zeros(len(began), dtype=bool)
        doubtful[foreign] = (np.abs(estimate) > LARGE) | (
            np.abs(estimate - np.floor(estimate) - 0.5) < TOO_NEAR * (1 + np.abs(estimate))
        )
        closing = paid.copy()
        closing[foreign] = np.floor(np.where(doubtful[foreign], 0, estimate) + 0.5).astype(np.int64)
        retained = np.minimum(opening, closing)
        amounts = {
            "opening": opening,
            "closing": closing,
            "retained": retained,
            "continuous": np.where(interrupted, 0, retained),
        }
        sums = {name: np.zeros(len(SLICES), dtype=np.int64) for name in amounts}
        for name, amount in amounts.items():
            np.add.at(sums[name], of[~doubtful], amount[~doubtful])
        for code, (segment, model) in enumerate(names):
            yield _cohort(last, segment, model, {name: int(amount[code]) for name, amount in sums.items()})
        for at in np.flatnonzero(doubtful).tolist():
            customer, (segment, model) = int(began[at]), names[of[at]]
            own = {
                "customer": customer,
                "opening": int(opening[at]),
                "paid": int(paid[at]),
                "interrupted": bool(interrupted[at]),
            }
            yield _cohort(last, segment, model, {**own, **_rates(book, customer, first, last)})


def _cohort(last: int, segment: str, pricing_model: str, known: dict[str, Any]) -> dict[str, Any]:
    """A row of `cohorts`, zeros where nothing is known.

    Whole numbers without gaps: in a frame a gap would make them floating-point numbers.
    """
    zeros = dict.fromkeys(("opening", "closing", "retained", "continuous", "paid"), 0)
    row = {"last": last, "segment": segment, "pricing_model": pricing_model, "customer": None, **zeros}
    return {**row, "interrupted": False, "closings": [], "fxs": [], **known}


def _quotients(book: Book) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The columns of customers that exchange rates ever moved, -1 for others.

    The second array undoes each month's rates, by month and column.
    """
    month, customer, fx = (book.fx[name] for name in ("month", "customer", "fx"))
    moved = np.full(book.slices.shape[1], -1, dtype=np.int64)
    foreign = np.unique(customer)
    moved[foreign] = np.arange(len(foreign))
    closing = book.closing[month, customer]
    paid = closing != 0
    quotients = np.ones((len(book.slices), len(foreign)))
    quotients[month[paid], moved[customer[paid]]] = (closing[paid] - fx[paid]) / closing[paid].astype(
        np.float64
    )
    return moved, quotients


def _rates(book: Book, customer: int, first: int, last: int) -> dict[str, list[int]]:
    """Closing MRR and what rates added to it, in the months of a window in which they did; oldest first."""
    begin, end = np.searchsorted(
        book.fx["customer"], np.array([customer, customer + 1], dtype=np.int32)
    ).tolist()
    month, fx = (book.fx[name][begin:end] for name in ("month", "fx"))
    seen = (month >= first) & (month <= last)
    return {"closings": book.closing[month[seen], customer].tolist(), "fxs": fx[seen].tolist()}
