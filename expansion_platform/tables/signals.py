"""Floor `signals`: what was known of each customer at a close, its health, readiness, and whom to speak to.

Here: declarations and what the UI plots of them. Not here: rules (`domain/signals/`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import (
    by_customer,
    candidates,
    members,
    relationship,
)
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.tables import AccountUsage, FeatureUsage, UsageMonths
from expansion_platform.domain.signals.tables.facts import (
    Activity,
    Fact,
    NpsAnswers,
    OwnerPeriods,
    SignalValues,
    SupportTickets,
)
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine.declaration import Declaration, Digest, Plotted, Read, Window
from expansion_platform.engine.describe import INLINE_MARKDOWN
from expansion_platform.engine.uses import (
    ACCOUNT_MAP,
    ASSIGNMENTS,
    CATALOG,
    CLOSE_LAG_DAYS,
    EXPONENT,
    FACTS_GIVEN,
    SIGNALS,
    TIMEZONE,
)
from expansion_platform.tables.reads import STATES

_LAST_YEARS = Window(members.BACK - 1)
_LAST_MONTHS = Window(3)
_MEMBERS = Read(
    mrr.CustomerMonths,
    ("month", "customer", "closing", "closing_arr", "closing_list", "first_paid_month"),
    coded=("month", "first_paid_month"),
    ordered=False,
    where=pc.field("closing") > 0,
)


_EVERYONE = ""
"""No column: a table that is read whole for each customer."""
_USAGE = pc.field("customer").is_valid()
"""Usage of an account that no customer is mapped to is nobody's."""


def _facts(model: type[Fact], digest: Callable[[list[str], Inputs], Any], customer: str = "customer") -> Read:
    """A table of facts; a month depends on what its close knew."""
    read, uses = Read(model, customer=customer), (TIMEZONE, CLOSE_LAG_DAYS)
    return replace(read, digest=Digest(f"{table_name(model)} known by each close", digest, (read,), uses))


def _plot_signals(_months: list[str], inputs: Inputs) -> Plotted:
    """Of how many customers usage and health are known, and the median of health and readiness."""
    known: dict[str, dict[str, Any]] = {}
    for month, rows in inputs.frame(signals.Features).groupby("month"):
        with_usage = int(rows["active_users"].notna().sum())
        known[str(month)] = {
            "customers": len(rows),
            "customers_with_usage": with_usage,
            "with_usage_percent": round(100 * with_usage / len(rows), 2),
        }
    return {
        signals.Features: known,
        signals.Health: _medians(inputs.frame(signals.Health)),
        signals.Readiness: _medians(inputs.frame(signals.Readiness)),
    }


def _medians(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    scores = rows[rows["score"].notna()].groupby("month")["score"]
    counts, medians = scores.size(), scores.median()
    return {
        str(month): {"customers_with_score": int(counts[month]), "median_score": float(medians[month])}
        for month in counts.index
    }


SIGNALS_BY_CUSTOMER = Declaration(
    name="signals",
    models=(signals.Features, signals.Utilisation, signals.Health, signals.Readiness),
    reads=(
        _MEMBERS,
        Read(
            mrr.Movements,
            ("month", "customer", "flow_expansion", "flow_contraction"),
            _LAST_YEARS,
            where=(pc.field("flow_expansion") > 0) | (pc.field("flow_contraction") < 0),
        ),
        STATES,
        Read(stripe.Coupons, ("id", "duration_in_months")),
        Read(
            AccountUsage,
            window=_LAST_MONTHS,
            where=_USAGE,
            coded=("month", "account", "customer"),
            ordered=False,
        ),
        Read(
            FeatureUsage,
            ("month", "account", "known_at", "customer", "feature", "events"),
            where=_USAGE,
            coded=("month", "feature"),
            ordered=False,
        ),
        Read(UsageMonths, window=_LAST_MONTHS),
        # Of a ticket or an opportunity that is another customer's now, both see that it is.
        _facts(SupportTickets, relationship.tickets_digest, _EVERYONE),
        _facts(Activity, relationship.activity_digest, _EVERYONE),
        _facts(NpsAnswers, relationship.answers_digest),
        _facts(SignalValues, relationship.signals_digest),
    ),
    uses=(CATALOG, TIMEZONE, EXPONENT, CLOSE_LAG_DAYS, ACCOUNT_MAP, SIGNALS, FACTS_GIVEN),
    rule=by_customer.compute_signals,
    plots=_plot_signals,
    by="customer",
)


def _plot_candidates(_months: list[str], inputs: Inputs) -> Plotted:
    """How many there are, how many to leave alone, and the first ones as a table."""
    shown: dict[str, dict[str, Any]] = {}
    for month, found in inputs.frame(signals.Candidates).groupby("month"):
        free = found[~found["do_not_push"]].sort_values("rank")
        shown[str(month)] = {
            "candidates": len(found),
            "do_not_push": int(found["do_not_push"].sum()),
            "highest_score": int(found["score"].max()),
            "speak_to_first": dg.MetadataValue.md(_first(free.head(_NAMED))),
        }
    return {signals.Candidates: shown}


_NAMED = 5
"""Customers in the table on the page; ten would be behind a link."""


def _first(rows: pd.DataFrame) -> str:
    """The first candidates as a markdown table."""
    lines = ["| | customer | owner | score | why |", "|---|---|---|---|---|"]
    for row in rows.to_dict("records"):
        score = (
            f"{row['score']} of 100" if pd.isna(row["probability"]) else f"{float(row['probability']):.0%}"
        )
        owner = "" if pd.isna(row["owner"]) else row["owner"]
        why = "; ".join(json.loads(row["reasons_json"])[:2])
        lines.append(f"| {row['rank']} | {row['customer']} | {owner} | {score} | {why} |".replace("\n", " "))
    while len("\n".join(lines)) >= INLINE_MARKDOWN and len(lines) > 3:
        lines.pop()
    return "\n".join(lines)


CANDIDATES = Declaration(
    name="candidates",
    models=(signals.Candidates,),
    reads=(
        Read(signals.Features),
        Read(signals.Readiness, ("month", "customer", "score", "reasons_json")),
        Read(signals.Health, ("month", "customer", "score")),
        Read(signals.Propensity, ("month", "customer", "probability", "reasons_json")),
        Read(signals.ChurnRisk, ("month", "customer", "top_decile")),
        Read(
            mrr.Movements,
            ("month", "customer", "segment", "flow_expansion"),
            Window(candidates.YEAR - 1),
            where=pc.field("flow_expansion") > 0,
        ),
        _facts(OwnerPeriods, relationship.owners_digest),
    ),
    uses=(ASSIGNMENTS, CATALOG, TIMEZONE, CLOSE_LAG_DAYS),
    rule=candidates.compute_candidates,
    plots=_plot_candidates,
)
