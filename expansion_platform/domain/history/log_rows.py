"""How the log writes the changes of a subscription, and reads them again.

Rows of `billing/item_changes` and `Timelines`, kind by kind.

Here: both ways, and nowhere else is a change JSON. Not here: what facts show (`changes.py`), which rows are
news and which hold (`log.py`), and the states that follow (`item_states.py`).

A change is known by what it says, not by who says so: further bills that show the same are evidence of the
same change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.rows import Grouped, columns, records
from expansion_platform.domain.core.table import arrow_schema, to_pandas
from expansion_platform.domain.history.records import State
from expansion_platform.domain.history.tables import SOURCES, ItemChanges
from expansion_platform.domain.history.timelines import (
    Discounted,
    DiscountEnd,
    ItemMark,
    Mark,
    MonthUsed,
    Spoken,
    Timelines,
    Trial,
    Window,
)
from expansion_platform.domain.history.unreadable import Unreadable
from expansion_platform.domain.pricing.terms import Coupon, price_of, unreadable_coupon

LOGGED = ["entry", "known_at", "op"]
"""Columns of the log that are not of the change itself."""
_SCHEMA = pa.schema([field for field in arrow_schema(ItemChanges) if field.name not in LOGGED])
COLUMNS = list(_SCHEMA.names)
_RANK = {source: rank for rank, source in enumerate(reversed(SOURCES))}
_READ = [
    "subscription",
    "customer",
    "item",
    "kind",
    "effective_at",
    "until",
    "price",
    "quantity",
    "coupon",
    "value",
]
_READ += ["source", "confidence", "evidence_json"]

Said = tuple[Any, ...]
"""What a change says: customer, subscription, item, kind, effective_at, until, price, quantity, coupon,
value, source, confidence.
"""

_Change = tuple[Said, list[Spoken]]


class _Row(NamedTuple):
    """A stored row of one change, its values in the order of `_READ`."""

    subscription: str
    customer: str
    item: Any
    kind: str
    at: int
    until: Any
    price: Any
    quantity: Any
    coupon: Any
    value: Any
    source: str
    confidence: str
    evidence: list[Spoken]

    @property
    def mark(self) -> Mark[Any]:
        """What holds from then on, as its value says it."""
        return Mark(self.at, self.value, self.source, self.confidence, self.evidence)


def written(every: Iterable[Timelines], coupon_terms: Mapping[str, Coupon]) -> pd.DataFrame:
    """All changes of some subscriptions as rows of the log, but for what `log.entered` adds.

    Sorted by their name.
    """
    records: list[Said] = []
    for one in every:
        found: dict[Said, list[Spoken]] = {}
        for said, evidence in _changes(one, coupon_terms):
            # Two facts may show the same change.
            found[said] = [*found[said], *evidence] if said in found else evidence
        records += [_record(said, evidence) for said, evidence in found.items()]
    records.sort()
    by_column = zip(*records, strict=True) if records else [()] * len(COLUMNS)
    return to_pandas(
        pa.table(
            [pa.array(values, field.type) for values, field in zip(by_column, _SCHEMA, strict=True)],
            schema=_SCHEMA,
        )
    )


def _record(said: Said, evidence: list[Spoken]) -> Said:
    name = hashlib.sha256(repr(said).encode()).hexdigest()[:16]
    spoken = ",".join(
        [f"[{canonical.text(object_id)},{start},{end}]" for object_id, start, end in sorted(set(evidence))]
    )
    return (name, *said[:11], _RANK[said[10]], said[11], f"[{spoken}]")


def _changes(one: Timelines, coupon_terms: Mapping[str, Coupon]) -> list[_Change]:
    """What each change says, and its evidence."""
    life = canonical.dumps({"currency": one.currency, "livemode": one.livemode})
    changes = [_said(one, _mark_of(one.id, one.begin), "began", until=one.end, value=life)]
    changes += [_said(one, mark, "status", value=mark.value) for mark in one.statuses]
    changes += [_said(one, mark, "collection", value=mark.value) for mark in one.pauses]
    for discounted in one.discounts:
        window = discounted.window
        value = _discount_value(discounted, coupon_terms.get(window.coupon.id), one.currency)
        changes.append(
            _said(
                one,
                discounted.mark,
                "discount",
                window.item,
                window.end,
                coupon=window.coupon.id,
                value=value,
            )
        )
    changes += [
        _said(one, end.mark, "discount_end", end.item, coupon=end.coupon) for end in one.discount_ends
    ]
    changes += [
        _said(one, _mark_of(each.object, each.start), "unreadable", until=each.end, value=each.problem)
        for each in one.unread
    ]
    for item, trials in one.trials.items():
        changes += [
            _said(one, _mark_of(each.object, each.start, each.source), "trial", item, each.end)
            for each in trials
        ]
    for item, taxes in one.taxes.items():
        changes += [_said(one, mark, "tax", item, value=mark.value) for mark in taxes]
    terms = {name: price.as_text() for name, price in one.billed.items()}
    for item, marks in one.items.items():
        changes += [_item_state(one, mark, item, terms) for mark in marks]
    for item, used in one.usage.items():
        changes += [
            _said(one, each.quantity, "usage", item, each.end, each.price, each.quantity.value)
            for each in used
        ]
    return changes


def _item_state(one: Timelines, mark: ItemMark, item: str, terms: Mapping[str, str]) -> _Change:
    if mark.value is None:
        return _said(one, mark, "gone", item)
    return _said(
        one,
        mark,
        "held",
        item,
        price=mark.value.price,
        quantity=mark.value.quantity or None,
        value=terms.get(mark.value.price),
    )


def _said(
    one: Timelines,
    mark: Mark[Any],
    kind: str,
    item: str | None = None,
    until: int | None = None,
    price: str | None = None,
    quantity: str | None = None,
    coupon: str | None = None,
    value: str | None = None,
) -> _Change:
    return (
        one.customer,
        one.id,
        item,
        kind,
        mark.at,
        until,
        price,
        quantity,
        coupon,
        value,
        mark.source,
        mark.confidence,
    ), mark.evidence


def _mark_of(object_id: str, at: int, source: str = "snapshot") -> Mark[None]:
    return Mark(at, None, source, "exact", [(object_id, at, at + 1)])


def _discount_value(one: Discounted, known: Coupon | None, currency: str) -> str:
    """A discount's id, level and place, and what its invoices show where its coupon does not say it."""
    said: dict[str, Any] = {"discount": one.window.discount, "level": one.window.level, "place": one.place}
    coupon = one.window.coupon
    if known is not None and coupon != known.taken_off_in(currency):
        said |= {
            "products": None if coupon.products is None else sorted(coupon.products),
            "value": coupon.value,
        }
    return canonical.dumps(said)


