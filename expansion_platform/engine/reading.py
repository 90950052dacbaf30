"""Reading what a declaration names: the declared columns of the declared months, as the inputs of its rule.

Here: the inputs of rules, and values that are used, each made once a step. Not here: what depends on them
(`fingerprints.py`), reading the lake (`work.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.history import tables as billing
from expansion_platform.engine.declaration import Declaration, Digest, Pooled, Read
from expansion_platform.engine.uses import CATALOG, Use
from expansion_platform.engine.work import Work, inputs, plain, run
from expansion_platform.resources import Platform
from expansion_platform.storage.shards import Shard, shards_of


class Reading:
    """The tables and values of one step over some months, each looked up once."""

    def __init__(self, platform: Platform, months: Sequence[str]) -> None:
        self.platform, self.months = platform, list(months)
        self._values: dict[Use, Any] = {}
        self._versions: dict[Use, str | Mapping[str, str]] = {}
        self._states: dict[type[Table], dict[str, str]] = {}
        self._whole: dict[type[Table], str] = {}
        self._pooled: dict[Pooled, Any] = {}
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
            self._versions[use] = (
                use.version(self.value(use), self.platform, self.months)
                if before is None
                else before(self.platform, self.months)
            )
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
        catalog = self.value(CATALOG)
        return {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}

    def inputs_of(self, declaration: Declaration, months: Sequence[str]) -> Inputs:
        """The inputs of a declaration's rule over some months, of all customers."""
        return self.inputs(declaration.names, declaration.reads, declaration.uses, months, declaration.pooled)

    def inputs(
        self,
        names: str,
        reads: Iterable[Read],
        uses: Iterable[Use],
        months: Sequence[str],
        pooled: Iterable[Pooled] = (),
    ) -> Inputs:
        """The inputs of a rule over some months, of all customers.

        Values are made when they are first asked for.
        """
        values = {use.name: partial(self.value, use) for use in uses} | {
            each.name: partial(self.pooled, each) for each in pooled
        }
        return inputs(self.platform.lake, names, reads, values, self.states, months)

    def work(
        self,
        names: str,
        rule: Callable[[list[str], Inputs], Any],
        reads: Sequence[Read],
        uses: Iterable[Use],
        pooled: Iterable[Pooled] = (),
        compared: Iterable[Read] = (),
    ) -> Work:
        """A rule as plain values for any process; `compared` is what its identities read beside it."""
        values = {use.name: self.value(use) for use in uses} | {
            each.name: self.pooled(each) for each in pooled
        }
        every = [*reads, *compared]
        known = {read.model: frozenset(self.states(read.model)) for read in every if read.monthly}
        return Work(names, rule, plain(reads), values, self.platform.lake.root, known)

    def of_some(self, work: Work, months: list[str]) -> list[Any]:
        """What a rule by customer makes of each shard."""
        return list(self.platform.executor.map(partial(run, work, months), self.shards))

    def pooled(self, each: Pooled) -> Any:
        """What all customers together show, made when first asked for."""
        if each not in self._pooled:
            work = self.work(each.name, each.rule, each.reads, each.uses)
            self._pooled[each] = each.together(self.of_some(work, self.months))
        return self._pooled[each]

    @cached_property
    def shards(self) -> list[Shard]:
        """The customers in parts, as item states are now."""
        size = self.platform.settings.expansion_shard_rows
        return shards_of(self.platform.lake, billing.ItemStates, size, self.value(CATALOG).aliases)
