"""Usage of metered items by calendar month (semantics 1.5, reference 2.5.10).

From their meters, or else from the bills that charge it in arrears.

Here: a month's usage by the days its meter counted, and by a bill's usage spread over its own period. Not
here: what a bill's line asserts of the item itself (`facts.py`).

A meter reports the usage of each day (UTC). An invoice shows how much was used over a period, not when: each
instant of it gets the same share, so that a full day gets a day's part. Time after the last invoice, which no
invoice covers yet, is estimated at the last invoice's pace and restated when the next invoice comes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.rows import SECOND, columns
from expansion_platform.domain.history.records import Line

DECIMALS = 12
"""Of a month's usage, as of a unit price: rounded half-even once."""
DAY = 86_400 * SECOND
FORMULAS = ("sum", "count", "last")
"""By which meters aggregate, as far as Stripe documents."""


class Month(NamedTuple):
    """A calendar month of the reporting time zone, in microseconds."""

    start: int
    end: int


class Used(NamedTuple):
    """A month's usage of one item.

    Decimal text, whether it covers the whole month, and the ids of the lines or of the meter that show it.
    """

    quantity: str
    whole: bool
    evidence: frozenset[str]


class Metered:
    """A customer's days on one meter, one after the other from `first` (its beginning, microseconds) on.

    None where nothing was reported.
    """

    def __init__(self, meter: str, formula: str, first: int, values: list[str | None]) -> None:
        self.meter = meter
        self.formula = formula
        self.first = first
        self.values = values

    @property
    def end(self) -> int:
        """The first instant of which nothing is known."""
        return self.first + len(self.values) * DAY

    def used(self, start: int, end: int) -> str:
        """Usage in [start, end), which it covers, by the meter's own formula.

        Of a day that is not all inside, each instant has the same share.

        Stripe bills nothing for a sum below zero.
        """
        if self.formula == "last":
            inside = self.values[max(0, (start - self.first) // DAY) : max(0, -((self.first - end) // DAY))]
            return _text(*_ratio(next((value for value in reversed(inside) if value is not None), "0")))
        used = max(Fraction(0), Fraction(self._until(end) - self._until(start)))
        return _text(used.numerator, used.denominator)

    def _until(self, at: int) -> Fraction | int:
        day, into = divmod(at - self.first, DAY)
        if day < 0 or day >= len(self.values):
            return self._sums[0 if day < 0 else -1]
        whole = self._sums[day]
        return whole if not into else whole + (self._sums[day + 1] - whole) * Fraction(into, DAY)

    @cached_property
    def _sums(self) -> list[Fraction | int]:
        """Usage before each day.

        Whole numbers are added as such: fractions of a thousand days a customer were a quarter of history.
        """
        values = [Decimal(value or "0") for value in self.values]
        if all(value == value.to_integral_value() for value in values):
            return list(accumulate(map(int, values), initial=0))
        return list(accumulate(map(Fraction, values), initial=Fraction(0)))


def metered(usage: pd.DataFrame | None) -> dict[tuple[str, str], Metered]:
    """stripe/meter_usage by customer and meter, of meters whose formula is known."""
    if usage is None:
        return {}
    rows = usage[usage["formula"].isin(FORMULAS)].sort_values(["customer", "meter", "created"])
    by_column = columns(rows[["customer", "meter", "formula", "created", "value"]])
    found: dict[tuple[str, str], Metered] = {}
    for customer, meter, formula, day, value in zip(*by_column.values(), strict=True):
        days = found.get((customer, meter))
        if days is None or days.end != day:  # what was not read for a while begins anew
            days = found[customer, meter] = Metered(meter, formula, day, [])
        days.values.append(value)
    return found


def is_usage(line: Line) -> bool:
    """Whether a metered price's line shows usage: billed after its period.

    The first bill lists the period to come, at nothing.
    """
    return not line.proration and (line.draft or not line.void) and line.created >= line.end


def months_of(start: int, end: int, timezone: str) -> Iterator[Month]:
    """The months that [start, end) touches."""
    month = months.of(datetime.fromtimestamp(start // SECOND, UTC), timezone)
    while (bounds := _bounds(month, timezone)).start < end:
        yield bounds
        month = _following(month)


_following = lru_cache(partial(months.shift, by=1))


@lru_cache(maxsize=1 << 12)
def _bounds(month: str, timezone: str) -> Month:
    return Month(months.opening(month, timezone).value // 1000, months.closing(month, timezone).value // 1000)


def by_meter(
    days: Metered | None, month: Month, began_at: int, ended_at: int | None, known: int
) -> Used | None:
    """What an item used in a month by its meter, None when the days read do not cover it.

    Args:
        days: What is known of its customer's use of its meter.
        month: The month.
        began_at: When the item began; its first day is its own, since there is no charge for what was used
            before.
        ended_at: When the item ended, None while it lasts; its last day is its own likewise.
        known: Up to when the subscription is known: days that had not passed by then are missing to nobody.
    """
    if days is None:
        return None
    start = max(month.start, began_at // DAY * DAY)
    until = month.end if ended_at is None else min(month.end, -(-ended_at // DAY) * DAY)
    if days.first > start // DAY * DAY or days.end < min(until, known // DAY * DAY):
        return None
    return Used(days.used(start, min(until, days.end)), days.end >= until, frozenset({days.meter}))


class Billed:
    """An item's usage lines (`is_usage`), whole."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = sorted(lines, key=attrgetter("start"))
        self._starts = [line.start for line in self._lines]
        self._latest = list(accumulate((line.end for line in self._lines), max))
        self._last = max(lines, key=attrgetter("end", "start"), default=None)

    def used(self, month: Month, ended_at: int | None) -> Used:
        """What the item used in a month by its bills; it ended at `ended_at`, None while it lasts."""
        # Most bills are of other months.
        near = self._lines[bisect_right(self._latest, month.start) : bisect_left(self._starts, month.end)]
        within = [line for line in near if line.end > month.start]
        shares = [_share(line, min(line.end, month.end) - max(line.start, month.start)) for line in within]
        until = month.end if ended_at is None else min(month.end, ended_at)
        whole = self._last is not None and self._last.end >= until
        if self._last is not None and not whole:
            shares.append(_share(self._last, until - max(self._last.end, month.start)))
        return Used(_sum(shares), whole, frozenset([line.id for line in within]))


def _share(line: Line, length: int) -> tuple[int, int]:
    """A part of a line's usage that is as long as `length`, as numerator and denominator."""
    above, below = _ratio(line.state.quantity)
    return above * length, below * (line.end - line.start)


_ratio = lru_cache(maxsize=1 << 16)(lambda text: Decimal(text).as_integer_ratio())


def _sum(shares: list[tuple[int, int]]) -> str:
    """Decimal text of all parts together.

    No fraction is reduced to lowest terms: usage by bills was a tenth of history.
    """
    above, below = 0, 1
    for more, of in shares:
        above, below = above * of + more * below, below * of
    return _text(above, below)


def _text(above: int, below: int) -> str:
    """Decimal text of a numerator and a denominator, neither below zero."""
    whole, rest = divmod(above, below)
    if not rest:
        return str(whole)
    small, rest = divmod(above * 10**DECIMALS, below)
    small += 2 * rest > below or (2 * rest == below and small % 2 == 1)  # half-even
    whole, rest = divmod(small, 10**DECIMALS)
    return f"{whole}.{rest:0{DECIMALS}d}".rstrip("0").rstrip(".")
