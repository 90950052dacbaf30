"""How far a reading is: objects, objects a second, and at most how long it takes still.

Here: the counting and the estimate. Not here: where it is shown (`ingestion/pulling.py`).

Stripe does not say how much there is. What is left is estimated from the time of `created` that is not read
yet, at the density of what was read. Accounts grow, and older months hold less, so the estimate is an upper
bound, high at first: it falls as the early years turn out to be empty.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from threading import Lock

from expansion_platform.sources.stripe.windows import Window


class Meter:
    """Counts for any number of threads; `clock` gives seconds, monotonic."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._lock = Lock()
        self._open: dict[str, int] = defaultdict(int)  # seconds of `created` not read yet, by list
        self._covered: dict[str, int] = defaultdict(int)  # and read, where there were any
        self._found: dict[str, int] = defaultdict(int)  # objects in those
        self.counts: dict[str, int] = defaultdict(int)

    def count(self, resource: str, objects: int) -> int:
        """Objects were read; returns how many of the resource by now."""
        with self._lock:
            self.counts[resource] += objects
            return self.counts[resource]

    def opened(self, windows: Iterable[Window]) -> None:
        """Windows are to be read."""
        with self._lock:
            for window in windows:
                self._open[window.name] += window.seconds

    def covered(self, window: Window, objects: int) -> None:
        """A window, or the part of one that was read, had that many objects."""
        with self._lock:
            self._open[window.name] -= window.seconds
            self._covered[window.name] += window.seconds if objects else 0
            self._found[window.name] += objects

    @property
    def objects(self) -> int:
        """All objects read."""
        with self._lock:
            return sum(self.counts.values())

    @property
    def rate(self) -> float:
        """Objects a second since the beginning."""
        return self.objects / max(self._clock() - self._began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """At most; None while nothing is known."""
        rate = self.rate
        with self._lock:
            known = {name: self._found[name] / seconds for name, seconds in self._covered.items() if seconds}
            if not known or rate == 0:
                return None
            return sum(self._open[name] * density for name, density in known.items()) / rate

    def __str__(self) -> str:
        left = self.seconds_left
        estimate = "" if left is None else f", at most {_span(left)} left"
        return f"{self.objects:,} objects, {self.rate:,.0f} a second{estimate}"


def _span(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
