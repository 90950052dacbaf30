"""Equal content has one text and one hash; money is never a float."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.core.canonical import content_hash, decimal_text, dumps

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_one_text_whatever_the_order() -> None:
    assert dumps({"b": [1, {"d": None, "c": True}], "a": "ü"}) == '{"a":"ü","b":[1,{"c":true,"d":null}]}'
    assert dumps((1, 2)) == dumps([1, 2])


@given(st.dictionaries(st.text(), values))
def test_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    assert content_hash(dict(reversed(value.items()))) == content_hash(value)


@pytest.mark.parametrize("value", [1.0, [0.1], {"a": {"b": 2.5}}, (float("nan"),)])
def test_a_float_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="float"):
        dumps(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("20.50", "20.5"),
        ("1E+3", "1000"),
        ("1e-7", "0.0000001"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("0100", "100"),
        (7, "7"),
        ("-1.10", "-1.1"),
    ],
)
def test_decimals_are_plain_text(value: str | int, text: str) -> None:
    assert decimal_text(value) == text
    assert dumps([Decimal(value)]) == f'["{text}"]'


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20))
def test_a_decimals_text_is_its_value_and_equal_values_have_equal_texts(value: Decimal) -> None:
    text = decimal_text(value)
    assert Decimal(text) == value
    assert "E" not in text
    sign, digits, exponent = value.as_tuple()
    assert decimal_text(Decimal((sign, (*digits, 0, 0), int(exponent) - 2))) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_a_number_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="finite"):
        decimal_text(value)


def test_a_hash_is_short_and_stable() -> None:
    assert content_hash({}) == "44136fa355b3678a"  # the first 16 hex digits of sha256("{}")
    assert content_hash({"a": 1}) != content_hash({"a": "1"})
