"""Reading fields of Stripe objects, and frames of the rows made from them.

Here: what every mapping of a Stripe object needs: required fields, the columns all have, references that may
be expanded, instants, decimals, embedded lists, discounts. Not here: which field becomes which column
(`rows.py`, `bills.py`, `events.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pandas as pd
import pyarrow

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import Table, arrow_schema
from expansion_platform.sources.stripe.kinds import exact
from expansion_platform.sources.stripe.shapes import NOTED

Object = Mapping[str, Any]
Row = dict[str, Any]
INITIATED_BY = "initiated_by"


@dataclass(frozen=True)
class MetadataKeys:
    """The user's names for metadata that is kept.

    Attributes of `customers`, and who began a change, which is stored as `initiated_by`.
    """

    customers: tuple[str, ...] = ()
    initiated_by: str = INITIATED_BY

    @property
    def names(self) -> list[str]:
        """As the cursor of a pull remembers them: under other keys everything is read again."""
        return [self.initiated_by, *self.customers]

    def initiator(self, owner: Object) -> Row:
        """{initiated_by} of an object's metadata, {} when it does not say."""
        said = (owner.get("metadata") or {}).get(self.initiated_by)
        return {INITIATED_BY: said} if said else {}


PLAIN_KEYS = MetadataKeys()


def frame(model: type[Table], rows: Iterable[Row]) -> pd.DataFrame:
    """Rows as a frame with exactly the model's columns and types, sorted by id.

    Of two rows with one id the later given is kept.
    """
    latest = {row["id"]: row for row in rows}
    schema = arrow_schema(model)
    try:
        table = pyarrow.Table.from_pylist([latest[key] for key in sorted(latest)], schema=schema)
    except pyarrow.ArrowException as error:
        wrong = [key for key, row in latest.items() if not _fits(row, schema)]
        raise DataQualityError(
            f"{model.Config.name}: a field of another type than Stripe documents ({error})", wrong
        ) from error
    result = table.to_pandas(types_mapper={pyarrow.int64(): pd.Int64Dtype()}.get)
    counted = [field.name for field in schema if field.type == pyarrow.int64() and not field.nullable]
    return cast(pd.DataFrame, result.astype(dict.fromkeys(counted, "int64")))


def _fits(row: Row, schema: pyarrow.Schema) -> bool:
    try:
        pyarrow.Table.from_pylist([row], schema=schema)
    except pyarrow.ArrowException:
        return False
    return True


def need(item: Object, field: str) -> Any:
    """A field a row cannot do without. DataQualityError names the object when it is missing or null."""
    value = item.get(field)
    if value is None:
        raise DataQualityError(f"{item.get('object', 'object')} without {field}", [str(item.get("id"))])
    return value


def reference(value: Any) -> str | None:
    """Id of an expandable field, whether it holds the id or the object."""
    return value.get("id") if isinstance(value, Mapping) else value


def instant(seconds: int | None) -> datetime | None:
    """Stripe's epoch seconds as an instant in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def decimal_text(item: Object, field: str) -> str | None:
    """A decimal field (text, integer or number) as canonical decimal text."""
    value = item.get(field)
    if value is None:
        return None
    found = exact(value)
    if found is None:
        raise DataQualityError(
            f"{item.get('object', 'object')} whose {field} is not a number: {value!r}", [str(item.get("id"))]
        )
    return canonical.decimal_text(found)


def common(
    item: Object, observed_at: datetime, *, created: int | None = None, livemode: bool | None = None
) -> Row:
    """The columns of every Stripe object.

    An invoice item has no `created`, and an embedded object no `livemode` of its own.
    """
    return {
        "id": need(item, "id"),
        "created": instant(need(item, "created") if created is None else created),
        "livemode": bool(need(item, "livemode") if livemode is None else livemode),
        "observed_at": observed_at,
        NOTED: item.get(NOTED),
    }


def embedded(item: Object, field: str) -> list[Object]:
    """The objects of an embedded list."""
    return list(need(item, field)["data"])


def discount(entry: Object) -> Row:
    """{id, coupon, start, end} of a discount, of the pinned version or an older one.

    An older one has the coupon beside it instead of in `source`.
    """
    named = (entry.get("source") or {}).get("coupon") or entry.get("coupon")
    return {"id": entry.get("id"), "coupon": named, "start": entry.get("start"), "end": entry.get("end")}
