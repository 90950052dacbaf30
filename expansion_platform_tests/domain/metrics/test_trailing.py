"""Windows worked out by hand.

Two members of the window's start, each with a currency of its own, and one who came later, US cents:

| month | ada (smb, flat) | bob (smb, then mid_market; seat, then hybrid) | cy (smb, seat) |
|---|---|---|---|
| 2025-04 | 1,000 to 1,100: expansion 100 | 1,000 to 1,000 | |
| 2025-05 | 1,100 | 1,000 to 2,200: expansion 1,000, fx 200 | new 500 |
| 2025-06 to 2026-01 | 1,100 | 2,200 | 500 |
| 2026-02 | 1,100 to 0: churn | 2,200 | 500 to 600: expansion 100 |
| 2026-03 | | 2,200 to 1,980: contraction -220 | 600 |
"""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.metrics import reconciliation, tables, trailing

START, LAST = "2025-04", "2026-03"
FLOWS = ("flow_new", "flow_expansion", "flow_contraction", "flow_churn")
MOVED = {
    ("2025-04", "ada"): {"flow_expansion": 100},
    ("2025-05", "bob"): {"flow_expansion": 1_000, "flow_fx": 200},
    ("2025-05", "cy"): {"flow_new": 500},
    ("2026-02", "ada"): {"flow_churn": -1_100},
    ("2026-02", "cy"): {"flow_expansion": 100},
    ("2026-03", "bob"): {"flow_contraction": -220},
}
OPENED = {"ada": (START, 1_000), "bob": (START, 1_000), "cy": ("2025-05", 0)}


def book(first: str = START) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customer months and movements of the table above, from `first` on."""
    customers: list[dict[str, Any]] = []
    for customer, (begin, level) in OPENED.items():
        amount = level
        for month in months.between(begin, LAST):
            flows = MOVED.get((month, customer), {})
            closing = amount + sum(flows.values())
            segment = "mid_market" if customer == "bob" and month > "2025-05" else "smb"
            if amount or closing:
                model = "flat" if customer == "ada" else "hybrid" if segment == "mid_market" else "seat"
                row = {
                    "month": month,
                    "customer": customer,
                    "segment": segment,
                    "pricing_model": model,
                    "opening": amount,
                    "closing": closing,
                }
                customers.append({**row, "flow_fx": flows.get("flow_fx", 0)})
            amount = closing
    moved = [
        {"month": month, "customer": name, **dict.fromkeys(FLOWS, 0), **flows}
        for (month, name), flows in MOVED.items()
    ]
    frames = pd.DataFrame(customers), pd.DataFrame(moved)
    return tuple(frame[frame["month"] >= first].reset_index(drop=True) for frame in frames)  # type: ignore[return-value]


def rows(month: str = LAST, first: str = START) -> pd.DataFrame:
    customers, movements = book(first)
    return made(month, customers, movements, min(trailing.YEAR, months.distance(first, month) + 1))


def made(month: str, customers: pd.DataFrame, movements: pd.DataFrame, known: int) -> pd.DataFrame:
    return tables.Trailing.validate(
        trailing.trailing([month], customers, movements, {month: known}).assign(
            policy_hash="p", catalog_hash="c"
        )
    )


def told(frame: pd.DataFrame, value: str = "all") -> dict[str, tuple[Any, ...]]:
    """Metric -> months, numerator, denominator, ratio, quality."""
    names = ["window_months", "numerator", "denominator", "ratio", "quality"]
    chosen = frame[frame["value"] == value].set_index("metric")[names].astype(object)
    return {
        metric: tuple(None if pd.isna(cell) else cell for cell in row)
        for metric, row in zip(chosen.index, chosen.to_numpy(), strict=True)
    }


def text(value: Fraction) -> str:
    """Ten places; the expectation's own arithmetic, on numbers that need no rounding beyond half-even."""
    return f"{round(value * 10**10) / 10**10:.10f}"


