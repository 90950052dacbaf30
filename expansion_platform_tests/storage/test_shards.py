"""Customers in parts: every row is of one shard, aliases are where their customer is, and what nobody owns is
everybody's.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.storage.shards import EVERYONE, Shard, split

IDS = st.text(alphabet="abé", min_size=1, max_size=3)


def rows_of(shard: Shard, customers: pa.ChunkedArray) -> list[int]:
    table = pa.table({"customer": customers, "row": range(len(customers))})
    return pyarrow.dataset.dataset(table).to_table(filter=shard.rows("customer"))["row"].to_pylist()


@given(st.lists(IDS, min_size=1, max_size=40), st.integers(1, 10), st.dictionaries(IDS, IDS, max_size=5))
def test_each_row_is_of_one_shard_with_its_customers_other_ids(
    names: list[str], size: int, said: dict[str, str]
) -> None:
    aliases = {name: owner for name, owner in said.items() if owner not in said}
    customers = pa.chunked_array([pa.array(names)])
    shards = split(customers, size, aliases)
    found = [rows_of(shard, customers) for shard in shards]
    assert sorted(row for rows in found for row in rows) == list(range(len(names)))
    place = {row: shard.number for shard, rows in zip(shards, found, strict=True) for row in rows}
    owners: dict[str, set[int]] = {}
    for row, name in enumerate(names):
        owners.setdefault(aliases.get(name, name), set()).add(place[row])
    assert all(len(numbers) == 1 for numbers in owners.values())
    biggest = max(sum(aliases.get(name, name) == owner for name in names) for owner in owners)
    assert max(map(len, found)) <= max(size, biggest)


def test_few_rows_are_one_shard() -> None:
    assert split(pa.chunked_array([pa.array(["a", "b"])]), 2, {}) == [EVERYONE]
    assert EVERYONE.rows("customer") is None


def test_a_row_without_a_customer_is_everybodys() -> None:
    customers = pa.chunked_array([pa.array(["a", None, "b"])])
    assert rows_of(Shard(1, "b", None), customers) == [1, 2]
    assert rows_of(Shard(0, None, "b"), customers) == [0, 1]


@pytest.mark.parametrize(("first", "beyond"), [(None, "cus_b"), ("cus_b", None)])
def test_bounds_are_in_the_order_of_the_stored_key(first: str | None, beyond: str | None) -> None:
    """Rows are sorted by Arrow, by bytes; capitals come before small letters there, as in Python."""
    names = ["cus_Z", "cus_a", "cus_b", "cus_é"]
    expected = [
        name for name in names if (first is None or name >= first) and (beyond is None or name < beyond)
    ]
    rows = rows_of(Shard(0, first, beyond), pa.chunked_array([pa.array(names)]))
    assert [names[row] for row in rows] == expected
