"""How much of an expansion lasts (semantics 4.5).

Here: what is left of added seats, which months are looked at from which, the rates. Not here: the sums over
all expansion (`durability_sums.sql`), the alert (`alerts/followups.py`), which reads the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core import months
from expansion_platform.domain.core.queries import query
from expansion_platform.domain.metrics.rows import Amount, metric_rows, slices
from expansion_platform.domain.metrics.tables import Durability
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.mrr import vocabulary
from expansion_platform.domain.mrr.seat_events import LASTS, SPAN
from expansion_platform.domain.mrr.tables import SeatEvents
from expansion_platform.domain.mrr.tables.seat_events import DURABLE, STATUSES

JUDGED_STATUSES = STATUSES[1:]

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
    **{
        f"seat_events_{status}": (attrgetter(f"events_{status}"), attrgetter("events"))
        for status in JUDGED_STATUSES
    },
    **{
        f"seat_amount_{status}": (attrgetter(f"amount_{status}"), attrgetter("amount"))
        for status in JUDGED_STATUSES
    },
}
SEATS_PENDING: dict[str, tuple[Amount, Amount | None]] = {
    "seat_events_pending": (lambda s: s.events, None),
    "seat_amount_pending": (lambda s: s.amount, None),
}


def spans(wanted: list[str]) -> pd.DataFrame:
    """What is looked at in each month: its own expansion, and that of three months before.

    Columns month, expanded_month.
    """
    return pd.DataFrame(
        [
            {"month": month, "expanded_month": months.shift(month, -age)}
            for month in wanted
            for age in (0, LASTS)
        ]
    )


def durable_share() -> pd.DataFrame:
    """`DURABLE` as queries read it."""
    return pd.DataFrame({"numerator": [DURABLE.numerator], "denominator": [DURABLE.denominator]})


def durability(sums: pd.DataFrame, of_events: pd.DataFrame) -> pd.DataFrame:
    """metrics/durability without hashes.

    Args:
        sums: `durability_sums.sql` over `spans`.
        of_events: `seat_sums.sql` of the same months.
    """
    newest = sums["month"] == sums["expanded_month"]
    seats = seat_sums(sums, of_events)
    parts = []
    for rows, metrics in (
        (sums[~newest], JUDGED),
        (sums[newest], AT_ONCE),
        (seats[~newest], SEATS_JUDGED),
        (seats[newest], SEATS_PENDING),
    ):
        parts.append(
            metric_rows(rows, metrics).assign(
                expanded_month=rows["expanded_month"].repeat(len(metrics)).to_numpy()
            )
        )
    return pd.concat(parts).sort_values("month", kind="stable", ignore_index=True)


def seat_sums(sums: pd.DataFrame, of_events: pd.DataFrame) -> pd.DataFrame:
    """Amounts and counts of seat events for each row of `sums` (its slice, months and members).

    Those judged, or all that are pending.
    """
    slice_of = [*SPAN, "dimension", "value"]
    found = of_events.set_index(slice_of).reindex(pd.MultiIndex.from_frame(sums[slice_of]), fill_value=0)
    return found.reset_index().assign(members=sums["members"].to_numpy())


def compute_durability(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/durability of some months."""
    events = inputs.scan(SeatEvents)
    read = {
        "customer_months": inputs.scan(mrr.CustomerMonths),
        "movements": inputs.scan(mrr.Movements),
        "causes": inputs.scan(mrr.Causes),
        "organic": pd.DataFrame({"cause": vocabulary.ORGANIC}),
        "spans": spans(list(wanted)),
        "slices": slices(),
        "events": events,
        "durable": durable_share(),
    }
    of_events = query("metrics/seat_sums", {"events": events, "slices": slices()})
    return Computed({Durability: durability(query("metrics/durability_sums", read), of_events)})
