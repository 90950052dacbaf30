"""What really happened to every subscription item, as intervals: what a rebuilt history is compared with.

Here: the log each simulated subscription keeps, and its reading as `billing/item_states` without source,
confidence and evidence. Not here: anything read from Stripe objects.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.simulator.company.catalog import Coupon, Price
from expansion_platform.simulator.stripe_billing import turns
from expansion_platform.simulator.stripe_billing.charges import Discount, allocate, reduced
from expansion_platform.simulator.stripe_billing.metering import Metering
from expansion_platform.simulator.stripe_billing.turns import Turn
from expansion_platform.simulator.stripe_billing.used import Use, as_billed, as_metered

EVENTS_KEPT = 30 * 86_400
"""Seconds Stripe keeps an event."""
OVERTAKEN = "no proration and no event left: changed again before the next renewal"
UNBILLED = "a discount no bill lists, over before the first one: flexible billing makes none for a trial"
_COLUMNS = [
    *("customer", "subscription", "item", "valid_from", "valid_to", "status"),
    *("collection_paused", "livemode", "currency", "product", "price"),
    *("usage_type", "interval", "interval_count", "scheme_json", "quantity", "discounts_json"),
]


@dataclass
class Change:
    """From `at` on, `item` has this price and quantity; price None means it is gone.

    `renewal` is set on a change without proration: the renewal that first bills it, the only dated trace
    Stripe keeps beyond its events.
    """

    at: int
    item: str
    price: Price | None
    quantity: int
    renewal: int | None = None


@dataclass
class SubscriptionLog:
    """Everything true of one subscription.

    `discounts` holds item-level ones in array order, then subscription-level ones.

    `customers_discounts` are the customer's, in force where the subscription has none. `statuses` are those
    after the trial that are not simply active, and the returns to it; `pauses` the behaviours of paused
    collection; `updates` when there was an event of the subscription; `item_trials` are (item, start, end) of
    items that are free beside others that are paid, `phases` when one of a schedule began. `created` may
    be after `start`. `taxes` are (item, start, percentage) of tax inside what bills charged, in the order of
    the bills. `forgotten` are the prices that nothing in Stripe shows whole any more: bills show their
    amount, not whether tax is inside. `metering` reports what its metered items use, as long as Stripe has
    the customer.
    """

    id: str
    customer: str
    currency: str
    start: int
    trial_end: int | None = None
    ended_at: int | None = None
    changes: list[Change] = field(default_factory=list)
    discounts: list[Discount] = field(default_factory=list)
    statuses: list[Turn] = field(default_factory=list)
    pauses: list[Turn] = field(default_factory=list)
    updates: list[int] = field(default_factory=list)
    usage: list[Use] = field(default_factory=list)
    metering: Metering | None = None
    taxes: list[tuple[str, int, str]] = field(default_factory=list)
    forgotten: frozenset[str] = frozenset()
    customers_discounts: list[Discount] = field(default_factory=list)
    item_trials: list[tuple[str, int, int]] = field(default_factory=list)
    phases: list[int] = field(default_factory=list)
    created: int = 0
    pauses_after_trial: bool = False
    never_started: bool = False

    def billed(self, at: int) -> None:
        """A bill of whole periods before the renewal shows changes without proration already."""
        for change in self.changes:
            if change.price is not None and change.renewal is not None and change.renewal > at:
                change.renewal = at


@dataclass
class Truth:
    """`states` at exact instants; `expected_states` as Stripe's records can show them.

    `undatable` lists what moved between the two.

    `metered_states` are the expected ones for who may read meters too; the others have usage from bills.
    """

    states: pd.DataFrame
    expected_states: pd.DataFrame
    metered_states: pd.DataFrame
    undatable: pd.DataFrame


def read(logs: list[SubscriptionLog], as_of: int) -> Truth:
    """The truth of all subscriptions at `as_of` (epoch seconds)."""
    exact, expected, metered, moved = [], [], [], []
    started = (
        each
        for each in logs
        if not each.never_started and turns.value_at(each.statuses, as_of, None) != "incomplete"
    )
    for log in started:
        exact += _states(log, log.changes, as_of)
        event_times = [at for at in log.updates if as_of - EVENTS_KEPT <= at <= as_of]
        seen, undated = _expected(log, sorted([*event_times, *log.phases]), as_of)
        moved += undated
        statuses = turns.expected_statuses(log.statuses, log.ended_at, event_times, as_of)
        pauses = turns.expected_pauses(log.pauses, log.ended_at, event_times, as_of)
        for happened, shown in ((log.statuses, statuses), (log.pauses, pauses)):
            lost = [turn for turn in happened if turn not in shown and turn.at <= as_of]
            moved += [
                (
                    log.customer,
                    log.id,
                    "",
                    _instant(turn.at),
                    pd.NaT,
                    f"no event left: {turn.value or 'resumed'}",
                )
                for turn in lost
            ]
        listed = [each for each in log.discounts if _shown(each, log, event_times, as_of)]
        moved += [
            (log.customer, log.id, each.item or "", _instant(each.start), pd.NaT, UNBILLED)
            for each in log.discounts
            if each not in listed
        ]
        recorded = replace(log, discounts=listed, statuses=statuses, pauses=pauses)
        expected += (billed := _states(recorded, seen, as_of))
        metered += billed if log.metering is None else _states(recorded, seen, as_of, log.metering)
    undatable = pd.DataFrame(
        moved, columns=["customer", "subscription", "item", "changed_at", "expected_at", "reason"]
    )
    return Truth(_frame(exact), _frame(expected), _frame(metered), undatable)


def _expected(
    log: SubscriptionLog, event_times: Sequence[int], as_of: int
) -> tuple[list[Change], list[tuple[Any, ...]]]:
    """The changes as Stripe's records can show them, in order, and the rows of `undatable`.

    One whose item was changed again before the bill that would have shown it leaves no trace.
    """
    first = {change.item: change for change in reversed(log.changes)}
    remaining = {
        item
        for item, change in {change.item: change for change in log.changes}.items()
        if change.price is not None
    }
    added = [change.at for item, change in first.items() if item in remaining and change.renewal is not None]
    dates = []
    for change in log.changes:
        # An item still there shows when it was added, and so when one that was taken off without proration
        # made room for it.
        swaps = [
            at
            for at in added
            if change.price is None and change.renewal is not None and change.at <= at < change.renewal
        ]
        dated = change.item in remaining and change is first[change.item]
        dates.append(
            expected_at(change, [*swaps, change.at] if dated else sorted([*swaps, *event_times]), as_of)
        )
    shown: list[Change] = []
    moved = []
    for place, (change, (at, reason)) in enumerate(zip(log.changes, dates, strict=True)):
        later = [
            each
            for each in zip(log.changes[place + 1 :], dates[place + 1 :], strict=True)
            if each[0].item == change.item
        ]
        overtaken = any(other <= at for _, (other, _) in later)
        if not overtaken:
            shown.append(replace(change, at=at))
        if reason is not None:
            seen_at = pd.NaT if overtaken else _instant(at)
            moved.append(
                (
                    log.customer,
                    log.id,
                    change.item,
                    _instant(change.at),
                    seen_at,
                    OVERTAKEN if overtaken else reason,
                )
            )
    return sorted(shown, key=lambda each: each.at), moved


def expected_at(change: Change, event_times: Sequence[int], as_of: int) -> tuple[int, str | None]:
    """When Stripe's records let a change be dated, and why not at its own instant (None when they do).

    `event_times` are the instants of the events left, or of what shows as much as one.
    """
    event = next((at for at in event_times if at >= change.at), None)
    if change.renewal is None or event == change.at:
        return change.at, None
    if event is not None and event < change.renewal:
        return event, "no proration and no event left: shown by the next event"
    if change.renewal <= as_of:
        return change.renewal, "no proration and no event left: shown by the next renewal"
    return as_of, "no proration and no event left: shown only by the subscription as it is now"


def _shown(discount: Discount, log: SubscriptionLog, event_times: Sequence[int], as_of: int) -> bool:
    """Whether a bill, an event left or the subscription as it is now, or as it ended, lists a discount."""
    return discount.billed or any(
        discount.listed(at) for at in [*event_times, as_of if log.ended_at is None else log.ended_at]
    )


def _states(
    log: SubscriptionLog, changes: list[Change], as_of: int, metering: Metering | None = None
) -> list[dict[str, Any]]:
    """The subscription's item intervals.

    Its life cut wherever anything about it changes, equal neighbours joined again.

    Usage is what was billed, or what `metering` reports.
    """
    by_item: dict[str, list[Change]] = {}
    for change in changes:
        by_item.setdefault(change.item, []).append(change)
    converts = log.trial_end if log.trial_end is not None and log.trial_end <= as_of else None
    cuts = {change.at for change in changes} | {log.start, converts or log.start, max(log.start, log.created)}
    cuts |= {bound for _, *window in log.item_trials for bound in window if bound <= as_of}
    cuts |= {turn.at for turn in [*log.statuses, *log.pauses] if turn.at <= as_of}
    cuts |= {start for _, start, _ in log.taxes}
    for discount in [*log.discounts, *log.customers_discounts]:
        cuts |= {
            discount.start,
            *(instant for instant in (discount.end, discount.removed_at) if instant is not None),
        }
        cuts |= {bound for _, *window in discount.windows for bound in window}
    inside = sorted(cut for cut in cuts if log.start <= cut and (log.ended_at is None or cut < log.ended_at))
    rows: list[dict[str, Any]] = []
    last: dict[str, dict[str, Any]] = {}
    for start, end in zip(inside, [*inside[1:], log.ended_at], strict=True):
        present = {
            item: state
            for item, history in by_item.items()
            if (state := _state_at(history, start)) is not None
        }
        # The bill takes the customer's only where the subscription has none at all, also of another product.
        shared = any(each.item is None and _in_force(each, start) for each in log.discounts)
        tried = {
            item
            for item, since, until in log.item_trials
            if since <= start and (start < until or until > as_of)
        }
        charged = {item: state for item, state in present.items() if item not in tried}
        resolved = _discounts(
            [*log.discounts, *([] if shared or start < log.created else log.customers_discounts)],
            charged,
            start,
        )
        trialing = log.trial_end is not None and (converts is None or start < converts)
        status = "trialing" if trialing else turns.value_at(log.statuses, start, "active")
        paused = turns.value_at(log.pauses, start, None)
        for item, (price, quantity) in present.items():
            own = "trialing" if item in tried and status in ("active", "past_due") else status
            fields = (
                own,
                paused,
                price.id,
                quantity,
                resolved.get(item, "[]"),
                _tax_inside(log, item, price, start),
            )
            previous = last.get(item)
            if previous is not None and previous["valid_to"] == start and previous["fields"] == fields:
                previous["valid_to"] = end
                continue
            last[item] = {
                "log": log,
                "item": item,
                "price": price,
                "valid_from": start,
                "valid_to": end,
                "fields": fields,
            }
            rows.append(last[item])
    metered: dict[str, list[dict[str, Any]]] = {
        row["item"]: [] for row in rows if row["price"].usage_type == "metered"
    }
    for row in rows:
        metered.get(row["item"], []).append(row)
    done = [row for row in rows if row["item"] not in metered]
    for item, its_rows in metered.items():
        uses = [use for use in log.usage if use.item == item]
        done += (
            as_billed(its_rows, uses, as_of) if metering is None else as_metered(its_rows, metering, as_of)
        )
    return done


def _tax_inside(log: SubscriptionLog, item: str, price: Price, at: int) -> str | None:
    """Percentage of tax inside a price: of the last bill that began by then, else of the first.

    Of others' bills where the item had none.

    None where there is some inside and no bill says how much. What nothing in Stripe says to be inside is not
    known to be.
    """
    known = sorted((each for each in log.taxes if each[0] == item), key=lambda each: each[1]) or sorted(
        log.taxes, key=lambda each: each[1]
    )
    if not known:
        return None if price.inclusive and price.id not in log.forgotten else "0"
    return [known[0], *(each for each in known if each[1] <= at)][-1][2]


def _state_at(history: list[Change], at: int) -> tuple[Price, int] | None:
    """Price and quantity of an item at `at`; None before it came and after it went."""
    index = bisect_right([change.at for change in history], at)
    price = history[index - 1].price if index else None
    return None if price is None else (price, history[index - 1].quantity)


def _discounts(discounts: list[Discount], items: dict[str, tuple[Price, int]], at: int) -> dict[str, str]:
    """Each item's discounts in force at `at` as canonical JSON (semantics 1.6).

    A subscription-level amount is split over the items it covers.
    """
    found: dict[str, list[dict[str, str]]] = {item: [] for item in items}
    on_item: dict[str, list[Coupon]] = {item: [] for item in items}
    for discount in discounts:
        coupon = discount.coupon
        covered = [item for item, (price, _) in items.items() if _applies(discount, item, price, at)]
        parts = dict.fromkeys(covered, coupon.amount or 0)
        if coupon.amount is not None and discount.item is None and covered:
            weights = {
                item: reduced(price.gross(quantity), on_item[item])
                for item, (price, quantity) in items.items()
                if item in covered
            }
            parts = allocate(coupon.amount, weights)
        for item in covered:
            kind, value = (
                ("percent", coupon.percent) if coupon.percent is not None else ("amount", str(parts[item]))
            )
            found[item].append(
                {"type": kind, "value": value, "duration": coupon.duration, "coupon": coupon.id}
            )
            if discount.item is not None:
                on_item[item].append(coupon)
    return {item: canonical.dumps(entries) for item, entries in found.items()}


def _in_force(discount: Discount, at: int) -> bool:
    if discount.coupon.duration == "once":
        return any(start <= at < end for _, start, end in discount.windows)
    return discount.listed(at)


def _applies(discount: Discount, item: str, price: Price, at: int) -> bool:
    if discount.item not in (None, item) or not discount.coupon.covers(price):
        return False
    if discount.coupon.duration == "once":
        return any(used == item and start <= at < end for used, start, end in discount.windows)
    return discount.listed(at)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """`billing/item_states` columns without source, confidence and evidence, in the order of its key."""
    records = []
    for row in rows:
        log, price = row["log"], row["price"]
        status, paused, _, quantity, discounts, tax = row["fields"]
        identity = (
            log.customer,
            log.id,
            row["item"],
            row["valid_from"],
            row["valid_to"],
            status,
            paused,
            True,
        )
        scheme = canonical.dumps(price.scheme if tax == "0" else {**price.scheme, "tax": tax})
        units = row.get("used", str(quantity))
        terms = (
            log.currency,
            price.product_id,
            price.id,
            price.usage_type,
            price.interval,
            1,
            scheme,
            units,
            discounts,
        )
        records.append(identity + terms)
    frame = pd.DataFrame(records, columns=_COLUMNS)
    for column in ("valid_from", "valid_to"):
        frame[column] = pd.to_datetime(frame[column].astype("Int64"), unit="s", utc=True).astype(
            "datetime64[us, UTC]"
        )
    return frame.sort_values(["customer", "subscription", "item", "valid_from"], ignore_index=True)


def _instant(seconds: int) -> pd.Timestamp:
    return pd.Timestamp(seconds, unit="s", tz="UTC")
