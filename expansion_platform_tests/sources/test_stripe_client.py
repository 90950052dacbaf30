"""The Stripe client against the loopback server: paging, expansion, limits, retries, and errors that say what
to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from expansion_platform.domain.core.errors import ConfigurationError
from expansion_platform.simulator.servers.http import DROPPED, Response
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.sources.stripe import client, requests
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.requests import StripeRequestError
from expansion_platform.sources.stripe.resources import RESOURCES
from expansion_platform_tests.simulator import stripe_objects
from expansion_platform_tests.simulator.stripe_objects import START


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FIRST_WAIT_SECONDS", 0.001)


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = stripe_objects.account()
    account.objects["customers"] = [stripe_objects.customer(number) for number in range(1, 251)]
    with StripeServer(account) as running:
        yield running


@pytest.fixture
def source(server: StripeServer) -> Iterator[StripeSource]:
    with StripeSource("rk_test_1234wxyz", server.url, requests_per_second=100) as opened:
        yield opened


def test_lists_are_read_page_by_page(server, source):
    found = [item["id"] for item in source.objects("customers")]
    assert found == [f"cus_{number:03d}" for number in range(250, 0, -1)]
    assert [request.params.get("starting_after") for request in server.requests] == [
        None,
        "cus_151",
        "cus_051",
    ]
    assert all(request.headers["stripe-version"].endswith(".endive") for request in server.requests)


def test_created_bounds_are_half_open(source):
    found = source.objects("customers", created_gte=START + 10, created_lt=START + 13)
    assert [item["created"] - START for item in found] == [12, 11, 10]


def test_what_rows_need_is_expanded_and_whole(source):
    subscriptions = {item["id"]: item for item in source.objects("subscriptions")}
    assert {item["status"] for item in subscriptions.values()} == {"active", "canceled", "incomplete_expired"}
    assert subscriptions["sub_001"]["discounts"][0]["source"]["coupon"]["id"] == "SAVE10"
    assert len(subscriptions["sub_003"]["items"]["data"]) == 12
    long = next(item for item in source.objects("invoices") if item["id"] == "in_0007")
    assert len(long["lines"]["data"]) == 23
    assert all(line["discounts"][0]["id"] == "di_1" for line in long["lines"]["data"])
    assert next(source.objects("coupons"))["applies_to"] == {"products": ["prod_seats"]}
    assert all(item["tiers"] for item in source.objects("prices"))


def test_one_object_comes_as_in_its_list(source):
    listed = {item["id"]: item for item in source.objects("invoices")}
    assert source.object("invoices", "in_0007") == listed["in_0007"]
    assert source.object("invoices", "in_absent") is None


def test_no_number_becomes_a_float(source):
    assert str(next(source.objects("coupons"))["percent_off"]) == "10.0"


@pytest.mark.parametrize("status", [429, 500, 503, 409, DROPPED])
def test_a_passing_failure_is_waited_out(server, source, status):
    server.fail_next(status, times=3)
    assert len(list(source.objects("products"))) == 1
    assert len(server.requests) == 4


def test_retry_after_is_honoured(server, source):
    server.fail_next(429, headers={"Retry-After": "1"})
    began = time.monotonic()
    assert len(list(source.objects("products"))) == 1
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "1"}])
def test_a_limit_lowers_the_pace_of_all_threads(server, source, headers):
    before = source.pace.rate
    server.fail_next(429, headers=headers)
    list(source.objects("products"))
    assert source.pace.rate < before == source.pace.ceiling


def test_a_server_with_a_lower_ceiling_is_read_at_its_ceiling():
    account = stripe_objects.account()
    account.objects["customers"] = [stripe_objects.customer(number) for number in range(1, 251)]
    with (
        StripeServer(account, pages_per_second=8) as limited,
        StripeSource("rk_live_x", limited.url, 60) as eager,
    ):
        began = time.monotonic()
        for _ in range(10):
            assert len(list(eager.objects("customers"))) == 250
        refused = len(limited.requests) - 30
        assert eager.pace.rate < 60
    assert refused
    assert time.monotonic() - began >= (30 - 8) / 8


def test_an_answer_that_is_cut_off_is_asked_for_again(server, source, monkeypatch):
    whole = server.answer
    cut = iter([True])
    monkeypatch.setattr(
        server,
        "answer",
        lambda request: (
            Response(json.dumps(whole(request).body)[:-9]) if next(cut, False) else whole(request)
        ),
    )
    assert len(list(source.objects("customers"))) == 250


def test_a_page_that_no_stripe_sent_is_an_error_that_does_not_quote_it(server, source, monkeypatch):
    """A proxy's login page, with status 200."""
    monkeypatch.setattr(server, "answer", lambda request: Response("<html>secret page</html>"))
    with pytest.raises(StripeRequestError, match="answer to /v1/customers is no JSON object") as caught:
        list(source.objects("customers"))
    assert len(server.requests) == requests.ATTEMPTS
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_asked_again(server, source, monkeypatch):
    whole, hung = server.answer, iter([True])
    monkeypatch.setattr(source._requests._http, "_timeout", 0.3)
    monkeypatch.setattr(server, "answer", lambda request: time.sleep(next(hung, False)) or whole(request))
    began = time.monotonic()
    assert len(list(source.objects("products"))) == 1
    assert len(server.requests) == 2
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("listed", [[], [stripe_objects.customer(7)]], ids=["empty page", "same page"])
def test_a_list_that_does_not_end_is_an_error(server, source, monkeypatch, listed):
    monkeypatch.setattr(
        server,
        "answer",
        lambda request: Response(
            {"object": "list", "data": listed, "has_more": True, "url": "/v1/customers"}
        ),
    )
    with pytest.raises(StripeRequestError, match="/v1/customers does not end: it says that more follows"):
        list(source.objects("customers"))
    assert len(server.requests) <= client.SAME_CURSOR + 1


