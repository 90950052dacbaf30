"""What can go wrong between Stripe and a client, planned from a seed.

What an account may hold that a reader must not count is planned here, too.

Here: which answers fail and how, lists of events out of order and with repetitions, events Stripe made twice,
objects on a test clock, drafts that are deleted while lists are read. Not here: how an answer is sent
(`http.py`), what a company does (`simulator/company/company.py`).

What happens to a request follows from the seed, the request and how often it came, not from the order in
which threads ask; bursts of limits alone count requests.
"""

from __future__ import annotations

import json
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from expansion_platform.simulator.servers.http import Delivery, Request, Response
from expansion_platform.simulator.stripe_billing.account import StripeAccount

MOST_IN_A_ROW = 3  # a request fails at most so often before it is answered; clients give up at some point
SHARE = 0.3  # of requests meet a fault outside of bursts
BURST_EVERY, BURST = 50, 10  # of so many requests so many in a row are limited
RETRY_AFTER = "1"  # seconds
# Of customers and of events; chosen by their ids, so that an account stays one while it changes.
CLOCKED_SHARE = TWIN_SHARE = 0.1
DRAFTS, DRAFT_LINES = 6, 12  # a list shows ten lines of an invoice
_ID = re.compile(r'"((?:cus|sub|si|in|il|ii|di|cn|evt)_[A-Za-z0-9]+)"')
_ON_A_CLOCK = {
    "customer": "customers",
    "subscription": "subscriptions",
    "invoice": "invoices",
    "invoiceitem": "invoiceitems",
}

JSON = dict[str, Any]


class Fault(Enum):
    """What a request may meet; the value is what it is called."""

    LIMITED = "429"
    LIMITED_FOR = "429 with Retry-After"
    FAILED = "500"
    DROPPED = "connection closed"
    RESET = "connection reset"
    CUT = "JSON cut off"
    DRIPPED = "slow answer"
    SHUFFLED = "events shuffled and repeated"


_DELIVERIES = {
    Fault.DROPPED: Delivery.NONE,
    Fault.RESET: Delivery.RESET,
    Fault.CUT: Delivery.CUT,
    Fault.DRIPPED: Delivery.DRIPPED,
}
_SINGLE = (Fault.LIMITED, Fault.LIMITED_FOR, Fault.FAILED, *_DELIVERIES)


