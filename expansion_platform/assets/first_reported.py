"""Floor `mrr`: what each month reported when it closed, written once.

Here: wiring of `domain/restatements.py` at the close. Not here: what became of it since (`assets/restatements.py`).

The ledger has the close of each month: when, and the hash of the rows. A closed month is current for good; rows that are not those any more stop the
month instead of being written again, since nothing else could say what was reported.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.assets.build import Frames, build_months, monthly_table, rules_hash
from expansion_platform.assets.touched import REPEATED
from expansion_platform.domain import months
from expansion_platform.domain.contributions import figures
from expansion_platform.domain.errors import DataQualityError
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.restatements import Ends, first_reported, hashed_states
from expansion_platform.domain.schemas import billing, mrr, origin, table_name
from expansion_platform.domain.schemas.base import added, empty
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import ABSENT
from expansion_platform.storage.ledger import Close

KINDS = {"pandas", "pandera", "deltalake"}
OPEN = "open"
"""Inputs of the build of a month that has not closed. Those of a closed month are the hash of the rows that it reported."""
HASH_DIGITS = 16
FIGURES_OF = [mrr.CustomerMonths, mrr.Movements, mrr.CustomerSlices, origin.Origins]
"""What a customer's figures are read from (`contributions.figures`)."""


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, mrr.FirstReported, deps=[*FIGURES_OF, billing.ItemStates, billing.FxRates], kinds=KINDS)
    def first_reported_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Keeps the figures of every month of the run that has closed and was not kept before."""
        recorded = platform.ledger.builds.closes()
        # Killed between the table's commit and the ledger's, a month is taken as it was committed.
        committed = {
            month: platform.lake.read(mrr.FirstReported, [month]) for month in _committed(platform, context.partition_keys) - recorded.keys()
        }
        reported = _reported(platform, sorted(_can_close(platform, context.partition_keys) - recorded.keys() - committed.keys()))
        rows = {**committed, **reported}
        closing = {month: _close(platform, frame) for month, frame in rows.items()}

        def inputs(month: str) -> str:
            close = recorded.get(month, closing.get(month))
            return OPEN if close is None else close.content

        def compute(month: str) -> Frames:
            if month in recorded:
                return {mrr.FirstReported: _as_recorded(platform, month, recorded[month])}
            return {mrr.FirstReported: rows.get(month, empty(mrr.FirstReported))}

        try:
            yield from build_months(context, platform, models=[mrr.FirstReported], inputs=inputs, prepare=lambda _due: compute)
        finally:  # also when another month failed
            built = platform.ledger.builds.of(table_name(mrr.FirstReported))
            done = {month: close for month, close in closing.items() if month in built and built[month].inputs == close.content}
            platform.ledger.builds.record_closes(done)

    return first_reported_table


def _close(platform: Platform, rows: pd.DataFrame) -> Close:
    at = platform.read_until if rows.empty else rows["reported_at"].iloc[0]
    return Close(pd.Timestamp(at).to_pydatetime(), platform.lake.frame_hash(mrr.FirstReported, rows)[:HASH_DIGITS])


def _committed(platform: Platform, wanted: Sequence[str]) -> set[str]:
    """The months that were written as they closed; those without any row, by the record of their build."""
    built = platform.ledger.builds.of(table_name(mrr.FirstReported))
    without_rows = {month for month, build in built.items() if build.inputs != OPEN and build.state == ABSENT}
    return set(wanted) & (platform.lake.states(mrr.FirstReported).keys() | without_rows)


def figures_now(platform: Platform, month: str) -> pd.DataFrame:
    """What each customer adds to the published sums of a month, as the tables have it now."""
    return figures(*(platform.lake.read(model, [month]) for model in FIGURES_OF), policy=platform.catalog().policy)


def ends(month: str, timezone: str, rates: pd.DataFrame) -> Ends:
    """A month's instants and rates, from billing/fx_rates."""
    before, after = (rates[rates["month"] == name] for name in (months.shift(month, -1), month))
    known = (dict(zip(rows["currency"], rows["rate"], strict=True)) for rows in (before, after))
    return Ends(months.opening(month, timezone), months.closing(month, timezone), *known)


def versions(catalog: Catalog, timezone: str) -> dict[str, str]:
    """What, beside facts, figures are made by."""
    return {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash, "rules_hash": rules_hash(), "timezone": timezone}


def _can_close(platform: Platform, wanted: Sequence[str]) -> set[str]:
    """The months whose figures have been computed, and Stripe was read long enough after their end."""
    computed = [platform.ledger.builds.of(table_name(model)).keys() for model in FIGURES_OF]
    return platform.closed(wanted).intersection(*computed)


def _reported(platform: Platform, closing: list[str]) -> dict[str, pd.DataFrame]:
    if not closing:
        return {}
    lake, catalog = platform.lake, platform.catalog()
    hashed = hashed_states(lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]), catalog)
    rates = lake.read(billing.FxRates)
    made_by = {"reported_at": platform.read_until, **versions(catalog, platform.timezone)}
    return {
        month: first_reported(
            figures_now(platform, month),
            hashed,
            ends(month, platform.timezone, rates),
            catalog.reporting_currency,
        ).assign(month=month, **made_by)
        for month in closing
    }


def _as_recorded(platform: Platform, month: str, close: Close) -> pd.DataFrame:
    """The rows of a closed month whose files are other ones than the ledger knows, as long as they say the same."""
    rows = platform.lake.read(mrr.FirstReported, [month])
    if close.content not in [found[:HASH_DIGITS] for found in _hashes(platform, rows)]:
        raise DataQualityError(
            f"what was first reported at {close.at.isoformat()} is not in the table any more: restore it from a backup",
            [f"mrr/first_reported {month}"],
        )
    return rows


def _hashes(platform: Platform, rows: pd.DataFrame) -> Iterator[str]:
    """Of the rows, and as the version that had no further columns hashed them, where these are empty."""
    yield platform.lake.frame_hash(mrr.FirstReported, rows)
    later = added(mrr.FirstReported)
    if rows[later].isna().all(axis=None):
        yield platform.lake.frame_hash(mrr.FirstReported, rows, without=later)
