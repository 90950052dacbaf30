"""What has to be right before a run: settings, key permissions, lake, ledger, channels.

Here: the examination. Not here: printing it (`cli/`), fixing anything.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import pandas as pd
import pyarrow.compute as pc
from pydantic import ValidationError

from expansion_platform.domain.catalog import tables as user_tables
from expansion_platform.domain.catalog.hints import ignored
from expansion_platform.domain.core import months as calendar
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import Table, table_name
from expansion_platform.domain.core.wording import counted
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.metrics.expansion_cac import costs_by_month
from expansion_platform.domain.mrr.customer_attributes import refuse_taken_names
from expansion_platform.domain.mrr.origins import initiator
from expansion_platform.domain.mrr.vocabulary import INITIATORS
from expansion_platform.domain.signals.programmes.plans import programme_plans
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.domain.tables import TABLES
from expansion_platform.ingestion.account import check_key_kind, check_same_account
from expansion_platform.reports.account_features import used
from expansion_platform.reports.catalog.account import read_account
from expansion_platform.reports.catalog.plans import sold_side_by_side, undecided_products
from expansion_platform.resources import Platform, given_at
from expansion_platform.settings import Settings, setting_problems
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.resources import RESOURCES
from expansion_platform.storage.ledger import SLACK

SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    ok: bool
    text: str
    look: bool = False
    """Nothing is wrong, but a person should know."""


def examine(platform: Platform | None = None) -> Iterator[Finding]:
    """Looks at each thing in turn; one that fails does not hide the next."""
    try:
        platform = platform or Platform(Settings())
        settings = platform.settings
    except ValidationError as error:
        for problem in setting_problems(error):
            yield Finding("settings", False, problem)
        return
    clock = f"as of {platform.as_of:%Y-%m-%d %H:%M}"
    yield Finding(
        "settings",
        True,
        f"{clock}, months in {settings.expansion_timezone}, reporting in {settings.expansion_currency}",
    )
    yield from _guarded(
        "catalog",
        lambda: (
            f"{settings.expansion_catalog or 'no file: families are inferred'} "
            f"({platform.catalog().catalog_hash})"
        ),
    )
    yield from _stripe(platform)
    yield from _guarded("lake", lambda: _lake(platform))
    yield from _guarded("ledger", lambda: _ledger(platform))
    yield from _unread(platform)
    yield from _guarded("history", lambda: _history(platform))
    yield from _guarded("plans", lambda: _plans(platform))
    yield from _features(platform)
    yield from _guarded(
        "product analytics",
        lambda: f"read from {platform.usage.name}" if platform.usage else "not configured",
    )
    models: list[type[Table]] = [
        *user_tables.FACTS,
        *(user_tables.CustomerAttributes, user_tables.Costs),
        *(user_tables.Assignments, user_tables.Programmes),
    ]
    for model in models:
        if given_at(settings, model) is not None:
            yield from _guarded(table_name(model), partial(_given, platform, model))
    yield from _guarded(f"metadata {settings.expansion_initiated_by_key}", lambda: _initiators(platform))
    yield from _guarded("alerts", lambda: _channels(platform))


def _unread(platform: Platform) -> Iterator[Finding]:
    """What of the account's own content is ignored or set apart; nothing is said when there is nothing."""
    try:
        hints = ignored(platform.catalog().metadata)
        named = [
            (name, platform.lake.read(model, where=~pc.field("unreadable").is_null()))
            for name, model in TABLES.items()
            if _is_stripes(model)
        ]
    except ExpansionError:
        return  # said by the catalog and the lake
    if hints:
        text = (
            f"ignored: {_some(map(str, hints))}. Correct the metadata in Stripe, or say it in the catalog "
            "file"
        )
        yield Finding("catalog hints", True, text, look=True)
    for name, rows in named:
        if len(rows):
            objects = _some(f"{row.id} ({row.unreadable})" for row in rows.itertuples())
            text = (
                f"{objects}. What these objects describe is in billing/quarantine; where nothing uses them, "
                "nothing is missing"
            )
            yield Finding(f"{name}: {len(rows)} cannot be read", True, text, look=True)


def _is_stripes(model: type[Table]) -> bool:
    return issubclass(model, stripe.StripeObject)


def _some(texts: Iterable[str]) -> str:
    every = list(texts)
    return "; ".join(every[:SHOWN]) + (f"; and {len(every) - SHOWN} more" if len(every) > SHOWN else "")


def _warehouse(platform: Platform) -> Iterator[Finding]:
    try:
        for table, problem in platform.warehouse.probe().items():
            yield Finding(f"warehouse {table}", problem is None, problem or "readable")
    except ExpansionError as error:
        yield Finding("warehouse", False, str(error))
        return
    yield from _guarded("Stripe tables", lambda: check_same_account(platform, None))


def _stripe(platform: Platform) -> Iterator[Finding]:
    if platform.from_warehouse:
        yield from _warehouse(platform)
        return
    try:
        source, lacks = platform.stripe, platform.stripe.probe()
        for resource, missing in lacks.items():
            access = "readable" if missing is None else f"give the key Read on {missing}"
            without = RESOURCES[resource].without
            yield Finding(
                f"Stripe {resource}",
                missing is None or without is not None,
                f"{access}; without it {without}" if missing and without else access,
            )
    except ExpansionError as error:
        yield Finding("Stripe", False, str(error))
        return
    if lacks["customers"] is None:
        yield from _guarded("Stripe key", lambda: check_key_kind(source))
    yield from _guarded("Stripe tables", lambda: check_same_account(platform, source))
    if lacks["events"] is None:
        yield from _guarded("Stripe API version", lambda: _events(source))