def read(frame: pd.DataFrame, coupon_terms: Mapping[str, Coupon]) -> Iterator[Timelines]:
    """The subscriptions of rows that hold (`log.holding`, in the order of changes), in order of id.

    Of each kind and item in order of time.
    """
    for group in Grouped(frame[_READ].sort_values("effective_at", kind="stable"), "subscription", _rows):
        began = next(row for row in group if row.kind == "began")
        found = Timelines(
            began.customer, began.subscription, **json.loads(began.value), begin=began.at, end=began.until
        )
        for row in group:
            _READERS[row.kind](found, row, coupon_terms)
        yield found


def _rows(frame: pd.DataFrame) -> list[_Row]:
    by_column = columns(frame)
    # All at once: in five times the calls it takes three times as long.
    by_column["evidence_json"] = json.loads(f"[{','.join(by_column['evidence_json'])}]")
    return records(_Row, *by_column.values())


def _read_item_state(found: Timelines, row: _Row, _: Mapping[str, Coupon]) -> None:
    state = State(row.price, row.quantity or "")
    found.items[row.item].append(Mark(row.at, state, row.source, row.confidence, row.evidence))
    if row.value is not None:
        found.billed[row.price] = price_of(row.price, row.value)


def _read_usage(found: Timelines, row: _Row, _: Mapping[str, Coupon]) -> None:
    quantity = Mark(row.at, row.quantity, row.source, row.confidence, row.evidence)
    found.usage[row.item].append(MonthUsed(row.price, row.until, quantity))


def _read_discount(found: Timelines, row: _Row, coupon_terms: Mapping[str, Coupon]) -> None:
    said = json.loads(row.value)
    coupon = (coupon_terms.get(row.coupon) or unreadable_coupon(row.coupon)).taken_off_in(found.currency)
    if "products" in said:  # invoices show what the coupon does not say
        products = None if said["products"] is None else frozenset(said["products"])
        coupon = coupon._replace(
            products=products,
            value=said["value"],
            currency=coupon.currency and found.currency,
            embedded=False,
        )
    window = Window(said["discount"], coupon, said["level"], row.item, row.at, row.until)
    found.discounts.append(
        Discounted(said["place"], window, Mark(row.at, None, row.source, row.confidence, row.evidence))
    )


_READERS: Mapping[str, Callable[[Timelines, _Row, Mapping[str, Coupon]], None]] = {
    "began": lambda found, row, _: None,
    "status": lambda found, row, _: found.statuses.append(row.mark),
    "collection": lambda found, row, _: found.pauses.append(row.mark),
    "discount": _read_discount,
    "discount_end": lambda found, row, _: found.discount_ends.append(
        DiscountEnd(row.item, row.coupon, row.mark)
    ),
    "unreadable": lambda found, row, _: found.unread.append(
        Unreadable(row.at, row.until, row.value, row.evidence[0][0])
    ),
    "trial": lambda found, row, _: found.trials[row.item].append(
        Trial(row.at, row.until, row.evidence[0][0], row.source)
    ),
    "tax": lambda found, row, _: found.taxes[row.item].append(row.mark),
    "held": _read_item_state,
    "gone": lambda found, row, _: found.items[row.item].append(row.mark),
    "usage": _read_usage,
}
