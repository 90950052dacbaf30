"""Objects that events name, as they are now, in few requests.

Here: when they are looked up one by one and when in pages of their list. Not here: which objects (`pull.py`),
requests (`client.py`).

Stripe lists by `created` only, newest first. A page that begins at the newest of the wanted objects costs as
much of the rate limit as that object alone, and holds the 99 created before it: of objects made around the
same time, such as the bills of a month, most are on a few pages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from functools import partial

from expansion_platform.sources.stripe.client import PAGE_SIZE, StripeSource
from expansion_platform.sources.stripe.full import THREADS
from expansion_platform.sources.stripe.requests import Object

FEW = 10
"""Objects that are looked up one by one, as many as there are threads: a page takes longer than one
object.
"""

Found = tuple[str, Object | None]


def look_up(
    source: StripeSource, threads: Executor, resource: str, wanted: Mapping[str, int | None]
) -> Iterator[Found]:
    """(id, object or None) of each, None for one that Stripe does not have (any more).

    How much is in memory at a time is bounded.

    Args:
        source: The account.
        threads: Reads.
        resource: A key of `client.RESOURCES`.
        wanted: Ids and when they were created, None where that is not known.
    """
    dated = sorted(((created, key) for key, created in wanted.items() if created is not None), reverse=True)
    if len(dated) <= FEW:
        dated = []
    alone = sorted(wanted.keys() - {key for _, key in dated})
    for start in range(0, len(alone), PAGE_SIZE):
        yield from threads.map(partial(_one, source, resource), alone[start : start + PAGE_SIZE])
    runs = [dated[start : start + PAGE_SIZE] for start in range(0, len(dated), PAGE_SIZE)]
    for start in range(0, len(runs), THREADS):
        for found in threads.map(partial(_run, source, resource), runs[start : start + THREADS]):
            yield from found


def _one(source: StripeSource, resource: str, key: str) -> Found:
    return key, source.object(resource, key)


def _run(source: StripeSource, resource: str, wanted: list[tuple[int, str]]) -> list[Found]:
    """Objects by pages from the newest to the oldest.

    Those not on the page they belong on, and the rest of a run of which a page had one, alone.
    """
    found: list[Found] = []
    alone: list[str] = []
    left = wanted
    while left:
        newest, oldest = left[0][0], left[-1][0]
        page, more = next(source.pages(resource, created_gte=oldest, created_lt=newest + 1, whole=False))
        listed = {item["id"]: item for item in page}
        until = min(item["created"] for item in page) if more and page else oldest
        here = [key for _, key in left if key in listed]
        found += [(key, source.whole(resource, listed[key])) for key in here]
        missing = [(created, key) for created, key in left if key not in listed]
        left = [(created, key) for created, key in missing if more and created <= until]
        alone += [key for created, key in missing if not (more and created <= until)]
        if len(here) <= 1:
            alone += [key for _, key in left]
            left = []
    return found + [_one(source, resource, key) for key in alone]
