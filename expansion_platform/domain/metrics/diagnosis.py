"""What a month's figures say, in sentences that name their numbers.

Here: the thresholds, which sentences hold, the words. Not here: what they are made of, month by month
(`diagnosed_months.py`), the figures (`retention.py`, `trailing.py`, `mrr/flags.py`), tests of significance
and alerts (`alerts/`), benchmarks (`benchmarks.py`).

A sentence is written only when its threshold holds; without the figures it needs (no base, too short a
history) there is none. The thresholds come from semantics where it gives one; the two on gross retention are
this project's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from expansion_platform.domain.core import canonical, months
from expansion_platform.domain.core.ratios import ratio_text
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics.tables.values import LOW_EXPANDERS

GROWING = Fraction(1)  # NRR T12M from which the base grows (semantics 4.6, retention: above 100 %)
# GRR T12M under which a tenth of the base is lost in a year: our own line, the sources name none.
WEAK_GRR = Fraction(90, 100)
LOW_EXPANSION = Fraction(10, 100)  # expansion T12M under which the overall band is not "good" (semantics 4.6)
# Points under the mean of the six months before (semantics 5.5: growth masking or joining loss).
GRR_FALL = Fraction(2, 100)
BASELINE_MONTHS, FEWEST_BASELINE = 6, 3  # semantics 5.3
ONE_TYPE = Fraction(80, 100)  # of the month's expansion (003: "80% of expansion comes from seat growth")
ONE_CUSTOMER = Fraction(20, 100)  # of the month's expansion (semantics 3.5, `concentrated`)
SURGES = Fraction(25, 100)  # of the month's expansion (semantics 5.4, durability)
# Months without expansion, and months before them in which there was some (the windows of semantics 5.4,
# mix_shift).
QUIET, GREW = 3, 6
GREW_TIMES = 2  # of those six, so that one purchase is not called growth
NAMED, LISTED = 3, 50
"""Customers named in a sentence, and kept in its numbers."""

Numbers = dict[str, object]


@dataclass(frozen=True)
class Figures:
    """A month's published figures; ratios are fractions of their texts, absent when there is none.

    `retention` and `trailing` are the total's by metric; `mix` the share of the headline by type;
    `grr_before` GRR of up to six months before. `flows` is the total's row of metrics/rollforward.
    """

    month: str
    currency: str
    flows: Mapping[str, int]
    expanders: int
    members: int
    retention: Mapping[str, Fraction]
    trailing: Mapping[str, Fraction]
    mix: Mapping[str, Fraction]
    grr_before: Mapping[str, Fraction]

    @property
    def expansion(self) -> int:
        """Headline expansion, minor units."""
        return self.flows["expansion"]

    def money(self, minor: int) -> str:
        """An amount as text."""
        return money(minor, self.currency)


@dataclass(frozen=True)
class Accounts:
    """Rows about customers.

    Args:
        expanded: customer, flow_expansion, flags_json of mrr/movements with expansion, of the month.
        migrations: mrr/price_migrations of the month.
        stopped: `diagnosed_months.stopped_growing` of the month; None when nobody did.
    """

    expanded: pd.DataFrame
    migrations: pd.DataFrame
    stopped: pd.DataFrame | None = None


def looked_at(month: str) -> list[str]:
    """The months whose movements the sentences of a month are made of, oldest first."""
    return months.between(months.shift(month, 1 - QUIET - GREW), month)


def diagnosis(figures: Figures, accounts: Accounts) -> pd.DataFrame:
    """metrics/diagnosis of one month without hashes: month, position, kind, text, numbers_json."""
    rows: list[dict[str, object]] = []
    for kind, rule in _RULES.items():
        for numbers, text in rule(figures, accounts):
            rows.append(
                {
                    "month": figures.month,
                    "position": len(rows) + 1,
                    "kind": kind,
                    "text": text,
                    "numbers_json": canonical.dumps(numbers),
                }
            )
    return pd.DataFrame(rows, columns=["month", "position", "kind", "text", "numbers_json"])


Sentences = Iterator[tuple[Numbers, str]]


def _headline(figures: Figures, _: Accounts) -> Sentences:
    """Every month; without a base it says who paid instead."""
    opening, expansion = figures.flows["opening"], figures.expansion
    if not opening:
        yield from _without_base(figures)
        return
    numbers: Numbers = {
        "expansion": expansion,
        "opening": opening,
        "expanders": figures.expanders,
        "members": figures.members,
    }
    numbers |= {name: _text(figures.retention[name]) for name in ("nrr", "grr")}
    text = (
        f"Expansion was {percent(Fraction(expansion, opening))} of opening MRR: "
        f"{figures.money(expansion)} from {figures.expanders} of {figures.members} customers; NRR of "
        f"the month {percent(figures.retention['nrr'])}, GRR {percent(figures.retention['grr'])}."
    )
    yield numbers, text


def _without_base(figures: Figures) -> Sentences:
    """A month at whose opening nobody paid (semantics 7, case 69)."""
    closing = figures.flows["closing"]
    numbers: Numbers = {
        "opening": 0,
        "closing": closing,
        "new": figures.flows["new"],
        "reactivation": figures.flows["reactivation"],
    }
    if not closing:
        yield (
            numbers,
            f"Nobody paid in {figures.month}: opening and closing MRR are {figures.money(0)}, so no "
            "rate has a base.",
        )
        return
    came = [
        (figures.flows["new"], "from new customers"),
        (figures.flows["reactivation"], "from customers who came back"),
    ]
    parts = " and ".join(f"{figures.money(amount)} {who}" for amount, who in came if amount)
    yield (
        numbers,
        f"Nobody paid when {figures.month} began, so no rate has a base. Closing MRR is "
        f"{figures.money(closing)}: {parts}.",
    )


def _growth_masks_losses(figures: Figures, _: Accounts) -> Sentences:
    """NRR T12M at or above 100 % over GRR T12M under 90 %."""
    nrr, grr = figures.trailing.get("nrr_t12m"), figures.trailing.get("grr_t12m")
    if nrr is None or grr is None or nrr < GROWING or grr >= WEAK_GRR:
        return
    text = (
        f"Growth masks losses: over twelve months NRR is {percent(nrr)}, but GRR only {percent(grr)}. "
        f"Of the MRR of a year ago {percent(1 - grr)} is gone, and expansion elsewhere hides it; "
        "should expansion stall, the base shrinks by that."
    )
    yield {"nrr_t12m": _text(nrr), "grr_t12m": _text(grr), "lost": _text(1 - grr)}, text


def _losses_behind_growth(figures: Figures, _: Accounts) -> Sentences:
    """NRR of the month is at or above 100 % while its GRR fell.

    GRR lies two points or more under its mean over the six months before.
    """
    nrr, grr = figures.retention.get("nrr"), figures.retention.get("grr")
    if nrr is None or grr is None or len(figures.grr_before) < FEWEST_BASELINE:
        return
    before = sum(figures.grr_before.values(), Fraction(0)) / len(figures.grr_before)
    if nrr < GROWING or before - grr < GRR_FALL:
        return
    text = (
        f"Losses grew behind growth: NRR of the month is {percent(nrr)}, yet GRR fell to {percent(grr)} "
        f"from {percent(before)} on average over the {len(figures.grr_before)} months before."
    )
    yield (
        {
            "nrr": _text(nrr),
            "grr": _text(grr),
            "grr_before": _text(before),
            "months": len(figures.grr_before),
        },
        text,
    )


def _stay_without_growing(figures: Figures, _: Accounts) -> Sentences:
    """GRR T12M at or above 90 % and expansion T12M under 10 %."""
    grr, rate = figures.trailing.get("grr_t12m"), figures.trailing.get("expansion_rate_t12m")
    if grr is None or rate is None or grr < WEAK_GRR or rate >= LOW_EXPANSION:
        return
    text = (
        f"Customers stay but do not grow: over twelve months GRR is {percent(grr)}, expansion only "
        f"{percent(rate)} (under {percent(LOW_EXPANSION, 0)} is below what is called good)."
    )
    yield {"grr_t12m": _text(grr), "expansion_rate_t12m": _text(rate)}, text


def _one_type(figures: Figures, _: Accounts) -> Sentences:
    """One type has 80 % or more of the month's expansion, of five expanders at least."""
    name = max(figures.mix, key=lambda kind: (figures.mix[kind], kind), default=None)
    if name is None or figures.expanders < LOW_EXPANDERS or figures.mix[name] < ONE_TYPE:
        return
    text = (
        f"Expansion rests on one type: {name} is {percent(figures.mix[name], 1)} of it "
        f"({figures.money(figures.expansion)} in all)."
    )
    yield {"type": name, "share": _text(figures.mix[name]), "expansion": figures.expansion}, text


