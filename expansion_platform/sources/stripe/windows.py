"""Cutting a resource's whole time into windows of `created` that threads read at the same time.

Here: windows, reading one, and which remain. Not here: requests (`client.py`), rows (`staging.py`), what is
read when (`full.py`).

Nobody can ask Stripe how many objects it holds, or when the first was made. So a resource begins as one
window over all time. A window is read newest first; when more follows than it may read, the rest is cut into
halves for other threads. Windows longer than a month give one page before they are cut, so a large account is
spread over all threads within a few requests and a small one costs a single request. Nothing is read in vain
but the objects of the second at which a window is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from expansion_platform.sources.stripe.requests import Object

BEGINNING = 1_262_304_000  # 2010: Stripe opened in 2011, so nothing is older
MONTH_SECONDS = 31 * 86400
# Of a window up to a month long: 2,000 objects, the most that a thread holds, and that a killed pull reads
# again for each.
PAGES = 20


@dataclass(frozen=True, order=True)
class Window:
    """Objects of a list (`full.LISTS`) with gte <= created < lt, epoch seconds."""

    name: str
    gte: int
    lt: int

    @property
    def seconds(self) -> int:
        """Its length."""
        return self.lt - self.gte


def read_window(
    window: Window, pages: Iterable[tuple[list[Object], bool]]
) -> Iterator[list[Object] | Window]:
    """The objects of a window a page at a time.

    Last the window that was read whole, and the windows that remain to be read.

    Args:
        window: What to read.
        pages: Its pages, newest first, each with whether more follow. Within a page the order does not
            matter, and objects may come again.
    """
    most = PAGES if window.seconds <= MONTH_SECONDS else 1
    pending: list[Object] = []  # those of the second in which the window may have to be cut
    for number, (page, has_more) in enumerate(pages, start=1):
        listed = sorted([*pending, *page], key=lambda item: -item["created"])
        if not has_more:
            yield listed
            yield window
            return
        if not listed:  # all of the page were deleted before they could be read whole
            continue
        oldest = listed[-1]["created"]
        pending = [item for item in listed if item["created"] == oldest]
        yield listed[: len(listed) - len(pending)]
        if number >= most and oldest + 1 < window.lt:
            yield Window(window.name, oldest + 1, window.lt)
            yield from halves(Window(window.name, window.gte, oldest + 1))
            return


def halves(window: Window) -> list[Window]:
    """The window cut in two, or itself when it is a second long."""
    middle = window.lt - window.seconds // 2
    return (
        [Window(window.name, middle, window.lt), Window(window.name, window.gte, middle)]
        if window.gte < middle < window.lt
        else [window]
    )


def remaining(window: Window, done: Iterable[Window]) -> list[Window]:
    """What of a window no window of `done` covers, newest first."""
    left, until = [], window.lt
    for read in sorted((read for read in done if read.name == window.name), key=lambda read: -read.lt):
        if read.lt < until:
            left.append(Window(window.name, read.lt, until))
        until = min(until, read.gte)
    return [*left, Window(window.name, window.gte, until)] if window.gte < until else left
