"""History rebuilt from what a simulated account still tells, against what really happened in it."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.history.changes import changes
from expansion_platform.domain.history.item_states import states_of, together
from expansion_platform.domain.history.log import entered, holding, unlogged
from expansion_platform.domain.history.records import Staged
from expansion_platform.simulator.company.company import AS_OF, BEHAVIOURS, simulate
from expansion_platform.simulator.verify import overclaimed
from expansion_platform_tests.domain.simulated import staged
from expansion_platform_tests.domain.whole_history import news, rebuild

COMPARED = [
    *("customer", "subscription", "item", "valid_from", "valid_to", "status", "collection_paused"),
    *("price", "quantity", "scheme_json", "discounts_json"),
]


def compared(states: pd.DataFrame) -> pd.DataFrame:
    return (
        states[COMPARED]
        .fillna({"collection_paused": "-"})
        .sort_values(["customer", "subscription", "item", "valid_from"], ignore_index=True)
    )


@pytest.mark.parametrize("behaviours", [frozenset(), BEHAVIOURS], ids=["plain", "all"])
@pytest.mark.parametrize("seed", range(1, 6))
def test_rebuilt_history_is_what_happened(seed: int, behaviours: frozenset[str]) -> None:
    company = simulate(seed, customers=100, months=24, behaviours=behaviours)
    states = rebuild(staged(company.account, AS_OF)).states
    rebuilt = compared(states)
    expected = compared(company.truth.expected_states)
    differences = rebuilt.merge(expected, how="outer", indicator=True).query("_merge != 'both'")
    assert differences.empty, (
        f"{len(differences)} of {len(expected)} rows differ:\n{differences.head(20).to_string()}"
    )
    assert list(overclaimed(company.truth.states, states)) == []


def test_a_change_is_told_once() -> None:
    """Also where two facts tell of it, as of a discount that ends on all items of a subscription at once."""
    found = changes(staged(simulate(7, customers=100, months=24, behaviours=BEHAVIOURS).account, AS_OF))
    assert found["change"].is_unique
    assert news(
        found,
        holding(news(found, found.head(0), known_at=pd.Timestamp(AS_OF), entry=0)),
        known_at=pd.Timestamp(AS_OF),
        entry=0,
    ).empty


def test_further_behaviours_occur() -> None:
    company = simulate(1, customers=200, months=24, behaviours=BEHAVIOURS)
    states, held = company.truth.states, company.account.objects
    assert set(states["status"]) == {"active", "incomplete", "past_due", "paused", "trialing", "unpaid"}
    assert set(states["collection_paused"].dropna()) == {"keep_as_draft", "mark_uncollectible", "void"}
    assert any(
        each["subscription"] is None and each["end"] is None for each in company.account.discounts.values()
    )
    assert "RETIRED15" not in {each["id"] for each in held["coupons"]}
    assert states["discounts_json"].str.contains("RETIRED15").any()
    assert {each["customer"] for each in held["subscriptions"]} - {each["id"] for each in held["customers"]}


def later(before: Staged, now: Staged) -> Staged:
    """Two pulls in one lake: events are kept for ever, and a row keeps its `observed_at` while its content
    stays.
    """
    merged = {}
    for name in (each.name for each in fields(Staged) if getattr(now, each.name) is not None):
        old, new = getattr(before, name), getattr(now, name)
        content = [column for column in new.columns if column != "observed_at"]
        seen = new.merge(old, on=content, how="left", suffixes=("", "_first"))["observed_at_first"]
        merged[name] = new.assign(observed_at=seen.fillna(new["observed_at"]))
    gone = before.events[~before.events["id"].isin(now.events["id"])]
    return Staged(**merged | {"events": pd.concat([merged["events"], gone], ignore_index=True)})


def test_account_read_every_month_hides_nothing() -> None:
    """Changes without proration are dated by nothing but events, which Stripe keeps for 30 days."""
    lake = None
    for pull in range(9, -1, -1):
        as_of = AS_OF - timedelta(days=29 * pull)
        company = simulate(3, customers=25, months=8, as_of=as_of)
        pulled = staged(company.account, as_of)
        lake = pulled if lake is None else later(lake, pulled)
    assert lake is not None
    assert len(company.truth.undatable) > 0
    pd.testing.assert_frame_equal(
        compared(rebuild(lake).states), compared(company.truth.states), check_dtype=False
    )


def of_customers(tables: Staged, whose: set[str]) -> Staged:
    """The tables of some customers: what a shard reads."""
    owner = {"customers": "id", "subscription_items": "subscription"}
    subscriptions = set(tables.subscriptions.loc[tables.subscriptions["customer"].isin(list(whose)), "id"])
    parts: dict[str, Any] = {}
    for name, frame in vars(tables).items():
        column = owner.get(name, "customer")
        if frame is not None and column in frame:
            frame = frame[frame[column].isin(list(subscriptions if column == "subscription" else whose))]
        parts[name] = frame
    return Staged(**parts)


def test_customers_read_in_shards_make_the_same_log_and_the_same_states() -> None:
    whole = staged(simulate(5, customers=60, months=18, behaviours=BEHAVIOURS).account, AS_OF)
    names = sorted(set(whole.subscriptions["customer"]))
    shards = [of_customers(whole, set(names[number::3])) for number in range(3)]
    found = [changes(shard) for shard in shards]
    nothing = found[0].head(0)
    log = entered([unlogged(part, nothing) for part in found], known_at=pd.Timestamp(AS_OF), entry=7)
    pd.testing.assert_frame_equal(log, news(changes(whole), nothing, known_at=pd.Timestamp(AS_OF), entry=7))
    states = together([states_of(part, whole.prices, whole.coupons) for part in found])
    expected = rebuild(whole)
    pd.testing.assert_frame_equal(states.states, expected.states)
    pd.testing.assert_frame_equal(states.quarantine, expected.quarantine)
