"""Turns of a subscription's status and of its paused collection.

When they happened, and how Stripe's records can show them.

Here: the log of turns, and where each is expected once its event is gone. Not here: items and discounts
(`simulator/truth/items.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass
class Turn:
    """From `at` on the value holds.

    `bill` is when the bill behind `unpaid` was not paid, where nothing else dates it.

    `records` are bills dated after the turn whose treatment shows it: drafts while unpaid, the first bill
    after a pause began or ended.
    """

    at: int
    value: str | None
    bill: int | None = None
    records: list[int] = field(default_factory=list)


def value_at(turns: Sequence[Turn], at: int, default: str | None) -> str | None:
    """The value of the last turn up to `at`."""
    return next((turn.value for turn in reversed(turns) if turn.at <= at), default)


def expected_statuses(
    turns: Sequence[Turn], ended_at: int | None, event_times: Sequence[int], as_of: int
) -> list[Turn]:
    """Statuses as records show them.

    Bills date `past_due` and the return, but of `unpaid` they only show that it was.

    `unpaid` is then expected from the bill it is for: shown by drafts, by events (`event_times`)
    or by the subscription as it is now. A bill marked uncollectible dates it.
    """
    found: list[Turn] = []
    for place, turn in enumerate(turns):
        end = next((later.at for later in turns[place + 1 :] if later.at <= as_of), ended_at)
        if turn.at > as_of:
            break
        if turn.value != "unpaid" or turn.bill is None or turn.at in event_times:
            found.append(turn)
        elif end is None or any(turn.at < at <= end for at in [*turn.records, *event_times]):
            found = [*(each for each in found if each.at < turn.bill), replace(turn, at=turn.bill)]
    return found


def expected_pauses(
    turns: Sequence[Turn], ended_at: int | None, event_times: Sequence[int], as_of: int
) -> list[Turn]:
    """Pauses as records show them.

    From the first bill they kept from being collected, to the next one collected, or the first event.
    """
    found: list[Turn] = []
    known = [turn for turn in turns if turn.at <= as_of]
    for place, turn in enumerate(known):
        end = known[place + 1].at - 1 if turn is not known[-1] else as_of
        shown = sorted(at for at in [*turn.records, *event_times] if turn.at <= at <= end)
        if not shown and turn is known[-1] and ended_at is None:
            shown = [as_of]
        if shown and turn.value != value_at(found, as_of, None):
            found.append(replace(turn, at=shown[0]))
    return found
