"""Which prices of one product are plans because they are sold side by side (D-12), word by word, and that
catalog and migrations win over it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.catalog.plans import NO_PLANS, Plans, beginnings
from expansion_platform.domain.core.canonical import dumps
from expansion_platform.domain.mrr.causes import End, tier_changed
from expansion_platform.domain.mrr.movements import Classified, classify
from expansion_platform_tests.domain.books import item
from expansion_platform_tests.domain.frames import states

CLOSING = pd.Timestamp("2026-04-01", tz="UTC")
SILENT = Catalog()
LOW, HIGH, TOP = "price_low", "price_high", "price_top"
UNITS = {LOW: "1000", HIGH: "3000", TOP: "9000", "price_free": "0", "price_free_2": "0"}


def day(number: int) -> pd.Timestamp:
    """So many days before the closing instant."""
    return CLOSING - pd.Timedelta(days=number)


def state(customer: str, price: str, start: int, end: int | None = None, **more: Any) -> dict[str, Any]:
    """A customer's item of one product on a price from `start` to `end` days before the closing instant."""
    row = item(
        f"si_{customer}_{more.pop('part', '')}",
        more.pop("product", "prod"),
        UNITS[price],
        "2",
        customer=customer,
        price=price,
    )
    return row | more | {"valid_from": day(start), "valid_to": None if end is None else day(end)}


def history(*rows: dict[str, Any]) -> pd.DataFrame:
    frame = states(
        [{name: value for name, value in row.items() if not name.startswith("valid_")} for row in rows]
    )
    bounds = {
        name: pd.Series(pd.to_datetime([row[name] for row in rows], utc=True), index=frame.index)
        for name in ("valid_from", "valid_to")
    }
    return frame.assign(**{name: values.dt.as_unit("us") for name, values in bounds.items()})


def sold(price: str, *days: int, **more: Any) -> list[dict[str, Any]]:
    """A customer of its own begins on the price so many days before the closing instant, each."""
    return [
        state(f"{price}_{more.get('currency', '')}{number}_{began}", price, began, **more)
        for number, began in enumerate(days)
    ]


def plans(*rows: dict[str, Any], catalog: Catalog = SILENT, closing: pd.Timestamp = CLOSING) -> Plans:
    return beginnings(history(*rows), catalog).plans(closing)


SIDE_BY_SIDE = [*sold(LOW, 200, 150, 100), *sold(HIGH, 190, 150, 90)]  # both from 190 to 100 days before


def test_prices_sold_side_by_side_are_plans_by_their_amount() -> None:
    found = plans(*SIDE_BY_SIDE)
    assert (found.step(LOW, HIGH), found.step(HIGH, LOW), found.step(LOW, TOP)) == (1, -1, None)
    assert found.prices == {LOW, HIGH}


@pytest.mark.parametrize(
    ("low", "high", "are"),
    [
        ((200, 150, 110), (200, 150, 110), True),  # a stretch of 90 days
        ((200, 150, 111), (200, 150, 111), False),  # of 89
        ((200, 150), (200, 150, 110), False),  # two customers on one
        ((365, 300, 270), (365, 300, 270), True),
        ((366, 300, 270), (366, 300, 270), False),  # its first is before the year: two are left
        ((366, 365, 300, 270), (366, 365, 300, 270), True),
        ((90, 45, 1), (90, 45, 1), False),
        ((91, 45, 1), (91, 45, 1), True),
        ((91, 45, 0), (91, 45, 0), False),  # at the closing instant: belongs to the later month
        # Replaced: the old one's last is the new one's first.
        ((300, 280, 260, 240), (240, 220, 200, 180), False),
        ((300, 270, 240, 210), (240, 200, 100, 10), False),  # replaced with a month in which both were sold
        ((300, 200, 100), (299, 298, 297), False),  # all on one within three days
    ],
)
def test_three_customers_each_and_one_stretch_of_ninety_days_within_a_year(
    low: tuple[int, ...], high: tuple[int, ...], are: bool
) -> None:
    assert (plans(*sold(LOW, *low), *sold(HIGH, *high)).step(LOW, HIGH) == 1) == are


def test_a_price_replaced_twice_is_no_plan() -> None:
    versions = [*sold(LOW, 360, 330, 300, 270), *sold(HIGH, 269, 220, 180, 150), *sold(TOP, 149, 100, 50, 2)]
    assert plans(*versions) == NO_PLANS


