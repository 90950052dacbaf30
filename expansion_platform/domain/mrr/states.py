"""Some customers' item states, after aliases, at instants and over a month.

Here: choosing rows of item states, and a customer's items over time. Not here: pricing (`valuation.py`) and
what any of it means (`flags.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.core.money import Bools
from expansion_platform.domain.mrr.valuation import value_states


def owners(customers: pd.Series[str], catalog: Catalog) -> pd.Series[str]:
    """Customers after aliases."""
    return customers.map(catalog.aliases).fillna(customers) if catalog.aliases else customers


def of_customers(states: pd.DataFrame, customers: Collection[str], catalog: Catalog) -> pd.DataFrame:
    """The states of these customers (ids after aliases), with `customer` after aliases."""
    merged = [alias for alias, owner in catalog.aliases.items() if owner in customers]
    rows = states[among(states["customer"], {*customers, *merged})]
    return rows.assign(customer=owners(rows["customer"], catalog))


def among(column: pd.Series[str], values: Collection[str] | pd.Series[str]) -> Bools:
    """Whether each value is one of `values`.

    Arrow's own look-up: pandas first turns each of `values` into a scalar, seconds for 100,000.
    """
    if not len(values) or column.empty:
        return np.zeros(len(column), dtype=bool)
    texts = pa.array(column)
    wanted = pa.array(values if isinstance(values, pd.Series) else list(values))
    return np.asarray(pc.is_in(texts, value_set=wanted.cast(texts.type)), dtype=bool)


def covers(states: pd.DataFrame, instant: pd.Timestamp) -> Bools:
    """Which rows hold at a closing instant, exclusive: after every change before it (semantics 1.1)."""
    return (
        (states["valid_from"] < instant) & (states["valid_to"].isna() | (states["valid_to"] >= instant))
    ).to_numpy(dtype=bool)


def levels(states: pd.DataFrame, amounts: pd.Series, opening: pd.Series, closing: pd.Series) -> pd.DataFrame:
    """Each customer's sum of `amounts` over what holds.

    At the opening instant, its highest within the month, and at the closing instant.

    Args:
        states: customer (whatever identifies a customer and month), valid_from, valid_to.
        amounts: By row of states.
        opening: The same: the opening instant of its month.
        closing: The same: the closing instant.

    Returns:
        Columns first, highest, last by customer; a change exactly at the opening instant is one within the
        month (case 56).
    """
    moves = []
    for column, sign in (("valid_from", 1), ("valid_to", -1)):
        at = states[column]
        happened = (at < closing).to_numpy(dtype=bool)
        within = at >= opening
        rows = {
            "customer": states["customer"],
            "at": at.where(within, opening - pd.Timedelta(microseconds=1)),
            "change": sign * amounts,
        }
        moves.append(pd.DataFrame({**rows, "within": within})[happened])
    changes = pd.concat(moves).groupby(["customer", "at", "within"], sort=True)["change"].sum()
    level = changes.groupby(level="customer").cumsum().reset_index()
    before = level[~level["within"]].set_index("customer")["change"]
    by_customer = level.groupby("customer")["change"]
    found = pd.DataFrame({"highest": by_customer.max(), "last": by_customer.last()})
    return found.assign(first=before.reindex(found.index).fillna(0).astype("int64"))


def closing_states(
    states: pd.DataFrame, month: str, timezone: str, rates: Mapping[str, str], catalog: Catalog
) -> pd.DataFrame:
    """The item states that hold at a month's closing instant, with what they are worth then.

    Args:
        states: billing/item_states without excluded customers.
        month: whose closing instant.
        timezone: reporting time zone.
        rates: the closing instant's.
        catalog: policy and reporting currency.

    Raises:
        DataQualityError: naming items without a rate or that cannot be priced.
    """
    return value_states(
        states[covers(states, months.closing(month, timezone))],
        rates,
        catalog.policy,
        catalog.reporting_currency,
    )
