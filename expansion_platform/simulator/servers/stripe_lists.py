"""The lists of a loopback Stripe.

What each resource can be filtered by, in which order it is read, and how a page is cut.

Here: filters, `created` ranges, cursors, pages, and the error envelope they raise. Not here: routes and keys
(`stripe.py`) or rendering.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, gt, le, lt
from typing import Any

from expansion_platform.simulator.stripe_billing.account import StripeAccount

Object = dict[str, Any]
Filter = Callable[[Object, Any], bool]

MAX_EVENT_TYPES = 20
ON_TEST_CLOCKS = ("customer", "subscription")
"""Kinds whose objects on a test clock are listed only for that clock, which is not served, or for their
customer.
"""
PAGING = frozenset({"limit", "starting_after", "ending_before", "expand"})


class StripeError(Exception):
    """An error envelope on its way out, with its HTTP status."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.envelope = {"type": kind, "message": message}
        if code is not None:
            self.envelope |= {
                "code": code,
                "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}",
            }
        if param is not None:
            self.envelope["param"] = param


@dataclass(frozen=True)
class Resource:
    """A resource with a list.

    Its objects' class in the SDK, their `object` value, the permission a restricted key needs, and its
    filters.
    """

    sdk_class: str
    kind: str
    permission: str
    filters: Mapping[str, Filter] = field(default_factory=dict)


def _at(item: Object, *path: str) -> Any:
    found: Any = item
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _equals(*path: str) -> Filter:
    return lambda item, value: bool(_at(item, *path) == value)


def _boolean(value: Any) -> bool:
    if value not in ("true", "false"):
        raise StripeError(400, f"Invalid boolean: {value}", "parameter_invalid_boolean")
    return bool(value == "true")


def _active(item: Object, value: Any) -> bool:
    return item["active"] is _boolean(value)


def _subscription_status(item: Object, value: Any) -> bool:
    if value == "ended":
        return item["status"] in ("canceled", "incomplete_expired")
    return bool(value in ("all", item["status"]))


def _event_type(item: Object, value: Any) -> bool:
    return bool(item["type"] == value or (value.endswith("*") and item["type"].startswith(value[:-1])))


def _period_start(item: Object, value: Any) -> bool:
    """By the latest period start of its items."""
    newest = max((entry["current_period_start"] for entry in item["items"]["data"]), default=None)
    return newest is not None and all(
        _COMPARED[name](newest, integer(bound, "current_period_start")) for name, bound in value.items()
    )


_COMPARED = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_SUBSCRIPTION_PATH = ("parent", "subscription_details", "subscription")

RESOURCES = {
    "customers": Resource("Customer", "customer", "customer", {"email": _equals("email")}),
    "products": Resource(
        "Product", "product", "product", {"active": _active, "ids": lambda item, value: item["id"] in value}
    ),
    "prices": Resource(
        "Price",
        "price",
        "plan",
        {
            "active": _active,
            "product": _equals("product"),
            "currency": _equals("currency"),
            "type": _equals("type"),
            "lookup_keys": lambda item, value: item.get("lookup_key") in value,
        },
    ),
    "coupons": Resource("Coupon", "coupon", "coupon"),
    "tax_rates": Resource("TaxRate", "tax_rate", "tax_rate", {"active": _active}),
    "subscriptions": Resource(
        "Subscription",
        "subscription",
        "subscription",
        {
            "customer": _equals("customer"),
            "price": lambda item, value: any(
                entry["price"]["id"] == value for entry in item["items"]["data"]
            ),
            "status": _subscription_status,
            "collection_method": _equals("collection_method"),
            "current_period_start": _period_start,
        },
    ),
    "subscription_schedules": Resource(
        "SubscriptionSchedule", "subscription_schedule", "subscription", {"customer": _equals("customer")}
    ),
    "invoices": Resource(
        "Invoice",
        "invoice",
        "invoice",
        {
            "customer": _equals("customer"),
            "subscription": _equals(*_SUBSCRIPTION_PATH),
            "status": _equals("status"),
            "collection_method": _equals("collection_method"),
        },
    ),
    "invoiceitems": Resource(
        "InvoiceItem",
        "invoiceitem",
        "invoice",
        {
            "customer": _equals("customer"),
            "invoice": _equals("invoice"),
            "pending": lambda item, value: (item.get("invoice") is None) is _boolean(value),
        },
    ),
    "credit_notes": Resource(
        "CreditNote",
        "credit_note",
        "credit_note",
        {"customer": _equals("customer"), "invoice": _equals("invoice")},
    ),
    "events": Resource(
        "Event", "event", "event", {"type": _event_type, "types": lambda item, value: item["type"] in value}
    ),
}