def test_customers_who_move_do_not_begin() -> None:
    """Old customers were taken to the new price one by one over half a year, while it was sold to new
    ones.
    """
    moved = [
        row
        for n, when in enumerate((200, 150, 110, 60))
        for row in (state(f"c{n}", LOW, 300 - n, when), state(f"c{n}", HIGH, when))
    ]
    assert plans(*moved, *sold(HIGH, 200, 150, 20)).step(LOW, HIGH) is None
    # Nor do they begin on a third price by leaving the first.
    assert plans(*moved, *sold(TOP, 200, 150, 100)).step(HIGH, TOP) is None


def test_customers_who_come_back_do_not_begin() -> None:
    back = [
        row
        for n, when in enumerate((200, 150, 100))
        for row in (state(f"c{n}", LOW, 360, 300), state(f"c{n}", HIGH, when, part="b"))
    ]
    assert plans(*back, *sold(LOW, 200, 150, 100)).step(LOW, HIGH) is None


def test_who_comes_from_another_product_does_not_begin() -> None:
    """By the same item from any product; by another item from a product of the same family."""
    other, later = {"product": "other", "price": "price_other"}, (200, 150, 100)
    swapped = [
        row
        for n, when in enumerate(later)
        for row in (state(f"c{n}", LOW, 300, when) | other, state(f"c{n}", HIGH, when))
    ]
    assert plans(*swapped, *sold(LOW, *later)).step(LOW, HIGH) is None
    bought = [
        row
        for n, when in enumerate(later)
        for row in (state(f"c{n}", LOW, 300, when) | other, state(f"c{n}", HIGH, when, part="b"))
    ]
    assert plans(*bought, *sold(LOW, *later)).step(LOW, HIGH) == 1
    family = Catalog.from_dict({"products": {name: {"family": "main"} for name in ("prod", "other")}})
    assert plans(*bought, *sold(LOW, *later), catalog=family).step(LOW, HIGH) is None
    # A second item there does not make a customer new that came with its first one.
    again = [state(f"c{n}", HIGH, when - 5, part="b") for n, when in enumerate(later)]
    assert plans(*swapped, *again, *sold(LOW, *later)).step(LOW, HIGH) is None


def test_from_a_free_plan_customers_begin_on_the_plan_they_first_pay_for() -> None:
    free = "price_free"
    starts = [
        row
        for n, when in enumerate((200, 150, 100))
        for row in (state(f"a{n}", free, 300, when), state(f"a{n}", LOW, when))
    ]
    starts += [
        row
        for n, when in enumerate((200, 150, 100))
        for row in (state(f"b{n}", free, 300, when), state(f"b{n}", HIGH, when))
    ]
    found = plans(*starts)
    assert found.step(LOW, HIGH) == 1
    # Nobody began on LOW who could have stayed free: all were moves between the two.
    assert found.step(free, LOW) is None
    sold_too = plans(*starts, *sold(LOW, 300, 200, 100), *sold(free, 250, 120))
    assert sold_too.step(free, LOW) == 1


def test_equal_amounts_are_equal_plans() -> None:
    found = plans(*sold("price_free", 200, 150, 100), *sold("price_free_2", 200, 150, 100))
    assert found.step("price_free", "price_free_2") == 0


def test_amounts_are_compared_for_one_unit() -> None:
    tiers = {
        "type": "graduated",
        "tiers": [{"up_to": 5, "unit": "0", "flat": "900"}, {"up_to": None, "unit": "5000", "flat": "0"}],
    }
    rows = [row | {"scheme": tiers} if row["price"] == HIGH else row for row in SIDE_BY_SIDE]
    assert plans(*rows).step(LOW, HIGH) == -1  # 9.00 for one, 10.00 for one


@pytest.mark.parametrize(
    "more",
    [
        {"currency": "eur"},
        {"interval": "year"},
        {"interval_count": 3},
        {"usage_type": "metered"},
        {"product": "other"},
    ],
    ids=str,
)
def test_only_one_product_currency_unit_and_interval(more: dict[str, Any]) -> None:
    assert plans(*sold(LOW, 200, 150, 100), *sold(HIGH, 200, 150, 100, **more)) == NO_PLANS


