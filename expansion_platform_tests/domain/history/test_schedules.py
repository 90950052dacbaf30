"""What subscription schedules tell of items (reference 2.5.7)."""

from __future__ import annotations

from typing import Any

import pytest

from expansion_platform.domain.core import canonical
from expansion_platform_tests.domain.history_rows import NOW, Account, day, line, proration, seconds

Items = tuple[tuple[str, str], ...]


@pytest.fixture
def account() -> Account:
    found = Account()
    found.subscription()
    return found


def schedule(
    account: Account,
    *phases: tuple[float, Items],
    made: float = 0,
    stopped: float | None = None,
    **fields: Any,
) -> None:
    """A schedule of (start day, ((price, quantity), ...)) phases, each until the next begins."""
    ends = [*(start for start, _ in phases[1:]), NOW + 300]
    told = [
        {
            "start": seconds(start),
            "end": seconds(end),
            "items": [{"price": price, "quantity": quantity} for price, quantity in items],
        }
        for (start, items), end in zip(phases, ends, strict=True)
    ]
    plain = {
        "id": "sched",
        "customer": "cus",
        "subscription": "sub",
        "status": "active",
        "created": day(made),
        "phases_json": canonical.dumps(told),
    }
    account._add(
        "subscription_schedules", plain | {"stopped_at": None if stopped is None else day(stopped)} | fields
    )


def test_phase_dates_a_change_that_only_the_next_renewal_bills(account: Account) -> None:
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "8", 30, 60))
    schedule(account, (0, (("basic", "5"),)), (12, (("basic", "8"),)))
    assert account.story() == [("si", 0, 12, "basic", "5"), ("si", 12, None, "basic", "8")]
    assert account.states()[["source", "confidence", "evidence_json"]].iloc[1].tolist() == [
        "schedule",
        "exact",
        '["in2_0","sched"]',
    ]


def test_steps_within_one_year_that_no_bill_shows(account: Account) -> None:
    account.price("yearly", unit_amount_decimal="10000", interval="year")
    account.item("si", "yearly", "9")
    account.invoice("in1", 0, line("si", "yearly", "5", 0, 365))
    schedule(
        account,
        (0, (("yearly", "5"),)),
        (30, (("yearly", "7"),)),
        (60, (("yearly", "9"),)),
        (NOW + 10, (("yearly", "20"),)),
    )
    assert account.story() == [
        ("si", 0, 30, "yearly", "5"),
        ("si", 30, 60, "yearly", "7"),
        ("si", 60, None, "yearly", "9"),
    ]


def test_phase_swaps_prices_and_items(account: Account) -> None:
    """One item changes its price, one goes, one comes: a phase names prices, the bills after it say which
    item.
    """
    account.item("si", "pro", "5")
    account.item("sk", "basic", "1", created=20)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30), line("sj", "extra", "2", 0, 30))
    account.invoice("in2", 30, line("si", "pro", "5", 30, 60), line("sk", "basic", "1", 30, 60))
    schedule(account, (0, (("basic", "5"), ("extra", "2"))), (20, (("pro", "5"), ("basic", "1"))))
    assert account.story() == [
        *(("si", 0, 20, "basic", "5"), ("si", 20, None, "pro", "5")),
        ("sj", 0, 20, "extra", "2"),
        ("sk", 20, None, "basic", "1"),
    ]


def test_phases_after_a_release_never_began(account: Account) -> None:
    account.item("si", "basic", "5")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 365))
    schedule(account, (0, (("basic", "5"),)), (30, (("basic", "7"),)), stopped=30, status="released")
    assert account.story() == [("si", 0, None, "basic", "5")]


def test_first_phase_repeats_what_was_there_when_the_schedule_was_made(account: Account) -> None:
    """Made on day 20 from a subscription whose period began on day 0: its first phase begins then, with what
    was held on day 20.
    """
    account.item("si", "basic", "8")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.pending("ii1", proration("si", "basic", "5", 10, 30, -3333))
    account.pending("ii2", proration("si", "basic", "8", 10, 30, 5333))
    schedule(account, (0, (("basic", "8"),)), (NOW + 30, (("basic", "9"),)), made=20)
    assert account.story() == [("si", 0, 10, "basic", "5"), ("si", 10, None, "basic", "8")]


def test_what_was_billed_in_the_second_a_phase_began_is_believed(account: Account) -> None:
    account.item("si", "basic", "6")
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("si", "basic", "6", 30, 60))
    schedule(account, (0, (("basic", "5"),)), (30, (("basic", "8"),)))
    assert account.story() == [("si", 0, 30, "basic", "5"), ("si", 30, None, "basic", "6")]


def test_phase_ends_no_item_that_was_gone_before_it(account: Account) -> None:
    """The plan is swapped by hand, and back by another item: the phase is that one's, and says nothing of the
    item it named before.
    """
    account.item("sk", "basic", "8", created=60)
    account.invoice("in1", 0, line("si", "basic", "5", 0, 30))
    account.invoice("in2", 30, line("sj", "pro", "5", 30, 60))
    account.invoice("in3", 60, line("sk", "basic", "5", 60, 90))
    schedule(account, (0, (("basic", "5"),)), (12, (("basic", "6"),)), (75, (("basic", "8"),)))
    assert account.story() == [
        *(("si", 0, 12, "basic", "5"), ("si", 12, 30, "basic", "6")),
        ("sj", 30, 60, "pro", "5"),
        *(("sk", 60, 75, "basic", "5"), ("sk", 75, None, "basic", "8")),
    ]
