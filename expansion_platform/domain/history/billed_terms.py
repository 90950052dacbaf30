"""Terms that only invoices still show.

Prices Stripe does not have any more, and what a deleted coupon takes off (semantics 7, case 66).

Here: reading them from the lines of one subscription's bills. Not here: terms that Stripe still has or that
an object embeds (`pricing/terms.py`), and when a discount was in force (`discounts.py`).

A line names its price, product, quantity, unit amount and service period, and what each discount took off it.
So lines of whole periods show a price's amount and interval, and which products a coupon leaves out. Nothing
is guessed: a price whose lines show no interval, or a quantity whose amount none of them shows, cannot be
read.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple

import pandas as pd

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.money import round_half_even
from expansion_platform.domain.core.rows import SECOND, Grouped, columns, records
from expansion_platform.domain.history.records import Line
from expansion_platform.domain.pricing.schemes import gross, parse_scheme
from expansion_platform.domain.pricing.terms import Coupon, Price
from expansion_platform.domain.stripe.vocabulary import INTERVALS

DAY = 86_400 * SECOND
_MONTH = Fraction(1461, 48)
"""Days: four years have 48 months and 1,461 days."""
_MONTHS = (1, 2, 3, 4, 6, 12, 24, 36)
"""Billing periods in months; a month, or several, differ from their mean length by less than three days."""
_COLUMNS = [
    *("subscription", "subscription_item", "price", "product"),
    *("currency", "quantity", "unit_amount_decimal", "amount"),
    *("created", "period_start", "period_end", "proration"),
]


class _Billed(NamedTuple):
    """What a line says of the price it bills."""

    item: str
    price: str
    product: str
    currency: str
    quantity: str | None
    unit: str | None
    amount: int
    created: int
    start: int
    end: int
    proration: bool

    @property
    def whole(self) -> bool:
        """Whether it charges a whole period.

        A line of nothing may be of a trial, which has a length of its own.
        """
        return not self.proration and self.amount > 0


def billed_prices(
    lines: pd.DataFrame, pending: pd.DataFrame, listed: Mapping[str, Price], unreadable: Collection[str] = ()
) -> dict[str, dict[str, Price]]:
    """Prices by subscription and id that have no amount in the currency billed.

    Those of `listed` that have none, as far as the bills show their terms.

    Args:
        lines: stripe/invoice_lines.
        pending: stripe/invoice_items.
        listed: stripe/prices that can be read (`history_terms.prices`).
        unreadable: Those that Stripe has and that cannot: what is wrong with them has to be mended there.
    """
    frames = [
        frame.loc[frame["unreadable"].isna(), _COLUMNS] for frame in (lines, pending) if not frame.empty
    ]
    pairs = {
        pair
        for frame in frames
        for pair in frame[["price", "currency"]].dropna().drop_duplicates().itertuples(index=False, name=None)
    }
    unknown = {
        (price, currency)
        for price, currency in pairs
        if price not in listed or listed[price].charged_in(currency).currency != currency
    }
    unknown = {pair for pair in unknown if pair[0] not in unreadable}
    if not unknown:
        return {}
    every = pd.concat(frames, ignore_index=True)
    every = every[every[["subscription", "subscription_item", "price", "product"]].notna().all(axis=1)]
    named = pd.MultiIndex.from_frame(every[["price", "currency"]]).isin(list(unknown))
    of_concern = sorted(set(every.loc[named, "subscription"]))
    grouped = Grouped(
        every[every["subscription"].isin(of_concern)],
        "subscription",
        lambda block: records(_Billed, *columns(block[_COLUMNS[1:]]).values()),
    )
    found = {}
    for subscription in of_concern:
        billed = grouped.of(subscription)
        named_here = {(line.price, line.currency) for line in billed} & unknown
        own_prices = [
            _price(name, currency, billed, listed.get(name)) for name, currency in sorted(named_here)
        ]
        found[subscription] = {price.id: price for price in own_prices if price is not None}
    return found


def as_billed(
    coupon: Coupon, discount: str, lines: Iterable[Line], prices: Mapping[str, Price], currency: str
) -> Coupon:
    """A coupon whose limits or amount nobody has, as the bills that list its discount show them.

    Still `embedded` where none of them shows any.

    A product is left out when the discount took nothing off a line of it that it could have lowered. One that
    no bill shows is lowered unless others are left out. The amount off is the most it took off one bill; 0
    when it could have lowered one and did not.

    Args:
        coupon: The coupon as it is known.
        discount: The id of its discount.
        lines: Regular lines that list the discount, of bills that stand.
        prices: By id.
        currency: The subscription's.
    """
    bills: dict[str | None, list[Line]] = defaultdict(list)
    for line in lines:
        bills[line.invoice].append(line)
    covered, left_out = set[str](), set[str]()
    most: int | None = None
    for billed in bills.values():
        taken = sum(line.taken.get(discount, 0) for line in billed)
        lowered = [line for line in billed if _could_lower(coupon, discount, line, billed)]
        most = max(most or 0, taken) if lowered else most
        covered |= {
            prices[line.state.price].product
            for line in lowered
            if line.taken.get(discount) and line.state.price in prices
        }
        left_out |= {
            prices[line.state.price].product
            for line in lowered
            if not line.taken.get(discount) and line.state.price in prices
        }
    if most is None:
        return coupon
    if coupon.embedded and left_out - covered:
        coupon = coupon._replace(products=frozenset(covered))
    if coupon.type == "amount" and coupon.currency != currency:
        coupon = coupon._replace(value=str(most), currency=currency)
    return coupon._replace(embedded=False)


def _could_lower(coupon: Coupon, discount: str, line: Line, billed: list[Line]) -> bool:
    """Whether a discount took something off a line, or would have.

    Would have: a minor unit at least of what is left of it.
    """
    if line.taken.get(discount):
        return True
    left = line.amount - sum(line.taken.values())
    if coupon.type == "percent":
        return left * Fraction(coupon.value) >= 100
    of_all = sum(max(0, each.amount) for each in billed)
    return left > 0 and left * Fraction(coupon.value) >= of_all


def _price(name: str, currency: str, billed: list[_Billed], known: Price | None) -> Price | None:
    """A price from the lines of a subscription, and from what is `known` of it in another currency.

    None where they do not show its terms.
    """
    own = [line for line in billed if (line.price, line.currency) == (name, currency)]
    period = _period_of(own, billed) if known is None else (known.interval, known.interval_count)
    charged = [line for line in own if line.whole and _interval(line.start, line.end) == period]
    scheme = _scheme(own, charged, {} if known is None else known.scheme)
    metered = (
        bool(charged) and all(line.end <= line.created for line in charged)
        if known is None
        else known.usage_type == "metered"
    )
    if period is None or scheme is None or (metered and scheme["type"] != "per_unit"):
        return None
    quantities = frozenset(str(line.quantity) for line in charged) if scheme["type"] == "volume" else None
    usage_type, meter = "metered" if metered else "licensed", None if known is None else known.meter
    return Price(
        name,
        own[0].product,
        currency,
        usage_type,
        *period,
        scheme,
        canonical.dumps(scheme),
        meter,
        quantities=quantities,
    )


def _scheme(own: list[_Billed], charged: list[_Billed], known: Mapping[str, Any]) -> dict[str, Any] | None:
    """A unit amount where most whole lines are that many units of it, in the same packages as `known`.

    Else the amount of each quantity billed.

    Not all: the time before a backdated subscription is billed in shares of a period.
    """
    units = {line.unit for line in own}
    if len(units) == 1 and None not in units and known.get("type", "per_unit") == "per_unit":
        scheme = {**known, "type": "per_unit", "unit": own[0].unit}
        parsed = parse_scheme(canonical.dumps(scheme))
        same = [
            line
            for line in charged
            if line.amount == round_half_even(gross(parsed, Fraction(line.quantity or "0")))
        ]
        if 2 * len(same) >= len(charged):
            return scheme
    periods = Counter((line.item, line.created, line.start, line.end) for line in charged)
    amounts = {
        (Decimal(line.quantity), line.amount)
        for line in charged
        if line.quantity is not None and not line.quantity.startswith("-")
    }
    # Several lines of one period are tiers of one price, which say nothing one by one.
    if not amounts or max(periods.values()) > 1 or len({quantity for quantity, _ in amounts}) < len(amounts):
        return None
    tiers = [
        {"up_to": canonical.decimal_text(quantity), "unit": "0", "flat": str(amount)}
        for quantity, amount in sorted(amounts)
    ]
    return {"type": "volume", "tiers": tiers}


def _period_of(own: list[_Billed], billed: list[_Billed]) -> tuple[str, int] | None:
    """Billing interval and count of a price.

    By its own whole lines, else those billed for the same cycle, else any of the subscription.
    """
    every = [line for line in billed if line.whole]
    same_cycle = [
        line for line in every if any(line.end == each.end and line.start <= each.start for each in own)
    ]
    return _period([line for line in own if line.whole]) or _period(same_cycle) or _period(every)


def _period(lines: list[_Billed]) -> tuple[str, int] | None:
    """Billing interval and count of most of the lines, of the longest where several are as frequent."""
    found = Counter(known for line in lines if (known := _interval(line.start, line.end)) is not None)
    ordered = sorted(
        found, key=lambda interval: (found[interval], INTERVALS.index(interval[0]), interval[1]), reverse=True
    )
    return ordered[0] if ordered else None


def _interval(start: int, end: int) -> tuple[str, int] | None:
    """The interval a period is one of.

    28 days are four weeks, unless they end on the day of the month they began on: those are a February.
    """
    days = Fraction(end - start, DAY)
    count = next((count for count in _MONTHS if abs(days - count * _MONTH) < 3), None)
    begins, ends = (datetime.fromtimestamp(at // SECOND, UTC).day for at in (start, end))
    if count is not None and (days != 28 or begins == ends):
        return ("year", count // 12) if count % 12 == 0 else ("month", count)
    if days.denominator != 1 or days < 1:
        return None
    return ("week", int(days) // 7) if days % 7 == 0 else ("day", int(days))