FULL = {
    "expansion_rate_annualised": (1, None, None, "0.0000000000", "low_n"),
    "expansion_rate_t3m_mean": (3, None, None, "0.0087719298", "low_n"),  # (0 + 100/3,800 + 0) / 3
    "expansion_rate_t12m": (
        12,
        None,
        None,
        text(Fraction(21, 20) * Fraction(31, 21) * Fraction(39, 38) - 1),
        "low_n",
    ),
    "expansion_rate_t12m_simple": (12, 1_200, 2_000, "0.6000000000", "low_n"),
    "expansion_rate_t12m_cohort": (12, 1_100, 2_000, "0.5500000000", "low_n"),  # without cy, who came later
    # Bob's 1,980 at the first rates: 1,980 x 2,000 / 2,200.
    "nrr_t12m": (12, 1_800, 2_000, "0.9000000000", "low_n"),
    "grr_t12m": (12, 1_000, 2_000, "0.5000000000", "low_n"),  # bob no more than his 1,000, ada nothing
    "grr_continuous_t12m": (12, 1_000, 2_000, "0.5000000000", "low_n"),
    "quick_ratio_t3m": (3, 100, 1_320, "0.0757575758", "low_n"),
    "expansion_share_of_new_t12m": (12, 1_200, 1_700, "0.7058823529", "low_n"),
}
FIRST = {
    "expansion_rate_annualised": (1, None, None, text(Fraction(21, 20) ** 12 - 1), "low_n"),  # 100 of 2,000
    **dict.fromkeys(
        (
            *("expansion_rate_t3m_mean", "expansion_rate_t12m"),
            *("expansion_rate_t12m_simple", "expansion_rate_t12m_cohort"),
            *("nrr_t12m", "grr_t12m", "grr_continuous_t12m"),
        ),
        (1, None, None, None, "too_short"),
    ),
    "quick_ratio_t3m": (1, 100, 0, None, "no_losses"),
    "expansion_share_of_new_t12m": (1, 100, 100, "1.0000000000", "low_n"),
}


def test_a_full_window() -> None:
    assert told(rows()) == FULL


def test_the_first_month_of_the_tables() -> None:
    assert told(rows(START)) == FIRST


def gap(fx: int = 0) -> dict[str, tuple[Any, ...]]:
    """Ada leaves in July and is back in September at 1,500, bob stays at 1,000; exchange rates of March add
    `fx` to each. Both opened with 1,000.
    """
    levels = {"ada": {START: 1_000, "2025-07": 0, "2025-09": 1_500}, "bob": {START: 1_000}}
    held, moved, amounts = [], [], {"ada": 1_000, "bob": 1_000}
    for month in months.between(START, LAST):
        for customer, level in levels.items():
            before, rate = amounts[customer], fx if month == LAST else 0
            after = level.get(month, before) + rate
            amounts[customer] = after
            if before or after:
                sliced = {"segment": "smb", "pricing_model": "seat"}
                held.append(
                    {
                        "month": month,
                        "customer": customer,
                        **sliced,
                        "opening": before,
                        "closing": after,
                        "flow_fx": rate,
                    }
                )
                if not after:
                    moved.append(
                        {
                            "month": month,
                            "customer": customer,
                            **dict.fromkeys(FLOWS, 0),
                            "flow_churn": -before,
                        }
                    )
    return told(made(LAST, pd.DataFrame(held), pd.DataFrame(moved), trailing.YEAR))


@pytest.mark.parametrize("fx", [0, 150])
def test_who_left_and_came_back_is_lost_to_continuous_retention_only(fx: int) -> None:
    """At the two ends ada pays 1,000 and 1,500 at the first rates; in between she was gone for two months."""
    seen = gap(fx)
    assert seen["nrr_t12m"] == (12, 2_500, 2_000, "1.2500000000", "low_n")
    assert seen["grr_t12m"] == (12, 2_000, 2_000, "1.0000000000", "low_n")
    assert seen["grr_continuous_t12m"] == (12, 1_000, 2_000, "0.5000000000", "low_n")


def test_a_customer_keeps_the_segment_of_the_windows_start() -> None:
    frame = rows()
    smb, middle = told(frame, "smb"), told(frame, "mid_market")
    # Bob grew into mid_market and still counts here.
    assert smb["nrr_t12m"] == (12, 1_800, 2_000, "0.9000000000", "low_n")
    assert middle["nrr_t12m"] == (12, 0, 0, None, "no_base")
    assert middle["expansion_rate_t12m"] == (0, None, None, None, "no_base")
    assert middle["quick_ratio_t3m"] == (3, 0, 220, "0.0000000000", "low_n")  # three months ago he was in it
    assert smb["quick_ratio_t3m"] == (3, 100, 1_100, "0.0909090909", "low_n")


