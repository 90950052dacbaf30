"""Our MRR beside Stripe's own, customer by customer, every difference with a reason that evidence gives it.

See semantics 1.3, `stripe_parity`.

Here: Stripe's change events cumulated to months, the comparison of a month, and the explanations that are
tried. Not here: where Stripe's figures are read from (`sources/stripe_mrr.py`), identities between our own
tables (`reconciliation_totals.py`).

A difference is explained only when the customer's MRR, counted again with one rule, instant or rate switched,
comes out as Stripe's to within a minor unit an item. What no switch explains is `unexplained`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.inputs import Computed, Frames, Inputs, month_by_month
from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.money import conversion, decimal, round_half_even
from expansion_platform.domain.core.ratios import decimal_text, ratio_text
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics.tables import StripeDifferences, StripeParity
from expansion_platform.domain.metrics.tables.parity import UNEXPLAINED
from expansion_platform.domain.mrr.first_paid import included, rates_by_month
from expansion_platform.domain.mrr.states import among, covers, of_customers, owners
from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.domain.stripe.vocabulary import PAUSES

PARITY = Policy(preset="stripe_parity")
EVERY_ZONE = pd.Timedelta(hours=14)  # no two time zones are further apart from UTC
LATE = pd.Timedelta(days=3)  # Stripe's own figures are up to two days behind, and a day is a day
# A change dated by a renewal may have happened up to a billing period earlier.
NEXT_BILL = pd.Timedelta(days=400)
NEAR_RATE = Fraction(3, 100)  # Stripe converts at the rate of its own day
SAME_RATE = 0.002  # amounts of a few hundred minor units give no more precise rate
_INSTANT = pd.Timedelta(microseconds=1)

Amounts = pd.Series
"""MRR in minor units of the reporting currency by customer, after aliases."""

_SWITCHES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("discount_rule", "repeating coupons reduce it", {"repeating_discount_counts": True}),
    ("discount_rule", "coupons for one bill reduce it", {"once_discount_min_months": 1}),
    (
        "discount_rule",
        "repeating coupons and those for one bill reduce it",
        {"repeating_discount_counts": True, "once_discount_min_months": 1},
    ),
    ("metered", "usage is in it", {"metered_counts": True}),
    ("pause", "paused collection counts", {"paused_counts": tuple(PAUSES)}),
    ("pause", "no paused collection counts", {"paused_counts": ()}),
    ("churn_timing", "what is past due has left", {"statuses": ("active",)}),
    ("normalisation", "a week is 12/52 of a month", {"week_in_months": "12/52"}),
    ("normalisation", "a day is 1/30 of a month", {"day_in_months": "1/30"}),
)


@dataclass(frozen=True)
class Facts:
    """What a comparison knows.

    `states` is billing/item_states of the customers that count, `subscriptions` stripe/subscriptions, `rates`
    month -> currency -> rate.
    """

    states: pd.DataFrame
    subscriptions: pd.DataFrame
    rates: Mapping[str, Mapping[str, str]]
    catalog: Catalog
    timezone: str


def cumulated(
    changes: pd.DataFrame,
    wanted: list[str],
    rates: Mapping[str, Mapping[str, str]],
    reporting: str,
    timezone: str,
) -> pd.DataFrame:
    """Stripe's MRR of each customer at the end of each month, from its change events.

    Args:
        changes: customer, currency, mrr_change (int, minor units of the currency), at (epoch seconds UTC),
            local_at (the account's wall clock as if it were UTC, null where unknown: then months of
            `timezone` are meant).
        wanted: Months.
        rates: month -> currency -> rate.
        reporting: Reporting currency.
        timezone: Reporting time zone.

    Returns:
        month, customer, mrr (int, reporting minor units, rounded once a customer and currency), nonzero rows
        only.

    Raises:
        DataQualityError: Stripe counts MRR in a currency without a rate at that month's end.
    """
    found = []
    for month in wanted:
        native = (
            changes[_before(changes, month, timezone)]
            .groupby(["customer", "currency"], as_index=False)["mrr_change"]
            .sum()
        )
        total: dict[str, int] = {}
        for customer, currency, amount in native[["customer", "currency", "mrr_change"]].to_numpy().tolist():
            if amount:
                total[customer] = total.get(customer, 0) + round_half_even(
                    Fraction(amount), _factor(currency, reporting, month, rates)
                )
        found += [(month, customer, amount) for customer, amount in sorted(total.items()) if amount]
    return pd.DataFrame(found, columns=["month", "customer", "mrr"]).astype(
        {"month": "str", "customer": "str", "mrr": "int64"}
    )


def items_apart(changes: pd.DataFrame, month: str, facts: Facts) -> pd.DataFrame:
    """Items of which Stripe's change events say another quantity at a month's end than ours.

    What to look at behind an unexplained difference.

    Args:
        changes: As `cumulated`, with item (null where unknown) and quantity_change (int).
        month: The month.
        facts: Ours.

    Returns:
        customer (after aliases), item, ours, stripes (quantities as decimal text), ordered by both ids;
        metered items have no quantity in Stripe.
    """
    item_changes = changes[_before(changes, month, facts.timezone) & changes["item"].notna()]
    theirs = (
        item_changes["quantity_change"]
        .groupby([item_changes["customer"].map(facts.catalog.customer), item_changes["item"]])
        .sum()
    )
    item_states = facts.states[
        covers(facts.states, months.closing(month, facts.timezone))
        & facts.states["usage_type"].ne("metered").to_numpy(dtype=bool)
    ]
    counting = item_states[item_states["status"].isin(PARITY.statuses)]
    counting = counting.assign(customer=owners(counting["customer"], facts.catalog))
    ours = counting.set_index(["customer", "item"])["quantity"]
    both = pd.DataFrame({"ours": ours, "stripes": theirs.astype("str")}).fillna("0")
    return (
        both[both["ours"] != both["stripes"]]
        .reset_index()
        .sort_values(["customer", "item"], ignore_index=True)
    )


def _factor(currency: str, reporting: str, month: str, rates: Mapping[str, Mapping[str, str]]) -> Fraction:
    try:
        return conversion(currency, reporting, rates.get(month, {}).get(currency))
    except ValueError as error:
        raise DataQualityError(
            "no month-end exchange rate for what Stripe counts", [f"{currency} {month}"]
        ) from error


def _before(changes: pd.DataFrame, month: str, timezone: str) -> pd.Series[bool]:
    """Changes before a month's end.

    On the account's own clock, where it is known, else in the reporting time zone.
    """
    local, utc = months.closing(month).timestamp(), months.closing(month, timezone).timestamp()
    return (
        changes["at"].lt(utc).where(changes["local_at"].isna(), changes["local_at"].lt(local)).astype("bool")
    )


def compared(month: str, stripes: pd.DataFrame, facts: Facts) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One month beside Stripe's.

    metrics/stripe_parity and metrics/stripe_differences, without the catalog's hash.

    Args:
        month: The month.
        stripes: customer, mrr (int, reporting minor units) as Stripe says, at the month's end.
        facts: Ours.
    """
    catalog = facts.catalog
    kept = stripes[~stripes["customer"].map(catalog.excludes).astype("bool")]
    theirs = kept.groupby(kept["customer"].map(catalog.customer))["mrr"].sum()
    month_of = _Month(month, facts)
    ours = month_of.counted(PARITY)
    both = pd.DataFrame({"ours": ours, "stripes": theirs}).fillna(0).astype("int64")
    both = both[(both["ours"] != 0) | (both["stripes"] != 0)].assign(
        difference=lambda rows: rows["ours"] - rows["stripes"]
    )
    rows = both[both["difference"] != 0]
    reasons = month_of.explained(rows)
    differing = rows.assign(
        reason=[reasons.get(customer, (UNEXPLAINED, ""))[0] for customer in rows.index],
        evidence=[reasons.get(customer, (UNEXPLAINED, ""))[1] for customer in rows.index],
    )
    differences = (
        differing.rename_axis("customer").reset_index().assign(month=month, policy_hash=PARITY.policy_hash)
    )
    unexplained = int(differing.loc[differing["reason"] == UNEXPLAINED, "difference"].abs().sum())
    total = int(both["stripes"].sum())
    summary = {
        "month": month,
        "ours": int(both["ours"].sum()),
        "stripes": total,
        "customers": len(both),
        "differing": len(rows),
        "explained": int(rows["difference"].abs().sum()) - unexplained,
        "unexplained": unexplained,
        "unexplained_share": ratio_text(unexplained, total),
        "policy_hash": PARITY.policy_hash,
    }
    return pd.DataFrame([summary]), differences


