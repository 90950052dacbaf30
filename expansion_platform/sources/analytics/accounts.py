"""Which Stripe customer an account of the analytics tool is, as the user says.

Here: the mapping, from a file or from Stripe's metadata. Not here: guessing an account's customer; one
without an entry stays unmapped and is shown as such.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from expansion_platform.domain.core.errors import ConfigurationError

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


def accounts_of_metadata(
    customers: Iterable[tuple[str, str]], key: str, mapped: Iterable[str] = ()
) -> tuple[pd.DataFrame, dict[str, list[str]]]:
    """Account to customer, as Stripe customers' metadata says: columns account and customer.

    Also the accounts that several customers name, with them: whose they are only the user can say, in the
    mapping file, and until then they are nobody's.

    Args:
        customers: (id, metadata_json) of each.
        key: the metadata key that names the account.
        mapped: accounts whose customer is known already.
    """
    known, found = set(mapped), dict[str, list[str]]()
    for customer, metadata in sorted(customers):
        account = str(json.loads(metadata).get(key) or "").strip()
        if account and account not in known:
            found.setdefault(account, []).append(customer)
    one = [(account, ids[0]) for account, ids in found.items() if len(ids) == 1]
    return (
        pd.DataFrame(one, columns=list(_COLUMNS)).astype("str"),
        {account: ids for account, ids in found.items() if len(ids) > 1},
    )
