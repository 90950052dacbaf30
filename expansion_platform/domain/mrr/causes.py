"""Why a matched pair of items changed, to the cent (semantics 3.3, 3.4).

Here: the factors of one pair, their labels, the hybrid states between its ends, and the Shapley value over
them in integers. Pure functions of two terms and two catalog entries. Not here: which items are paired
(`matching.py`) and doing this for a whole book (`attribution.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import permutations

from expansion_platform.domain.catalog.catalog import Catalog, Entry
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans
from expansion_platform.domain.core.money import round_half_even, settle
from expansion_platform.domain.mrr.valuation import Terms
from expansion_platform.domain.mrr.vocabulary import CAUSES
from expansion_platform.domain.pricing import discounts, schemes

# Factors by the letter they have in `corners_json`.
DISCOUNT, INTERVAL, SCHEDULE, QUANTITY, TIER = "D", "I", "P", "Q", "T"


@dataclass(frozen=True)
class Explanation:
    """Signed amounts by cause, zeros left out, and the MRR of every hybrid state they were averaged over."""

    causes: tuple[tuple[str, int], ...]
    corners_json: str


@dataclass(frozen=True)
class _Schedule:
    """How a quantity becomes a month's amount in the reporting currency.

    `rate` leaves out the tax inside it.
    """

    scheme: schemes.Scheme
    period: Fraction
    rate: Fraction
    metered: bool


@dataclass(frozen=True)
class End:
    """One end of a pair: what is charged, what it is in the catalog, and its MRR at opening rates."""

    terms: Terms
    entry: Entry
    mrr: int


def explain(
    before: End, after: End, rates: Mapping[str, Fraction], catalog: Catalog, plans: Plans = NO_PLANS
) -> Explanation:
    """Attributes the change between two ends at opening rates.

    The amounts sum to the difference of their MRR exactly.

    `rates` turns minor units of either currency into reporting ones at the opening instant; `plans` are the
    prices inferred to be plans.
    """
    a, b = before.terms, after.terms
    players = _players(before, after, catalog, plans)
    listed = _list_schedules(a, b, rates, catalog) if _splits(before, after, players) else {}
    if len(players) == 1 and not listed:
        ((factor, cause),) = players.items()
        delta = after.mrr - before.mrr
        return Explanation(
            ((cause, delta),) if delta else (), corners_json({"": before.mrr, factor: after.mrr})
        )
    schedules = _schedules(a, b, rates)
    shares, values = None, {}
    if listed:
        split = {factor: cause for factor, cause in players.items() if factor != SCHEDULE} | {
            TIER: "tier",
            INTERVAL: "interval",
        }
        values = _values(before, after, split, schedules | listed, catalog)
        shares = shapley("".join(sorted(split)), values)
        players = players if shares is None else split
    if shares is None:
        values = _values(before, after, players, schedules, catalog)
        shares = shapley("".join(sorted(players)), values)
    if shares is None:
        # A quantity above the last tier of the other end's price can spoil only one of the two orders, never
        # both.
        raise AssertionError(f"no path from {a.price} to {b.price}")
    ordered = sorted(players, key=lambda factor: CAUSES.index(players[factor]))
    amounts = settle([shares[factor] for factor in ordered])
    causes = tuple(
        (players[factor], amount) for factor, amount in zip(ordered, amounts, strict=True) if amount
    )
    return Explanation(causes, corners_json(values))


def lone_factor(before: End, after: End, catalog: Catalog, plans: Plans = NO_PLANS) -> tuple[str, str] | None:
    """The factor that changed and its cause, where only one did.

    It explains the whole difference, whatever the rates. None where several did.
    """
    players = _players(before, after, catalog, plans)
    return None if len(players) != 1 or _splits(before, after, players) else next(iter(players.items()))


def corners_json(values: Mapping[str, int]) -> str:
    """The MRR of states, by the letters of what was switched, as canonical JSON."""
    return "{" + ",".join([f'"{name}":{values[name]}' for name in sorted(values)]) + "}"


def tier_changed(before: End, after: End, catalog: Catalog, plans: Plans = NO_PLANS) -> bool:
    """Whether the plan is another one; never for one price or a declared migration (D-7).

    By rank where both are said; where neither is, by the plans inferred of prices of one product (D-12); else
    by product.
    """
    a, b = before.terms, after.terms
    if a.price == b.price or catalog.is_migration(a.price, b.price):
        return False
    ranks = before.entry.tier_rank, after.entry.tier_rank
    if None not in ranks:
        return ranks[0] != ranks[1]
    step = plans.step(a.price, b.price)
    return a.product != b.product if step is None else step != 0


def volume_cause(before: End, after: End) -> str:
    """Label of a change in quantity between items of one unit.

    Where the two ends differ in kind, the more special one is believed.
    """
    if before.terms.metered or after.terms.metered:
        return "usage"
    return (
        "addon" if "addon" in (before.entry.kind, after.entry.kind) and after.entry.unit != "seat" else "seat"
    )


def shapley(players: str, values: Mapping[str, int]) -> dict[str, Fraction] | None:
    """Mean marginal value of each player over all orders whose every step is defined; None when no order is.

    `players` are letters in order; `values` holds v by the sorted letters of the coalition, undefined
    coalitions left out.
    """
    totals = dict.fromkeys(players, 0)
    used = 0
    for steps in _orders(players):
        if all(coalition in values for _, _, coalition in steps):
            used += 1
            for player, before, after in steps:
                totals[player] += values[after] - values[before]
    return {player: Fraction(total, used) for player, total in totals.items()} if used else None


@cache
def _orders(players: str) -> tuple[tuple[tuple[str, str, str], ...], ...]:
    """Every order of the players as steps (player, coalition before, coalition after).

    At most 4 players, 24 orders.
    """
    orders = []
    for order in permutations(players):
        coalitions = ["".join(sorted(order[:size])) for size in range(len(order) + 1)]
        orders.append(tuple(zip(order, coalitions, coalitions[1:], strict=False)))
    return tuple(orders)


def _players(before: End, after: End, catalog: Catalog, plans: Plans) -> dict[str, str]:
    """Changed factors and their causes.

    A quantity in another unit is not a volume change: it belongs to the schedule.
    """
    a, b = before.terms, after.terms
    comparable = before.entry.unit == after.entry.unit
    more = a.quantity != b.quantity
    players = {}
    if a.discounts != b.discounts:
        players[DISCOUNT] = "discount"
    if more and comparable:
        players[QUANTITY] = volume_cause(before, after)
    if (a.scheme, a.period, a.currency, a.metered) != (b.scheme, b.period, b.currency, b.metered) or (
        more and not comparable
    ):
        tier = tier_changed(before, after, catalog, plans)
        players[SCHEDULE] = "tier" if tier else "price" if not comparable else _schedule_cause(a, b, catalog)
    return players


def _schedule_cause(a: Terms, b: Terms, catalog: Catalog) -> str:
    """Label of a price schedule that changed without the tier."""
    if a.currency != b.currency:
        return "fx"
    licensed = not a.metered and not b.metered
    return (
        "interval"
        if a.period != b.period and licensed and not catalog.is_migration(a.price, b.price)
        else "price"
    )


def _splits(before: End, after: End, players: Mapping[str, str]) -> bool:
    """Whether a tier change is at the same time an interval change that could be separated."""
    a, b = before.terms, after.terms
    both = players.get(SCHEDULE) == "tier" and a.period != b.period
    return (
        both
        and a.currency == b.currency
        and not a.metered
        and not b.metered
        and before.entry.unit == after.entry.unit
    )


def _schedules(a: Terms, b: Terms, rates: Mapping[str, Fraction]) -> dict[tuple[bool, bool], _Schedule]:
    """The two ends by (tier switched, interval switched)."""
    ends = {(False, False): a, (True, True): b}
    return {
        switched: _Schedule(end.scheme, end.period, rates[end.currency] * end.scheme.without_tax, end.metered)
        for switched, end in ends.items()
    }


def _list_schedules(
    a: Terms, b: Terms, rates: Mapping[str, Fraction], catalog: Catalog
) -> dict[tuple[bool, bool], _Schedule]:
    """Old plan at the new interval and new plan at the old one, where the catalog lists a price."""
    found = {}
    for switched, plan, interval in (((False, True), a, b), ((True, False), b, a)):
        listed = catalog.list_price(plan.product, plan.currency, interval.interval, interval.interval_count)
        if listed is not None:
            rate = rates[plan.currency] * plan.scheme.without_tax
            found[switched] = _Schedule(
                schemes.parse_scheme(listed.scheme_json), interval.period, rate, metered=False
            )
    return found


def _values(
    before: End,
    after: End,
    players: Mapping[str, str],
    schedules: Mapping[tuple[bool, bool], _Schedule],
    catalog: Catalog,
) -> dict[str, int]:
    """The value of every coalition that can be priced.

    A hybrid without a list price, or above its schedule's last tier, is undefined.
    """
    a, b = before.terms, after.terms
    folded = QUANTITY not in players
    reductions = _reductions_of(a, b, DISCOUNT in players, schedules, catalog)
    coalitions = _coalitions("".join(sorted(players)))
    values = {coalitions[0]: before.mrr, coalitions[-1]: after.mrr}
    for coalition in coalitions[1:-1]:
        whole = SCHEDULE in coalition
        schedule = schedules.get((whole or TIER in coalition, whole or INTERVAL in coalition))
        if schedule is None:
            continue
        switched = QUANTITY in coalition or (folded and whole)
        try:
            amount = schemes.gross(schedule.scheme, b.quantity if switched else a.quantity)
        except schemes.AboveLastTierError:
            continue
        values[coalition] = round_half_even(
            discounts.apply(amount / schedule.period * schedule.rate, reductions(coalition, schedule))
        )
    return values


def _reductions_of(
    a: Terms, b: Terms, switched: bool, schedules: Mapping[tuple[bool, bool], _Schedule], catalog: Catalog
) -> Callable[[str, _Schedule], tuple[discounts.Reduction, ...]]:
    """How a hybrid's discounts lower it.

    A list that changed keeps its own state's period and currency. A list that did not change is no factor, so
    it follows the schedule it is on; otherwise the change of schedule would leave an amount that no factor
    owns.
    """

    def on(terms: Terms, schedule: _Schedule) -> tuple[discounts.Reduction, ...]:
        return discounts.reductions(
            terms.discounts, schedule.period, schedule.rate, metered=schedule.metered, policy=catalog.policy
        )

    if not switched:
        return lambda _, schedule: on(a, schedule)
    before, after = on(a, schedules[False, False]), on(b, schedules[True, True])
    return lambda coalition, _: after if DISCOUNT in coalition else before


@cache
def _coalitions(players: str) -> tuple[str, ...]:
    return tuple(
        "".join(player for bit, player in enumerate(players) if subset >> bit & 1)
        for subset in range(1 << len(players))
    )