@pytest.mark.parametrize("gone", [1, 3, 100])
def test_objects_deleted_while_a_list_is_read(server, source, gone):
    """A list goes on from the last object that is still there; when a whole page is gone it begins anew."""
    pages = source.pages("customers")
    assert len(next(pages)[0]) == 100
    customers = server.account.objects["customers"]
    server.account.objects["customers"] = [*customers[:150], *customers[150 + gone :]]
    server.account = server.account
    assert [item["id"] for page, _ in pages for item in page] == [
        f"cus_{number:03d}" for number in range(150, 0, -1)
    ]


def test_an_object_deleted_before_its_lines_are_read(server, source):
    invoices = server.account.objects["invoices"]
    listed = source.pages("invoices")
    whole = server.answer

    def deleting(request):
        answered = whole(request)
        if request.path == "/v1/invoices":
            server.account.objects["invoices"] = [item for item in invoices if item["id"] != "in_0007"]
            server.account = server.account
        return answered

    server.answer = deleting
    found = {item["id"] for page, _ in listed for item in page}
    assert "/v1/invoices/in_0007/lines" in {request.path for request in server.requests}
    assert found == {item["id"] for item in invoices} - {"in_0007"}


@pytest.mark.parametrize(
    ("key", "livemode", "rate"), [("rk_live_x", True, 12), ("sk_test_x", False, 8), ("x", None, 12)]
)
def test_a_test_key_is_asked_less_of(key, livemode, rate):
    with StripeSource(key) as source:
        assert (source.livemode, source.pace.ceiling) == (livemode, rate)


def test_a_failure_that_stays_is_an_error_with_its_request_id(server, source):
    server.fail_next(429, times=requests.ATTEMPTS)
    with pytest.raises(StripeRequestError, match=r"kept limiting /v1/products \(request req_\d+\)"):
        list(source.objects("products"))
    assert len(server.requests) == requests.ATTEMPTS
    server.fail_next(500, times=requests.ATTEMPTS)
    with pytest.raises(StripeRequestError, match=r"answered 500 to /v1/products \(request req_\d+\)"):
        list(source.objects("products"))


def test_a_refused_request_is_not_repeated(server, source):
    with pytest.raises(StripeRequestError, match=r"answered 400 .*unknown parameter: colour"):
        list(source.objects("products", colour="red"))
    assert len(server.requests) == 1


def test_no_server_at_all(monkeypatch):
    monkeypatch.setattr(requests, "ATTEMPTS", 2)
    with StripeServer(stripe_objects.account()) as stopped:
        url = stopped.url
    with (
        StripeSource("rk_test_x", url) as nowhere,
        pytest.raises(StripeRequestError, match="could not be reached"),
    ):
        nowhere.probe()


def test_a_refused_key_shows_four_characters_only(server):
    with (
        StripeSource("rk_invalid_secret_abcd", server.url) as refused,
        pytest.raises(ConfigurationError) as caught,
    ):
        next(refused.objects("customers"))
    assert len(server.requests) == 1
    assert "'abcd'" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_probe_names_what_is_missing(server, source):
    assert source.probe() == dict.fromkeys(RESOURCES)
    server.missing_permissions = frozenset({"credit_notes"})
    assert source.probe() == {
        **dict.fromkeys(RESOURCES),
        "credit_notes": "'Credit notes' (rak_credit_note_read)",
    }
    with pytest.raises(
        ConfigurationError,
        match=r"key ending in 'wxyz' may not read credit_notes .*Give it Read on 'Credit notes'",
    ) as caught:
        list(source.objects("credit_notes"))
    assert "rk_test" not in str(caught.value)


def test_every_page_passes_the_rate_limit(server):
    with StripeSource("rk_test_x", server.url, requests_per_second=5) as slow:
        began = time.monotonic()
        for _ in range(4):
            list(slow.objects("customers"))  # 12 pages: 5 at once, the rest at 5 a second
        assert time.monotonic() - began >= 1.3


def test_importing_the_client_does_not_import_the_sdk():
    code = "import sys, expansion_platform.sources.stripe.client; sys.exit('stripe' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
