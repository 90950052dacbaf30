"""Sentences of hand-made months: each only when its threshold holds, at its very edge, and with the numbers
it names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.metrics.diagnosed_months import stopped_growing
from expansion_platform.domain.metrics.diagnosis import _RULES, Accounts, Figures, diagnosis, looked_at
from expansion_platform.domain.metrics.tables import Diagnosis
from expansion_platform.domain.metrics.tables.diagnosis import KINDS

MONTH = "2026-10"
WINDOW = ["2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
NO_MIGRATIONS = pd.DataFrame(
    columns=["old_price", "new_price", "status", "customers_moved", "customers_on_old", "amount_as_tier"]
)


def told(
    expanded: Mapping[str, Mapping[str, int]] | None = None,
    *,
    opening: int = 1_000_00,
    retention: Mapping[str, str] | None = None,
    trailing: Mapping[str, str] | None = None,
    mix: Mapping[str, str] | None = None,
    grr_before: list[str] | None = None,
    surged: tuple[str, ...] = (),
    paying: frozenset[str] | None = None,
    migrations: pd.DataFrame = NO_MIGRATIONS,
    known: frozenset[str] = frozenset(WINDOW),
) -> dict[str, tuple[str, Any]]:
    """The month's sentences but the headline: kind -> text and numbers. `expanded` is month -> customer ->
    expansion.
    """
    by_month = {MONTH: {f"cus_{letter}": 10_00 for letter in "abcdefgh"}} if expanded is None else expanded
    rows = [
        {
            "month": month,
            "customer": who,
            "flow_expansion": amount,
            "flags_json": '["seat_surge"]' if who in surged and month == MONTH else "[]",
        }
        for month, customers in by_month.items()
        for who, amount in customers.items()
    ]
    here = by_month.get(MONTH, {})
    figures = Figures(
        month=MONTH,
        currency="usd",
        flows={"opening": opening, "expansion": sum(here.values())},
        expanders=len(here),
        members=100,
        retention=_fractions(retention or {"nrr": "1.08", "grr": "1"}),
        trailing=_fractions(trailing or {}),
        mix=_fractions(mix or {}),
        grr_before={f"2026-0{number + 4}": Fraction(text) for number, text in enumerate(grr_before or [])},
    )
    frame = pd.DataFrame(rows, columns=["month", "customer", "flow_expansion", "flags_json"])
    closing = pd.DataFrame({"month": MONTH, "customer": sorted(set(frame["customer"])), "closing": 1})
    closing["closing"] = closing["closing"].where(
        [paying is None or who in paying for who in closing["customer"]], 0
    )
    stopped = stopped_growing([MONTH], frame, closing, known).get(MONTH)
    made = diagnosis(figures, Accounts(frame[frame["month"] == MONTH], migrations, stopped))
    checked = Diagnosis.validate(made.assign(policy_hash="p", catalog_hash="c"))
    assert list(checked["position"]) == list(range(1, len(checked) + 1))
    return {
        row.kind: (row.text, json.loads(row.numbers_json))
        for row in checked.itertuples()
        if row.kind != "headline"
    }


def _fractions(texts: Mapping[str, str]) -> dict[str, Fraction]:
    return {name: Fraction(text) for name, text in texts.items()}


def test_a_month_in_which_nothing_stands_out_has_its_headline_alone() -> None:
    assert told() == {}
    figures = Figures(
        MONTH,
        "usd",
        {"opening": 1_000_00, "expansion": 14_00},
        2,
        50,
        _fractions({"nrr": "0.99", "grr": "0.976"}),
        {},
        {},
        {},
    )
    nobody = pd.DataFrame(columns=["month", "customer", "flow_expansion", "flags_json"]).astype(
        {"flags_json": "str", "flow_expansion": "int64"}
    )
    nothing = Accounts(nobody, NO_MIGRATIONS)
    made = diagnosis(figures, nothing)
    assert made["text"].tolist() == [
        "Expansion was 1.40 % of opening MRR: 14.00 USD from 2 of 50 customers; NRR of the month 99.00 "
        "%, GRR 97.60 %."
    ]


@pytest.mark.parametrize(
    ("flows", "text"),
    [
        ({}, "Nobody paid in 2026-10: opening and closing MRR are 0.00 USD, so no rate has a base."),
        (
            {"new": 20_00, "reactivation": 5_00, "closing": 25_00},
            "Nobody paid when 2026-10 began, so no rate has a base. Closing MRR is 25.00 USD: 20.00 USD "
            "from new customers and 5.00 USD from customers who came back.",
        ),
    ],
)
def test_a_month_without_a_base_says_so(flows: dict[str, int], text: str) -> None:
    nobody = pd.DataFrame(columns=["month", "customer", "flow_expansion", "flags_json"]).astype(
        {"flags_json": "str", "flow_expansion": "int64"}
    )
    all_flows = {"opening": 0, "new": 0, "reactivation": 0, "expansion": 0, "closing": 0, **flows}
    made = diagnosis(Figures(MONTH, "usd", all_flows, 0, 0, {}, {}, {}, {}), Accounts(nobody, NO_MIGRATIONS))
    assert made["text"].tolist() == [text]
    assert list(made.columns) == ["month", "position", "kind", "text", "numbers_json"]


@pytest.mark.parametrize(
    ("nrr", "grr", "holds"),
    [("1.00", "0.8999999999", True), ("0.9999999999", "0.85", False), ("1.20", "0.90", False)],
)
def test_growth_masks_losses_when_the_base_grows_though_a_tenth_of_it_goes(
    nrr: str, grr: str, holds: bool
) -> None:
    assert ("growth_masks_losses" in told(trailing={"nrr_t12m": nrr, "grr_t12m": grr})) == holds


def test_growth_masks_losses_names_what_is_gone() -> None:
    text, numbers = told(trailing={"nrr_t12m": "1.15", "grr_t12m": "0.82"})["growth_masks_losses"]
    assert "NRR is 115.00 %, but GRR only 82.00 %. Of the MRR of a year ago 18.00 % is gone" in text
    assert numbers == {"nrr_t12m": "1.1500000000", "grr_t12m": "0.8200000000", "lost": "0.1800000000"}


@pytest.mark.parametrize(
    ("nrr", "grr", "before", "holds"),
    [
        ("1.00", "0.96", ["0.98", "0.97", "0.99"], True),  # two points under 98 % on average
        ("1.00", "0.9600000001", ["0.98", "0.97", "0.99"], False),
        ("0.9999", "0.90", ["0.98", "0.98", "0.98"], False),
        ("1.00", "0.90", ["0.98", "0.98"], False),  # too short a baseline
    ],
)
def test_losses_behind_growth_are_two_points_of_grr(
    nrr: str, grr: str, before: list[str], holds: bool
) -> None:
    assert ("losses_behind_growth" in told(retention={"nrr": nrr, "grr": grr}, grr_before=before)) == holds


@pytest.mark.parametrize(
    ("grr", "rate", "holds"),
    [("0.90", "0.0999999999", True), ("0.8999999999", "0.05", False), ("0.95", "0.10", False)],
)
def test_customers_stay_but_do_not_grow(grr: str, rate: str, holds: bool) -> None:
    found = told(trailing={"grr_t12m": grr, "expansion_rate_t12m": rate})
    assert ("stay_without_growing" in found) == holds


def test_without_a_year_nothing_is_said_of_a_year() -> None:
    assert told(trailing={"expansion_rate_t12m": "0.01"}) == {}


@pytest.mark.parametrize(
    ("share", "count", "holds"), [("0.80", 5, True), ("0.7999999999", 5, False), ("1", 4, False)]
)
def test_expansion_rests_on_one_type_of_five_expanders(share: str, count: int, holds: bool) -> None:
    here = {f"cus_{number}": 10_00 for number in range(count)}
    found = told({MONTH: here}, mix={"seat": share, "tier": str(1 - Fraction(share))})
    assert ("one_type" in found) == holds
    if holds:
        assert found["one_type"][0] == "Expansion rests on one type: seat is 80.0 % of it (50.00 USD in all)."


def test_few_carry_it_names_those_with_a_fifth_each() -> None:
    text, numbers = told(
        {MONTH: {"cus_big": 20_00, "cus_b": 19_99, "cus_c": 20_01, "cus_d": 20_00, "cus_e": 20_00}}
    )["few_customers"]
    assert (
        "4 customers of 5 expanders made 80.0 % of expansion: cus_c 20.01 USD, cus_big 20.00 USD, cus_d "
        "20.00 USD and 1 more." in text
    )
    assert [one["customer"] for one in numbers["customers"]] == ["cus_c", "cus_big", "cus_d", "cus_e"]
    # Of so few expanders each is a large part.
    assert "few_customers" not in told({MONTH: {"cus_a": 50_00, "cus_b": 1_00}})


def test_surges_of_a_quarter_are_named_with_the_rate_without_them() -> None:
    here = {"cus_a": 25_00, "cus_b": 15_00, "cus_c": 15_00, "cus_d": 15_00, "cus_e": 15_00, "cus_f": 15_00}
    text, numbers = told({MONTH: here}, surged=("cus_a",))["seat_surges"]
    assert "25.0 % of expansion (25.00 USD)" in text
    assert text.endswith("The rate is 10.00 %, 7.50 % of opening MRR without them.")
    assert (numbers["surges"], numbers["share"]) == (25_00, "0.2500000000")
    assert "seat_surges" not in told({MONTH: {**here, "cus_a": 24_99}}, surged=("cus_a",))


def test_possible_price_migrations_are_those_to_confirm_that_count_as_tier() -> None:
    pairs = pd.DataFrame(
        [
            ("price_a", "price_b", "to_confirm", 6, 8, 60_00),
            ("price_c", "price_d", "declared", 9, 9, 90_00),
            ("price_e", "price_f", "to_confirm", 5, 5, 0),
        ],
        columns=NO_MIGRATIONS.columns,
    )
    text, numbers = told(migrations=pairs)["possible_price_migrations"]
    assert (
        "60.00 USD, moved by many customers at once: price_a to price_b (6 of 8 customers, 60.00 USD). "
        "If it was" in text
    )
    assert numbers["amount"] == 60_00
    assert "possible_price_migrations" not in told(migrations=pairs.iloc[1:])


HERE = {MONTH: {"cus_x": 1_00}}


def test_accounts_that_stopped_growing_grew_twice_in_six_months_and_not_in_the_three_since() -> None:
    assert looked_at(MONTH) == WINDOW
    grew = {
        "2026-02": {"cus_a": 30_00, "cus_once": 99_00, "cus_goes_on": 10_00, "cus_left": 5_00},
        "2026-07": {"cus_a": 20_00, "cus_b": 10_00, "cus_goes_on": 10_00, "cus_left": 5_00},
        "2026-06": {"cus_b": 1_00},
        "2026-08": {"cus_goes_on": 1_00},
    }
    text, numbers = told({**grew, **HERE}, paying=frozenset({"cus_a", "cus_b", "cus_once", "cus_goes_on"}))[
        "stopped_growing"
    ]
    assert text == (
        "Stopped growing: 2 accounts that expanded at least twice in 2026-02 to 2026-07 did not in the "
        "3 months since, and still pay. They made 61.00 USD then, 32.1 % of all expansion: cus_a 50.00 "
        "USD, cus_b 11.00 USD. A list to look through, not a test."
    )
    assert numbers["accounts"] == [
        {"customer": "cus_a", "expansion": 50_00, "months": 2, "last_month": "2026-07"},
        {"customer": "cus_b", "expansion": 11_00, "months": 2, "last_month": "2026-07"},
    ]
    assert (numbers["count"], numbers["expansion_then"]) == (2, 61_00)


def test_before_nine_months_are_known_nobody_is_said_to_have_stopped() -> None:
    grew = {"2026-03": {"cus_a": 1_00}, "2026-04": {"cus_a": 1_00}, **HERE}
    assert "stopped_growing" in told(grew)
    assert told(grew, known=frozenset(WINDOW[1:])) == {}


def test_the_order_of_rows_changes_nothing() -> None:
    here = {f"cus_{letter}": 20_00 for letter in "abcde"}
    turned = dict(reversed(here.items()))
    assert told({MONTH: here}, surged=tuple(here)) == told({MONTH: turned}, surged=tuple(here))


def test_the_table_knows_every_rule() -> None:
    assert list(_RULES) == KINDS
