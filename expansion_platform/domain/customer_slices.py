"""What a customer is, beside its size: pricing model, plan, currency, country, cohort, tenure, and what the user says of it (semantics 4.1).

Here: the one value a customer has in each dimension for a month, fixed at opening (at closing for new and returned customers), and at the next
opening. Not here: segments and pricing models (`movements.py`), sums by value and their rates (`dimensions.py`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import pandas as pd

from expansion_platform.domain import canonical, months
from expansion_platform.domain.errors import ConfigurationError
from expansion_platform.domain.policy import Catalog
from expansion_platform.domain.schemas.metrics import DIMENSIONS
from expansion_platform.domain.states import owners
from expansion_platform.domain.valuation import Bools

UNKNOWN = "unknown"
TENURES = {"first_90_days": 90, "rest_of_year_1": 365, "year_2": 730}
"""Bucket -> most whole days since first paid; longer is LONGEST_TENURE."""
LONGEST_TENURE = "year_3_plus"
Attributes = Mapping[str, Mapping[str, str]]
"""Attribute -> customer after aliases -> value."""


def profiles(valued: pd.DataFrame, catalog: Catalog) -> pd.DataFrame:
    """What each customer's items make it at one instant.

    Args:
        valued: item states with `mrr_minor`, as `valuation.value_states` returns them.
        catalog: says who was merged into whom.

    Returns:
        Columns currency, plan (product) by customer after aliases, for those that pay: of the item that pays most, the smallest item id on a tie.
    """
    paying = valued.assign(customer=owners(valued["customer"], catalog))[(valued["mrr_minor"] > 0).to_numpy()]
    largest = paying.sort_values(["mrr_minor", "item"], ascending=[False, True]).drop_duplicates("customer").set_index("customer")
    return pd.DataFrame({"currency": largest["currency"].astype("str"), "plan": largest["product"].astype("str")})


def stripes_attributes(customers: pd.DataFrame, keys: Collection[str], catalog: Catalog) -> Attributes:
    """What Stripe says of customers now: `country`, and the metadata keys that are attributes.

    Args:
        customers: stripe/customers (id, country, metadata_json).
        keys: metadata keys.
        catalog: who was merged into whom; what is said of the customer that is left goes before what is said of one merged into it.

    Raises:
        ConfigurationError: a key has the name of a dimension that is there already.
    """
    refuse_taken_names(keys)
    customers = customers.assign(owner=owners(customers["id"], catalog), own=~customers["id"].isin(list(catalog.aliases))).sort_values("own")
    told = {"country": _by_owner(customers, customers["country"])}
    texts = customers["metadata_json"]
    said = {text: json.loads(text) for text in texts.unique()} if keys else {}
    return told | {key: _by_owner(customers, texts.map({text: known.get(key) or None for text, known in said.items()})) for key in sorted(keys)}


def attributes_of(month: str, given: pd.DataFrame, stripes: Attributes, catalog: Catalog) -> Attributes:
    """What is said of customers, in force in a month.

    Args:
        month: whose; a value holds from the first instant of its `valid_from` on, so at the month's opening as at its closing instant.
        given: the user's rows (`schemas/given.py`, CustomerAttributes); of several the newest that holds.
        stripes: `stripes_attributes`, which what the user gives goes before.
        catalog: as there.

    Raises:
        ConfigurationError: an attribute has the name of a dimension that is there already.
    """
    refuse_taken_names(given["attribute"])
    holds = given[given["valid_from"].isna() | (given["valid_from"] <= month)]
    holds = holds.assign(owner=owners(holds["customer"], catalog), own=~holds["customer"].isin(list(catalog.aliases)))
    holds = holds.sort_values(["own", "valid_from"], na_position="first", kind="stable")
    told = {name: _by_owner(rows, rows["value"]) for name, rows in holds.groupby("attribute")}
    names = sorted({*stripes, *given["attribute"]})
    return {name: {**stripes.get(name, {}), **told.get(name, {})} for name in names}


def _by_owner(rows: pd.DataFrame, values: pd.Series[str]) -> dict[str, str]:
    """Values that are there by customer after aliases; of several rows of one the last."""
    there = values.notna()
    return dict(zip(rows.loc[there, "owner"].tolist(), values[there].tolist(), strict=True))


def refuse_taken_names(*names: Iterable[str]) -> None:
    """ConfigurationError when an attribute has the name of a dimension that is there already."""
    if taken := sorted({name for each in names for name in each} & {"total", "segment", *DIMENSIONS}):
        raise ConfigurationError(f"attributes of customers cannot be called {', '.join(taken)}: there is such a dimension already")


def customers_of(
    month: str,
    customer_months: pd.DataFrame,
    opened: pd.DataFrame,
    closed: pd.DataFrame,
    timezone: str,
    ever_paid: Collection[str],
    attributes: Attributes,
    next_attributes: Attributes,
) -> pd.DataFrame:
    """Each customer's value in every dimension, for a month and at the next opening.

    Args:
        month: whose.
        customer_months: mrr/customer_months of the month (month, customer, opening, pricing_model, closing_pricing_model, first_paid_month,
            first_paid_at).
        opened: `profiles` at the opening instant.
        closed: `profiles` at the closing instant.
        timezone: reporting time zone.
        ever_paid: as of `tenures`.
        attributes: `attributes_of` the month.
        next_attributes: `attributes_of` the month after it.

    Returns:
        month, customer, dimension, value, next_value: a row per customer and dimension, `unknown` where nothing says.
    """
    rows = customer_months.set_index("customer")
    member = rows["opening"] > 0
    held = pd.concat([opened.reindex(rows.index[member]), closed.reindex(rows.index[~member])]).reindex(rows.index)
    names, opening, closing = rows.index.tolist(), months.opening(month, timezone), months.closing(month, timezone)
    parts = []
    for profile, model, named, at in (
        (held, rows["pricing_model"], attributes, pd.Series(closing, index=rows.index).where(~member, opening)),
        (closed.reindex(rows.index), rows["closing_pricing_model"], next_attributes, pd.Series(closing, index=rows.index)),
    ):
        tenure = tenures(rows["first_paid_at"], at, rows.index.isin(list(ever_paid)))
        told = profile.assign(pricing_model=model, cohort=rows["first_paid_month"], tenure=tenure)
        said = pd.DataFrame({name: [values.get(customer) for customer in names] for name, values in named.items()}, index=rows.index, dtype="str")
        told = told.join(said).fillna(UNKNOWN)
        parts.append(told.rename_axis("customer").reset_index().melt("customer", var_name="dimension", value_name="value"))
    parts[0]["next_value"] = parts[1]["value"]  # the same customers and dimensions in the same order: both name every attribute
    return parts[0].assign(month=month)[["month", "customer", "dimension", "value", "next_value"]]


def customer_slices(customers: pd.DataFrame) -> pd.DataFrame:
    """mrr/customer_slices without hashes, from `customers_of`: every customer's values as JSON, of the month and at the next opening."""
    wide = [customers.pivot(index=["month", "customer"], columns="dimension", values=name) for name in ("value", "next_value")]
    texts = {name: _as_json(values) for name, values in zip(("slices_json", "next_slices_json"), wide, strict=True)}
    return wide[0].index.to_frame(index=False).assign(**texts)