# The filters answered without reading every object.
_INDEXED = {"customer": ("customer",), "subscription": _SUBSCRIPTION_PATH}
_REFERENCES = ("customer", "subscription", "price", "product", "invoice")  # filters whose value must exist
_ARRAYS = ("ids", "lookup_keys", "types")


class Run:
    """Objects in the order of a list.

    Read from the last to the first when `newest_first` (a resource), else as they are (an invoice's lines).
    """

    def __init__(self, kind: str, items: Sequence[Object], *, newest_first: bool) -> None:
        self.kind = kind
        self.items = items
        self.newest_first = newest_first
        self.position = {item["id"]: at for at, item in enumerate(items)}

    def page(
        self,
        params: Mapping[str, Any],
        candidates: Sequence[int] | None = None,
        wanted: Callable[[Object], bool] = lambda item: True,
    ) -> tuple[list[Object], bool]:
        """One page, and whether more follows in its direction.

        Out of the candidate positions (ascending; all by default).

        A cursor cuts the list at its object, whether or not that object passes the filters; `ending_before`
        takes the objects nearest to it.
        """
        low, high = 0, len(self.items)
        backwards = "ending_before" in params
        if backwards and "starting_after" in params:
            raise StripeError(
                400, "You may only specify one of these parameters: starting_after, ending_before."
            )
        for name in ("starting_after", "ending_before"):
            if name not in params:
                continue
            at = self.position.get(params[name])
            if at is None:
                raise missing(self.kind, params[name], name)
            low, high = (low, at) if (name == "starting_after") is self.newest_first else (at + 1, high)
        limit = _limit(params)
        inside = cut(range(len(self.items)) if candidates is None else candidates, low, high)
        ordered = reversed(inside) if self.newest_first is not backwards else iter(inside)
        found = list(
            itertools.islice((self.items[at] for at in ordered if wanted(self.items[at])), limit + 1)
        )
        page = found[:limit]
        return (page[::-1] if backwards else page), len(found) > limit


def cut(positions: Sequence[int], low: int, high: int) -> Sequence[int]:
    """The ascending positions that lie in [low, high)."""
    return positions[bisect.bisect_left(positions, low) : bisect.bisect_left(positions, high)]


