"""Targets beside figures worked out by hand: the month, the fiscal quarter and year to date, and what the
alerts take of it.
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.targets import AlertSettings, Target, monthly
from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError
from expansion_platform.domain.metrics.attainment import attainment, periods, ties
from expansion_platform.domain.metrics.tables import Attainment


def figures(*rows: tuple[str, str, str, int, int], quality: str = "ok") -> pd.DataFrame:
    """Rows of (month, metric, scope, numerator, denominator)."""
    cells = [
        (
            month,
            metric,
            "total" if scope == "total" else "segment",
            "all" if scope == "total" else scope,
            over,
            under,
            quality,
        )
        for month, metric, scope, over, under in rows
    ]
    return pd.DataFrame(
        cells, columns=["month", "metric", "dimension", "value", "numerator", "denominator", "quality"]
    )


def stands(
    month: str, known: pd.DataFrame, *targets: Target, begins: int = 1
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(period, metric, value) -> the row."""
    rows = attainment([month], known, AlertSettings(targets=targets, fiscal_year_begins=begins))
    checked = Attainment.validate(rows.assign(policy_hash="p", catalog_hash="c"))
    ties(checked, known)
    return {(row["period"], row["metric"], row["value"]): row for row in checked.to_dict("records")}


TWO = Target(monthly_percent=Decimal(2))
YEAR = figures(
    ("2026-01", "expansion_rate", "total", 30_00, 1_000_00),
    ("2026-02", "expansion_rate", "total", 15_00, 1_500_00),
)


def test_a_month_short_of_its_target() -> None:
    row = stands("2026-02", YEAR, TWO)["month", "expansion_rate", "all"]
    assert (row["actual"], row["target"], row["attainment"], row["gap"]) == (
        "0.0100000000",
        "0.0200000000",
        "0.5000000000",
        "0.0100000000",
    )
    assert (row["gap_mrr"], row["met"], row["first_month"]) == (15_00, False, "2026-02")


def test_a_year_to_date_is_sums_over_sums_of_target_times_opening() -> None:
    changed = (
        Target(monthly_percent=Decimal(1), last_month="2026-01"),
        Target(monthly_percent=Decimal(2), first_month="2026-02"),
    )
    row = stands("2026-02", YEAR, *changed)["year_to_date", "expansion_rate", "all"]
    # 45.00 of 1 % of 1,000.00 and 2 % of 1,500.00, that is 40.00
    assert (row["numerator"], row["denominator"], row["attainment"], row["gap_mrr"], row["met"]) == (
        45_00,
        2_500_00,
        "1.1250000000",
        -5_00,
        True,
    )
    assert (row["target"], row["first_month"]) == ("0.0160000000", "2026-01")


def test_a_year_with_a_month_unknown_or_without_target_has_no_year_to_date() -> None:
    assert set(stands("2026-02", YEAR[YEAR["month"] == "2026-02"], TWO)) == {
        ("month", "expansion_rate", "all")
    }
    late = Target(monthly_percent=Decimal(2), first_month="2026-02")
    assert set(stands("2026-02", YEAR, late)) == {("month", "expansion_rate", "all")}


def test_several_months_are_what_each_is_alone() -> None:
    """From the beginning of a fiscal year on, with a month that has no figure and a segment that has a target
    of its own.
    """
    names = ["2025-11", "2025-12", "2026-01", "2026-02", "2026-03"]
    known = figures(
        *(
            (name, "expansion_rate", scope, 10 + at, 1_000)
            for at, name in enumerate(names)
            for scope in ("total", "smb")
            if name != "2026-02"
        ),
        *((name, "nrr", "total", 990 + at, 1_000) for at, name in enumerate(names)),
    )
    settings = AlertSettings(
        targets=(TWO, Target(monthly_percent=Decimal(1), scope="smb")), fiscal_year_begins=11
    )
    together = attainment(names, known, settings)
    alone = pd.concat([attainment([name], known, settings) for name in names], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, check_dtype=False)
    assert set(together["period"]) == {"month", "quarter_to_date", "year_to_date"}


