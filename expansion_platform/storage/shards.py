"""The customers of a book in parts: memory is bounded by the part, and parts are computed side by side.

Here: which customers a shard has, and which rows are theirs. Not here: what is computed of them
(`engine/parts.py`), by what (`engine/executors.py`).

A shard is a range of customer ids, not a hash of them: rows are stored in the order of their key, which
begins with the customer, so a shard reads the row groups of its range and no others, and what it writes is in
key order. An id that another one took over (an alias) is where that one is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset

from expansion_platform.domain.core.table import Table
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.rows import among


@dataclass(frozen=True)
class Shard:
    """Customers whose id, after aliases, is at least `first` and under `beyond`; None is no bound.

    `came` are ids outside the range that belong to one in it, `went` ids in the range that belong to one
    outside.
    """

    number: int = 0
    first: str | None = None
    beyond: str | None = None
    came: tuple[str, ...] = ()
    went: tuple[str, ...] = ()

    def rows(self, column: str) -> pyarrow.dataset.Expression | None:
        """Which rows are of these customers, by the column that names the customer; None for all.

        A row that names none is everybody's.
        """
        if self.first is None and self.beyond is None:
            return None
        found = pc.scalar(True)
        if self.first is not None:
            found = found & (pc.field(column) >= self.first)
        if self.beyond is not None:
            found = found & (pc.field(column) < self.beyond)
        if self.went:
            found = found & ~among(column, self.went)
        if self.came:
            found = found | among(column, self.came)
        return found | pc.field(column).is_null()


EVERYONE = Shard()


def split(customers: pa.ChunkedArray, size: int, aliases: Mapping[str, str]) -> list[Shard]:
    """Shards of about `size` rows each.

    Args:
        customers: the customer of each row.
        size: rows of a shard; a customer with more is not split.
        aliases: customer -> the one that took it over.
    """
    if len(customers) <= size:
        return [EVERYONE]
    counts = customers.value_counts()
    owners: dict[str, int] = {}
    for name, rows in zip(
        counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True
    ):
        owner = aliases.get(name, name)
        owners[owner] = owners.get(owner, 0) + rows
    bounds, within = list[str](), 0
    for name in sorted(owners):
        if within and within + owners[name] > size:
            bounds.append(name)
            within = 0
        within += owners[name]
    return [
        _shard(number, first, beyond, aliases)
        for number, (first, beyond) in enumerate(zip([None, *bounds], [*bounds, None], strict=True))
    ]


def shards_of(
    lake: Lake,
    model: type[Table],
    size: int,
    aliases: Mapping[str, str],
    where: pyarrow.dataset.Expression | None = None,
) -> list[Shard]:
    """Shards of about so many rows of a table, of all or some; everyone at once where there are no more."""
    if lake.dataset(model).count_rows(filter=where) <= size:
        return [EVERYONE]
    read = lake.dataset(model, dictionaries=["customer"]).to_table(columns=["customer"], filter=where)
    return split(read["customer"].cast(pa.string()), size, aliases)


def _shard(number: int, first: str | None, beyond: str | None, aliases: Mapping[str, str]) -> Shard:
    def inside(name: str) -> bool:
        return (first is None or name >= first) and (beyond is None or name < beyond)

    moved = [(name, owner) for name, owner in sorted(aliases.items()) if inside(name) != inside(owner)]
    came, went = (tuple(name for name, owner in moved if inside(owner) is here) for here in (True, False))
    return Shard(number, first, beyond, came, went)
