"""The hazards by hand, and what each company of choices makes of them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from expansion_platform.simulator.company.hazards import State, hazards
from expansion_platform.simulator.company.signals import (
    NOTHING,
    PREDICTIVE,
    USAGE_IRRELEVANT,
    Rates,
    Signals,
)

USUAL = State(
    seats=30,
    utilisation=0.7,
    gate_hits=1,
    integrations=1,
    fall=0.0,
    trouble=False,
    since_expansion=None,
    frailty=0.0,
    higher_plan=True,
)


def test_a_usual_customer_has_the_rates() -> None:
    found = hazards(USUAL, PREDICTIVE)
    assert (found.seats, found.upgrade, found.addon, found.churn) == pytest.approx(
        (0.045, 0.012, 0.012, 0.012)
    )
    assert found.expansion == pytest.approx(0.069)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        # 0.9 is one step of 20 points above 70 %: seats times e^1.1, churn times e^-0.5
        ({"utilisation": 0.9}, (0.045 * math.e**1.1, 0.012, 0.012, 0.012 * math.e**-0.5)),
        # three hits are two more than usual
        ({"gate_hits": 3}, (0.045, 0.012 * math.e**1.6, 0.012, 0.012)),
        # beyond four, hits and integrations add nothing
        ({"gate_hits": 9}, (0.045, 0.012 * math.e**2.4, 0.012, 0.012)),
        ({"integrations": 2}, (0.045 * math.e**0.3, 0.012, 0.012 * math.e**0.3, 0.012)),
        (
            {"fall": 0.5},
            (0.045 * math.e**-0.6, 0.012 * math.e**-0.6, 0.012 * math.e**-0.6, 0.012 * math.e**1.3),
        ),
        ({"trouble": True}, (0.045, 0.012, 0.012, 0.012 * math.e**1.2)),
        # without a higher plan, seats take the place of upgrades
        ({"higher_plan": False}, (0.057, 0.0, 0.012, 0.012)),
        # 0.4 a standard deviation, half of it the other way
        (
            {"frailty": 1.0},
            (0.045 * math.e**0.4, 0.012 * math.e**0.4, 0.012 * math.e**0.4, 0.012 * math.e**-0.2),
        ),
    ],
)
def test_each_state_acts_as_it_says(change: dict[str, float], expected: tuple[float, ...]) -> None:
    found = hazards(replace(USUAL, **change), PREDICTIVE)  # type: ignore[arg-type]
    assert (found.seats, found.upgrade, found.addon, found.churn) == pytest.approx(expected)


def test_a_programme_multiplies_each_expansion_and_not_churn() -> None:
    found = hazards(USUAL, PREDICTIVE, 2.0)
    assert (found.seats, found.upgrade, found.addon, found.churn) == pytest.approx(
        (0.09, 0.024, 0.024, 0.012)
    )


def test_without_strength_nothing_changes_the_hazards() -> None:
    other = replace(
        USUAL, seats=500, utilisation=1.0, gate_hits=4, integrations=5, fall=0.9, trouble=True, frailty=2.0
    )
    assert hazards(other, NOTHING) == hazards(USUAL, NOTHING)


def test_without_strength_the_plan_changes_the_kind_only() -> None:
    higher, highest = (hazards(replace(USUAL, higher_plan=each), NOTHING) for each in (True, False))
    assert higher.expansion == pytest.approx(highest.expansion)
    assert (highest.upgrade, higher.upgrade) == (0.0, pytest.approx(0.012))


def test_where_usage_is_irrelevant_only_size_and_the_last_expansion_act() -> None:
    used = replace(USUAL, utilisation=1.0, gate_hits=4, integrations=5, fall=0.9)
    assert hazards(used, USAGE_IRRELEVANT) == hazards(USUAL, USAGE_IRRELEVANT)
    large = hazards(replace(USUAL, seats=300), USAGE_IRRELEVANT)
    assert large.seats / hazards(USUAL, USAGE_IRRELEVANT).seats == pytest.approx(10**0.7)
    lately, long_ago = (hazards(replace(USUAL, since_expansion=each), USAGE_IRRELEVANT) for each in (2, 3))
    assert lately.seats / long_ago.seats == pytest.approx(math.e**-1)


def test_chances_stay_chances_and_keep_their_shares() -> None:
    found = hazards(USUAL, Signals(rates=Rates(seats=3.0, upgrade=2.0, addon=1.0, churn=5.0)))
    assert (found.seats, found.upgrade, found.addon) == pytest.approx((0.3, 0.2, 0.1))
    assert found.churn == 0.4
