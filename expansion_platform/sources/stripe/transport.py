"""The SDK's connection, without its decoding of answers.

Here: one HTTP client for all threads that keeps the body of a good answer as bytes. Not here: what is
requested (`requests.py`).

The SDK decodes each answer into ordered dicts with floats, 9 ms a page of invoices; this project then decoded
it again with decimals, 4 ms. A good answer therefore reaches the SDK as `{}` with its body beside it; errors
reach it whole, because it knows what to make of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import stripe


class Connection(stripe.RequestsClient):
    """The SDK's `requests` client over one pool of connections."""

    def __init__(self, connections: int) -> None:
        super().__init__()
        self._session = self.requests.Session()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self.requests.adapters.HTTPAdapter(pool_maxsize=connections))

    def request(  # type: ignore[override]  # the class it extends differs from the SDK's base class in the same way
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> tuple[bytes, int, Any]:
        """One request, as the SDK makes it."""
        content, status, answered = super().request(method, url, headers, post_data)
        if status != 200:
            return content, status, answered
        answered.body = content  # type: ignore[attr-defined]  # `decoded` takes it from here
        return b"{}", status, answered


def decoded(response: stripe.StripeResponse) -> dict[str, Any]:
    """The answer's object, its numbers exact. ValueError when it is cut off or no JSON."""
    found = json.loads(response.headers.body, parse_float=Decimal)  # type: ignore[attr-defined]  # put there by `request`
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
