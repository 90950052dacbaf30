"""How much of an expansion lasts (semantics 4.5).

Here: what is left of added seats, which months are looked at from which, the rates. Not here: the sums over all expansion
(`sql/durability_sums.sql`), the alert (`detection/followups.py`), which reads the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain import canonical, months
from expansion_platform.domain.inputs import Computed, Inputs
from expansion_platform.domain.metric_rows import Amount, metric_rows, slices
from expansion_platform.domain.money import Ints, decimal
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.lasting import DURABLE, REVERTED, STATUSES, Durability, SeatEvents

LASTS = 3
"""Months after which an expansion is judged."""
JUDGED_STATUSES = STATUSES[1:]
SPAN = ["month", "expanded_month"]
EVENT_COLUMNS = [*SPAN, "customer", "group", "segment", "seats_added", "seats_kept", "amount", "kept", "status", "surge"]
PAIR = ["from_item", "to_item", "from_quantity", "to_quantity"]
_LARGEST = 2**31
"""Seats of a holder in all: their square fits int64."""

JUDGED: dict[str, tuple[Amount, Amount | None]] = {
    "durability_3m": (lambda s: s.durable, lambda s: s.expansion),
    "durable_expansion_rate": (lambda s: s.durable, lambda s: s.opening),
    "core_expansion_rate_3m": (lambda s: s.core, lambda s: s.opening),
    "seat_surge_share_3m": (lambda s: s.surged, lambda s: s.expansion),
}
AT_ONCE: dict[str, tuple[Amount, Amount | None]] = {
    "core_expansion_rate": (lambda s: s.core, lambda s: s.opening),
    "seat_surge_share": (lambda s: s.surged, lambda s: s.expansion),
}
SEATS_JUDGED: dict[str, tuple[Amount, Amount | None]] = {
    "seat_durability_3m": (lambda s: s.kept, lambda s: s.amount),
    **{f"seat_events_{status}": (attrgetter(f"events_{status}"), attrgetter("events")) for status in JUDGED_STATUSES},
    **{f"seat_amount_{status}": (attrgetter(f"amount_{status}"), attrgetter("amount")) for status in JUDGED_STATUSES},
}
SEATS_PENDING: dict[str, tuple[Amount, Amount | None]] = {
    "seat_events_pending": (lambda s: s.events, None),
    "seat_amount_pending": (lambda s: s.amount, None),
}


def looked_at(month: str) -> list[str]:
    """The months that what is told of a month depends on, oldest first."""
    return months.between(months.shift(month, -LASTS), month)


def spans(wanted: list[str]) -> pd.DataFrame:
    """What is looked at in each month: its own expansion, and that of three months before. Columns month, expanded_month."""
    return pd.DataFrame([{"month": month, "expanded_month": months.shift(month, -age)} for month in wanted for age in (0, LASTS)])


def seat_events(wanted: Collection[str], movements: pd.DataFrame, causes: pd.DataFrame) -> pd.DataFrame:
    """mrr/seat_events of some months without hashes.

    Args:
        wanted: the months.
        movements: mrr/movements (month, customer, segment, movement, flags_json) of what they look at.
        causes: mrr/causes of the same months.

    An event is a customer's match group whose seats rose in a month, and what is paid for seats with them. Of the seats added, those still held are
    kept, from none to all; a customer that has left keeps none, also when it came back. The amount kept is rounded half-even, once an event.
    """
    seats = (causes["cause"] == "seat").to_numpy(dtype=bool)
    if not seats.any():
        return pd.DataFrame(columns=EVENT_COLUMNS)
    calendar = pd.Index(months.between(causes["month"].min(), months.shift(causes["month"].max(), LASTS)))
    customer, customers = pd.factorize(causes["customer"], sort=True)
    group, groups = pd.factorize(causes["group"], sort=True)
    holder, month = customer * len(groups) + group, calendar.get_indexer(pd.Index(causes["month"]))
    movements = movements[movements["customer"].isin(customers) & movements["month"].isin(calendar)]
    moved = customers.get_indexer(pd.Index(movements["customer"])) * len(calendar) + calendar.get_indexer(pd.Index(movements["month"]))
    churned = moved[(movements["movement"] == "churn").to_numpy(dtype=bool)]
    event, of_event = np.unique(holder[seats] * len(calendar) + month[seats], return_inverse=True)
    amount = np.zeros(len(event), dtype=np.int64)
    np.add.at(amount, of_event, causes["amount"].to_numpy(dtype=np.int64)[seats])
    bought = np.isin(holder, holder[seats])
    rows = pd.DataFrame({"holder": holder, "month": month}).assign(**{name: causes[name].array for name in PAIR})[bought]
    parts: list[pd.DataFrame] = []
    for gained in _gained(rows.drop_duplicates(["holder", "month", "from_item", "to_item"]), len(calendar)):
        here = np.isin(event, gained.keys) & (amount > 0)
        parts += _kept(event[here], amount[here], gained, len(groups), churned)
    every = pd.concat(parts, ignore_index=True)
    every = every[calendar.take(every["month"].to_numpy()).isin(list(wanted))].sort_values([*SPAN, "holder"], ignore_index=True)
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
    return every.assign(**names, surge=movement["flags_json"].str.contains('"seat_surge"', regex=False).to_numpy(dtype=bool))[EVENT_COLUMNS]


def lasting_surges(events: pd.DataFrame) -> pd.DataFrame:
    """Month, expanded_month and customer of the seat surges that turned out durable: 80 % of what their seats added is kept."""
    judged = events[events["surge"] & (events["status"] != "pending")]
    sums = judged.groupby([*SPAN, "customer"], as_index=False)[["amount", "kept"]].sum()
    lasting = sums["kept"] * DURABLE.denominator >= sums["amount"] * DURABLE.numerator
    return sums.loc[lasting, [*SPAN, "customer"]].astype("str")


def durability(sums: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """metrics/durability without hashes.

    Args:
        sums: `sql/durability_sums.sql` over `spans`.
        events: mrr/seat_events of the same months.
    """
    newest = sums["month"] == sums["expanded_month"]
    seats = seat_sums(sums, events)
    parts = []
    for rows, metrics in (
        (sums[~newest], JUDGED),
        (sums[newest], AT_ONCE),
        (seats[~newest], SEATS_JUDGED),
        (seats[newest], SEATS_PENDING),
    ):
        parts.append(metric_rows(rows, metrics).assign(expanded_month=rows["expanded_month"].repeat(len(metrics)).to_numpy()))
    return pd.concat(parts).sort_values("month", kind="stable", ignore_index=True)


def seat_sums(sums: pd.DataFrame, events: pd.DataFrame) -> pd.DataFrame:
    """Amounts and counts of seat events for each row of `sums` (its slice, months and members): those judged, or all that are pending."""
    slice_of = [*SPAN, "dimension", "value"]
    pending = events["status"] == "pending"
    told = events.assign(expanded_month=events["expanded_month"].mask(pending, events["month"]))
    sliced = pd.concat([told.assign(dimension="total", value="all"), told.assign(dimension="segment", value=told["segment"])], ignore_index=True)
    found = sliced.groupby(slice_of).agg(amount=("amount", "sum"), kept=("kept", "sum"), events=("group", "size"), expanders=("customer", "nunique"))
    for status in JUDGED_STATUSES:
        of_status = sliced[sliced["status"] == status].groupby(slice_of)["amount"].agg(["size", "sum"])
        found = found.join(of_status.rename(columns={"size": f"events_{status}", "sum": f"amount_{status}"}))
    base = sums[[*slice_of, "members"]].join(found, on=slice_of)
    return base.fillna(dict.fromkeys(found.columns, 0)).astype(dict.fromkeys(found.columns, "int64"))


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
    """Seats gained by holder and month, as whole numbers; as fractions for the few holders that have others, or as many as would not fit."""
    texts = pd.concat([pairs["to_quantity"], pairs["from_quantity"]])
    code, distinct = pd.factorize(texts)
    exact = np.array([*(decimal(text) for text in distinct), Fraction(0)], dtype=object)  # null, which is the last, is none
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
    """Events at the end of their month and of each of the three after it, as codes of months and holders, with the seats and the amount kept.

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
        judged = np.where(kept * DURABLE.denominator >= added * DURABLE.numerator, "durable", "partial").astype(object)
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
                "status": pd.Series(judged if age == LASTS else "pending", index=range(len(event)), dtype="str"),
            }
        )


def _part(amount: Ints, kept: npt.NDArray[Any], added: npt.NDArray[Any]) -> Ints:
    """`amount * kept / added`, rounded half-even; 0 <= kept <= added, and whole numbers are so small that their square fits."""
    if added.dtype == object:
        return np.array([round(paid * Fraction(left) / of) for paid, left, of in zip(amount.tolist(), kept, added, strict=True)], dtype=np.int64)
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


def compute_durability(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/durability of some months."""
    events = inputs.frame(SeatEvents)
    read = {
        "customer_months": inputs.scan(mrr.CustomerMonths),
        "movements": inputs.scan(mrr.Movements),
        "causes": inputs.scan(mrr.Causes),
        "organic": pd.DataFrame({"cause": mrr.ORGANIC}),
        "spans": spans(list(wanted)),
        "slices": slices(),
        "lasting_surges": lasting_surges(events),
    }
    return Computed({Durability: durability(query("durability_sums", read), events)})
