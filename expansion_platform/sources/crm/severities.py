"""How severe a ticket is, in the words of support tools.

Here: their words as ours. Not here: tickets.
"""

from __future__ import annotations

from typing import Any

from expansion_platform.domain.catalog.tables import SEVERITIES
from expansion_platform.sources.crm.fivetran import text

_LOW, _NORMAL, _HIGH, _CRITICAL = SEVERITIES
_WORDS = {
    "low": _LOW,
    "p4": _LOW,
    "normal": _NORMAL,
    "medium": _NORMAL,
    "p3": _NORMAL,
    "high": _HIGH,
    "p2": _HIGH,
    "urgent": _CRITICAL,
    "critical": _CRITICAL,
    "p1": _CRITICAL,
}


def severity(priority: Any) -> str | None:
    """`low`, `normal`, `high` or `critical`; None for no priority and for a word that is not known."""
    return _WORDS.get((text(priority) or "").lower())
