"""What must hold of any month: the properties of semantics 8.2, one test each, its number in the name.

Most look at random books of 40 customers that mix all schemes, intervals, currencies, statuses, discounts,
list prices and policies; Hypothesis draws the book's seed, so a failure names the book. Where a property
speaks of one kind of change, the cases become customers of one book, which costs as much as one. Each runs on
a few examples, and on many under `slow`. Property 22, the worked examples, is `test_examples.py`.
"""

from __future__ import annotations

import copy
import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.money import settle
from expansion_platform.domain.mrr.conformance import classify_month
from expansion_platform.domain.mrr.valuation import value_states
from expansion_platform.domain.mrr.vocabulary import CAUSES, FLOWS, ORGANIC, SEGMENTS
from expansion_platform_tests.conformance.books import fit, random_book
from expansion_platform_tests.domain.books import catalog, item, per_unit, percent
from expansion_platform_tests.domain.frames import states

COMMERCIAL = ("price", "discount", "interval")
BY_TYPE = ("expansion_by_type", "contraction_by_type", "expansion_gross_by_type", "contraction_gross_by_type")
PLAIN = (
    "opening",
    "closing",
    "delta",
    "opening_arr",
    "closing_arr",
    "dormant",
    "expansion_gross",
    "contraction_gross",
    "expansion_unadjusted",
)

seeds = st.integers(0, 10**6)
counts = st.integers(0, 200)
cents = st.integers(0, 30_000)


def holds(*strategies, few=4, many=60):
    """The test of a property on a few examples, and under `slow` on many."""

    def made(check):
        def test(examples):
            settings(max_examples=examples, deadline=None)(given(*strategies)(check))()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return pytest.mark.parametrize("examples", [few, pytest.param(many, marks=pytest.mark.slow)])(test)

    return made


def cases(*strategies):
    """Many cases in one example."""
    return st.lists(st.tuples(*strategies), min_size=20, max_size=40)


@cache
def book(seed):
    return random_book(seed, customers=40)


def equal_rates(seed):
    prev, curr, made = book(seed)
    return prev, curr, made | {"fx": {"prev": made["fx"]["prev"], "curr": made["fx"]["prev"]}}


def rows(prev, curr, made):
    return classify_month(prev, curr, made)["customers"]


def continuing(prev, curr, made):
    return {
        customer: row for customer, row in rows(prev, curr, made).items() if row["movement"] == "continuing"
    }


def owner(row, made):
    """The customer after aliases, which may be chained."""
    customer = row["customer"]
    while customer in made["aliases"]:
        customer = made["aliases"][customer]
    return customer


def entry(row, read):
    return read.entry(row["price"], row["product"], row.get("usage_type", "licensed"))


def simple(prev, curr, made):
    """The items of customers with at most one item a match group and side, no item of which moved to another
    group.
    """
    read = Catalog.from_dict(made)
    group, taken, crowded = {}, set(), set()
    for number, side in enumerate((prev, curr)):
        for row in side:
            place = (number, owner(row, made), entry(row, read).group)
            if place in taken or group.setdefault(row["item"], place[2]) != place[2]:
                crowded.add(place[1])
            taken.add(place)
    return tuple([row for row in side if owner(row, made) not in crowded] for side in (prev, curr))


def moved(changes, **more):
    """Rows of customers with one (before, after) change each, items or lists of items, who pay at both ends
    because of an item that stays.
    """
    sides = [[], []]
    for number, change in enumerate(changes):
        for side, held in zip(sides, change, strict=True):
            held = [item("keep", "crm", "9900", "1"), *(held if isinstance(held, list) else [held])]
            side += [one | {"customer": f"c{number}", "item": f"{one['item']}_{number}"} for one in held]
    found = classify_month(*sides, catalog(**more))["customers"]
    return [found[f"c{number}"] for number in range(len(changes))]


