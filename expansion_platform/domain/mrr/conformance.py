"""One month as plain dictionaries: the interface by which any implementation of these rules can be compared.

See semantics 8.1.

Here: dictionaries in, dictionaries out. Not here: any rule; they are those of `movements.classify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.movements import classify_wide
from expansion_platform.domain.mrr.valuation import STATE
from expansion_platform.domain.mrr.vocabulary import CAUSES, FLOWS, ORGANIC, SEGMENTS

_REQUIRED = [
    "customer",
    "subscription",
    "item",
    "status",
    "currency",
    "product",
    "price",
    "scheme",
    "quantity",
]
_DEFAULTS: dict[str, Any] = {
    "collection_paused": None,
    "livemode": True,
    "usage_type": "licensed",
    "interval": "month",
    "interval_count": 1,
    "discounts": [],
}
_TEXTS = ["movement", "label", "segment"]
_AMOUNTS = [
    "opening",
    "closing",
    "delta",
    "opening_arr",
    "closing_arr",
    "dormant",
    "expansion_gross",
    "contraction_gross",
    "expansion_unadjusted",
]
_NESTED = {
    "flows": ("flow", FLOWS),
    "causes": ("cause", CAUSES),
    "expansion_by_type": ("expansion", ORGANIC),
    "contraction_by_type": ("contraction", ORGANIC),
    "expansion_gross_by_type": ("expansion_gross", ORGANIC),
    "contraction_gross_by_type": ("contraction_gross", ORGANIC),
}


def classify_month(
    prev: Sequence[Mapping[str, Any]], curr: Sequence[Mapping[str, Any]], catalog: Mapping[str, Any]
) -> dict[str, Any]:
    """Every customer's row, the sums of each segment and the total (semantics 8.1).

    Args:
        prev: Items at the opening instant: required and optional fields as in 8.1, decimals as text.
        curr: Items at the closing instant.
        catalog: The dictionary of 8.1, with `fx` and `ever_paid`.

    Returns:
        {customers: {id: row}, segments: {name: sums}, total: sums}; money as int.

    Raises:
        DataQualityError: Names the items that are invalid, counting or not.
        ConfigurationError: The catalog does not make sense.
    """
    fx = catalog.get("fx") or {}
    result = classify_wide(
        _frame(prev),
        _frame(curr),
        catalog=Catalog.from_dict(catalog),
        rates_open=fx.get("prev") or {},
        rates_close=fx.get("curr") or {},
        ever_paid=catalog.get("ever_paid") or (),
        still=True,
    )
    yearly = {name: result.customers[name] for name in ("opening_arr", "closing_arr")}
    wide = result.movements.assign(**yearly).astype({"dormant": "int64"})
    customers = {
        row["customer"]: {name: row[name] for name in _TEXTS} | _amounts(row)
        for row in wide.to_dict("records")
    }
    sums = wide.drop(columns=["customer", "movement", "label"])
    segments = {name: _sums(sums[sums["segment"] == name]) for name in SEGMENTS}
    return {"customers": customers, "segments": segments, "total": _sums(sums)}


def _amounts(row: Mapping[Any, Any]) -> dict[str, Any]:
    plain = {name: int(row[name]) for name in _AMOUNTS}
    nested = {
        name: {part: int(row[f"{prefix}_{part}"]) for part in parts}
        for name, (prefix, parts) in _NESTED.items()
    }
    return plain | nested


def _sums(frame: pd.DataFrame) -> dict[str, Any]:
    return _amounts(frame.drop(columns="segment").sum().to_dict())


def _frame(items: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    rows = [_row(item) for item in items]
    return pd.DataFrame(rows, columns=STATE).astype({"interval_count": "int64", "livemode": "bool"})


def _row(item: Mapping[str, Any]) -> dict[str, Any]:
    """One item as a row of item states; what the table's column types would refuse is refused here."""
    identity = str(item.get("item", "an item without id"))
    if missing := [name for name in _REQUIRED if item.get(name) is None]:
        raise DataQualityError(f"required field {', '.join(missing)} is missing", [identity])
    row = {**_DEFAULTS, **{name: value for name, value in item.items() if value is not None}}
    if type(row["interval_count"]) is not int or row["interval_count"] < 1:
        raise DataQualityError(
            f"interval_count is not an integer >= 1: {row['interval_count']!r}", [identity]
        )
    if type(row["livemode"]) is not bool:
        raise DataQualityError(f"livemode is not true or false: {row['livemode']!r}", [identity])
    texts = [
        name
        for name in STATE
        if name not in ("livemode", "interval_count", "scheme_json", "discounts_json", "collection_paused")
    ]
    if wrong := [name for name in texts if not isinstance(row[name], str)]:
        raise DataQualityError(f"{', '.join(wrong)} is not text", [identity])
    try:
        row |= {
            "scheme_json": canonical.dumps(row["scheme"]),
            "discounts_json": canonical.dumps(row["discounts"]),
        }
    except TypeError as error:
        raise DataQualityError(str(error), [identity]) from error
    return {name: row[name] for name in STATE}
