"""Any JSON value in any field that is read of Stripe gives a figure, a quarantined stretch, or an error
naming the object, never a silent zero.

`python -m expansion_platform_tests.sources.test_odd_fields` tries every field with every value of `NASTY`,
which takes minutes.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.history.unreadable import INVOICE_STATUSES
from expansion_platform.domain.pricing.discounts import DURATIONS
from expansion_platform.domain.stripe.vocabulary import INTERVALS, PAUSES, STATUSES
from expansion_platform.sources.stripe.kinds import Fields, Kind, Label, UnreadError, Word
from expansion_platform_tests.sources.odd_fields import GONE, Outcome, Place, outcomes, places

KNOWN = {
    *STATUSES,
    *PAUSES,
    *INTERVALS,
    *DURATIONS,
    *INVOICE_STATUSES,
    "recurring",
    "one_time",
    "per_unit",
    "tiered",
    "graduated",
    "volume",
    "up",
    "down",
}
KNOWN |= {"licensed", "metered"}
NASTY: tuple[Any, ...] = (
    *(
        GONE,
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        2.5,
        -0.0,
        1e300,
        10**30,
        -(10**30),
        2**63,
        2**63 - 1,
        1_770_000_000,
        253_402_300_800,
    ),
    *(
        "",
        " ",
        "0",
        "5",
        "-3",
        "--3",
        "1e3",
        "NaN",
        "Infinity",
        "1_0",
        "٣",
        "12,5",
        "x",
        "null",
        "\ud800",
        "a\0b",
        "é",
        "☃" * 300,
        "active",
        "canceled",
    ),
    *(
        "incomplete",
        "void",
        "uncollectible",
        "draft",
        "year",
        "metered",
        "tiered",
        "volume",
        "once",
        "eur",
        "zzz",
        "USD",
        "cus_002",
        "price_use",
        "sub_002",
    ),
    *(
        [],
        [None],
        [[]],
        ["x"],
        [{}],
        {},
        {"": None},
        {"id": None},
        {"id": 5},
        {"id": "x"},
        {"data": [{}]},
        {"data": 5, "has_more": True},
    ),
    *(
        {"x": {"y": [{"z": 1.5}]}},
        {"coupon": []},
        {"usd": 5},
        {"eur": {}},
        {"behavior": "frozen"},
        {"start": 5},
    ),
)
PLACES = places()
TEXTS = st.text(max_size=6) | st.sampled_from([value for value in NASTY if isinstance(value, str)])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.sampled_from(NASTY) | st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CHANGES = st.tuples(st.sampled_from(PLACES), VALUES)


def means_something(place: Place, value: Any) -> bool:
    """Whether a value is one that its field may have: then whatever follows from it is right."""
    if value is GONE or value is None:
        return not place.needed
    wrong: list[str] = []
    try:
        place.kind.read(exactly(value), wrong)
    except UnreadError:
        return False
    unknown_word = isinstance(place.kind, Word) and not (isinstance(value, str) and value in KNOWN)
    return not (wrong or unknown_word or isinstance(place.kind, Label) or _lacks_a_word(place.kind, value))


def _lacks_a_word(kind: Kind, value: Any) -> bool:
    words = (
        [name for name, each in kind.fields.items() if isinstance(each, Word)]
        if isinstance(kind, Fields)
        else []
    )
    return isinstance(value, dict) and any(
        str(value.get(name)) not in KNOWN for name in words if name in value or name in kind.needed
    )  # type: ignore[attr-defined]


def exactly(value: Any) -> Any:
    """A value with decimals for floats, as Stripe's answers are read."""
    if isinstance(value, dict):
        return {name: exactly(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exactly(each) for each in value]
    return Decimal(repr(value)) if isinstance(value, float) else value


def complaint(place: Place, value: Any, plain: Outcome, found: Outcome) -> str | None:
    """What is wrong with an outcome, None when nothing is."""
    right = means_something(place, value)
    names_it = (
        place.id in found.named
        or place.row in found.named
        or (place.path[-1] == "id" and "without a readable id" in (found.refused or ""))
    )
    if found.refused is not None:
        return (
            None
            if names_it or (right and found.named)
            else f"refused without the object's name: {found.refused}"
        )
    for month, amounts in found.by_month.items():
        if amounts is None and not (names_it or right):
            return f"{month} is stopped by {sorted(found.named)} and not by the object"
        if amounts is not None and not right and amounts != plain.by_month[month]:
            return f"{month} is {amounts} where it was {plain.by_month[month]}"
    return None


def complaints(changes: Sequence[tuple[Place, Any]]) -> list[str]:
    untouched = (next(place for place in PLACES if place.path == ("lookup_key",)), None)
    plain, *found = outcomes([untouched, *changes])
    assert plain.refused is None
    assert not plain.named
    told = (
        (place, value, complaint(place, value, plain, each))
        for (place, value), each in zip(changes, found, strict=True)
    )
    return [
        f"{place.table} {place.id} {'.'.join(map(str, place.path))} = {value!r}: {text}"
        for place, value, text in told
        if text is not None
    ]


@settings(max_examples=8)
@given(st.lists(CHANGES, min_size=1, max_size=80))
def test_any_value_in_any_field_is_a_figure_a_quarantined_stretch_or_an_error_with_a_name(
    changes: list[tuple[Place, Any]],
) -> None:
    assert complaints(changes) == []


def test_every_field_may_be_of_another_type() -> None:
    assert complaints([(place, []) for place in PLACES[::11]]) == []


if __name__ == "__main__":
    part, parts = (int(text) for text in sys.argv[1:3]) if len(sys.argv) > 2 else (0, 1)
    every = list(itertools.product(PLACES, NASTY))[part::parts]
    for start in range(0, len(every), 200):
        batch = every[start : start + 200]
        waiting = [batch]
        while waiting:
            some = waiting.pop()
            try:
                for text in complaints(some):
                    print(text)
            except Exception:
                if len(some) == 1:
                    print("FAILED", some, traceback.format_exc().splitlines()[-1])
                else:
                    waiting += [some[: len(some) // 2], some[len(some) // 2 :]]
        print(f"# {start + len(batch)} of {len(every)}", file=sys.stderr)