@holds(seeds)
def test_1_flows_sum_to_the_change_and_customers_to_totals(seed):
    result = classify_month(*book(seed))
    for row in result["customers"].values():
        assert sum(row["flows"].values()) == row["delta"] == row["closing"] - row["opening"]
    everybody = list(result["customers"].values())
    parts_of = [(result["total"], everybody)]
    parts_of += [
        (result["segments"][name], [row for row in everybody if row["segment"] == name]) for name in SEGMENTS
    ]
    for sums, members in parts_of:
        assert {name: sums[name] for name in PLAIN} == {
            name: sum(row[name] for row in members) for name in PLAIN
        }
        for name, parts in (("flows", FLOWS), ("causes", CAUSES), *((name, ORGANIC) for name in BY_TYPE)):
            assert sums[name] == {part: sum(row[name][part] for row in members) for part in parts}


@holds(seeds)
def test_2_causes_sum_to_the_change_of_who_stays(seed):
    found = rows(*book(seed))
    assert any(row["delta"] for row in found.values() if row["movement"] == "continuing")
    for row in found.values():
        if row["movement"] == "continuing":
            assert sum(row["causes"].values()) == row["delta"]
        else:
            assert not any(row["causes"].values())


@holds(seeds)
def test_3_types_sum_to_the_headline_and_stay_within_gross(seed):
    for row in rows(*book(seed)).values():
        for view, flow in (
            ("expansion", row["flows"]["expansion"]),
            ("contraction", -row["flows"]["contraction"]),
        ):
            assert sum(row[f"{view}_by_type"].values()) == flow >= 0
            assert all(
                0 <= row[f"{view}_by_type"][name] <= row[f"{view}_gross_by_type"][name] for name in ORGANIC
            )
            assert sum(row[f"{view}_gross_by_type"].values()) == row[f"{view}_gross"]


@holds(seeds)
def test_4_gross_expansion_less_gross_contraction_is_the_organic_sum(seed):
    for row in rows(*book(seed)).values():
        assert row["expansion_gross"] - row["contraction_gross"] == sum(
            row["causes"][name] for name in ORGANIC
        )


@holds(seeds)
def test_5_expansion_is_never_more_than_grown_or_paid_nor_beside_contraction(seed):
    for row in continuing(*book(seed)).values():
        flows, causes = row["flows"], row["causes"]
        organic = sum(causes[name] for name in ORGANIC)
        assert flows["expansion"] <= max(0, organic)
        assert flows["expansion"] <= max(0, row["delta"] - causes["fx"])
        assert flows["contraction"] == min(0, organic)
        assert not (flows["expansion"] and flows["contraction"])


@holds(seeds)
def test_6_concessions_only_shrink_negative_commercial_flows(seed):
    for row in continuing(*book(seed)).values():
        for name in COMMERCIAL:
            cause, flow = row["causes"][name], row["flows"][name]
            assert flow == cause or cause < flow <= 0
            assert flow == cause or sum(row["causes"][part] for part in ORGANIC) > 0


@holds(seeds, st.randoms(use_true_random=False))
def test_7_input_order_is_irrelevant(seed, order):
    prev, curr, made = book(seed)
    assert rows(order.sample(prev, len(prev)), order.sample(curr, len(curr)), made) == rows(prev, curr, made)


@holds(seeds, st.integers(0, 39))
def test_8_a_row_does_not_depend_on_other_customers(seed, number):
    prev, curr, made = book(seed)
    found = rows(prev, curr, made)
    chosen = sorted(found)[number % len(found)]
    for mine in (True, False):
        sides = [[row for row in side if (owner(row, made) == chosen) == mine] for side in (prev, curr)]
        assert rows(*sides, made) == {
            customer: row for customer, row in found.items() if (customer == chosen) == mine
        }


@holds(seeds)
def test_9_swapping_the_months_negates_causes(seed):
    prev, curr, made = equal_rates(seed)
    forward, backward = rows(prev, curr, made), rows(curr, prev, made)
    for customer, row in forward.items():
        assert row["causes"] == {cause: -amount for cause, amount in backward[customer]["causes"].items()}


