"""The first month a customer paid: at a closing instant, at that month's rate, after aliases."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.catalog.catalog import Catalog
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.mrr.first_paid import (
    FirstPaid,
    first_paid_months,
    refuse_unknown_past,
    refuse_unreadable,
)
from expansion_platform_tests.domain.books import item, percent
from expansion_platform_tests.domain.frames import states

USD = {"usd": "1"}
RATES = dict.fromkeys(["2026-01", "2026-02", "2026-03", "2026-04"], USD)
LAST = "2026-04"


def stretch(since: str, until: str | None, customer: str = "c1") -> pd.DataFrame:
    row = {
        "customer": customer,
        "subscription": "sub_1",
        "valid_from": since,
        "valid_to": until,
        "problem": "a fault",
        "objects_json": '["si_1"]',
    }
    frame = pd.DataFrame([row])
    return frame.assign(
        **{
            name: pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
            for name in ("valid_from", "valid_to")
        }
    )


@pytest.mark.parametrize(
    ("since", "until", "stops"),
    [
        ("2026-02-10", None, pytest.raises(DataQualityError, match="a fault: si_1")),
        ("2026-01-10", "2026-02-10", pytest.raises(DataQualityError, match="a fault: si_1")),
        ("2026-02-10", "2026-02-20", nullcontext()),  # neither end of the month lies in it
        # The closing instant is exclusive: what begins there is the next month's.
        ("2026-03-01", None, nullcontext()),
        ("2026-01-01", "2026-01-31", nullcontext()),
    ],
)
def test_a_month_that_begins_or_ends_in_what_cannot_be_read_stops(
    since: str, until: str | None, stops: AbstractContextManager[Any]
) -> None:
    opening, closing = pd.Timestamp("2026-02-01", tz="UTC"), pd.Timestamp("2026-03-01", tz="UTC")
    with stops:
        refuse_unreadable(stretch(since, until), opening, closing)


def test_nobody_is_new_whose_past_cannot_be_read() -> None:
    opening, catalog = pd.Timestamp("2026-03-01", tz="UTC"), Catalog.from_dict({"aliases": {"c0": "c1"}})
    past = stretch("2026-01-10", "2026-01-20", "c0")
    refuse_unknown_past(past, {"c2"}, opening, catalog)
    refuse_unknown_past(stretch("2026-03-10", None, "c0"), {"c1"}, opening, catalog)
    with pytest.raises(DataQualityError, match="a fault: si_1"):
        refuse_unknown_past(past, {"c1"}, opening, catalog)


def held(since: str, until: str | None = None, **more: Any) -> dict[str, Any]:
    """One seat at 10.00 from `since` to `until`."""
    values = {"name": f"si_{since}", "product": "pro", "unit": "1000", "quantity": "1", **more}
    made = item(
        values.pop("name"), values.pop("product"), values.pop("unit"), values.pop("quantity"), **values
    )
    return {**made, "valid_from": since, "valid_to": until}


def first_paid(
    *rows: dict[str, Any], rates: Any = RATES, timezone: str = "UTC", last: str = LAST, **catalog: Any
) -> FirstPaid:
    instants = pd.DataFrame([{name: row[name] for name in ("valid_from", "valid_to")} for row in rows])
    frame = states(list(rows)).assign(
        **{
            name: pd.to_datetime(instants[name], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
            for name in instants
        }
    )
    return first_paid_months(
        frame, catalog=Catalog.from_dict(catalog), rates=rates, last=last, timezone=timezone
    )


def months(*rows: dict[str, Any], **more: Any) -> dict[str, str]:
    return first_paid(*rows, **more).months.to_dict()


def since(*rows: dict[str, Any], **more: Any) -> dict[str, str]:
    """Customer -> beginning of its first state with MRR."""
    return {
        customer: at.isoformat(timespec="minutes")[:16]
        for customer, at in first_paid(*rows, **more).instants.items()
    }


def test_the_month_whose_end_a_state_covers() -> None:
    assert months(held("2026-02-10")) == {"c1": "2026-02"}


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("2026-02-28T23:59:59", None, {"c1": "2026-02"}),
        # A change at the instant belongs to the later month.
        ("2026-03-01T00:00:00", None, {"c1": "2026-03"}),
        ("2026-02-10", "2026-03-01T00:00:00", {"c1": "2026-02"}),
        ("2026-02-10", "2026-02-28T23:59:59", {}),  # came and went within the month
        ("2026-05-01", None, {}),  # after the last month
        ("2025-11-15", None, {"c1": "2025-11"}),
    ],
)
def test_boundaries(since: str, until: str | None, expected: dict[str, str]) -> None:
    assert months(held(since, until)) == expected


def test_the_time_zone_moves_the_boundary() -> None:
    row = held("2026-02-28T23:30:00")
    assert months(row, timezone="Europe/Berlin") == {"c1": "2026-03"}
    assert months(row, timezone="America/New_York") == {"c1": "2026-02"}


def test_states_that_charge_nothing_do_not_count() -> None:
    trial = held("2026-01-10", "2026-02-10", status="trialing")
    free = held("2026-01-10", "2026-02-10", name="si_free", discounts=[percent("100")])
    paid = held("2026-02-10")
    assert months(trial, paid) == {"c1": "2026-02"}
    assert months(free, paid) == {"c1": "2026-02"}
    assert months(trial) == {}


def test_an_alias_paid_for_its_owner() -> None:
    rows = [held("2026-01-10", "2026-02-10", customer="old"), held("2026-02-10", customer="new")]
    assert months(*rows, aliases={"old": "new"}) == {"new": "2026-01"}
    assert months(*rows) == {"old": "2026-01", "new": "2026-02"}


def test_the_earliest_of_several_items() -> None:
    assert months(
        held("2026-03-10", name="si_b"), held("2026-01-10", name="si_a"), held("2026-02-10", customer="c2")
    ) == {
        "c1": "2026-01",
        "c2": "2026-02",
    }


def test_an_amount_that_rounds_to_nothing_at_one_rate_is_looked_at_again_at_the_next() -> None:
    """One yen is 0.004 cents at first and 0.6 cents after it rose."""
    rates = {
        month: {"usd": "1", "jpy": rate}
        for month, rate in (("2026-01", "0.00004"), ("2026-02", "0.00004"), ("2026-03", "0.006"))
    }
    row = held("2026-01-10", currency="jpy", unit="1")
    assert months(row, rates=rates, last="2026-03") == {"c1": "2026-03"}
    assert months(row, rates=rates, last="2026-02") == {}
    assert months({**row, "valid_to": "2026-02-20"}, rates=rates, last="2026-03") == {}


def test_tenure_runs_from_the_beginning_of_the_first_state_with_mrr() -> None:
    """Not from the end of its month, nor from a trial, a free plan or a full discount."""
    before = [
        held("2026-01-01", "2026-01-15", status="trialing"),
        held("2026-01-01", "2026-01-15", name="si_free", unit="0"),
        held("2026-01-01", "2026-01-15", name="si_full", discounts=[percent("100")]),
        held("2026-01-01", "2026-01-15", name="si_seats", quantity="0"),
        held("2026-01-01", "2026-01-15", name="si_incomplete", status="incomplete"),
    ]
    assert since(*before) == {}
    assert since(*before, held("2026-02-03T10:30", "2026-03-04"), held("2026-03-04")) == {
        "c1": "2026-02-03T10:30"
    }
    assert since(held("2025-11-15")) == {"c1": "2025-11-15T00:00"}


def test_who_paid_within_a_month_only_has_paid_since_then() -> None:
    """It came and went in January and returned in March: its cohort is March, since no closing instant had
    seen it, its tenure runs from January.
    """
    rows = [held("2026-01-10", "2026-01-20"), held("2026-03-05")]
    assert months(*rows) == {"c1": "2026-03"}
    assert since(*rows) == {"c1": "2026-01-10T00:00"}


def test_the_first_payment_of_a_merged_customer_is_its_owners() -> None:
    rows = [held("2026-01-10", "2026-02-10", customer="old"), held("2026-02-10", customer="new")]
    assert since(*rows, aliases={"old": "new"}) == {"new": "2026-01-10T00:00"}
    assert since(*rows) == {"old": "2026-01-10T00:00", "new": "2026-02-10T00:00"}


def test_what_a_rate_lifts_to_a_cent_pays_from_that_months_opening_on() -> None:
    rates = {
        month: {"usd": "1", "jpy": rate}
        for month, rate in (("2026-01", "0.00004"), ("2026-02", "0.00004"), ("2026-03", "0.006"))
    }
    row = held("2026-01-10", currency="jpy", unit="1")
    assert since(row, rates=rates, last="2026-03") == {"c1": "2026-03-01T00:00"}
    assert since(row, rates=rates, last="2026-02") == {}


@pytest.mark.parametrize("last", ["2026-02", "2026-03", "2026-04"])
def test_the_first_payment_is_the_same_whatever_is_looked_at_later(last: str) -> None:
    assert since(
        held("2026-02-10", "2026-02-20"), held("2026-02-25"), held("2026-04-10", name="si_b"), last=last
    ) == {"c1": "2026-02-10T00:00"}


def test_a_missing_rate_concerns_its_month_and_later_ones_only() -> None:
    rates = {**RATES, "2026-02": {"usd": "1"}}
    known = first_paid(
        held("2026-01-10", name="si_usd"),
        held("2026-02-10", name="si_eur", currency="eur", customer="c2"),
        rates=rates,
    )
    assert set(known.before("2026-01")) == set()
    with pytest.raises(DataQualityError, match="si_eur"):
        known.before("2026-03")
    assert known.months.to_dict()["c1"] == "2026-01"


def test_paid_before_means_in_an_earlier_month() -> None:
    known = first_paid(held("2026-02-10"))
    assert (set(known.before("2026-02")), set(known.before("2026-03"))) == (set(), {"c1"})


def test_nothing_held_is_nobody() -> None:
    assert first_paid(held("2026-02-10"), last="2026-01").months.empty
    assert first_paid_months(
        states([]).assign(valid_from=[], valid_to=[]), catalog=Catalog.from_dict({}), rates={}, last=LAST
    ).months.empty
