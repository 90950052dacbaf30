"""Inputs of the rules of programmes from a few rows of each table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.catalog.tables import Assignments, Programmes
from expansion_platform.domain.core.table import Table, arrow_schema, columns, to_pandas
from expansion_platform.domain.core.validation import validate
from expansion_platform.domain.signals.programmes.plans import programme_plans

Row = Mapping[str, Any]


def text_rows(model: type[Table], rows: Iterable[Sequence[str | None]]) -> pd.DataFrame:
    """The user's rows as `read_given` gives them, values in the order of columns."""
    return pd.DataFrame(list(rows), columns=list(columns(model))).astype("str")


def assigned(*rows: Sequence[str]) -> pd.DataFrame:
    """Assignments: programme, customer, arm, assigned_at, and randomised where it is not true."""
    return text_rows(Assignments, [(*row, "true")[:5] for row in rows])


def planned(*rows: Sequence[str | None]) -> pd.DataFrame:
    """Programmes: as far as given, the others empty."""
    width = len(columns(Programmes))
    return text_rows(Programmes, [(*row, *[None] * width)[:width] for row in rows])


def inputs(
    tables: Mapping[type[Table], Iterable[Row]],
    *,
    assignments: pd.DataFrame | None = None,
    programmes: pd.DataFrame | None = None,
    aliases: Mapping[str, str] | None = None,
    timezone: str = "UTC",
) -> Inputs:
    """What a rule sees; columns that a row leaves out are null, and none of its months is left out."""
    every = {model: _arrow(model, rows) for model, rows in tables.items()}
    catalog = Catalog.from_dict({"aliases": dict(aliases or {})})
    given = assigned() if assignments is None else assignments
    values: dict[str, Any] = {
        "assignments": given,
        "programmes": programme_plans(planned() if programmes is None else programmes, "usd"),
        "catalog": catalog,
        "timezone": timezone,
        "close_lag_days": 5,
    }

    def load(model: type[Table]) -> Any:
        return lambda months: every[model]

    def value(name: str) -> Any:
        return lambda: values[name]

    return Inputs(
        "the test",
        {model: load(model) for model in every},
        lambda _model: frozenset(),
        {name: value(name) for name in values},
    )


def _arrow(model: type[Table], rows: Iterable[Row]) -> pa.Table:
    rows = list(rows)
    schema = arrow_schema(model)
    data = {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema}
    return pa.table(data)


def frame(model: type[Table], rows: Iterable[Row]) -> pd.DataFrame:
    """Rows of a table as a rule reads them."""
    return to_pandas(_arrow(model, rows))


def valid(model: type[Table], rows: pd.DataFrame) -> pd.DataFrame:
    """The rows checked against their model, with versions as the engine adds them."""
    return validate(model, rows.assign(policy_hash="p", catalog_hash="c"))


def heavy(rng: np.random.Generator, treated: np.ndarray, share: tuple[float, float]) -> np.ndarray:
    """Expansion of customers: few expand, by lognormal amounts around 50.00; shares of treatment, control."""
    size = len(treated)
    amounts = np.rint(rng.lognormal(np.log(5000), 1.0, size))
    return np.where(rng.random(size) < np.where(treated, *share), amounts, 0.0)


MEAN = 5000 * np.exp(0.5)
"""Mean of those amounts."""
