"""What a rule can use beside tables: the catalog, settings, the user's own files, facts of the platform.

Here: each use by name, with its value and what of it a month depends on. Not here: reading them
(`resources.py`, `sources/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from expansion_platform.comparison import stripes_mrr
from expansion_platform.domain.catalog import tables as user_tables
from expansion_platform.domain.catalog.targets import AlertSettings
from expansion_platform.domain.core import canonical
from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.item_states import states_of
from expansion_platform.domain.metrics.expansion_cac import costs_by_month
from expansion_platform.domain.metrics.parity import PARITY
from expansion_platform.domain.mrr.contributions import figures
from expansion_platform.domain.mrr.customer_profiles import profiles
from expansion_platform.domain.mrr.customer_slices import slices_of
from expansion_platform.domain.mrr.monthly import compute_mrr
from expansion_platform.domain.mrr.origins import compute_origins, near_activity
from expansion_platform.domain.signals.programmes.assignments import assignments_by_month
from expansion_platform.domain.signals.programmes.plans import programme_plans
from expansion_platform.engine.rule_hash import rule_hash
from expansion_platform.product_usage import asked, product_usage
from expansion_platform.resources import Platform

Version = str | Mapping[str, str]


@dataclass(frozen=True)
class Use:
    """One thing that a rule can use.

    Args:
        name: as rules ask for it (`Inputs.value`).
        value: what they get, of the months of a run.
        version: of that value: a text that changes when it does. By month where a month depends on a part of
            it.
        version_before: the same without making the value, which is dear or asks a server.
    """

    name: str
    value: Callable[[Platform, Sequence[str]], Any]
    version: Callable[[Any, Platform, Sequence[str]], Version] = lambda value, *_: str(value)
    version_before: Callable[[Platform, Sequence[str]], Version] | None = None


def _rows_version(rows: pd.DataFrame, *_: object) -> str:
    return canonical.content_hash(rows.astype("object").where(rows.notna(), None).to_numpy().tolist())


def versions(platform: Platform) -> dict[str, str]:
    """What, beside facts, a customer's figures are made by: policy, catalog, rules and time zone."""
    catalog = platform.catalog()
    hashes = {"policy_hash": catalog.policy_hash, "catalog_hash": catalog.catalog_hash}
    return {**hashes, "rules_hash": versions_rules(), "timezone": platform.timezone}


def versions_rules() -> str:
    """The hash of the rules that make a customer's figures from what Stripe said."""
    return rule_hash(changes, states_of, compute_mrr, compute_origins, profiles, slices_of, figures)


CATALOG = Use(
    "catalog",
    lambda platform, _: platform.catalog(),
    lambda catalog, *_: f"{catalog.policy_hash} {catalog.catalog_hash}",
)
PARITY_POLICY = Use("parity_policy", lambda _platform, _: PARITY.policy_hash)
TIMEZONE = Use("timezone", lambda platform, _: platform.timezone)
CURRENCY = Use("currency", lambda platform, _: platform.settings.expansion_currency)
EXPONENT = Use("exponent", lambda platform, _: platform.reporting_exponent)
MAX_UNEXPLAINED = Use("max_unexplained", lambda platform, _: platform.settings.expansion_max_unexplained)
TARGETS = Use(
    "targets",
    lambda platform, _: AlertSettings.from_yaml(platform.settings.expansion_alerts),
    lambda settings, *_: canonical.content_hash(
        settings.model_dump(mode="json", include={"targets", "fiscal_year_begins"})
    ),
)
COSTS = Use(
    "costs",
    lambda platform, _: costs_by_month(
        platform.given(user_tables.Costs), platform.settings.expansion_currency
    ),
    lambda costs, *_: {month: str(spent) for month, spent in costs.items()},
)
ATTRIBUTES = Use(
    "attributes", lambda platform, _: platform.given(user_tables.CustomerAttributes), _rows_version
)
ATTRIBUTE_KEYS = Use(
    "attribute_keys", lambda platform, _: platform.attribute_keys, lambda keys, *_: ",".join(keys)
)
ACTIVITY = Use(
    "activity",
    lambda platform, _: platform.given(user_tables.CrmActivity),
    lambda rows, platform, months: near_activity(months, rows, platform.timezone),
)
ASSIGNMENTS = Use(
    "assignments",
    lambda platform, _: platform.given(user_tables.Assignments),
    lambda rows, platform, months: assignments_by_month(
        months, rows, platform.timezone, platform.settings.expansion_close_lag_days
    ),
)
PROGRAMMES = Use(
    "programmes",
    lambda platform, _: programme_plans(
        platform.given(user_tables.Programmes), platform.settings.expansion_currency
    ),
    lambda plans, *_: canonical.content_hash(sorted([name, str(plan)] for name, plan in plans.items())),
)
STRIPES_MRR = Use(
    "stripes_mrr",
    stripes_mrr,
    lambda rows, *_: {
        str(month): canonical.content_hash(amounts.to_numpy().tolist())
        for month, amounts in rows.groupby("month")
    },
)
CLOSES = Use(
    "closes",
    lambda platform, _: platform.ledger.builds.closes(),
    lambda closes, *_: {month: f"{close.at.isoformat()} {close.content}" for month, close in closes.items()},
)
VERSIONS = Use(
    "versions",
    lambda platform, _: versions(platform),
    lambda found, *_: canonical.content_hash(found),
)
CLOSE_LAG_DAYS = Use("close_lag_days", lambda platform, _: platform.settings.expansion_close_lag_days)
SIGNALS = Use(
    "signals",
    lambda platform, _: platform.signals,
    lambda definition, *_: canonical.content_hash(definition.model_dump(mode="json")),
)
FACTS_GIVEN = Use(
    "facts_given", lambda platform, _: platform.facts_given, lambda given, *_: " ".join(sorted(given))
)
ACCOUNT_MAP = Use("account_map", lambda platform, _: platform.account_map(), _rows_version)
PRODUCT_USAGE = Use("product_usage", product_usage, version_before=asked)
