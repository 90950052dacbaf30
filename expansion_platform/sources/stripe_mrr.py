"""What Stripe itself says each customer's MRR is.

Its change events in a warehouse, or a CSV its dashboard exports.

Here: reading either. Not here: cumulating and comparing (`domain/metrics/parity.py`).

The dashboard's report "MRR per subscriber per month" (Billing overview, Report downloads) is read whether it
has a row a customer and month, or a row a customer and a column a month; amounts are in whole currency units,
as it writes them.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

import pandas as pd

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.sources.warehouse.tables import Warehouse

_CUSTOMERS = ("customer_id", "customer", "subscriber_id", "subscriber", "id")
_MONTHS = ("month", "date", "period", "month_end")
_AMOUNTS = ("mrr", "amount", "mrr_amount", "monthly_recurring_revenue")
_MONTH_FORMATS = (
    "%Y-%m",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%b %Y",
    "%B %Y",
    "%b-%Y",
    "%m/%Y",
    "%Y/%m",
)
_NOT_A_NUMBER = re.compile(r"[^\d.\-]")


def change_events(warehouse: Warehouse) -> pd.DataFrame:
    """Every change of MRR Stripe recorded.

    Customer, item, currency, mrr_change (minor units), quantity_change, at, local_at (epoch seconds).

    Raises:
        ConfigurationError: the mapping has no `change_events`, or they are not there.
        WarehouseError: the warehouse cannot be read.
    """
    records = warehouse.records(warehouse.needed("change_events"))
    frame = pd.DataFrame(
        [
            (
                each["customer"],
                each["subscription_item"],
                each["currency"],
                each["mrr_change"] or 0,
                each["quantity_change"] or 0,
                each["event_timestamp"],
                each["local_event_timestamp"],
            )
            for each in records
        ],
        columns=["customer", "item", "currency", "mrr_change", "quantity_change", "at", "local_at"],
    )
    whole = dict.fromkeys(("mrr_change", "quantity_change", "at"), "int64")
    return frame.astype({"customer": "str", "currency": "str", **whole, "local_at": "Int64"})


def exported(path: Path, exponent: int) -> pd.DataFrame:
    """Stripe's MRR of each customer and month from a CSV.

    Month, customer, mrr (minor units of the reporting currency).

    Args:
        path: The file.
        exponent: Decimals of the reporting currency.

    Raises:
        ConfigurationError: the file cannot be read, or has no column of customers, or neither months nor
            amounts; names the columns it has.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if any(row)] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"EXPANSION_STRIPE_MRR {path} cannot be read: {error}") from error
    names = [_plain(name) for name in header]
    customer = _column(names, _CUSTOMERS)
    month, amount = _column(names, _MONTHS), _amount_column(names)
    months = {at: found for at, name in enumerate(header) if (found := _month(name)) is not None}
    if customer is None or (not months and (month is None or amount is None)):
        raise ConfigurationError(
            f"EXPANSION_STRIPE_MRR {path}: needs a column of customers ({', '.join(_CUSTOMERS)}) and "
            f"either a column a month or columns of months ({', '.join(_MONTHS)}) and amounts "
            f"({', '.join(_AMOUNTS)}); it has {', '.join(header) or 'none'}"
        )
    amounts: list[tuple[str, str, int]] = []
    for number, row in enumerate(rows, start=2):
        for named_month, text in _amounts(row, months, month, amount):
            value = _minor(text, exponent)
            if named_month is None or value is None:
                raise ConfigurationError(
                    f"EXPANSION_STRIPE_MRR {path}, line {number}: no month and amount in {', '.join(row)}"
                )
            amounts.append((named_month, row[customer], value))
    frame = pd.DataFrame(amounts, columns=["month", "customer", "mrr"]).astype(
        {"month": "str", "customer": "str", "mrr": "int64"}
    )
    return frame.groupby(["month", "customer"], as_index=False)[["mrr"]].sum()


def _amounts(
    row: list[str], months: dict[int, str], month: int | None, amount: int | None
) -> Iterator[tuple[str | None, str]]:
    if months:
        yield from (
            (named_month, row[at]) for at, named_month in months.items() if at < len(row) and row[at].strip()
        )
    elif month is not None and amount is not None:
        yield _month(row[month]), row[amount]


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]+", "_", re.sub(r"\(.*?\)", "", name.lower())).strip("_")


def _column(names: list[str], known: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in known if name in names), None)


def _amount_column(names: list[str]) -> int | None:
    return _column(names, _AMOUNTS) or next(
        (at for at, name in enumerate(names) if name.startswith("mrr")), None
    )


def _month(text: str) -> str | None:
    for form in _MONTH_FORMATS:
        try:
            return datetime.strptime(text.strip(), form).strftime("%Y-%m")
        except ValueError:
            continue
    return None


def _minor(text: str, exponent: int) -> int | None:
    """An amount in whole currency units as minor units, rounded half to even; None when it is no amount."""
    try:
        return round(Decimal(_NOT_A_NUMBER.sub("", text)).scaleb(exponent))
    except InvalidOperation:
        return None
