"""Events in the shapes of API versions old and new, through the server: whatever an account's version, its
history is the same.

Every customer's events come in another version, as those of accounts that are years apart.
"""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.stripe.tables import Events
from expansion_platform.simulator.company.company import AS_OF, Company, simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.sources import pulled

JSON = dict[str, Any]
TELLING = {"quantity", "plan", "status", "discount", "cancel_at", "trial_end"}
PLANS, PRICES, BOTH = "2019-12-03", "2022-11-15", "2024-06-20"
BASIL, CLOVER, ENDIVE = "2025-06-30.basil", "2025-11-17.clover", "2026-10-28.endive"
ONE_DISCOUNT, NEW = (PLANS, PRICES), (BASIL, CLOVER, ENDIVE)
"""Versions in which a subscription has one discount and its items none, and those since basil."""
VERSIONS = (*ONE_DISCOUNT, BOTH, *NEW)
TOLD = [
    "customer",
    "subscription",
    "item",
    "valid_from",
    "valid_to",
    "status",
    "price",
    "quantity",
    "discounts_json",
]


def in_version(happened: JSON, version: str) -> JSON:
    """An event of the simulator's account, which is in 2024-06-20, as an account in another version
    has it.
    """
    found = {**copy.deepcopy(happened), "api_version": version}
    data = found["data"]
    about = data["object"]
    if about["object"] == "discount":
        data["object"] = _discount(about, version)
    if about["object"] == "subscription":
        period = {name: about[name] for name in ("current_period_start", "current_period_end")}
        before = data.get("previous_attributes")
        if before is not None:
            data["previous_attributes"] = _subscription(before, {**period, **before}, version)
        data["object"] = _subscription(about, period, version)
        if version == ENDIVE:
            data["object"] |= {
                "billing_mode": {"type": "classic"},
                "billing_schedules": [],
                "status_details": None,
                "managed_payments": None,
            }
    return found


def _subscription(shown: JSON, period: JSON, version: str) -> JSON:
    """A subscription, or what of it was otherwise before."""
    gone = (
        {"discounts"}
        if version in ONE_DISCOUNT
        else {"discount", "plan", "quantity", *period}
        if version in NEW
        else set()
    )
    result = {name: value for name, value in shown.items() if name not in gone}
    if "items" in shown:
        result["items"] = {
            **shown["items"],
            "data": [_item(held, period, version) for held in shown["items"]["data"]],
        }
    return result


def _item(held: JSON, period: JSON, version: str) -> JSON:
    gone = {PLANS: {"price", "discounts"}, PRICES: {"discounts"}}.get(version, set())
    return {name: value for name, value in held.items() if name not in gone} | (
        {**period} if version in NEW else {}
    )


def _discount(held: JSON, version: str) -> JSON:
    if version not in (CLOVER, ENDIVE):
        return held
    return {name: value for name, value in held.items() if name != "coupon"} | {
        "source": {"type": "coupon", "coupon": held["coupon"]["id"]}
    }


def versions_of(account: StripeAccount) -> dict[str, str]:
    """A version for each customer whose events tell of a change: one of the oldest only where nothing was
    discounted in a way they did not know.
    """
    redeemed: dict[str, list[JSON]] = {}
    for held in account.discounts.values():
        redeemed.setdefault(held["customer"], []).append(held)
    changed = {
        each["data"]["object"]["customer"]
        for each in account.objects["events"]
        if each["data"].get("previous_attributes", {}).keys() & TELLING
    }
    found: dict[str, str] = {}
    plain, others = itertools.cycle(VERSIONS), itertools.cycle(VERSIONS[2:])
    for customer in sorted(changed):
        held = redeemed.get(customer, [])
        known = len(held) <= 1 and all(each["subscription_item"] is None for each in held)
        found[customer] = next(plain if known else others)
    return found


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(4, customers=300, months=4, behaviours=frozenset({"schedule"}))


def test_history_is_the_same_in_every_version(company: Company, tmp_path: Path) -> None:
    account = copy.deepcopy(company.account)
    version_of = versions_of(account)
    account.objects["events"] = [
        in_version(
            each,
            version_of.get(about["id"] if about["object"] == "customer" else about.get("customer"), ENDIVE),
        )
        for each in account.objects["events"]
        for about in [each["data"]["object"]]
    ]
    with StripeServer(account) as server:
        pulled.pull(tmp_path, server.url, AS_OF.isoformat())
    events = Lake(tmp_path / "lake").read(Events)
    tells = events["previous_json"] != "{}"
    assert set(events.loc[tells, "api_version"]) == set(VERSIONS)
    assert events.loc[tells, "api_version"].value_counts().min() >= 2
    states = pulled.states(tmp_path, AS_OF.isoformat())
    assert {"event"} <= set(states["source"])
    told = [
        frame.sort_values(TOLD[:4], ignore_index=True)[TOLD]
        for frame in (states, company.truth.expected_states)
    ]
    pd.testing.assert_frame_equal(*told, check_dtype=False)


def test_each_version_is_another_text(company: Company) -> None:
    """The versions differ where Stripe's do, so that reading them alike is no accident."""
    updated = next(
        each
        for each in company.account.objects["events"]
        if "items" in each["data"].get("previous_attributes", {})
    )
    shown = {version: in_version(updated, version)["data"] for version in VERSIONS}
    assert len({json.dumps(data, sort_keys=True) for data in shown.values()}) >= 5
    assert "price" not in shown[PLANS]["object"]["items"]["data"][0]
    assert "discounts" not in shown[PRICES]["object"]
    assert "current_period_start" in shown[BOTH]["object"]
    for version in NEW:
        assert "current_period_start" not in shown[version]["object"]
        assert "current_period_start" in shown[version]["object"]["items"]["data"][0]
        assert "current_period_start" in shown[version]["previous_attributes"]["items"]["data"][0]
