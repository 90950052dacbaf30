"""Objects that events name: few one by one, many by pages of their list, and always the same objects."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.sources.stripe.changes import PullState
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.lookup import FEW, look_up
from expansion_platform_tests.simulator import stripe_objects as made
from expansion_platform_tests.simulator.stripe_objects import DAY, START
from expansion_platform_tests.sources.pull import pull

CUSTOMERS = 900
BUSY = 500
"""From this number on, customers were created in one second."""


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    customers = [made.customer(number) for number in range(1, CUSTOMERS + 1)]
    account = StripeAccount(
        "acct_many",
        objects={
            **made.account().objects,
            "customers": [{**each, "created": created(each)} for each in customers],
        },
    )
    account.discounts = made.account().discounts
    with StripeServer(account) as running:
        yield running


@pytest.fixture
def source(server: StripeServer) -> Iterator[StripeSource]:
    server.requests.clear()
    with StripeSource("rk_test_x", server.url, requests_per_second=1000) as opened:
        yield opened


def created(customer: dict[str, Any]) -> int:
    return START + min(int(customer["id"][4:]), BUSY)


def named(*numbers: int) -> dict[str, int | None]:
    return {f"cus_{number:03d}": created({"id": f"cus_{number:03d}"}) for number in numbers}


def found(source: StripeSource, resource: str, wanted: dict[str, int | None]) -> dict[str, Any]:
    with ThreadPoolExecutor(10) as threads:
        listed = list(look_up(source, threads, resource, wanted))
    assert len(listed) == len(wanted)
    return dict(listed)


def alone(server: StripeServer) -> int:
    return sum(request.path.count("/") == 3 for request in server.requests)


@pytest.mark.parametrize(
    ("numbers", "requests", "one_by_one"),
    [
        (range(1, FEW + 1), FEW, FEW),  # few
        # Two runs of a hundred and of 49, each with a page and what was left of its last second.
        (range(1, 150), 4, 0),
        (range(1, 500, 5), 6, 0),  # a fifth of all: five pages for a hundred objects
        (range(1, 900, 75), 13, 12),  # far apart: a page with nothing else on it, then each
        (range(600, 620), 21, 20),  # more in one second than a page holds
    ],
)
def test_as_few_requests_as_may_be(
    server: StripeServer, source: StripeSource, numbers: range, requests: int, one_by_one: int
) -> None:
    wanted = named(*numbers)
    assert {key: item["created"] for key, item in found(source, "customers", wanted).items()} == wanted
    assert len(server.requests) <= requests
    assert alone(server) <= one_by_one


def test_objects_are_the_same_either_way(server: StripeServer, source: StripeSource) -> None:
    invoices = {item["id"]: item["created"] for item in server.account.objects["invoices"]}
    by_pages = found(source, "invoices", invoices)
    assert by_pages == found(source, "invoices", dict.fromkeys(invoices))
    assert len(by_pages["in_0007"]["lines"]["data"]) == 23


def test_what_is_gone_is_none(source: StripeSource) -> None:
    wanted = named(*range(1, 40)) | {"cus_gone": START + 20}
    assert [key for key, item in found(source, "customers", wanted).items() if item is None] == ["cus_gone"]


def test_renewed_subscriptions_have_a_list_of_their_own() -> None:
    """As every month most subscriptions change in that their period begins; some of these were made long ago,
    some were not renewed.
    """
    account = made.account()
    account.objects["subscriptions"] = [
        made.subscription(number, 1 + number % 30) for number in range(1, 241)
    ]
    account.objects["events"] = []
    with (
        StripeServer(account) as server,
        StripeSource("rk_test_x", server.url, requests_per_second=1000) as source,
    ):
        first = START + 40 * DAY
        for number, item in enumerate(account.objects["subscriptions"]):
            if number % 3 == 0:
                item["items"]["data"][0]["current_period_start"] = first + 60
            if number % 3 < 2:
                account.objects["events"].append(
                    made.event(1000 + number, "customer.subscription.updated", item, created=first + 60)
                )
        server.account = account
        result = pull(source, PullState(last_pull_at=first), datetime.fromtimestamp(first + DAY, UTC))
        assert result.counts["subscriptions"] == 160
        requests = [request for request in server.requests if request.path.startswith("/v1/subscriptions")]
        assert len(requests) <= 1 + 1 + 3  # what is new, what was renewed, what else changed among 240
