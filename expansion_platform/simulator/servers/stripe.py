"""A loopback Stripe: an account's objects, read as the API lets them be read.

Newest first, cursors, `created` ranges, `has_more`, four levels of `expand`, ten embedded lines, error
envelopes. It is stricter than Stripe where that helps: a parameter it does not serve is an error, never
ignored.

Here: routes, keys and permissions. Not here: filters and pages (`stripe_lists.py`), meters
(`stripe_meters.py`), expansion (`stripe_rendering.py`), what the account holds.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any

from expansion_platform.simulator.servers import stripe_meters
from expansion_platform.simulator.servers.ceiling import Ceiling
from expansion_platform.simulator.servers.faults import Faults
from expansion_platform.simulator.servers.http import Delivery, LoopbackServer, Request, Response
from expansion_platform.simulator.servers.stripe_lists import (
    PAGING,
    RESOURCES,
    Object,
    Resource,
    Run,
    StripeError,
    Table,
    check_values,
    known_parameters,
    missing,
)
from expansion_platform.simulator.servers.stripe_rendering import Expansion, expansion, render
from expansion_platform.simulator.stripe_billing.account import StripeAccount

# Objects that have a list of their own inside another object.
_ITEMS = Resource("SubscriptionItem", "subscription_item", "subscription")
_LINES = {"invoices": "InvoiceLineItem", "credit_notes": "CreditNoteLineItem"}


class _Index:
    """Everything a request needs of an account; replaced whole when the account is."""

    def __init__(self, account: StripeAccount) -> None:
        self.account = account
        self.by_id = account.by_id()
        self.tables = {name: Table(account, name) for name in RESOURCES}


class StripeServer(LoopbackServer):
    """Serves an account read-only.

    To any bearer key that begins with `sk_` or `rk_` and does not contain `invalid`.

    `missing_permissions` names resources (`credit_notes`) which a restricted key (`rk_`) may not read; beyond
    `pages_per_second` requests on one endpoint it answers 429 (Stripe: 25), without `Retry-After`; `faults`
    go between it and the client. Setting `account` replaces what is served, between two requests; `moving`
    does so while lists are read.
    """

    def __init__(
        self,
        account: StripeAccount,
        missing_permissions: Iterable[str] = (),
        pages_per_second: float | None = None,
        faults: Faults | None = None,
    ) -> None:
        super().__init__()
        self._ceiling = None if pages_per_second is None else Ceiling(pages_per_second)
        self.faults = faults
        self._index = _Index(account)
        self._coming: deque[_Index] = deque()
        self.missing_permissions = frozenset(missing_permissions)
        self._request_numbers = itertools.count(1)

    @property
    def account(self) -> StripeAccount:
        """The account served."""
        return self._index.account

    @account.setter
    def account(self, account: StripeAccount) -> None:
        self._index = _Index(account)

    def moving(self, accounts: Iterable[StripeAccount]) -> None:
        """Serve the first account, and the next one after each page of invoices that arrived.

        Objects change, come and go while lists are read.
        """
        self._index, *coming = map(_Index, accounts)
        self._coming = deque(coming)

    def answer(self, request: Request) -> Response:
        """Answer one API request."""
        response = (
            self._answer(request)
            if self.faults is None
            else self.faults.between(request, self._answer, self.failure)
        )
        arrives = response.status == 200 and response.delivery in (Delivery.WHOLE, Delivery.DRIPPED)
        if arrives and self._coming and request.path == "/v1/invoices":
            self._index = self._coming.popleft()
        return response

    def _answer(self, request: Request) -> Response:
        if self._ceiling is not None and self._ceiling.refuses(request.path.split("/")[2]):
            return self.failure(429, "too many requests")
        headers = self._headers()
        if "stripe-version" in request.headers:
            headers["Stripe-Version"] = request.headers["stripe-version"]
        try:
            return Response(self._route(request), headers=headers)
        except StripeError as error:
            return Response({"error": error.envelope}, error.status, headers)

    def failure(self, status: int, message: str) -> Response:
        """Stripe's envelopes of 429 and 5xx."""
        if status == 429:
            error = StripeError(
                429,
                "Request rate limit exceeded. Learn more: https://stripe.com/docs/rate-limits",
                "rate_limit",
            )
        else:
            error = StripeError(status, message, kind="api_error")
        return Response({"error": error.envelope}, status, self._headers())

    def _headers(self) -> dict[str, str]:
        return {"Request-Id": f"req_{next(self._request_numbers):014d}"}

    def _route(self, request: Request) -> Any:
        key = _checked_key(request)
        index = self._index
        version, _, rest = request.path.strip("/").partition("/")
        if version == "v1" and f"{rest}/".startswith(f"{stripe_meters.PATH}/"):
            self._check_permission(request, key, stripe_meters.PATH, stripe_meters.PERMISSION)
            segments = rest.split("/")[2:]
            if (
                found := stripe_meters.answer(
                    index.account, index.by_id, segments, request.params, request.path
                )
            ) is None:
                raise _unrecognized(request)
            return found
        name, *segments = rest.split("/")
        resource = _ITEMS if name == "subscription_items" else RESOURCES.get(name)
        if version != "v1" or resource is None:
            raise _unrecognized(request)
        self._check_permission(
            request, key, "subscriptions" if resource is _ITEMS else name, resource.permission
        )
        match segments:
            case [] if resource is _ITEMS:
                return _subscription_items(index, request)
            case []:
                page, has_more = index.tables[name].filtered(request.params, index.by_id)
                return _rendered(index, page, has_more, resource.sdk_class, request)
            case [item_id]:
                known_parameters(request.params, {"expand"})
                return render(
                    _find(index, resource, item_id),
                    _expansion(request, resource.sdk_class, in_list=False),
                    index.by_id,
                )
            case [item_id, "lines"] if name in _LINES:
                known_parameters(request.params, PAGING)
                lines = Run("line_item", _find(index, resource, item_id)["lines"]["data"], newest_first=False)
                return _rendered(index, *lines.page(request.params), _LINES[name], request)
        raise _unrecognized(request)

    def _check_permission(self, request: Request, key: str, name: str, permission: str) -> None:
        access = "read" if request.method == "GET" else "write"
        if access == "read" and not (key.startswith("rk_") and name in self.missing_permissions):
            return
        raise StripeError(
            403,
            f"The provided key '{_masked(key)}' does not have the required permissions for this "
            f"endpoint on account '{self.account.id}'. Having the 'rak_{permission}_{access}' "
            "permission would allow this request to continue.",
        )


