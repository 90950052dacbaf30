"""Values as warehouses keep them, read as Stripe's API would have sent them.

Here: instants (timestamps with and without zone, epoch seconds, text), whole numbers, decimals, flags, JSON
as text or value. Not here: which column a value is from (`columns.py`). Each raises ValueError for what it
cannot read; nothing is guessed.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from expansion_platform.sources.stripe.kinds import exact


def text(value: Any) -> str | None:
    """Text; an empty one is none, as loaders of CSV write null."""
    return None if value is None or value == "" else str(value)


def whole(value: Any) -> int | None:
    """A whole number, also from a decimal, a number or text without a fraction."""
    found = _decimal(value)
    if found is None:
        return None
    if found != found.to_integral_value():
        raise ValueError(f"not a whole number: {value!r}")
    return int(found)


def number(value: Any) -> str | None:
    """Decimal text. A binary float gives its shortest decimal form, which is the number Stripe sent."""
    found = _decimal(value)
    return None if found is None else format(found, "f")


def flag(value: Any) -> bool | None:
    """True or false, also from 0, 1 and text."""
    if value is None or isinstance(value, bool):
        return value
    known = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    found = known.get(str(value).lower())
    if found is None:
        raise ValueError(f"neither true nor false: {value!r}")
    return found


def moment(value: Any) -> int | None:
    """An instant as epoch seconds.

    A timestamp without a time zone is UTC: every one of these connectors writes that.
    """
    if value is None or value == "":
        return None
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    if isinstance(value, date):
        return int(datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    if isinstance(value, str) and exact(value) is None:
        return moment(datetime.fromisoformat(value))
    return whole(value)


def json_value(value: Any) -> Any:
    """JSON, whether the database gives it as value or as text. Fractions come as Decimal, never as float."""
    return json.loads(value, parse_float=Decimal) if isinstance(value, str) and value else value or None


def listed(value: Any) -> list[Any] | None:
    """A list: JSON, an array, or ids between commas.

    None when there is none; one object stands for a list of one.
    """
    if value is None:
        return None
    if isinstance(value, str) and not value.lstrip().startswith(("[", "{")):
        return [each.strip() for each in value.split(",") if each.strip()]
    found = json_value(value)
    if found is not None and not isinstance(found, dict | list | tuple):
        raise ValueError(f"not a list: {value!r}")
    return [] if found is None else [found] if isinstance(found, dict) else list(found)


def _decimal(value: Any) -> Decimal | None:
    if value is None or value == "":
        return None
    found = exact(value)
    if found is None:
        raise ValueError(f"not a number: {value!r}")
    return found
