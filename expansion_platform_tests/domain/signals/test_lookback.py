"""What customers that expanded had shown before, worked by hand on a few customers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from expansion_platform.domain.core.table import columns
from expansion_platform.domain.mrr.tables import Movements, Origins
from expansion_platform.domain.signals.feature_adoption import compute_feature_adoption
from expansion_platform.domain.signals.indicators import SIGNS, compute_indicators
from expansion_platform.domain.signals.practices import compute_practices
from expansion_platform.domain.signals.tables import (
    FeatureAdoption,
    Features,
    FeatureUsage,
    Indicators,
    Practices,
    UsageMonths,
)
from expansion_platform_tests.domain.signals.rule_inputs import close, expansion, inputs, valid

MONTH = "2026-06"
KNOWN = pd.Timestamp("2026-01-31T12:00Z")


def given(features: list[dict[str, Any]], moved: list[dict[str, Any]], origins: Any = ()) -> Any:
    return inputs({Features: features, Movements: moved, Origins: origins})


def indicator(name: str, features: Any, moved: Any, origins: Any = (), months: Any = (MONTH,)) -> Any:
    rows = compute_indicators(list(months), given(features, moved, origins)).frames[Indicators]
    valid(Indicators, rows)
    return rows[(rows["indicator"] == name) & (rows["month"] == MONTH)].iloc[0]


def crowd(shows: dict[str, Any], others: dict[str, Any], month: str = "2026-03") -> list[dict[str, Any]]:
    """Twenty customers with a sign and forty without."""
    return [
        *(close(month, f"with{number:02d}", **shows) for number in range(20)),
        *(close(month, f"wout{number:02d}", **others) for number in range(40)),
    ]


def test_lift_is_the_quotient_of_the_shares_that_expanded() -> None:
    """10 of 20 with a gate hit expand, 4 of 40 without: lift 5."""
    moved = [
        *(expansion("2026-04", f"with{number:02d}") for number in range(10)),
        *(expansion("2026-06", f"wout{number:02d}") for number in range(4)),
    ]
    row = indicator("gate_hit", crowd({"gate_hits": 2}, {"gate_hits": 0}), moved)
    assert row["customers_with"] == 20 and row["rows_with"] == 20 and row["rows_without"] == 40
    assert (row["expanded_with"], row["expanded_without"]) == (10, 4)
    assert (row["share_with"], row["share_without"], row["lift"]) == ("0.500000", "0.100000", "5.000000")
    assert float(row["lift_low"]) > 1 and row["verdict"] == "shown"
    # Ranked by gate hits: 20 rows with 10 of 14 cases, then the rest; 10/14 x 10/20 + 4/14 x 14/60.
    assert float(row["pr_auc"]) == pytest.approx(10 / 14 * 0.5 + 4 / 14 * 14 / 60, abs=1e-6)
    assert float(row["base_rate"]) == pytest.approx(14 / 60, abs=1e-6)


def test_what_is_not_known_is_on_no_side() -> None:
    features = [*crowd({"gate_hits": 2}, {"gate_hits": 0}), close("2026-03", "x"), close("2026-03", "y")]
    row = indicator("gate_hit", features, [expansion("2026-04", "x")])
    assert (row["rows_with"], row["rows_without"], row["rows_unknown"]) == (20, 40, 2)
    assert row["base_rate"] == "0.000000" and pd.isna(row["pr_auc"])
    assert row["verdict"] == "too few"
    never = indicator("promoter", features, [])
    assert (never["rows_with"], never["rows_unknown"], never["verdict"]) == (0, 62, "too few")
    assert pd.isna(never["share_with"]) and pd.isna(never["lift"])


def test_closes_whose_three_months_have_not_closed_are_left_out() -> None:
    features = [*crowd({"gate_hits": 1}, {"gate_hits": 0}), close("2026-04", "late", gate_hits=1)]
    assert indicator("gate_hit", features, [])["rows_with"] == 20
    old = crowd({"gate_hits": 1}, {"gate_hits": 0}, "2025-04")
    assert indicator("gate_hit", old, [])["rows_with"] == 20  # the twelfth close before
    rows = compute_indicators(
        [MONTH], given(crowd({"gate_hits": 1}, {"gate_hits": 0}, "2025-03"), [])
    ).frames[Indicators]
    assert rows.empty


def test_lead_time_is_from_where_the_sign_began_to_the_change() -> None:
    """First shown at the end of February; the seats were bought on 11 April: 41 days and a half."""
    features = [
        close("2026-01", "c", gate_hits=0),
        close("2026-02", "c", gate_hits=1),
        close("2026-03", "c", gate_hits=1),
        close("2026-02", "old", gate_hits=1),  # since when is not known
    ]
    moved = [expansion("2026-04", "c"), expansion("2026-04", "old")]
    origin = {"month": "2026-04", "expansion": 5000, "changed_at": pd.Timestamp("2026-04-11T12:00Z")}
    row = indicator("gate_hit", features, moved, [{**origin, "customer": name} for name in ("c", "old")])
    assert (row["lead_days"], row["leads"]) == (42, 1)
    row = indicator("gate_hit", features, moved, [])  # no change behind it: the month's end, 61 days
    assert (row["lead_days"], row["leads"]) == (61, 1)


def test_a_range_of_months_gives_what_each_month_alone_gives() -> None:
    rng = np.random.default_rng(4)
    calendar = [f"2025-{month:02d}" for month in range(1, 13)] + [
        f"2026-{month:02d}" for month in range(1, 7)
    ]
    features = [
        close(
            month,
            f"c{number}",
            gate_hits=int(rng.poisson(0.5)),
            active_users=int(rng.integers(1, 30)),
            segment=["smb", "enterprise"][number % 2],
            seat_utilisation=f"{rng.uniform(0.2, 1.1):.6f}",
        )
        for month in calendar
        for number in range(30)
    ]
    moved = [expansion(month, f"c{rng.integers(30)}") for month in calendar for _ in range(3)]
    moved = list({(row["month"], row["customer"]): row for row in moved}.values())
    usage = usage_of(
        *((month, f"c{number}", f"f{rng.integers(4)}") for month in calendar for number in range(30))
    )
    for rule, model in (
        (compute_indicators, Indicators),
        (compute_practices, Practices),
        (compute_feature_adoption, FeatureAdoption),
    ):
        tables = {Features: features, Movements: moved, Origins: [], **usage}
        every = rule(calendar[-3:], inputs(tables)).frames[model]
        assert len(every)
        for month in calendar[-3:]:
            alone = rule([month], inputs(until(month, tables))).frames[model]
            mine = every[every["month"] == month].reset_index(drop=True)
            pd.testing.assert_frame_equal(mine, alone)


def until(month: str, tables: Any) -> Any:
    """The tables as they were when the month was the newest."""
    return {model: [row for row in rows if row["month"] <= month] for model, rows in tables.items()}


def usage_of(*used: tuple[str, str, str]) -> dict[Any, list[dict[str, Any]]]:
    """Each use once, known in its month; every month between was read to its end."""
    rows = sorted(set(used))
    months = pd.period_range(min(row[0] for row in rows), max(row[0] for row in rows), freq="M").astype(str)
    return {
        FeatureUsage: [
            {
                "month": month,
                "account": customer,
                "customer": customer,
                "feature": feature,
                "known_at": pd.Timestamp(f"{month}-20T00:00Z"),
                "active_users": 1,
                "events": 3,
            }
            for month, customer, feature in rows
        ],
        UsageMonths: [{"month": month, "complete": True, "source": "t"} for month in months],
    }


def test_means_of_those_that_expand_and_of_the_others() -> None:
    features = crowd({"logins": 30}, {"logins": 10})
    moved = [expansion("2026-05", f"with{number:02d}") for number in range(20)]
    rows = compute_practices([MONTH], given(features, moved)).frames[Practices]
    valid(Practices, rows)
    row = rows.set_index(["segment", "indicator"]).loc[("smb", "logins")]
    assert (row["mean_expanders"], row["mean_others"]) == ("30.000000", "10.000000")
    assert (row["difference"], row["verdict"]) == ("20.000000", "shown")
    assert (row["expanders"], row["others"]) == (20, 40)
    same = rows.set_index(["segment", "indicator"]).loc[("all", "tenure_months")]
    assert (same["difference"], same["verdict"]) == ("0.000000", "not shown")
    assert rows.set_index(["segment", "indicator"]).loc[("all", "nps"), "verdict"] == "too few"


def adopters_world(expanders: int) -> tuple[list[dict[str, Any]], dict[Any, Any]]:
    """Twenty customers first use `export` in March, forty never do; all are alike otherwise."""
    features = crowd({"active_users": 5}, {"active_users": 5})
    used = [("2026-03", f"with{number:02d}", "export") for number in range(20)]
    before = [("2025-12", f"wout{number:02d}", "home") for number in range(40)]
    return features, usage_of(*used, *before)


def test_adopters_are_compared_with_others_like_them() -> None:
    features, usage = adopters_world(10)
    moved = [
        *(expansion("2026-04", f"with{number:02d}") for number in range(10)),
        *(expansion("2026-04", f"wout{number:02d}") for number in range(4)),
    ]
    tables = {Features: features, Movements: moved, Origins: [], **usage}
    rows = compute_feature_adoption([MONTH], inputs(tables)).frames[FeatureAdoption]
    valid(FeatureAdoption, rows)
    row = rows.set_index("feature").loc["export"]
    assert (row["adopters"], row["matched"], row["compared"]) == (20, 20, 40)
    assert (row["expanded_share"], row["others_share"], row["difference"]) == (
        "0.500000",
        "0.100000",
        "0.400000",
    )
    assert row["label"] == "observational" and row["verdict"] == "shown"


def test_who_differs_is_not_compared_and_who_used_it_before_adopts_nothing() -> None:
    features, usage = adopters_world(10)
    features = [
        {**row, "segment": "enterprise"} if row["customer"].startswith("with") else row for row in features
    ]
    tables: dict[Any, Any] = {Features: features, Movements: [], Origins: [], **usage}
    row = (
        compute_feature_adoption([MONTH], inputs(tables))
        .frames[FeatureAdoption]
        .set_index("feature")
        .loc["export"]
    )
    assert (row["adopters"], row["matched"], row["verdict"]) == (20, 0, "too few")
    again = usage_of(
        *((f"2026-{m:02d}", f"with{n:02d}", "export") for n in range(20) for m in (1, 3)),
        ("2025-12", "wout00", "home"),
    )
    rows = compute_feature_adoption([MONTH], inputs({**tables, **again})).frames[FeatureAdoption]
    assert rows.set_index("feature").loc["export", "adopters"] == 0


def test_a_use_that_was_known_only_after_the_close_is_no_adoption() -> None:
    features, usage = adopters_world(10)
    late = [{**row, "known_at": pd.Timestamp("2026-04-20T00:00Z")} for row in usage[FeatureUsage]]
    tables = {Features: features, Movements: [], Origins: [], **usage, FeatureUsage: late}
    assert compute_feature_adoption([MONTH], inputs(tables)).frames[FeatureAdoption].empty


def test_nothing_known_gives_no_rows() -> None:
    nothing: dict[Any, Any] = {
        model: [] for model in (Features, Movements, Origins, FeatureUsage, UsageMonths)
    }
    for rule, model in (
        (compute_indicators, Indicators),
        (compute_practices, Practices),
        (compute_feature_adoption, FeatureAdoption),
    ):
        assert rule([MONTH], inputs(nothing)).frames[model].empty


def test_signs_are_named_once() -> None:
    assert len({sign.name for sign in SIGNS}) == len(SIGNS)
    assert {sign.figure for sign in SIGNS} <= set(columns(Features))
