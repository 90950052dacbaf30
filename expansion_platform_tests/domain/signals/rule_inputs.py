"""Inputs of the rules of floor `signals` from a few rows of each table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import Table, arrow_schema
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.definition import SignalDefinition

Row = Mapping[str, Any]
QUIET: Row = {
    "segment": "smb",
    "mrr": 10000,
    "log_mrr": "4.605170",
    "tenure_months": 10,
    "expansions_12m": 0,
    "contractions_3m": 0,
    "contractions_6m": 0,
    "past_due": False,
    "products_held": 1,
    "missing_json": "[]",
}
"""A customer at a close of which no more is known than has to be."""


def inputs(
    tables: Mapping[type[Table], Iterable[Row]],
    *,
    aliases: Mapping[str, str] | None = None,
    timezone: str = "UTC",
    **values: Any,
) -> Inputs:
    """What a rule sees; columns that a row leaves out are null."""
    every = {model: arrow(model, rows) for model, rows in tables.items()}
    known: dict[str, Any] = {
        "catalog": Catalog.from_dict({"aliases": dict(aliases or {})}),
        "timezone": timezone,
        "close_lag_days": 5,
        "exponent": 2,
        "signals": SignalDefinition(),
        **values,
    }

    def load(model: type[Table]) -> Any:
        def loaded(months: Sequence[str] | None) -> pa.Table:
            found = every[model]
            return found if months is None else found.filter(pc.is_in(found["month"], pa.array(months)))

        return loaded

    return Inputs(
        "the test",
        {model: load(model) for model in every},
        lambda _model: frozenset(),
        {name: (lambda value=value: value) for name, value in known.items()},
    )


def arrow(model: type[Table], rows: Iterable[Row]) -> pa.Table:
    """Rows as the lake holds them."""
    rows = list(rows)
    schema = arrow_schema(model)
    data = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema}
    return pa.table(data)


def close(month: str, customer: str, **said: Any) -> dict[str, Any]:
    """A row of signals/features."""
    return {**QUIET, "month": month, "customer": customer, **said}


def expansion(month: str, customer: str, amount: int = 5000) -> dict[str, Any]:
    """A row of mrr/movements with headline expansion."""
    return {
        "month": month,
        "customer": customer,
        "movement": "continuing",
        "dormant": False,
        "opening": 10000,
        "flow_expansion": amount,
    }


def valid(model: type[Table], rows: pd.DataFrame) -> pd.DataFrame:
    """The rows checked against their model, with versions as the engine adds them."""
    return validate(model, rows.assign(policy_hash="p", catalog_hash="c"))
