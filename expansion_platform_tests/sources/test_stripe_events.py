"""Events of old and new API versions come to one form."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe.events import EVENT_TYPES, event
from expansion_platform.sources.stripe.fields import frame

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLD_COUPON = {
    "id": "di_1",
    "object": "discount",
    "coupon": {"id": "SAVE10", "percent_off": 10},
    "start": 100,
    "end": 900,
}


def item(quantity: int = 5, price: str = "price_a", item_id: str = "si_1", **changes: Any) -> dict[str, Any]:
    return {
        "id": item_id,
        "quantity": quantity,
        "price": {"id": price, "product": f"prod_{price[-1]}"},
        "discounts": [],
        **changes,
    }


def plan_item(quantity: int = 5, plan: str = "price_a") -> dict[str, Any]:
    return {"id": "si_1", "quantity": quantity, "plan": {"id": plan, "product": f"prod_{plan[-1]}"}}


def subscription(*items: dict[str, Any], **changes: Any) -> dict[str, Any]:
    body = {
        "id": "sub_1",
        "object": "subscription",
        "customer": "cus_1",
        "status": "active",
        "ended_at": None,
        "trial_end": None,
        "cancel_at": None,
    }
    return {
        **body,
        "pause_collection": None,
        "items": {"object": "list", "data": list(items), "has_more": False},
        **changes,
    }


def told(
    about: dict[str, Any], before: dict[str, Any] | None = None, kind: str = "customer.subscription.updated"
) -> tuple[Any, Any]:
    data = {"object": about} if before is None else {"object": about, "previous_attributes": before}
    row = event(
        {"id": "evt_1", "created": 1, "livemode": True, "type": kind, "request": {"id": None}, "data": data},
        NOW,
    )
    tables.Events.validate(frame(tables.Events, [row]))
    return json.loads(row["state_json"]), json.loads(row["previous_json"])


def normal(quantity: str = "5", price: str = "price_a", item_id: str = "si_1") -> dict[str, Any]:
    return {
        "id": item_id,
        "price": price,
        "product": f"prod_{price[-1]}",
        "quantity": quantity,
        "discounts": [],
    }


def test_prices_and_plans_give_the_same_state():
    newest, _ = told(subscription(item(current_period_start=1, current_period_end=2)))
    oldest, _ = told(subscription(plan_item(), discount=None))
    assert newest == oldest == {
        "status": "active", "ended_at": None, "trial_end": None, "cancel_at": None, "pause_collection": None,
        "discounts": [], "items": [normal()],
    }  # fmt: skip


def test_a_renewal_changes_nothing():
    before = {
        "items": {"data": [item(current_period_start=1, current_period_end=2)]},
        "latest_invoice": "in_1",
    }
    assert told(subscription(item(current_period_start=2, current_period_end=3)), before)[1] == {}
    assert (
        told(
            subscription(plan_item(), current_period_end=3),
            {"current_period_end": 2, "current_period_start": 1},
        )[1]
        == {}
    )


def test_the_order_of_items_is_no_change():
    first, second = item(), item(2, "price_b", "si_2")
    assert told(subscription(first, second), {"items": {"data": [second, first]}})[1] == {}


def test_items_before_a_change_are_told_whole():
    seats, removed = item(3), item(1, "price_b", "si_2")
    _, before = told(
        subscription(item(8), item(1, "price_c", "si_3")),
        {"items": {"data": [seats, removed]}, "quantity": 3},
    )
    assert before == {"items": [normal("3"), normal("1", "price_b", "si_2")]}


def test_versions_that_tell_a_change_at_the_top_only():
    assert told(subscription(plan_item(8)), {"quantity": 5})[1] == {"items": [normal("5")]}
    swapped = told(
        subscription(plan_item(5, "price_b")), {"plan": {"id": "price_a", "product": "prod_a", "amount": 900}}
    )
    assert swapped[1] == {"items": [normal()]}
    partly = told(
        subscription(item(5, "price_b")),
        {"items": {"data": [{"id": "si_1", "plan": {"id": "price_a", "product": "prod_a"}}]}},
    )
    assert partly[1] == {"items": [normal()]}


def test_discounts_of_each_version():
    embedded = [{"id": "di_1", "coupon": "SAVE10", "start": 100, "end": 900}]
    assert told(subscription(item(), discount=OLD_COUPON))[0]["discounts"] == embedded
    assert told(subscription(item(), discount=OLD_COUPON, discounts=["di_1"]))[0]["discounts"] == embedded
    expanded = {"id": "di_1", "source": {"type": "coupon", "coupon": "SAVE10"}, "start": 100, "end": 900}
    assert told(subscription(item(), discounts=[expanded]))[0]["discounts"] == embedded
    assert told(subscription(item(), discounts=["di_1"]))[0]["discounts"] == [
        {"id": "di_1", "coupon": None, "start": None, "end": None}
    ]


OLD_PERIOD, PERIOD = (
    {"current_period_start": 1, "current_period_end": 2},
    {"current_period_start": 2, "current_period_end": 3},
)
DISCOUNT = {"id": "di_1", "object": "discount", "start": 100, "end": 900}
SHAPES = {
    # Periods, plan, quantity and one discount on the subscription, told at the top too.
    "2022-11-15": (
        subscription(plan_item(8), **PERIOD, plan={"id": "price_a"}, quantity=8, discount=OLD_COUPON),
        {**OLD_PERIOD, "quantity": 5, "items": {"data": [{**plan_item(5)}]}},
    ),
    "2024-06-20": (
        subscription({**item(8), **plan_item(8)}, **PERIOD, discount=OLD_COUPON, discounts=["di_1"]),
        {**OLD_PERIOD, "items": {"data": [{**item(5), **plan_item(5)}]}},
    ),
    "2025-03-31.basil": (
        subscription(item(8, **PERIOD), discounts=[{**DISCOUNT, "coupon": {"id": "SAVE10"}}]),
        {"items": {"data": [item(5, **OLD_PERIOD)]}},
    ),
    "2025-09-30.clover": (
        subscription(
            item(8, **PERIOD),
            billing_mode={"type": "flexible"},
            discounts=[{**DISCOUNT, "source": {"coupon": "SAVE10"}}],
        ),
        {"items": {"data": [item(5, **OLD_PERIOD)]}},
    ),
    "2026-10-28.endive": (
        subscription(
            item(8, billed_until=None, current_trial=None, **PERIOD), status_details={}, billing_schedules=[],
            discounts=[{**DISCOUNT, "source": {"type": "coupon", "coupon": {"id": "SAVE10"}}}],
        ),
        {"items": {"data": [item(5, billed_until=None, current_trial=None, **OLD_PERIOD)]}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("version", SHAPES)
def test_one_change_reads_the_same_in_every_version(version: str):
    after, before = told(*SHAPES[version])
    assert after["items"] == [normal("8")]
    assert after["discounts"] == [{"id": "di_1", "coupon": "SAVE10", "start": 100, "end": 900}]
    assert before == {"items": [normal("5")]}


@pytest.mark.parametrize(
    "held",
    [OLD_COUPON, {**DISCOUNT, "source": {"type": "coupon", "coupon": "SAVE10"}}],
    ids=["acacia", "clover"],
)
def test_event_about_a_discount_tells_whose_it_is(held: dict[str, Any]):
    after, before = told(
        {**held, "customer": "cus_1", "subscription": None, "invoice": None}, kind="customer.discount.deleted"
    )
    assert after == {
        "discount": {
            "id": "di_1",
            "coupon": "SAVE10",
            "start": 100,
            "end": 900,
            "subscription": None,
            "invoice": None,
        }
    }
    assert before == {}


def test_a_discount_given_and_taken_away():
    given = told(
        subscription(item(), discount=OLD_COUPON, discounts=["di_1"]), {"discount": None, "discounts": []}
    )
    assert given[1] == {"discounts": []}
    assert told(subscription(item(), discount=OLD_COUPON), {"discount": None})[1] == {"discounts": []}
    taken = told(
        subscription(item(), discount=None, discounts=[]), {"discount": OLD_COUPON, "discounts": ["di_1"]}
    )
    assert [entry["coupon"] for entry in taken[1]["discounts"]] == ["SAVE10"]


def test_status_trial_and_pause():
    after, before = told(
        subscription(item(), pause_collection={"behavior": "void", "resumes_at": None}),
        {"pause_collection": None},
    )
    assert (after["pause_collection"], before) == ("void", {"pause_collection": None})
    longer = told(
        subscription(item(), pause_collection={"behavior": "void", "resumes_at": 9}),
        {"pause_collection": {"resumes_at": 8}},
    )
    assert longer[1] == {}
    _, resumed = told(subscription(item()), {"pause_collection": {"behavior": "void", "resumes_at": None}})
    assert resumed == {"pause_collection": "void"}
    _, converted = told(subscription(item(), trial_end=50), {"status": "trialing", "trial_end": 60})
    assert converted == {"status": "trialing", "trial_end": 60}


def test_a_list_cut_off_tells_no_items():
    about = subscription(item())
    about["items"]["has_more"] = True
    state, before = told(about, {"quantity": 3})
    assert "items" not in state
    assert before == {}


def test_other_events_keep_who_and_what():
    raw = {
        "id": "evt_2",
        "created": 5,
        "livemode": True,
        "api_version": "2022-11-15",
        "request": {"id": "req_1"},
        "type": "invoice.paid",
    }
    row = event(
        {
            **raw,
            "data": {
                "object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "customer_email": "a@b.co"}
            },
        },
        NOW,
    )
    assert (
        row["object_id"],
        row["customer"],
        row["request_id"],
        row["state_json"],
        row["previous_json"],
    ) == ("in_1", "cus_1", "req_1", "{}", "{}")
    customer = event(
        {**raw, "request": "req_old", "data": {"object": {"id": "cus_1", "object": "customer"}}}, NOW
    )
    assert (customer["customer"], customer["request_id"]) == ("cus_1", "req_old")


def test_lists_of_types_are_within_stripes_limit():
    assert all(len(types) <= 20 for types in EVENT_TYPES)
    assert len({kind for types in EVENT_TYPES for kind in types}) == sum(map(len, EVENT_TYPES))
