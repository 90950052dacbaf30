"""Floor `stripe`: Stripe's objects as received, one row an object, only the allow-listed fields.

Here: the shape of what `sources/stripe/` yields. Not here: anything computed from it. Columns ending in
`_json` hold canonical JSON (sorted keys, no spaces, decimals as strings). No e-mail, name or card is a column
of any of them, and of an address only the country.
"""

from __future__ import annotations

from typing import Any

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import DECIMAL_PATTERN, Instant, Table


def decimal_text(description: str, *, nullable: bool = False) -> Any:
    """A column of decimal text."""
    return pa.Field(description=description, str_matches=DECIMAL_PATTERN, nullable=nullable)


class StripeObject(Table):
    """Columns of every Stripe object.

    `observed_at` makes late facts visible: it never moves while the content stays.
    """

    id: str = pa.Field(description="Stripe's id of the object")
    created: Instant = pa.Field(description="When Stripe created the object")
    livemode: bool = pa.Field(description="False for objects of a sandbox or test mode")
    observed_at: Instant = pa.Field(description="When a pull first saw this content of the object")
    unreadable: str = pa.Field(
        description="What of it cannot be read, by field, null when everything can. Such a field has a "
        "blank here, and the stretch that the object speaks of is in `billing/quarantine`",
        nullable=True,
    )


class Customers(StripeObject):
    """One row per Stripe customer: who pays, without any personal field."""

    currency: str = pa.Field(
        description="Currency the customer is billed in, null before the first bill", nullable=True
    )
    country: str = pa.Field(
        description="Country of the billing address, two letters; no other part of it is kept", nullable=True
    )
    deleted: bool = pa.Field(description="The customer was deleted in Stripe")
    discount_json: str = pa.Field(
        description="Customer-level discount: {id, coupon, start, end}, null when none", nullable=True
    )
    metadata_json: str = pa.Field(
        description="The allow-listed metadata keys (`customer_alias_of`, `account_id`, `org_id`, "
        "`workspace_id`, and EXPANSION_ATTRIBUTE_KEYS)"
    )

    class Config(Table.Config):
        name = "stripe/customers"
        metadata = {"key": ["id"]}
        unique = ["id"]
