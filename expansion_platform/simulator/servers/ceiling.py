"""How many requests a second a stand-in answers on one endpoint before it says 429, as Stripe does.

Here: the counting. Not here: the answer (`stripe.py`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Ceiling:
    """A bucket of a second's requests for each endpoint, filled evenly."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}  # requests left, and when that was

    def refuses(self, endpoint: str) -> bool:
        """Whether one more request now is too many; one that is not counts."""
        with self._lock:
            now = self._clock()
            left, at = self._left.get(endpoint, (self.per_second, now))
            left = min(self.per_second, left + (now - at) * self.per_second)
            refused = left < 1
            self._left[endpoint] = (left if refused else left - 1, now)
            return refused
