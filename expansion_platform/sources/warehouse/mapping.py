"""Where a warehouse keeps what: the mapping file, checked, with errors that name the key.

Here: the file's form, and the three that ship. Not here: the fields there are (`columns.py`), the tables
themselves (`tables.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from expansion_platform.domain.core.configuration import problems_text, read_yaml
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.warehouse import columns

_FOLDER = Path(__file__).parent / "mappings"
BUILT_IN = tuple(sorted(path.stem for path in _FOLDER.glob("*.yaml")))

_Columns = TypeVar("_Columns", bound=columns.Columns)


class TableMapping(BaseModel, Generic[_Columns]):
    """One table. `where` keeps the rows whose columns have these values."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    table: str
    where: dict[str, bool | int | str] = Field(default_factory=dict)
    columns: _Columns


class Tables(BaseModel):
    """The tables by what they hold; those without a default are needed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    customers: TableMapping[columns.Customers]
    products: TableMapping[columns.Products]
    prices: TableMapping[columns.Prices]
    subscriptions: TableMapping[columns.Subscriptions]
    invoices: TableMapping[columns.Invoices]
    invoice_lines: TableMapping[columns.InvoiceLines]
    price_tiers: TableMapping[columns.PriceTiers] | None = None
    price_currency_options: TableMapping[columns.CurrencyOptions] | None = None
    coupons: TableMapping[columns.Coupons] | None = None
    coupon_currency_options: TableMapping[columns.CurrencyOptions] | None = None
    discounts: TableMapping[columns.Discounts] | None = None
    subscription_items: TableMapping[columns.SubscriptionItems] | None = None
    line_discount_amounts: TableMapping[columns.LineDiscountAmounts] | None = None
    invoice_items: TableMapping[columns.InvoiceItems] | None = None
    credit_notes: TableMapping[columns.CreditNotes] | None = None
    events: TableMapping[columns.Events] | None = None
    customers_metadata: TableMapping[columns.MetadataEntries] | None = None
    products_metadata: TableMapping[columns.MetadataEntries] | None = None
    prices_metadata: TableMapping[columns.MetadataEntries] | None = None
    subscriptions_metadata: TableMapping[columns.MetadataEntries] | None = None


class Mapping(BaseModel):
    """A whole mapping.

    `synced` is the column in every table that says when its row was last written, None where there is none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    synced: str | None = None
    tables: Tables
    change_events: TableMapping[columns.ChangeEvents] | None = None


def mapping(name: str) -> Mapping:
    """The built-in mapping of that name, else the file of that path.

    Raises:
        ConfigurationError: there is neither, or the file makes no sense; names the key.
    """
    path = _FOLDER / f"{name}.yaml" if name in BUILT_IN else Path(name).expanduser()
    if not path.is_file():
        raise ConfigurationError(
            f"EXPANSION_WAREHOUSE_MAPPING is {name!r}: neither a file nor one of {', '.join(BUILT_IN)}"
        )
    try:
        content = read_yaml(path)
    except ConfigurationError as error:
        raise ConfigurationError(f"mapping {path} cannot be read: {error.__cause__}") from error
    return read_mapping(content, str(path))


def read_mapping(content: Any, where: str) -> Mapping:
    """A mapping from a file's content. ConfigurationError names `where` and the key."""
    if not isinstance(content, dict):
        raise ConfigurationError(f"mapping {where}: not a mapping; begin with `tables:`")
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise ConfigurationError(f"mapping {where}: {problems_text(error, Mapping)}") from error
