"""One pull of a Stripe account: everything the first time, afterwards only what may have changed.

Here: what a later pull reads. Not here: reading everything (`full.py`), requests (`client.py`), columns (`rows.py`, `events.py`), what the result
means for a stored table (`changes.py`).

Stripe has no "updated since". Later pulls therefore read the events since the last one, then the objects the events name, as they are now; new
objects come by `created`, and what changes without an event of its own (drafts, open invoices, pending items) is read each time. Stripe forgets
events after 30 days, so a longer gap means reading everything again. Events are read before objects: what happens meanwhile is in the next pull.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from expansion_platform.domain.schemas import stripe as tables
from expansion_platform.sources.stripe.changes import PullResult, PullState, merged
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.events import EVENT_TYPES
from expansion_platform.sources.stripe.fields import Object, reference
from expansion_platform.sources.stripe.full import OVERLAP_SECONDS, THREADS, Progress, items_of, read_everything, second_after
from expansion_platform.sources.stripe.staging import Staging

LONGEST_GAP_SECONDS = 29 * 86400  # a day less than Stripe keeps events
_CREATED = ("products", "prices", "coupons", "customers", "subscriptions", "invoices", "credit_notes")
_UNSETTLED = ("draft", "open")


def why_everything(state: PullState, as_of: datetime) -> str | None:
    """Why a pull at `as_of` must read everything, None when events since the last one are enough."""
    if state.last_pull_at is None:
        return "first pull"
    gap = int(as_of.timestamp()) - state.last_pull_at
    return f"{gap // 86400} days since the last pull, and Stripe keeps events for 30" if gap > LONGEST_GAP_SECONDS else None


def pull(source: StripeSource, state: PullState, as_of: datetime, progress: Progress | None = None) -> PullResult:
    """Reads what a stored copy of the account lacks, at once: for accounts that fit into memory, or when little changed.

    Args:
        source: The account.
        state: What the last pull returned, or `PullState()`.
        as_of: The instant up to which objects and events are read; it becomes the rows' `observed_at`. Must carry a time zone.
        progress: Called with a resource and the objects of it read so far, with every page.

    Returns:
        A change for every `stripe/*` table. Pulling again from the same state gives the same rows.

    Raises:
        DataQualityError: An object lacks what its row needs.
        ConfigurationError, StripeRequestError: As in `StripeSource.objects`.
    """
    reason = why_everything(state, as_of)
    told = progress or (lambda resource, count: None)
    return _changed(source, state, as_of, told) if reason is None else _everything(source, as_of, reason, told)


def _everything(source: StripeSource, as_of: datetime, reason: str, progress: Progress) -> PullResult:
    batches = list(read_everything(source, as_of, progress=progress))
    counts: dict[str, int] = defaultdict(int)
    for batch in batches:
        for resource, count in batch.counts.items():
            counts[resource] += count
    return PullResult(
        changes={name: merged([batch.changes[name] for batch in batches]) for name in batches[0].changes},
        state=PullState(int(as_of.timestamp()), tuple(sorted(event for batch in batches for event in batch.recent_events))),
        counts=dict(counts),
        full=True,
        reason=reason,
    )


def _changed(source: StripeSource, state: PullState, as_of: datetime, progress: Progress) -> PullResult:
    assert state.last_pull_at is not None  # noqa: S101 - `why_everything` has looked
    since = state.last_pull_at - OVERLAP_SECONDS
    reading = _Reading(source, as_of, progress)
    happened = reading.read_events(since, frozenset(state.recent_events))
    for resource in _CREATED:
        reading.read(resource, created_gte=since)
    for status in _UNSETTLED:
        reading.read("invoices", status=status)
    reading.read_named(_named_by(happened))
    reading.read("invoiceitems", pending=True)
    return PullResult(
        changes=reading.staging.changes(whole=[tables.InvoiceItems]),
        state=PullState(max(int(as_of.timestamp()), state.last_pull_at), tuple(sorted(reading.recent_events))),
        counts=dict(reading.counts),
        full=False,
        reason=f"changes since {datetime.fromtimestamp(state.last_pull_at, as_of.tzinfo).isoformat()}",
    )


def _named_by(happened: list[Object]) -> set[tuple[str, str]]:
    """(resource, id) of the objects events are about. What was deleted cannot be read any more, but a canceled subscription can."""
    named: set[tuple[str, str]] = set()
    for item in happened:
        about, kind = item["data"]["object"], item["type"]
        if kind.startswith("customer.discount."):
            subscription, customer = about.get("subscription"), reference(about.get("customer"))
            named |= {("subscriptions", subscription)} if subscription else {("customers", customer)} if customer else set()
        elif kind.startswith("customer.subscription."):
            named.add(("subscriptions", about["id"]))
        elif not kind.endswith(".deleted"):
            named.add((f"{kind.split('.')[0]}s", about["id"]))
    return named


class _Reading:
    """What one later pull has read."""

    def __init__(self, source: StripeSource, as_of: datetime, progress: Progress) -> None:
        self._source = source
        self._before = second_after(as_of)
        self._progress = progress
        self.staging = Staging(as_of, lambda wanted: items_of(source, wanted))
        self.recent_events: set[str] = set()
        self.counts: dict[str, int] = defaultdict(int)

    def read_events(self, since: int, known: frozenset[str]) -> list[Object]:
        """Events not seen before, oldest first, however Stripe lists them."""
        listed: list[Object] = [
            item for types in EVENT_TYPES for item in self._source.objects("events", created_gte=since, created_lt=self._before, types=list(types))
        ]
        self.recent_events = {item["id"] for item in listed if item["created"] >= self._before - 1 - OVERLAP_SECONDS}
        new = sorted((item for item in listed if item["id"] not in known), key=lambda item: (item["created"], item["id"]))
        self._add("events", new)
        return new

    def read(self, resource: str, created_gte: int | None = None, **filters: Any) -> None:
        """Reads a list of a resource."""
        for page, _ in self._source.pages(resource, created_gte=created_gte, created_lt=self._before, **filters):
            self._add(resource, page)

    def read_named(self, named: set[tuple[str, str]]) -> None:
        """Reads objects by id unless they have been; one that Stripe no longer has keeps its stored row, except a deleted draft invoice."""
        wanted = sorted((resource, object_id) for resource, object_id in named if object_id not in self.staging.seen[resource])
        with ThreadPoolExecutor(THREADS) as threads:
            for (resource, object_id), item in zip(wanted, threads.map(lambda one: self._source.object(*one), wanted), strict=True):
                if item is not None:
                    self._add(resource, [item])
                elif resource == "invoices":
                    self.staging.deleted_invoices.add(object_id)

    def _add(self, resource: str, items: list[Object]) -> None:
        self.counts[resource] += sum(self.staging.add(resource, item) for item in items)
        self._progress(resource, self.counts[resource])
