"""Floor `metrics`: what closed months say now and did not say when they closed.

Here: wiring of `domain/restatements.py` over the months that have closed. Not here: what was first reported (`assets/first_reported.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table
from expansion_platform.assets.first_reported import FIGURES_OF, OPEN, ends, figures_now, versions
from expansion_platform.assets.touched import REPEATED, states_by_month
from expansion_platform.domain import contributions, months, reconciliation, restatements
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.schemas import Table, billing, metrics, mrr, origin, stripe
from expansion_platform.domain.schemas.base import empty
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Close

KINDS = {"pandas", "pandera", "deltalake"}
VALUES: list[type[Table]] = [metrics.Expansion, metrics.ExpansionBySegment, metrics.ExpansionByDimension, metrics.Retention, metrics.Expanders]
PUBLISHED: list[type[Table]] = [
    *(metrics.Rollforward, metrics.RollforwardByDimension, *VALUES, metrics.ExpansionByType, origin.ExpansionByOrigin),
]
READ: list[type[Table]] = [mrr.FirstReported, *FIGURES_OF, *PUBLISHED]
INPUTS = [*READ, billing.ItemStates, billing.FxRates, stripe.Subscriptions]
ROWS_SUM = "Restatements sum, month by month and figure by figure, to every published sum less what was first reported."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, metrics.Restatements, deps=INPUTS, kinds=KINDS, rule=ROWS_SUM)
    def restatements_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Every figure of a closed month that is no longer as first reported, with its reason."""
        lake, catalog = platform.lake, platform.catalog()
        closed, rates = platform.ledger.builds.closes(), lake.read(billing.FxRates)
        stored = [platform.states(model) for model in READ]
        states = states_by_month(platform, catalog, context.partition_keys)
        due: set[str] = set()

        def inputs(month: str) -> str:
            known = rates.loc[rates["month"].isin([months.shift(month, -1), month]), ["month", "currency", "rate"]].to_numpy().tolist()
            return fingerprint(
                *map(str, closed.get(month, (OPEN,))),
                *(of.get(month, "absent") for of in stored),
                states[month],
                content_hash([known, versions(catalog, platform.timezone)]),
            )

        def rows_sum(frames: Frames) -> None:
            compared = sorted(due & closed.keys())
            rows = frames[metrics.Restatements]
            reconciliation.restatements_tie(rows[rows["month"].isin(compared)], lake.read(mrr.FirstReported, compared), _published(lake, compared))

        def prepare(wanted: list[str]) -> Callable[[str], Frames]:
            due.update(wanted)
            return _prepare(platform, wanted, closed)

        yield from build_months(
            context,
            platform,
            models=[metrics.Restatements],
            inputs=inputs,
            prepare=prepare,
            reconciled=[Reconciled(metrics.Restatements, ROWS_SUM, rows_sum)],
            describe=lambda wanted: _describe(platform, wanted),
        )

    return restatements_table


def _published(lake: Lake, wanted: list[str]) -> pd.DataFrame:
    """The sums of some months as the tables publish them."""
    return contributions.published(
        lake.read(metrics.Rollforward, wanted),
        lake.read(metrics.RollforwardByDimension, wanted),
        pd.concat([lake.read(model, wanted) for model in VALUES]),
        lake.read(metrics.ExpansionByType, wanted),
        lake.read(origin.ExpansionByOrigin, wanted),
    )


def _prepare(platform: Platform, due: list[str], closed: dict[str, Close]) -> Callable[[str], Frames]:
    lake, catalog = platform.lake, platform.catalog()
    hashed = restatements.hashed_states(lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]), catalog)
    rates = lake.read(billing.FxRates)
    subscriptions = lake.read(stripe.Subscriptions)[["id", "created"]]
    made_by = versions(catalog, platform.timezone)
    hashes = {name: made_by[name] for name in ("policy_hash", "catalog_hash")}

    def compute(month: str) -> Frames:
        if month not in closed:
            return {metrics.Restatements: empty(metrics.Restatements)}
        reported_at = pd.Timestamp(closed[month].at)
        rows = restatements.restatements(
            lake.read(mrr.FirstReported, [month]),
            figures_now(platform, month),
            hashed=hashed,
            new_subscriptions=subscriptions.loc[subscriptions["created"] > reported_at, "id"],
            ends=ends(month, platform.timezone, rates),
            catalog=catalog,
            versions=made_by,
        )
        return {metrics.Restatements: rows.assign(month=month, reported_at=reported_at.as_unit("us"), **hashes)}

    return compute


def _describe(platform: Platform, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """By how much closing MRR was restated, in whole currency units, which the UI plots over the months."""
    units = 10**platform.reporting_exponent
    rows = platform.lake.read(metrics.Restatements, wanted).query("metric == 'closing'").groupby("month")["difference"].sum()
    return {metrics.Restatements: {month: {"closing_restated": round(int(rows.get(month, 0)) / units, 2)} for month in wanted}}