@holds(seeds)
def test_10_closing_rates_change_nothing_but_fx(seed):
    prev, curr, made = book(seed)
    other_fx = made["fx"] | {"curr": dict.fromkeys(made["fx"]["curr"], "1.7")}
    one, other = continuing(prev, curr, made), continuing(prev, curr, made | {"fx": other_fx})
    both = one.keys() & other.keys()
    assert any(one[customer]["closing"] != other[customer]["closing"] for customer in both)
    for customer in both:
        for part in ("flows", "causes"):
            assert one[customer][part] | {"fx": 0} == other[customer][part] | {"fx": 0}
        for part in ("expansion_gross", "contraction_gross", *BY_TYPE):
            assert one[customer][part] == other[customer][part]


@holds(seeds)
def test_11_identical_books_do_not_move(seed):
    prev, _, made = equal_rates(seed)
    for row in rows(prev, prev, made).values():
        assert not any(
            [
                *row["flows"].values(),
                *row["causes"].values(),
                row["expansion_gross"],
                row["contraction_gross"],
                row["delta"],
            ]
        )
        assert row["label"] == ("flat" if row["opening"] else "none")


def redrawn(prev, seed, field):
    """The same items with one field as in another book, as far as the quantity can still be priced."""
    donors = random.Random(seed).choices(book(seed + 1)[0], k=len(prev))  # noqa: S311
    curr = [
        copy.deepcopy(row) | {field: copy.deepcopy(donor[field])}
        for row, donor in zip(prev, donors, strict=True)
    ]
    if field == "quantity":
        return [fit(row) for row in curr]
    return [
        row if fit(dict(row))["quantity"] == row["quantity"] else old
        for row, old in zip(curr, prev, strict=True)
    ]


@holds(seeds)
def test_12_only_quantities_changed(seed):
    """Every item's difference goes to the one volume cause of its kind."""
    prev, _, made = equal_rates(seed)
    curr = redrawn(prev, seed, "quantity")
    read = Catalog.from_dict(made)
    mrr = [
        value_states(states(side), made["fx"]["prev"], read.policy, read.reporting_currency)[
            "mrr_minor"
        ].tolist()
        for side in (prev, curr)
    ]
    expected = {}
    for row, before, after in zip(prev, *mrr, strict=True):
        said = entry(row, read)
        cause = (
            "usage"
            if row.get("usage_type") == "metered"
            else "addon"
            if said.kind == "addon" and said.unit != "seat"
            else "seat"
        )
        expected.setdefault(owner(row, made), Counter())[cause] += after - before
    found = continuing(prev, curr, made)
    assert any(row["delta"] for row in found.values())
    for customer, row in found.items():
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | expected[customer]


@holds(seeds)
def test_13_only_discounts_changed(seed):
    prev, _, made = equal_rates(seed)
    found = continuing(prev, redrawn(prev, seed, "discounts"), made)
    assert any(row["delta"] for row in found.values())
    for row in found.values():
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | {"discount": row["delta"]}
        assert row["flows"]["expansion"] == row["flows"]["contraction"] == 0


@holds(seeds, st.booleans())
def test_14_a_price_of_the_same_product_is_never_expansion(seed, renamed):
    prev, _, made = equal_rates(seed)
    made = made | {
        "products": {
            name: said
            for name, said in made["products"].items()
            if not any(row["price"] == name for row in prev)
        }
    }
    curr = redrawn(prev, seed, "scheme")
    if renamed:
        curr = [row | {"price": f"{row['price']}_new"} for row in curr]
    found = continuing(prev, curr, made)
    assert any(row["delta"] > 0 for row in found.values())
    for row in found.values():
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | {"price": row["delta"]}
        assert row["flows"]["expansion"] == row["flows"]["contraction"] == 0