class _Month:
    """One month's states, counted in other ways."""

    def __init__(self, month: str, facts: Facts) -> None:
        self._facts = facts
        self._month = month
        self._closing = months.closing(month, facts.timezone)
        self._rates = facts.rates.get(month, {})
        self._closing_states = facts.states[covers(facts.states, self._closing)]

    def counted(
        self, policy: Policy, given_states: pd.DataFrame | None = None, rates: Mapping[str, str] | None = None
    ) -> Amounts:
        """MRR by customer under a policy, of other states or at other rates if given."""
        states = self._closing_states if given_states is None else given_states
        if states.empty:
            return pd.Series(dtype="int64")
        catalog = self._facts.catalog
        valued = value_states(
            states, self._rates if rates is None else rates, policy, catalog.reporting_currency
        )
        return valued["mrr_minor"].groupby(valued["customer"].map(catalog.customer)).sum()

    def explained(self, rows: pd.DataFrame) -> dict[str, tuple[str, str]]:
        """(reason, evidence) of the differences that one has, by customer.

        The first explanation that fits.
        """
        found: dict[str, tuple[str, str]] = {}
        states = of_customers(self._facts.states, set(rows.index), self._facts.catalog)
        closing_states = states[covers(states, self._closing)]
        items = closing_states.groupby("customer").size().reindex(rows.index, fill_value=0).clip(lower=1)
        close = rows["difference"].abs() <= items
        found.update(
            {
                customer: ("rounding", f"within one minor unit for each of {items[customer]} items")
                for customer in rows.index[close]
            }
        )
        for reason, evidence, counted in self._explanations(states, rows):
            left = rows.index.difference(pd.Index(list(found)), sort=False)
            if left.empty:
                break
            again = counted(states[among(states["customer"], list(left))])
            amounts = again.reindex(left, fill_value=0).astype("int64")
            fits = (amounts - rows.loc[left, "stripes"]).abs() <= items[left]
            found.update(dict.fromkeys(left[fits], (reason, evidence)))
        return found

    def _explanations(
        self, states: pd.DataFrame, rows: pd.DataFrame
    ) -> Iterator[tuple[str, str, Callable[[pd.DataFrame], Amounts]]]:
        """What is tried, in this order: each counts the given customers' states again."""
        for reason, evidence, changed in _SWITCHES:
            yield reason, evidence, self._under(changed)
        yield "discount_rule", "no coupon reduces it", self._before_discounts
        yield (
            "churn_timing",
            "a subscription has left when its cancellation was asked for, not when it ends",
            self._without_leaving,
        )
        rates = self._stripes_rates(rows, states)
        if rates:
            rates_text = ", ".join(f"{currency} {rate}" for currency, rate in sorted(rates.items()))
            yield "currency", f"at the exchange rates Stripe used ({rates_text})", self._at_rates(rates)
        yield from self._instants(states)
        for (one, first, a), (other, second, b) in combinations(_SWITCHES, 2):
            if one != other and not a.keys() & b.keys():
                yield one, f"{first}, and {second} ({other})", self._under(a | b)

    def _under(self, changed: dict[str, Any]) -> Callable[[pd.DataFrame], Amounts]:
        policy = Policy.model_validate({**PARITY.model_dump(), **changed})
        return lambda states: self.counted(policy, states[covers(states, self._closing)])

    def _at_rates(self, rates: Mapping[str, str]) -> Callable[[pd.DataFrame], Amounts]:
        return lambda states: self.counted(
            PARITY, states[covers(states, self._closing)], {**self._rates, **rates}
        )

    def _stripes_rates(self, rows: pd.DataFrame, states: pd.DataFrame) -> dict[str, str]:
        """The rate that most of the customers with only one currency have in common, where it is near ours.

        Stripe converts all of them at one.
        """
        closing_states = states[covers(states, self._closing)]
        pairs = closing_states[["customer", "currency"]].drop_duplicates()
        pairs = pairs[
            ~pairs["customer"].duplicated(keep=False)
            & (pairs["currency"] != self._facts.catalog.reporting_currency)
        ]
        found = {}
        for currency, customers in pairs.groupby("currency")["customer"]:
            of = rows.loc[rows.index.intersection(pd.Index(customers))]
            of = of[(of["ours"] > 0) & (of["stripes"] > 0)]
            if of.empty or currency not in self._rates:
                continue
            ratio = of["stripes"] / of["ours"]
            alike = of[(ratio / ratio.median() - 1).abs() < SAME_RATE]
            factor = Fraction(int(alike["stripes"].sum()), int(alike["ours"].sum()))
            if 2 * len(alike) >= len(of) and abs(factor - 1) <= NEAR_RATE:
                found[str(currency)] = decimal_text(decimal(self._rates[str(currency)]) * factor)
        return found

    def _before_discounts(self, states: pd.DataFrame) -> Amounts:
        return self.counted(PARITY, states[covers(states, self._closing)].assign(discounts_json="[]"))

    def _without_leaving(self, states: pd.DataFrame) -> Amounts:
        closing_states = states[covers(states, self._closing)]
        asked = self._facts.subscriptions
        leaving = asked.loc[asked["canceled_at"].notna() & (asked["canceled_at"] < self._closing), "id"]
        return self.counted(PARITY, closing_states[~closing_states["subscription"].isin(leaving)])

    def _instants(self, states: pd.DataFrame) -> Iterator[tuple[str, str, Callable[[pd.DataFrame], Amounts]]]:
        """The customers' states at other instants.

        Just before a change shortly before the close, or just after one that comes after it.
        """
        begins = states[["customer", "item", "confidence"]].assign(at=states["valid_from"])
        ends = states[["customer", "item", "confidence"]].assign(at=states["valid_to"]).dropna(subset="at")
        # Where an item goes on in another state, that state's beginning says how the change is known.
        ends = ends[
            ~pd.MultiIndex.from_frame(ends[["item", "at"]]).isin(
                pd.MultiIndex.from_frame(begins[["item", "at"]])
            )
        ]
        changes = (
            pd.concat([begins, ends])[["customer", "confidence", "at"]]
            .drop_duplicates()
            .sort_values(["customer", "at"])
        )
        away = changes["at"] - self._closing
        before, after = away < pd.Timedelta(0), away >= pd.Timedelta(0)
        unsure = (changes["confidence"] != "exact") & after & (away <= NEXT_BILL)
        for reason, evidence, which, step in (
            (
                "time_zone",
                "at the end of the month elsewhere, before the last change",
                before & (away >= -EVERY_ZONE),
                -_INSTANT,
            ),
            (
                "time_zone",
                "at the end of the month elsewhere, after the next change",
                after & (away <= EVERY_ZONE),
                pd.Timedelta(0),
            ),
            (
                "late_data",
                "before a change of the last three days, which Stripe's figure may not have yet",
                before & (away >= -LATE),
                -_INSTANT,
            ),
            ("late_data", "after a change that we can date only by a later bill", unsure, pd.Timedelta(0)),
        ):
            candidates = changes[which]
            turn = candidates.groupby("customer").cumcount()
            for number in range(int(turn.max()) + 1 if len(candidates) else 0):
                yield (
                    reason,
                    evidence,
                    self._at(candidates[turn == number].set_index("customer")["at"] + step),
                )

    def _at(self, instants: pd.Series) -> Callable[[pd.DataFrame], Amounts]:
        """Each customer at an instant of its own; those without one come out as they are."""

        def counted(states: pd.DataFrame) -> Amounts:
            at = states["customer"].map(instants).fillna(self._closing - _INSTANT)
            return self.counted(
                PARITY,
                states[
                    (states["valid_from"] <= at) & (states["valid_to"].isna() | (states["valid_to"] > at))
                ],
            )

        return counted


def compute_parity(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """metrics/stripe_parity and metrics/stripe_differences of some months.

    No rows of those that Stripe's MRR is not known of.
    """
    stripes = inputs.value("stripes_mrr")
    if stripes.empty:
        return Computed({})
    catalog, states, rates = inputs.catalog, inputs.frame(billing.ItemStates), inputs.frame(billing.FxRates)
    facts = Facts(
        included(states, catalog),
        inputs.frame(stripe.Subscriptions),
        rates_by_month(rates),
        catalog,
        inputs.timezone,
    )
    return compare_months(wanted, stripes, facts)


def compare_months(wanted: Sequence[str], stripes: pd.DataFrame, facts: Facts) -> Computed:
    """metrics/stripe_parity and metrics/stripe_differences of some months, without the catalog's hash.

    Args:
        wanted: The months. Of one that Stripe's MRR is not known of there are no rows.
        stripes: month, customer, mrr (int, reporting minor units) as Stripe says.
        facts: Ours.
    """

    def compute(month: str) -> Frames:
        of_month = stripes[stripes["month"] == month]
        return (
            {}
            if of_month.empty
            else dict(zip((StripeParity, StripeDifferences), compared(month, of_month, facts), strict=True))
        )

    return month_by_month(wanted, compute)
