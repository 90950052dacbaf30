"""When each rule fires, by books small enough to see why."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.alerts import followups, rules
from expansion_platform.domain.alerts.panel import TOTAL, Panel, panel
from expansion_platform.domain.core import months, statistics
from expansion_platform.domain.core.statistics import holm
from expansion_platform.domain.mrr.vocabulary import ORGANIC
from expansion_platform_tests.domain.alerts.books import MONTH, MONTHS, frames, steady, together

SEED = "policy"
TARGET = Fraction(2, 100)


def test_a_real_fall_fires_and_a_repeat_says_the_same() -> None:
    """200 customers, half of whom expand a month, then a tenth: 2.5 % against 0.5 %."""
    found = rules.rate_drop(steady(200, 0.1), MONTH, SEED, 10_000, {})
    assert found is not None
    assert found.drop is not None
    assert (found.outcome, found.severity, found.scope) == ("fires", "critical", "total")
    assert found.drop.p == Fraction(2, 2001)
    assert found.drop.baseline_months == tuple(MONTHS[2:8])
    assert found.recovers_at == Fraction(9, 10) * found.drop.baseline
    assert found == rules.rate_drop(steady(200, 0.1), MONTH, SEED, 10_000, {})


def test_noise_and_rises_do_not_fire() -> None:
    for newest in (0.5, 0.9):
        found = rules.rate_drop(steady(200, newest), MONTH, SEED, 0, {})
        assert found is not None
        assert found.outcome == "clear"


def test_a_fall_a_few_customers_make_does_not_fire() -> None:
    """Ten customers, one of whom expanded each month and nobody in the newest: gone by 100 %, and nothing to
    conclude.
    """
    names = [f"cus_{number}" for number in range(10)]
    opening = {(name, month): 10_000 for name in names for month in MONTHS}
    flows = {(names[index], month): {"expansion": 9_000} for index, month in enumerate(MONTHS[:-1])}
    found = rules.rate_drop(panel(*frames(opening, flows), MONTHS), MONTH, SEED, 0, {})
    assert found is not None
    assert found.drop is not None
    assert found.drop.change == -1
    assert (found.outcome, found.drop.p > Fraction(1, 20)) == ("clear", True)


def test_a_fall_too_small_in_money_does_not_fire() -> None:
    book = steady(200, 0.1)
    drop = rules.drop_of(book, MONTH, TOTAL, SEED)
    assert drop is not None
    for smallest, outcome in ((drop.shortfall, "fires"), (drop.shortfall + 1, "clear")):
        found = rules.rate_drop(book, MONTH, SEED, smallest, {})
        assert found is not None
        assert found.outcome == outcome


def test_a_fall_under_a_thousandth_of_the_base_is_not_large() -> None:
    drop = rules.drop_of(steady(200, 0.1), MONTH, TOTAL, SEED)
    assert drop is not None
    assert rules.large(replace(drop, shortfall=drop.opening // 1000), 0)
    assert not rules.large(replace(drop, shortfall=drop.opening // 1000 - 1), 0)


def test_exactly_a_quarter_less_is_large_and_a_little_less_is_not() -> None:
    drop = rules.drop_of(steady(200, 0.1), MONTH, TOTAL, SEED)
    assert drop is not None
    assert rules.large(replace(drop, rate=Fraction(3, 4) * drop.baseline), 0)
    assert not rules.large(replace(drop, rate=Fraction(3, 4) * drop.baseline + Fraction(1, 10**12)), 0)
    assert not rules.large(replace(drop, rate=Fraction(0), baseline=Fraction(0)), 0)


@pytest.mark.parametrize(("first", "judged"), [(0, True), (5, True), (6, False), (8, False)])
def test_fewer_than_three_months_before_are_no_baseline(first: int, judged: bool) -> None:
    opening = {("cus_1", month): 10_000 for month in MONTHS[first:]}
    assert (rules.drop_of(panel(*frames(opening, {}), MONTHS), MONTH, TOTAL, SEED) is not None) == judged


def test_the_baseline_is_the_mean_of_rates_not_the_rate_of_sums() -> None:
    """Rates of 10 % over 10.00, and of 1 % twice over 1,000.00: 4 % on average."""
    opening = {
        ("cus_1", MONTHS[-4]): 1_000,
        ("cus_1", MONTHS[-3]): 100_000,
        ("cus_1", MONTHS[-2]): 100_000,
        ("cus_1", MONTH): 1_000,
    }
    flows = {
        ("cus_1", MONTHS[-4]): {"expansion": 100},
        ("cus_1", MONTHS[-3]): {"expansion": 1_000},
        ("cus_1", MONTHS[-2]): {"expansion": 1_000},
    }
    drop = rules.drop_of(panel(*frames(opening, flows), MONTHS), MONTH, TOTAL, SEED)
    assert drop is not None
    assert (drop.baseline, drop.rate, drop.shortfall) == (Fraction(4, 100), 0, 40)


def test_a_season_is_noted_and_still_fires() -> None:
    rates = {month: Fraction(2, 100) for month in months.between(months.shift(MONTH, -30), MONTH)}
    book = steady(200, 0.1)
    drop = rules.drop_of(book, MONTH, TOTAL, SEED)
    assert drop is not None
    for last_year, note in ((Fraction(2, 100) * (1 + drop.change), "seasonal"), (Fraction(2, 100), None)):
        found = rules.rate_drop(book, MONTH, SEED, 0, {**rates, months.shift(MONTH, -12): last_year})
        assert found is not None
        assert (found.figures.get("note"), found.outcome) == (note, "fires")


def test_below_target_needs_two_months_and_an_interval_below_it() -> None:
    book = steady(400, 0.1, rate=0.2)  # 0.5 %, after 1 %
    outcomes = [
        getattr(rules.below_target(book, MONTH, TOTAL, target, before, SEED), "outcome", None)
        for target, before in (
            (TARGET, TARGET),
            (TARGET, Fraction(1, 1000)),
            (TARGET, None),
            (Fraction(1, 1000), TARGET),
        )
    ]
    assert outcomes == ["fires", "pending", "pending", "clear"]
    # 30 customers: the interval reaches the target.
    near = rules.below_target(steady(30, 0.3, rate=0.2), MONTH, TOTAL, TARGET, TARGET, SEED)
    assert near is not None
    assert near.outcome == "pending"
    assert near.figures["rate"] < TARGET < near.figures["high"]  # type: ignore[operator]


def test_below_target_needs_gains_enough_to_bound_the_rate() -> None:
    """Two gains among 400 customers bound nothing; none at all among 400, where thirty were usual, does, and
    none among three does not.
    """
    outcomes = [
        getattr(
            rules.below_target(
                steady(customers, newest, rate=0.08, seed=3), MONTH, TOTAL, TARGET, TARGET, SEED
            ),
            "outcome",
            None,
        )
        for customers, newest in ((400, 0.004), (400, 0.0), (3, 0.0))
    ]
    assert outcomes == ["pending", "fires", "pending"]


def test_a_mix_that_moved_from_seats_to_usage_is_named() -> None:
    names = [f"cus_{number:03d}" for number in range(60)]
    rng = np.random.default_rng(5)
    opening = {(name, month): 10_000 for name in names for month in MONTHS}
    flows = {
        key: {"expansion_usage" if key[1] >= MONTHS[6] else "expansion_seat": 500}
        for key in opening
        if rng.random() < 0.3
    }
    found = rules.mix_shift(panel(*frames(opening, flows), MONTHS), MONTH, SEED)
    assert found is not None
    # The stability index is far above 0.25.
    assert (found.outcome, found.severity, found.figures["usage_now"]) == ("fires", "critical", 1)
    assert found.figures["type"] in ("seat", "usage")
    assert sum(found.figures[f"{name}_before"] for name in ORGANIC) == 1  # type: ignore[misc]
    few = {key: value for key, value in flows.items() if key[0] < "cus_009"}
    # Fewer than ten expanders.
    assert rules.mix_shift(panel(*frames(opening, few), MONTHS), MONTH, SEED) is None


def segmented(smb: float, members: int = 60) -> list[tuple[str, str, str]]:
    both = together(steady(members, smb, segment="smb"), steady(60, 0.5, seed=2, segment="enterprise"))
    return [
        (found.value, found.outcome, found.scope)
        for found in rules.segment_deterioration(both, "segment", MONTH, SEED, 0, {})
    ]


def test_the_segment_that_fell_is_named_and_a_small_one_is_not_judged() -> None:
    assert segmented(0.0) == [("enterprise", "clear", "segment:enterprise"), ("smb", "fires", "segment:smb")]
    assert segmented(0.0, members=29) == [("enterprise", "clear", "segment:enterprise")]


def modelled(seat: float, members: int = 60, smallest: int = 0) -> list[tuple[str, str, str]]:
    both = together(steady(members, seat, model="seat"), steady(60, 0.5, seed=2, model="usage"))
    found = rules.segment_deterioration(both, "pricing_model", MONTH, SEED, smallest, {})
    return [(one.rule, one.outcome, one.scope) for one in found]


def test_the_pricing_model_that_fell_is_named_and_a_small_one_is_not_judged() -> None:
    rule, seat = "segment_deterioration", "pricing_model:seat"
    calm = (rule, "clear", "pricing_model:usage")
    assert modelled(0.0) == [calm, (rule, "fires", seat)]
    assert modelled(0.5) == [calm, (rule, "clear", seat)]
    # 1.5 points less are under what a fall of the net rate must be, and a shortfall that is too small leaves
    # no other reason
    assert modelled(0.2) == [calm, (rule, "fires", seat)]
    assert modelled(0.2, smallest=10**9) == [calm, (rule, "clear", seat)]
    assert modelled(0.0, members=29) == [calm]


def test_a_pricing_model_that_is_nearly_the_total_is_not_asked() -> None:
    """570 of 600 equal customers are 95 %, of 601 less."""
    for others, asked in ((30, ["usage"]), (31, ["usage", "seat"])):
        both = together(steady(570, 0.1, model="seat"), steady(others, 0.5, seed=2, model="usage"))
        assert [
            found.value for found in rules.segment_deterioration(both, "pricing_model", MONTH, SEED, 0, {})
        ] == asked
    assert rules.segment_deterioration(steady(60, 0.0), "pricing_model", MONTH, SEED, 0, {}) == []
    # A company of one segment may look at it.
    (segment,) = rules.segment_deterioration(steady(60, 0.0), "segment", MONTH, SEED, 0, {})
    assert segment.scope == "segment:smb"


@pytest.mark.parametrize("dimension", ["segment", "pricing_model"])
def test_holms_correction_is_over_slices_and_tests(dimension: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slices with two tests each are four: the smallest p is multiplied by four."""
    families: list[list[Fraction]] = []
    monkeypatch.setattr(statistics, "holm", lambda family: families.append(list(family)) or holm(family))
    both = together(
        steady(60, 0.0, segment="smb", model="seat"),
        steady(60, 0.5, seed=2, segment="enterprise", model="usage"),
    )
    found = rules.segment_deterioration(both, dimension, MONTH, SEED, 0, {})
    (family,) = families
    assert len(family) == 4
    assert [one.drop.p if one.drop else None for one in found] == family[:2]
    figures = [one.figures[name] for name in ("p_adjusted", "p_net") for one in found]
    assert figures == holm(family)
    assert figures[family.index(min(family))] == 4 * min(family) < Fraction(5, 100)