def _checked_key(request: Request) -> str:
    key = request.bearer
    if key is None:
        raise StripeError(
            401,
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )
    if not key.startswith(("sk_", "rk_")) or "invalid" in key:
        raise StripeError(401, f"Invalid API Key provided: {_masked(key)}")
    return key


def _masked(key: str) -> str:
    return f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}"


def _unrecognized(request: Request) -> StripeError:
    return StripeError(
        404,
        f"Unrecognized request URL ({request.method}: {request.path}). Please see https://stripe.com/docs.",
    )


def _find(index: _Index, resource: Resource, item_id: str) -> Object:
    found = index.by_id.get(item_id)
    if found is None or found.get("object") != resource.kind:
        raise missing(resource.kind, item_id, "id", 404)
    return found


def _expansion(request: Request, sdk_class: str, *, in_list: bool) -> Expansion:
    try:
        return expansion(request.params.get("expand", []), sdk_class, in_list=in_list)
    except ValueError as error:
        raise StripeError(400, str(error), param="expand") from error


def _rendered(index: _Index, page: list[Object], has_more: bool, sdk_class: str, request: Request) -> Object:
    tree = _expansion(request, sdk_class, in_list=True)
    return {
        "object": "list",
        "data": [render(item, tree, index.by_id) for item in page],
        "has_more": has_more,
        "url": request.path,
    }


def _subscription_items(index: _Index, request: Request) -> Object:
    """`GET /v1/subscription_items?subscription=`."""
    known_parameters(request.params, PAGING | {"subscription"})
    if "subscription" not in request.params:
        raise StripeError(400, "Missing required param: subscription.", "parameter_missing", "subscription")
    check_values(request.params, index.by_id)
    items = Run(_ITEMS.kind, index.by_id[request.params["subscription"]]["items"]["data"], newest_first=False)
    return _rendered(index, *items.page(request.params), _ITEMS.sdk_class, request)
