"""The declaration of a table, or of tables that are computed together.

One object from which everything else follows.

Here: what a declaration can say. Not here: any one declaration (`tables/`), and what is made of it
(`monthly.py`, `assets.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow.dataset

from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs, Together
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import Table, columns, partitioned_by, table_names
from expansion_platform.domain.core.validation import RECONCILED_CHECK

if TYPE_CHECKING:  # other processes read declarations, too, and need neither Dagster nor the sources
    from expansion_platform.engine.reading import Reading
    from expansion_platform.engine.uses import Use
    from expansion_platform.resources import Platform

PANDAS = frozenset({"pandas", "pandera", "deltalake"})
DUCKDB = frozenset({"duckdb", "pandera", "deltalake"})

Rule = Callable[[list[str], Inputs], Computed]
Audit = Callable[[Frames, Inputs], None]
"""Raises DataQualityError when frames that are about to be published contradict each other, or what they are
made of.
"""
Plotted = Mapping[type[Table], Mapping[str, Mapping[str, Any]]]
"""Table -> month -> name -> what the UI shows under it: headline figures it plots, small texts."""
Plots = Callable[[list[str], Inputs], Plotted]


@dataclass(frozen=True)
class Window:
    """The months of an input that a month looks at: itself and `back` months before it.

    None for all months up to it.
    """

    back: int | None = 0

    def months(self, month: str, known: Sequence[str]) -> list[str]:
        """The months looked at; without a bound, those of `known` up to the month."""
        if self.back is None:
            return sorted({name for name in known if name <= month} | {month})
        return months.between(months.shift(month, -self.back), month)

    def earliest(self, month: str, known: Sequence[str]) -> str:
        """The first of them."""
        return self.months(month, known)[0]


MONTH = Window(0)
EVERYTHING = Window(None)


@dataclass(frozen=True, eq=False)
class Read:
    """One table that a rule reads.

    Args:
        model: the table.
        columns: those that the rule sees; all without.
        window: which months of it a month looks at; of a table that is not monthly the whole is read.
        where: only rows for which this is true.
        coded: texts that repeat, read as categoricals.
        ordered: whether rows come in the order of the table's key, as far as its columns are read.
        digest: says by month what the rule depends on of this table; without, a month depends on everything
            stored of its window.
        customer: the column that names the customer, of a table read by customer; a table without one is read
            whole.
    """

    model: type[Table]
    columns: tuple[str, ...] | None = None
    window: Window = MONTH
    where: pyarrow.dataset.Expression | None = None
    coded: tuple[str, ...] = ()
    ordered: bool = True
    digest: Digest | None = None
    customer: str = "customer"

    @property
    def by(self) -> str | None:
        """The column that names the customer, if there is one."""
        return self.customer if self.customer in columns(self.model) else None

    @property
    def monthly(self) -> bool:
        """Whether the table is stored by month."""
        return partitioned_by(self.model) is not None


@dataclass(frozen=True, eq=False)
class Digest:
    """What each month depends on in tables that are not monthly.

    A text for each month that changes when that does.

    The texts are kept in the ledger under `name`, and made again when their rule, what it uses or what it
    reads changed. With `together`, the rule is by customer: it returns what it makes of some of them, of
    which that makes the texts.
    """

    name: str
    rule: Callable[[list[str], Inputs], Any]
    reads: tuple[Read, ...]
    uses: tuple[Use, ...] = ()
    together: Callable[[list[str], Sequence[Any], Inputs], Mapping[str, str]] | None = None
    pooled: tuple[Pooled, ...] = ()

    @property
    def rules(self) -> tuple[Callable[..., Any], ...]:
        """Every function that the texts are made by."""
        together = () if self.together is None else (self.together,)
        return (self.rule, *together, *(rule for each in self.pooled for rule in each.rules))


@dataclass(frozen=True, eq=False)
class Pooled:
    """What all customers together show.

    A rule by customer sees it as a value beside its own customers' rows.

    Args:
        name: as rules ask for it (`Inputs.value`).
        rule: what some customers show.
        together: what all of them do.
        reads: the tables that the rule sees.
        uses: what else it sees.
    """

    name: str
    rule: Callable[[list[str], Inputs], Any]
    together: Callable[[Sequence[Any]], Any]
    reads: tuple[Read, ...]
    uses: tuple[Use, ...] = ()

    @property
    def rules(self) -> tuple[Callable[..., Any], ...]:
        """The functions that the value is made by."""
        return self.rule, self.together


@dataclass(frozen=True)
class Settling:
    """What becomes of the rows of a rule by customer once all customers are known.

    Args:
        together: from what each part shows (`Computed.shows`), what all of them do in the months that can be
            computed.
        finish: the rows of a part, from what its rule made (`Computed.rest`) and what all show.
    """

    together: Callable[[list[str], Sequence[Any], Inputs], Together]
    finish: Callable[[list[str], Computed, Any], Frames]


@dataclass(frozen=True)
class Identity:
    """An identity of a table that must hold before it is published, shown as one of its checks.

    Args:
        model: the table.
        says: the identity in words.
        audit: raises where it does not hold.
        reads: what the audit compares with, beside what the rule reads.
        check: its name.
        warns: the table is published all the same, and the check shows as a warning.
    """

    model: type[Table]
    says: str
    audit: Audit
    reads: tuple[Read, ...] = ()
    check: str = RECONCILED_CHECK
    warns: bool = False


@dataclass(frozen=True)
class Declaration:
    """Tables that are computed together, month by month stored, over whole ranges of months computed.

    Args:
        name: of the computation in Dagster.
        models: the tables; their docstrings describe the assets.
        reads: the tables that the rule sees.
        rule: a pure function of the months and these inputs, in `domain/`.
        uses: settings, files and facts of the platform that it sees, too.
        identities: what must hold before anything is published.
        plots: what the UI shows of each month. It sees the tables themselves and `plot_reads`, as they were
            published.
        kinds: shown as the asset's tags in the UI.
        by: `customer` where customers do not depend on each other, so that the rule can run on some of them
            at a time; else `book`.
        pooled: what a rule by customer sees of all customers.
        settling: what of its rows depends on what the rule made of the others.
        made_of: what the ledger records of each month instead of its fingerprint: the record that makes it
            current.
        not_set_up: says what the user has not configured, so that the tables are empty.
    """

    name: str
    models: tuple[type[Table], ...]
    reads: tuple[Read, ...]
    rule: Rule
    uses: tuple[Use, ...] = ()
    identities: tuple[Identity, ...] = ()
    plots: Plots | None = None
    plot_reads: tuple[Read, ...] = ()
    kinds: frozenset[str] = PANDAS
    by: Literal["customer", "book"] = "book"
    pooled: tuple[Pooled, ...] = ()
    settling: Settling | None = None
    made_of: Callable[[Reading], Mapping[str, str]] | None = None
    not_set_up: Callable[[Platform], str | None] = lambda _platform: None

    @property
    def rules(self) -> tuple[Callable[..., Any], ...]:
        """Every function that the rows are made by."""
        settling = () if self.settling is None else (self.settling.together, self.settling.finish)
        return (self.rule, *settling, *(rule for each in self.pooled for rule in each.rules))

    @property
    def names(self) -> str:
        """The tables, for messages."""
        return table_names(self.models)

    @property
    def digests(self) -> tuple[Digest, ...]:
        """Each digest once."""
        return tuple(dict.fromkeys(read.digest for read in self.reads if read.digest is not None))

    @property
    def needed(self) -> tuple[Read, ...]:
        """Every table of other declarations that must have been computed.

        Those the rule sees and those the identities compare with.
        """
        every = (*self.reads, *(read for identity in self.identities for read in identity.reads))
        return tuple(read for read in every if read.model not in self.models)

    @property
    def inputs(self) -> list[type[Table]]:
        """The tables of `needed`, each once: the asset's dependencies."""
        return list(dict.fromkeys(read.model for read in self.needed))
