"""Floor `metrics`: one model a published table.

Here: the models by name. Not here: any rule.
"""

from expansion_platform.domain.metrics.tables.benchmarks import Benchmarks, ExpansionCac
from expansion_platform.domain.metrics.tables.diagnosis import Diagnosis
from expansion_platform.domain.metrics.tables.outcomes import CohortExpansion, Durability, ExpansionThenChurn
from expansion_platform.domain.metrics.tables.pace import Pace
from expansion_platform.domain.metrics.tables.parity import StripeDifferences, StripeParity
from expansion_platform.domain.metrics.tables.rates import (
    Coverage,
    Expanders,
    Expansion,
    ExpansionByOrigin,
    ExpansionBySegment,
    ExpansionByType,
    Retention,
    Trailing,
)
from expansion_platform.domain.metrics.tables.restatements import Restatements
from expansion_platform.domain.metrics.tables.rollforward import (
    ExpansionByDimension,
    Rollforward,
    RollforwardByDimension,
)
from expansion_platform.domain.metrics.tables.targets import Attainment
from expansion_platform.domain.metrics.tables.values import MetricValue

__all__ = [
    "Attainment",
    "Benchmarks",
    "CohortExpansion",
    "Coverage",
    "Diagnosis",
    "Durability",
    "Expanders",
    "Expansion",
    "ExpansionByDimension",
    "ExpansionByOrigin",
    "ExpansionBySegment",
    "ExpansionByType",
    "ExpansionCac",
    "ExpansionThenChurn",
    "MetricValue",
    "Pace",
    "Restatements",
    "Retention",
    "Rollforward",
    "RollforwardByDimension",
    "StripeDifferences",
    "StripeParity",
    "Trailing",
]