def _events(source: StripeSource) -> str:
    """Events come in the version that was the account's default when they happened.

    Objects always in the SDK's.
    """
    newest = source.newest("events")
    if newest is None:
        return "none in the last 30 days"
    version = newest.get("api_version") or "unknown"
    if version == source.version:
        return f"events come in {version}, as objects do"
    return (
        f"events come in {version}, the account's own, and objects in {source.version}: every version since "
        "2018 is read"
    )


def _ledger(platform: Platform) -> str:
    platform.ledger.ping()
    return f"{platform.ledger.url.render_as_string(hide_password=True)} answers"


def _lake(platform: Platform) -> str:
    there = sum(platform.lake.exists(model) for model in TABLES.values())
    return f"{platform.lake.root}: {there} of {len(TABLES)} tables"


def _history(platform: Platform) -> str:
    states = platform.lake.read(billing.ItemStates)
    if states.empty:
        return (
            "nothing pulled yet"
            if platform.read_until is None
            else "no subscription has begun: the tables have months in which nobody pays"
        )
    first = states["valid_from"].min()
    unsure = states[states["confidence"] != "exact"]
    return (
        f"since {calendar.of(first, platform.timezone)}, the tables begin with {platform.first_month} "
        f"(EXPANSION_FIRST_MONTH); {len(unsure)} of {len(states)} item states are dated by a renewal or "
        f"by today's subscription{_low_confidence(platform)}"
    )


def _low_confidence(platform: Platform) -> str:
    computed = platform.lake.months(metrics.Coverage)
    if not computed:
        return ""
    shares = platform.lake.read(metrics.Coverage, [computed[-1]]).set_index("metric")["ratio"]
    share = shares["low_confidence_mrr_share"]
    return "" if pd.isna(share) else f", {float(share):.1%} of the MRR of {computed[-1]}"


def _features(platform: Platform) -> Iterator[Finding]:
    """The features of Stripe the account uses whose figures a person should know about.

    Nothing where there is none.
    """
    try:
        for name, text in used(platform):
            yield Finding(name, True, text, look=True)
    except ExpansionError as error:
        yield Finding("features used", False, str(error))


def _plans(platform: Platform) -> str:
    """Prices of one product that count as plans by inference, and products of which nobody can say."""
    if not platform.lake.exists(stripe.Prices):
        return "nothing pulled yet"
    catalog = platform.catalog()
    account = read_account(platform, catalog)
    texts = [text for text in (sold_side_by_side(account),) if text] + list(
        undecided_products(account, catalog, catalog.reporting_currency)
    )
    return "\n".join(texts) or "no product has prices whose ranks are inferred or undecided"


def _given(platform: Platform, model: type[Table]) -> str:
    """One of the user's own tables.

    How much is in it, and which of its customers the account does not have.
    """
    rows = platform.given(model)
    if model is user_tables.Costs:
        months = sorted(costs_by_month(rows, platform.settings.expansion_currency))
        return f"of {counted(len(months), 'month')}, {months[0]} to {months[-1]}" if months else "empty"
    if model is user_tables.Programmes:
        programme_plans(rows, platform.settings.expansion_currency)
        return counted(len(rows), "programme")
    if model is user_tables.CustomerAttributes:
        refuse_taken_names(rows["attribute"], platform.metadata_keys.customers)
    named, known = set(rows["customer"]), set(platform.lake.read(stripe.Customers)["id"])
    if not known:
        return (
            f"{counted(len(rows), 'row')} of {counted(len(named), 'customer')}; nothing pulled yet to "
            "compare them with"
        )
    unknown = sorted(named - known)
    size = f"{counted(len(rows), 'row')} of {counted(len(named), 'customer')}"
    some = f": {', '.join(unknown[:5])}{', ...' if len(unknown) > 5 else ''}" if unknown else ""
    return (
        f"{size}, {len(unknown)} of them ({len(unknown) / max(1, len(named)):.1%}) unknown to the "
        f"account{some}"
    )


def _initiators(platform: Platform) -> str:
    """How often somebody is said to have begun changes, and values nobody knows to read."""
    said = pc.field("metadata_json") != "{}"
    texts = pd.concat(
        [
            platform.lake.read(model, where=said)["metadata_json"]
            for model in (stripe.Subscriptions, stripe.Invoices)
        ]
    )
    counts = Counter({text: int(count) for text, count in texts.value_counts().items()})
    known = Counter(
        {name: sum(count for text, count in counts.items() if initiator(text) == name) for name in INITIATORS}
    )
    unread = sorted(
        {
            str(value)
            for text in counts
            if initiator(text) is None and (value := json.loads(text).get("initiated_by"))
        }
    )
    places = (
        ", ".join(f"{name} {count:,}" for name, count in known.items() if count)
        or "nowhere (docs/own-data.md)"
    )
    return (
        "on subscriptions and bills: "
        f"{places}{'; values that are not understood: ' + ', '.join(unread[:5]) if unread else ''}"
    )


def _channels(platform: Platform) -> str:
    names = ["Slack" if channel.name == SLACK else channel.name for channel in platform.channels]
    return f"go to {', '.join(names)}" if names else "no channel: they wait in the ledger"


def _guarded(subject: str, look: Callable[[], str]) -> Iterator[Finding]:
    try:
        yield Finding(subject, True, look())
    except ExpansionError as error:
        yield Finding(subject, False, str(error))
    except Exception as error:
        yield Finding(subject, False, f"{type(error).__name__}: {error}")
