"""The open month: its provisional roll-forward, and whether it keeps pace (semantics 5.7).

The pace is that of the expansion of months before it.

Here: a month cut at an instant within it, the shares that past months had reached by then, and the limit a
notice is sent at. Not here: wiring (`tables/pace.py`), words (`reports/pace.py`). No rule of section 5.4 is
asked of an open month.

A month to date is classified like a whole one, between its opening and an instant within it. Two things are
kept constant that only its end decides: metered quantities are those of the last complete month, so that
usage not yet reported is no contraction, and exchange rates those of the opening. Past months are cut the
same way, so that like is compared with like.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import Plans
from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.core.money import round_half_even
from expansion_platform.domain.core.ratios import decimal_text
from expansion_platform.domain.metrics.rows import SLICES
from expansion_platform.domain.mrr.movements import classify
from expansion_platform.domain.mrr.states import covers, of_customers, owners
from expansion_platform.domain.mrr.vocabulary import FLOWS

COMPARED = 6
LEAST_COMPARED = 3  # as for a baseline (semantics 5.3)
NOTICE_AFTER_DAY = 15
SHARES = {
    "share_p10": Fraction(1, 10),
    "share_lower": Fraction(1, 4),
    "share_median": Fraction(1, 2),
    "share_upper": Fraction(3, 4),
}
COLUMNS = [
    *(
        "month",
        "dimension",
        "value",
        "read_until",
        "day",
        "opening",
        *FLOWS,
        "closing",
        "months_compared",
        "shares_json",
        *SHARES,
    ),
    *("target", "due", "behind", "quality"),
]


def compared(month: str) -> list[str]:
    """The months an open one is compared with, oldest first."""
    return months.between(months.shift(month, -COMPARED), months.shift(month, -1))


def same_point(month: str, of: str, at: pd.Timestamp, timezone: str) -> pd.Timestamp:
    """The instant of another month that is as long after its opening as `at` is after that of month `of`.

    The month's end where it is shorter.
    """
    return min(
        months.opening(month, timezone) + (at - months.opening(of, timezone)), months.closing(month, timezone)
    )


def month_to_date(
    states: pd.DataFrame,
    month: str,
    at: pd.Timestamp,
    *,
    catalog: Catalog,
    rates: Mapping[str, str],
    ever_paid: Collection[str],
    plans: Plans,
    timezone: str,
) -> pd.DataFrame:
    """What moved from a month's opening up to an instant within it.

    One row a customer and its flows, as `movements.classify` gives them.

    Args:
        states: billing/item_states without excluded customers.
        month: the month.
        at: everything before it has happened.
        catalog: products, aliases, policy.
        rates: the opening instant's exchange rates.
        ever_paid: customers that paid in an earlier month.
        plans: prices inferred to be plans before that instant.
        timezone: reporting time zone.

    Raises:
        DataQualityError: as `movements.classify`.
    """
    start = months.opening(month, timezone)
    changed = pd.concat(
        [
            states.loc[(states[name] >= start) & (states[name] < at), "customer"]
            for name in ("valid_from", "valid_to")
        ]
    )
    touched = of_customers(states, set(owners(changed, catalog)), catalog)
    before, after = touched[covers(touched, start)], touched[covers(touched, at)]
    after = _usage_pending(before, after)
    classified = classify(
        before, after, catalog=catalog, rates_open=rates, rates_close=rates, ever_paid=ever_paid, plans=plans
    )
    return classified.movements


def _usage_pending(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The later states, metered quantities as at the opening.

    Those of the last complete month, none for an item that came since.
    """
    known = dict(zip(before["item"], before["quantity"], strict=True))
    rows = zip(after["item"], after["usage_type"], after["quantity"], strict=True)
    return after.assign(
        quantity=[
            known.get(item, "0") if usage_type == "metered" else quantity
            for item, usage_type, quantity in rows
        ]
    )


def pace(
    month: str,
    *,
    at: pd.Timestamp,
    so_far: pd.DataFrame,
    then: Mapping[str, pd.DataFrame],
    rollforward: pd.DataFrame,
    targets: Mapping[str, Fraction | None],
    timezone: str,
) -> pd.DataFrame:
    """metrics/pace of an open month without hashes: a row for the total and each segment.

    Args:
        month: the open month.
        at: up to when everything is known.
        so_far: `month_to_date` of the month.
        then: `month_to_date` of past months at the same point of each.
        rollforward: metrics/rollforward of those months and of the one before, whose end is this month's
            opening.
        targets: the expansion rate to reach, by `total` and segment.
        timezone: reporting time zone.
    """
    day = at.tz_convert(timezone).day
    ended = {(row["month"], row["dimension"], row["value"]): row for row in rollforward.to_dict("records")}
    rows = []
    for dimension, value in SLICES:
        before = ended[months.shift(month, -1), dimension, value]
        opening = int(before["closing"]) + int(before["transfer_in"]) - int(before["transfer_out"])
        flows = _flows(so_far, dimension, value)
        reached = {
            name: Fraction(_flows(frame, dimension, value)["expansion"], final)
            for name, frame in sorted(then.items())
            if (final := int(ended[name, dimension, value]["expansion"]))
        }
        target = targets.get("total" if dimension == "total" else value)
        rows.append(
            {
                "month": month,
                "dimension": dimension,
                "value": value,
                "read_until": at,
                "day": day,
                "opening": opening,
                **flows,
                "closing": opening + sum(flows.values()),
                "months_compared": len(reached),
                "shares_json": dumps({name: decimal_text(share) for name, share in reached.items()}),
                **_judged(opening, flows["expansion"], list(reached.values()), target, day),
                "quality": "provisional",
            }
        )
    return pd.DataFrame(rows, columns=COLUMNS).astype({"due": "Int64", "behind": "boolean"})


def quantile(values: Sequence[Fraction], at: Fraction) -> Fraction:
    """Exact quantile of at least one value.

    It is interpolated between the two it lies between (type 7, as NumPy's default).
    """
    ordered = sorted(values)
    place = at * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def _judged(
    opening: int, expansion: int, shares: Sequence[Fraction], target: Fraction | None, day: int
) -> dict[str, object]:
    """Where past months stood by this day, and what is due.

    Due is what a month that is to meet its target has made by then in nine months of ten.
    """
    judged: dict[str, object] = {
        "target": None if target is None else decimal_text(target),
        "due": None,
        "behind": None,
    }
    if len(shares) < LEAST_COMPARED:
        return judged | dict.fromkeys(SHARES)
    judged |= {name: decimal_text(quantile(shares, at)) for name, at in SHARES.items()}
    if target is None or not opening:
        return judged
    due = quantile(shares, SHARES["share_p10"]) * target * opening
    return judged | {
        "due": round_half_even(due),
        "behind": expansion < due if day > NOTICE_AFTER_DAY else None,
    }


def _flows(moved: pd.DataFrame, dimension: str, value: str) -> dict[str, int]:
    """Sums of a slice."""
    inside = moved if dimension == "total" else moved[moved["segment"] == value]
    return {name: int(inside[f"flow_{name}"].sum()) for name in FLOWS}
