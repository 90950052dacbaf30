"""Floors `analytics` and `signals`: one model a published table.

Here: the models by name. Not here: any rule.
"""

from expansion_platform.domain.signals.fact_tables import (
    FACT_TABLES,
    Activity,
    Fact,
    NpsAnswers,
    OwnerPeriods,
    SignalValues,
    SupportTickets,
    as_facts,
)
from expansion_platform.domain.signals.tables.scores import (
    Candidates,
    Features,
    Health,
    Readiness,
    Utilisation,
)
from expansion_platform.domain.signals.tables.usage import AccountUsage, FeatureUsage, UsageMonths

__all__ = [
    "FACT_TABLES",
    "AccountUsage",
    "Activity",
    "Candidates",
    "Fact",
    "FeatureUsage",
    "Features",
    "Health",
    "NpsAnswers",
    "OwnerPeriods",
    "Readiness",
    "SignalValues",
    "SupportTickets",
    "UsageMonths",
    "Utilisation",
    "as_facts",
]