def _as_json(values: pd.DataFrame) -> list[str]:
    """Each row as canonical JSON; rows that are alike, which most are, are written once."""
    if values.empty:
        return []
    codes = values.groupby(list(values.columns), sort=False).ngroup()
    texts = [canonical.dumps(row) for row in values.drop_duplicates().to_dict("records")]
    return [texts[code] for code in codes]


def tenures(first_paid_at: pd.Series[pd.Timestamp], at: pd.Series[pd.Timestamp] | pd.Timestamp, imported: Bools) -> pd.Series[str]:
    """The tenure bucket of customers at an instant, by whole days since the beginning of the first state with MRR (semantics 4.1).

    Args:
        first_paid_at: of each customer, as in mrr/customer_months.
        at: the instant, or one for each.
        imported: customers of whom the catalog says that they paid before the history that Stripe gives (`ever_paid`). They have paid for longer than
            we know, so that they are `unknown` until what we know is already the longest bucket.
    """
    names = np.array([*TENURES, LONGEST_TENURE], dtype=object)
    bucket = pd.Series(names[np.searchsorted(list(TENURES.values()), (at - first_paid_at).dt.days)], index=first_paid_at.index)
    return bucket.mask(imported & (bucket != LONGEST_TENURE).to_numpy(), UNKNOWN).astype("str")
