"""Reading one Stripe account.

Every list and object as plain dicts, within the rate limit, with errors that say what to do.

Here: requests, paging, the rate limit, retries, permissions. Not here: which objects to read when (`pull.py`)
and what they mean (`rows.py`).

The official SDK sends the requests (authentication, API version, encoding of parameters), through its
`raw_request`: its typed objects turn `percent_off` into a float and cost most of the time of a pull, and its
iterator would fetch pages behind the rate limiter's back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import tenacity

from expansion_platform.domain.core.errors import ConfigurationError, DataQualityError, ExpansionError
from expansion_platform.sources.stripe.fields import PLAIN_KEYS, MetadataKeys
from expansion_platform.sources.stripe.kinds import LAST_MOMENT, is_text
from expansion_platform.sources.stripe.rate import ENDPOINT_CEILING, Pace

if TYPE_CHECKING:
    import stripe

Object = dict[str, Any]

PAGE_SIZE = 100  # the most Stripe gives
DAY = 86_400
ATTEMPTS = 8  # waits of 0.5, 1, 2, 4, 8, 16 and 30 s: about a minute before giving up
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30
# A list whose page was deleted while it was read begins anew, and may come by an object again.
SAME_CURSOR = 2
CONNECTIONS = 16  # more than the threads of a pull
# Half of what one endpoint allows, and a third of what a sandbox does: others use the account too.
LIVE_PER_SECOND, TEST_PER_SECOND = 12, 8


@dataclass(frozen=True)
class Resource:
    """A list of the API.

    `expand` keeps to the four levels Stripe allows, counted without the list's own `data` when one object is
    read.
    """

    path: str
    permission: str
    expand: tuple[str, ...] = ()
    embedded: str | None = None  # an embedded list that Stripe cuts off
    embedded_expand: tuple[str, ...] = ()
    # What an account is like whose key may not read it; None: it is not read at all.
    without: str | None = None


RESOURCES: dict[str, Resource] = {
    "customers": Resource("customers", "Customers", ("discount.source.coupon",)),
    "products": Resource("products", "Products"),
    "prices": Resource("prices", "Prices", ("tiers", "currency_options")),
    "coupons": Resource("coupons", "Coupons", ("applies_to", "currency_options")),
    "tax_rates": Resource(
        "tax_rates", "Tax rates", without="the rate of tax inside a price is told by bills"
    ),
    "subscriptions": Resource(
        "subscriptions",
        "Subscriptions",
        ("discounts.source.coupon", "items.data.discounts"),
        "items",
        ("discounts",),
    ),
    "subscription_schedules": Resource(
        "subscription_schedules",
        "Subscription schedules",
        without="what a schedule changed is dated by bills",
    ),
    "invoices": Resource(
        "invoices", "Invoices", ("discounts.source.coupon", "lines.data.discounts"), "lines", ("discounts",)
    ),
    "invoiceitems": Resource("invoiceitems", "Invoices"),
    "credit_notes": Resource("credit_notes", "Credit notes"),
    "events": Resource("events", "Events"),
    "billing/meters": Resource("billing/meters", "Billing meters", without="usage is told by bills"),
}


class StripeRequestError(ExpansionError):
    """Stripe could not be reached, kept failing, or refused a request.

    The text has the request id to quote to Stripe's support.
    """


class StripeSource:
    """A Stripe account, read only.

    Args:
        api_key: A restricted key with Read on the resources of `RESOURCES`.
        api_base: Another Stripe-compatible server; None for api.stripe.com.
        requests_per_second: Ceiling for this process, whatever the number of sources and threads: Stripe
            allows 25 a second on each endpoint and shares them with the merchant's own production traffic.
            None for 12, or 8 with a test key.
        keys: Metadata that is kept of what is read.

    Any number of threads may use one source. Close it, or use it as a context manager: it keeps connections
    open.
    """

    def __init__(
        self,
        api_key: str,
        api_base: str | None = None,
        requests_per_second: int | None = None,
        keys: MetadataKeys = PLAIN_KEYS,
    ) -> None:
        import stripe  # half a second, only where Stripe is really read

        from expansion_platform.sources.stripe.transport import Connection

        self.keys = keys
        self._key = api_key
        self._http = Connection(CONNECTIONS)
        # No retries inside the SDK: it repeats 5xx but never a 429, and past the rate limiter.
        bases: Any = {} if api_base is None else {"api": api_base.rstrip("/")}
        self._client = stripe.StripeClient(
            api_key, base_addresses=bases, max_network_retries=0, http_client=self._http
        )
        self.pace = _pace(
            api_base, requests_per_second or (TEST_PER_SECOND if self.livemode is False else LIVE_PER_SECOND)
        )

    @property
    def version(self) -> str:
        """The API version objects come in: the SDK's. Events come in the account's own."""
        import stripe

        return str(stripe.api_version)

    @property
    def livemode(self) -> bool | None:
        """Whether the key is for live or test data, by its prefix; None when it does not say."""
        kind = re.match(r"[a-z]+_(live|test)_", self._key)
        return None if kind is None else kind[1] == "live"

    def __enter__(self) -> StripeSource:
        """The source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()  # type: ignore[no-untyped-call]  # the SDK has no types here

    def objects(
        self, resource: str, created_gte: int | None = None, created_lt: int | None = None, **filters: Any
    ) -> Iterator[Object]:
        """Every object of a resource, newest first.

        What a row needs is expanded, and embedded lists are complete.

        Args:
            resource: A key of `RESOURCES`. Subscriptions come in every status unless `filters` say otherwise.
            created_gte: Earliest `created`, epoch seconds, inclusive.
            created_lt: Latest `created`, exclusive.
            **filters: Further parameters of the list, such as `status`, `pending`, `types`.

        Raises:
            ConfigurationError: The key is wrong or lacks a permission.
            StripeRequestError: Stripe stayed unreachable through all attempts, or refused the request.
        """
        for page, _ in self.pages(resource, created_gte, created_lt, **filters):
            yield from page

    def pages(
        self,
        resource: str,
        created_gte: int | None = None,
        created_lt: int | None = None,
        *,
        whole: bool = True,
        **filters: Any,
    ) -> Iterator[tuple[list[Object], bool]]:
        """`objects` a page of 100 at a time, each with whether more follow.

        The next is requested only when it is asked for.

        Without `whole`, embedded lists may be cut off: see `whole`.
        """
        known = RESOURCES[resource]
        created = {
            name: bound for name, bound in (("gte", created_gte), ("lt", created_lt)) if bound is not None
        }
        parameters = {
            **({"status": "all"} if resource == "subscriptions" else {}),
            **({"created": created} if created else {}),
            **({"expand": [f"data.{path}" for path in known.expand]} if known.expand else {}),
            **filters,
        }
        try:
            for page, has_more in self._pages(f"/v1/{known.path}", known, parameters):
                yield (
                    [done for found in page if (done := self.whole(resource, found)) is not None]
                    if whole
                    else page,
                    has_more,
                )
        except PermissionMissingError:
            if known.without is None:
                raise
            yield [], False

    def object(self, resource: str, object_id: str) -> Object | None:
        """One object by its id, as in `objects`.

        None when Stripe does not know it (any more) or it is deleted.
        """
        known = RESOURCES[resource]
        try:
            found = self._get(
                f"/v1/{known.path}/{object_id}", known, {"expand": list(known.expand)} if known.expand else {}
            )
        except _NotFoundError:
            return None
        except PermissionMissingError:
            if known.without is None:
                raise
            return None
        return None if found.get("deleted") else self.whole(resource, found)

    def meters(self) -> list[Object]:
        """Every billing meter, inactive ones too.

        PermissionMissingError when the key may not read them: usage can be had from bills as well.
        """
        known = RESOURCES["billing/meters"]
        return [meter for page, _ in self._pages(f"/v1/{known.path}", known, {}) for meter in page]

    def summaries(self, meter: str, customer: str, since: int, until: int) -> list[Object] | None:
        """Summaries by day of a customer's meter events in [since, until), both midnight UTC.

        None when Stripe has not got the customer any more.

        Raises:
            PermissionMissingError: The key may not read them.
            StripeRequestError: As in `objects`.
        """
        known = RESOURCES["billing/meters"]
        asked = {"customer": customer, "start_time": since, "end_time": until, "value_grouping_window": "day"}
        try:
            return [
                found
                for page, _ in self._pages(f"/v1/{known.path}/{meter}/event_summaries", known, asked)
                for found in page
            ]
        except _NotFoundError:
            return None

    def newest(self, resource: str) -> Object | None:
        """The newest object of a list, nothing expanded; None when there is none."""
        known = RESOURCES[resource]
        found = self._get(f"/v1/{known.path}", known, {"limit": 1}, attempts=2)["data"]
        return found[0] if found else None

    def probe(self) -> dict[str, str | None]:
        """Tries each resource once: resource to the permission the key lacks for it, or None.

        ConfigurationError for a refused key.
        """
        return {name: self._missing(name) for name in RESOURCES}

    def _missing(self, resource: str) -> str | None:
        try:
            newest = self.newest(resource)
            if (
                resource == "billing/meters"
                and newest is not None
                and (customer := self.newest("customers")) is not None
            ):
                self.summaries(
                    newest["id"],
                    customer["id"],
                    newest["created"] // DAY * DAY,
                    newest["created"] // DAY * DAY + DAY,
                )
        except PermissionMissingError as error:
            return error.permission
        return None

    def whole(self, resource: str, found: Object) -> Object | None:
        """The object with its embedded list whole.

        Stripe embeds the first 10 lines of an invoice, and limits a subscription's items likewise.

        A price comes with the tiers of all its currencies. None when the object was deleted after it was
        listed, as a draft invoice may be.
        """
        known = RESOURCES[resource]
        if resource == "prices":
            return self._with_tiers_in_all_currencies(found)
        part = known.embedded
        if part is None or not isinstance(held := found.get(part), dict) or held.get("has_more") is not True:
            return found
        expand = [f"data.{path}" for path in known.embedded_expand]
        path, own = (
            ("/v1/subscription_items", {"subscription": found["id"]})
            if part == "items"
            else (f"/v1/invoices/{found['id']}/lines", {})
        )
        try:
            items = [item for page, _ in self._pages(path, known, {"expand": expand, **own}) for item in page]
        except _NotFoundError:
            return None
        return {**found, part: {**held, "data": items, "has_more": False}}

    def _with_tiers_in_all_currencies(self, price: Object) -> Object | None:
        """A price whose currency options have their tiers.

        Stripe gives them by the name of each currency only, and ignores `currency_options.tiers`.

        One request for each tiered price in several currencies.
        """
        options = price.get("currency_options") or {}
        without = [
            currency
            for currency, option in options.items()
            if price.get("billing_scheme") == "tiered" and not option.get("tiers")
        ]
        if not without:
            return price
        expand = [
            *RESOURCES["prices"].expand,
            *(f"currency_options.{currency}.tiers" for currency in without),
        ]
        try:
            return self._get(f"/v1/prices/{price['id']}", RESOURCES["prices"], {"expand": expand})
        except _NotFoundError:
            return None

    def _pages(
        self, path: str, resource: Resource, parameters: Object
    ) -> Iterator[tuple[list[Object], bool]]:
        page = self._page(path, resource, {"limit": PAGE_SIZE, **parameters})
        went_on = Counter[str]()
        while True:
            yield page["data"], page["has_more"]
            if not page["has_more"]:
                return
            cursor = page["data"][-1]["id"] if page["data"] else None
            went_on[str(cursor)] += 1
            if cursor is None or went_on[cursor] > SAME_CURSOR:
                raise StripeRequestError(
                    f"{path} does not end: it says that more follows {cursor or 'an empty page'}, and "
                    "nothing new comes"
                )
            page = self._after(page["data"], path, resource, parameters)

    def _after(self, listed: list[Object], path: str, resource: Resource, parameters: Object) -> Object:
        """The page behind a page.

        Behind the last of its objects that is still there, since one may be deleted meanwhile; behind none,
        the first.
        """
        for item in reversed(listed):
            try:
                return self._page(
                    path, resource, {"limit": PAGE_SIZE, **parameters, "starting_after": item["id"]}
                )
            except _CursorGoneError:
                continue
        return self._page(path, resource, {"limit": PAGE_SIZE, **parameters})

    def _page(self, path: str, resource: Resource, parameters: Object) -> Object:
        """A page of a list.

        Each of its objects says which it is and when it was created, since lists are read on by that.
        """
        page = self._get(path, resource, parameters)
        listed = page.get("data")
        if (
            not isinstance(listed, list)
            or not isinstance(page.get("has_more"), bool)
            or not all(isinstance(item, dict) for item in listed)
        ):
            raise StripeRequestError(
                f"The answer to {path} is no list of objects. Check the network, proxies and STRIPE_API_BASE."
            )
        dated = path == f"/v1/{resource.path}" and path != "/v1/invoiceitems"  # those have a `date` instead
        for item in listed:
            if not is_text(item.get("id")) or not item["id"]:
                raise DataQualityError(
                    f"an object of {path} without a readable id", [str(item.get("id"))[:40]]
                )
            if dated and not (type(created := item.get("created")) is int and 0 <= created < LAST_MOMENT):
                raise DataQualityError(f"an object of {path} without a readable created", [item["id"]])
        return page

    def _get(self, path: str, resource: Resource, parameters: Object, attempts: int = ATTEMPTS) -> Object:
        """One request through the rate limiter, repeated while it makes sense."""
        import stripe

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_passing),
            wait=_wait,
            stop=tenacity.stop_after_attempt(attempts),
            reraise=True,
        )
        try:
            return retrying(self._attempt, path, parameters)
        except stripe.StripeError as error:
            raise self._explained(error, path, resource) from error

    def _attempt(self, path: str, parameters: Object) -> Object:
        import stripe

        from expansion_platform.sources.stripe.transport import decoded

        self.pace.wait(_endpoint(path))
        try:
            response = self._client.raw_request("get", path, **parameters)
        except stripe.RateLimitError as error:
            self.pace.limited(_asked(error))
            raise
        self.pace.answered()
        try:
            return decoded(response)
        except ValueError as error:
            raise stripe.APIConnectionError(f"an answer that is cut off or no JSON: {error}") from error  # type: ignore[no-untyped-call]  # the SDK has no types here

    def _explained(self, error: stripe.StripeError, path: str, resource: Resource) -> ExpansionError:
        """The package's error for one of Stripe's.

        Never with the key in it beyond its last four characters.
        """
        import stripe

        request = f"request {error.request_id}" if error.request_id else "no request id"
        if isinstance(error, stripe.AuthenticationError):
            return ConfigurationError(
                f"Stripe refused the API key ending in {self._key[-4:]!r} ({request}). Set "
                "STRIPE_API_KEY to a restricted key of this account: Dashboard > Developers > API keys."
            )
        if isinstance(error, stripe.PermissionError):
            # Stripe names the permission in its text.
            named = re.search(r"\brak_\w+", error.user_message or "")
            permission = f"{resource.permission!r} ({named[0]})" if named else repr(resource.permission)
            return PermissionMissingError(
                f"The API key ending in {self._key[-4:]!r} may not read {resource.path} ({request}). "
                f"Give it Read on {permission}: Dashboard > Developers > API keys.",
                permission,
            )
        gone = (
            getattr(error, "param", None)
            if error.http_status == 400 and error.code == "resource_missing"
            else None
        )
        if gone == "starting_after":
            return _CursorGoneError(f"the object {path} was to go on from is gone ({request})")
        if error.http_status == 404 or gone == "customer":
            return _NotFoundError(f"Stripe has no {gone or 'such object'} of {path} ({request})")
        if isinstance(error.__cause__, ValueError) and not isinstance(error.__cause__, OSError):
            return StripeRequestError(
                f"The answer to {path} is no JSON object. Check the network, proxies and STRIPE_API_BASE."
            )
        if error.http_status is None:
            return StripeRequestError(
                f"Stripe could not be reached for {path}: {type(error.__cause__).__name__}. Check the "
                "network and STRIPE_API_BASE."
            )
        if error.http_status == 429:
            return StripeRequestError(
                f"Stripe kept limiting {path} ({request}). Lower STRIPE_REQUESTS_PER_SECOND or try "
                "again later."
            )
        return StripeRequestError(
            f"Stripe answered {error.http_status} to {path} ({request}): {error.user_message or 'no message'}"
        )


