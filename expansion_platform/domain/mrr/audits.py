"""What must hold before the tables of floor `mrr` are published.

Of each identity, the tables it is about and what they are compared with.

Here: one function an identity. Not here: the comparisons themselves (`reconciliation.py`), the rules that
make the tables; a changed identity is no changed rule, and computes nothing again.
"""

from __future__ import annotations

from expansion_platform.domain.catalog.inputs import Frames, Inputs
from expansion_platform.domain.mrr import reconciliation
from expansion_platform.domain.mrr import tables as mrr


def customers_tie(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where a customer's month does not add up.

    It must follow the month before, and nobody is new a second time.
    """
    customers, movements = frames[mrr.CustomerMonths], frames[mrr.Movements]
    reconciliation.customers_tie(customers, movements)
    reconciliation.months_chain(customers)
    reconciliation.first_paid_ties(customers, movements, inputs.catalog.paid_before)


def flows_follow_causes(frames: Frames, _: Inputs) -> None:
    """Raises DataQualityError where flows, gross amounts or types are not what the causes make of them."""
    reconciliation.flows_follow_causes(frames[mrr.Movements], frames[mrr.Causes])


def causes_sum(frames: Frames, _: Inputs) -> None:
    """Raises DataQualityError where causes do not sum to the movement.

    Those of a pair of items must sum to its change, too.
    """
    reconciliation.causes_explain_movements(frames[mrr.Movements], frames[mrr.Causes])
    reconciliation.pairs_sum(frames[mrr.Causes])


def origins_are_of_movements(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where origins do not sum to gross expansion and to the headline."""
    reconciliation.origins_tie(frames[mrr.Origins], inputs.frame(mrr.Movements))


def seat_events_are_of_causes(frames: Frames, inputs: Inputs) -> None:
    """Raises DataQualityError where what added seats are worth is not what the causes of their month say."""
    causes = inputs.frame(mrr.Causes)
    reconciliation.seat_events_tie(frames[mrr.SeatEvents], causes[causes["cause"] == "seat"])
