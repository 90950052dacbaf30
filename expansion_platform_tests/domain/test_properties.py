"""What must hold of any month (semantics 8.2), of the rules themselves; numbers in the names are the document's.

Books of 120 random customers with all schemes, intervals, currencies, statuses and discounts go through in one call, so each test sees many.
"""

from __future__ import annotations

import random
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.conformance import classify_month
from expansion_platform.domain.schemas.mrr import CAUSES, ORGANIC, SEGMENTS
from expansion_platform_tests.conformance.books import random_book
from expansion_platform_tests.domain.books import amount, catalog, item, percent

COMMERCIAL = ("price", "discount", "interval")
SEEDS = pytest.mark.parametrize("seed", range(900, 903))
quantities = st.integers(0, 200).map(str)
units = st.one_of(st.integers(0, 30_000).map(str), st.decimals(0, 3000, places=4, allow_nan=False).map(str))
discounts = st.lists(st.one_of(st.integers(0, 99).map(str).map(percent), st.integers(0, 900).map(str).map(amount)), max_size=2)
quickly = settings(max_examples=4, deadline=None)


@cache
def book(seed):
    prev, curr, made = random_book(seed, customers=120)
    return prev, curr, made


def rows(prev, curr, made):
    return classify_month(prev, curr, made)["customers"]


def equal_rates(made, everybody_paid=()):
    rates = made["fx"]["prev"] | {code: rate for code, rate in made["fx"]["curr"].items() if code not in made["fx"]["prev"]}
    return made | {"fx": {"prev": rates, "curr": rates}, "ever_paid": [*made["ever_paid"], *everybody_paid]}


def many(*strategies):
    """Many cases in one example: they become customers of one book, which costs as much as one."""
    return given(st.lists(st.tuples(*strategies), min_size=20, max_size=40))


def moved(changes, **more):
    """Rows of customers with one (before, after) change each, items or lists of items, who pay at both ends because of an item that stays."""
    sides = [[], []]
    for number, change in enumerate(changes):
        for side, held in zip(sides, change, strict=True):
            held = [item("keep", "crm", "9900", "1"), *(held if isinstance(held, list) else [held])]
            side += [one | {"customer": f"c{number}", "item": f"{one['item']}_{number}"} for one in held]
    found = classify_month(*sides, catalog(**more))["customers"]
    return [found[f"c{number}"] for number in range(len(changes))]


@SEEDS
def test_1_to_6_identities(seed):
    result = classify_month(*book(seed))
    continuing = 0
    for row in result["customers"].values():
        flows, causes = row["flows"], row["causes"]
        continuing += row["movement"] == "continuing"
        gain, commercial = sum(causes[name] for name in ORGANIC), sum(causes[name] for name in COMMERCIAL)
        assert sum(flows.values()) == row["delta"] == row["closing"] - row["opening"]
        assert sum(causes.values()) == (row["delta"] if row["movement"] == "continuing" else 0)
        for view, flow in (("expansion", flows["expansion"]), ("contraction", -flows["contraction"])):
            assert sum(row[f"{view}_by_type"].values()) == flow >= 0
            assert all(0 <= row[f"{view}_by_type"][name] <= row[f"{view}_gross_by_type"][name] for name in ORGANIC)
            assert sum(row[f"{view}_gross_by_type"].values()) == row[f"{view}_gross"]
        assert row["expansion_gross"] - row["contraction_gross"] == gain
        assert flows["expansion"] <= max(0, gain)
        assert flows["expansion"] <= max(0, gain + commercial)
        assert not (flows["expansion"] and flows["contraction"])
        for name in COMMERCIAL:
            assert causes[name] <= flows[name] <= 0 or flows[name] == causes[name]
    assert continuing > 20
    for key in ("opening", "closing", "opening_arr", "dormant", "expansion_unadjusted"):
        assert result["total"][key] == sum(row[key] for row in result["customers"].values())
    for name in SEGMENTS:
        members = [row for row in result["customers"].values() if row["segment"] == name]
        assert result["segments"][name]["flows"] == {flow: sum(row["flows"][flow] for row in members) for flow in result["total"]["flows"]}


@SEEDS
def test_7_input_order_is_irrelevant(seed):
    prev, curr, made = book(seed)
    order = random.Random(seed)  # noqa: S311
    assert rows(order.sample(prev, len(prev)), order.sample(curr, len(curr)), made) == rows(prev, curr, made)


def test_8_a_row_does_not_depend_on_other_customers():
    prev, curr, made = book(900)
    merged = made["aliases"]
    for customer, row in list(rows(prev, curr, made).items())[:10]:
        sides = [[one for one in side if merged.get(one["customer"], one["customer"]) == customer] for side in (prev, curr)]
        assert rows(*sides, made) == {customer: row}


