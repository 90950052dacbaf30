"""A pull of a simulated account at once: what changed of every table, and the state to pull from next."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from expansion_platform.sources.stripe.changes import PullState, TableChange, merged
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.full import Progress, read_everything
from expansion_platform.sources.stripe.pull import read_changes, since, why_everything


@dataclass(frozen=True)
class PullResult:
    """A pull: a change for each table of the floor, and the state to store after them.

    Tables are named `stripe/customers` and so on. And what was read.
    """

    changes: dict[str, TableChange]
    state: PullState
    counts: dict[str, int]  # objects read per resource
    full: bool
    reason: str  # why everything was read, or since when


def pull(
    source: StripeSource, state: PullState, as_of: datetime, progress: Progress | None = None
) -> PullResult:
    """Reads what a stored copy of the account lacks, at once.

    For accounts that fit into memory, or when little changed.

    Args:
        source: The account.
        state: What the last pull returned, or `PullState()`.
        as_of: The instant up to which objects and events are read; it becomes the rows' `observed_at`. Must
            carry a time zone.
        progress: Called with a resource and the objects of it read so far, with every page.

    Returns:
        A change for every `stripe/*` table. Pulling again from the same state gives the same rows.

    Raises:
        DataQualityError: An object lacks what its row needs.
        ConfigurationError, StripeRequestError: As in `StripeSource.objects`.
    """
    reason = why_everything(state, as_of)
    reading = (
        read_changes(source, state, as_of, progress)
        if reason is None
        else read_everything(source, as_of, progress=progress)
    )
    batches = list(reading)
    counts: dict[str, int] = defaultdict(int)
    for batch in batches:
        for resource, count in batch.counts.items():
            counts[resource] += count
    return PullResult(
        changes={name: merged([batch.changes[name] for batch in batches]) for name in batches[0].changes},
        state=state.moved(as_of, (event for batch in batches for event in batch.recent_events)),
        counts=dict(counts),
        full=reason is not None,
        reason=reason or since(state, as_of),
    )
