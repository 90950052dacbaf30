"""Floors `analytics` and `signals`: one model a published table.

Here: the models by name. Not here: any rule.
"""

from expansion_platform.domain.signals.tables.facts import (
    FACT_TABLES,
    Activity,
    Fact,
    NpsAnswers,
    OwnerPeriods,
    SignalValues,
    SupportTickets,
    as_facts,
)
from expansion_platform.domain.signals.tables.lookback import FeatureAdoption, Indicators, Practices
from expansion_platform.domain.signals.tables.model import ChurnRisk, ModelCard, Propensity
from expansion_platform.domain.signals.tables.programmes import Conversations, Friction, ProgrammeOutcomes
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
    "ChurnRisk",
    "Conversations",
    "Fact",
    "FeatureAdoption",
    "FeatureUsage",
    "Features",
    "Friction",
    "Health",
    "Indicators",
    "ModelCard",
    "NpsAnswers",
    "OwnerPeriods",
    "Practices",
    "ProgrammeOutcomes",
    "Propensity",
    "Readiness",
    "SignalValues",
    "SupportTickets",
    "UsageMonths",
    "Utilisation",
    "as_facts",
]
