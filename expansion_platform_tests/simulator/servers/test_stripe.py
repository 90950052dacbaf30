"""The loopback Stripe, read by the official SDK."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from expansion_platform.simulator.servers.http import DROPPED, Request, parse_query
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform_tests.simulator import stripe_objects
from expansion_platform_tests.simulator.shape_check import check_shape
from expansion_platform_tests.simulator.stripe_objects import DAY, START


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with StripeServer(stripe_objects.account()) as running:
        yield running


def client(server: StripeServer, key: str = "rk_test_x", retries: int = 0) -> Any:
    return stripe.StripeClient(key, base_addresses={"api": server.url}, max_network_retries=retries).v1


def ids(items: Any) -> list[str]:
    return [item.id for item in items]


def get(
    server: StripeServer, path: str, key: str | None = "rk_test_x"
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """The raw answer, for what the SDK hides."""
    request = urllib.request.Request(
        server.url + path, headers={"Authorization": f"Bearer {key}"} if key else {}
    )
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), dict(error.headers)


def refused(server: StripeServer, path: str) -> dict[str, Any]:
    status, body, _ = get(server, path)
    assert status == 400
    return body["error"]


# Lists


def test_lists_run_from_the_newest_in_pages_of_ten(server: StripeServer) -> None:
    page = client(server).customers.list()
    assert ids(page.data) == [f"cus_{number:03d}" for number in range(35, 25, -1)]
    assert page.has_more
    assert page.url == "/v1/customers"


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_auto_paging_reads_everything_once(server: StripeServer, limit: int) -> None:
    found = ids(client(server).customers.list({"limit": limit}).auto_paging_iter())
    assert found == [f"cus_{number:03d}" for number in range(35, 0, -1)]


def test_ending_before_walks_to_the_newest_from_the_oldest(server: StripeServer) -> None:
    """The SDK pages `ending_before` oldest first; 30 of these events share a second."""
    found = ids(client(server).events.list({"limit": 10, "ending_before": "evt_003"}).auto_paging_iter())
    assert found == [f"evt_{number:03d}" for number in range(4, 31)]


def test_created_ranges_are_exact(server: StripeServer) -> None:
    invoices = client(server).invoices
    third, fifth = START + 3 * DAY, START + 5 * DAY
    assert ids(invoices.list({"created": {"gte": third, "lt": fifth}}).data) == ["in_0004", "in_0003"]
    assert ids(invoices.list({"created": {"gt": third, "lte": fifth}}).data) == ["in_0005", "in_0004"]
    assert ids(invoices.list({"created": third}).data) == ["in_0003"]
    assert ids(invoices.list({"created": {"gte": fifth, "lt": third}}).data) == []


def test_created_of_an_invoice_item_is_its_date(server: StripeServer) -> None:
    assert ids(client(server).invoice_items.list({"created": {"gte": START + 2}}).data) == ["ii_002"]


def test_filters(server: StripeServer) -> None:
    api = client(server)
    assert ids(api.subscriptions.list().data) == ["sub_004", "sub_003", "sub_001"]  # without the canceled one
    assert ids(api.subscriptions.list({"status": "all"}).data) == ["sub_004", "sub_003", "sub_002", "sub_001"]
    assert ids(api.subscriptions.list({"status": "ended"}).data) == ["sub_004", "sub_002"]
    assert ids(api.subscriptions.list({"customer": "cus_002", "status": "canceled"}).data) == ["sub_002"]
    assert len(api.subscriptions.list({"price": "price_seat", "status": "all"}).data) == 4
    assert ids(api.invoices.list({"subscription": "sub_003"}).data) == ["in_0025"]
    assert ids(api.invoices.list({"status": "draft"}).data) == ["in_0025"]
    assert ids(
        api.invoices.list({"customer": "cus_001", "limit": 2, "created": {"lt": START + 3 * DAY}}).data
    ) == ["in_0002", "in_0001"]
    assert ids(api.prices.list({"active": False}).data) == ["price_old"]
    assert ids(api.invoice_items.list({"pending": True}).data) == ["ii_002"]
    assert ids(api.events.list({"type": "customer.*"}).data) == ["evt_030"]
    assert ids(api.events.list({"types": ["customer.subscription.updated", "customer.deleted"]}).data) == [
        "evt_030"
    ]


def test_a_filter_and_a_cursor_together_read_everything_once(server: StripeServer) -> None:
    found = ids(client(server).invoices.list({"subscription": "sub_001", "limit": 5}).auto_paging_iter())
    assert found == [f"in_{number:04d}" for number in range(24, 0, -1)]


def test_has_more_is_about_the_filtered_list(server: StripeServer) -> None:
    page = client(server).events.list({"types": ["customer.subscription.updated"], "limit": 1})
    assert not page.has_more


# Embedded lists


def test_ten_lines_are_embedded_and_the_rest_is_listed(server: StripeServer) -> None:
    invoice = client(server).invoices.retrieve("in_0007")
    assert len(invoice.lines.data) == 10
    assert invoice.lines.has_more
    expected = [f"il_0007_{number:02d}" for number in range(23)]
    assert ids(invoice.lines.auto_paging_iter()) == expected
    assert (
        ids(client(server).invoices.line_items.list("in_0007", {"limit": 4}).auto_paging_iter()) == expected
    )


def test_ten_items_are_embedded_and_the_rest_is_listed(server: StripeServer) -> None:
    subscription = client(server).subscriptions.retrieve("sub_003")
    assert len(subscription.items.data) == 10
    assert subscription.items.has_more
    found = list(
        client(server).subscription_items.list({"subscription": "sub_003", "limit": 5}).auto_paging_iter()
    )
    assert ids(found) == [f"si_003_{number:02d}" for number in range(12)]
    assert "tiers" not in found[0].price.to_dict()


# Expansion


def test_ids_stay_ids_until_expanded(server: StripeServer) -> None:
    api = client(server)
    subscription = api.subscriptions.retrieve("sub_001")
    assert subscription.customer == "cus_001"
    assert subscription.discounts == ["di_1"]
    subscription = api.subscriptions.list(
        {"status": "all", "expand": ["data.customer", "data.discounts.source.coupon"]}
    ).data[-1]
    assert subscription.customer.email == "c1@example.com"
    assert subscription.discounts[0].source.coupon.percent_off == 10.0
    assert "applies_to" not in subscription.discounts[0].source.coupon.to_dict()


def test_what_is_left_out_until_expanded(server: StripeServer) -> None:
    api = client(server)
    assert "tiers" not in api.prices.retrieve("price_seat").to_dict()
    assert api.prices.list({"expand": ["data.tiers"]}).data[0].tiers[0].unit_amount == 1000
    assert "applies_to" not in api.coupons.list().data[0].to_dict()
    assert api.coupons.list({"expand": ["data.applies_to"]}).data[0].applies_to.products == ["prod_seats"]
    assert "currency_options" not in api.prices.retrieve("price_seat").to_dict()
    in_euros = api.prices.retrieve(
        "price_seat", {"expand": ["currency_options", "currency_options.tiers"]}
    ).currency_options["eur"]
    assert "tiers" not in in_euros.to_dict()
    in_euros = (
        api.prices.list({"expand": ["data.currency_options.eur.tiers"]}).data[0].currency_options["eur"]
    )
    assert in_euros.tiers[0].unit_amount == 900
    assert "currency_options" not in api.coupons.list().data[0].to_dict()
    assert (
        api.coupons.list({"expand": ["data.currency_options"]}).data[0].currency_options["eur"].amount_off
        == 450
    )
    item = api.subscriptions.retrieve("sub_001").items.data[0]
    assert "tiers" not in item.price.to_dict()
    assert "tiers" not in item.plan.to_dict()
    item = api.subscriptions.retrieve("sub_001", {"expand": ["items.data.price.tiers"]}).items.data[0]
    assert item.price.tiers[0].unit_amount == 1000


def test_discounts_of_lines_expand_to_the_fourth_level(server: StripeServer) -> None:
    invoice = client(server).invoices.list({"expand": ["data.lines.data.discounts"], "limit": 1}).data[0]
    assert invoice.lines.data[0].discounts[0].source.coupon == "SAVE10"


@pytest.mark.parametrize(
    "path",
    [
        "data.lines.data.discounts.source",
        "data.items.data.price.tiers",
        "data.discounts.source.coupon.applies_to",
    ],
)
def test_the_fifth_level_is_refused(server: StripeServer, path: str) -> None:
    resource = "invoices" if "lines" in path else "subscriptions"
    error = refused(server, f"/v1/{resource}?expand[]={path}")
    assert error == {
        "type": "invalid_request_error",
        "message": f"You cannot expand more than 4 levels of a property. Property: {path}",
        "param": "expand",
    }


@pytest.mark.parametrize(
    "path", ["customer", "data.currency", "data.nothing", "data", "data.items.data.quantity", "data.tiers"]
)
def test_what_cannot_be_expanded_is_refused(server: StripeServer, path: str) -> None:
    error = refused(server, f"/v1/subscriptions?expand[0]={path}")
    assert error["message"].startswith(f"This property cannot be expanded ({path}).")


def test_what_is_served_has_the_sdks_shapes(server: StripeServer) -> None:
    for path, name in {
        "/v1/subscriptions?status=all"
        "&expand[]=data.discounts.source.coupon&expand[]=data.customer": "Subscription",
        "/v1/invoices?limit=100&expand[]=data.lines.data.discounts": "Invoice",
        "/v1/prices?expand[]=data.tiers&expand[]=data.product": "Price",
    }.items():
        items = get(server, path)[1]["data"]
        assert items
        for item in items:
            check_shape(item, name)


# Errors


def test_keys(server: StripeServer) -> None:
    with pytest.raises(stripe.AuthenticationError, match=r"Invalid API Key provided: rk_live_\*+alid"):
        client(server, "rk_live_something_invalid").customers.list()
    status, body, headers = get(server, "/v1/customers", key=None)
    assert status == 401
    assert body["error"]["type"] == "invalid_request_error"
    assert headers["Request-Id"].startswith("req_")


def test_a_restricted_key_may_lack_a_permission() -> None:
    with StripeServer(
        stripe_objects.account(), missing_permissions=["credit_notes", "subscriptions"]
    ) as server:
        with pytest.raises(stripe.PermissionError, match="rak_credit_note_read"):
            client(server).credit_notes.list()
        with pytest.raises(stripe.PermissionError, match="rak_subscription_read"):
            client(server).subscription_items.list({"subscription": "sub_001"})
        assert client(server, "sk_test_x").credit_notes.list().data == []
        assert client(server).customers.list({"limit": 1}).data


def test_nothing_can_be_written(server: StripeServer) -> None:
    with pytest.raises(stripe.PermissionError, match="rak_customer_write"):
        client(server).customers.create({"email": "x@example.com"})


def test_an_unknown_id_is_a_404(server: StripeServer) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=r"No such invoice: 'in_none'") as raised:
        client(server).invoices.retrieve("in_none")
    assert (raised.value.http_status, raised.value.code, raised.value.param) == (
        404,
        "resource_missing",
        "id",
    )
    assert get(server, "/v1/invoices/cus_001")[0] == 404
    assert get(server, "/v1/charges")[0] == 404
    assert get(server, "/")[0] == 404


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ("/v1/invoices?updated=1", "updated", "Received unknown parameter: updated"),
        ("/v1/invoices?created[eq]=1", "created[eq]", "Received unknown parameter: created[eq]"),
        ("/v1/invoices?limit=101", "limit", "less than or equal to 100"),
        ("/v1/invoices?limit=0", "limit", "greater than or equal to 1"),
        ("/v1/invoices?limit=ten", "limit", "Invalid integer: ten"),
        ("/v1/invoices?customer=cus_none", "customer", "No such customer: 'cus_none'"),
        ("/v1/invoices?starting_after=in_none", "starting_after", "No such invoice: 'in_none'"),
        ("/v1/prices?active=maybe", None, "Invalid boolean: maybe"),
        ("/v1/subscription_items", "subscription", "Missing required param: subscription."),
        ("/v1/events?types=a", "types", "Invalid array"),
        ("/v1/events?" + "&".join(f"types[{number}]=a" for number in range(21)), "types", "up to 20"),
        ("/v1/events?type=a&types[]=b", None, "only specify one of"),
        ("/v1/events?starting_after=evt_001&ending_before=evt_002", None, "only specify one of"),
    ],
)
def test_wrong_parameters_are_refused(
    server: StripeServer, query: str, param: str | None, message: str
) -> None:
    error = refused(server, query)
    assert message in error["message"]
    assert error.get("param") == param


# Faults


def test_planned_failures_come_in_order_and_end(server: StripeServer) -> None:
    server.fail_next(429, {"Retry-After": "2"})
    server.fail_next(429, path_prefix="/v1/invoices")
    server.fail_next(500, times=2)
    statuses = [
        get(server, path)[0]
        for path in ("/v1/customers", "/v1/invoices", "/v1/customers", "/v1/customers", "/v1/customers")
    ]
    assert statuses == [429, 429, 500, 500, 200]
    server.fail_next(429, {"Retry-After": "2"})
    with pytest.raises(stripe.RateLimitError) as raised:
        client(server).customers.list()
    assert raised.value.headers["Retry-After"] == "2"
    assert raised.value.json_body["error"]["code"] == "rate_limit"


def test_a_dropped_connection_is_retried_by_the_sdk(
    server: StripeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe.HTTPClient, "INITIAL_DELAY", 0.01)
    server.fail_next(DROPPED)
    assert client(server, retries=1).customers.list({"limit": 1}).data
    assert len(server.requests) == 2


def test_requests_are_logged_as_sent(server: StripeServer) -> None:
    client(server).events.list({"types": ["a", "b"], "created": {"gte": 5}, "limit": 3})
    request = server.requests[-1]
    assert (request.method, request.path) == ("GET", "/v1/events")
    assert request.params == {"types": ["a", "b"], "created": {"gte": "5"}, "limit": "3"}
    assert request.headers["stripe-version"] == stripe.api_version


def test_parameters_in_brackets() -> None:
    assert parse_query("a=1&b[]=2&b[]=3&c[0]=4&d[gte]=5&d[lt]=6&e=") == {
        "a": "1",
        "b": ["2", "3"],
        "c": ["4"],
        "d": {"gte": "5", "lt": "6"},
        "e": "",
    }


def test_the_account_can_move_on_while_served(server: StripeServer) -> None:
    api = client(server)
    later = stripe_objects.account()
    later.objects["customers"].append(stripe_objects.customer(36))
    server.account = later
    assert ids(api.customers.list({"limit": 1}).data) == ["cus_036"]


def test_an_account_out_of_order_is_refused() -> None:
    account = StripeAccount(id="acct_test")
    account.objects["customers"] = [stripe_objects.customer(2), stripe_objects.customer(1)]
    with pytest.raises(ValueError, match="customers of account acct_test are not in order"):
        StripeServer(account)


def test_a_deleted_customer_is_found_but_not_listed() -> None:
    account = StripeAccount(id="acct_test")
    account.objects["customers"] = [
        stripe_objects.customer(1) | {"deleted": True},
        stripe_objects.customer(2),
    ]
    with StripeServer(account) as server:
        assert ids(client(server).customers.list().data) == ["cus_002"]
        assert client(server).customers.retrieve("cus_001").deleted


def test_a_full_page_is_fast() -> None:
    """100 invoices with 10 lines each: 12 ms on two busy cores; a slow stand-in would be what the demo and
    the suite wait for.
    """
    account = stripe_objects.account()
    account.objects["invoices"] = [
        stripe_objects.invoice(number, 1, 1, lines=10) for number in range(1, 2001)
    ]
    server = StripeServer(account)
    params = {"limit": "100", "expand": ["data.lines.data.discounts"], "starting_after": "in_1000"}
    request = Request("GET", "/v1/invoices", params, {"authorization": "Bearer rk_test_x"})

    def seconds() -> float:
        start = time.perf_counter()
        server.answer(request).encoded()
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.1