def test_a_pricing_model_that_loses_customers_fires_on_its_net_rate() -> None:
    """As a segment does: its expansion is unchanged, and a tenth of its 192 customers leaves in the newest
    month.
    """
    both = together(leaving("seat"), steady(200, 0.5, seed=2, model="usage"))
    usage, seat = rules.segment_deterioration(both, "pricing_model", MONTH, SEED, 0, {})
    assert (usage.outcome, seat.outcome, seat.scope) == ("clear", "fires", "pricing_model:seat")
    assert seat.measured == seat.figures["net_rate"] == Fraction(-20, 192)


def leaving(model: str | None = None) -> Panel:
    """One of 200 customers leaves each month, and 20 in the newest."""
    names = [f"cus_{number:03d}" for number in range(200)]
    opening = {(name, month): 10_000 for name in names for month in MONTHS}
    flows: dict[tuple[str, str], dict[str, int]] = {
        (names[index], month): {"churn": -10_000} for index, month in enumerate(MONTHS[:-1])
    }
    flows |= {(name, MONTH): {"churn": -10_000} for name in names[20:40]}
    opening = {
        (name, month): paid
        for (name, month), paid in opening.items()
        if not (names.index(name) < 8 and month > MONTHS[names.index(name)])
    }
    return panel(
        *frames(opening, flows, models=None if model is None else dict.fromkeys(names, model)), MONTHS
    )


