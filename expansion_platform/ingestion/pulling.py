"""A pull as a run does it: read, validate, commit, note what is done, move the cursor.

All of it again after a crash without reading twice.

Here: the order of those, which pull is due, and what is said meanwhile. Not here: reading Stripe
(`sources/stripe/`), Dagster's assets (`stripe.py`).

Everything is read in batches: a batch is committed table by table, then its windows are noted in the ledger,
and at the very end the cursor moves. A run killed anywhere leaves tables that hold a part of the account and
a ledger that says which; the next run reads the rest as of the instant the killed one began with, and then
what changed since.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from expansion_platform.domain.core.table import Table, empty, table_name
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.ingestion.account import CURSOR, UNDER_WAY, check_same_account, server
from expansion_platform.ingestion.committing import MODELS, commit_changes, compact
from expansion_platform.ingestion.metering import FROM_BILLS, commit_usage, due
from expansion_platform.resources import Platform
from expansion_platform.sources.stripe.changes import PullState, TableChange
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.fields import PLAIN_KEYS, MetadataKeys
from expansion_platform.sources.stripe.full import EVERYTHING, read_everything
from expansion_platform.sources.stripe.meter import Meter
from expansion_platform.sources.stripe.pull import LONGEST_GAP_SECONDS, read_changes, since, why_everything
from expansion_platform.sources.stripe.requests import PermissionMissingError
from expansion_platform.sources.stripe.windows import Window

# An event Stripe never sent, or one this project does not know, costs a week at most.
RECONCILE_SECONDS = 7 * 86400
SAY_EVERY_SECONDS = 5

KEYS = "metadata_keys"

Say = Callable[[str], None]


def other_keys(stored: Mapping[str, Any] | None, keys: MetadataKeys) -> str | None:
    """Why everything is to be read again when other metadata is to be kept than when a cursor was written.

    None when it is the same.
    """
    if stored is None or stored.get(KEYS, PLAIN_KEYS.names) == keys.names:
        return None
    return (
        "everything, since other metadata is to be kept (EXPANSION_ATTRIBUTE_KEYS, "
        "EXPANSION_INITIATED_BY_KEY)"
    )


class Pulling:
    """One pull of the platform's Stripe account into its lake.

    Args:
        platform: Source, lake, ledger, clock.
        say: Takes lines of progress, by any thread.
        info: Goes into the metadata of every commit.

    After `run`, `rows` has what was written to each table, and `reason` why it read what it read.
    """

    def __init__(self, platform: Platform, say: Say, info: Mapping[str, Any]) -> None:
        self._platform = platform
        self._say = say
        self._info = dict(info)
        self._meter = Meter()
        self._said_at = time.monotonic()
        self._reasons: list[str] = []
        self.rows: dict[type[Table], int] = defaultdict(int)

    @property
    def reason(self) -> str:
        """Why it read what it read."""
        return "; ".join(self._reasons)

    @property
    def counts(self) -> Mapping[str, int]:
        """Objects read per resource."""
        return self._meter.counts

    def run(self) -> None:
        """Pulls what is due.

        Raises:
            DataQualityError: An object that cannot be; what was committed before it stays and is not read
                again.
            ConfigurationError: The tables are of another server, or of live data and the key is of test data
                or the reverse.
            StripeRequestError: As in `StripeSource.objects`.
        """
        source, as_of = self._platform.stripe, self._platform.as_of
        stored = (
            self._platform.ledger.pulls.cursor(CURSOR)
            if all(self._platform.lake.exists(model) for model in MODELS)
            else None
        )
        check_same_account(self._platform, source)
        state = (
            PullState()
            if stored is None
            else PullState(stored["last_pull_at"], tuple(stored["recent_events"]))
        )
        reconciled_at = None if stored is None else stored.get("reconciled_at", stored["last_pull_at"])
        reason = why_everything(state, as_of) or other_keys(stored, source.keys)
        if reason is not None:
            state = self._everything(source, as_of, reason)
            reconciled_at = state.last_pull_at
        if state.last_pull_at is not None and (reason is None or state.last_pull_at < int(as_of.timestamp())):
            state = self._changes(source, state, as_of)
        if reconciled_at is not None and int(as_of.timestamp()) - reconciled_at >= RECONCILE_SECONDS:
            self._reasons.append("every subscription, as each week")
            self._read(source, as_of, lists=["subscriptions"])
            reconciled_at = int(as_of.timestamp())
        self._usage(source, as_of, None if stored is None else stored["last_pull_at"])
        compact(self._platform.lake)
        self._platform.ledger.pulls.complete(CURSOR, UNDER_WAY, self._cursor(state, reconciled_at))

    def _everything(self, source: StripeSource, as_of: datetime, reason: str) -> PullState:
        ledger = self._platform.ledger
        begun = ledger.pulls.cursor(UNDER_WAY)
        if begun is None or not self._can_go_on(begun, as_of):
            begun = {
                "as_of": as_of.astimezone(UTC).isoformat(),
                "server": server(self._platform),
                KEYS: source.keys.names,
            }
            ledger.pulls.begin(UNDER_WAY, begun)
            self._commit_all({table_name(model): TableChange(empty(model)) for model in MODELS})
        done = [Window(*window) for window in ledger.pulls.windows(UNDER_WAY)]
        self._reasons.append(f"{reason}, going on where it was interrupted" if done else reason)
        as_of = datetime.fromisoformat(begun["as_of"])
        recent = self._read(source, as_of, done=done)
        return PullState().moved(as_of, recent)

    def _can_go_on(self, begun: Mapping[str, Any], as_of: datetime) -> bool:
        """Whether what a killed run stored can still be brought up to date by events, and is there."""
        if begun.get("changes") or other_keys(begun, self._platform.stripe.keys):
            return False
        age = (as_of - datetime.fromisoformat(begun["as_of"])).total_seconds()
        here = all(self._platform.lake.exists(model) for model in MODELS)
        return 0 <= age <= LONGEST_GAP_SECONDS and begun["server"] == server(self._platform) and here

    def _read(
        self,
        source: StripeSource,
        as_of: datetime,
        lists: list[str] | None = None,
        done: list[Window] | None = None,
    ) -> set[str]:
        """Reads whole lists and commits them batch by batch; returns the events of the overlap."""
        recent: set[str] = set()

        def said(_resource: str, _count: int) -> None:
            self._now_and_then(self._meter)

        for batch in read_everything(
            source, as_of, lists=lists or EVERYTHING, done=done or (), progress=said, meter=self._meter
        ):
            self._commit_all(batch.changes)
            recent |= batch.recent_events
            if lists is None:
                self._platform.ledger.pulls.add_windows(
                    UNDER_WAY, [(window.name, window.gte, window.lt) for window in batch.windows]
                )
        return recent

    def _changes(self, source: StripeSource, state: PullState, as_of: datetime) -> PullState:
        self._reasons.append(since(state, as_of))
        recent: set[str] = set()
        for batch in read_changes(
            source,
            state,
            as_of,
            progress=lambda resource, count: self._now_and_then(f"{count:,} {resource} so far"),
        ):
            self._commit_all(batch.changes)
            recent |= batch.recent_events
            for resource, count in batch.counts.items():
                self._meter.count(resource, count)
        return state.moved(as_of, recent)

    def _usage(self, source: StripeSource, as_of: datetime, pulled_at: int | None) -> None:
        """Days of metered usage that are new or not final yet, once it is known who is metered."""
        wanted = due(self._platform.lake, as_of, pulled_at)
        if not wanted:
            return
        try:
            for days, rows in commit_usage(
                self._platform.lake, source, wanted, as_of, self._info, self._under_way
            ):
                self.rows[stripe.MeterUsage] += rows
                count = self._meter.count("days of usage", days)
                self._now_and_then(f"{count:,} of {sum(each.days for each in wanted):,} days of usage so far")
        except PermissionMissingError:
            self._reasons.append(FROM_BILLS)

    def _under_way(self) -> None:
        """Says in the ledger that tables are written.

        A later pull killed between two of them is not all there either.
        """
        if self._platform.ledger.pulls.cursor(UNDER_WAY) is None:
            self._platform.ledger.pulls.begin(UNDER_WAY, {"changes": True, "server": server(self._platform)})

    def _commit_all(self, changes: Mapping[str, TableChange]) -> None:
        self._under_way()
        for model, rows in commit_changes(self._platform.lake, changes, self._info).items():
            self.rows[model] += rows

    def _cursor(self, state: PullState, reconciled_at: int | None) -> dict[str, Any]:
        return {
            "last_pull_at": state.last_pull_at,
            "recent_events": list(state.recent_events),
            "reconciled_at": reconciled_at,
            "server": server(self._platform),
            KEYS: self._platform.stripe.keys.names,
        }

    def _now_and_then(self, line: object) -> None:
        now = time.monotonic()
        if now - self._said_at >= SAY_EVERY_SECONDS:
            self._said_at = now
            self._say(f"stripe: {line}")
