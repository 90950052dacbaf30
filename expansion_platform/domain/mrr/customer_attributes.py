"""What is said of customers: their country and metadata in Stripe, and the attributes that the user gives.

See semantics 4.1.

Here: what is in force of a customer in a month, for many at once. Not here: the other dimensions
(`customer_slices.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.domain.core.money import Ints
from expansion_platform.domain.mrr.states import owners
from expansion_platform.domain.mrr.steps import Steps
from expansion_platform.domain.mrr.vocabulary import DIMENSIONS

Said = Mapping[str, Mapping[str, str]]
"""Attribute -> customer after aliases -> value."""


@dataclass(frozen=True)
class Attribute:
    """One attribute of customers."""

    names: pd.Index[str]
    """Its values."""
    layers: Sequence[Steps]
    """Codes of them; a later layer goes before the ones in front of it."""

    def at(self, customer: Ints, month: Ints) -> Ints:
        """The code of each customer's value in a month, -1 where nothing is said."""
        found = np.full(len(customer), -1, dtype=np.int64)
        for layer in self.layers:
            code = layer.at(customer, month)
            found = np.where(code >= 0, code, found)
        return found


def stripes_attributes(customers: pd.DataFrame, keys: Collection[str], catalog: Catalog) -> Said:
    """What Stripe says of customers now: `country`, and the metadata keys that are attributes.

    Args:
        customers: stripe/customers (id, country, metadata_json).
        keys: metadata keys.
        catalog: who was merged into whom; what is said of the customer that is left goes before what is said
            of one merged into it.

    Raises:
        ConfigurationError: a key has the name of a dimension that is there already.
    """
    refuse_taken_names(keys)
    customers = customers.assign(
        owner=owners(customers["id"], catalog), own=~customers["id"].isin(list(catalog.aliases))
    ).sort_values("own")
    found = {"country": _by_owner(customers, customers["country"])}
    texts = customers["metadata_json"]
    said = {text: json.loads(text) for text in texts.unique()} if keys else {}
    return found | {
        key: _by_owner(customers, texts.map({text: known.get(key) or None for text, known in said.items()}))
        for key in sorted(keys)
    }


def attributes(
    given: pd.DataFrame, stripes: Said, customers: pd.Index[str], calendar: Sequence[str], catalog: Catalog
) -> dict[str, Attribute]:
    """What is said of customers in each month of a calendar, by attribute.

    Args:
        given: the user's rows (`catalog/tables.py`, CustomerAttributes). A value holds from the first instant
            of its `valid_from` on, so at that month's opening as at its closing instant; of several the
            newest that holds.
        stripes: `stripes_attributes`, which what the user gives goes before.
        customers: after aliases; their positions are the codes that `Attribute.at` takes.
        calendar: months without a gap; their positions are the months that it takes.
        catalog: as of `stripes_attributes`.

    Raises:
        ConfigurationError: an attribute has the name of a dimension that is there already.
    """
    refuse_taken_names(given["attribute"])
    names = sorted({*stripes, *given["attribute"]})
    given = given.assign(
        owner=owners(given["customer"], catalog), own=~given["customer"].isin(list(catalog.aliases))
    )
    given = given[given["value"].notna()].sort_values("valid_from", na_position="first", kind="stable")
    known = dict(iter(given.groupby("attribute")))
    return {
        name: _attribute(stripes.get(name, {}), known.get(name, given.head(0)), customers, calendar)
        for name in names
    }


def _attribute(
    stripe: Mapping[str, str], given: pd.DataFrame, customers: pd.Index[str], calendar: Sequence[str]
) -> Attribute:
    code, names = pd.factorize(np.array([*stripe.values(), *given["value"].tolist()], dtype=object))
    owner = customers.get_indexer(pd.Index([*stripe, *given["owner"].tolist()], dtype="str"))
    always, own = given["valid_from"].isna().to_numpy(dtype=bool), given["own"].to_numpy(dtype=bool)
    since = np.where(
        always, 0, np.searchsorted(np.array(calendar), given["valid_from"].fillna("").to_numpy(dtype=str))
    )
    count, width = len(stripe), len(calendar) + 1
    layers = [_steps(owner[:count], np.zeros(count, dtype=np.int64), code[:count], width)]
    layers += [_steps(owner[count:][of], since[of], code[count:][of], width) for of in (~own, own)]
    return Attribute(pd.Index(names, dtype="str"), layers)


def _steps(customer: Ints, since: Ints, code: Ints, width: int) -> Steps:
    """Codes of values from a month on; of several of a customer and month the last."""
    rows = np.flatnonzero(customer >= 0)
    starts = (customer * width + since)[rows]
    ascending, last = np.unique(starts[::-1], return_index=True)
    return Steps(width, ascending, code[rows][::-1][last])


def _by_owner(rows: pd.DataFrame, values: pd.Series[str]) -> dict[str, str]:
    """Values that are there by customer after aliases; of several rows of one the last."""
    there = values.notna()
    return dict(zip(rows.loc[there, "owner"].tolist(), values[there].tolist(), strict=True))


def refuse_taken_names(*names: Iterable[str]) -> None:
    """ConfigurationError when an attribute has the name of a dimension that is there already."""
    if taken := sorted({name for each in names for name in each} & {"total", "segment", *DIMENSIONS}):
        raise ConfigurationError(
            f"attributes of customers cannot be called {', '.join(taken)}: there is such a dimension already"
        )
