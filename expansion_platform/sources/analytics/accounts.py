"""Which Stripe customer an account of the analytics tool is, as the user's mapping file says.

Here: reading the mapping and joining it to usage. Not here: guessing an account's customer; one without an
entry stays unmapped and is shown as such.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.signals.tables import FeatureUsage

_COLUMNS = ("account", "customer")


def read_account_map(path: Path) -> pd.DataFrame:
    """Read the mapping file: CSV in UTF-8 with columns account and customer; others are ignored.

    Columns returned: account, customer.

    Several accounts may be one customer; one account cannot be two.

    Raises:
        ConfigurationError: naming the file and the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            absent = [name for name in _COLUMNS if name not in (reader.fieldnames or [])]
            if absent:
                raise ConfigurationError(
                    f"{path}:1: no column {' and no column '.join(absent)}; the header must be "
                    "account,customer"
                )
            customers: dict[str, str] = {}
            for row in reader:
                account, customer = ((row[name] or "").strip() for name in _COLUMNS)
                if not account or not customer:
                    raise ConfigurationError(
                        f"{path}:{reader.line_num}: account and customer must both be given"
                    )
                if customers.setdefault(account, customer) != customer:
                    raise ConfigurationError(
                        f"{path}:{reader.line_num}: account {account} is mapped to {customer} and to "
                        f"{customers[account]}"
                    )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    return pd.DataFrame(customers.items(), columns=list(_COLUMNS)).astype("str")


def map_accounts(usage: pd.DataFrame, mapping: pd.DataFrame) -> pd.DataFrame:
    """Usage with the nullable column customer added.

    Exactly the columns of analytics/feature_usage, rows as they were.

    Raises:
        ConfigurationError: an account mapped more than once; the text names it.
    """
    repeated = mapping.loc[mapping["account"].duplicated(), "account"].unique()
    if len(repeated):
        raise ConfigurationError(f"accounts mapped more than once: {', '.join(sorted(repeated)[:10])}")
    customers = mapping.set_index("account")["customer"].astype("str")
    mapped = usage.assign(customer=usage["account"].map(customers).astype("str"))
    return mapped[list(FeatureUsage.to_schema().columns)]
