"""What the staged Stripe tables tell of every subscription item, as changes: what `billing/item_changes` logs (reference 2.4, 2.5).

Here: `changes`, one subscription's timelines as records, the records as a frame and back. Not here: what each fact says (facts, status, bills,
discounts, trials, usage, each in its own `history_*.py`), what was logged before (`history_log.py`), rows of states (`history.py`).

A change is known by what it says, not by who says so: further bills that show the same are evidence of the same change.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pandas as pd

from expansion_platform.domain import canonical
from expansion_platform.domain.history_billed_terms import billed_prices
from expansion_platform.domain.history_discounts import Window, windows
from expansion_platform.domain.history_events import in_order
from expansion_platform.domain.history_facts import ItemMark, Mark, item_marks
from expansion_platform.domain.history_reading import rows
from expansion_platform.domain.history_records import Line, Staged, State, Subscription, by_item, subscriptions, unreadable
from expansion_platform.domain.history_status import pause_marks, status_marks
from expansion_platform.domain.history_taxes import percentages, tax_marks
from expansion_platform.domain.history_terms import Coupon, Price, coupons, in_currency, prices
from expansion_platform.domain.history_tiers import whole_lines
from expansion_platform.domain.history_trials import item_trials
from expansion_platform.domain.history_unreadable import Unreadable
from expansion_platform.domain.history_updates import settle_updates
from expansion_platform.domain.history_usage import Metered, by_bills, by_meter, is_usage, metered, months_of
from expansion_platform.domain.schemas.base import arrow_schema
from expansion_platform.domain.schemas.billing import SOURCES, ItemChanges

LOGGED = ["entry", "known_at", "op"]
"""Columns of the log that are not of the change itself."""
COLUMNS = [name for name in arrow_schema(ItemChanges).names if name not in LOGGED]
INSTANTS = ("effective_at", "until")
RANK = {source: rank for rank, source in enumerate(reversed(SOURCES))}

Spoken = tuple[str, int, int]
"""A Stripe object and the stretch it speaks of."""


class Change(NamedTuple):
    """One change, instants as int microseconds; columns as in `billing/item_changes`."""

    customer: str
    subscription: str
    item: str | None
    kind: str
    effective_at: int
    until: int | None
    price: str | None
    quantity: str | None
    coupon: str | None
    value: str | None
    source: str
    confidence: str
    evidence: tuple[Spoken, ...]


def changes(staged: Staged, timezone: str = "UTC") -> pd.DataFrame:
    """Everything the tables tell of the subscriptions in them, by change.

    Pure: the same tables give the same changes, in whatever order they came. Subscriptions that never started have none. Usage of metered items
    is told by calendar month of `timezone` (semantics 1.5).
    """
    listed, problems = prices(staged.prices)
    prices_in = cache(lambda currency: in_currency(listed, currency))
    unreadable_prices = problems.keys() - set(staged.prices.loc[staged.prices["embedded"], "id"])
    billed = billed_prices(staged.invoice_lines, staged.invoice_items, listed, unreadable_prices)
    coupon_terms, meters, tax_rates = coupons(staged.coupons), metered(staged.meter_usage), percentages(staged.tax_rates)
    found: dict[str, tuple[Any, ...]] = {}
    for subscription in subscriptions(staged):
        own_terms = billed.get(subscription.id, {})
        price_terms = prices_in(subscription.currency) | own_terms
        subscription.events = in_order(subscription.events)
        taxes = tax_marks(subscription, tax_rates, price_terms)
        subscription.lines = whole_lines(subscription.lines, price_terms)
        settle_updates(subscription)
        subscription.lines, usage = _apart(subscription.lines, price_terms)
        marks = item_marks(subscription, subscription.events, price_terms)
        statuses = status_marks(subscription, subscription.events)
        pauses = pause_marks(subscription, subscription.events, statuses)
        told = [
            _began(subscription),
            *(_of_mark(subscription, None, "status", mark, value=mark.value) for mark in statuses),
            *(_of_mark(subscription, None, "collection", mark, value=mark.value) for mark in pauses),
            *_discounts(subscription, *windows(subscription, subscription.events, coupon_terms, price_terms), coupon_terms),
            *_trials(subscription, price_terms),
            *(_unread(subscription, one) for one in subscription.unread),
            *(_of_mark(subscription, item, "tax", mark, value=mark.value) for item, own in taxes.items() for mark in own),
            *(change for item, own in marks.items() for change in _held(subscription, item, own, own_terms)),
            *(change for item, own in marks.items() for change in _usage(subscription, item, own, usage, meters, price_terms, timezone)),
        ]
        for name, same in _by_name(told).items():
            found[name] = _row(name, same)
    frame = pd.DataFrame(list(found.values()), columns=COLUMNS, dtype="object")
    for name in INSTANTS:
        frame[name] = pd.to_datetime(frame[name].astype("Int64"), unit="us", utc=True).astype("datetime64[us, UTC]")
    return frame.sort_values("change", ignore_index=True)


def read(frame: pd.DataFrame) -> Iterator[list[Change]]:
    """The changes of each subscription of a frame of `changes`, in order of its id; of each kind and item in order of time."""
    ordered = frame.sort_values(["subscription", "effective_at", "change"])
    group: list[Change] = []
    for row in rows(ordered[[name for name in COLUMNS if name not in ("change", "rank")]]):
        row["evidence"] = tuple((name, start, end) for name, start, end in json.loads(row.pop("evidence_json")))
        change = Change(**row)
        if group and group[0].subscription != change.subscription:
            yield group
            group = []
        group.append(change)
    if group:
        yield group


def _by_name(told: list[Change]) -> dict[str, list[Change]]:
    """Changes by the hash of what they say: two facts may tell of the same one."""
    found: dict[str, list[Change]] = defaultdict(list)
    for change in told:
        found[hashlib.sha256(repr(change[:-1]).encode()).hexdigest()[:16]].append(change)
    return found


def _row(name: str, same: list[Change]) -> tuple[Any, ...]:
    *said, source, confidence, _ = same[0]
    evidence = canonical.dumps(sorted({spoken for change in same for spoken in change.evidence}))
    return (name, *said, source, RANK[source], confidence, evidence)


def _began(subscription: Subscription) -> Change:
    value = canonical.dumps({"currency": subscription.currency, "livemode": subscription.livemode})
    evidence = ((subscription.id, subscription.start_date, subscription.start_date + 1),)
    who = (subscription.customer, subscription.id, None)
    return Change(*who, "began", subscription.start_date, subscription.ended_at, None, None, None, value, "snapshot", "exact", evidence)


def _unread(subscription: Subscription, one: Unreadable) -> Change:
    who, evidence = (subscription.customer, subscription.id, None), ((one.object, one.start, one.start + 1),)
    return Change(*who, "unreadable", one.start, one.end, None, None, None, one.problem, "snapshot", "exact", evidence)


def _of_mark(
    subscription: Subscription,
    item: str | None,
    kind: str,
    mark: Mark[Any],
    *,
    until: int | None = None,
    price: str | None = None,
    quantity: str | None = None,
    coupon: str | None = None,
    value: str | None = None,
) -> Change:
    evidence = tuple((name, start, end) for start, end, name in mark.evidence)
    what = (price, quantity, coupon, value, mark.source, mark.confidence, evidence)
    return Change(subscription.customer, subscription.id, item, kind, mark.at, until, *what)


def _discounts(subscription: Subscription, found: list[Window], bounds: list[Mark[None]], coupon_terms: Mapping[str, Coupon]) -> Iterator[Change]:
    """A window begins by the mark of its first instant; the other marks say how it is known where windows end."""
    waiting = list(bounds)
    for place, window in enumerate(found):
        mark = next((each for each in waiting if each.at == window.start), None)
        if mark is None:
            mark = next(each for each in bounds if each.at == window.start)
        else:
            waiting.remove(mark)
        said: dict[str, Any] = {"discount": window.discount, "level": window.level, "place": place}
        if (known := coupon_terms.get(window.coupon.id)) is not None and window.coupon != known.taken_off_in(subscription.currency):
            products = window.coupon.products
            said |= {"products": None if products is None else sorted(products), "value": window.coupon.value}
        value = canonical.dumps(said)
        yield _of_mark(subscription, window.item, "discount", mark, until=window.end, coupon=window.coupon.id, value=value)
    for mark in waiting:
        ending = next((window for window in found if window.end == mark.at), None)
        item, coupon = (None, None) if ending is None else (ending.item, ending.coupon.id)
        yield _of_mark(subscription, item, "discount_end", mark, coupon=coupon)


def _trials(subscription: Subscription, price_terms: Mapping[str, Price]) -> Iterator[Change]:
    for item, own in item_trials(subscription, price_terms).items():
        for trial in own:
            mark = Mark(trial.start, None, trial.source, "exact", [(trial.start, trial.start + 1, trial.told)])
            yield _of_mark(subscription, item, "trial", mark, until=trial.end)


def _held(subscription: Subscription, item: str, marks: list[ItemMark], own_terms: Mapping[str, Price]) -> Iterator[Change]:
    """What an item was from each mark on; one that the next follows in the same instant never was.

    `own_terms` are prices whose terms only bills tell: the log has to keep them.
    """
    for mark, following in pairwise([*marks, None]):
        mark = cast(ItemMark, mark)
        if following is not None and following.at == mark.at:
            continue
        if mark.value is None:
            yield _of_mark(subscription, item, "gone", mark)
        else:
            price = own_terms.get(mark.value.price)
            terms = None if price is None else price.as_text()
            yield _of_mark(subscription, item, "held", mark, price=mark.value.price, quantity=mark.value.quantity or None, value=terms)


def _usage(
    subscription: Subscription,
    item: str,
    marks: list[ItemMark],
    usage: list[Line],
    meters: Mapping[tuple[str, str], Metered],
    price_terms: Mapping[str, Price],
    timezone: str,
) -> Iterator[Change]:
    """What an item used in each month at each of its metered prices, up to that of the newest fact: by its meter, else by its bills."""
    held = {mark.value.price: mark for mark in reversed(marks) if mark.value is not None and _is_metered(mark.value, price_terms)}
    ends = [at for at in (subscription.ended_at, marks[-1].at if marks[-1].value is None else None) if at is not None]
    begun, ended = max(subscription.start_date, marks[0].at), min(ends, default=None)
    lines = by_item(usage).get(item, [])
    for price, first in held.items():
        days = meters.get((subscription.customer, price_terms[price].meter or ""))
        known = max(marks[-1].at, subscription.known, 0 if days is None else days.end)
        for month in months_of(max(subscription.start_date, first.at), known + 1 if ended is None else ended, timezone):
            counted = by_meter(days, month, begun, ended, known)
            found = counted or by_bills(lines, month, ended)
            source = "meter" if counted is not None else "invoice_line" if found.evidence else "snapshot"
            confidence = "snapshot" if not found.whole else "renewal" if counted is None else "exact"
            mark = Mark(month.start, None, source, confidence, [(month.start, month.end, name) for name in found.evidence])
            yield _of_mark(subscription, item, "usage", mark, until=month.end, price=price, quantity=found.quantity)


def _is_metered(state: State, price_terms: Mapping[str, Price]) -> bool:
    return state.price in price_terms and price_terms[state.price].usage_type == "metered"


def _apart(lines: list[Line], price_terms: Mapping[str, Price]) -> tuple[list[Line], list[Line]]:
    """Lines that say what was held, in which metered items have no quantity, and those that say what was used."""
    of_use = {line.id for line in lines if _is_metered(line.state, price_terms) and not unreadable(line.state.quantity)}
    held = [line._replace(state=State(line.state.price, ""), metered=True) if line.id in of_use else line for line in lines]
    return held, [line for line in lines if line.id in of_use and is_usage(line)]