def _few_customers(figures: Figures, accounts: Accounts) -> Sentences:
    """Customers with 20 % or more of the month's expansion each, where five or more expanded."""
    total = figures.expansion
    rows = _largest_first(accounts)
    large = (
        rows[rows["flow_expansion"] * ONE_CUSTOMER.denominator >= total * ONE_CUSTOMER.numerator]
        if total
        else rows.head(0)
    )
    if figures.expanders < LOW_EXPANDERS or large.empty:
        return
    of_large = int(large["flow_expansion"].sum())
    which = "one customer" if len(large) == 1 else f"{len(large)} customers"
    text = (
        f"Few carry it: {which} of {figures.expanders} expanders made "
        f"{percent(Fraction(of_large, total), 1)} of expansion: {_named(large, figures)}."
    )
    yield (
        {
            "customers": _listed(large),
            "share": str(ratio_text(of_large, total)),
            "expansion": total,
            "expanders": figures.expanders,
        },
        text,
    )


def _seat_surges(figures: Figures, accounts: Accounts) -> Sentences:
    """Customers flagged `seat_surge` have 25 % or more of the month's expansion."""
    total = figures.expansion
    rows = _largest_first(accounts)
    surged = rows[rows["flags_json"].str.contains('"seat_surge"', regex=False)]
    of_surges = int(surged["flow_expansion"].sum())
    if not of_surges or Fraction(of_surges, total) < SURGES:
        return
    opening = figures.flows["opening"]  # above zero where anybody expanded
    text = (
        f"Seat surges may not recur: {percent(Fraction(of_surges, total), 1)} of expansion "
        f"({figures.money(of_surges)}) is of customers whose gain in seats is large against the seats they "
        f"had and gained before: {_named(surged, figures)}. The rate is "
        f"{percent(Fraction(total, opening))}, {percent(Fraction(total - of_surges, opening))} of opening "
        "MRR without them."
    )
    yield (
        {
            "customers": _listed(surged),
            "surges": of_surges,
            "expansion": total,
            "share": str(ratio_text(of_surges, total)),
        },
        text,
    )


