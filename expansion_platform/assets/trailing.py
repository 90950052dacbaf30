"""Floor `metrics`: figures over the twelve and three months that end with each month.

Here: wiring of `domain/sql/window_book.sql`, `window_sums.sql`, `window_cohort.sql` and `domain/trailing.py`. Not here: formulas, single months
(`assets/metrics.py`). A month depends on the eleven before it, too: when one of them changed, it is computed again.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table, states_over
from expansion_platform.assets.metrics import percents
from expansion_platform.domain import months, reconciliation_metrics
from expansion_platform.domain import trailing as rules
from expansion_platform.domain.metrics import slices
from expansion_platform.domain.schemas import Table, metrics, mrr
from expansion_platform.resources import Platform
from expansion_platform.storage import engine
from expansion_platform.storage.lake import Lake

KINDS = {"duckdb", "pandera", "deltalake"}
SLICES_SUM = "Segments and pricing models at the window's start sum to the total in every numerator and denominator, and months to sums."
# What the queries read; a window of 100,000 customers is a million rows of them.
CUSTOMER_COLUMNS = ["month", "customer", "segment", "pricing_model", "opening", "closing", "flow_fx"]
FLOW_COLUMNS = ["month", "customer", *(f"flow_{name}" for name in ("new", "expansion", "contraction", "churn"))]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, metrics.Trailing, deps=[mrr.CustomerMonths, mrr.Movements, metrics.Rollforward], kinds=KINDS, rule=SLICES_SUM)
    def trailing_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """T12M and T3M figures of each month, for the total, and segments and pricing models fixed at the window's start."""
        catalog, lake = platform.catalog(), platform.lake
        customers, movements = platform.states(mrr.CustomerMonths), platform.states(mrr.Movements)

        def inputs(month: str) -> str:
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, *states_over(_window(month), customers, movements))

        def sums(frames: Frames) -> None:
            rows = frames[metrics.Trailing]
            reconciliation_metrics.slices_sum(rows)
            told = sorted({name for month in rows["month"].unique() for name in _window(month)})
            reconciliation_metrics.windows_tie(rows, lake.read(metrics.Rollforward, told))

        yield from build_months(
            context,
            platform,
            models=[metrics.Trailing],
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[Reconciled(metrics.Trailing, SLICES_SUM, sums)],
            looks_back_to=lambda month: _window(month)[0],
            describe=lambda wanted: {metrics.Trailing: percents(lake.read(metrics.Trailing, wanted).query("dimension == 'total'"), "metric")},
        )

    return trailing_table


def _window(month: str) -> list[str]:
    return months.between(months.shift(month, 1 - rules.YEAR), month)


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog = platform.catalog()
    wanted = sorted({name for month in due for name in _window(month)})
    customers = _columns(platform.lake, mrr.CustomerMonths, CUSTOMER_COLUMNS, wanted)
    movements = _columns(platform.lake, mrr.Movements, FLOW_COLUMNS, wanted)
    computed = set(platform.months(mrr.CustomerMonths))
    book = pa.Table.from_pandas(engine.query("window_book", {"customer_months": customers, "movements": movements}), preserve_index=False)

    def compute(month: str) -> Frames:
        windows = rules.windows(month)
        read = book.filter(pc.field("month").isin(_window(month)))
        sums = engine.query("window_sums", {"windows": windows, "slices": slices(rules.SLICES), "book": read})
        cohort = engine.query("window_cohort", {"windows": windows[windows["length"] == rules.YEAR], "book": read})
        rows = rules.trailing(month, sums, cohort, len(computed.intersection(_window(month))))
        return {metrics.Trailing: rows.assign(policy_hash=catalog.policy_hash, catalog_hash=catalog.catalog_hash)}

    return compute


def _columns(lake: Lake, model: type[Table], names: list[str], wanted: list[str]) -> pa.Table:
    return lake.dataset(model).to_table(columns=names, filter=pc.field("month").isin(wanted))
