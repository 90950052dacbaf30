"""Floor `alerts`: the monthly digest of candidates, written to the ledger's outbox once a month.

Here: when it is due. Not here: who is a candidate (`domain/signals/candidates.py`), the words
(`alerting/digest.py`), the posting (`automation/`).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.alerting import digest
from expansion_platform.domain.alerts.findings import fingerprint
from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.signals import tables as signals
from expansion_platform.engine.describe import OWNERS
from expansion_platform.reports.candidates import notes_of
from expansion_platform.resources import Platform
from expansion_platform.storage.ledger import Alert
from expansion_platform.tables.alerts import shown

RULE = "candidates"


@dg.asset(
    key=["alerts", "digest"],
    deps=[dg.AssetKey(table_name(signals.Candidates).split("/"))],
    group_name="alerts",
    owners=OWNERS,
    kinds={"slack"},
)
def candidates_digest(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """One message to each owner a month: which of their customers to speak to about more.

    Of the newest closed month, after the days that late facts take to arrive, where owners are given
    (EXPANSION_OWNERS). A backfill of old months and a restated month notify nobody. Customers that should be
    left alone for now, and the control arm of a programme, are not named.
    """
    lag = timedelta(days=platform.settings.expansion_close_lag_days)
    month = months.newest_closed(platform.as_of - lag, platform.timezone)
    if platform.settings.expansion_owners is None:
        context.log.info("no digest: EXPANSION_OWNERS is not set, so whose customers these are is not known")
        return dg.MaterializeResult(metadata={"month": month, "new": 0})
    if not platform.computed(signals.Candidates, month):
        context.log.info(f"{month} has no candidates yet: no digest")
        return dg.MaterializeResult(metadata={"month": month, "new": 0})
    rows = platform.lake.read(signals.Candidates, [month])
    named = digest.to_name(rows, platform.signals.capacity)
    if named.empty:
        context.log.info(f"{month}: nobody to speak to among {len(rows)} customers")
        return dg.MaterializeResult(metadata={"month": month, "new": 0})
    known = platform.ledger.alerts.get(fingerprint(RULE, month)) is not None
    # All or nothing: a run that is killed in between would leave owners without their message.
    added = 0 if known else platform.ledger.alerts.record([], _messages(platform, month, rows, named))
    context.log.info(f"{month}: {len(named)} candidates ({'notified now' if added else 'notified before'})")
    return dg.MaterializeResult(metadata={"month": month, "named": len(named), "new": added})


def _messages(platform: Platform, month: str, rows: pd.DataFrame, named: pd.DataFrame) -> Iterator[Alert]:
    """The message of the month, and as replies those of the owners."""
    base = platform.settings.dagster_webserver_url
    links = {"Open in Dagster": f"{base}/assets/{table_name(signals.Candidates)}?partition={month}"}
    first = fingerprint(RULE, month)
    message = digest.head(month, named, rows, list(notes_of(platform, month, rows)), links)
    yield Alert(first, RULE, "total", month, "info", message)
    owned = named.assign(owner=named["owner"].astype(object).where(named["owner"].notna(), None))
    for owner in sorted(owned["owner"].dropna().unique()) + [None] * bool(owned["owner"].isna().any()):
        theirs = owned[owned["owner"].isna() if owner is None else owned["owner"] == owner]
        message = digest.of_owner(owner, month, theirs, platform.settings.expansion_currency, shown(platform))
        key = fingerprint(RULE, month, "nobody" if owner is None else f"owner {owner}")
        yield Alert(key, RULE, "total", month, "info", message, event="update", thread=first)