class Faults:
    """A plan of faults for one server; `met` counts those that happened."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.met: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._requests = 0
        self._asked: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()  # in a row

    def between(
        self, request: Request, answer: Callable[[Request], Response], failure: Callable[[int, str], Response]
    ) -> Response:
        """What the client gets in place of the server's answer, mostly that answer."""
        fault = self._next(request)
        if fault in (Fault.LIMITED, Fault.LIMITED_FOR):
            limited = failure(429, "planned")
            return (
                replace(limited, headers={**limited.headers, "Retry-After": RETRY_AFTER})
                if fault is Fault.LIMITED_FOR
                else limited
            )
        if fault is Fault.FAILED:
            return failure(500, "planned")
        if fault is Fault.DROPPED:
            return Response(None, delivery=Delivery.NONE)
        given = self._shuffled(request, answer(request))
        return given if fault is None else replace(given, delivery=_DELIVERIES[fault])

    def _next(self, request: Request) -> Fault | None:
        key = f"{request.path} {sorted(request.params.items())}"
        with self._lock:
            burst, place = divmod(self._requests, BURST_EVERY)
            self._requests += 1
            self._asked[key] += 1
            fault = None
            if self._failed[key] < MOST_IN_A_ROW:
                fault = self._of_burst(burst, place) or self._of_request(f"{key} {self._asked[key]}")
            self._failed[key] = 0 if fault in (None, Fault.DRIPPED) else self._failed[key] + 1
            if fault is not None:
                self.met[fault.value] += 1
        return fault

    def _of_burst(self, burst: int, place: int) -> Fault | None:
        chance = self._chance(f"burst {burst}")
        start = chance.randrange(BURST_EVERY - BURST)
        return chance.choice((Fault.LIMITED, Fault.LIMITED_FOR)) if start <= place < start + BURST else None

    def _of_request(self, asked: str) -> Fault | None:
        chance = self._chance(asked)
        return chance.choice(_SINGLE) if chance.random() < SHARE else None

    def _shuffled(self, request: Request, response: Response) -> Response:
        """A page of events in any order, some of them again.

        Its last may be any of its events, so pages overlap.
        """
        if request.path != "/v1/events" or response.status != 200 or len(response.body["data"]) < 2:
            return response
        chance = self._chance(f"order {sorted(request.params.items())}")
        listed = response.body["data"]
        shown = chance.sample(listed, len(listed))
        for again in chance.sample(listed, 1 + len(listed) // 10):
            shown.insert(chance.randrange(len(shown)), again)
        with self._lock:
            self.met[Fault.SHUFFLED.value] += 1
        return replace(response, body={**response.body, "data": shown})

    def _chance(self, of: str) -> random.Random:
        return random.Random(f"{self.seed}:{of}")


def besides(account: StripeAccount, seed: int) -> StripeAccount:
    """The account, and what must not count in it.

    Customers on a test clock with all they have, and events Stripe made twice.

    Stripe has test clocks in test mode only. Here they are of the account's own mode, so that they would
    count if they were read.
    """

    def chosen(identity: str, share: float) -> bool:
        return random.Random(f"{seed}:{identity}").random() < share

    clocked = _on_a_clock(
        account,
        {
            item["customer"]
            for item in account.objects["subscriptions"]
            if chosen(item["customer"], CLOCKED_SHARE)
        },
    )
    return _with(
        clocked,
        {
            "events": [
                {**item, "id": f"{item['id']}Twin"}
                for item in account.objects["events"]
                if chosen(item["id"], TWIN_SHARE)
            ]
        },
    )


def moments(accounts: Mapping[int, StripeAccount], seed: int, events_since: int) -> list[StripeAccount]:
    """One account at several instants (epoch seconds), as `StripeServer.moving` takes them.

    Each but the last with drafts gone in the next.

    Events before `events_since` are left out of all of them, as Stripe has forgotten them when the last is
    read: an event that only an earlier pull could see would date a change better than the last one can.
    """
    shown: list[StripeAccount] = []
    deletions: list[JSON] = []
    for at, account in accounts.items():
        drafts = [] if len(shown) == len(accounts) - 1 else _drafts(account, at)
        whole = _with(besides(account, seed), {"invoices": drafts, "events": deletions})
        recent = [item for item in whole.objects["events"] if item["created"] >= events_since]
        shown.append(replace(whole, objects={**whole.objects, "events": recent}))
        deletions = [*deletions, *(_deletion(draft, at + 60) for draft in drafts)]
    return shown


def _with(account: StripeAccount, added: dict[str, list[JSON]]) -> StripeAccount:
    """The account and further objects, in order of creation."""
    objects = dict(account.objects)
    for resource, items in added.items():
        objects[resource] = sorted(
            [*objects[resource], *items],
            key=lambda item: item["created"] if "created" in item else item["date"],
        )
    return replace(account, objects=objects)


def _on_a_clock(account: StripeAccount, customers: set[str]) -> StripeAccount:
    """The account and copies of the customers and all that is theirs, as on a test clock.

    Their subscriptions, bills and events under other ids.
    """
    taken = {
        name: [item for item in account.objects[name] if _customer(item) in customers]
        for name in _ON_A_CLOCK.values()
    }
    about = [item for item in account.objects["events"] if item["data"]["object"]["object"] in _ON_A_CLOCK]
    taken["events"] = [item for item in about if _customer(item["data"]["object"]) in customers]
    copied: dict[str, list[JSON]] = _renamed(taken)
    for item in [
        *(each for name in _ON_A_CLOCK.values() for each in copied[name]),
        *(event["data"]["object"] for event in copied["events"]),
    ]:
        item["test_clock"] = "clock_1"
    discounts = {key: entry for key, entry in account.discounts.items() if entry["customer"] in customers}
    return replace(_with(account, copied), discounts={**account.discounts, **_renamed(discounts)})


def _renamed(objects: Any) -> Any:
    return json.loads(_ID.sub(r'"\1Clock"', json.dumps(objects)))


def _customer(item: JSON) -> Any:
    return item["id"] if item["object"] == "customer" else item.get("customer")


def _drafts(account: StripeAccount, at: int) -> list[JSON]:
    """New drafts made of the newest bills, with so many lines that a list shows only some of them."""
    return [
        _draft(bill, at - 600 + number, f"{at}x{number}")
        for number, bill in enumerate(account.objects["invoices"][-DRAFTS:])
    ]


def _draft(bill: JSON, created: int, name: str) -> JSON:
    copies = bill["lines"]["data"] * DRAFT_LINES
    lines = [
        {**line, "id": f"il_Draft{name}x{number}", "invoice": f"in_Draft{name}"}
        for number, line in enumerate(copies)
    ]
    changed = {
        "id": f"in_Draft{name}",
        "created": created,
        "status": "draft",
        "lines": {**bill["lines"], "data": lines},
    }
    return {**bill, **changed, "status_transitions": dict.fromkeys(bill["status_transitions"])}


def _deletion(draft: JSON, at: int) -> JSON:
    return {
        "id": f"evt_{draft['id']}",
        "object": "event",
        "api_version": None,
        "created": at,
        "data": {"object": {key: draft[key] for key in ("id", "object", "customer", "status")}},
        "livemode": draft["livemode"],
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": "invoice.deleted",
    }
