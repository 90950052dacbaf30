"""Facts of one kind that a CRM has, as rows of the user's table, and how far they have a customer.

Here: the rows, the unmatched share, what has to be said of it. Not here: which facts there are (`hubspot.py`,
`salesforce.py`, `zendesk.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from expansion_platform.domain.core.ratios import SIGNAL_PLACES, ratio_text
from expansion_platform.domain.core.table import Table, columns, key
from expansion_platform.sources.crm.accounts import Accounts, Conflict
from expansion_platform.sources.crm.timelines import Version

_SHOWN = 5


@dataclass(frozen=True)
class Unmatched:
    """How many things of a source there are, and how many of them have no customer."""

    of: int
    without: int

    @property
    def share(self) -> str | None:
        """Their share as decimal text with 6 places; None when there is nothing."""
        return ratio_text(self.without, self.of, SIGNAL_PLACES)


@dataclass(frozen=True)
class Facts:
    """What a source says of customers."""

    frame: pd.DataFrame
    """Rows of the user's table, text, in the order of its key."""
    unmatched: Mapping[str, Unmatched] = field(default_factory=dict)
    """By table of the source."""
    conflicts: tuple[Conflict, ...] = ()
    remarks: tuple[str, ...] = ()
    own_dates: bool = True
    """Whether a row without `known_at` may count as known since its own day at a first load: so in a file of
    the user's. A CRM's row without one is today's state of something older.
    """

    @property
    def notes(self) -> list[str]:
        """What the user should know of it, a sentence each; nothing when there is nothing to say."""
        shares = [
            f"{each.without} of {each.of} rows of {name} are of accounts without a Stripe customer"
            for name, each in self.unmatched.items()
            if each.without
        ]
        if self.conflicts:
            named = [f"{each.customer} ({', '.join(each.accounts)})" for each in self.conflicts]
            shares.append(
                f"several accounts name one Stripe customer, whose facts are left out: {some(named)}. "
                "Leave it on one of them"
            )
        return [*shares, *self.remarks]


class Collected:
    """Facts of one of the user's tables, taken up thing by thing."""

    def __init__(self, model: type[Table], accounts: Accounts) -> None:
        self._model, self._accounts = model, accounts
        self._one_id = "id" in key(model) and "customer" not in key(model)
        self._rows: list[dict[str, str | None]] = []
        self._counts: dict[str, list[int]] = {}

    def add(
        self, source: str, identity: str | None, versions: Sequence[tuple[Sequence[str | None], Version]]
    ) -> None:
        """A thing, once for each customer of its accounts.

        Args:
            source: The table that it is counted under.
            identity: Its id; the second and further customers have theirs behind it. None where the table has
                no ids.
            versions: Accounts and version, the oldest first. Without a customer in the last, it is unmatched.
        """
        matched = bool(versions) and bool(self._accounts.of(versions[-1][0]))
        self.count(source, matched=matched)
        for accounts, version in versions if matched else ():
            for at, customer in enumerate(self._accounts.of(accounts)):
                self.row(customer, version, f"{identity}:{customer}" if at and self._one_id else identity)

    def count(self, source: str, *, matched: bool) -> None:
        """Counts a thing that has a customer or not."""
        counts = self._counts.setdefault(source, [0, 0])
        counts[0] += 1
        counts[1] += not matched

    def row(self, customer: str, version: Version, identity: str | None = None) -> None:
        """A version as a row. Fields that the table does not have are left out."""
        known_at = None if version.known_at is None else version.known_at.isoformat()
        self._rows.append({"id": identity, **version.fields, "customer": customer, "known_at": known_at})

    def facts(self, remarks: Sequence[str] = ()) -> Facts:
        """Everything taken up."""
        frame = pd.DataFrame(self._rows, columns=list(columns(self._model))).astype("str")
        frame = frame.sort_values(list(columns(self._model))).drop_duplicates(key(self._model), keep="last")
        links = self._accounts
        unreadable = [
            f"{links.unreadable} accounts have something else than cus_... in {links.column}: they count as "
            "accounts without a Stripe customer"
        ]
        return Facts(
            frame.sort_values(key(self._model), ignore_index=True),
            {source: Unmatched(*counts) for source, counts in self._counts.items()},
            links.conflicts,
            (*(unreadable if links.unreadable else ()), *remarks),
            own_dates=False,
        )


def some(texts: Sequence[str]) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