def test_a_customer_keeps_the_pricing_model_of_the_windows_start() -> None:
    frame = rows()
    seat, flat, hybrid = (told(frame, value) for value in ("seat", "flat", "hybrid"))
    # Bob's; cy came later.
    assert seat["expansion_rate_t12m_cohort"] == (12, 1_000, 1_000, "1.0000000000", "low_n")
    assert seat["nrr_t12m"] == (12, 1_800, 1_000, "1.8000000000", "low_n")
    assert flat["nrr_t12m"] == (12, 0, 1_000, "0.0000000000", "low_n")  # ada left
    # Nobody is there now, or never was.
    assert flat["expansion_rate_t12m"] == hybrid["expansion_rate_t12m"] == (0, None, None, None, "no_base")
    assert seat["expansion_rate_t12m"] == (
        12,
        None,
        None,
        text(Fraction(2) * Fraction(2_800, 2_700) - 1),
        "low_n",
    )
    # Three months ago bob was hybrid.
    assert hybrid["quick_ratio_t3m"] == (3, 0, 220, "0.0000000000", "low_n")


def test_a_window_that_began_before_the_tables() -> None:
    seen = told(rows("2025-06"))
    mean = (Fraction(100, 2_000) + Fraction(1_000, 2_100)) / 3
    assert seen["expansion_rate_t12m"] == (3, None, None, text((1 + mean) ** 12 - 1), "low_n")
    assert (
        seen["expansion_rate_t12m_simple"]
        == seen["nrr_t12m"]
        == seen["grr_t12m"]
        == (3, None, None, None, "too_short")
    )
    assert seen["quick_ratio_t3m"] == (3, 1_600, 0, None, "no_losses")
    assert seen["expansion_share_of_new_t12m"] == (3, 1_100, 1_600, "0.6875000000", "low_n")
    two = told(rows("2025-05"))
    assert two["expansion_rate_t12m"] == two["expansion_rate_t3m_mean"] == (2, None, None, None, "too_short")


def test_a_month_before_everything_has_no_base() -> None:
    frame = rows("2025-03")
    assert frame["ratio"].isna().all()
    assert set(frame["quality"]) == {"no_base", "no_losses", "too_short"}
    assert len(frame) == 8 * 10


def monthly(
    expansion: int, members: int, expanders: int, since: str = LAST, opening: int = 50_000
) -> dict[str, tuple[Any, ...]]:
    """What months alike from `since` on come to; those that expand are counted in the last."""
    silent = dict.fromkeys(("new", "contraction", "churn", "member_expansion"), 0)
    sums = pd.DataFrame(
        [
            {
                "length": length,
                "last": trailing.numbered(LAST),
                "month": trailing.numbered(month),
                "dimension": "total",
                "value": "all",
            }
            | {
                "opening": opening,
                "expansion": expansion,
                "members": members,
                "expanders": expanders if month == LAST else 0,
                **silent,
            }
            for length in trailing.LENGTHS
            for month in months.between(max(since, months.shift(LAST, 1 - length)), LAST)
        ]
    )
    nobody = pd.DataFrame(columns=["last", "segment", "pricing_model", "customer", *trailing.COHORT])
    known = min(trailing.YEAR, months.distance(since, LAST) + 1)
    return told(
        tables.Trailing.validate(
            trailing.rows([LAST], sums, nobody, {LAST: known}).assign(policy_hash="p", catalog_hash="c")
        )
    )


def test_the_seeds_example() -> None:
    """1.4 % a month is 18.2 % a year."""
    # 1.014 ** 12 - 1.
    assert monthly(700, 40, 6)["expansion_rate_annualised"] == (1, None, None, "0.1815591289", "ok")