def _possible_price_migrations(figures: Figures, accounts: Accounts) -> Sentences:
    """Price pairs that wait for confirmation and are counted as a higher plan."""
    pairs = accounts.migrations
    pairs = pairs[(pairs["status"] == "to_confirm") & (pairs["amount_as_tier"] > 0)].sort_values(
        ["amount_as_tier", "old_price"], ascending=[False, True]
    )
    if pairs.empty:
        return
    amount, total = int(pairs["amount_as_tier"].sum()), figures.expansion
    moves = [
        f"{row['old_price']} to {row['new_price']} ({row['customers_moved']} of "
        f"{row['customers_on_old']} customers, {figures.money(int(row['amount_as_tier']))})"
        for row in pairs.head(NAMED).to_dict("records")
    ]
    more = f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    text = (
        f"Counted as higher plans, but maybe your own repricing: {figures.money(amount)}, moved by many "
        f"customers at once: {'; '.join(moves)}{more}. If it was, put the pair under `migrations` in "
        "the catalog: then it is price, never expansion."
    )
    listed = [
        {
            "old_price": row["old_price"],
            "new_price": row["new_price"],
            "customers_moved": int(row["customers_moved"]),
            "amount": int(row["amount_as_tier"]),
        }
        for row in pairs.head(LISTED).to_dict("records")
    ]
    yield {"pairs": listed, "amount": amount, "expansion": total}, text


def _stopped_growing(figures: Figures, accounts: Accounts) -> Sentences:
    """Customers that expanded in two or more of six months, in none of the three since, and still pay."""
    window, stopped = looked_at(figures.month), accounts.stopped
    if stopped is None:
        return
    gave, total = int(stopped["flow_expansion"].sum()), int(stopped["of_all"].iloc[0])
    accounts_text = "1 account" if len(stopped) == 1 else f"{len(stopped)} accounts"
    text = (
        f"Stopped growing: {accounts_text} that expanded at least twice in {window[0]} to "
        f"{window[GREW - 1]} did not in the {QUIET} months since, and still pay. They made "
        f"{figures.money(gave)} then, {percent(Fraction(gave, total), 1)} of all expansion: "
        f"{_named(stopped, figures)}. A list to look through, not a test."
    )
    listed = [
        {
            "customer": row["customer"],
            "expansion": int(row["flow_expansion"]),
            "months": int(row["months"]),
            "last_month": row["last"],
        }
        for row in stopped.head(LISTED).to_dict("records")
    ]
    yield (
        {
            "accounts": listed,
            "count": len(stopped),
            "expansion_then": gave,
            "share_then": str(ratio_text(gave, total)),
        },
        text,
    )


_RULES: dict[str, Callable[[Figures, Accounts], Sentences]] = {
    "headline": _headline,
    "growth_masks_losses": _growth_masks_losses,
    "losses_behind_growth": _losses_behind_growth,
    "stay_without_growing": _stay_without_growing,
    "one_type": _one_type,
    "few_customers": _few_customers,
    "seat_surges": _seat_surges,
    "possible_price_migrations": _possible_price_migrations,
    "stopped_growing": _stopped_growing,
}


def _largest_first(accounts: Accounts) -> pd.DataFrame:
    return accounts.expanded.sort_values(["flow_expansion", "customer"], ascending=[False, True])


def _named(rows: pd.DataFrame, figures: Figures) -> str:
    amounts = [
        f"{row['customer']} {figures.money(int(row['flow_expansion']))}"
        for row in rows.head(NAMED).to_dict("records")
    ]
    return ", ".join(amounts) + (f" and {len(rows) - NAMED} more" if len(rows) > NAMED else "")


def _listed(rows: pd.DataFrame) -> list[Numbers]:
    return [
        {"customer": row["customer"], "expansion": int(row["flow_expansion"])}
        for row in rows.head(LISTED).to_dict("records")
    ]


def _text(ratio: Fraction) -> str:
    return str(ratio_text(ratio.numerator, ratio.denominator))
