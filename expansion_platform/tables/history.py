"""Floor `billing`: what Stripe's rows say of every item, and the item states that follow.

Here: wiring of `domain/history/`; reading again only customers whose history may have changed. Not here:
how history is read from invoices, and whose it is that new rows change (`ingestion/changed_customers.py`).

Both steps remember which versions of their inputs they last read. If their own rules or tables are other ones
since, or an input can no longer say what came in, they read everything again: the log then gets only what is
news.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Frames
from expansion_platform.domain.core.table import Table, key, table_name
from expansion_platform.domain.core.wording import counted
from expansion_platform.domain.history import reconciliation
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.item_states import states_of, together
from expansion_platform.domain.history.log import entered, holding, unlogged
from expansion_platform.domain.pricing.schemes import TAX_UNKNOWN
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine import checks, executors
from expansion_platform.engine.declaration import PANDAS
from expansion_platform.engine.describe import asset_spec
from expansion_platform.engine.fingerprints import hashed
from expansion_platform.engine.rule_hash import rule_hash
from expansion_platform.engine.whole import Reconciled, build_tables
from expansion_platform.ingestion.account import UNDER_WAY
from expansion_platform.ingestion.changed_customers import changed_customers
from expansion_platform.ingestion.histories import STAGED, Whose, history_of, news_of
from expansion_platform.resources import Platform
from expansion_platform.storage.lake import Lake, Point
from expansion_platform.storage.ledger import Checkpoint
from expansion_platform.storage.rows import among
from expansion_platform.storage.shards import Shard

Result = TypeVar("Result")
TERMS = (stripe.Prices, stripe.Coupons)
# Killed in between, a month stops too early instead of missing what is wrong.
STATES = (billing.Quarantine, billing.ItemStates)
READABLE_CHECK = "readable"
READABLE = (
    "Every stretch of every subscription can be read; a month that one touches which cannot stops, "
    "nothing in it is guessed or left out."
)
TAX_CHECK = "tax"
TAX = "The tax rate inside each price in use now is known, so that no MRR includes tax."
MATCHES_STRIPE = (
    "The rebuilt current state of every item equals Stripe's current subscriptions (price and quantity)."
)


@dg.multi_asset(
    specs=[asset_spec(billing.ItemChanges, deps=STAGED.values(), kinds=PANDAS)],
    check_specs=[checks.schema_spec(billing.ItemChanges)],
    name="billing_item_changes",
)
def item_changes(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """Reads what Stripe's objects say of each item, and logs what is new.

    Invoices, pending items, events, schedules and today's subscriptions.
    """
    if platform.ledger.pulls.cursor(UNDER_WAY) is not None:
        raise dg.Failure(
            "a pull was interrupted: materialize stripe/* first, it goes on where it stopped",
            allow_retries=False,
        )
    lake, until, made, outputs = (
        platform.lake,
        platform.read_until,
        hashed(rule_hash(changes, unlogged), platform.timezone),
        [billing.ItemChanges],
    )
    points = {model: lake.point(model) for model in STAGED.values()}

    def compute() -> Frames:
        before = _remembered(platform, outputs, made)
        whose = None
        if before is not None and until is not None and before.until is not None:
            whose = changed_customers(
                lake, _points(before, points), pd.Timestamp(before.until), until, platform.timezone
            )
        context.log.info(
            "reading the history of "
            f"{'every customer' if whose is None else counted(len(whose), 'customer')} again"
        )
        parts = _over_shards(context, platform, news_of, stripe.InvoiceLines, whose)
        known_at = until if until is not None else pd.Timestamp(platform.as_of)
        return {billing.ItemChanges: entered(parts, known_at=known_at, entry=lake.rows(billing.ItemChanges))}

    inputs = hashed(made, str(until), *(lake.state(model) for model in STAGED.values()))
    yield from build_tables(context, platform, models=outputs, inputs=inputs, compute=compute, append=True)
    _remember(platform, outputs, made, points, until)


@dg.multi_asset(
    specs=[
        asset_spec(
            model,
            deps=[billing.ItemChanges, *TERMS, stripe.Subscriptions, stripe.SubscriptionItems],
            kinds=PANDAS,
        )
        for model in (billing.ItemStates, billing.Quarantine)
    ],
    check_specs=[
        checks.schema_spec(billing.ItemStates),
        checks.schema_spec(billing.Quarantine),
        checks.reconciled_spec(billing.ItemStates, MATCHES_STRIPE),
        dg.AssetCheckSpec(READABLE_CHECK, asset=checks.asset_key(billing.Quarantine), description=READABLE),
        dg.AssetCheckSpec(TAX_CHECK, asset=checks.asset_key(billing.ItemStates), description=TAX),
    ],
    name="billing_history",
)
def history(context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]) -> Iterator[Any]:
    """Every item's states as they follow from what holds of the log; what cannot be read is set apart."""
    lake, made = platform.lake, hashed(rule_hash(states_of, holding))
    points: dict[type[Table], Point | None] = {
        model: lake.point(model) for model in (billing.ItemChanges, *TERMS)
    }

    def compute() -> Frames:
        before = _remembered(platform, STATES, made)
        whose = None if before is None else _changed(platform, _points(before, points))
        found = together(_over_shards(context, platform, history_of, billing.ItemChanges, whose))
        if whose is None:
            return {billing.ItemStates: found.states, billing.Quarantine: found.quarantine}
        rest = ~among("customer", whose)
        return {
            model: pd.concat([lake.read(model, where=rest), part]).sort_values(key(model), ignore_index=True)
            for model, part in ((billing.ItemStates, found.states), (billing.Quarantine, found.quarantine))
        }

    def matches(frames: Frames) -> None:
        now = lake.read(stripe.Subscriptions), lake.read(stripe.SubscriptionItems)
        reconciliation.history_matches_stripe(frames[billing.ItemStates], frames[billing.Quarantine], *now)

    yield from build_tables(
        context,
        platform,
        models=STATES,
        inputs=hashed(made, *(lake.state(model) for model in points)),
        compute=compute,
        reconciled=[Reconciled(billing.ItemStates, MATCHES_STRIPE, matches)],
    )
    _remember(platform, STATES, made, points)
    yield _readability(lake.read(billing.Quarantine))
    yield _taxes(lake)


