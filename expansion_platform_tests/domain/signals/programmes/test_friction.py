"""Rows of signals/friction: attempts of one month, upgrades in it and the next."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.statistics import wilson
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.programmes.friction import compute_friction
from expansion_platform.domain.signals.tables import AccountUsage, Friction, UsageMonths
from expansion_platform_tests.domain.signals.programmes.programme_inputs import inputs, valid

MAY, JUNE = "2026-05", "2026-06"


def used(
    customer: str | None, hits: int, known: str = "2026-06-01", month: str = MAY, account: str = ""
) -> Any:
    return {
        "month": month,
        "account": account or f"acct_{customer}",
        "customer": customer,
        "known_at": pd.Timestamp(known, tz="UTC"),
        "gate_hits": hits,
    }


def paid(customer: str, month: str = MAY, opening: int = 100, closing: int = 100) -> Any:
    return {"month": month, "customer": customer, "opening": opening, "closing": closing}


def rows_of(
    usage: list[Any],
    upgrades: list[tuple[str, str]],
    origins: list[tuple[str, int]] | None = None,
    complete: bool = True,
    months: tuple[str, ...] = (JUNE,),
    members: list[Any] | None = None,
) -> Any:
    tables: dict[Any, list[Any]] = {
        AccountUsage: usage,
        UsageMonths: [{"month": MAY, "complete": complete}] if usage else [],
        mrr.CustomerMonths: members
        or [paid(f"cus_{number}", month) for number in range(6) for month in (MAY, JUNE)],
        mrr.Movements: [
            {"month": month, "customer": customer, "expansion_tier": 5} for customer, month in upgrades
        ],
        mrr.Origins: [
            {"month": JUNE, "origin": origin, "expansion": amount} for origin, amount in origins or []
        ],
    }
    found = compute_friction(months, inputs(tables, aliases={"cus_old": "cus_1"})).frames[Friction]
    return valid(Friction, found).set_index("month")


def test_upgrades_of_the_month_and_the_next_by_hand() -> None:
    """Four tried: one upgrades in May, two in June, one never; another upgrades without trying."""
    usage = [used(f"cus_{number}", 2) for number in range(4)] + [used("cus_4", 0), used(None, 9)]
    upgrades = [("cus_0", MAY), ("cus_0", JUNE), ("cus_1", JUNE), ("cus_2", JUNE), ("cus_4", JUNE)]
    row = rows_of(usage, upgrades, [("self_serve", 300), ("sales", 500), ("unknown", 200)]).loc[JUNE]
    assert (row["gate_month"], row["gate_hit_customers"], row["upgraded"]) == (MAY, 4, 3)
    assert (row["upgrade_rate"], row["median_months"]) == ("0.750000", "1.000000")
    bounds = float(row["upgrade_rate_low"]), float(row["upgrade_rate_high"])
    assert bounds == pytest.approx(wilson(0.75, 4), abs=1e-6)
    assert (row["self_serve_share"], row["unknown_share"]) == ("0.300000", "0.200000")


def test_accounts_of_a_customer_and_of_those_merged_into_it_are_one() -> None:
    usage = [used("cus_1", 1), used("cus_old", 1), used("cus_1", 0, account="acct_b")]
    row = rows_of(usage, [("cus_1", JUNE)]).loc[JUNE]
    assert (row["gate_hit_customers"], row["upgraded"]) == (1, 1)


def test_what_became_known_after_the_close_is_not_seen() -> None:
    """June closes on 6 July."""
    usage = [used("cus_1", 0), used("cus_1", 3, "2026-07-07"), used("cus_2", 1, "2026-07-05")]
    row = rows_of(usage, []).loc[JUNE]
    assert (row["gate_hit_customers"], row["upgraded"], row["upgrade_rate"]) == (1, 0, "0.000000")


def test_only_customers_that_paid_can_upgrade() -> None:
    members = [paid("cus_1", opening=0), paid("cus_2", closing=0), paid("cus_3", opening=0, closing=0)]
    usage = [used(f"cus_{number}", 1) for number in range(1, 6)]
    assert rows_of(usage, [], members=members).loc[JUNE, "gate_hit_customers"] == 2


def test_nobody_tried() -> None:
    row = rows_of([used("cus_1", 0)], [("cus_1", JUNE)]).loc[JUNE]
    assert (row["gate_hit_customers"], row["upgraded"]) == (0, 0)
    assert row[["upgrade_rate", "upgrade_rate_low", "median_months", "self_serve_share"]].isna().all()


def test_months_whose_usage_before_is_not_known_have_no_row() -> None:
    assert rows_of([], []).empty
    assert rows_of([used("cus_1", 1)], [], complete=False).empty
    assert rows_of([used("cus_1", 1)], [], months=(MAY, JUNE, "2026-07")).index.tolist() == [JUNE]
