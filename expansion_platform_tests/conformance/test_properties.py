"""What must hold of any month (semantics 8.2), checked on the plain reference: it is the yardstick, so it is
measured first.
"""

from __future__ import annotations

import copy
import random
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expansion_platform.simulator.truth.reference import CAUSES, COMMERCIAL, ORGANIC, classify_month
from expansion_platform.simulator.truth.reference_causes import settle
from expansion_platform.simulator.truth.reference_items import resolve
from expansion_platform_tests.conformance.books import CATALOG, MonthSnapshot, Row, random_book
from expansion_platform_tests.conformance.examples import catalog, line, off

SEEDS = range(200)


def equal_rates(book: MonthSnapshot) -> MonthSnapshot:
    prev, curr, book_catalog = book
    return (
        prev,
        curr,
        book_catalog | {"fx": {"prev": book_catalog["fx"]["prev"], "curr": book_catalog["fx"]["prev"]}},
    )


def rows_of(book: MonthSnapshot) -> dict[str, Any]:
    return classify_month(*book)["customers"]


def continuing(book: MonthSnapshot) -> dict[str, Any]:
    return {customer: row for customer, row in rows_of(book).items() if row["movement"] == "continuing"}


def test_identities_of_a_customer_row() -> None:
    """Properties 1-6."""
    for seed in SEEDS:
        for customer, row in rows_of(random_book(seed)).items():
            where = f"random_book({seed}) {customer}"
            flows, causes = row["flows"], row["causes"]
            organic, commercial = (
                sum(causes[cause] for cause in ORGANIC),
                sum(causes[cause] for cause in COMMERCIAL),
            )
            assert row["opening"] + sum(flows.values()) == row["closing"], where
            assert sum(causes.values()) == (row["delta"] if row["movement"] == "continuing" else 0), where
            assert sum(row["expansion_by_type"].values()) == flows["expansion"], where
            assert sum(row["contraction_by_type"].values()) == -flows["contraction"], where
            for cause in ORGANIC:
                assert 0 <= row["expansion_by_type"][cause] <= row["expansion_gross_by_type"][cause], where
                assert 0 <= row["contraction_by_type"][cause] <= row["contraction_gross_by_type"][cause], (
                    where
                )
            assert row["expansion_gross"] - row["contraction_gross"] == organic, where
            assert flows["expansion"] <= max(0, organic), where
            assert flows["expansion"] <= max(0, organic + commercial), where
            assert not (flows["expansion"] and flows["contraction"]), where
            for cause in COMMERCIAL:
                assert flows[cause] == causes[cause] or causes[cause] < flows[cause] <= 0, where


def test_totals_and_segments_are_sums() -> None:
    for seed in SEEDS:
        result = classify_month(*random_book(seed))
        for key in ("opening", "closing", "delta", "dormant", "expansion_gross"):
            assert result["total"][key] == sum(row[key] for row in result["customers"].values())
            assert result["total"][key] == sum(sums[key] for sums in result["segments"].values())


def test_order_of_input_is_irrelevant() -> None:
    for seed in SEEDS:
        prev, curr, book_catalog = random_book(seed)
        shuffled = random.Random(seed)  # noqa: S311
        again = shuffled.sample(prev, len(prev)), shuffled.sample(curr, len(curr)), book_catalog
        assert rows_of(again) == rows_of((prev, curr, book_catalog)), seed


def test_a_row_does_not_depend_on_other_customers() -> None:
    for seed in SEEDS:
        prev, curr, book_catalog = random_book(seed)
        aliases = book_catalog["aliases"]
        for customer, row in rows_of((prev, curr, book_catalog)).items():
            alone = [
                [item for item in side if resolve(item["customer"], aliases) == customer]
                for side in (prev, curr)
            ]
            assert rows_of((alone[0], alone[1], book_catalog)) == {customer: row}, seed


def test_swapping_the_months_negates_every_cause() -> None:
    for seed in SEEDS:
        prev, curr, book_catalog = equal_rates(random_book(seed))
        forward, backward = continuing((prev, curr, book_catalog)), continuing((curr, prev, book_catalog))
        for customer, row in forward.items():
            assert row["causes"] == {
                cause: -amount for cause, amount in backward[customer]["causes"].items()
            }, f"{seed} {customer}"


def test_closing_rates_move_nothing_but_fx() -> None:
    for seed in SEEDS:
        book = random_book(seed)
        before, after = continuing(book), continuing(equal_rates(book))
        for customer in before.keys() & after.keys():
            for part in ("flows", "causes"):
                left = {key: amount for key, amount in before[customer][part].items() if key != "fx"}
                assert left == {
                    key: amount for key, amount in after[customer][part].items() if key != "fx"
                }, f"{seed} {customer}"


def test_an_unchanged_book_moves_nothing() -> None:
    for seed in SEEDS:
        prev, _, book_catalog = equal_rates(random_book(seed))
        for row in rows_of((prev, copy.deepcopy(prev), book_catalog)).values():
            assert not any(row["flows"].values())
            assert not any(row["causes"].values())
            assert row["label"] in ("flat", "none")