def test_a_price_in_several_currencies_is_one_price() -> None:
    """Two customers in euros and one in dollars began on each of two prices with currency options."""
    rows = [
        each for price in (LOW, HIGH) for each in (*sold(price, 200, 100), *sold(price, 150, currency="eur"))
    ]
    assert plans(*rows).step(LOW, HIGH) == 1
    apart = [
        *sold(LOW, 200, 150, 100),
        *sold(LOW, 100, currency="eur"),
        *sold(HIGH, 200, 150, 100, currency="eur"),
    ]
    assert plans(*apart).step(LOW, HIGH) is None  # one customer in the currency both are sold in


@pytest.mark.parametrize(
    "more",
    [
        {"status": "trialing"},
        {"status": "incomplete"},
        {"livemode": False},
        {"collection_paused": "void"},
    ],
    ids=str,
)
def test_items_that_do_not_count_begin_nothing(more: dict[str, Any]) -> None:
    assert plans(*sold(LOW, 200, 150, 100), *sold(HIGH, 200, 150, 100, **more)) == NO_PLANS


def test_a_trial_begins_when_and_on_what_it_converts() -> None:
    trials = [
        row
        for n, when in enumerate((200, 150, 100))
        for row in (state(f"t{n}", LOW, when + 14, when, status="trialing"), state(f"t{n}", HIGH, when))
    ]
    assert plans(*trials, *sold(LOW, 200, 150, 100)).step(LOW, HIGH) == 1


def test_several_prices_bought_at_once_are_parts_of_one_plan() -> None:
    both = [
        row
        for n, when in enumerate((200, 150, 100))
        for row in (state(f"c{n}", LOW, when), state(f"c{n}", HIGH, when, part="b"))
    ]
    assert plans(*both) == NO_PLANS


def test_merged_customers_are_one() -> None:
    aliases = Catalog.from_dict({"aliases": {"price_high_1_150": "price_high_0_190"}})
    assert plans(*SIDE_BY_SIDE, catalog=aliases) == NO_PLANS


@pytest.mark.parametrize(
    "said",
    [
        {"products": {"prod": {"tier_rank": 1}}},
        {"products": {LOW: {"tier_rank": 1}}},
        {"products": {LOW: {"unit": "flat"}}},
    ],
    ids=str,
)
def test_what_the_catalog_says_wins(said: dict[str, Any]) -> None:
    assert plans(*SIDE_BY_SIDE, catalog=Catalog.from_dict(said)) == NO_PLANS
    assert (
        plans(*SIDE_BY_SIDE, catalog=Catalog.from_dict({"products": {"prod": {"family": "main"}}})).step(
            LOW, HIGH
        )
        == 1
    )


def test_a_rank_in_stripes_metadata_wins() -> None:
    assert plans(*SIDE_BY_SIDE, catalog=Catalog.from_dict({}, {LOW: {"tier_rank": "4"}})) == NO_PLANS


def test_no_states_and_one_price() -> None:
    assert plans(*SIDE_BY_SIDE[:3]) == NO_PLANS
    assert beginnings(history(*SIDE_BY_SIDE).iloc[:0], SILENT).plans(CLOSING) == NO_PLANS


# What plans do to a month


def month(
    before: str, after: str, catalog: Catalog = SILENT, known: Plans | None = None, quantity: str = "2"
) -> Classified:
    """One customer moves from `before` to `after`."""
    ends = [state("c", price, 10) for price in (before, after)]
    opening, closing = states(ends[:1]), states([ends[1] | {"quantity": quantity}])
    known = plans(*SIDE_BY_SIDE, catalog=catalog) if known is None else known
    return classify(
        opening, closing, catalog=catalog, rates_open={}, rates_close={}, ever_paid=(), plans=known
    )


@pytest.mark.parametrize(
    ("before", "after", "flow", "amount"),
    [(LOW, HIGH, "flow_expansion", 4000), (HIGH, LOW, "flow_contraction", -4000)],
)
def test_a_move_between_plans_is_tier_and_said_to_be_inferred(
    before: str, after: str, flow: str, amount: int
) -> None:
    found = month(before, after)
    assert found.causes[["cause", "amount", "inferred"]].to_numpy().tolist() == [["tier", amount, True]]
    assert found.movements[flow].tolist() == [amount]
    family = Catalog.from_dict({"products": {"prod": {"family": "main"}}})
    # The rank is inferred, although there is an entry.
    assert month(before, after, family).causes["inferred"].tolist() == [True]