class Table(Run):
    """One resource of an account. Deleted objects are not listed.

    Raises:
        ValueError: the account's objects are not in order of creation.
    """

    def __init__(self, account: StripeAccount, name: str) -> None:
        self.resource = RESOURCES[name]
        super().__init__(
            self.resource.kind,
            [item for item in account.objects.get(name, []) if not item.get("deleted")],
            newest_first=True,
        )
        # Invoice items call it `date`.
        self.created = [int(item["created"] if "created" in item else item["date"]) for item in self.items]
        if any(later < earlier for earlier, later in itertools.pairwise(self.created)):
            raise ValueError(f"{name} of account {account.id} are not in order of creation")
        self.groups = {
            parameter: {
                value: [self.position[item["id"]] for item in items if item["id"] in self.position]
                for value, items in account.grouped(name, *path).items()
            }
            for parameter, path in _INDEXED.items()
            if parameter in self.resource.filters
        }

    def filtered(self, params: Mapping[str, Any], by_id: Mapping[str, Object]) -> tuple[list[Object], bool]:
        """The page a list request asks for, and whether more follows."""
        known_parameters(params, PAGING | {"created"} | self.resource.filters.keys())
        check_values(params, by_id)
        candidates: Sequence[int] = range(len(self.items))
        tests: list[tuple[Filter, Any]] = []
        for name in self.resource.filters.keys() & params.keys():
            if name in self.groups and isinstance(candidates, range):
                candidates = self.groups[name].get(params[name], [])
            else:
                tests.append((self.resource.filters[name], params[name]))
        if self.kind in ON_TEST_CLOCKS and "customer" not in params:
            tests.append((lambda item, _: item.get("test_clock") is None, None))
        if self.kind == "subscription" and "status" not in params:
            tests.append((lambda item, _: item["status"] != "canceled", None))
        inside = cut(candidates, *self._created_bounds(params.get("created")))
        return self.page(params, inside, lambda item: all(test(item, value) for test, value in tests))

    def _created_bounds(self, created: Any) -> tuple[int, int]:
        """Positions [low, high) whose `created` is the value, or in the range."""
        low, high = 0, len(self.created)
        if created is None:
            return low, high
        for operator, text in (
            created if isinstance(created, dict) else {"gte": created, "lte": created}
        ).items():
            value = integer(text, "created")
            match operator:
                case "gte":
                    low = max(low, bisect.bisect_left(self.created, value))
                case "gt":
                    low = max(low, bisect.bisect_right(self.created, value))
                case "lt":
                    high = min(high, bisect.bisect_left(self.created, value))
                case "lte":
                    high = min(high, bisect.bisect_right(self.created, value))
                case _:
                    known_parameters({f"created[{operator}]": text}, ())
        return low, max(low, high)


def missing(kind: str, item_id: str, param: str, status: int = 400) -> StripeError:
    """The error for an id the account does not hold: 404 in a path, 400 in a parameter."""
    return StripeError(status, f"No such {kind}: '{item_id}'", "resource_missing", param)


def known_parameters(params: Mapping[str, Any], known: Iterable[str]) -> None:
    """Refuse parameters this server does not serve, as Stripe refuses those it does not know.

    A filter must never be ignored.
    """
    unknown = [name for name in params if name not in known]
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise StripeError(
            400, f"Received unknown parameter{plural}: {', '.join(unknown)}", "parameter_unknown", unknown[0]
        )


def check_values(params: Mapping[str, Any], by_id: Mapping[str, Object]) -> None:
    """Refuse values Stripe refuses: arrays that are none, ids that do not exist, more than 20 event types."""
    for name in _ARRAYS:
        if name in params and not isinstance(params[name], list):
            raise StripeError(400, "Invalid array", "parameter_invalid_array", name)
    if len(params.get("types", [])) > MAX_EVENT_TYPES:
        raise StripeError(400, f"You may only specify up to {MAX_EVENT_TYPES} event types.", param="types")
    if "type" in params and "types" in params:
        raise StripeError(400, "You may only specify one of these parameters: type, types.")
    for name in _REFERENCES:
        if name in params and params[name] not in by_id:
            raise missing(name, params[name], name)


def integer(text: Any, param: str) -> int:
    """A parameter that is a whole number, or Stripe's error for one that is none."""
    try:
        return int(text)
    except (TypeError, ValueError):
        raise StripeError(400, f"Invalid integer: {text}", "parameter_invalid_integer", param) from None


def _limit(params: Mapping[str, Any]) -> int:
    limit = integer(params.get("limit", 10), "limit")
    if limit < 1:
        raise StripeError(
            400, "This value must be greater than or equal to 1.", "parameter_invalid_integer", "limit"
        )
    if limit > 100:
        raise StripeError(
            400,
            f"This value must be less than or equal to 100 (it currently is '{limit}').",
            "parameter_invalid_integer",
            "limit",
        )
    return limit
