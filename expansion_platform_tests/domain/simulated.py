"""A simulated account as staged tables, without a server in between.

Here: what one first pull reads. Not here: pulling (`sources/pulled.py`), and what is made of the tables.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from expansion_platform.domain.core.table import empty, table_name
from expansion_platform.domain.history.records import Staged
from expansion_platform.ingestion.histories import STAGED
from expansion_platform.simulator.company.catalog import CURRENCIES
from expansion_platform.simulator.servers import stripe_lists
from expansion_platform.simulator.servers.stripe_rendering import expansion, render
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.sources.stripe.resources import RESOURCES
from expansion_platform.sources.stripe.staging import Staging


def staged(account: StripeAccount, observed_at: datetime) -> Staged:
    """The account's tables as one first pull reads them."""
    staging, by_id = Staging(observed_at, lambda wanted: {}), account.by_id()
    for resource in (
        "events",
        "products",
        "prices",
        "coupons",
        "tax_rates",
        "customers",
        "subscriptions",
        "subscription_schedules",
        "invoices",
        "invoiceitems",
    ):
        for item in account.objects[resource]:
            if resource != "invoiceitems" or item["invoice"] is None:
                staging.add(resource, _shown(resource, item, by_id))
    changes = staging.changes()
    frames = {name: changes[table_name(model)].against(empty(model))[0] for name, model in STAGED.items()}
    return Staged(**frames | {"meter_usage": None})


def _shown(resource: str, item: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An object as the pull gets it: expanded, its embedded list whole."""
    paths = [
        *RESOURCES[resource].expand,
        *([f"currency_options.{name}.tiers" for name in CURRENCIES] if resource == "prices" else []),
    ]
    tree = expansion(
        [f"data.{path}" for path in paths], stripe_lists.RESOURCES[resource].sdk_class, in_list=True
    )
    shown: dict[str, Any] = render(item, tree, by_id)
    part = RESOURCES[resource].embedded
    if part is None:
        return shown
    whole = [render(each, tree.get(part, {}).get("data", {}), by_id) for each in item[part]["data"]]
    return {**shown, part: {**shown[part], "data": whole, "has_more": False}}
