"""Seats that were added, and how many of them are kept (semantics 4.5).

Here: events from the causes of months, followed for three months. Not here: the rates made of them
(`metrics/durability.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.money import Ints, decimal
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr.tables import SeatEvents
from expansion_platform.domain.mrr.tables.seat_events import DURABLE, REVERTED

LASTS = 3
"""Months after which an expansion is judged."""
SPAN = ["month", "expanded_month"]
EVENT_COLUMNS = [
    *SPAN,
    "customer",
    "group",
    "segment",
    "seats_added",
    "seats_kept",
    "amount",
    "kept",
    "status",
    "surge",
]
PAIR = ["from_item", "to_item", "from_quantity", "to_quantity"]
_LARGEST = 2**31
"""Seats of a holder in all: their square fits int64."""


def seat_events(wanted: Collection[str], movements: pd.DataFrame, causes: pd.DataFrame) -> pd.DataFrame:
    """mrr/seat_events of some months without hashes.

    Args:
        wanted: the months.
        movements: mrr/movements (month, customer, segment, movement, flags_json) of what they look at.
        causes: mrr/causes of the same months.

    An event is a customer's match group whose seats rose in a month, and what is paid for seats with them. Of
    the seats added, those still there are kept, from none to all; a customer that has left keeps none, also
    when it came back. The amount kept is rounded half-even, once an event.
    """
    seats = (causes["cause"] == "seat").to_numpy(dtype=bool)
    if not seats.any():
        return pd.DataFrame(columns=EVENT_COLUMNS)
    calendar = pd.Index(months.between(causes["month"].min(), months.shift(causes["month"].max(), LASTS)))
    customer, customers = pd.factorize(causes["customer"], sort=True)
    group, groups = pd.factorize(causes["group"], sort=True)
    holder, month = customer * len(groups) + group, calendar.get_indexer(pd.Index(causes["month"]))
    movements = movements[movements["customer"].isin(customers) & movements["month"].isin(calendar)]
    moved = customers.get_indexer(pd.Index(movements["customer"])) * len(calendar) + calendar.get_indexer(
        pd.Index(movements["month"])
    )
    churned = moved[(movements["movement"] == "churn").to_numpy(dtype=bool)]
    event, of_event = np.unique(holder[seats] * len(calendar) + month[seats], return_inverse=True)
    amount = np.zeros(len(event), dtype=np.int64)
    np.add.at(amount, of_event, causes["amount"].to_numpy(dtype=np.int64)[seats])
    bought = np.isin(holder, holder[seats])
    rows = pd.DataFrame({"holder": holder, "month": month}).assign(
        **{name: causes[name].array for name in PAIR}
    )[bought]
    parts: list[pd.DataFrame] = []
    for gained in _gained(rows.drop_duplicates(["holder", "month", "from_item", "to_item"]), len(calendar)):
        here = np.isin(event, gained.keys) & (amount > 0)
        parts += _kept(event[here], amount[here], gained, len(groups), churned)
    every = pd.concat(parts, ignore_index=True)
    every = every[calendar.take(every["month"].to_numpy()).isin(list(wanted))].sort_values(
        [*SPAN, "holder"], ignore_index=True
    )
    owner = every["holder"].to_numpy() // len(groups)
    at = pd.Index(moved).get_indexer(owner * len(calendar) + every["expanded_month"].to_numpy())
    if (lacking := at < 0).any():
        raise KeyError(f"no movement of {', '.join(customers.take(np.unique(owner[lacking])[:10]))}")
    movement = movements.iloc[at]
    names = {name: calendar.take(every[name].to_numpy()).array for name in SPAN}
    names |= {
        "customer": customers.take(owner).array,
        "group": groups.take(every["holder"].to_numpy() % len(groups)).array,
        "segment": movement["segment"].array,
    }
    return every.assign(
        **names, surge=movement["flags_json"].str.contains('"seat_surge"', regex=False).to_numpy(dtype=bool)
    )[EVENT_COLUMNS]


@dataclass(frozen=True)
class _Gained:
    """Seats gained by holder (customer and match group) and month."""

    keys: Ints
    """`holder * months + month`, ascending, each once."""
    seats: npt.NDArray[Any]
    """int64, or exact fractions."""
    size: int
    """Months."""

    def at(self, keys: Ints) -> npt.NDArray[Any]:
        """The seats gained, 0 where there is no change."""
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[place] == keys, self.seats[place], 0)


def _gained(pairs: pd.DataFrame, size: int) -> Iterator[_Gained]:
    """Seats gained by holder and month, as whole numbers.

    As fractions for the few holders that have others, or as many as would not fit.
    """
    texts = pd.concat([pairs["to_quantity"], pairs["from_quantity"]])
    code, distinct = pd.factorize(texts)
    # Null, which is the last, is none.
    exact = np.array([*(decimal(text) for text in distinct), Fraction(0)], dtype=object)
    fits = np.array([value.denominator == 1 and value < _LARGEST for value in exact], dtype=bool)
    whole = np.where(fits, exact, 0).astype(np.int64)
    holder, after, before = pairs["holder"].to_numpy(), code[: len(pairs)], code[len(pairs) :]
    most = np.bincount(holder, whole[after]) + np.bincount(holder, whole[before])
    broken = most >= _LARGEST
    broken[holder[~(fits[after] & fits[before])]] = True
    keys = holder * size + pairs["month"].to_numpy()
    for rows, values in ((~broken[holder], whole), (broken[holder], exact)):
        if rows.any():
            found, at = np.unique(keys[rows], return_inverse=True)
            seats = np.zeros(len(found), dtype=values.dtype)
            np.add.at(seats, at, values[after[rows]] - values[before[rows]])
            yield _Gained(found, seats, size)


def _kept(event: Ints, amount: Ints, gained: _Gained, groups: int, churned: Ints) -> Iterator[pd.DataFrame]:
    """Events at the end of their month and of each of the three after it.

    As codes of months and holders, with the seats and the amount kept.

    Args:
        event: `holder * months + month` of each.
        amount: what is paid for its seats.
        gained: seats gained of every holder.
        groups: how many match groups a customer can have.
        churned: `customer * months + month` of everyone who left.
    """
    added = gained.at(event)
    rose = np.asarray(added > 0, dtype=bool)
    event, amount, added = event[rose], amount[rose], added[rose]
    holder, month = event // gained.size, event % gained.size
    owned, left = added, np.zeros(len(event), dtype=bool)
    for age in range(LASTS + 1):
        if age:
            left = left | np.isin(holder // groups * gained.size + month + age, churned)
            owned = owned + gained.at(event + age)
        kept = np.where(left, 0, np.minimum(added, np.maximum(owned, 0)))
        judged = np.where(
            kept * DURABLE.denominator >= added * DURABLE.numerator, "durable", "partial"
        ).astype(object)
        judged[np.asarray(kept * REVERTED.denominator <= added * REVERTED.numerator, dtype=bool)] = "reverted"
        yield pd.DataFrame(
            {
                "month": month + age,
                "expanded_month": month,
                "holder": holder,
                "seats_added": _texts(added),
                "seats_kept": _texts(kept),
                "amount": amount,
                "kept": _part(amount, kept, added),
                "status": pd.Series(
                    judged if age == LASTS else "pending", index=range(len(event)), dtype="str"
                ),
            }
        )


def _part(amount: Ints, kept: npt.NDArray[Any], added: npt.NDArray[Any]) -> Ints:
    """`amount * kept / added`, rounded half-even.

    0 <= kept <= added, and whole numbers are so small that their square fits.
    """
    if added.dtype == object:
        return np.array(
            [
                round(paid * Fraction(left) / of)
                for paid, left, of in zip(amount.tolist(), kept, added, strict=True)
            ],
            dtype=np.int64,
        )
    whole, rest = np.divmod(amount % added * kept, added)
    whole += amount // added * kept
    return np.asarray(whole + ((2 * rest > added) | ((2 * rest == added) & (whole % 2 == 1))), dtype=np.int64)


def _texts(seats: npt.NDArray[Any]) -> pd.Series[str]:
    code, distinct = pd.factorize(seats)
    exact = [Fraction(value) for value in distinct.tolist()]
    texts = [canonical.decimal_text(Decimal(value.numerator) / Decimal(value.denominator)) for value in exact]
    return pd.Series(np.array(texts, dtype=object)[code], dtype="str")


def compute_seat_events(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/seat_events of some months."""
    return Computed({SeatEvents: seat_events(wanted, inputs.frame(mrr.Movements), inputs.frame(mrr.Causes))})
