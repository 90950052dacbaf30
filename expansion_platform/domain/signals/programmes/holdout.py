"""Which arm of a programme a customer is in, before anybody speaks to it (semantics 6.5).

Here: the deterministic draw, and assignments as the user's table of them. Not here: writing the file
(`reports/holdout.py`), what became of the arms (`outcomes.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import date
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.tables import ARMS, CONTROL, TREATMENT
from expansion_platform.domain.core.canonical import dumps

DEFAULT_SHARE = Fraction(1, 10)
"""Of customers in the control group."""
_PARTS = 2**64


def arm(programme: str, customer: str, share: Fraction = DEFAULT_SHARE) -> str:
    """The arm of a customer, after aliases: the same whenever it is asked for.

    A hash of both names decides, so programmes are independent of each other, and a larger share keeps those
    who were in the control group already.

    Args:
        programme: its name.
        customer: after aliases.
        share: of the control group, above 0 and below 1.

    Raises:
        ValueError: the share is no such share.
    """
    if not 0 < share < 1:
        raise ValueError(f"the control group's share is above 0 and below 1, not {share}")
    digest = hashlib.sha256(dumps([programme, customer]).encode()).digest()
    return CONTROL if int.from_bytes(digest[:8], "big") < share * _PARTS else TREATMENT


def holdout(
    programme: str, customers: Iterable[str], share: Fraction, on: date, catalog: Catalog
) -> pd.DataFrame:
    """Rows of the user's table of assignments (`catalog/tables.py`, Assignments), by customer.

    Args:
        programme: its name.
        customers: Stripe customers; each counts once, under the id it was merged into.
        share: of the control group.
        on: the day.
        catalog: its aliases, and whom it excludes: they are left out.
    """
    named = sorted({catalog.customer(each) for each in customers if not catalog.excludes(each)})
    return pd.DataFrame(
        {
            "programme": programme,
            "customer": pd.Series(named, dtype="str"),
            "arm": pd.Series([arm(programme, each, share) for each in named], dtype="str"),
            "assigned_at": on.isoformat(),
            "randomised": "true",
        }
    )


__all__ = ["ARMS", "DEFAULT_SHARE", "arm", "holdout"]
