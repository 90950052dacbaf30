"""What was known of a thing since when, from the changes of its fields.

Here: changes as versions. Not here: which changes there are (`hubspot.py`, `salesforce.py`, `zendesk.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from expansion_platform.sources.crm.fivetran import day_of

Fields = Mapping[str, str | None]


class Change(NamedTuple):
    """Fields that have new values."""

    known_at: datetime
    at: datetime
    """Of changes known at one instant, the one that happened last counts."""
    fields: Fields


class Version(NamedTuple):
    """All fields, as known since an instant; None for what is only known of today."""

    known_at: datetime | None
    fields: Fields


def versions_of(changes: Iterable[Change], needs: str = "") -> list[Version]:
    """The versions of one thing, the oldest first.

    Args:
        changes: In any order.
        needs: A field without which there is no version yet.
    """
    state: dict[str, str | None] = {}
    found: list[Version] = []
    ordered = sorted(
        changes, key=lambda each: (each.known_at, each.at, sorted(map(str, each.fields.items())))
    )
    for at, change in enumerate(ordered):
        state |= change.fields
        last_of_instant = at + 1 == len(ordered) or ordered[at + 1].known_at != change.known_at
        complete = not needs or state.get(needs) is not None
        if last_of_instant and complete and (not found or found[-1].fields != state):
            found.append(Version(change.known_at, dict(state)))
    return found


def and_today(versions: Sequence[Version], today: Fields, needs: str = "") -> list[Version]:
    """The versions, and one of today where they lead elsewhere: nothing says when that became so.

    Args:
        versions: The oldest first.
        today: Fields as they are today; those that are not known are left out.
        needs: A field without which there is no version.
    """
    last: dict[str, str | None] = dict(versions[-1].fields) if versions else {}
    together = last | dict(today)
    same = bool(versions) and all(last.get(name) == value for name, value in today.items())
    if same or (needs and together.get(needs) is None):
        return list(versions)
    return [*versions, Version(None, together)]


def closings(states: Iterable[tuple[datetime, bool]], zone: ZoneInfo) -> list[Change]:
    """Changes of `closed`, the day on which a thing was closed; None from when it was opened again.

    Args:
        states: Since when it is closed or not, in any order; it began open.
        zone: In which days are.
    """
    found: list[Change] = []
    was = False
    for at, closed in sorted(states):
        if closed != was:
            found.append(Change(at, at, {"closed": day_of(at, zone) if closed else None}))
        was = closed
    return found
