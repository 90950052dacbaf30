"""A Stripe of any size: a simulated account served many times over under other ids, without being held more
than once.

Here: the server, for measuring pulls only. Not here: Stripe's rules, which the simulator's own server keeps
(`simulator/servers/stripe.py`).

Every object is rendered once, as the client asks for it, with a mark behind each id; a page is cut from them
and the marks become the clone's number. Clones of an object have its `created` and are listed one after the
other.
"""

from __future__ import annotations

import bisect
import json
import re
import sys
import time
from collections import defaultdict
from decimal import Decimal
from typing import Any

from expansion_platform.simulator.company.company import simulate
from expansion_platform.simulator.servers.ceiling import Ceiling
from expansion_platform.simulator.servers.http import LoopbackServer, Request, Response
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.full import LISTS
from expansion_platform.sources.stripe.resources import RESOURCES

BASE, SEED, MONTHS = 250, 3, 24
_ID = re.compile(r'"((?:cus|sub|si|in|il|ii|di|cn|evt|req)_[A-Za-z0-9_]+)"')
_MARK = "~"


class _List:
    """One list: rendered objects, newest first."""

    def __init__(self, objects: list[dict[str, Any]], clones: int) -> None:
        self.ids = [item["id"] for item in objects]
        self.position = {key: at for at, key in enumerate(self.ids)}
        # Ascending for bisect.
        self.created = [-(item["created"] if "created" in item else item["date"]) for item in objects]
        self.texts = [
            _ID.sub(rf'"\1{_MARK}"', json.dumps(item, separators=(",", ":"), default=_number))
            for item in objects
        ]
        self.clones = clones

    def page(self, params: dict[str, Any]) -> str:
        bounds = params.get("created", {})
        low = bisect.bisect_right(self.created, -int(bounds["lt"])) * self.clones if "lt" in bounds else 0
        high = (
            bisect.bisect_right(self.created, -int(bounds["gte"])) if "gte" in bounds else len(self.texts)
        ) * self.clones
        if after := params.get("starting_after"):
            key, _, number = after.rpartition(_MARK)
            low = self.position[key or after] * self.clones + int(number if key else 0) + 1
        end = min(high, low + int(params["limit"]))
        found = ",".join(
            self.texts[at // self.clones].replace(_MARK, f"{_MARK}{at % self.clones}")
            for at in range(low, end)
        )
        return f'{{"object":"list","data":[{found}],"has_more":{"true" if end < high else "false"}}}'


class ClonedStripe(LoopbackServer):
    """Serves the lists a full pull reads. `/stats` tells requests answered, limited, and the seconds between
    first and last, by endpoint.
    """

    def __init__(self, clones: int, pages_per_second: float) -> None:
        super().__init__()
        self._ceiling = Ceiling(pages_per_second)
        self._stats: dict[str, dict[str, float]] = defaultdict(
            lambda: {"pages": 0, "limited": 0, "first": time.monotonic(), "last": 0.0}
        )
        company = simulate(SEED, BASE, MONTHS)
        asked = [(resource, filters) for resource, filters in LISTS.values()] + [
            ("invoiceitems", {"pending": True})
        ]
        with (
            StripeServer(company.account) as server,
            StripeSource("rk_live_simulated", server.url, 1000) as source,
        ):
            self._lists = {
                _key(RESOURCES[resource].path, filters): _List(
                    list(source.objects(resource, **filters)),
                    1 if resource in ("products", "prices", "coupons") else clones,
                )
                for resource, filters in asked
            }
        self.objects = sum(len(listed.texts) * listed.clones for listed in self._lists.values())

    def answer(self, request: Request) -> Response:
        """One page."""
        if request.path == "/stats":
            return Response(self._stats)
        endpoint = request.path.split("/")[2]
        stats = self._stats[endpoint]
        if self._ceiling.refuses(endpoint):
            stats["limited"] += 1
            return self.failure(429, "too many requests")
        page = self._lists[_key(endpoint, request.params)].page(request.params)
        stats["pages"] += 1
        stats["last"] = time.monotonic()
        self.requests.clear()  # a log of every request would be the largest thing in memory
        return Response(page, headers={"Request-Id": "req_1"})

    def failure(self, status: int, message: str) -> Response:
        """Stripe's envelope."""
        return Response(
            {
                "error": {
                    "type": "api_error",
                    "message": message,
                    **({"code": "rate_limit"} if status == 429 else {}),
                }
            },
            status,
        )


def _key(path: str, filters: dict[str, Any]) -> tuple[str, str]:
    return path, filters["types"][0] if "types" in filters else ""


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


if __name__ == "__main__":
    with ClonedStripe(int(sys.argv[1]), float(sys.argv[2])) as running:
        print(json.dumps({"url": running.url, "objects": running.objects}), flush=True)
        sys.stdin.read()