@pytest.mark.parametrize(
    ("field", "allowed"),
    [
        ("quantity", {"seat", "usage", "addon"}),
        ("discounts", {"discount"}),
        ("scheme", {"price"}),
        ("customer", set()),
    ],
)
def test_one_changed_field_has_one_kind_of_cause(field: str, allowed: set[str]) -> None:
    """Properties 11-14: nothing else but the field's own cause, and no expansion unless the quantity grew."""
    seen = set()
    for seed in SEEDS:
        prev, _, book_catalog = equal_rates(random_book(seed))
        donors, _, _ = random_book(seed + 1000)
        curr = copy.deepcopy(prev)
        for row, donor in zip(curr, donors, strict=False):
            if (
                field != "customer"
                and not row["scheme"].get("tiers")
                and not (field == "scheme" and donor["scheme"].get("tiers"))
            ):
                row[field] = donor[field]
        for row in continuing((prev, curr, book_catalog)).values():
            found = {cause for cause in CAUSES if row["causes"][cause]}
            assert found <= allowed, f"random_book({seed})"
            assert field == "quantity" or row["flows"]["expansion"] == 0
            seen |= found
    assert seen == allowed


def test_new_item_ids_change_nothing() -> None:
    """Property 16: with at most one item a match group, ids carry no meaning."""
    held = [("basic", 4), ("crm", 1), ("sso", 2)]
    prev = [line(product, quantity, f"si_{product}") for product, quantity in held]
    curr = [line(product, quantity + 3, f"si_{product}") for product, quantity in held]
    renamed = [row | {"item": f"si_new_{row['item']}", "subscription": "sub_new"} for row in curr]
    assert rows_of((prev, renamed, catalog(paid=True))) == rows_of((prev, curr, catalog(paid=True)))


def test_splitting_a_line_changes_nothing() -> None:
    """Property 17, for per-unit prices without rounding: ten seats are six and four."""
    for discounts in ([], off("50")):
        prev = [line("basic", 10, discounts=discounts), line("crm", 1, "si_crm")]
        for whole in (10, 15, 4):
            curr = [line("basic", whole, discounts=discounts), line("crm", 1, "si_crm")]
            split = [
                line("basic", whole - 3, discounts=discounts),
                line("basic", 3, "si_9", discounts=discounts),
                line("crm", 1, "si_crm"),
            ]
            assert rows_of((prev, split, catalog(paid=True))) == rows_of((prev, curr, catalog(paid=True)))


def test_plan_and_interval_grid() -> None:
    """Property 21: with list prices both paths through the grid are averaged, and the way back is the
    negative.
    """
    for old, new in (("basic", "pro"), ("pro", "ent"), ("ent", "basic")):
        a, b = line(old, 7), line(new, 7, interval="year")
        there, back = (rows_of((one, two, catalog(paid=True)))["c"] for one, two in (([a], [b]), ([b], [a])))
        corners = {
            key: rows_of(([], [item], catalog()))["c"]["closing"] for key, item in _grid(old, new).items()
        }
        tier = Fraction(corners["T"] - corners[""] + corners["TI"] - corners["I"], 2)
        assert abs(there["causes"]["tier"] - tier) < 1
        assert there["causes"] == {cause: -amount for cause, amount in back["causes"].items()}


def _grid(old: str, new: str) -> dict[str, Row]:
    return {
        "": line(old, 7),
        "T": line(new, 7),
        "I": line(old, 7, interval="year"),
        "TI": line(new, 7, interval="year"),
    }


def test_two_factors_have_the_closed_form() -> None:
    """Property 15: seat = dq (p0 + p1) / 2, tier = dp (q0 + q1) / 2, within half a cent."""
    for q0, q1, p0, p1 in ((3, 8, 999, 1777), (10, 3, 2001, 5), (1, 2, 1, 2)):
        row = rows_of(
            ([line("basic", q0, unit=str(p0))], [line("pro", q1, unit=str(p1))], catalog(paid=True))
        )["c"]
        assert abs(row["causes"]["seat"] - Fraction((q1 - q0) * (p0 + p1), 2)) <= Fraction(1, 2)
        assert abs(row["causes"]["tier"] - Fraction((p1 - p0) * (q0 + q1), 2)) <= Fraction(1, 2)
        assert row["causes"]["seat"] + row["causes"]["tier"] == row["delta"]


@given(st.lists(st.fractions(-1000, 1000, max_denominator=24), min_size=1, max_size=8))
def test_settle(parts: list[Fraction]) -> None:
    """Property 19: exact sum, every part within one, sign kept, antisymmetric."""
    parts.append(round(sum(parts)) - sum(parts))
    shares = dict(zip(CAUSES, parts, strict=False))
    settled = settle(shares)
    assert sum(settled.values()) == sum(parts)
    assert all(
        abs(settled[cause] - share) < 1 and settled[cause] * share >= 0 for cause, share in shares.items()
    )
    assert settle({cause: -share for cause, share in shares.items()}) == {
        cause: -amount for cause, amount in settled.items()
    }


def test_the_books_cover_every_kind() -> None:
    """The comparison is only as good as its books: all kinds, intervals, movements and causes must occur."""
    assert {entry.get("kind", "silent") for entry in CATALOG.values()} == {"base", "addon", "usage", "silent"}
    assert {row["interval"] for seed in range(30) for row in random_book(seed)[0]} == {
        "day",
        "week",
        "month",
        "year",
    }
    totals = dict.fromkeys(CAUSES, 0)
    movements = set()
    for seed in range(400):
        for row in rows_of(random_book(seed)).values():
            movements.add((row["movement"], row["dormant"]))
            for cause in CAUSES:
                totals[cause] += row["causes"][cause] != 0
    assert movements == {
        ("new", 0),
        ("reactivation", 0),
        ("reactivation", 1),
        ("churn", 0),
        ("churn", 1),
        ("continuing", 0),
        ("none", 0),
    }
    assert min(totals.values()) >= 5, totals
