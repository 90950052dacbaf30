"""What a Stripe account holds at one instant, complete and unexpanded.

Here: the container the simulated company fills and the loopback server reads, and the indexes that make
reading it fast. Not here: the company, HTTP.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

RESOURCES = (
    *("customers", "products", "prices", "coupons", "tax_rates", "subscriptions", "subscription_schedules"),
    *("invoices", "invoiceitems", "credit_notes", "events"),
)


@dataclass
class StripeAccount:
    """The objects of one account in API version 2026-10-28.endive, as plain dicts.

    `objects` maps each of `RESOURCES` to complete API objects, `created` ascending: references are ids,
    prices carry `tiers` and `currency_options`, coupons `applies_to` and `currency_options`, invoices all
    their lines and subscriptions all their items. `discounts` maps discount ids to discount objects, ended
    ones included (`source.coupon` is an id), and `deleted_coupons` coupon ids to coupons: Stripe has no list
    of them, they are seen only by expansion. `meters` are billing meters, `created` ascending, and `reported`
    the meter events of a meter and a customer: (instant, value), ascending.
    """

    id: str
    livemode: bool = True
    objects: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {resource: [] for resource in RESOURCES}
    )
    discounts: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted_coupons: dict[str, dict[str, Any]] = field(default_factory=dict)
    meters: list[dict[str, Any]] = field(default_factory=list)
    reported: dict[tuple[str, str], list[tuple[int, int]]] = field(default_factory=dict)

    def by_id(self) -> dict[str, dict[str, Any]]:
        """Every object that an id leads to, discounts and subscription items included.

        Ids are unique in an account.
        """
        found = {item["id"]: item for resource in RESOURCES for item in self.objects.get(resource, [])}
        found.update(self.discounts)
        found.update(self.deleted_coupons)
        for subscription in self.objects.get("subscriptions", []):
            found.update((item["id"], item) for item in subscription["items"]["data"])
        return found

    def grouped(self, resource: str, *path: str) -> dict[str, list[dict[str, Any]]]:
        """Objects of a resource by the text found at `path` in them (such as "customer").

        `created` ascending; objects without one are left out.
        """
        groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for item in self.objects.get(resource, []):
            value: Any = item
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str):
                groups[value].append(item)
        return dict(groups)
