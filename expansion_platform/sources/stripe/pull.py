"""One pull of a Stripe account: everything the first time, afterwards only what may have changed.

Here: what a later pull reads. Not here: reading everything (`full.py`), requests (`client.py`), columns
(`rows.py`, `bills.py`, `events.py`), what the result means for a stored table (`changes.py`).

Stripe has no "updated since". Later pulls therefore read the events since the last one, then the objects the
events name, as they are now; new objects come by `created`, and what changes without an event of its own
(drafts, open invoices, pending items) is read each time. Stripe forgets events after 30 days, so a longer gap
means reading everything again. Events are read before objects: what happens meanwhile is in the next pull.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import full, shapes
from expansion_platform.sources.stripe.changes import PullState
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.events import EVENT_TYPES, subject
from expansion_platform.sources.stripe.fields import Object
from expansion_platform.sources.stripe.full import (
    OVERLAP_SECONDS,
    THREADS,
    Batch,
    Progress,
    items_of,
    second_after,
)
from expansion_platform.sources.stripe.kinds import exact
from expansion_platform.sources.stripe.lookup import FEW, look_up
from expansion_platform.sources.stripe.resources import RESOURCES
from expansion_platform.sources.stripe.staging import Staging

LONGEST_GAP_SECONDS = 29 * 86400  # a day less than Stripe keeps events
_CREATED = (
    "products",
    "prices",
    "coupons",
    "tax_rates",
    "customers",
    "subscriptions",
    "subscription_schedules",
    "invoices",
    "credit_notes",
)
_UNSETTLED = ("draft", "open")


def why_everything(state: PullState, as_of: datetime) -> str | None:
    """Why a pull at `as_of` must read everything, None when events since the last one are enough."""
    if state.last_pull_at is None:
        return "first pull"
    gap = int(as_of.timestamp()) - state.last_pull_at
    return (
        f"{gap // 86400} days since the last pull, and Stripe keeps events for 30"
        if gap > LONGEST_GAP_SECONDS
        else None
    )


def since(state: PullState, as_of: datetime) -> str:
    """Since when a pull that is not the first reads changes, in words."""
    assert state.last_pull_at is not None  # noqa: S101 - `why_everything` has looked
    return f"changes since {datetime.fromtimestamp(state.last_pull_at, as_of.tzinfo).isoformat()}"


def read_changes(
    source: StripeSource, state: PullState, as_of: datetime, progress: Progress | None = None
) -> Iterator[Batch]:
    """What may have changed since the last pull, a batch at a time.

    The last batch has the pending invoice items, whole. As `pull` otherwise.

    A caller that stops in between begins again from the same state: the rows are the same.
    """
    yield from _Changes(source, state, as_of, progress or (lambda resource, count: None)).batches()


def _named_by(happened: Sequence[Object]) -> Iterator[tuple[str, str, int | None]]:
    """(resource, id, created if given) of the objects events are about.

    What was deleted cannot be read any more, but a canceled subscription can.
    """
    for item in happened:
        kind, about = subject(item)
        known, customer = about.get("id"), about.get("customer")
        created = exact(item["data"]["object"].get("created"))
        since = None if created is None else int(created)
        if kind.startswith("customer.discount."):
            subscription = shapes.ABOUT_SESSION.read_fields(item["data"]["object"], []).get("subscription")
            if subscription or customer:
                yield (
                    ("subscriptions", str(subscription), None)
                    if subscription
                    else ("customers", str(customer), None)
                )
        elif kind.startswith("customer.subscription.") and known:
            yield "subscriptions", known, since
        elif (
            known
            and not kind.endswith(".deleted")
            and ".session." not in kind
            and (resource := f"{kind.split('.')[0]}s") in RESOURCES
        ):
            yield resource, known, since


class _Changes:
    """The state of one later pull."""

    def __init__(self, source: StripeSource, state: PullState, as_of: datetime, progress: Progress) -> None:
        assert state.last_pull_at is not None  # noqa: S101 - `why_everything` has looked
        self._source = source
        self._since = state.last_pull_at - OVERLAP_SECONDS
        self._before = second_after(as_of)
        self._known = frozenset(state.recent_events)
        self._progress = progress
        self._staging = Staging(as_of, lambda wanted: items_of(source, wanted), source.keys)
        self._totals: dict[str, int] = defaultdict(int)
        self._counts: dict[str, int] = defaultdict(int)  # of the batch
        self._recent: set[str] = set()  # of the batch

    def batches(self) -> Iterator[Batch]:
        """All there is to read, in the order it must be."""
        named: dict[str, dict[str, int | None]] = defaultdict(dict)
        for types in EVENT_TYPES:
            for page, _ in self._source.pages(
                "events", created_gte=self._since, created_lt=self._before, types=list(types)
            ):
                happened = [item for item in page if item["id"] not in self._known]
                for resource, object_id, created in _named_by(happened):
                    named[resource][object_id] = created or named[resource].get(object_id)
                self._recent |= {
                    item["id"] for item in page if item["created"] >= self._before - 1 - OVERLAP_SECONDS
                }
                yield from self._took("events", happened)
        for resource in _CREATED:
            yield from self._listed(resource, created_gte=self._since)
        for status in _UNSETTLED:
            yield from self._listed("invoices", status=status)
        yield from self._looked_up(named)
        self._add(
            "invoiceitems", list(self._source.objects("invoiceitems", created_lt=self._before, pending=True))
        )
        yield self._batch(whole=[tables.InvoiceItems])

    def _listed(self, resource: str, created_gte: int | None = None, **filters: Any) -> Iterator[Batch]:
        for page, _ in self._source.pages(
            resource, created_gte=created_gte, created_lt=self._before, **filters
        ):
            yield from self._took(resource, page)

    def _looked_up(self, named: Mapping[str, Mapping[str, int | None]]) -> Iterator[Batch]:
        """Objects unless they were listed.

        One that Stripe no longer has keeps its stored row, except a deleted draft invoice.
        """
        # Most were renewed, and those have a list.
        if len(self._left("subscriptions", named["subscriptions"])) > FEW:
            yield from self._listed("subscriptions", current_period_start={"gte": self._since})
        with ThreadPoolExecutor(THREADS, thread_name_prefix="stripe") as threads:
            for resource in sorted(named):
                for object_id, item in look_up(
                    self._source, threads, resource, self._left(resource, named[resource])
                ):
                    if item is not None:
                        yield from self._took(resource, [item])
                    elif resource == "invoices":
                        self._staging.deleted_invoices.add(object_id)

    def _left(self, resource: str, named: Mapping[str, int | None]) -> dict[str, int | None]:
        return {
            object_id: created
            for object_id, created in named.items()
            if object_id not in self._staging.seen[resource]
        }

    def _took(self, resource: str, items: Sequence[Object]) -> Iterator[Batch]:
        self._add(resource, items)
        if sum(self._counts.values()) >= full.BATCH_OBJECTS:
            yield self._batch()

    def _add(self, resource: str, items: Sequence[Object]) -> None:
        added = sum(self._staging.add(resource, item) for item in items)
        self._counts[resource] += added
        self._totals[resource] += added
        self._progress(resource, self._totals[resource])

    def _batch(self, whole: Collection[type[tables.StripeObject]] = ()) -> Batch:
        batch = Batch(self._staging.changes(whole=whole), (), dict(self._counts), frozenset(self._recent))
        self._staging.forget_rows()
        self._counts.clear()
        self._recent.clear()
        return batch
