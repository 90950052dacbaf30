"""Bills that show one item's period as several lines: one a tier, and one a flat fee (graduated prices).

Here: putting such lines together again, so that one line asserts the whole quantity (semantics 1.4, reference
2.5.10). Not here: what a line asserts (`facts.py`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.money import round_half_even
from expansion_platform.domain.history.records import NO_QUANTITY, Line, State, unreadable
from expansion_platform.domain.pricing.schemes import AboveLastTierError, gross, parse_scheme
from expansion_platform.domain.pricing.terms import Price


def whole_lines(lines: list[Line], price_terms: Mapping[str, Price]) -> list[Line]:
    """The lines with those of one item, price, period and invoice joined where a graduated price split them.

    The quantity is the one that costs what the lines cost together: a flat fee's line may carry a quantity of
    its own, of 0 or 1. Lines of nothing (a trial's) say their units. When no such quantity exists it is not
    guessed: the joined line has none.
    """
    keys = [
        line.id if line.proration else (line.invoice, line.item, line.state.price, line.start, line.end)
        for line in lines
    ]
    if len(set(keys)) == len(lines):
        return lines
    groups: dict[object, list[Line]] = defaultdict(list)
    for key, line in zip(keys, lines, strict=True):
        groups[key].append(line)
    return [
        _joined(group, price_terms.get(group[0].state.price)) if len(group) > 1 else group[0]
        for group in groups.values()
    ]


def _joined(lines: list[Line], price: Price | None) -> Line:
    first = min(lines, key=lambda line: line.id)
    if price is None or (price.scheme["type"] == "per_unit" and len({line.state for line in lines}) == 1):
        return first
    if any(unreadable(line.state.quantity) for line in lines):
        return next(line for line in lines if unreadable(line.state.quantity))
    units = _units(
        price.scheme_json,
        tuple([line.state.quantity for line in lines]),
        amount := sum([line.amount for line in lines]),
    )
    if units is None:
        return first._replace(state=State(price.id, NO_QUANTITY))
    taken = (
        sum((Counter(line.taken) for line in lines), Counter())
        if any(line.taken for line in lines)
        else first.taken
    )
    return first._replace(state=State(price.id, units), amount=amount, taken=taken)


@lru_cache(maxsize=1 << 16)
def _units(scheme_json: str, quantities: tuple[str, ...], amount: int) -> str | None:
    """The quantity of lines that cost an amount together, None where there is none.

    Found once for all bills of the same.
    """
    units = sum((Decimal(quantity or "0") for quantity in quantities), Decimal(0))
    for fees in range(len(quantities)):
        if units >= fees and amount in (0, _cost(scheme_json, units - fees)):
            return canonical.decimal_text(units - fees)
    return None


def cost(price: Price, quantity: Decimal) -> int | None:
    """What a quantity costs for one period, in minor units rounded half-even.

    None where it lies above the last tier.
    """
    return _cost(price.scheme_json, quantity)


@lru_cache(maxsize=1 << 16)
def _cost(scheme_json: str, quantity: Decimal) -> int | None:
    try:
        return round_half_even(gross(parse_scheme(scheme_json), Fraction(quantity)))
    except AboveLastTierError:
        return None
