"""What a customer's use of a metered product is reported as: the meter events Stripe aggregates.

A day's use is reported once, at some instant of the day. Both are a hash of the customer and the day, so that
an account read later holds the same days and more.

Here: the events of one customer. Not here: their summaries over the API
(`simulator/servers/stripe_meters.py`), the bills they make (`invoicing.py`).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

METER = "mtr_SimulatedApi"
DAY = 86_400
A_DAY = 100
"""Calls, on average."""
IDLE = 0.1
"""Of days."""
SPELL = 60
"""Days a customer uses the product alike."""
QUIET = 0.08
"""Of spells: nothing is used."""


class Metering:
    """One customer's meter events."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._days: dict[int, tuple[int, int]] = {}

    def events(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """(instant, calls) of what was reported in [start, end), epoch seconds, ascending."""
        for day in range(start // DAY, -(-end // DAY)):
            at, calls = self._day(day)
            if start <= at < end and calls:
                yield at, calls

    def used(self, start: int, end: int) -> int:
        """Calls reported in [start, end)."""
        return sum(calls for _, calls in self.events(start, end))

    def _day(self, day: int) -> tuple[int, int]:
        if day not in self._days:
            spell, rng = (
                random.Random(f"{self._seed}:spell {day // SPELL}"),
                random.Random(f"{self._seed}:{day}"),
            )
            busy = 0 if spell.random() < QUIET or rng.random() < IDLE else spell.uniform(0.3, 1.7)
            self._days[day] = day * DAY + rng.randrange(DAY), int(busy * rng.uniform(0.2, 1.8) * A_DAY)
        return self._days[day]
