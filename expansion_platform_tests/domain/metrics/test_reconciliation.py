"""Each identity between tables holds on a right book and refuses a wrong one, naming what is wrong."""

from __future__ import annotations

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.core.table import empty
from expansion_platform.domain.history import reconciliation as history_reconciliation
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.metrics import reconciliation_totals
from expansion_platform.domain.metrics import rollforward as metrics_rollforward
from expansion_platform.domain.mrr import reconciliation
from expansion_platform_tests.domain.metrics.test_one_month import BOOK, customer_months, movements, sums


def causes(**amounts: int) -> pd.DataFrame:
    """`ada_seat=30_000`: customer and cause."""
    rows = [
        {"month": "2026-03", "customer": name.split("_")[0], "cause": name.split("_", 1)[1], "amount": value}
        for name, value in amounts.items()
    ]
    return pd.DataFrame(rows, columns=["month", "customer", "cause", "amount"])


RIGHT = {
    "ada_seat": 30_000,
    "ada_tier": 20_000,
    "bob_seat": -80_000,
    "bob_discount": -20_000,
    "gus_addon": 5_000,
    "gus_price": 1_000,
}
RIGHT |= {"gus_interval": -500, "gus_fx": 500}


def test_causes_that_sum_to_the_movement_pass() -> None:
    reconciliation.causes_explain_movements(movements(BOOK), causes(**RIGHT))
    reconciliation.causes_explain_movements(movements([]), causes())


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"ada_seat": 30_001}, "ada/2026-03"),  # a cent too many
        ({"bob_seat": 0}, "bob/2026-03"),
        ({"cy_seat": -100_000}, "cy/2026-03"),  # churn has no causes
        ({"eve_seat": 70_000}, "eve/2026-03"),  # nor has a new customer
        ({"hal_seat": 5}, "hal/2026-03"),  # without a movement
    ],
)
def test_causes_that_do_not_are_refused(changed: dict[str, int], named: str) -> None:
    with pytest.raises(DataQualityError) as caught:
        reconciliation.causes_explain_movements(movements(BOOK), causes(**{**RIGHT, **changed}))
    assert caught.value.objects == [named]


def test_a_movement_without_its_causes_is_refused() -> None:
    rest = {name: amount for name, amount in RIGHT.items() if not name.startswith("gus")}
    with pytest.raises(DataQualityError, match="gus/2026-03"):
        reconciliation.causes_explain_movements(movements(BOOK), causes(**rest))


def changed_row(frame: pd.DataFrame, customer: str, column: str, by: int) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[frame["customer"] == customer, column] += by
    return frame


@pytest.mark.parametrize("column", ["opening", "closing"])
@pytest.mark.parametrize("customer", ["ada", "cy", "eve", "hal"])
def test_a_customer_that_does_not_tie_is_named(customer: str, column: str) -> None:
    reconciliation.customers_tie(customer_months(BOOK), movements(BOOK))
    with pytest.raises(DataQualityError) as caught:
        reconciliation.customers_tie(changed_row(customer_months(BOOK), customer, column, 1), movements(BOOK))
    assert caught.value.objects == [f"{customer}/2026-03"]


def test_a_movement_of_nobody_is_named() -> None:
    with pytest.raises(DataQualityError, match="ada/2026-03"):
        reconciliation.customers_tie(customer_months(BOOK[1:]), movements(BOOK))


def test_a_returning_customer_paid_before_or_is_said_to_have() -> None:
    """eve is new in March; fay returned, and her first MRR that Stripe tells of is March's, too: only the
    catalog can know of an earlier one.
    """
    book = customer_months(BOOK)
    book.loc[book["customer"].isin(["eve", "fay"]), "first_paid_month"] = "2026-03"
    reconciliation.first_paid_ties(book, movements(BOOK), ["fay"])
    with pytest.raises(DataQualityError) as caught:
        reconciliation.first_paid_ties(book, movements(BOOK), [])
    assert caught.value.objects == ["fay/2026-03"]
    with pytest.raises(DataQualityError, match="eve/2026-03"):
        # Who is new cannot have paid in January.
        reconciliation.first_paid_ties(customer_months(BOOK), movements(BOOK), ["fay"])


def two_months() -> pd.DataFrame:
    """April opens where March closed."""
    march = customer_months(BOOK)
    april = march[march["closing"] > 0].assign(month="2026-04", opening=lambda rows: rows["closing"])
    return pd.concat([march, april], ignore_index=True)


def test_months_chain() -> None:
    reconciliation.months_chain(two_months())
    reconciliation.months_chain(two_months().query("month == '2026-03'"))
    reconciliation.months_chain(customer_months([]))