def test_few_customers_are_said_before_an_incomplete_window() -> None:
    """One member whose MRR grew 26-fold a month: a rate of 1e17 and more of three months was `provisional`,
    as if only time were missing.
    """
    rate = monthly(25_000, 1, 1, since="2026-01", opening=1_000)["expansion_rate_t12m"]
    assert (rate[0], rate[3], rate[4]) == (3, f"{26**12 - 1}.0000000000", "low_n")
    assert Fraction(rate[3]) > 10**16
    qualities = {
        since: monthly(700, 40, 6, since)["expansion_rate_t12m"][4]
        for since in ("2026-02", "2026-01", "2025-05", "2025-04")
    }
    assert qualities == {
        "2026-02": "too_short",
        "2026-01": "provisional",
        "2025-05": "provisional",
        "2025-04": "ok",
    }
    assert monthly(700, 40, 4, "2025-05")["expansion_rate_t12m"][4] == "low_n"
    assert monthly(700, 40, 6, "2025-05")["expansion_share_of_new_t12m"][4] == "provisional"


def test_months_in_which_nobody_paid_belong_to_the_window() -> None:
    """The window is whole, and at its start nobody was there: no base, not too short."""
    customers, movements = (frame.head(0) for frame in book())
    whole, young = (told(made(LAST, customers, movements, known)) for known in (trailing.YEAR, 2))
    assert whole["nrr_t12m"] == (12, 0, 0, None, "no_base")
    assert whole["quick_ratio_t3m"] == (3, 0, 0, None, "no_losses")
    assert whole["expansion_rate_t12m"] == (0, None, None, None, "no_base")
    assert young["nrr_t12m"] == (2, None, None, None, "too_short")


@pytest.mark.parametrize(
    ("closing", "closings", "added", "value"),
    [
        (110, [110], [10], 100),
        (220, [110, 220], [10, 0], 200),
        (0, [110], [10], 0),
        (1, [3], [2], 0),
        (5, [2], [1], 2),
        (7, [2], [1], 4),
        (9, [], [], 9),
    ],
)
def test_exchange_rates_are_undone_and_rounded_once(
    closing: int, closings: list[int], added: list[int], value: int
) -> None:
    assert trailing.at_first_rates(closing, closings, added) == value


def test_what_is_retained_is_exact_however_it_is_rounded() -> None:
    """Halves, large amounts and all others: the query rounds what is clear, the rule makes the rest."""
    random, held = Random(7), list[dict[str, Any]]()  # noqa: S311
    for customer in range(400):
        amount = random.choice(
            [random.randrange(1, 50), random.randrange(1, 10**6), random.randrange(1, 10**16)]
        )
        for month in months.between(START, LAST):
            fx = random.choice([0, 0, amount, amount // 3, -amount // 4])
            row = {
                "month": month,
                "customer": f"c{customer}",
                "segment": "smb",
                "pricing_model": "seat",
                "opening": amount,
                "closing": amount + fx,
            }
            held.append({**row, "flow_fx": fx})
            amount += fx
    customers = pd.DataFrame(held)
    wanted = [
        (
            rows["opening"].iloc[0],
            trailing.at_first_rates(
                rows["closing"].iloc[-1], rows["closing"].tolist(), rows["flow_fx"].tolist()
            ),
        )
        for _, rows in customers.groupby("customer")
    ]
    nobody = pd.DataFrame(
        {"month": pd.Series([], dtype="str"), "customer": pd.Series([], dtype="str")}
        | dict.fromkeys(FLOWS, pd.Series([], dtype="int64"))
    )
    seen = told(made(LAST, customers, nobody, trailing.YEAR))
    assert seen["nrr_t12m"][1:3] == (
        sum(closing for _, closing in wanted),
        sum(opening for opening, _ in wanted),
    )
    assert seen["grr_t12m"][1] == seen["grr_continuous_t12m"][1] == sum(min(pair) for pair in wanted)


@pytest.mark.parametrize("value", ["smb", "seat"])
@pytest.mark.parametrize("column", ["numerator", "denominator"])
def test_slices_sum_to_the_total_and_the_check_sees_one_cent(column: str, value: str) -> None:
    frame = rows()
    reconciliation.slices_sum(frame)
    frame.loc[(frame["value"] == value) & (frame["metric"] == "nrr_t12m"), column] += 1
    with pytest.raises(DataQualityError, match="2026-03 nrr_t12m"):
        reconciliation.slices_sum(frame)
