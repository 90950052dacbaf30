"""The signals of customers, over whole ranges of months: features, utilisation, health, readiness.

Here: the order in which they are made of each other. Not here: any of them (`features.py`, `utilisation.py`,
`health.py`, `readiness.py`), the ranked list of all customers (`candidates.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.signals.definition import SignalDefinition
from expansion_platform.domain.signals.features import features_of
from expansion_platform.domain.signals.health import health_of
from expansion_platform.domain.signals.members import members_of
from expansion_platform.domain.signals.readiness import readiness_of
from expansion_platform.domain.signals.tables import Features, Health, Readiness, Utilisation
from expansion_platform.domain.signals.utilisation import utilisation_of


def compute_signals(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """The tables of floor `signals` that are by customer, of some months and customers."""
    definition: SignalDefinition = inputs.value("signals")
    members = members_of(wanted, inputs)
    held, usage = members.holdings(inputs), members.usage(inputs)
    features = features_of(members, held, usage, inputs)
    health = health_of(features, definition.health)
    return Computed(
        {
            Features: features,
            Utilisation: utilisation_of(members, held, usage),
            Health: health,
            Readiness: readiness_of(features, health["score"], definition.readiness),
        }
    )
