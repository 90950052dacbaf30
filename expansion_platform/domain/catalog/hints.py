"""Hints about products and prices in Stripe's own metadata: what of them can be followed, and what cannot.

See semantics 3.1.

Here: reading them, and the complaint about one that makes no sense. Not here: what outranks them
(`catalog.py`).

The seller's people write metadata, for other things too: a hint that makes no sense changes nothing and is
reported. A catalog file is written for this platform alone, so there a wrong value is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

KINDS = ("base", "addon", "usage")
HINTS = ("family", "tier_rank", "kind", "unit", "meter")
HIGHEST_RANK = 10**9
_RANK = re.compile(r"-?[0-9]{1,9}")
_SHOWN = 40
_WANTED = {
    "tier_rank": "a whole number such as 2, in the digits 0 to 9",
    "kind": f"one of {', '.join(KINDS)}",
}


class Ignored(NamedTuple):
    """A hint that is not followed: the product or price, the key, its value, and what it should be."""

    object: str
    key: str
    value: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.object}: {self.key} is {self.value}, and should be {self.wanted}"


def from_rows(rows: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Hints by product or price from (id, metadata_json); objects without any are left out."""
    said = {identity: json.loads(text) for identity, text in rows if text != "{}"}
    kept = {
        identity: {name: value for name, value in each.items() if name in HINTS and isinstance(value, str)}
        for identity, each in said.items()
    }
    return {identity: each for identity, each in kept.items() if each}


def followed(said: Mapping[str, str]) -> dict[str, Any]:
    """The hints of one object that make sense, as a catalog entry's fields."""
    found: dict[str, Any] = {name: text for name, text in said.items() if _makes_sense(name, text)}
    return found | ({"tier_rank": int(found["tier_rank"])} if "tier_rank" in found else {})


def ignored(metadata: Mapping[str, Mapping[str, str]]) -> list[Ignored]:
    """The hints that make no sense, by object. An empty one is none."""
    return [
        Ignored(identity, name, json.dumps(text[:_SHOWN], ensure_ascii=False), _WANTED.get(name, "a name"))
        for identity, said in sorted(metadata.items())
        for name, text in said.items()
        if text and not _makes_sense(name, text)
    ]


def _makes_sense(name: str, text: str) -> bool:
    if name == "tier_rank":
        return _RANK.fullmatch(text) is not None
    return text in KINDS if name == "kind" else bool(text.strip())
