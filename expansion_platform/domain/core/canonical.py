"""One text form for structured values, so that equal content has equal bytes and equal hashes.

Here: canonical JSON and content hashes. Not here: what is hashed.
"""

from __future__ import annotations

import hashlib
import json
import json.encoder
from collections.abc import Callable
from decimal import Decimal
from typing import Any


def dumps(value: Any) -> str:
    """JSON with sorted keys and no spaces; decimals as plain decimal text.

    A float is refused: money and rates never are one.
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


text: Callable[[str], str] = json.encoder.encode_basestring
"""A text as JSON, as `dumps` writes it."""


def content_hash(value: Any) -> str:
    """First 16 hex digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()[:16]


def decimal_text(value: Decimal | int | str) -> str:
    """Plain decimal text without exponent or trailing zeros: Decimal('1E+3') -> '1000', '20.50' -> '20.5'."""
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"not a finite decimal: {value!r}")
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


_AS_THEY_ARE = frozenset({str, int, bool, type(None)})


def _plain(value: Any) -> Any:
    if type(value) in _AS_THEY_ARE:
        return value
    if isinstance(value, float):
        raise TypeError(f"a float in canonical JSON: {value!r}; use Decimal or text")
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