@pytest.mark.parametrize(
    ("month", "begins", "quarter", "year"),
    [
        ("2026-01", 1, "2026-01", "2026-01"),
        ("2026-12", 1, "2026-10", "2026-01"),
        ("2026-01", 2, "2025-11", "2025-02"),
        ("2026-02", 2, "2026-02", "2026-02"),
    ],
)
def test_fiscal_periods_begin_where_the_year_does(month: str, begins: int, quarter: str, year: str) -> None:
    of = periods(month, begins)
    assert (of["quarter_to_date"][0], of["year_to_date"][0], of["year_to_date"][-1]) == (quarter, year, month)


def test_figures_of_other_bases_have_no_gap_in_mrr_and_no_year_to_date() -> None:
    share = Target(metric="expansion_share_of_new", monthly_percent=Decimal(20))
    found = stands("2026-02", figures(("2026-02", "expansion_share_of_new", "total", 10_00, 100_00)), share)
    assert set(found) == {("month", "expansion_share_of_new", "all")}
    row = found["month", "expansion_share_of_new", "all"]
    assert (row["attainment"], row["met"]) == ("0.5000000000", False)
    assert pd.isna(row["gap_mrr"])


def test_retention_of_a_segment_has_targets_too() -> None:
    row = stands(
        "2026-02",
        figures(("2026-02", "nrr", "smb", 1_020_00, 1_000_00)),
        Target(metric="nrr", scope="smb", monthly_percent=Decimal(101)),
    )
    assert row["month", "nrr", "smb"]["gap_mrr"] == -10_00
    assert row["month", "nrr", "smb"]["met"] is True


def test_without_a_base_nothing_is_judged() -> None:
    row = stands("2026-02", figures(("2026-02", "expansion_rate", "total", 0, 0), quality="no_base"), TWO)[
        "month", "expansion_rate", "all"
    ]
    assert pd.isna(row["actual"])
    assert pd.isna(row["met"])
    assert (row["target"], row["quality"]) == ("0.0200000000", "no_base")


def test_the_defaults_are_those_of_semantics_and_alert_on_the_total_alone() -> None:
    given = AlertSettings()
    assert given.to_reach("expansion_rate", "total", "2026-02") == Fraction(2, 100)
    assert monthly("20") == Decimal("1.53094705")  # 1.0153094705^12 = 1.2
    assert given.to_reach("expansion_rate", "enterprise", "2026-02") == Fraction("0.0153094705")
    assert given.to_reach("expansion_share_of_new", "total", "2026-02") == Fraction(1, 5)
    assert given.target("total", "2026-02") == Fraction(2, 100)
    assert given.target("enterprise", "2026-02") is None


def test_only_expansion_rates_that_are_to_alert_do() -> None:
    given = AlertSettings(
        targets=(
            Target(metric="nrr", monthly_percent=Decimal(101)),
            Target(scope="smb", monthly_percent=Decimal(1), alert=False),
        )
    )
    assert given.target("total", "2026-02") is None
    assert given.target("smb", "2026-02") is None
    assert given.to_reach("smb", "smb", "2026-02") is None


def test_two_targets_of_one_figure_in_one_month_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text("targets:\n  - {metric: nrr, monthly_percent: 101}\n  - {monthly_percent: 2}\n")
    assert len(AlertSettings.from_yaml(file).targets) == 2
    file.write_text(
        "targets:\n  - {metric: nrr, monthly_percent: 101}\n  - {metric: nrr, monthly_percent: 102, "
        "first_month: 2026-03}\n"
    )
    with pytest.raises(ConfigurationError, match="two targets of nrr, total hold in the same month"):
        AlertSettings.from_yaml(file)


def test_a_figure_that_is_not_the_published_one_is_seen() -> None:
    rows = attainment(["2026-02"], YEAR, AlertSettings(targets=(TWO,)))
    ties(rows, YEAR)
    with pytest.raises(DataQualityError, match="2026-02/month/expansion_rate/total/all"):
        ties(
            rows.assign(numerator=rows["numerator"].where(rows["period"] != "month", rows["numerator"] + 1)),
            YEAR,
        )