def test_a_segment_that_loses_customers_fires_on_its_net_rate() -> None:
    """Its expansion is unchanged; a tenth of its customers leaves in the newest month, one in fifty did
    before.
    """
    (found,) = rules.segment_deterioration(leaving(), "segment", MONTH, SEED, 0, {})
    assert found.outcome == "fires"
    assert found.measured == found.figures["net_rate"] == Fraction(-20, 192)
    assert found.severity == "critical"  # it misses over 1 % of the base, and gross retention fell too


def test_severity_by_the_ladder() -> None:
    drop = rules.drop_of(steady(200, 0.1), MONTH, TOTAL, SEED)
    assert drop is not None
    mild = replace(drop, rate=Fraction(7, 10) * drop.baseline, shortfall=drop.opening // 200)
    cases = [
        (mild, Fraction(0), "warning"),
        (replace(mild, shortfall=drop.opening // 100), Fraction(0), "critical"),
        (replace(mild, rate=drop.baseline / 2), Fraction(0), "critical"),
        # P = 0.02.
        (
            replace(mild, rate=drop.baseline / 2, p_amount=Fraction(1, 100), p_count=Fraction(1, 100)),
            Fraction(0),
            "warning",
        ),
        (mild, Fraction(2, 100), "critical"),
        (replace(mild, members=99), Fraction(0), "info"),
        (replace(mild, members=99), Fraction(2, 100), "warning"),
    ]
    assert [rules.severity(found, grr_fall) for found, grr_fall, _ in cases] == [level for *_, level in cases]


def seats(kept: int, surge: int, events: int = 5) -> pd.DataFrame:
    """Purchases for 500.00 three months ago, of which so much is still held, and so much of 1,000.00 of
    expansion came from surges.
    """
    figures = {
        "seat_durability_3m": (kept, 50_000),
        "seat_events_durable": (0, events),
        "seat_surge_share_3m": (surge, 100_000),
    }
    rows = [
        (MONTH, metric, "total", numerator, denominator, "2026-07")
        for metric, (numerator, denominator) in figures.items()
    ]
    return pd.DataFrame(
        rows, columns=["month", "metric", "dimension", "numerator", "denominator", "expanded_month"]
    )


@pytest.mark.parametrize(
    ("kept", "surge", "outcome"),
    [
        (24_999, 25_000, "fires"),
        (25_000, 25_000, "clear"),
        (24_999, 24_999, "clear"),
        (50_000, 100_000, "clear"),
    ],
)
def test_seats_given_back(kept: int, surge: int, outcome: str) -> None:
    found = followups.durability(MONTH, seats(kept, surge))
    assert found is not None
    assert (found.measured, found.outcome, found.shortfall) == (
        Fraction(kept, 50_000),
        outcome,
        50_000 - kept,
    )
    assert (found.figures["bought"], found.figures["events"]) == ("2026-07", 5)


def test_four_purchases_are_too_few_and_a_month_not_computed_is_not_judged() -> None:
    assert followups.durability(MONTH, seats(0, 100_000, events=4)) is None
    assert followups.durability(MONTH, seats(0, 100_000).assign(month="2026-09")) is None


@pytest.mark.parametrize(
    ("low", "outcome"), [("0.000001", "fires"), ("0.000000", "clear"), ("-0.100000", "clear")]
)
def test_expanders_that_leave_more_often(low: str, outcome: str) -> None:
    told = {
        "month": MONTH,
        "within_months": 6,
        "dimension": "total",
        "expanded_month": "2026-04",
        "expanders": 9,
        "compared": 8,
        "rate": "0.25",
    }
    row = told | {"rate_others": "0.1", "difference": "0.15", "low": low, "high": "0.4"}
    # Neither is what the rule is about.
    others = [row | {"within_months": 3, "low": "0.2"}, row | {"dimension": "flag", "low": "0.2"}]
    found = followups.post_expansion_churn(MONTH, pd.DataFrame([*others, row]))
    assert found is not None
    assert (found.outcome, found.measured, found.figures["then"], found.figures["churned"]) == (
        outcome,
        Fraction(low),
        "2026-04",
        Fraction(1, 4),
    )


def test_without_a_comparable_customer_nothing_is_said_of_churn() -> None:
    row = {"month": MONTH, "within_months": 6, "dimension": "total", "difference": None}
    assert followups.post_expansion_churn(MONTH, pd.DataFrame([row])) is None
    assert followups.post_expansion_churn(MONTH, pd.DataFrame([row]).head(0)) is None
