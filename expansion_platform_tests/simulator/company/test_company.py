"""The company as a whole: a pure function of its arguments, consistent however late it is read, and with
something to find in it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pandas as pd
import pytest

from expansion_platform.domain.core import months
from expansion_platform.domain.core.table import arrow_schema
from expansion_platform.domain.history.tables import ItemStates
from expansion_platform.simulator.company.company import Company, simulate
from expansion_platform.simulator.truth.reference import classify_month
from expansion_platform_tests.simulator.behaviours import EXPECTED, seen

EARLY, LATE = datetime(2026, 5, 20, 13, tzinfo=UTC), datetime(2026, 6, 4, 6, tzinfo=UTC)


def test_every_behaviour_occurs(company: Company) -> None:
    assert seen(company) == EXPECTED


def test_same_arguments_same_company() -> None:
    one, two, other = simulate(3, 20, 12), simulate(3, 20, 12), simulate(4, 20, 12)
    assert one.account == two.account
    assert one.truth.states.equals(two.truth.states)
    assert one.fx_rates.equals(two.fx_rates)
    assert one.account.objects["invoices"] != other.account.objects["invoices"]


def test_reading_later_adds_and_never_rewrites() -> None:
    """Documents are the same at both instants apart from payment and refunds, and so is every event both
    readings keep.
    """
    early, late = simulate(5, 80, 24, EARLY), simulate(5, 80, 24, LATE)
    after = late.account.by_id()
    settled = {
        "status",
        "amount_paid",
        "amount_remaining",
        "attempted",
        "attempt_count",
        "auto_advance",
        "status_transitions",
        "invoice",
    }
    settled |= {"post_payment_credit_notes_amount"}
    for resource in ("products", "prices", "invoices", "invoiceitems", "credit_notes"):
        for item in early.account.objects[resource]:
            assert _without(item, settled) == _without(after[item["id"]], settled)
    kept = [
        event
        for event in early.account.objects["events"]
        if event["created"] >= int(LATE.timestamp()) - 30 * 86_400
    ]
    assert kept
    assert all(event == after[event["id"]] for event in kept)


def test_what_changes_between_two_readings_is_announced_by_an_event() -> None:
    """Across the price migration's day: a pull that re-reads only what events name misses nothing."""
    before, after = datetime(2025, 12, 5, tzinfo=UTC), datetime(2025, 12, 20, tzinfo=UTC)
    early, late = simulate(5, 80, 24, before), simulate(5, 80, 24, after)
    told: set[str] = set()
    for event in late.account.objects["events"]:
        if event["created"] > before.timestamp():
            told |= {event["data"]["object"]["id"], event["data"]["object"].get("subscription", "")}
    refunded = {note["invoice"] for note in late.account.objects["credit_notes"]}
    found = late.account.by_id()
    for resource in ("prices", "subscriptions", "invoices"):
        changed = {
            item["id"] for item in early.account.objects[resource] if _own(item) != _own(found[item["id"]])
        }
        assert changed
        assert changed - refunded <= told


def test_truth_read_later_differs_only_in_what_was_still_open() -> None:
    early, late = simulate(5, 80, 24, EARLY).truth.states, simulate(5, 80, 24, LATE).truth.states
    over = early[early["valid_to"] <= pd.Timestamp(EARLY)]
    assert len(over) > 50
    assert len(over.merge(late)) == len(over)


def test_expansion_slumps_in_the_newest_closed_month() -> None:
    company = simulate(7, customers=500, months=24)
    rates = [_expansion_rate(company, month) for month in months.between("2026-04", "2026-10")]
    usual = sum(rates[:-1]) / 6
    assert 0.012 < usual < 0.030
    assert rates[-1] < 0.6 * usual


def test_all_segments_exist(company: Company) -> None:
    result = classify_month(
        _book(company, "2026-09"), _book(company, "2026-10"), _catalog(company, "2026-10")
    )
    segments = [row["segment"] for row in result["customers"].values() if row["closing"] > 0]
    assert {name: segments.count(name) >= 8 for name in ("enterprise", "mid_market", "smb")} == dict.fromkeys(
        ("enterprise", "mid_market", "smb"), True
    )


def test_frames_have_their_columns(company: Company) -> None:
    wanted = [
        name
        for name in arrow_schema(ItemStates).names
        if name not in ("source", "confidence", "evidence_json")
    ]
    assert list(company.truth.states) == list(company.truth.expected_states) == wanted
    assert list(company.truth.undatable) == [
        "customer",
        "subscription",
        "item",
        "changed_at",
        "expected_at",
        "reason",
    ]
    assert list(company.fx_rates) == ["month", "currency", "rate"]
    assert sorted(set(company.fx_rates["month"])) == months.between("2024-10", "2026-10")
    assert list(company.account_months) == ["account", "customer", "month", "seats"]
    unmapped = set(company.account_months["account"]) - set(company.account_map["account"])
    assert 0 < len(unmapped) < 15


@pytest.mark.parametrize(
    "as_of",
    [datetime(2025, 11, 1, tzinfo=UTC), datetime(2025, 11, 4, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)],
)
def test_it_can_be_read_from_its_first_day_on(as_of: datetime) -> None:
    company = simulate(1, customers=40, months=12, as_of=as_of)
    assert all(item["created"] <= as_of.timestamp() for item in company.account.objects["customers"])
    assert len(company.fx_rates) == 3 * (1 + months.distance("2025-11", months.of(as_of)))


def _without(item: dict, keys: set[str]) -> dict:
    return {key: value for key, value in item.items() if key not in keys}


def _own(item: dict) -> dict:
    """The object without the copies of prices a subscription embeds: Stripe renders those as they are when
    asked.
    """
    if item["object"] != "subscription":
        return item
    return {**item, "items": [_without(each, {"price", "plan"}) for each in item["items"]["data"]]}


def _book(company: Company, month: str) -> list[dict]:
    closing, states = months.closing(month), company.truth.states
    held = states[
        (states["valid_from"] < closing) & (states["valid_to"].isna() | (states["valid_to"] >= closing))
    ]
    plain = [
        "customer",
        "subscription",
        "item",
        "status",
        "currency",
        "product",
        "price",
        "interval",
        "quantity",
    ]
    return [
        {
            **{name: row[name] for name in plain},
            "scheme": json.loads(row["scheme_json"]),
            "discounts": json.loads(row["discounts_json"]),
        }
        for row in held.to_dict("records")
    ]


def _catalog(company: Company, month: str) -> dict:
    rates = {
        name: dict(zip(frame["currency"], frame["rate"], strict=True))
        for name, frame in company.fx_rates.groupby("month")
    }
    return {
        **company.catalog,
        "ever_paid": [],
        "fx": {"prev": rates[months.shift(month, -1)], "curr": rates[month]},
    }


def _expansion_rate(company: Company, month: str) -> float:
    total = classify_month(
        _book(company, months.shift(month, -1)), _book(company, month), _catalog(company, month)
    )["total"]
    return total["flows"]["expansion"] / total["opening"]