def _over_shards(
    context: dg.AssetExecutionContext,
    platform: Platform,
    task: Callable[[Whose, Shard], Result],
    model: type[Table],
    whose: Collection[str] | None,
) -> list[Result]:
    """What a task makes of some customers, shard by shard; a shard has about so many rows of a table."""
    of = Whose(
        platform.lake.root,
        None if whose is None else frozenset(whose),
        platform.read_until,
        platform.timezone,
    )
    shards = of.shards(model, platform.settings.expansion_shard_rows)
    found = platform.executor.map(partial(task, of), shards)
    return list(executors.counted(found, len(shards), lambda parts: context.log.info(f"{parts} read")))


def _changed(platform: Platform, points: dict[type[Table], Point | None]) -> set[str] | None:
    """Customers of whom the log says something new, or whose prices or coupons have other terms.

    None: it cannot be determined.
    """
    lake = platform.lake
    changed = {model: lake.since(model, point) for model, point in points.items()}
    if any(rows is None for rows in changed.values()):
        return None
    ids = {
        model: rows["id"].to_pylist()
        for model, rows in changed.items()
        if rows is not None and model in TERMS
    }
    naming = among("price", ids[stripe.Prices]) | among("coupon", ids[stripe.Coupons])
    named = (
        lake.dataset(billing.ItemChanges).to_table(columns=["customer"], filter=naming)
        if any(ids.values())
        else None
    )
    logged = changed[billing.ItemChanges]
    return {
        customer for rows in (logged, named) if rows is not None for customer in rows["customer"].to_pylist()
    }


def _remembered(platform: Platform, outputs: Sequence[type[Table]], made: str) -> Checkpoint | None:
    """What `_remember` kept, if the tables are still as it left them and the rules the same."""
    kept = platform.ledger.builds.checkpoint(table_name(outputs[-1]))
    same = kept is not None and (kept.rules, kept.stored) == (
        made,
        tuple(platform.lake.state(model) for model in outputs),
    )
    return kept if same else None


def _remember(
    platform: Platform,
    outputs: Sequence[type[Table]],
    made: str,
    points: dict[type[Table], Point | None],
    until: pd.Timestamp | None = None,
) -> None:
    """Keeps which versions tables were made of; called when they are committed."""
    stored = tuple(platform.lake.state(model) for model in outputs)
    kept = {table_name(model): point for model, point in points.items() if point is not None}
    checkpoint = Checkpoint(made, stored, kept, None if until is None else until.to_pydatetime())
    platform.ledger.builds.record_checkpoint(table_name(outputs[-1]), checkpoint)


def _points(kept: Checkpoint, models: Iterable[type[Table]]) -> dict[type[Table], Point | None]:
    return {model: kept.points.get(table_name(model)) for model in models}


def _taxes(lake: Lake) -> dg.AssetCheckResult:
    """Prices in use now with tax inside at an unknown rate are a warning.

    Their MRR is too high by that tax, and everything else is right.
    """
    unknown = pc.field("valid_to").is_null() & pc.match_substring(pc.field("scheme_json"), TAX_UNKNOWN)
    items = lake.dataset(billing.ItemStates).to_table(columns=["price", "subscription"], filter=unknown)
    prices = sorted(set(items["price"].to_pylist()))
    what = (
        f"{items.num_rows} items are counted with the tax inside their price, because no bill says what tax "
        f"Stripe computed: {', '.join(prices[:5])}"
    )
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(billing.ItemStates),
        check_name=TAX_CHECK,
        passed=not prices,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{what}. Compute tax in Stripe, set tax rates on these subscriptions, or make the "
        "prices exclusive."
        if prices
        else None,
        metadata={"items": items.num_rows, "prices": dg.MetadataValue.json(prices[: checks.SHOWN_ROWS])},
    )


def _readability(quarantine: pd.DataFrame) -> dg.AssetCheckResult:
    """A stretch that cannot be read is a warning here and an error in the months it touches.

    The other months still come out.
    """
    stretches = zip(
        quarantine["subscription"], quarantine["problem"], quarantine["objects_json"], strict=True
    )
    problems = [
        f"{subscription}: {problem} ({', '.join(json.loads(objects))})"
        for subscription, problem, objects in stretches
    ]
    return dg.AssetCheckResult(
        asset_key=checks.asset_key(billing.Quarantine),
        check_name=READABLE_CHECK,
        passed=not problems,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(problems[:5]) or None,
        metadata={"unreadable": len(problems), "which": dg.MetadataValue.json(problems[: checks.SHOWN_ROWS])},
    )