@SEEDS
def test_9_swapping_the_months_negates_causes(seed):
    prev, curr, made = book(seed)
    made = equal_rates(made)
    forward, backward = rows(prev, curr, made), rows(curr, prev, made)
    assert {name: row["causes"] for name, row in forward.items()} == {
        name: {cause: -cents for cause, cents in row["causes"].items()} for name, row in backward.items()
    }


@SEEDS
def test_10_closing_rates_change_nothing_but_fx(seed):
    prev, curr, made = book(seed)
    other_fx = made["fx"] | {"curr": dict.fromkeys(made["fx"]["curr"], "1.7")}
    one, other = rows(prev, curr, made), rows(prev, curr, made | {"fx": other_fx})
    both = [name for name in one if one[name]["movement"] == other[name]["movement"] == "continuing"]
    assert any(one[name]["closing"] != other[name]["closing"] for name in both)
    for name in both:
        for part in ("flows", "causes"):
            assert one[name][part] | {"fx": 0} == other[name][part] | {"fx": 0}


@SEEDS
def test_11_identical_books_do_not_move(seed):
    prev, _, made = book(seed)
    for row in rows(prev, prev, equal_rates(made)).values():
        assert not any([*row["flows"].values(), *row["causes"].values(), row["expansion_gross"], row["delta"]])


@quickly
@many(quantities, quantities, units, discounts, st.sampled_from([("basic", "seat"), ("sso", "addon"), ("api", "usage")]))
def test_12_only_quantity(cases):
    changes = []
    for before, after, unit, terms, (product, _) in cases:
        metered = {"usage_type": "metered"} if product == "api" else {}
        changes.append([item("i1", product, unit, count, discounts=terms, **metered) for count in (before, after)])
    for row, (*_, (_, cause)) in zip(moved(changes), cases, strict=True):
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | {cause: row["delta"]}


@quickly
@many(quantities, units, discounts, discounts)
def test_13_only_discounts(cases):
    for row in moved([[item("i1", "basic", unit, count, discounts=terms) for terms in both] for count, unit, *both in cases]):
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | {"discount": row["delta"]}
        assert row["flows"]["expansion"] == 0


@quickly
@many(quantities, discounts, units, units)
def test_14_a_price_of_the_same_product_is_never_expansion(cases):
    changes = [[item("i1", "basic", unit, count, discounts=terms, price=f"basic_{unit}") for unit in both] for count, terms, *both in cases]
    for row in moved(changes):
        assert row["causes"] == dict.fromkeys(CAUSES, 0) | {"price": row["delta"]}
        assert row["flows"]["expansion"] == row["flows"]["contraction"] == 0


@quickly
@many(st.integers(0, 200), st.integers(0, 200), st.integers(1, 30_000), st.integers(1, 30_000))
def test_15_two_factors_have_a_closed_form(cases):
    found = moved([(item("i1", "basic", str(p0), str(q0)), item("i1", "pro", str(p1), str(q1))) for q0, q1, p0, p1 in cases])
    for row, (q0, q1, p0, p1) in zip(found, cases, strict=True):
        assert abs(row["causes"]["seat"] - Fraction((q1 - q0) * (p0 + p1), 2)) <= Fraction(1, 2)
        assert row["causes"]["seat"] + row["causes"]["tier"] == row["delta"]


@quickly
@many(quantities, quantities, units, units)
def test_16_item_ids_do_not_matter(cases):
    changes = [(item("i1", "basic", p0, q0), item("i1", "pro", p1, q1)) for q0, q1, p0, p1 in cases]
    assert moved([(before, after | {"item": "renamed"}) for before, after in changes]) == moved(changes)


@quickly
@many(st.integers(1, 50), st.integers(1, 50), st.integers(0, 49), st.integers(0, 5000).map(str))
def test_17_splitting_a_line_changes_nothing(cases):
    whole, split = [], []
    for q0, q1, apart, unit in cases:
        before = item("i1", "basic", unit, str(q0))
        whole.append((before, item("i1", "basic", unit, str(q1))))
        split.append((before, [item("i1", "basic", unit, str(max(0, q1 - apart))), item("i2", "basic", unit, str(min(q1, apart)))]))
    assert moved(split) == moved(whole)


@quickly
@many(st.integers(0, 50), st.integers(0, 50), st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 100).map(str))
def test_18_scaling_amounts_scales_causes_up_to_settlement(cases):
    def changes(scale):
        for q0, q1, p0, p1, off in cases:
            yield item("i1", "basic", str(p0 * scale), str(q0)), item("i1", "pro", str(p1 * scale), str(q1), discounts=[percent(off)])

    for small, large in zip(moved(list(changes(1))), moved(list(changes(1000))), strict=True):
        assert all(abs(small["causes"][name] * 1000 - large["causes"][name]) <= 2000 for name in CAUSES)
