"""How fast one process may ask one Stripe.

A pace shared by all threads, slower after a 429, faster again while none comes.

Here: the pace. Not here: requests and which of them to repeat (`client.py`).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable

ENDPOINT_CEILING = 25  # what Stripe allows a second on one endpoint, live and test
SLOWER = 0.7  # a limit met once costs little; met again and again it halves every other second
# Requests under way when a limit is met come back limited too: together they count once.
REACTION_SECONDS = 1.0
RECOVERY_SECONDS = 20  # from nothing back to the ceiling
SLOWEST = 0.5  # requests a second
BURST_SECONDS = 0.1  # a pause this short is made up for, so that late wake-ups do not add up to a lower rate


class Pace:
    """Spaces requests evenly: additive increase, multiplicative decrease.

    Args:
        ceiling: Requests a second over all endpoints; the pace begins there, and never exceeds it.
        endpoint_ceiling: Requests a second on one endpoint, None for no limit of its own.
        clock: Seconds, monotonic.
        sleep: Waits for seconds.

    A limit lowers the pace of all endpoints: it says that the account is busy, and the merchant's own traffic
    goes first.
    """

    def __init__(
        self,
        ceiling: float,
        endpoint_ceiling: float | None = ENDPOINT_CEILING,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.ceiling = ceiling
        self.rate = ceiling
        self._endpoint_ceiling = endpoint_ceiling
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()  # when the next request may leave
        self._next_of: dict[str, float] = defaultdict(lambda: self._next)
        self._slowed_at = float("-inf")

    def wait(self, endpoint: str) -> None:
        """Returns when a request to the endpoint may be sent."""
        with self._lock:
            now = self._clock()
            oldest = now - BURST_SECONDS
            at = max(self._next, oldest)
            if self._endpoint_ceiling is not None:
                at = max(at, self._next_of[endpoint])
                self._next_of[endpoint] = max(self._next_of[endpoint], oldest) + 1 / self._endpoint_ceiling
            self._next = max(self._next, oldest) + 1 / self.rate
        if at > now:
            self._sleep(at - now)

    def answered(self) -> None:
        """A request came back without a limit."""
        with self._lock:
            self.rate = min(self.ceiling, self.rate + self.ceiling / RECOVERY_SECONDS / self.rate)

    def limited(self, retry_after: float | None = None) -> None:
        """A request came back with a 429.

        Slower from now on, and nothing at all before `retry_after` seconds have passed.
        """
        with self._lock:
            now = self._clock()
            if retry_after is not None:
                self._next = max(self._next, now + retry_after)
            if now - self._slowed_at >= REACTION_SECONDS:
                self.rate = max(SLOWEST, self.rate * SLOWER)
                self._slowed_at = now
