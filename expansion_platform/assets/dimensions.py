"""Floor `metrics`: expansion and the roll-forward by pricing model, plan, currency, country, cohort, tenure and the user's attributes.

Here: wiring of `domain/dimensions.py` and `domain/sql/dimension_sums.sql`: item states at both ends of a month in, two tables out, and beside them
who was in which slice (mrr/customer_slices). Not here: segments (`assets/metrics.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform import checks
from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.assets.metrics import customer_sums
from expansion_platform.domain import dimensions as rules
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.coverage import closing_states
from expansion_platform.domain.mrr import included, rates_by_month
from expansion_platform.domain.schemas import Table, billing, given, metrics, mrr, stripe
from expansion_platform.resources import Platform
from expansion_platform.storage import engine

KINDS = {"duckdb", "pandera", "deltalake"}
INPUTS = [stripe.Customers, billing.ItemStates, billing.FxRates, mrr.CustomerMonths, mrr.Movements]
TABLES: list[type[Table]] = [mrr.CustomerSlices, metrics.ExpansionByDimension, metrics.RollforwardByDimension]
DIMENSIONS_SUM = "Every dimension sums to the total in every column, the total is of all customers; transfers cancel and lead to the next opening."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The tables as one computation over the same customers; any of them can be materialized alone."""

    @dg.multi_asset(
        specs=[asset_spec(model, deps=INPUTS, kinds=KINDS, skippable=True) for model in TABLES],
        check_specs=[*(checks.schema_spec(model) for model in TABLES), checks.reconciled_spec(metrics.RollforwardByDimension, DIMENSIONS_SUM)],
        name="dimensions",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def dimension_tables(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Who expands: rates and flows of each month by what customers buy, pay in, and for how long."""
        catalog, lake = platform.catalog(), platform.lake
        said = platform.given(given.CustomerAttributes)
        basis = fingerprint(
            *(catalog.policy_hash, catalog.catalog_hash, platform.timezone, lake.state(billing.ItemStates), lake.state(stripe.Customers)),
            *(content_hash(said.astype("object").where(said.notna(), None).to_numpy().tolist()), *platform.metadata_keys.customers),
        )
        customers, movements = platform.states(mrr.CustomerMonths), platform.states(mrr.Movements)

        def dimensions_sum(frames: Frames) -> None:
            flows = frames[metrics.RollforwardByDimension]
            reconciliation.dimensions_sum(flows)
            reconciliation.slices_chain(flows)
            reconciliation.rollforward_ties(flows, *customer_sums(lake, sorted(flows["month"].unique())))

        yield from build_months(
            context,
            platform,
            models=TABLES,
            inputs=lambda month: fingerprint(basis, customers.get(month, "absent"), movements.get(month, "absent")),
            prepare=lambda due: _prepare(platform, said),
            reconciled=[Reconciled(metrics.RollforwardByDimension, DIMENSIONS_SUM, dimensions_sum)],
        )

    return dimension_tables


def _prepare(platform: Platform, said: pd.DataFrame) -> Callable[[str], Frames]:
    catalog, lake, timezone = platform.catalog(), platform.lake, platform.timezone
    states = included(lake.read(billing.ItemStates), catalog)
    rates = rates_by_month(lake.read(billing.FxRates))
    stripes = rules.stripes_attributes(lake.read(stripe.Customers), platform.metadata_keys.customers, catalog)
    closed: dict[str, pd.DataFrame] = {}

    def profiles(month: str) -> pd.DataFrame:
        """At the month's closing instant; kept, because it is the next month's opening."""
        if month not in closed:
            closed[month] = rules.profiles(closing_states(states, month, timezone, rates.get(month, {}), catalog), catalog)
        return closed[month]

    def compute(month: str) -> Frames:
        before = months.shift(month, -1)
        customer_months = lake.read(mrr.CustomerMonths, [month])
        attributes = [rules.attributes_of(each, said, stripes, catalog) for each in (month, months.shift(month, 1))]
        customers = rules.customers_of(month, customer_months, profiles(before), profiles(month), timezone, catalog.paid_before, *attributes)
        closed.pop(before)
        movements = lake.arrow(mrr.Movements, [month])
        read = {"months": pd.DataFrame({"month": [month]}), "customer_months": customer_months, "movements": movements, "customers": customers}
        sums = engine.query("dimension_sums", read)
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
        return {
            mrr.CustomerSlices: rules.customer_slices(customers).assign(**hashes),
            metrics.ExpansionByDimension: rules.expansion_by_dimension(sums).assign(**hashes),
            metrics.RollforwardByDimension: rules.rollforward_by_dimension(sums).assign(**hashes),
        }

    return compute
