"""Customers by months, as arrays: what every rule of detection looks at.

Here: reading mrr/customer_months and mrr/movements into one panel, and the sums of it. Not here: any
judgement (`rules.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from expansion_platform.domain.core.money import Bools, Ints
from expansion_platform.domain.mrr.vocabulary import ORGANIC, PRICING_MODELS, SEGMENTS

Codes = npt.NDArray[np.int8]
TOTAL = ("total", "all")
SLICES = {"segment": SEGMENTS, "pricing_model": PRICING_MODELS}
"""Dimensions a scope may be of, and their values. A customer has one of each a month, fixed at opening
(semantics 4.1).
"""


@dataclass(frozen=True)
class Panel:
    """C customers (ids ascending) by M months (oldest first).

    Money in minor units, zero where the customer was not there.
    """

    months: tuple[str, ...]
    customers: tuple[str, ...]
    opening: Ints
    """(C, M) MRR at opening; above zero is membership."""
    expansion: Ints
    """(C, M) headline expansion."""
    net: Ints
    """(C, M) expansion less contraction less churn."""
    retained: Ints
    """(C, M) what an opening member still pays at opening exchange rates, at most its opening."""
    types: Ints
    """(C, M, 5) headline by type, in the order of ORGANIC."""
    slices: Mapping[str, Codes]
    """By dimension: (C, M) index into its SLICES, -1 where the customer was not there, or nothing says."""

    @property
    def members(self) -> Bools:
        """(C, M) who paid at opening."""
        return self.opening > 0

    def at(self, month: str) -> int:
        """Column of a month."""
        return self.months.index(month)

    def inside(self, dimension: str, value: str) -> Bools:
        """(C, M) who was in a slice when; customers are never in two of one dimension in one month."""
        code = SLICES[dimension].index(value)
        within: Bools = self.slices[dimension] == code
        return within

    def of(self, dimension: str, value: str) -> Panel:
        """The same months, with only what happened while in a slice."""
        inside = self.inside(dimension, value)
        some: Bools = np.any(inside, axis=1)

        def kept(amounts: Ints) -> Ints:
            return np.where(inside[some], amounts[some], 0)

        return replace(
            self,
            customers=tuple(name for name, keep in zip(self.customers, some, strict=True) if keep),
            opening=kept(self.opening),
            expansion=kept(self.expansion),
            net=kept(self.net),
            retained=kept(self.retained),
            types=np.where(inside[some][:, :, None], self.types[some], 0),
            slices={
                name: np.where(inside[some], codes[some], np.int8(-1)) for name, codes in self.slices.items()
            },
        )

    def sums(self) -> dict[str, Sums]:
        """Each month's totals, of months in which anybody paid at opening."""
        columns = zip(
            self.months,
            self.opening.sum(axis=0).tolist(),
            self.expansion.sum(axis=0).tolist(),
            self.net.sum(axis=0).tolist(),
            self.retained.sum(axis=0).tolist(),
            self.members.sum(axis=0).tolist(),
            (self.expansion > 0).sum(axis=0).tolist(),
            strict=True,
        )
        return {month: Sums(*amounts) for month, *amounts in columns if amounts[0]}


@dataclass(frozen=True)
class Sums:
    """A slice's month: minor units and counts."""

    opening: int
    expansion: int
    net: int
    retained: int
    members: int
    expanders: int

    @property
    def rate(self) -> Fraction:
        """Expansion rate."""
        return Fraction(self.expansion, self.opening)

    @property
    def net_rate(self) -> Fraction:
        """Organic net rate, (E - K - H) / O."""
        return Fraction(self.net, self.opening)

    @property
    def grr(self) -> Fraction:
        """Gross revenue retention."""
        return Fraction(self.retained, self.opening)


def panel(customer_months: pd.DataFrame, movements: pd.DataFrame, months: Sequence[str]) -> Panel:
    """The panel of some months.

    Args:
        customer_months: rows of mrr/customer_months (month, customer, opening, closing, flow_fx, segment,
            pricing_model); other months are ignored.
        movements: rows of mrr/movements with flows and the headline by type.
        months: oldest first.
    """
    month_rows = customer_months[customer_months["month"].isin(months)]
    moved = movements[movements["month"].isin(months)]
    customers = pd.Index(sorted(set(month_rows["customer"])))
    columns = pd.Index(months)
    shape = len(customers), len(columns)

    def dense(rows: pd.DataFrame, amounts: pd.Series[int]) -> Ints:
        filled = np.zeros(shape, np.int64)
        filled[
            customers.get_indexer(pd.Index(rows["customer"])), columns.get_indexer(pd.Index(rows["month"]))
        ] = amounts.to_numpy(np.int64)
        return filled

    opening = dense(month_rows, month_rows["opening"])
    types = np.stack([dense(moved, moved[f"expansion_{name}"]) for name in ORGANIC], axis=2)
    net = dense(moved, moved["flow_expansion"] + moved["flow_contraction"] + moved["flow_churn"])
    # Closing at opening exchange rates, as metrics/slice_sums.sql has it: a churned customer retains nothing.
    closing = dense(month_rows, month_rows["closing"])
    retained = np.where(
        (opening > 0) & (closing > 0),
        np.minimum(opening, closing - dense(month_rows, month_rows["flow_fx"])),
        0,
    )

    def codes(dimension: str) -> Codes:
        numbers = {name: index + 1 for index, name in enumerate(SLICES[dimension])}
        return (dense(month_rows, month_rows[dimension].map(numbers).fillna(0)) - 1).astype(np.int8)

    return Panel(
        months=tuple(months),
        customers=tuple(customers),
        opening=opening,
        expansion=dense(moved, moved["flow_expansion"]),
        net=net,
        retained=retained,
        types=types,
        slices={dimension: codes(dimension) for dimension in SLICES},
    )
