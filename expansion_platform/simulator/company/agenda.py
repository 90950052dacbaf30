"""The simulated clock of one customer.

Here: acts put at instants and done in order. Not here: any act.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Agenda:
    """Acts at epoch seconds.

    Within one second, what was put first is done first, so a run is the same however far it goes.
    """

    def __init__(self) -> None:
        self._acts: list[tuple[int, int, Callable[[int], None]]] = []
        self._put = 0

    def put(self, at: int, act: Callable[[int], None]) -> None:
        """Put an act on the agenda; it is called with `at`."""
        self._put += 1
        heapq.heappush(self._acts, (at, self._put, act))

    def run(self, until: int) -> None:
        """Do everything up to `until`, inclusive."""
        while self._acts and self._acts[0][0] <= until:
            at, _, act = heapq.heappop(self._acts)
            act(at)
