"""Reading what a declaration names: the declared columns of the declared months, as the inputs of its rule.

Here: `inputs_of`, and values that are used, each made once a step. Not here: what depends on them (`fingerprints.py`), the lake itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import pyarrow as pa

from expansion_platform.domain.errors import UndeclaredReadError
from expansion_platform.domain.inputs import Inputs, Load, Scan
from expansion_platform.domain.schemas.base import Table, table_name
from expansion_platform.engine.declaration import Declaration, Digest, Read
from expansion_platform.engine.uses import Use
from expansion_platform.resources import Platform


class Reading:
    """The tables and values of one step over some months, each looked up once."""

    def __init__(self, platform: Platform, months: Sequence[str]) -> None:
        self.platform, self.months = platform, list(months)
        self._values: dict[Use, Any] = {}
        self._versions: dict[Use, str | Mapping[str, str]] = {}
        self._states: dict[type[Table], dict[str, str]] = {}
        self._whole: dict[type[Table], str] = {}
        self.digests: dict[Digest, Mapping[str, str]] = {}
        """By month, those that were asked for (`fingerprints.digested`)."""

    def value(self, use: Use) -> Any:
        """The value of something used, made when first asked for."""
        if use not in self._values:
            self._values[use] = use.value(self.platform, self.months)
        return self._values[use]

    def version(self, use: Use, month: str | None = None) -> str:
        """A text that changes when the value does; of a month, when what the month depends on does."""
        if use not in self._versions:
            before = use.version_before
            self._versions[use] = use.version(self.value(use), self.platform, self.months) if before is None else before(self.platform, self.months)
        version = self._versions[use]
        if isinstance(version, str):
            return version
        return str(version.get(month)) if month is not None else str(sorted(version.items()))

    def states(self, model: type[Table]) -> dict[str, str]:
        """What is stored of each computed month of a monthly table."""
        if model not in self._states:
            self._states[model] = self.platform.states(model)
        return self._states[model]

    def state(self, model: type[Table]) -> str:
        """What is stored of a whole table. Looked up once a step: each look opens the table's log."""
        if model not in self._whole:
            self._whole[model] = self.platform.lake.state(model)
        return self._whole[model]

    @cached_property
    def catalog_hashes(self) -> dict[str, str]:
        """The versions that are stamped on rows."""
        catalog = self.platform.catalog()
        return {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}

    def inputs_of(self, declaration: Declaration, months: Sequence[str]) -> Inputs:
        """The inputs of a declaration's rule over some months."""
        return self.inputs(declaration.names, declaration.reads, declaration.uses, months)

    def inputs(self, names: str, reads: Iterable[Read], uses: Iterable[Use], months: Sequence[str]) -> Inputs:
        """The inputs of a rule over some months.

        Args:
            names: the rule's tables, for messages.
            reads: the tables it may read; of one that is named twice, as the first says.
            uses: what else it may use.
            months: the months it is to compute.
        """
        load: dict[type[Table], Load] = {}
        scan: dict[type[Table], Scan] = {}
        for read in reads:
            load.setdefault(read.model, partial(self._load, names, read, months))
            scan.setdefault(read.model, partial(self._scan, names, read, months))
        values = {use.name: partial(self.value, use) for use in uses}
        return Inputs(names, load, lambda model: frozenset(self.states(model)), values, months, scan)

    def _load(self, names: str, read: Read, months: Sequence[str], asked: Sequence[str] | None) -> pa.Table:
        wanted = self._wanted(names, read, months, asked)
        return self.platform.lake.pruned(read.model, columns=read.columns, months=wanted, where=read.where, coded=read.coded, in_order=read.ordered)

    def _scan(self, names: str, read: Read, months: Sequence[str], asked: Sequence[str] | None) -> Any:
        if read.where is not None:  # Arrow's expression, which DuckDB does not read; what it leaves is little
            return self._load(names, read, months, asked)
        return self.platform.lake.scan(read.model, columns=read.columns, months=self._wanted(names, read, months, asked))

    def _wanted(self, names: str, read: Read, months: Sequence[str], asked: Sequence[str] | None) -> list[str] | None:
        """The months to read of those that the declared window covers; None for a table that is not monthly."""
        if not read.monthly:
            return None
        known = self.states(read.model)
        seen = {name for month in months for name in read.window.months(month, list(known))}
        if outside := sorted(set(asked or ()) - seen):
            raise UndeclaredReadError(
                f"the rule of {names} reads {table_name(read.model)} of {', '.join(outside)}, which its declared window does not cover: widen it"
            )
        return sorted((seen if asked is None else set(asked)) & known.keys())
