"""Use against each limit, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.signals import tables as signals
from expansion_platform_tests.domain.signals.company import (
    MARCH,
    Row,
    company,
    graduated,
    months_read,
    read,
    state,
    used,
)

SCHEME = graduated((1000, "0"), (5000, "2"), (None, "1"))


def rows(*users: int, seats: str = "20", complete: bool = True, more: Any = ()) -> dict[str, dict[str, Any]]:
    """Rows by limit of a customer with active users in January, February and March."""
    months = ["2026-01", "2026-02", MARCH][3 - len(users) :]
    found = company(
        {
            billing.ItemStates: [state("2025-01-10", quantity=seats), *more],
            signals.UsageMonths: [read("2026-02", complete), read("2026-01"), read(MARCH)],
            signals.AccountUsage: [
                used(month, active_users=each) for month, each in zip(months, users, strict=True)
            ],
        }
    ).signals(MARCH)[signals.Utilisation]
    return {
        row["limit"]: {
            name: None if row[name] != row[name] or row[name] is None else row[name]
            for name in ("used", "available", "share", "months_to_limit")
        }
        for row in found.to_dict("records")
    }


def metered(begins: str, ends: str | None, quantity: str, scheme: Row = SCHEME) -> Row:
    return state(
        begins, ends, item="si_m", product="api", price="api", usage_type="metered", quantity=quantity,
        scheme=scheme,
    )  # fmt: skip


def months_of_usage(*quantities: str, scheme: Row = SCHEME) -> list[Row]:
    """A metered item in January, February and March."""
    starts = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
    return [
        metered(starts[place], starts[place + 1], quantity, scheme)
        for place, quantity in enumerate(quantities)
    ]


def test_seats() -> None:
    # 10, 12, 16: two and a half a month by least squares are (16 - 10) / 2 = 3; 4 are left.
    assert rows(10, 12, 16) == {
        "seats": {
            "used": "16.000000",
            "available": "20.000000",
            "share": "0.800000",
            "months_to_limit": "1.333333",
        }
    }


@pytest.mark.parametrize(
    ("users", "until"),
    [
        ((10, 12, 10), None),
        ((12, 11, 10), None),
        ((10, 12, 20), "0.000000"),
        ((30, 28, 25), "0.000000"),
        ((18, 30, 19), "2.000000"),
        ((0, 0, 1), "38.000000"),
    ],
    ids=["flat", "falls", "reached", "beyond though it falls", "the middle has no weight", "slowly"],
)
def test_months_to_the_limit(users: tuple[int, ...], until: str | None) -> None:
    assert rows(*users)["seats"]["months_to_limit"] == until


def test_a_month_in_between_that_is_not_known() -> None:
    found = rows(10, 12, 16, complete=False)["seats"]
    assert (found["share"], found["months_to_limit"]) == ("0.800000", None)


def test_no_row_without_a_limit_or_use() -> None:
    assert rows(10, 12, 16, seats="0") == {}
    assert company().signals(MARCH)[signals.Utilisation].empty
    # No people of whom anything is known.
    unmapped = company({signals.UsageMonths: months_read(MARCH)}, accounts={})
    assert unmapped.signals(MARCH)[signals.Utilisation].empty


def test_units_included_and_the_next_tier() -> None:
    # 600, 700, 800: a hundred a month. Of the 1000 that are free 200 are left; the first tier ends there too.
    found = rows(1, 1, 1, more=months_of_usage("600", "700", "800"))
    expected = {
        "used": "800.000000",
        "available": "1000.000000",
        "share": "0.800000",
        "months_to_limit": "2.000000",
    }
    assert (found["unit"], found["tier"]) == (expected, expected)
    # 3000, 4000, 4500: 750 a month, in the second tier, which ends at 5000.
    found = rows(1, 1, 1, more=months_of_usage("3000", "4000", "4500"))
    assert found["unit"] == {
        "used": "4500.000000",
        "available": "1000.000000",
        "share": "4.500000",
        "months_to_limit": "0.000000",
    }
    assert found["tier"] == {
        "used": "4500.000000",
        "available": "5000.000000",
        "share": "0.900000",
        "months_to_limit": "0.666667",
    }


def test_the_last_tier_has_no_edge() -> None:
    assert set(rows(1, 1, 1, more=months_of_usage("1", "1", "6000"))) == {"seats", "unit"}


def test_a_price_without_limits_has_none() -> None:
    scheme = {"type": "per_unit", "unit": "1"}
    assert set(rows(1, 1, 1, more=months_of_usage("1", "2", "3", scheme=scheme))) == {"seats"}


def test_use_that_began_this_month_has_no_trend() -> None:
    found = rows(1, 1, 1, more=[metered("2026-03-01", None, "500")])
    assert (found["unit"]["share"], found["unit"]["months_to_limit"]) == ("0.500000", None)


def test_rows_come_by_month_customer_and_limit() -> None:
    frame = company(
        {
            billing.ItemStates: [state("2025-01-10"), *months_of_usage("600", "700", "800")],
            signals.UsageMonths: months_read(MARCH),
            signals.AccountUsage: [used(MARCH, active_users=1)],
        }
    ).signals(MARCH)[signals.Utilisation]
    assert frame["limit"].tolist() == ["seats", "tier", "unit"]
