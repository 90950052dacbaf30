"""Values that hold of a customer from a month on, looked up for many customers and months at once.

Here: `Steps`. Not here: what the values are (`customer_profiles.py`, `customer_attributes.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expansion_platform.domain.core.money import Ints


@dataclass(frozen=True)
class Steps:
    """Values of customers, each from one month up to the customer's next one."""

    width: int
    """More than any month."""
    starts: Ints
    """`customer * width + month`, ascending, each once."""
    values: Ints
    """What holds from there on, -1 for nothing."""

    def at(self, customer: Ints, month: Ints) -> Ints:
        """The value of each customer in a month, -1 where there is none; customers below 0 have none."""
        if not len(self.starts):
            return np.full(len(customer), -1, dtype=np.int64)
        place = np.searchsorted(self.starts, customer * self.width + month, side="right") - 1
        own = (place >= 0) & (self.starts[place] // self.width == customer)
        return np.where(own, self.values[place], -1)
