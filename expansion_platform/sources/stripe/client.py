"""Reading one Stripe account: every list and object as plain dicts.

Here: which lists there are, paging, embedded lists. Not here: one request (`requests.py`), which objects to
read when (`pull.py`) and what they mean (`rows.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.sources.stripe.fields import PLAIN_KEYS, MetadataKeys
from expansion_platform.sources.stripe.kinds import LAST_MOMENT, is_text
from expansion_platform.sources.stripe.rate import Pace
from expansion_platform.sources.stripe.requests import (
    CursorGoneError,
    NotFoundError,
    Object,
    PermissionMissingError,
    Requests,
    StripeRequestError,
)
from expansion_platform.sources.stripe.resources import RESOURCES, Resource

PAGE_SIZE = 100  # the most Stripe gives
DAY = 86_400
# A list whose page was deleted while it was read begins anew, and may come by an object again.
SAME_CURSOR = 2


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
        self.keys = keys
        self._requests = Requests(api_key, api_base, requests_per_second)

    @property
    def pace(self) -> Pace:
        """How fast requests are sent."""
        return self._requests.pace

    @property
    def version(self) -> str:
        """The API version objects come in: the SDK's. Events come in the account's own."""
        import stripe

        return str(stripe.api_version)

    @property
    def livemode(self) -> bool | None:
        """Whether the key is for live or test data, by its prefix; None when it does not say."""
        return self._requests.livemode

    def __enter__(self) -> StripeSource:
        """The source itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._requests.close()

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
            found = self._requests.get(
                f"/v1/{known.path}/{object_id}", known, {"expand": list(known.expand)} if known.expand else {}
            )
        except NotFoundError:
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
        except NotFoundError:
            return None

    def newest(self, resource: str) -> Object | None:
        """The newest object of a list, nothing expanded; None when there is none."""
        known = RESOURCES[resource]
        found = self._requests.get(f"/v1/{known.path}", known, {"limit": 1}, attempts=2)["data"]
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
        if (
            part is None
            or not isinstance(listed := found.get(part), dict)
            or listed.get("has_more") is not True
        ):
            return found
        expand = [f"data.{path}" for path in known.embedded_expand]
        path, own = (
            ("/v1/subscription_items", {"subscription": found["id"]})
            if part == "items"
            else (f"/v1/invoices/{found['id']}/lines", {})
        )
        try:
            items = [item for page, _ in self._pages(path, known, {"expand": expand, **own}) for item in page]
        except NotFoundError:
            return None
        return {**found, part: {**listed, "data": items, "has_more": False}}

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
            return self._requests.get(f"/v1/prices/{price['id']}", RESOURCES["prices"], {"expand": expand})
        except NotFoundError:
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
            except CursorGoneError:
                continue
        return self._page(path, resource, {"limit": PAGE_SIZE, **parameters})

    def _page(self, path: str, resource: Resource, parameters: Object) -> Object:
        """A page of a list.

        Each of its objects says which it is and when it was created, since lists are read on by that.
        """
        page = self._requests.get(path, resource, parameters)
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
