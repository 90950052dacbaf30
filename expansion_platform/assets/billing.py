"""Floor `billing`: item history, what of it cannot be read, and exchange rates.

Here: wiring of `domain/history.py` and `sources/fx.py`. Not here: how history is read from invoices.
"""

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform import checks
from expansion_platform.account import UNDER_WAY
from expansion_platform.assets.build import Frames, Reconciled, build_tables, fingerprint
from expansion_platform.assets.metadata import asset_spec
from expansion_platform.domain import months, reconciliation
from expansion_platform.domain.canonical import content_hash
from expansion_platform.domain.history import Staged, rebuild
from expansion_platform.domain.schemas import billing, stripe
from expansion_platform.resources import Platform
from expansion_platform.sources import fx

STAGED = {
    "customers": stripe.Customers,
    "prices": stripe.Prices,
    "coupons": stripe.Coupons,
    "subscriptions": stripe.Subscriptions,
    "subscription_items": stripe.SubscriptionItems,
    "subscription_schedules": stripe.SubscriptionSchedules,
    "invoices": stripe.Invoices,
    "invoice_lines": stripe.InvoiceLines,
    "invoice_items": stripe.InvoiceItems,
    "events": stripe.Events,
    "meter_usage": stripe.MeterUsage,
}
HAPPENING = ["created", "type", "object_id", "request_id", "state_json", "previous_json"]
"""What two events of one happening have in common."""
READABLE_CHECK = "readable"
READABLE = "Every stretch of every subscription can be read; a month that one touches which cannot stops, nothing in it is guessed or left out."
COMPLETE_CHECK = "complete"
COMPLETE = "Every currency charged has a rate at every month end; a month without one stops, it is not guessed."
MATCHES_STRIPE = "The rebuilt current state of every item equals Stripe's current subscriptions (price and quantity)."


@dg.multi_asset(
    specs=[asset_spec(model, deps=STAGED.values(), kinds={"pandas", "pandera", "deltalake"}) for model in (billing.ItemStates, billing.Quarantine)],
    check_specs=[
        checks.schema_spec(billing.ItemStates),
        checks.schema_spec(billing.Quarantine),
        checks.reconciled_spec(billing.ItemStates, MATCHES_STRIPE),
        dg.AssetCheckSpec(READABLE_CHECK, asset=checks.asset_key(billing.Quarantine), description=READABLE),
    ],
    name="billing_history",
)
def history(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """Rebuilds every item's history from invoices, pending items, events and today's subscriptions; what cannot be read is set apart."""
    lake = platform.lake
    if platform.ledger.cursor(UNDER_WAY) is not None:
        raise dg.Failure("a pull was interrupted: materialize stripe/* first, it goes on where it stopped", allow_retries=False)
    staged = stage(platform)

    def compute() -> Frames:
        found = rebuild(staged, platform.timezone)
        return {billing.ItemStates: found.states, billing.Quarantine: found.quarantine}

    def matches(frames: Frames) -> None:
        reconciliation.history_matches_stripe(frames[billing.ItemStates], frames[billing.Quarantine], staged.subscriptions, staged.subscription_items)

    yield from build_tables(
        context,
        platform,
        models=[billing.Quarantine, billing.ItemStates],  # killed in between, a month stops too early instead of missing what is wrong
        inputs=fingerprint(platform.timezone, str(platform.read_until), *(lake.state(model) for model in STAGED.values())),
        compute=compute,
        reconciled=[Reconciled(billing.ItemStates, MATCHES_STRIPE, matches)],
    )
    yield _readability(lake.read(billing.Quarantine))


@dg.multi_asset(
    specs=[asset_spec(billing.FxRates, deps=[billing.ItemStates], kinds={"pandas", "pandera", "deltalake"})],
    check_specs=[
        checks.schema_spec(billing.FxRates),
        dg.AssetCheckSpec(COMPLETE_CHECK, asset=checks.asset_key(billing.FxRates), description=COMPLETE),
    ],
    name="billing_fx_rates",
)
def fx_rates(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """One rate per month end and currency, from the account's first month to the newest closed one."""
    states = platform.lake.read(billing.ItemStates)
    wanted = [] if states.empty else months.between(first_rate_month(states, platform.timezone), platform.newest_closed_month)
    reporting = platform.settings.expansion_currency
    found, missing = fx.available(wanted, set(states["currency"]) | {reporting}, reporting, platform.settings.expansion_fx_rates)
    yield from build_tables(
        context,
        platform,
        models=[billing.FxRates],
        inputs=fingerprint(content_hash(found.to_numpy().tolist())),
        compute=lambda: {billing.FxRates: found},
    )
    yield _completeness([f"{currency} {month}" for month, currency in missing])


def stage(platform: Platform) -> Staged:
    """What history is rebuilt from.

    A stored row keeps the instant it was first seen as it is. An invoice was still so at the newest pull, which reads every change of one: its
    `observed_at` is raised to that, so that a draft left, a bill unpaid and a month without usage mean the same however often was pulled before.
    Stripe sometimes makes two events of one happening: the second would follow the first in its second, and could not.
    """
    frames = {name: platform.lake.read(model) for name, model in STAGED.items()}
    frames["events"] = frames["events"].drop_duplicates(HAPPENING)
    if platform.read_until is not None:
        frames["invoices"] = frames["invoices"].assign(observed_at=frames["invoices"]["observed_at"].clip(lower=platform.read_until))
    return Staged(**frames)


def _readability(quarantine: pd.DataFrame) -> dg.AssetCheckResult:
    """A stretch that cannot be read is a warning here and an error in the months it touches, so that the other months still come out."""
    told = [f"{row.subscription}: {row.problem} ({', '.join(json.loads(row.objects_json))})" for row in quarantine.itertuples()]
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(billing.Quarantine),
        check_name=READABLE_CHECK,
        passed=not told,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told[:5]) or None,
        metadata={"unreadable": len(told), "which": dg.MetadataValue.json(told[: checks.SHOWN_ROWS])},
    )


def _completeness(missing: list[str]) -> dg.AssetCheckResult:
    """A missing rate is a warning here and an error in its own month, so that the other months still come out."""
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(billing.FxRates),
        check_name=COMPLETE_CHECK,
        passed=not missing,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"no rate for {', '.join(missing[:10])}" if missing else None,
        metadata={"missing": len(missing), "which": dg.MetadataValue.json(missing[: checks.SHOWN_ROWS])},
    )


def first_rate_month(states: pd.DataFrame, timezone: str) -> str:
    """The month before the first state: its closing rate is the first opening rate."""
    return months.shift(months.of(states["valid_from"].min(), timezone), -1)
