"""Small rows of three tables: one monthly, one whole, one merged by id."""

from __future__ import annotations

import pandas as pd

from expansion_platform.domain.core.table import columns
from expansion_platform.domain.history.tables import FxRates
from expansion_platform.domain.mrr.tables import CustomerMonths
from expansion_platform.domain.stripe.tables import Customers

_CUSTOMER_MONTH = {
    "opening": 1000,
    "closing": 1200,
    "flow_fx": 0,
    "opening_arr": 12000,
    "closing_arr": 14400,
    "opening_list": 1000,
    "closing_list": 1200,
    "items": 1,
    "segment": "smb",
    "pricing_model": "seat",
    "closing_pricing_model": "seat",
    "first_paid_month": "2026-01",
    "first_paid_at": pd.Timestamp("2026-01-05", tz="UTC"),
    "policy_hash": "p",
    "catalog_hash": "c",
}


def customer_months(month: str, *customers: str, closing: int = 1200) -> pd.DataFrame:
    rows = [
        {**_CUSTOMER_MONTH, "month": month, "customer": customer, "closing": closing}
        for customer in customers
    ]
    return pd.DataFrame(rows, columns=list(columns(CustomerMonths)))


def rates(**by_month: str) -> pd.DataFrame:
    """`m2026_01="1.08"`: the euro's rates."""
    rows = [
        {"month": name[1:].replace("_", "-"), "currency": "eur", "rate": rate, "source": "file:test"}
        for name, rate in by_month.items()
    ]
    return pd.DataFrame(rows, columns=list(columns(FxRates)))


def customers(*ids: str, seen: str = "2026-11-01", currency: str | None = "usd") -> pd.DataFrame:
    rows = [
        {
            "id": identity,
            "created": pd.Timestamp("2026-01-01", tz="UTC"),
            "livemode": True,
            "observed_at": pd.Timestamp(seen, tz="UTC"),
            "currency": currency,
            "deleted": False,
            "discount_json": None,
            "metadata_json": "{}",
        }
        for identity in ids
    ]
    return Customers.validate(pd.DataFrame(rows, columns=list(columns(Customers))))