def test_an_opening_that_is_not_the_closing_before_is_named() -> None:
    book = two_months()
    book.loc[(book["month"] == "2026-04") & (book["customer"] == "eve"), "opening"] += 1
    with pytest.raises(DataQualityError) as caught:
        reconciliation.months_chain(book)
    assert caught.value.objects == ["eve/2026-04"]


def test_a_customer_that_vanishes_or_appears_between_months_is_named() -> None:
    book = two_months()
    without = book[~((book["month"] == "2026-04") & (book["customer"] == "hal"))]
    with pytest.raises(DataQualityError, match="hal/2026-04"):
        reconciliation.months_chain(without)
    without = book[~((book["month"] == "2026-03") & (book["customer"] == "hal"))]
    with pytest.raises(DataQualityError, match="hal/2026-04"):
        reconciliation.months_chain(without)


def test_a_month_that_is_not_given_breaks_no_chain() -> None:
    """A run may cover March and May with April current: only months that are both there are compared."""
    book = two_months().replace({"month": {"2026-04": "2026-05"}})
    book.loc[book["month"] == "2026-05", "opening"] += 7
    reconciliation.months_chain(book)


@pytest.mark.parametrize("column", ["opening", "expansion", "fx", "closing"])
def test_segments_that_do_not_sum_are_named(column: str) -> None:
    rollforward = metrics_rollforward.rollforward(sums())
    reconciliation_totals.segments_sum(rollforward)
    rollforward.loc[rollforward["value"] == "smb", column] += 1
    with pytest.raises(DataQualityError) as caught:
        reconciliation_totals.segments_sum(rollforward)
    assert caught.value.objects == [f"2026-03 {column}"]


def test_transfers_that_do_not_cancel_are_named() -> None:
    rollforward = metrics_rollforward.rollforward(sums())
    rollforward.loc[rollforward["value"] == "smb", "transfer_in"] -= 1
    with pytest.raises(DataQualityError, match="2026-03 transfers"):
        reconciliation_totals.segments_sum(rollforward)


READABLE = empty(billing.Quarantine)
SUBSCRIPTIONS = pd.DataFrame(
    {"id": ["sub_1", "sub_2", "sub_old"], "status": ["active", "past_due", "canceled"]}
)
ITEMS = pd.DataFrame(
    {
        "id": ["si_1", "si_2", "si_old"],
        "subscription": ["sub_1", "sub_2", "sub_old"],
        "price": ["p1", "p2", "p1"],
        "quantity": ["3", "1", "9"],
    }
)
STATES = pd.DataFrame(
    {
        "item": ["si_1", "si_1", "si_2", "si_old"],
        "price": ["p1", "p1", "p2", "p1"],
        "quantity": ["2", "3", "1", "9"],
        "usage_type": "licensed",
        "valid_to": [pd.Timestamp("2026-02-01", tz="UTC"), None, None, pd.Timestamp("2026-02-01", tz="UTC")],
    }
)


def test_history_that_ends_in_stripes_items_passes() -> None:
    assert history_reconciliation.history_matches_stripe(STATES, READABLE, SUBSCRIPTIONS, ITEMS) == 2


def test_items_whose_present_cannot_be_read_are_not_compared() -> None:
    unread = pd.DataFrame(
        {"subscription": ["sub_1", "sub_2"], "valid_to": [None, pd.Timestamp("2026-02-01", tz="UTC")]}
    )
    states = STATES.assign(
        valid_to=STATES["valid_to"]
        .fillna(pd.Timestamp("2026-03-01", tz="UTC"))
        .where(STATES["item"] == "si_1", STATES["valid_to"])
    )
    assert history_reconciliation.history_matches_stripe(states, unread, SUBSCRIPTIONS, ITEMS) == 1


def test_a_metered_items_usage_is_nothing_stripe_shows_of_the_item() -> None:
    states, items = STATES.assign(usage_type="metered"), ITEMS.assign(quantity=None)
    assert history_reconciliation.history_matches_stripe(states, READABLE, SUBSCRIPTIONS, items) == 2


@pytest.mark.parametrize(
    ("states", "items", "named"),
    [
        (STATES.assign(quantity=["2", "4", "1", "9"]), ITEMS, "si_1"),
        (STATES.assign(price=["p1", "p9", "p2", "p1"]), ITEMS, "si_1"),
        (STATES[STATES["item"] != "si_2"], ITEMS, "si_2"),
        (STATES, ITEMS[ITEMS["id"] != "si_2"], "si_2"),
        # Two current states of an item, and one of a canceled subscription.
        (STATES.assign(valid_to=None), ITEMS, "si_1"),
    ],
)
def test_history_that_does_not_is_refused(states: pd.DataFrame, items: pd.DataFrame, named: str) -> None:
    with pytest.raises(DataQualityError, match=named):
        history_reconciliation.history_matches_stripe(states, READABLE, SUBSCRIPTIONS, items)
