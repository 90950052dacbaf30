"""Whose expansion is missing: a shortfall taken apart so that the parts sum to it (semantics 5.9).

Here: contributions of customers, types, segments and pricing models, and of a base that grew. Not here:
whether the drop is real (`rules.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from expansion_platform.domain.alerts.panel import SLICES, Panel
from expansion_platform.domain.core.money import round_half_even, settle
from expansion_platform.domain.mrr.vocabulary import ORGANIC

OTHER, GROWTH = "other", "growth"


@dataclass(frozen=True)
class Decomposition:
    """Parts of one shortfall in minor units.

    Each is (baseline's mean expansion - the month's), and each mapping sums to the shortfall.

    `growth` in each mapping is what the same rate asks of a base that is larger (below zero: smaller) than
    the baseline's was.
    """

    shortfall: int
    customers: dict[str, int]
    """The largest shortfalls and gains, and `other` for everybody else."""
    types: dict[str, int]
    types_now: dict[str, int]
    """The month's expansion by type, and beside it the mean of the baseline's months, rounded."""
    types_before: dict[str, int]
    slices: dict[str, dict[str, int]]
    """By dimension (`SLICES`); `other` for whom nothing says."""


def decompose(
    panel: Panel, month: str, baseline: Sequence[str], *, largest: int = 5, gains: int = 3
) -> Decomposition:
    """Takes (r_b - r) * O apart.

    With B baseline months, r_b * O - E = sum over x of (mean of E(x, m) - E(x)) + (r_b * O - mean of E(m)),
    whatever x slices by: the last term is the base's growth. Parts are exact fractions, settled to whole
    units that sum to the shortfall rounded half to even.

    Args:
        panel: with the month and its baseline; nobody's expansion lies outside its types.
        month: the month that fell.
        baseline: the months it is compared with, each with opening MRR.
        largest: customers named for what is missing.
        gains: customers named for what they added.
    """
    at, columns, count = panel.at(month), [panel.at(name) for name in baseline], len(baseline)
    opening, expansion = panel.opening.sum(axis=0).tolist(), panel.expansion.sum(axis=0).tolist()
    rate = sum((Fraction(expansion[column], opening[column]) for column in columns), Fraction(0)) / count
    exact = rate * opening[at] - expansion[at]
    whole = round_half_even(exact)
    growth = rate * opening[at] - Fraction(sum(expansion[column] for column in columns), count)

    def settled(missing: dict[str, int]) -> dict[str, int]:
        """From count times what each part misses.

        The rounding of the whole, under half a unit, goes with the growth.
        """
        parts = {name: Fraction(amount, count) for name, amount in missing.items()} | {
            GROWTH: growth + whole - exact
        }
        return dict(zip(parts, settle(list(parts.values())), strict=True))

    each = panel.expansion[:, columns].sum(axis=1) - count * panel.expansion[:, at]
    order = each.argsort(kind="stable").tolist()  # equal amounts by id, since ids ascend
    down = [
        index
        for index in sorted(order[-largest:], key=lambda index: (-int(each[index]), index))
        if each[index] > 0
    ]
    up = [index for index in order[:gains] if each[index] < 0]
    named = {panel.customers[index]: int(each[index]) for index in [*down, *up]}
    types_before, types_now = (
        panel.types[:, columns].sum(axis=(0, 1)).tolist(),
        panel.types[:, at].sum(axis=0).tolist(),
    )
    by_type = {
        name: before - count * now for name, before, now in zip(ORGANIC, types_before, types_now, strict=True)
    }

    def by_slice(dimension: str) -> dict[str, int]:
        missing = {}
        for name in SLICES[dimension]:
            inside = panel.expansion * panel.inside(dimension, name)
            missing[name] = int(inside[:, columns].sum()) - count * int(inside[:, at].sum())
        return settled(missing | {OTHER: int(each.sum()) - sum(missing.values())})

    return Decomposition(
        shortfall=whole,
        customers=settled(named | {OTHER: int(each.sum()) - sum(named.values())}),
        types=settled(by_type),
        types_now=dict(zip(ORGANIC, types_now, strict=True)),
        types_before={
            name: round_half_even(Fraction(amount, count))
            for name, amount in zip(ORGANIC, types_before, strict=True)
        },
        slices={dimension: by_slice(dimension) for dimension in SLICES},
    )
