"""What the user says of each programme: what was planned, what it cost (semantics 6.9).

Here: their rows as numbers. Not here: reading them (`sources/user_tables.py`), what follows (`outcomes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from expansion_platform.domain.catalog.tables import SHARE
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.money import decimal, exponent
from expansion_platform.domain.signals.programmes.roi import Worth

MONTHS_RETAINED = 12
LARGEST = 2**62
"""Minor units from which a cost is a slip of the keyboard."""
NOTHING_KNOWN = Worth(None, None, MONTHS_RETAINED)


@dataclass(frozen=True)
class Plan:
    """A programme as planned.

    Args:
        planned_share: of treatment, as the user wrote it; None for a programme of which they say nothing.
        primary: the outcome that decides.
        worth: cost and worth of what it brings.
    """

    planned_share: str | None = None
    primary: str = SHARE
    worth: Worth = NOTHING_KNOWN


def programme_plans(given: pd.DataFrame, currency: str) -> dict[str, Plan]:
    """Programme -> plan.

    Args:
        given: the user's rows (`catalog/tables.py`, Programmes).
        currency: the reporting currency.

    Raises:
        ConfigurationError: a cost with a part of a minor unit, or one that no programme has.
    """
    found = {}
    rows = given.astype(object).where(given.notna(), None)
    for row in rows.to_dict("records"):
        cost = None if row["cost"] is None else decimal(row["cost"]) * 10 ** exponent(currency)
        if cost is not None and (cost.denominator != 1 or cost >= LARGEST):
            raise ConfigurationError(
                f"cost of programme {row['programme']} is {row['cost']}: it has more digits than an amount "
                f"in {currency} has"
            )
        found[str(row["programme"])] = Plan(
            row["planned_share"],
            row["primary_outcome"] or SHARE,
            Worth(
                None if cost is None else int(cost),
                None if row["margin"] is None else float(row["margin"]),
                MONTHS_RETAINED if row["months_retained"] is None else int(row["months_retained"]),
            ),
        )
    return found