class PermissionMissingError(ConfigurationError):
    """The key may not read a resource; `permission` is what to grant it."""

    def __init__(self, text: str, permission: str) -> None:
        super().__init__(text)
        self.permission = permission


class _NotFoundError(StripeRequestError):
    """No such object."""


class _CursorGoneError(StripeRequestError):
    """The object a list was to go on from does not exist any more."""


@lru_cache
def _pace(api_base: str | None, requests_per_second: int) -> Pace:
    """One pace a process and server, shared by all sources.

    Only Stripe's own server is known to limit each endpoint; others say so by a 429.
    """
    return Pace(requests_per_second, ENDPOINT_CEILING if api_base is None else None)


def _endpoint(path: str) -> str:
    """What Stripe counts requests by.

    `/v1/invoices/in_1/lines` and `/v1/invoices/in_2/lines` are one endpoint.
    """
    first, *rest = path.removeprefix("/v1/").replace("billing/", "billing.", 1).split("/")
    return "/".join([first, *("" for _ in rest[:1]), *rest[1:]])


def _is_passing(error: BaseException) -> bool:
    """Whether repeating a read may help.

    A limit, a lock, a failure on Stripe's side (any 5xx is an APIError) or of the connection.
    """
    import stripe

    if isinstance(error, stripe.APIConnectionError):
        # An intercepted or expired certificate does not mend itself.
        return type(error.__cause__).__name__ != "SSLError"
    return isinstance(error, stripe.APIError) or (
        isinstance(error, stripe.StripeError) and error.http_status in (409, 429)
    )


def _asked(error: object) -> float | None:
    """Seconds Stripe asks to wait, in Retry-After; never more than `LONGEST_WAIT_SECONDS`."""
    asked = (getattr(error, "headers", None) or {}).get("retry-after", "")
    return min(float(asked), LONGEST_WAIT_SECONDS) if asked.isdigit() else None


def _wait(attempt: tenacity.RetryCallState) -> float:
    """Seconds before the next attempt: as long as Stripe asks, else doubling.

    Never more than `LONGEST_WAIT_SECONDS`.
    """
    asked = _asked(attempt.outcome.exception() if attempt.outcome else None)
    seconds = FIRST_WAIT_SECONDS * 2 ** (attempt.attempt_number - 1) if asked is None else asked
    return min(seconds, LONGEST_WAIT_SECONDS)
