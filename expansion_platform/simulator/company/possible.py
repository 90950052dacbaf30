"""When something can be done to a simulated subscription so that Stripe's records still show it.

Here: the conditions all deciders share. Not here: who decides what (`behaviour.py`, `hardship.py`,
`arrangements.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from expansion_platform.simulator.stripe_billing.billing import Edit
from expansion_platform.simulator.stripe_billing.charges import bears
from expansion_platform.simulator.stripe_billing.subscription import Subscription

HOUR = 3_600


def steady(subscription: Subscription) -> bool:
    """Active, collecting, with no end set, and nothing that waits.

    No change waits for its payment, or is unseen for its renewal.
    """
    active = (
        subscription.status == "active"
        and subscription.paused is None
        and subscription.pending_update is None
    )
    return active and not subscription.locked and not subscription.cancel_at_period_end


def inside_period(subscription: Subscription, at: int) -> bool:
    """Away from the period's ends, so that every proration is worth something."""
    return subscription.period[0] + HOUR < at < subscription.period[1] - 6 * HOUR


def can_change(subscription: Subscription, at: int, edits: Sequence[Edit] = ()) -> bool:
    """Steady and inside its period, with discounts that leave something to see.

    Nothing is 100 % off (a proration of nothing shows nothing), and amounts off stay small beside the
    items' price.
    """
    touched = {edit.item.id for edit in edits if edit.item is not None}
    items = [(item.price, item.quantity) for item in subscription.items if item.id not in touched]
    items += [(edit.price, edit.quantity) for edit in edits if edit.price is not None]
    possible = steady(subscription) and inside_period(subscription, at) and not subscription.is_free(at)
    return possible and (not edits or bears(items, subscription.coupons(at), 4))
