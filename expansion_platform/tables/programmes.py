"""Floor `signals`: what outreach did, what conversations led to, where the product sells itself.

Here: declarations. Not here: rules (`domain/signals/programmes/`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow.compute as pc

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals import relationship
from expansion_platform.domain.signals import tables as signals
from expansion_platform.domain.signals.programmes import assignments, conversations, friction, outcomes
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine.declaration import EVERYTHING, Declaration, Digest, Plotted, Read, Window
from expansion_platform.engine.uses import ASSIGNMENTS, CATALOG, CLOSE_LAG_DAYS, PROGRAMMES, TIMEZONE
from expansion_platform.resources import Platform

_MONTH_BEFORE = Window(1)
_CUSTOMERS = Read(stripe.Customers, ("id",))
_ACTIVITY = Read(signals.Activity)


def _not_set_up(*settings: str) -> Callable[[Platform], str | None]:
    def says(platform: Platform) -> str | None:
        absent = [name for name in settings if getattr(platform.settings, name.lower()) is None]
        return f"{', '.join(absent)} not set (docs/own-data.md)" if absent else None

    return says


def _plot_programmes(_months: list[str], inputs: Inputs) -> Plotted:
    """How many programmes there are, and of how many an effect is shown."""
    found: dict[str, dict[str, Any]] = {}
    for month, rows in inputs.frame(signals.ProgrammeOutcomes).groupby("month"):
        shown = int((rows["verdict"] == "shown").sum())
        found[str(month)] = {"programmes": len(rows), "programmes_shown": shown}
    return {signals.ProgrammeOutcomes: found}


PROGRAMME_OUTCOMES = Declaration(
    name="programmes",
    models=(signals.ProgrammeOutcomes,),
    reads=(
        Read(
            mrr.Movements,
            ("month", "customer", "flow_expansion"),
            EVERYTHING,
            where=pc.field("flow_expansion") > 0,
            ordered=False,
        ),
        Read(
            signals.Features,
            ("month", "customer", "segment", "mrr", "tenure_months"),
            EVERYTHING,
            ordered=False,
        ),
        Read(signals.Readiness, ("month", "customer", "score"), EVERYTHING, ordered=False),
        replace(
            _CUSTOMERS,
            digest=Digest(
                "customers of programmes",
                assignments.customers_digest,
                (_CUSTOMERS,),
                (ASSIGNMENTS, CATALOG, TIMEZONE, CLOSE_LAG_DAYS),
            ),
        ),
    ),
    uses=(ASSIGNMENTS, PROGRAMMES, CATALOG, TIMEZONE, CLOSE_LAG_DAYS),
    rule=outcomes.compute_programmes,
    plots=_plot_programmes,
    not_set_up=_not_set_up("EXPANSION_ASSIGNMENTS"),
)

CONVERSATIONS = Declaration(
    name="conversations",
    models=(signals.Conversations,),
    reads=(
        Read(mrr.Origins, ("month", "customer", "expansion", "changed_at"), where=pc.field("expansion") > 0),
        replace(
            _ACTIVITY,
            digest=Digest(
                f"{table_name(signals.Activity)} known by each close",
                relationship.activity_digest,
                (_ACTIVITY,),
                (TIMEZONE, CLOSE_LAG_DAYS),
            ),
        ),
    ),
    uses=(CATALOG, TIMEZONE, CLOSE_LAG_DAYS),
    rule=conversations.compute_conversations,
    not_set_up=_not_set_up("EXPANSION_CRM_ACTIVITY"),
)

FRICTION = Declaration(
    name="friction",
    models=(signals.Friction,),
    reads=(
        Read(mrr.CustomerMonths, ("month", "customer", "opening", "closing"), _MONTH_BEFORE, ordered=False),
        Read(
            mrr.Movements,
            ("month", "customer", "expansion_tier"),
            _MONTH_BEFORE,
            where=pc.field("expansion_tier") > 0,
        ),
        Read(mrr.Origins, ("month", "origin", "expansion"), where=pc.field("expansion") > 0),
        Read(signals.AccountUsage, window=_MONTH_BEFORE),
        Read(signals.UsageMonths, window=_MONTH_BEFORE),
    ),
    uses=(CATALOG, TIMEZONE, CLOSE_LAG_DAYS),
    rule=friction.compute_friction,
)