@holds(
    cases(
        counts,
        counts,
        cents,
        cents,
        st.sampled_from([("pro", "tier"), ("basic", "price")]),
        st.sampled_from([("month", 1), ("year", 12)]),
    )
)
def test_15_two_factors_have_a_closed_form(drawn):
    changes = []
    for q0, q1, p0, p1, (product, _), (interval, length) in drawn:
        before = item("i1", "basic", str(p0 * length), str(q0), interval=interval)
        changes.append(
            (
                before,
                item(
                    "i1",
                    product,
                    str(p1 * length),
                    str(q1),
                    interval=interval,
                    price=f"{product}_{interval}_new",
                ),
            )
        )
    for row, (q0, q1, p0, p1, (_, schedule), _) in zip(moved(changes), drawn, strict=True):
        assert abs(row["causes"]["seat"] - Fraction((q1 - q0) * (p0 + p1), 2)) <= Fraction(1, 2)
        assert abs(row["causes"][schedule] - Fraction((p1 - p0) * (q0 + q1), 2)) <= Fraction(1, 2)
        assert row["causes"]["seat"] + row["causes"][schedule] == row["delta"]


@holds(seeds)
def test_16_item_ids_do_not_matter(seed):
    _, _, made = book(seed)
    prev, curr = simple(*book(seed))
    renamed = [
        row | {"item": f"new_{len(curr) - number}", "subscription": "sub_new"}
        for number, row in enumerate(curr)
    ]
    assert any(row["delta"] for row in continuing(prev, curr, made).values())
    assert rows(prev, renamed, made) == rows(prev, curr, made)


KINDS = st.sampled_from(
    [
        ("basic", {}),
        ("crm", {}),
        ("sso", {}),
        ("api", {"usage_type": "metered"}),
        ("basic", {"interval": "year"}),
    ]
)


@holds(
    cases(
        counts,
        counts,
        st.integers(0, 9),
        st.integers(0, 50),
        st.integers(0, 50),
        KINDS,
        st.sampled_from(["usd", "eur"]),
        st.sampled_from([0, 20]),
    )
)
def test_17_splitting_a_line_changes_nothing(drawn):
    """Amounts are such that no part is rounded: 12 x 100 cents a unit, whole percents, two dollars for a
    euro.
    """
    whole, split = [], []
    for q0, q1, unit, apart0, apart1, (product, more), currency, off in drawn:
        line = {"currency": currency, "discounts": [percent(str(off))], **more}
        sides = [(q0, min(q0, apart0)), (q1, min(q1, apart1))]
        whole.append([item("i1", product, str(unit * 1200), str(quantity), **line) for quantity, _ in sides])
        split.append(
            [
                [
                    item("i1", product, str(unit * 1200), str(quantity - apart), **line),
                    item("i2", product, str(unit * 1200), str(apart), **line),
                ]
                for quantity, apart in sides
            ]
        )
    rates = {"fx": {"prev": {"eur": "2"}, "curr": {"eur": "2"}}}
    assert moved(split, **rates) == moved(whole, **rates)


def scaled(items, by):
    def times(amount):
        return format(Decimal(amount) * by, "f")

    found = copy.deepcopy(items)
    for row in found:
        for part in [row["scheme"], *row["scheme"].get("tiers", [])]:
            part |= {
                name: times(part[name]) for name in ("unit", "flat", "minimum") if part.get(name) is not None
            }
        for discount in row.get("discounts", []):
            discount["value"] = (
                times(discount["value"]) if discount["type"] == "amount" else discount["value"]
            )
    return found


@holds(seeds)
def test_18_scaling_amounts_scales_causes_up_to_settlement(seed):
    """Each cause of a pair is a mean of differences of two rounded amounts, settled to less than a cent:
    within 2 of exact on either scale.
    """
    _, _, made = book(seed)
    prev, curr = simple(*book(seed))
    small = continuing(prev, curr, made)
    large = continuing(
        scaled(prev, 1000), scaled(curr, 1000), made | {"list_prices": scaled(made["list_prices"], 1000)}
    )
    pairs = Counter(owner(row, made) for row in [*prev, *curr])
    both = small.keys() & large.keys()
    assume(any(small[customer]["delta"] for customer in both))
    for customer in both:
        for name in CAUSES:
            assert (
                abs(small[customer]["causes"][name] * 1000 - large[customer]["causes"][name])
                <= 2 * 1001 * pairs[customer]
            )


