"""Usage of metered items by calendar month, from the bills that charge it in arrears (semantics 1.5, reference 2.5.10).

Here: spreading a bill's usage over its own period, and the item's states cut by month, each with its month's usage as quantity. Not here: what a
bill's line asserts of the item itself (`history_facts.py`).

A bill tells how much was used over a period, not when: each instant of it gets the same share, so that a full day gets a day's part. What no bill
covers yet, after the last one, goes on at the last one's pace and is restated when the bill comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from expansion_platform.domain import canonical, months
from expansion_platform.domain.history_reading import SECOND
from expansion_platform.domain.history_records import Line
from expansion_platform.domain.money import round_half_even

DECIMALS = 12
"""Of a month's usage, as of a unit price: rounded half-even once."""


class Month(NamedTuple):
    """A calendar month of the reporting time zone, in microseconds."""

    start: int
    end: int


class Used(NamedTuple):
    """A month's usage of one item: decimal text, whether bills cover all of it, and their lines."""

    quantity: str
    billed: bool
    lines: frozenset[str]


def is_usage(line: Line) -> bool:
    """Whether a metered price's line tells usage: billed after its period. The first bill lists the period to come, at nothing."""
    return not line.proration and (line.draft or not line.void) and line.created >= line.end


def months_of(start: int, end: int, timezone: str) -> Iterator[Month]:
    """The months that [start, end) touches."""
    month = months.of(datetime.fromtimestamp(start // SECOND, UTC), timezone)
    while (opening := months.opening(month, timezone).value // 1000) < end:
        yield Month(opening, months.closing(month, timezone).value // 1000)
        month = months.shift(month, 1)


def used(lines: list[Line], month: Month, ended_at: int | None) -> Used:
    """What an item used in a month.

    Args:
        lines: Its usage lines (`is_usage`), whole.
        month: The month.
        ended_at: When the item ended; None while it lasts.
    """
    total = sum((Fraction(Decimal(line.state.quantity)) * _share(line, month.start, month.end) for line in lines), Fraction(0))
    told = frozenset(line.id for line in lines if line.start < month.end and line.end > month.start)
    last = max(lines, key=lambda line: (line.end, line.start), default=None)
    until = month.end if ended_at is None else min(month.end, ended_at)
    billed = last is not None and last.end >= until
    if last is not None and not billed:
        total += Fraction(Decimal(last.state.quantity)) * Fraction(until - max(last.end, month.start), last.end - last.start)
    return Used(_text(total), billed, told)


def _share(line: Line, start: int, end: int) -> Fraction:
    return Fraction(max(0, min(line.end, end) - max(line.start, start)), line.end - line.start)


def _text(quantity: Fraction) -> str:
    return canonical.decimal_text(Decimal(f"{round_half_even(quantity * 10**DECIMALS)}E-{DECIMALS}"))
