"""An import as a run does it.

What a warehouse has of Stripe, into the `stripe/*` tables, by the rules of a pull.

Here: what is due, the order of commits, the cursor. Not here: reading the warehouse (`sources/warehouse/`),
pulls from the API (`pulling.py`).

While one is under way the ledger says so, and nothing is computed from half of it; one that was killed is
simply read again, since rows that are stored already change nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from expansion_platform.domain.core.table import Table, empty, table_name
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.ingestion.account import CURSOR, UNDER_WAY, check_same_account, server
from expansion_platform.ingestion.committing import MODELS, commit_changes, compact
from expansion_platform.ingestion.pulling import KEYS, RECONCILE_SECONDS, Say, other_keys
from expansion_platform.resources import Platform
from expansion_platform.sources.stripe.changes import TableChange


class Importing:
    """One import of the platform's warehouse into its lake; `rows`, `reason` and `counts` as of a pull."""

    def __init__(self, platform: Platform, say: Say, info: Mapping[str, Any]) -> None:
        self._platform = platform
        self._say = say
        self._info = dict(info)
        self.rows: dict[type[Table], int] = defaultdict(int)
        self.counts: dict[str, int] = defaultdict(int)
        self.reason = ""

    def run(self) -> None:
        """Reads what is due: everything the first time and once a week, else what was written since.

        Raises:
            DataQualityError: A row that cannot be read as what the mapping says.
            ConfigurationError: The tables are of another source, or the mapping does not fit the warehouse.
            WarehouseError: The warehouse cannot be read.
        """
        platform, as_of = self._platform, self._platform.as_of
        ledger, source = platform.ledger, platform.warehouse
        check_same_account(platform, None)
        stored = ledger.pulls.cursor(CURSOR) if all(platform.lake.exists(model) for model in MODELS) else None
        killed = ledger.pulls.cursor(UNDER_WAY) is not None
        newest = source.newest()
        since, self.reason = _since(stored, as_of, killed=killed)
        if changed := other_keys(stored, source.keys):
            since, self.reason = None, changed
        ledger.pulls.begin(
            UNDER_WAY, {"as_of": as_of.astimezone(UTC).isoformat(), "server": server(platform)}
        )
        seen: set[str] = set()
        for part in source.read(as_of, since):
            self._commit(part.changes)
            seen |= set(part.changes[table_name(stripe.Invoices)].rows["id"])
            for resource, count in part.counts.items():
                self.counts[resource] += count
            self._say(
                "stripe: "
                f"{', '.join(f'{count:,} {resource}' for resource, count in self.counts.items())} so far"
            )
        if since is None:
            self._forget_invoices_but(seen)
        if source.unresolved_discounts:
            some = ", ".join(sorted(source.unresolved_discounts)[:5])
            count = len(source.unresolved_discounts)
            self._say(
                f"stripe: {count} discounts name no coupon in the warehouse ({some}); what they apply "
                "to cannot be read: see docs/warehouse.md"
            )
        reconciled_at = int(as_of.timestamp()) if since is None or stored is None else stored["reconciled_at"]
        compact(self._platform.lake)
        ledger.pulls.complete(
            CURSOR,
            UNDER_WAY,
            {
                # What is known is as new as the newest row: a loader that stands still must not pass for a
                # quiet account.
                "last_pull_at": int((as_of if newest is None else min(as_of, newest)).timestamp()),
                "recent_events": [],
                "reconciled_at": reconciled_at,
                "server": server(platform),
                "synced": None if newest is None else newest.isoformat(),
                KEYS: source.keys.names,
            },
        )

    def _commit(self, changes: Mapping[str, TableChange]) -> None:
        for model, rows in commit_changes(self._platform.lake, changes, self._info).items():
            self.rows[model] += rows

    def _forget_invoices_but(self, seen: set[str]) -> None:
        """Drafts that were deleted leave the warehouse without a trace.

        Their rows leave the lake, too, once everything was read.
        """
        stored = self._platform.lake.dataset(stripe.Invoices).to_table(columns=["id"])["id"].to_pylist()
        gone = frozenset(stored) - seen
        if gone:
            nothing = {table_name(model): TableChange(empty(model)) for model in MODELS}
            replaced = {stripe.Invoices: "id", stripe.InvoiceLines: "invoice"}
            self._commit(
                nothing
                | {
                    table_name(model): TableChange(empty(model), {column: gone})
                    for model, column in replaced.items()
                }
            )


def _since(stored: Mapping[str, Any] | None, as_of: datetime, *, killed: bool) -> tuple[datetime | None, str]:
    """From when to read, None for everything, and why."""
    if stored is None:
        return None, "first import"
    if killed:
        return None, "everything, since the import before was interrupted"
    if stored.get("synced") is None:
        return None, "everything: the mapping names no column that says when a row was written"
    if int(as_of.timestamp()) - stored["reconciled_at"] >= RECONCILE_SECONDS:
        return None, "everything, as each week"
    since = pd.Timestamp(stored["synced"]).to_pydatetime()
    return since, f"what was written since {since.isoformat()}"
