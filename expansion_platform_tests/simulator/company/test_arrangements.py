"""What is arranged with some customers, as a company with every behaviour holds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from expansion_platform.simulator.company.catalog import PLANS
from expansion_platform.simulator.company.company import BEHAVIOURS, Company, simulate
from expansion_platform_tests.simulator.shape_check import check_shape
from expansion_platform_tests.simulator.stripe_billing.test_documents import CLASSES, NOW


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(2, customers=150, months=24, behaviours=BEHAVIOURS)


def lines(company: Company) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """(invoice, line, what the line is about)."""
    for invoice in company.account.objects["invoices"]:
        for line in invoice["lines"]["data"]:
            yield invoice, line, line["parent"]["subscription_item_details"]


@pytest.mark.parametrize("resource", CLASSES)
def test_objects_have_stripes_shape(company: Company, resource: str) -> None:
    held = company.account.objects[resource]
    for item in held[:: max(1, len(held) // 150)]:
        check_shape(item, CLASSES[resource])


def test_cycles_begin_anew_with_and_without_credit(company: Company) -> None:
    """A bill for an update with whole periods, whose interval is that of the period it cut short."""
    credited = Counter()
    for invoice in company.account.objects["invoices"]:
        whole = {
            line["period"]["start"]
            for line in invoice["lines"]["data"]
            if not line["parent"]["subscription_item_details"]["proration"]
        }
        if invoice["billing_reason"] == "subscription_update" and invoice["created"] in whole:
            credited[any(line["amount"] < 0 for line in invoice["lines"]["data"])] += 1
    assert credited[True] > 10
    assert credited[False] > 3


def test_backdated_starts_are_billed_in_either_mode_or_not_at_all(company: Company) -> None:
    backdated = {
        each["id"]: each
        for each in company.account.objects["subscriptions"]
        if each["start_date"] < each["created"]
    }
    gone_by = Counter()
    for invoice, line, about in lines(company):
        if (
            about["subscription"] in backdated
            and line["period"]["end"] <= invoice["created"]
            and invoice["billing_reason"] == "subscription_create"
        ):
            gone_by[about["subscription"]] += 1
            assert about["proration"] == (
                backdated[about["subscription"]]["billing_mode"]["type"] == "classic"
            )
            assert line["amount"] > 0
    assert 0 < len(gone_by) < len(backdated)
    assert max(gone_by.values()) > 1


def test_one_change_in_flexible_billing_credits_several_lines(company: Company) -> None:
    charged = {line["id"]: line for _, line, _ in lines(company)}
    credits = Counter()
    for _, line, about in lines(company):
        named = (about["proration_details"]["credited_items"] or {}).get("invoice_line_items", ())
        for debit in (charged[name] for name in named):
            if about["proration"] and line["amount"] < 0:
                assert debit["period"]["end"] == line["period"]["end"]
                credits[about["subscription_item"], line["period"]["start"]] += 1
    assert max(credits.values()) > 1


def test_an_item_is_tried_beside_others_that_pay(company: Company) -> None:
    """Its bill of nothing comes at once, and it tells of its trial while that lasts."""
    free = [
        (line, about) for _, line, about in lines(company) if line["amount"] == 0 and not about["proration"]
    ]
    states = company.truth.states
    beside = states[
        (states["status"] == "trialing")
        & states["item"].isin({about["subscription_item"] for _, about in free})
    ]
    paying = states[states["status"] == "active"]
    tried = beside[
        beside["subscription"].isin(paying["subscription"])
        & beside["product"].isin({"prod_Storage", "prod_SingleSignOn"})
    ]
    kept = tried["item"].isin(paying["item"])
    assert kept.sum() > 10
    assert (~kept).sum() > 10
    held = (item for each in company.account.objects["subscriptions"] for item in each["items"]["data"])
    assert any("current_trial" in item and item["current_trial"]["end_date"] > NOW for item in held)


def test_ramps_are_carried_out_or_released(company: Company) -> None:
    schedules = company.account.objects["subscription_schedules"]
    assert {each["status"] for each in schedules} >= {"active", "released"}
    assert {each["phases"][0]["proration_behavior"] for each in schedules} == {"create_prorations", "none"}
    states = company.truth.states
    began = Counter()
    for each in schedules:
        over = min(at for at in (each["released_at"], each["canceled_at"], NOW) if at is not None)
        for phase in each["phases"][1:]:
            began[phase["start_date"] < over] += 1
            if phase["start_date"] < over:
                start = pd.Timestamp(phase["start_date"], unit="s", tz="UTC")
                own = states[
                    (states["subscription"] == (each["subscription"] or each["released_subscription"]))
                    & (states["valid_from"] <= start)
                ]
                held = own[own["valid_to"].isna() | (own["valid_to"] > start)]
                assert {(item["price"], str(item["quantity"])) for item in phase["items"]} == set(
                    zip(held["price"], held["quantity"], strict=True)
                )
    assert min(began[True], began[False]) > 10


def test_plans_are_replaced_by_other_items_in_chains(company: Company) -> None:
    states = company.truth.states[company.truth.states["product"].isin([product.id for product in PLANS])]
    lives = states.groupby(["subscription", "item"], as_index=False).agg(
        start=("valid_from", "min"), end=("valid_to", "max")
    )
    pairs = lives.merge(lives, on="subscription", suffixes=("", "_next")).query("item != item_next")
    gap = (pairs["end"] - pairs["start_next"]).dt.total_seconds()
    assert {0.0} < set(gap[(gap >= 0) & (gap < 60)])
    assert set(pairs.loc[(gap >= 0) & (gap < 60), "item_next"]) & set(
        pairs.loc[(gap >= 0) & (gap < 60), "item"]
    )
