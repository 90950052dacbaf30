"""Floor `mrr`: who began each expansion.

Here: wiring of `domain/origins.py`: causes, what Stripe says of changes and what the CRM recorded in, one table out. Not here: the rules, the split
of the headline (`expansion_by_origin.py`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.assets.build import Frames, Reconciled, build_months, fingerprint, monthly_table
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain import origins as rules
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.mrr import included
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas import Table, billing, given, mrr, origin, stripe
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake

KINDS = {"pandas", "pandera", "deltalake"}
FACTS = [billing.ItemStates, stripe.Events, stripe.Invoices, stripe.Subscriptions, stripe.SubscriptionItems]
INPUTS: list[type[Table]] = [*FACTS, mrr.Causes, mrr.Movements]
ORIGINS_TIE = "Origins sum, customer by customer, to gross expansion and, cause by cause, to the headline."
REPEATED = ["price", "quantity", "status", "usage_type", "source"]
REMEMBERED = "who began changes by month"
UNREAD = ["livemode", "currency", "product", "interval", "interval_count", "scheme_json", "discounts_json", "confidence", "evidence_json"]


def build(partitions: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """The one table, by month."""

    @monthly_table(partitions, origin.Origins, deps=INPUTS, kinds=KINDS, rule=ORIGINS_TIE)
    def origins_table(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
        """Where each month's expansion came from."""
        catalog, lake = platform.catalog(), platform.lake
        hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
        told = cache(lambda: _told(lake, catalog, platform.timezone))
        said = _said_by_month(platform, catalog, context.partition_keys, told)
        activity = platform.given(given.CrmActivity)
        activity = activity.assign(customer=activity["customer"].map(catalog.customer).astype("str"))
        states = [platform.states(model) for model in (mrr.Causes, mrr.Movements)]
        computed: list[str] = []

        def inputs(month: str) -> str:
            near = content_hash(_near(activity, month, platform.timezone).to_numpy().tolist())
            return fingerprint(*hashes.values(), platform.timezone, said[month], near, *(each.get(month, "absent") for each in states))

        def compute(month: str) -> Frames:
            computed.append(month)
            near = _near(activity, month, platform.timezone)
            rows = rules.origins(month, lake.read(mrr.Causes, [month]), lake.read(mrr.Movements, [month]), told()[month], near, platform.timezone)
            return {origin.Origins: rows.assign(**hashes)}

        def tie(frames: Frames) -> None:
            reconciliation.origins_tie(frames[origin.Origins], lake.read(mrr.Movements, computed))

        yield from build_months(
            context,
            platform,
            models=[origin.Origins],
            inputs=inputs,
            prepare=lambda _due: compute,
            reconciled=[Reconciled(origin.Origins, ORIGINS_TIE, tie)],
        )

    return origins_table


def _said_by_month(platform: Platform, catalog: Catalog, wanted: Sequence[str], told: Callable[[], Mapping[str, pd.DataFrame]]) -> Mapping[str, str]:
    """A fingerprint of what Stripe says of each month's changes; read only when a commit touched something of it."""
    basis = fingerprint(catalog.catalog_hash, platform.timezone, *(platform.lake.state(model) for model in FACTS))
    known = platform.ledger.builds.digests(REMEMBERED, basis)
    if not set(wanted) <= known.keys():
        every = months.between(min(wanted), max(wanted))
        known |= {month: content_hash(pd.util.hash_pandas_object(told()[month], index=False).tolist()) for month in every}
        platform.ledger.builds.record_digests(REMEMBERED, basis, {month: known[month] for month in every})
    return known


def _told(lake: Lake, catalog: Catalog, timezone: str) -> Mapping[str, pd.DataFrame]:
    """Every month's changes with what Stripe says of who began them."""
    states = included(lake.read_coded(billing.ItemStates, REPEATED, without=UNREAD), catalog)
    telling = pc.starts_with(pc.field("type"), "customer.subscription.") | pc.field("type").isin([rules.PORTAL_OPENED, rules.CHECKED_OUT])
    said = pc.field("metadata_json") != "{}"
    facts = rules.Facts(
        lake.read(stripe.Events, where=telling),
        lake.read(stripe.Invoices, where=said),
        lake.read(stripe.Subscriptions, where=said),
        lake.read(stripe.SubscriptionItems, where=said),
    )
    told = rules.witnessed(rules.changes(states), facts, catalog)
    by_month = told.groupby(told["at"].dt.tz_convert(timezone).dt.strftime("%Y-%m"))
    return defaultdict(lambda: told.iloc[:0], iter(by_month))


def _near(activity: pd.DataFrame, month: str, timezone: str) -> pd.DataFrame:
    """The CRM's records that may matter to a month."""
    first = months.opening(month, timezone).tz_convert(timezone).date() - rules.BEFORE
    last = months.closing(month, timezone).tz_convert(timezone).date() - timedelta(days=1) + rules.AFTER
    return activity[(activity["date"] >= first.isoformat()) & (activity["date"] <= last.isoformat())]
