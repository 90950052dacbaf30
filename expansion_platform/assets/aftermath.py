"""Floor `metrics`: who leaves after expanding.

Here: wiring of `domain/aftermath.py`. Not here: formulas. A month looks twelve months back: when one of them changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.domain import aftermath as rules
from expansion_platform.domain import months, reconciliation_metrics
from expansion_platform.domain.schemas import lasting, metrics, mrr, origin
from expansion_platform.resources import Platform

KINDS = {"pandas", "pandera", "deltalake"}
INPUTS = [mrr.CustomerMonths, mrr.Movements, origin.Origins, metrics.Expansion]
SAME_EXPANDERS = "The expanders are those that metrics/expansion counts in the month they expanded in."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by the last month of the span."""

    @monthly_table(partitions, lasting.ExpansionThenChurn, deps=INPUTS, kinds=KINDS, rule=SAME_EXPANDERS)
    def expansion_then_churn(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Who left within 3, 6 and 12 months that end with each month."""
        catalog, lake = platform.catalog(), platform.lake
        states = [platform.states(model) for model in INPUTS]

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, platform.timezone, *states_over(rules.looked_at(month), *states))

        def same_expanders(frames: Frames) -> None:
            rows = frames[lasting.ExpansionThenChurn]
            reconciliation_metrics.expanders_tie(rows, lake.read(metrics.Expansion, sorted(rows["expanded_month"].unique())))

        yield from build_months(
            context,
            platform,
            models=[lasting.ExpansionThenChurn],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(lasting.ExpansionThenChurn, SAME_EXPANDERS, same_expanders)],
            looks_back_to=lambda month: rules.looked_at(month)[0],
        )

    return expansion_then_churn


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog, lake = platform.catalog(), platform.lake
    known = set(platform.months(mrr.Movements))
    wanted = sorted({name for month in due for name in rules.looked_at(month)})
    told = ["month", "customer", "movement", "flow_expansion", "flags_json"]
    chosen = pc.field("month").isin(wanted) & ((pc.field("flow_expansion") > 0) | (pc.field("movement") == "churn"))
    moved = lake.dataset(mrr.Movements).to_table(columns=told, filter=chosen).to_pandas()
    by_month = dict(iter(moved.groupby("month")))
    columns = ["month", "customer", "origin", "expansion"]
    begun = lake.dataset(origin.Origins).to_table(columns=columns, filter=pc.field("month").isin(wanted)).to_pandas()

    def of_month(month: str) -> pd.DataFrame:
        return by_month.get(month, moved.head(0))

    @cache
    def base(month: str) -> pd.DataFrame:
        columns = ["customer", "segment", "opening", "closing", "first_paid_at"]
        held = lake.dataset(mrr.CustomerMonths).to_table(columns=columns, filter=pc.field("month") == month).to_pandas()
        expanded = of_month(month).query("flow_expansion > 0")
        return rules.base(month, held, expanded, begun[begun["month"] == month], platform.timezone, catalog.paid_before)

    def compute(month: str) -> Frames:
        parts = []
        for within in rules.SPANS:
            then = months.shift(month, -within)
            span = months.between(months.shift(then, 1), month)
            of_base = base(then) if known >= {then, *span} else base(then).head(0)
            left = {customer for name in span for customer in of_month(name).query("movement == 'churn'")["customer"]}
            parts.append(rules.expansion_then_churn(month, within, of_base, left))
        rows = pd.concat(parts, ignore_index=True)
        return {lasting.ExpansionThenChurn: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

    return compute
