"""Floor `mrr`: customer months, movements, causes and price migrations, computed together over a range of months.

Here: wiring of `domain/mrr_tables.py`: item states, rates and quarantine in, four tables out. Not here: what counts and why something moved.
"""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.dataset as ds

from expansion_platform import checks
from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.assets.touched import REPEATED, states_by_month
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.mrr import included, touching
from expansion_platform.domain.mrr_tables import mrr_tables
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import Table, billing, mrr, stripe
from expansion_platform.resources import Platform

KINDS = {"pandas", "pandera", "deltalake"}
TABLES = [mrr.CustomerMonths, mrr.Movements, mrr.Causes, mrr.PriceMigrations]
CUSTOMERS_TIE = "Opening + flows = closing for every customer, each opening is the closing before, and who is new first paid in the month."
FLOWS_FOLLOW = "The flows, gross amounts and types of every continuing customer are what its causes make of them."
CAUSES_SUM = "The causes of every continuing customer sum to its movement, those of every pair of items to its change."


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The four tables as one computation; any of them can be materialized alone."""

    @dg.multi_asset(
        specs=[
            asset_spec(model, deps=[billing.ItemStates, billing.Quarantine, billing.FxRates, stripe.Events], kinds=KINDS, skippable=True)
            for model in TABLES
        ],
        check_specs=[
            *(checks.schema_spec(model) for model in TABLES),
            checks.reconciled_spec(mrr.CustomerMonths, CUSTOMERS_TIE),
            checks.reconciled_spec(mrr.Movements, FLOWS_FOLLOW),
            checks.reconciled_spec(mrr.Causes, CAUSES_SUM),
        ],
        name="mrr",
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=True,
    )
    def mrr_floor(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """MRR at both ends of each month, what moved and why."""
        catalog = platform.catalog()
        rates = platform.lake.read(billing.FxRates)
        deletions = _deletions(platform)
        states = states_by_month(platform, catalog, context.partition_keys)
        quarantine = included(platform.lake.read(billing.Quarantine), catalog)

        def inputs(month: str) -> str:
            start, end = months.opening(month, platform.timezone), months.closing(month, platform.timezone)
            deleted = deletions[(deletions["created"] >= start) & (deletions["created"] < end)].astype(str).to_numpy().tolist()
            known = rates.loc[rates["month"] <= month, ["month", "currency", "rate"]].to_numpy().tolist()
            unread = [list(map(str, row)) for row in touching(quarantine, [start, end]).itertuples(index=False)]
            return fingerprint(catalog.policy_hash, catalog.catalog_hash, platform.timezone, states[month], content_hash([deleted, known, unread]))

        yield from build_months(
            context,
            platform,
            models=TABLES,
            inputs=inputs,
            prepare=lambda due: _prepare(platform, due),
            reconciled=[
                Reconciled(mrr.CustomerMonths, CUSTOMERS_TIE, lambda frames: _customers_tie(frames, catalog)),
                Reconciled(mrr.Movements, FLOWS_FOLLOW, lambda frames: reconciliation.flows_follow_causes(frames[mrr.Movements], frames[mrr.Causes])),
                Reconciled(mrr.Causes, CAUSES_SUM, _causes_sum),
            ],
            describe=lambda wanted: _describe(platform, wanted),
        )

    return mrr_floor


def _prepare(platform: Platform, due: list[str]) -> Callable[[str], Frames]:
    catalog, lake = platform.catalog(), platform.lake
    found = mrr_tables(
        due,
        lake.read_coded(billing.ItemStates, REPEATED, without=["evidence_json"]),
        lake.read(billing.FxRates),
        lake.read(billing.Quarantine),
        _deletions(platform),
        catalog,
        platform.timezone,
    )
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}

    def compute(month: str) -> Frames:
        if month in found.failures:
            raise found.failures[month]
        return {model: rows[(rows["month"] == month).to_numpy()].assign(**hashes) for model, rows in found.frames.items()}

    return compute


def _deletions(platform: Platform) -> pd.DataFrame:
    """Customers deleted in Stripe and when, as far as its events still told when they were pulled."""
    events = platform.lake.dataset(stripe.Events)
    chosen = events.to_table(columns=["object_id", "created"], filter=ds.field("type") == "customer.deleted").to_pandas()
    return chosen.rename(columns={"object_id": "customer"}).sort_values(["customer", "created"], ignore_index=True)


def _customers_tie(frames: Frames, catalog: Catalog) -> None:
    reconciliation.customers_tie(frames[mrr.CustomerMonths], frames[mrr.Movements])
    reconciliation.months_chain(frames[mrr.CustomerMonths])
    reconciliation.first_paid_ties(frames[mrr.CustomerMonths], frames[mrr.Movements], catalog.paid_before)


def _causes_sum(frames: Frames) -> None:
    reconciliation.causes_explain_movements(frames[mrr.Movements], frames[mrr.Causes])
    reconciliation.pairs_sum(frames[mrr.Causes])


def _describe(platform: Platform, wanted: list[str]) -> dict[type[Table], dict[str, dict[str, Any]]]:
    """Headline amounts in whole currency units, which the UI plots over the months."""
    units = 10**platform.reporting_exponent
    customers = platform.lake.read(mrr.CustomerMonths, wanted)
    moved = platform.lake.read(mrr.Movements, wanted)
    causes = platform.lake.read(mrr.Causes, wanted).pivot_table(index="month", columns="cause", values="amount", aggfunc="sum", fill_value=0)
    rates = customers.groupby("month")["flow_fx"].sum()
    if rates.any():  # most of what they did has no row among the causes
        causes = causes.reindex(causes.index.union(rates.index[rates != 0]), fill_value=0).assign(fx=rates)
    flows = moved.groupby("month")[[f"flow_{name}" for name in ("new", "expansion", "contraction", "churn")]].sum()
    sizes, closing = moved.groupby("month").size(), customers.groupby("month")["closing"].sum()
    paying = customers[customers["closing"] > 0].groupby("month").size()
    return {
        mrr.CustomerMonths: {
            month: {"mrr": round(int(total) / units, 2), "paying_customers": int(paying.get(month, 0))} for month, total in closing.items()
        },
        mrr.Movements: {
            month: {**{name: round(int(amount) / units, 2) for name, amount in row.items()}, "customers_moved": int(sizes[month])}
            for month, row in flows.iterrows()
        },
        mrr.Causes: {month: {f"cause_{name}": round(int(amount) / units, 2) for name, amount in row.items()} for month, row in causes.iterrows()},
    }
