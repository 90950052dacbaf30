"""How much of an expansion lasts (semantics 4.5).

Here: what is left of added seats, which months are looked at from which, the rates. Not here: the sums over all expansion
(`sql/durability_sums.sql`), the alert (`detection/followups.py`), which reads the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cache
from operator import attrgetter

import pandas as pd

from expansion_platform.domain import canonical, months
from expansion_platform.domain.inputs import Computed, Inputs
from expansion_platform.domain.metric_rows import Amount, metric_rows, slices
from expansion_platform.domain.money import decimal
from expansion_platform.domain.queries import query
from expansion_platform.domain.schemas import mrr
from expansion_platform.domain.schemas.lasting import DURABLE, REVERTED, STATUSES, Durability, SeatEvents

LASTS = 3
"""Months after which an expansion is judged."""
JUDGED_STATUSES = STATUSES[1:]
SPAN = ["month", "expanded_month"]
EVENT_COLUMNS = [*SPAN, "customer", "group", "segment", "seats_added", "seats_kept", "amount", "kept", "status", "surge"]
Event = tuple[str, str, str]
"""Month, customer, match group."""

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
        wanted: months told of.
        movements: mrr/movements (month, customer, segment, movement, flags_json) of what they look at.
        causes: mrr/causes of the same months.

    An event is a customer's match group whose seats rose in a month, and what is paid for seats with them. Of the seats added, those still held are
    kept, from none to all; a customer that has left keeps none, also when it came back. The amount kept is rounded half-even, once an event.
    """
    changes = _seat_changes(causes)
    amounts = causes[causes["cause"] == "seat"].groupby(["month", "customer", "group"])["amount"].sum()
    churned = set(movements.loc[movements["movement"] == "churn", ["month", "customer"]].itertuples(index=False, name=None))
    rows = movements[["month", "customer", "segment", "flags_json"]].itertuples(index=False, name=None)
    moved = {(month, customer): (segment, '"seat_surge"' in flags) for month, customer, segment, flags in rows}
    records = []
    for event, amount in zip(amounts.index.tolist(), amounts.tolist(), strict=True):
        added = changes[event]
        if amount > 0 and added > 0:
            segment, surge = moved[event[:2]]
            for month, kept in _held(event, changes, churned):
                if month in wanted:
                    share = kept / added
                    status = "pending" if month < _after(event[0])[-1] else _status(share)
                    records.append((month, *event, segment, _text(added), _text(kept), amount, round(amount * share), status, surge))
    return pd.DataFrame.from_records(records, columns=EVENT_COLUMNS).sort_values([*SPAN, "customer", "group"], ignore_index=True)


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


def _held(event: Event, changes: dict[Event, Fraction], churned: set[tuple[str, str]]) -> Iterator[tuple[str, Fraction]]:
    """The seats of an event held at the end of its month and of each of the three after it."""
    bought, customer, group = event
    added = held = changes[event]
    left = False
    yield bought, added
    for month in _after(bought):
        left = left or (month, customer) in churned
        held += changes.get((month, customer, group), Fraction(0))
        yield month, Fraction(0) if left else min(added, max(Fraction(0), held))


@cache
def _after(month: str) -> list[str]:
    """The months after which an expansion is judged; asked for of every event."""
    return months.between(months.shift(month, 1), months.shift(month, LASTS))


def _status(share: Fraction) -> str:
    return "durable" if share >= DURABLE else "reverted" if share <= REVERTED else "partial"


def _seat_changes(causes: pd.DataFrame) -> dict[Event, Fraction]:
    """Seats gained by event, from the pairs of items in groups where seats were a cause; exact."""
    groups = causes.loc[causes["cause"] == "seat", ["customer", "group"]].drop_duplicates()
    pairs = causes.merge(groups, on=["customer", "group"]).drop_duplicates(["month", "customer", "group", "from_item", "to_item"])
    changes: dict[Event, Fraction] = {}
    columns = [pairs[name].tolist() for name in ("month", "customer", "group", "from_quantity", "to_quantity")]
    for month, customer, group, before, after in zip(*columns, strict=True):
        event = month, customer, group
        changes[event] = changes.get(event, Fraction(0)) + _quantity(after) - _quantity(before)
    return changes


def _quantity(text: str | None) -> Fraction:
    return Fraction(0) if text is None or text != text else decimal(text)


def _text(seats: Fraction) -> str:
    return canonical.decimal_text(Decimal(seats.numerator) / Decimal(seats.denominator))


def compute_seat_events(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """mrr/seat_events of some months."""
    return Computed({SeatEvents: seat_events(wanted, inputs.frame(mrr.Movements), inputs.frame(mrr.Causes))})


def compute_durability(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/durability of some months."""
    events = inputs.frame(SeatEvents)
    read = {
        "customer_months": inputs.arrow(mrr.CustomerMonths),
        "movements": inputs.arrow(mrr.Movements),
        "causes": inputs.arrow(mrr.Causes),
        "organic": pd.DataFrame({"cause": mrr.ORGANIC}),
        "spans": spans(list(wanted)),
        "slices": slices(),
        "lasting_surges": lasting_surges(events),
    }
    return Computed({Durability: durability(query("durability_sums", read), events)})
