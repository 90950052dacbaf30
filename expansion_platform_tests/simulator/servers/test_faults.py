"""The plan of faults: the same for the same seed, never without end, and each of them as a client sees it."""

from __future__ import annotations

import copy
import http.client
import json
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

import pytest

from expansion_platform.simulator.company.company import simulate
from expansion_platform.simulator.servers.faults import MOST_IN_A_ROW, Fault, Faults, besides, moments
from expansion_platform.simulator.servers.http import Delivery, Request, Response
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform_tests.simulator import stripe_objects

_BROKEN = {Delivery.NONE: http.client.RemoteDisconnected, Delivery.RESET: ConnectionResetError}
REQUESTS = [
    Request("GET", "/v1/customers", {"limit": "100", "starting_after": f"cus_{number}"})
    for number in range(400)
]


def failed(status: int, _message: str) -> Response:
    return Response({"error": {}}, status)


def outcome(faults: Faults, request: Request) -> tuple[int, Delivery, bool]:
    response = faults.between(request, lambda _: Response({"data": []}), failed)
    return response.status, response.delivery, "Retry-After" in response.headers


def test_the_plan_follows_from_the_seed() -> None:
    once, again, other = (Faults(seed) for seed in (5, 5, 6))
    told = [outcome(once, request) for request in REQUESTS]
    assert told == [outcome(again, request) for request in REQUESTS]
    assert told != [outcome(other, request) for request in REQUESTS]
    assert set(once.met) == {fault.value for fault in Fault} - {Fault.SHUFFLED.value}


def test_what_a_request_meets_outside_of_bursts_does_not_depend_on_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("expansion_platform.simulator.servers.faults.BURST", 0)
    forwards, backwards = Faults(5), Faults(5)
    assert [outcome(forwards, each) for each in REQUESTS] == [
        outcome(backwards, each) for each in reversed(REQUESTS)
    ][::-1]


def test_limits_come_in_bursts_and_nothing_fails_for_ever() -> None:
    faults, attempts = Faults(5), Counter[str]()
    for request in REQUESTS:
        after = request.params["starting_after"]
        while True:
            attempts[after] += 1
            status, delivery, _ = outcome(faults, request)
            if status == 200 and delivery in (Delivery.WHOLE, Delivery.DRIPPED):
                break
    assert max(attempts.values()) == MOST_IN_A_ROW + 1


@pytest.mark.parametrize("delivery", Delivery)
def test_how_an_answer_arrives(delivery: Delivery, monkeypatch: pytest.MonkeyPatch) -> None:
    with StripeServer(stripe_objects.account()) as server:
        whole = server.answer(
            Request("GET", "/v1/customers", {"limit": "30"}, {"authorization": "Bearer rk_x"})
        )
        monkeypatch.setattr(server, "answer", lambda _: Response(whole.body, delivery=delivery))
        if delivery in _BROKEN:
            with pytest.raises(_BROKEN[delivery]):
                get(server)
        elif delivery is Delivery.CUT:
            with pytest.raises(json.JSONDecodeError):
                json.loads(get(server))
        else:
            assert json.loads(get(server)) == whole.body


def get(server: StripeServer) -> bytes:
    request = urllib.request.Request(f"{server.url}/v1/customers", headers={"Authorization": "Bearer rk_x"})
    with urllib.request.urlopen(request) as answered:
        return bytes(answered.read())


def test_events_come_shuffled_and_repeated_and_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expansion_platform.simulator.servers.faults.SHARE", 0)
    listed = [{"id": f"evt_{number:03d}"} for number in range(40)]
    shown = (
        Faults(1)
        .between(Request("GET", "/v1/events"), lambda _: Response({"data": listed}), failed)
        .body["data"]
    )
    assert {item["id"] for item in shown} == {item["id"] for item in listed}
    assert len(shown) > len(listed)
    assert shown != sorted(shown, key=lambda item: item["id"])


@pytest.fixture(scope="module")
def account() -> Any:
    return simulate(3, 40, 6).account


def test_what_must_not_count_is_added_and_the_account_left_alone(account: Any) -> None:
    before = copy.deepcopy(account)
    disturbed = besides(account, 2)
    assert account == before
    clocked = {item["id"] for item in disturbed.objects["subscriptions"] if item["test_clock"]}
    assert clocked
    assert any(item["data"]["object"]["id"] in clocked for item in disturbed.objects["events"])
    twins = [item for item in disturbed.objects["events"] if item["id"].endswith("Twin")]
    assert all({**twin, "id": twin["id"].removesuffix("Twin")} in account.objects["events"] for twin in twins)
    assert twins
    with StripeServer(disturbed) as server:
        page = server.answer(
            Request(
                "GET",
                "/v1/subscriptions",
                {"limit": "100", "status": "all"},
                {"authorization": "Bearer rk_x"},
            )
        ).body
        listed = {item["id"] for item in page["data"]}
    assert listed == {item["id"] for item in account.objects["subscriptions"]}


def test_drafts_are_deleted_while_lists_are_read(account: Any) -> None:
    first, last = moments({1_800_000_000: account, 1_800_000_100: account}, 1, 0)
    drafts = {item["id"] for item in first.objects["invoices"]} - {
        item["id"] for item in account.objects["invoices"]
    }
    drafts = {identity for identity in drafts if "Draft" in identity}
    with StripeServer(account) as server:
        server.moving([first, last])
        page = json.loads(get_list(server, "invoices"))
        assert drafts == {item["id"] for item in page["data"] if item["id"] in drafts}
        assert all(item["lines"]["has_more"] for item in page["data"] if item["id"] in drafts)
        for identity in drafts:
            with pytest.raises(urllib.error.HTTPError, match="404"):
                get_list(server, f"invoices/{identity}/lines")
    assert drafts == {
        item["data"]["object"]["id"] for item in last.objects["events"] if item["type"] == "invoice.deleted"
    }


def get_list(server: StripeServer, path: str) -> bytes:
    request = urllib.request.Request(
        f"{server.url}/v1/{path}?limit=100", headers={"Authorization": "Bearer rk_x"}
    )
    with urllib.request.urlopen(request) as answered:
        return bytes(answered.read())
