"""Hints in Stripe's metadata: what makes sense is followed, the rest is reported, and nothing of it stops
anything.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.hints import HINTS, from_rows, ignored
from expansion_platform.domain.core.errors import ConfigurationError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.parametrize("text", ["--3", "3-", "٣", "²", "1e3", "3.0", " 3", "+3", "9" * 30, "gold"])
def test_a_rank_that_is_none_is_ignored_and_reported(text: str) -> None:
    catalog = Catalog.from_dict({}, {"prod_1": {"tier_rank": text, "family": "plans"}})
    entry = catalog.entry("price_1", "prod_1", "licensed")
    assert (entry.tier_rank, entry.family) == (None, "plans")
    (told,) = ignored(catalog.metadata)
    assert (told.object, told.key) == ("prod_1", "tier_rank")
    assert str(told).endswith("and should be a whole number such as 2, in the digits 0 to 9")


def test_what_makes_sense_is_followed_and_not_reported() -> None:
    catalog = Catalog.from_dict(
        {}, {"prod_1": {"tier_rank": "-3", "kind": "addon", "family": "", "unit": "ورقة"}}
    )
    entry = catalog.entry("price_1", "prod_1", "licensed")
    assert (entry.tier_rank, entry.kind, entry.family, entry.unit) == (-3, "addon", "prod_1", "ورقة")
    assert ignored(catalog.metadata) == []


def test_an_unknown_kind_says_which_there_are() -> None:
    told = ignored({"prod_2": {"kind": "Base"}, "prod_1": {"unit": " "}})
    assert [str(each) for each in told] == [
        'prod_1: unit is " ", and should be a name',
        'prod_2: kind is "Base", and should be one of base, addon, usage',
    ]


@given(st.dictionaries(st.sampled_from([*HINTS, "group", "colour"]), JSON, max_size=4))
def test_any_metadata_gives_an_entry(said: dict[str, object]) -> None:
    hints = from_rows([("prod_1", json.dumps(said)), ("prod_2", "{}")])
    catalog = Catalog.from_dict({}, hints)
    entry = catalog.entry("price_1", "prod_1", "licensed")
    texts = {name: text for name, text in said.items() if isinstance(text, str) and text and name in HINTS}
    followed = {
        name for name, text in texts.items() if str(getattr(entry, name, text)) in (text, f"usage:{text}")
    }
    assert {each.key for each in ignored(catalog.metadata)} >= texts.keys() - followed - {"meter", "unit"}


def test_a_catalog_file_with_such_a_rank_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match=r"products\.prod_1\.tier_rank"):
        Catalog.from_dict({"products": {"prod_1": {"tier_rank": "--3"}}})
    with pytest.raises(ConfigurationError, match=r"products\.prod_1\.tier_rank"):
        Catalog.from_dict({"products": {"prod_1": {"tier_rank": 10**30}}})
