"""Reading a whole Stripe account, in windows of `created` by several threads, a batch at a time.

Here: the order of the lists, the threads, the batches a caller can store before it takes the next. Not here:
how a window is cut (`windows.py`), pulls after the first (`pull.py`), storing.

Memory holds what the threads are reading and one batch, whatever the size of the account. A caller that
stored a batch can note its windows and pass them as `done` after a crash; the rows are the same in whatever
pieces and order they come.
"""

from __future__ import annotations

import gc
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow

from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import bills
from expansion_platform.sources.stripe.changes import TableChange, merged
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.events import EVENT_TYPES
from expansion_platform.sources.stripe.meter import Meter
from expansion_platform.sources.stripe.staging import Staging
from expansion_platform.sources.stripe.windows import BEGINNING, Window, read_window, remaining

THREADS = 10  # 12 requests a second at up to 0.8 s each
OVERLAP_SECONDS = 3600  # `created` has whole seconds, and an event can be listed a little after it is dated
BATCH_OBJECTS = 20_000  # a commit of each table takes about as long as reading 500 objects
# A pending item waits at most a billing period for its invoice; the rest is looked up one by one.
ITEMS_LOOKUP_SECONDS = 45 * 86400
_FEW = 20
# New containers; what is read has no cycles, and looking for some after every 700 took a quarter of a pull's
# CPU.
COLLECTED_AFTER = 50_000

Progress = Callable[[str, int], None]

# Each list's resource and filters. Coupons are known before the discounts that embed deleted ones; events are
# read before the objects they name.
LISTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{
        f"events {number}": ("events", {"types": list(types)})
        for number, types in enumerate(EVENT_TYPES, start=1)
    },
    **{
        name: (name, {})
        for name in (
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
    },
}
EVERYTHING = tuple(LISTS)
_FIRST = tuple(
    name for name, (resource, _) in LISTS.items() if resource in ("events", "products", "prices", "coupons")
)


@dataclass(frozen=True)
class Batch:
    """Some windows of an account: the change of each table, and what they cover."""

    changes: dict[str, TableChange]
    windows: tuple[Window, ...]
    counts: Mapping[str, int]  # objects read per resource
    recent_events: frozenset[str]  # those in the overlap that the next pull reads again


def second_after(as_of: datetime) -> int:
    """The first whole second after an instant: everything created at it or before counts."""
    if as_of.tzinfo is None:
        raise ValueError(f"an instant without a time zone: {as_of}")
    return int(as_of.timestamp()) + 1


def read_everything(
    source: StripeSource,
    as_of: datetime,
    *,
    lists: Sequence[str] = EVERYTHING,
    done: Iterable[Window] = (),
    progress: Progress | None = None,
    meter: Meter | None = None,
    threads: int = THREADS,
) -> Iterator[Batch]:
    """Every object of the lists created up to `as_of`, a batch at a time.

    The last batch has the pending invoice items, whole.

    Args:
        source: The account.
        as_of: See `pull`; a pull that goes on after a crash gives the same as before it.
        lists: Which of `LISTS` to read.
        done: Windows stored already, from the batches of this pull.
        progress: Called with a resource and the objects of it read so far, with every page, by any thread.
        meter: Told what is read, to know how long it will take.
        threads: Windows read at the same time.

    Raises:
        DataQualityError, ConfigurationError, StripeRequestError: As in `pull`. Batches taken before stay
            good.
    """
    reading = _Everything(source, as_of, progress or (lambda resource, count: None), meter or Meter())
    whole = [Window(name, BEGINNING, second_after(as_of)) for name in lists]
    todo = [left for window in whole for left in remaining(window, done)]
    reading.meter.opened(todo)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="stripe")
    try:
        with _many_small_objects():
            yield from reading.batches(pool, threads, [window for window in todo if window.name in _FIRST])
            yield from reading.batches(
                pool, threads, [window for window in todo if window.name not in _FIRST]
            )
            yield reading.pending()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _many_small_objects() -> Iterator[None]:
    """Cycles are looked for rarely, and Arrow takes its memory from where Python does.

    Its own allocator keeps the memory that each thread once used.
    """
    thresholds, memory = gc.get_threshold(), pyarrow.default_memory_pool()
    gc.set_threshold(COLLECTED_AFTER, *thresholds[1:])
    pyarrow.set_memory_pool(pyarrow.system_memory_pool())
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        pyarrow.set_memory_pool(memory)


