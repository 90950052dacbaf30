"""A change of the item states touches the months that depend on it, all of them and no others."""

from __future__ import annotations

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core import months
from expansion_platform.domain.mrr.first_paid import FirstPaid, first_paid_months
from expansion_platform.domain.mrr.month_fingerprints import state_sums, state_texts
from expansion_platform.simulator.company.company import simulate

CATALOG = Catalog.from_dict({})
LAST = "2026-10"
CALENDAR = months.between("2026-01", LAST)


def instant(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC").as_unit("us")


@pytest.fixture(scope="module")
def states() -> pd.DataFrame:
    return simulate(3, 60, 10).truth.expected_states.assign(confidence="exact", source="event")


def fingerprints(
    states: pd.DataFrame, first_paid: FirstPaid, calendar: list[str], catalog: Catalog
) -> dict[str, str]:
    return state_texts([state_sums(states, first_paid, calendar, catalog)], calendar)


def told(states: pd.DataFrame, catalog: Catalog = CATALOG, calendar: list[str] = CALENDAR) -> dict[str, str]:
    usd = states.assign(currency="usd")  # who pays first must not need exchange rates here
    return fingerprints(
        usd, first_paid_months(usd, catalog=catalog, rates={}, last=calendar[-1]), calendar, catalog
    )


def touched(before: pd.DataFrame, after: pd.DataFrame) -> list[str]:
    first, second = told(before), told(after)
    return [month for month in CALENDAR if first[month] != second[month]]


def one(**changes: object) -> pd.DataFrame:
    """A customer's item that begins before the months and lasts."""
    row = {
        "customer": "cus_1", "subscription": "sub_1", "item": "si_1", "valid_from": instant("2025-11-05"),
        "valid_to": pd.NaT, "status": "active",
        "collection_paused": None, "livemode": True, "currency": "usd", "product": "p", "price": "price_1",
        "usage_type": "licensed",
        "interval": "month", "interval_count": 1, "scheme_json": '{"type":"per_unit","unit":"100"}',
        "quantity": "3", "discounts_json": "[]",
        "source": "event", "confidence": "exact", "evidence_json": "[]",
    }  # fmt: skip
    made = {**row, **changes}
    return pd.DataFrame([made]).assign(
        **{
            name: pd.DatetimeIndex([made[name]], tz="UTC").as_unit("us")
            for name in ("valid_from", "valid_to")
        }
    )


def test_order_and_evidence_do_not_matter(states):
    shuffled = states.sample(frac=1, random_state=5).assign(evidence_json="[]", source="snapshot")
    assert touched(states, shuffled) == []


def test_a_state_found_to_be_planned_touches_the_months_that_may_say_so():
    began = instant("2026-08-09")
    assert touched(one(valid_from=began), one(valid_from=began, source="schedule")) == [
        "2026-08",
        "2026-09",
        "2026-10",
    ]


def test_categoricals_are_the_texts_they_stand_for(states):
    coded = states.astype({"status": "category", "scheme_json": "category", "quantity": "category"})
    assert touched(states, coded) == []


def test_a_state_that_goes_on_touches_no_earlier_month():
    ended = pd.concat(
        [one(valid_to=instant("2026-08-10")), one(valid_from=instant("2026-08-10"), quantity="4")]
    )
    assert touched(one(), ended) == ["2026-08", "2026-09", "2026-10"]


def test_a_change_within_one_month_touches_that_month_only():
    back = pd.concat(
        [
            one(valid_to=instant("2026-04-10")),
            one(valid_from=instant("2026-04-10"), valid_to=instant("2026-04-20"), quantity="9"),
            one(valid_from=instant("2026-04-20")),
        ]
    )
    assert touched(one(), back) == ["2026-04"]


def test_a_later_change_of_the_customer_sees_what_it_had_before():
    def with_change(quantity: str) -> pd.DataFrame:
        return pd.concat(
            [
                one(valid_to=instant("2026-02-10"), quantity=quantity),
                one(valid_from=instant("2026-02-10"), valid_to=instant("2026-07-01")),
                one(valid_from=instant("2026-07-01"), quantity="30"),
                one(customer="cus_2", item="si_2"),
            ]
        )

    assert touched(with_change("1"), with_change("2")) == ["2026-01", "2026-02", "2026-07"]


def test_the_month_a_customer_first_paid_is_known_ever_after():
    paying, free = one(), one(scheme_json='{"type":"per_unit","unit":"0"}')
    gone = {"valid_to": instant("2026-03-05")}

    def paid(month: str, at: str) -> FirstPaid:
        return FirstPaid(pd.Series({"cus_1": month}), pd.Series({"cus_1": instant(at)}), {})

    early, later, sooner = (
        paid("2026-02", "2026-02-10"),
        paid("2026-05", "2026-05-10"),
        paid("2026-02", "2026-02-09"),
    )
    first, second, third = (fingerprints(one(), paid, CALENDAR, CATALOG) for paid in (early, later, sooner))
    assert [month for month in CALENDAR if first[month] != second[month]] == CALENDAR[1:]
    # Tenure runs from that day.
    assert [month for month in CALENDAR if first[month] != third[month]] == CALENDAR[1:]
    assert touched(paying.assign(**gone), free.assign(**gone))


def test_a_month_is_the_same_in_any_range(states):
    whole = told(states)
    part = told(states, calendar=CALENDAR[3:6])
    assert part == {month: whole[month] for month in CALENDAR[3:6]}


def test_no_states_at_all():
    assert told(one().iloc[:0])["2026-05"] == told(one().iloc[:0])["2026-06"]


def test_a_beginning_that_makes_prices_plans_touches_the_months_in_which_they_are():
    """Two customers on each of two prices and a third one on the first; whether a third began on the second
    in March decides D-12 from April on.
    """

    def customer(number: int, price: str, began: str, until: str | None = None) -> pd.DataFrame:
        last = pd.NaT if until is None else instant(until)
        names = {"customer": f"cus_{number}", "subscription": f"sub_{number}", "item": f"si_{number}"}
        return one(
            **names,
            price=price,
            valid_from=instant(began),
            valid_to=last,
            scheme_json=f'{{"type":"per_unit","unit":"{100 * number}"}}',
        )

    begun = [
        customer(n, price, day)
        for n, (price, day) in enumerate([("a", "2026-01-05"), ("b", "2026-01-06"), ("a", "2026-02-01")], 1)
    ]
    begun += [customer(4, "b", "2026-04-20"), customer(5, "a", "2026-04-21")]
    third = customer(6, "b", "2026-03-10", "2026-03-11")
    # Of one that came and went within March the month itself is touched, as of any; the others only because
    # the prices are plans then.
    assert touched(pd.concat(begun), pd.concat([*begun, third])) == ["2026-03", *CALENDAR[3:]]
    elsewhere = third.assign(price="c")
    assert touched(pd.concat(begun), pd.concat([*begun, elsewhere])) == ["2026-03"]
