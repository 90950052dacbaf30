"""What is sold, as Stripe holds it: products, prices, coupons, tax rates.

Here: the columns. Not here: how a price is read (`domain/pricing/terms.py`).
"""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core import declared as pa
from expansion_platform.domain.core.table import CURRENCY_PATTERN, Table
from expansion_platform.domain.stripe.tables.objects import StripeObject, decimal_text


class Products(StripeObject):
    """One row per Stripe product."""

    name: str = pa.Field(description="The product's name in the account's own catalogue")
    active: bool = pa.Field(description="Whether it can still be sold")
    metadata_json: str = pa.Field(
        description="Catalogue hints: `family`, `tier_rank`, `kind`, `unit`, `meter`"
    )

    class Config(Table.Config):
        name = "stripe/products"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Prices(StripeObject):
    """One row per Stripe price ever seen: how a product is charged. One deleted in Stripe stays here."""

    product: str = pa.Field(description="Product the price belongs to")
    currency: str = pa.Field(description="Three-letter currency, lower case", str_matches=CURRENCY_PATTERN)
    active: bool = pa.Field(description="Whether new subscriptions can use it")
    type: str = pa.Field(description="`recurring` or `one_time`")
    billing_scheme: str = pa.Field(description="`per_unit` or `tiered`")
    unit_amount_decimal: str = decimal_text(
        "Price of one unit in minor units; null when tiered", nullable=True
    )
    tiers_mode: str = pa.Field(description="`graduated` or `volume`, null when not tiered", nullable=True)
    tiers_json: str = pa.Field(
        description="Tiers in order: [{up_to, unit, flat}], amounts as decimal strings in minor units",
        nullable=True,
    )
    currency_options_json: str = pa.Field(
        description="The same price in other currencies: {currency: {unit, tiers, tax}}, like "
        "`unit_amount_decimal`, `tiers_json` and `tax_behavior`; null when it has one currency",
        nullable=True,
    )
    tax_behavior: str = pa.Field(
        description="`inclusive` when tax is inside its amounts, `exclusive` or `unspecified`", nullable=True
    )
    divide_by: pd.Int64Dtype = pa.Field(
        description="`transform_quantity.divide_by`: units in a package", nullable=True
    )
    round: str = pa.Field(description="`transform_quantity.round`: `up` or `down`", nullable=True)
    interval: str = pa.Field(
        description="`day`, `week`, `month` or `year`; null for one-time prices", nullable=True
    )
    interval_count: pd.Int64Dtype = pa.Field(description="Intervals in a billing period", nullable=True)
    usage_type: str = pa.Field(description="`licensed` or `metered`; null for one-time prices", nullable=True)
    meter: str = pa.Field(
        description="Billing meter that counts its usage, null where there is none", nullable=True
    )
    lookup_key: str = pa.Field(description="The account's own handle of the price", nullable=True)
    embedded: bool = pa.Field(
        description="Seen only as an item embeds it, deleted in "
        "Stripe: tiers and other currencies are not known"
    )
    metadata_json: str = pa.Field(description="Catalogue hints, as on the product")

    class Config(Table.Config):
        name = "stripe/prices"
        metadata = {"key": ["id"]}
        unique = ["id"]


class Coupons(StripeObject):
    """One row per Stripe coupon ever seen; a coupon deleted in Stripe stays here."""

    duration: str = pa.Field(description="`once`, `repeating` or `forever`")
    duration_in_months: pd.Int64Dtype = pa.Field(description="Months a repeating coupon lasts", nullable=True)
    percent_off: str = decimal_text("Percent off, 0 to 100", nullable=True)
    amount_off: pd.Int64Dtype = pa.Field(
        description="Amount off an invoice, minor units of `currency`", nullable=True
    )
    currency: str = pa.Field(description="Currency of `amount_off`", nullable=True)
    currency_options_json: str = pa.Field(
        description="Amount off in other currencies: {currency: minor units}; null when it has one currency",
        nullable=True,
    )
    applies_to_json: str = pa.Field(
        description="Products the coupon is limited to, null when all", nullable=True
    )
    embedded: bool = pa.Field(
        description="Seen only as a discount embeds it, deleted in "
        "Stripe: limits and other currencies are not known"
    )

    class Config(Table.Config):
        name = "stripe/coupons"
        metadata = {"key": ["id"]}
        unique = ["id"]


class TaxRates(StripeObject):
    """One row per Stripe tax rate.

    Empty when the key may not read them: the percentages are then computed from the amounts on invoices.
    """

    percentage: str = decimal_text("Percent of tax, as used where Stripe computes it", nullable=True)
    inclusive: bool = pa.Field(description="Whether the tax is inside the amounts it is on")

    class Config(Table.Config):
        name = "stripe/tax_rates"
        metadata = {"key": ["id"]}
        unique = ["id"]
