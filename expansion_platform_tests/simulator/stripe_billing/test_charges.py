"""What Stripe charges, in whole minor units, on numbers small enough to check by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest

from expansion_platform.simulator.company.catalog import (
    BASIC,
    ENTERPRISE,
    INSIGHTS,
    PRO,
    STORAGE,
    Coupon,
    Price,
    build,
)
from expansion_platform.simulator.stripe_billing import charges
from expansion_platform.simulator.stripe_billing.charges import Discount, Item
from expansion_platform.simulator.stripe_billing.subscription import after

PRICES = build(0, (10,))


def price(product: object, currency: str = "usd", interval: str = "month") -> Price:
    return PRICES.price(product, currency, interval, 5)  # type: ignore[arg-type]


def given(coupon: Coupon, item: str | None = None) -> Discount:
    return Discount(f"di_{coupon.id}", coupon, "sub_1", item, 0, None)


@pytest.mark.parametrize(
    ("product", "quantity", "amount"),
    [
        (BASIC, 10, 12_000),
        (ENTERPRISE, 50, 350_000),
        (ENTERPRISE, 51, 51 * 6_200),
        (INSIGHTS, 10, 9_900),
        (INSIGHTS, 51, Fraction("42550.5")),
        (STORAGE, 100, 500),
        (STORAGE, 101, 1_000),
    ],
)
def test_gross(product: object, quantity: int, amount: Fraction) -> None:
    assert price(product).gross(quantity) == amount


def test_a_year_costs_ten_months_and_yen_have_no_cents() -> None:
    assert price(BASIC, interval="year").gross(1) == 12_000
    assert price(BASIC, "jpy").gross(1) == 1_800


def test_the_migrated_price_is_sold_from_its_day_on() -> None:
    old, new = PRICES.price(PRO, "usd", "month", 9), PRICES.price(PRO, "usd", "month", 10)
    assert (old.gross(1), new.gross(1)) == (3_000, 3_300)
    assert PRICES.successor(old) == new
    assert PRICES.successor(new) is None
    assert PRICES.semantics(9)["migrations"] == []
    assert [old.id, new.id] in PRICES.semantics(10)["migrations"]


def test_allocation_is_whole_and_ties_go_to_the_smallest_key() -> None:
    assert charges.allocate(100, {"b": Fraction(1), "a": Fraction(1), "c": Fraction(1)}) == {
        "b": 33,
        "a": 34,
        "c": 33,
    }
    assert charges.allocate(5, {"a": Fraction(99), "b": Fraction(1)}) == {"a": 5, "b": 0}


def test_discounts_apply_in_order_each_on_the_remainder() -> None:
    """10 % off 120.00 on the item, then 20.00 off the subscription's remaining 108.00 + 90.00, split 10.91 :
    9.09.
    """
    one, two = Item("si_1", price(BASIC), 10, 0), Item("si_2", price(PRO), 3, 0)
    one.discounts.append(given(Coupon("TEN", "forever", percent="10"), "si_1"))
    taken = charges.line_discounts(
        [one, two], 1, [given(Coupon("TWENTY", "forever", amount=2_000, currency="usd"))]
    )
    assert taken == {"si_1": [("di_TEN", 1_200), ("di_TWENTY", 1_091)], "si_2": [("di_TWENTY", 909)]}


def test_a_coupon_reduces_only_its_products() -> None:
    one, two = Item("si_1", price(BASIC), 10, 0), Item("si_2", price(PRO), 3, 0)
    taken = charges.line_discounts(
        [one, two], 1, [given(Coupon("PRO", "forever", percent="50", products=(PRO.id,)))]
    )
    assert taken == {"si_1": [], "si_2": [("di_PRO", 4_500)]}


def test_proration_is_net_of_percentages_and_rounds_half_to_even() -> None:
    """Half a period of 10 x 12.00 is 60.00, less 12.5 % is 52.50; of one seat at a tenth of a cent it is
    nothing and a half.
    """
    item = Item("si_1", price(BASIC), 10, 0)
    assert charges.prorated(item, 50, (0, 100), []) == 6_000
    assert (
        charges.prorated(item, 50, (0, 100), [given(Coupon("PARTNER", "forever", percent="12.5"))]) == 5_250
    )
    assert [charges.half_even(Fraction(half, 2)) for half in (1, 3, 5)] == [0, 2, 2]


def test_billing_periods_clamp_to_the_month_and_come_back() -> None:
    start = datetime(2025, 1, 31, 10, tzinfo=UTC)
    ends = [datetime.fromtimestamp(after(int(start.timestamp()), "month", count), UTC) for count in (1, 2, 3)]
    assert [(end.month, end.day, end.hour) for end in ends] == [(2, 28, 10), (3, 31, 10), (4, 30, 10)]
