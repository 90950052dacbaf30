"""Floor `metrics`: how cohorts grow with age.

Here: wiring of `domain/cohorts.py` and `domain/sql/cohort_sums.sql`. Not here: formulas. A month is made of all months before it: when one of them
changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import dagster as dg
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.assets.metadata import INLINE_MARKDOWN
from expansion_platform.domain import cohorts as rules
from expansion_platform.domain import reconciliation_metrics
from expansion_platform.domain.schemas import lasting, metrics, mrr
from expansion_platform.domain.wording import percent
from expansion_platform.resources import Platform
from expansion_platform.storage import engine
from expansion_platform.storage.lake import Lake

KINDS = {"duckdb", "pandera", "deltalake"}
INPUTS = [mrr.CustomerMonths, mrr.Movements, metrics.RollforwardByDimension]
COLUMNS = {
    mrr.CustomerMonths: ["month", "customer", "first_paid_month", "closing"],
    mrr.Movements: ["month", "customer", "flow_expansion"],
}
AGES = (3, 6, 12, 24)
OF_ROLLFORWARD = "A cohort's expansion and closing MRR are those of metrics/rollforward_by_dimension, and its expansion adds up over the months."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, lasting.CohortExpansion, deps=INPUTS, kinds=KINDS, rule=OF_ROLLFORWARD)
    def cohort_expansion(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """What each cohort has expanded by since it began."""
        catalog, lake = platform.catalog(), platform.lake
        states = [platform.states(model) for model in INPUTS]
        known = sorted(states[0])

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, *states_over([name for name in known if name <= month], *states))

        def of_rollforward(frames: Frames) -> None:
            rows = frames[lasting.CohortExpansion]
            by_cohort = lake.read(metrics.RollforwardByDimension, known, pc.field("dimension") == "cohort")
            reconciliation_metrics.cohorts_tie(rows, by_cohort)

        def prepare(due: list[str]) -> Callable[[str], Frames]:
            before = pc.field("month") <= due[-1]
            read = {model.Config.name.split("/")[1]: lake.dataset(model).to_table(columns=names, filter=before) for model, names in COLUMNS.items()}
            sums = engine.query("cohort_sums", read)

            def compute(month: str) -> Frames:
                rows = rules.cohort_expansion(month, sums, set(known))
                return {lasting.CohortExpansion: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

            return compute

        yield from build_months(
            context,
            platform,
            models=[lasting.CohortExpansion],
            inputs=inputs,
            prepare=prepare,
            reconciled=[Reconciled(lasting.CohortExpansion, OF_ROLLFORWARD, of_rollforward)],
            looks_back_to=lambda month: min(known, default=month),
            describe=lambda wanted: {lasting.CohortExpansion: {wanted[-1]: {"by_age": dg.MetadataValue.md(_by_age(lake, wanted[-1]))}}},
        )

    return cohort_expansion


def _by_age(lake: Lake, month: str) -> str:
    """Cohorts beside each other at the same age, as a markdown table that shows inline: newer ones below, the oldest left out where they are many."""
    rows = lake.read(lasting.CohortExpansion, where=(pc.field("month") <= month) & pc.field("months_since").isin(AGES))
    if rows.empty:
        return f"no cohort is {AGES[0]} months old"
    begun = dict(zip(rows["cohort"], rows["customers"], strict=True))
    rates = {(row.cohort, row.months_since): percent(Fraction(row.cumulative_rate), 0) for row in rows.itertuples()}
    heading = [f"|cohort|customers|{'|'.join(f'{age} months' for age in AGES)}|", "|---" * (len(AGES) + 2) + "|"]
    lines = [f"|{cohort}|{begun[cohort]}|{'|'.join(rates.get((cohort, age), '') for age in AGES)}|" for cohort in sorted(begun)]
    while len("\n".join([*heading, *lines])) >= INLINE_MARKDOWN:
        lines.pop(0)
    return "\n".join([*heading, *lines])