@holds(st.lists(st.fractions(-1000, 1000, max_denominator=24), min_size=1, max_size=8), few=100, many=2000)
def test_19_settling(parts):
    parts = [*parts, round(sum(parts)) - sum(parts)]
    settled = settle(parts)
    assert sum(settled) == sum(parts)
    assert all(abs(whole - part) < 1 for whole, part in zip(settled, parts, strict=True))
    assert all(whole * part >= 0 for whole, part in zip(settled, parts, strict=True))
    assert settle([-part for part in parts]) == [-whole for whole in settled]


@holds(seeds)
def test_20_a_month_opens_where_the_one_before_closed(seed):
    """Three month ends; who paid in the first month and returns in the second is reactivated, never new."""
    prev, curr, made = book(seed)
    first = rows(prev, curr, made)
    paid = [customer for customer, row in first.items() if row["opening"] or row["closing"]]
    following = made | {
        "fx": {"prev": made["fx"]["curr"], "curr": made["fx"]["prev"]},
        "ever_paid": [*made["ever_paid"], *paid],
    }
    second = rows(curr, prev, following)
    for customer in first.keys() | second.keys():
        assert second[customer]["opening"] == first[customer]["closing"]
        assert second[customer]["opening_arr"] == first[customer]["closing_arr"]
        assert not (customer in paid and second[customer]["movement"] == "new")


intervals = st.lists(
    st.sampled_from([("month", 1), ("month", 3), ("year", 1), ("week", 2), ("day", 30)]),
    min_size=2,
    max_size=2,
    unique=True,
)
grid_units = st.lists(st.integers(100, 99_999), min_size=4, max_size=4)


@holds(
    cases(
        st.integers(1, 99),
        grid_units,
        intervals,
        st.sampled_from(["usd", "eur", "jpy", "kwd"]),
        st.sampled_from([0, 15]),
    )
)
def test_21_plan_and_interval_grid(drawn):
    """With list prices for all four corners, each cause is the mean of both ways round the grid, and the way
    back is its negative.
    """
    corners, listed, products = [], [], {}
    for number, (quantity, units, terms, currency, off) in enumerate(drawn):
        plans = [f"plan_{number}_{rank}" for rank in (0, 1)]
        products |= {
            plan: {"family": f"family_{number}", "tier_rank": rank} for rank, plan in enumerate(plans)
        }
        # Old, tier switched, interval switched, both.
        grid = [(plan, interval) for interval in terms for plan in plans]
        held = []
        for (plan, (interval, count)), unit in zip(grid, units, strict=True):
            price = {
                "price": f"{plan}_{interval}_{count}",
                "currency": currency,
                "interval": interval,
                "interval_count": count,
            }
            listed.append(price | {"product": plan, "scheme": per_unit(str(unit))})
            held.append(
                item(f"i{number}", plan, str(unit), str(quantity), discounts=[percent(str(off))], **price)
            )
        corners.append([row | {"customer": f"c{number}"} for row in held])
    rates = {"eur": "1.1", "jpy": "0.0067", "kwd": "3.25"}
    made = catalog(products=products, list_prices=listed, fx={"prev": rates, "curr": rates})
    value = [rows([], [held[corner] for held in corners], made) for corner in range(4)]
    there, back = (
        rows([held[a] for held in corners], [held[b] for held in corners], made) for a, b in ((0, 3), (3, 0))
    )
    for customer, row in there.items():
        old, tier, interval, both = (side[customer]["closing"] for side in value)
        causes = row["causes"]
        assert abs(causes["tier"] - Fraction(tier - old + both - interval, 2)) < 1
        assert abs(causes["interval"] - Fraction(interval - old + both - tier, 2)) < 1
        assert causes["tier"] + causes["interval"] == row["delta"] == both - old
        assert causes == {cause: -amount for cause, amount in back[customer]["causes"].items()}
