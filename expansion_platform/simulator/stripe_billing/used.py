"""What metered items used: the log of it, and a calendar month's usage as bills or as the meter show it.

See semantics 1.5.

Here: usage as it was billed, spread evenly over its period, and as it was reported. Written apart from
`domain/history/usage.py` on purpose: the two check each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from dateutil.relativedelta import relativedelta

from expansion_platform.domain.core import canonical
from expansion_platform.simulator.stripe_billing.metering import DAY, Metering

DRAFT_LEFT = 3 * 86_400


@dataclass
class Bill:
    """The bill a use is on, once made."""

    at: int
    document: dict[str, Any] | None = None

    def shows_usage(self, as_of: int) -> bool:
        """Whether it says what was used: not one taken back, nor a draft that may still change."""
        status = (self.document or {})["status"]
        return status != "void" and (status != "draft" or self.at < as_of - DRAFT_LEFT)


@dataclass
class Use:
    """What an item used evenly over [start, end)."""

    item: str
    start: int
    end: int
    quantity: int
    bill: Bill


def as_billed(rows: list[dict[str, Any]], uses: list[Use], as_of: int) -> list[dict[str, Any]]:
    """An item's intervals cut where UTC months begin, each with `used`: its month's usage by its bills.

    The month of `as_of` stays open.
    """
    known = [use for use in uses if use.bill.shows_usage(as_of)]
    return _by_month(rows, lambda opening, closing: _used(known, opening, closing), as_of)


def as_metered(rows: list[dict[str, Any]], metering: Metering, as_of: int) -> list[dict[str, Any]]:
    """The same by its meter.

    What was reported while the item existed, up to the day of `as_of`, which has not passed.
    """
    begin, passed = rows[0]["valid_from"], as_of // DAY * DAY
    return _by_month(
        rows, lambda opening, closing: str(metering.used(max(opening, begin), min(closing, passed))), as_of
    )


def _by_month(
    rows: list[dict[str, Any]], used: Callable[[int, int], str], as_of: int
) -> list[dict[str, Any]]:
    end = rows[-1]["valid_to"]
    found = []
    for row in rows:
        start = row["valid_from"]
        while start is not None:
            month = datetime.fromtimestamp(start, UTC).replace(day=1, hour=0, minute=0, second=0)
            opening, closing = int(month.timestamp()), int((month + relativedelta(months=1)).timestamp())
            last = (as_of if row["valid_to"] is None else row["valid_to"] - 1) < closing
            stop = row["valid_to"] if last else closing
            found.append(
                {
                    **row,
                    "valid_from": start,
                    "valid_to": stop,
                    "used": used(opening, closing if end is None else min(end, closing)),
                }
            )
            start = None if last else stop
    return found


def _used(uses: list[Use], opening: int, closing: int) -> str:
    total = Fraction(0)
    for use in uses:
        inside = min(use.end, closing) - max(use.start, opening)
        total += Fraction(use.quantity * max(0, inside), use.end - use.start)
    if uses and uses[-1].end < closing:
        newest = uses[-1]
        total += Fraction(newest.quantity * (closing - max(newest.end, opening)), newest.end - newest.start)
    return canonical.decimal_text(Decimal(f"{round(total * 10**12)}E-12"))
