"""Floor `mrr`: what each month reported when it closed, written once.

Here: the declaration, and its step. Not here: what is kept of a month (`domain/metrics/restatements.py`),
what became of it since (`outlook.py`).

The ledger has the close of each month: when, and the hash of the rows. A month is made of that instead of a
fingerprint, so a closed month is current for good. Rows that are not those any more stop the month instead of
being written again, since nothing else could say what was reported.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import added, empty, table_name
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics.restated_months import FIGURES_OF, report_month
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.engine.declaration import Declaration, Read
from expansion_platform.engine.monthly import build
from expansion_platform.engine.reading import Reading
from expansion_platform.engine.uses import CATALOG, TIMEZONE, VERSIONS
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT
from expansion_platform.storage.ledger import Close
from expansion_platform.tables.reads import WITHOUT_EVIDENCE, item_states

OPEN = "open"
"""Record of a month that has not closed. That of a closed month is the hash of the rows that it reported."""
HASH_DIGITS = 16


def _no_rows(_months: Sequence[str], _: Inputs) -> Computed:
    """No month has closed; `close_months` knows those that have."""
    return Computed({})


def _record(reading: Reading) -> dict[str, str]:
    """The close of each month that has closed; a text that no record is for those that can close now."""
    platform, recorded = reading.platform, reading.platform.ledger.builds.closes()
    now = (_can_close(platform, reading.months) | _committed(platform, reading.months)) - recorded.keys()
    return {
        month: recorded[month].content if month in recorded else "closes now" if month in now else OPEN
        for month in reading.months
    }


FIRST_REPORTED = Declaration(
    name="first_reported",
    models=(mrr.FirstReported,),
    reads=(
        *(Read(model) for model in FIGURES_OF),
        item_states(WITHOUT_EVIDENCE),
        Read(billing.FxRates),
    ),
    uses=(CATALOG, TIMEZONE, VERSIONS),
    rule=_no_rows,
    made_of=_record,
)


def close_months(
    context: dg.AssetExecutionContext, platform: Platform, declaration: Declaration
) -> Iterator[Any]:
    """Keeps the figures of every month of the run that has closed and was not kept before."""
    recorded = platform.ledger.builds.closes()
    # Killed between the table's commit and the ledger's, a month is taken as it was committed.
    committed = {
        month: platform.lake.read(mrr.FirstReported, [month])
        for month in _committed(platform, context.partition_keys) - recorded.keys()
    }
    closing = sorted(_can_close(platform, context.partition_keys) - recorded.keys() - committed.keys())
    reported = committed | _reported(platform, declaration, closing)
    closes = {month: _close(platform, rows) for month, rows in reported.items()}

    def rows_of(month: str) -> Frames:
        if month in recorded:
            return {mrr.FirstReported: _as_recorded(platform, month, recorded[month])}
        return {mrr.FirstReported: reported.get(month, empty(mrr.FirstReported))}

    made_of = {
        month: close.content if (close := recorded.get(month, closes.get(month))) else OPEN
        for month in context.partition_keys
    }
    try:
        yield from build(
            context,
            platform,
            replace(declaration, rule=partial(_by_month, rows_of), made_of=lambda _: made_of),
        )
    finally:  # also when another month failed
        built = platform.ledger.builds.of(table_name(mrr.FirstReported))
        done = {
            month: close
            for month, close in closes.items()
            if month in built and built[month].inputs == close.content
        }
        platform.ledger.builds.record_closes(done)


def _by_month(rows_of: Callable[[str], Frames], months: list[str], _: Inputs) -> Computed:
    return month_by_month(months, rows_of)


def _close(platform: Platform, rows: pd.DataFrame) -> Close:
    at = pd.Timestamp(str(platform.read_until if rows.empty else rows["reported_at"].iloc[0]))
    return Close(at.to_pydatetime(), platform.lake.frame_hash(mrr.FirstReported, rows)[:HASH_DIGITS])


def _committed(platform: Platform, wanted: Sequence[str]) -> set[str]:
    """The months that were written as they closed; those without any row, by the record of their build."""
    built = platform.ledger.builds.of(table_name(mrr.FirstReported))
    without_rows = {month for month, build in built.items() if build.inputs != OPEN and build.state == ABSENT}
    return set(wanted) & (platform.lake.states(mrr.FirstReported).keys() | without_rows)


def _can_close(platform: Platform, wanted: Sequence[str]) -> set[str]:
    """The months whose figures have been computed, and Stripe was read long enough after their end."""
    computed = [platform.ledger.builds.of(table_name(model)).keys() for model in FIGURES_OF]
    return platform.closed(wanted).intersection(*computed)


def _reported(platform: Platform, declaration: Declaration, closing: list[str]) -> dict[str, pd.DataFrame]:
    if not closing:
        return {}
    report: Callable[[str], pd.DataFrame] = report_month(
        Reading(platform, closing).inputs_of(declaration, closing)
    )
    return {month: report(month).assign(reported_at=platform.read_until) for month in closing}


def _as_recorded(platform: Platform, month: str, close: Close) -> pd.DataFrame:
    """The rows of a closed month whose files are other ones than the ledger knows.

    As long as they say the same.
    """
    rows = platform.lake.read(mrr.FirstReported, [month])
    if close.content not in [found[:HASH_DIGITS] for found in _hashes(platform, rows)]:
        raise DataQualityError(
            f"what was first reported at {close.at.isoformat()} is not in the table any more: restore "
            "it from a backup",
            [f"mrr/first_reported {month}"],
        )
    return rows


def _hashes(platform: Platform, rows: pd.DataFrame) -> Iterator[str]:
    """Of the rows, and as the version that had no further columns hashed them, where these are empty."""
    yield platform.lake.frame_hash(mrr.FirstReported, rows)
    later = added(mrr.FirstReported)
    if rows[later].isna().all(axis=None):
        yield platform.lake.frame_hash(mrr.FirstReported, rows, without=later)