def test_other_moves_are_price_as_before() -> None:
    assert month(LOW, TOP).causes["cause"].tolist() == ["price"]
    assert month(LOW, HIGH, known=NO_PLANS).causes["cause"].tolist() == ["price"]
    assert month(LOW, HIGH, known=Plans({(HIGH, LOW): 0})).causes["cause"].tolist() == ["price"]


def test_a_declared_migration_is_no_plan_change() -> None:
    assert month(LOW, HIGH, Catalog.from_dict({"migrations": [[HIGH, LOW]]})).causes["cause"].tolist() == [
        "price"
    ]


def test_ranks_of_the_catalog_decide() -> None:
    same = Catalog.from_dict({"products": {LOW: {"tier_rank": 2}, HIGH: {"tier_rank": 2}}})
    assert month(LOW, HIGH, same).causes[["cause", "inferred"]].to_numpy().tolist() == [["price", False]]


# Properties

DAYS = st.integers(-60, 420)
SOLD = st.dictionaries(
    st.sampled_from([LOW, HIGH, TOP, "price_free"]), st.lists(DAYS, min_size=3, max_size=8), min_size=2
)
NOISE = st.tuples(
    st.sampled_from([LOW, HIGH, TOP, "price_free"]),
    DAYS,
    st.sampled_from(["usd", "eur"]),
    st.sampled_from(["month", "year"]),
)


@st.composite
def books(draw: st.DrawFn) -> pd.DataFrame:
    """Prices that customers of their own begin on, and some of them begin on another one earlier or later, or
    in another currency or interval.
    """
    rows = [row for price, days in sorted(draw(SOLD).items()) for row in sold(price, *days)]
    for number, (price, began, currency, interval) in enumerate(draw(st.lists(NOISE, max_size=12))):
        customer = draw(st.sampled_from(rows))["customer"]
        rows.append(state(customer, price, began, currency=currency, interval=interval, part=str(number)))
    return history(*rows)


@settings(max_examples=30, deadline=None)
@given(books(), st.randoms(use_true_random=False))
def test_neither_later_facts_nor_the_order_of_rows_change_an_answer(book: pd.DataFrame, rng: Any) -> None:
    found = beginnings(book, SILENT).plans(CLOSING)
    before = book[book["valid_from"] < CLOSING]
    assert beginnings(before, SILENT).plans(CLOSING) == found
    order = list(range(len(book)))
    rng.shuffle(order)
    assert beginnings(book.iloc[order], SILENT).plans(CLOSING) == found
    coded = book.astype(dict.fromkeys(["product", "price", "currency", "scheme_json", "status"], "category"))
    assert beginnings(coded, SILENT).plans(CLOSING).text == found.text


@settings(max_examples=30, deadline=None)
@given(books(), st.booleans())
def test_steps_are_antisymmetric_ordered_and_only_of_what_nobody_said(book: pd.DataFrame, said: bool) -> None:
    catalog = Catalog.from_dict({"products": {HIGH: {"tier_rank": 1}}}) if said else SILENT
    found = beginnings(book, catalog).plans(CLOSING)
    for (one, other), step in found.steps.items():
        assert found.step(other, one) == -step
        assert step == np.sign(int(UNITS[other]) - int(UNITS[one]))
    assert not (said and HIGH in found.prices)


def test_declared_pairs_are_never_tier_whatever_is_inferred() -> None:
    known = Plans({(HIGH, LOW): -1})
    ends = [End(*_end(price)) for price in (LOW, HIGH)]
    assert tier_changed(*ends, SILENT, known)
    assert not tier_changed(*ends, Catalog.from_dict({"migrations": [[LOW, HIGH]]}), known)


def _end(price: str) -> tuple[Any, Any, int]:
    return SimpleNamespace(price=price, product="prod"), SILENT.entry(price, "prod", "licensed"), 0


def test_text_is_one_for_one_answer() -> None:
    assert (
        Plans({("a", "b"): 1, ("a", "c"): 0}).text
        == dumps([["a", "b", 1], ["a", "c", 0]])
        == Plans({("a", "c"): 0, ("a", "b"): 1}).text
    )