def items_of(source: StripeSource, wanted: set[str]) -> dict[str, str]:
    """Subscription items of invoice items, looked up one by one."""
    found = {key: source.object("invoiceitems", key) for key in sorted(wanted)}
    return {
        key: billed
        for key, item in found.items()
        if item is not None and (billed := bills.billed_item(item)) is not None
    }


class _Everything:
    """The state of one full reading; threads only read windows, the caller's thread does everything else."""

    def __init__(self, source: StripeSource, as_of: datetime, progress: Progress, meter: Meter) -> None:
        self._source = source
        self._as_of = as_of
        self._before = second_after(as_of)
        self._progress = progress
        self.meter = meter

    def batches(self, pool: ThreadPoolExecutor, threads: int, todo: Iterable[Window]) -> Iterator[Batch]:
        """Reads windows until none is left.

        No more are given to the threads than can read, so a slow caller slows the reading.
        """
        queue, running = deque(todo), set[Future[tuple[Batch, list[Window]]]]()
        read: list[Batch] = []
        while queue or running:
            while queue and len(running) < threads:
                running.add(pool.submit(self._window, queue.popleft()))
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for future in finished:
                batch, rest = future.result()
                (window,) = batch.windows
                self.meter.covered(window, sum(batch.counts.values()))
                read.append(batch)
                queue.extend(rest)
            if sum(sum(batch.counts.values()) for batch in read) >= BATCH_OBJECTS:
                yield _together(read)
                read = []
        if read:
            yield _together(read)

    def pending(self) -> Batch:
        """The invoice items no invoice has billed yet."""
        staging = Staging(self._as_of, lambda wanted: {}, self._source.keys)
        for item in self._source.objects("invoiceitems", created_lt=self._before, pending=True):
            staging.add("invoiceitems", item)
        counts = {"invoiceitems": len(staging.seen["invoiceitems"])}
        self._report("invoiceitems", counts["invoiceitems"])
        return Batch(staging.changes(whole=[tables.InvoiceItems]), (), counts, frozenset())

    def _window(self, window: Window) -> tuple[Batch, list[Window]]:
        """One window read by one thread: what it gave, and the windows it left."""
        resource, filters = LISTS[window.name]
        lookup = _Lookup(self._source, window)
        staging = Staging(self._as_of, lookup.items_of, self._source.keys)
        recent: set[str] = set()
        parts: list[Window] = []
        for part in read_window(
            window, self._source.pages(resource, created_gte=window.gte, created_lt=window.lt, **filters)
        ):
            if isinstance(part, Window):
                parts.append(part)
                continue
            added = [item for item in part if staging.add(resource, item)]
            recent |= {
                item["id"]
                for item in added
                if resource == "events" and item["created"] >= self._before - 1 - OVERLAP_SECONDS
            }
            self._report(resource, len(added))
        covered, *rest = parts
        # Draft invoices can be deleted without a trace after 30 days; everything else that was seen once
        # stays.
        changes = staging.changes(
            whole=[tables.Invoices, tables.InvoiceLines] if resource == "invoices" else [],
            windows=[(covered.gte, covered.lt)],
        )
        return Batch(changes, (covered,), {resource: len(staging.seen[resource])}, frozenset(recent)), rest

    def _report(self, resource: str, added: int) -> None:
        self._progress(resource, self.meter.count(resource, added))


class _Lookup:
    """Subscription items behind prorations of one window whose lines name only an invoice item."""

    def __init__(self, source: StripeSource, window: Window) -> None:
        self._source = source
        self._window = window
        self._known: dict[str, str | None] = {}
        self._listed = False

    def items_of(self, wanted: set[str]) -> Mapping[str, str]:
        """A few are looked up one by one; once they are many, all of the window's time are listed."""
        if len(self._known) >= _FEW and not self._listed and wanted - self._known.keys():
            self._listed = True
            since = self._window.gte - ITEMS_LOOKUP_SECONDS
            for item in self._source.objects("invoiceitems", created_gte=since, created_lt=self._window.lt):
                self._known[item["id"]] = bills.billed_item(item)
        missing = wanted - self._known.keys()
        self._known |= {**dict.fromkeys(missing), **items_of(self._source, missing)}
        return {key: billed for key in wanted if (billed := self._known[key]) is not None}


def _together(batches: Sequence[Batch]) -> Batch:
    counts: dict[str, int] = defaultdict(int)
    for batch in batches:
        for resource, count in batch.counts.items():
            counts[resource] += count
    return Batch(
        changes={name: merged([batch.changes[name] for batch in batches]) for name in batches[0].changes},
        windows=tuple(window for batch in batches for window in batch.windows),
        counts=dict(counts),
        recent_events=frozenset(event for batch in batches for event in batch.recent_events),
    )
