"""Stripe events of any API version to rows of `stripe/events`.

Here: which event types are read, and the one normal form of a subscription's state and of what changed. An
event is rendered in the version that was the account's default when it happened, not in the SDK's, so this
module alone knows the shapes from before basil (2025-03-31): `plan` on items, a single `discount`, coupons
inside discounts. Not here: objects fetched now (`rows.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from expansion_platform.domain.core import canonical
from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.history.records import TELLING_EVENTS
from expansion_platform.sources.stripe import shapes
from expansion_platform.sources.stripe.fields import (
    INITIATED_BY,
    PLAIN_KEYS,
    MetadataKeys,
    Object,
    Row,
    decimal_text,
    instant,
    reference,
)
from expansion_platform.sources.stripe.kinds import Fields, is_text
from expansion_platform.sources.stripe.shapes import NOTED

# A list call takes at most 20 types and no wildcards among them.
EVENT_TYPES: tuple[tuple[str, ...], ...] = (
    (
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.pending_update_applied",
        "invoice.created",
        "invoice.deleted",
        "invoice.finalized",
        "invoice.marked_uncollectible",
        "invoice.paid",
        "invoice.updated",
        "invoice.voided",
        "subscription_schedule.aborted",
        "subscription_schedule.canceled",
        "subscription_schedule.completed",
        "subscription_schedule.created",
        "subscription_schedule.expiring",
        "subscription_schedule.released",
        "subscription_schedule.updated",
    ),
    (
        "coupon.created",
        "coupon.deleted",
        "coupon.updated",
        "credit_note.created",
        "credit_note.updated",
        "credit_note.voided",
        "customer.created",
        "customer.deleted",
        "customer.discount.created",
        "customer.discount.deleted",
        "customer.discount.updated",
        "customer.updated",
        "price.created",
        "price.deleted",
        "price.updated",
        "product.created",
        "product.deleted",
        "product.updated",
        "billing_portal.session.created",
        "checkout.session.completed",
    ),
)

_PREFIX = "customer.subscription."
_DISCOUNT = "customer.discount."
_SCALARS = ("status", "ended_at", "trial_end", "cancel_at")


def subject(item: Object) -> tuple[str, Object]:
    """An event's type, and what it is about as far as every event says it: {id, object, customer}.

    Raises:
        DataQualityError: It cannot be read what it is about, or whose that is; names the event.
    """
    kind = item.get("type")
    data = item.get("data")
    about = data.get("object") if isinstance(data, Mapping) else None
    if not is_text(kind) or not isinstance(about, Mapping):
        raise DataQualityError("event that does not say what happened to what", [str(item.get("id"))])
    wrong: list[str] = []
    found = shapes.ABOUT.read_fields(about, wrong)
    if str(kind).startswith(TELLING_EVENTS) and (
        not found.get("id") or (wrong and not found.get("customer"))
    ):
        raise DataQualityError("event that does not say what it is about", [str(item.get("id"))])
    return str(kind), found


def event(item: Object, observed_at: datetime, keys: MetadataKeys = PLAIN_KEYS) -> Row:
    """Row of `stripe/events`.

    Raises:
        DataQualityError: It lacks what every event has, or does not say what it is about; names it.
    """
    found = shapes.read(shapes.EVENT, item)
    kind, whose = subject(item)
    wrong = [found[NOTED]] if found[NOTED] else []
    is_subscription = kind.startswith(_PREFIX)
    said = _said(kind).read_fields(item["data"], wrong)
    about, before = said["object"], (said.get("previous_attributes") or {}) if is_subscription else {}
    after: Row = {}
    if not wrong:
        after = (
            {**state(about), **keys.initiator(about)}
            if is_subscription
            else _begun_or_discounted(kind, about)
        )
    return {
        "id": found["id"],
        "created": instant(found["created"]),
        "livemode": found["livemode"],
        "observed_at": observed_at,
        NOTED: shapes.noted(wrong),
        "type": kind,
        "api_version": found.get("api_version"),
        "object_id": whose.get("id") or found["id"],
        "customer": whose.get("id") if whose.get("object") == "customer" else whose.get("customer"),
        "request_id": (found.get("request") or {}).get("id"),
        "state_json": canonical.dumps(after),
        "previous_json": canonical.dumps(
            previous(about, before, after, keys) if is_subscription and not wrong else {}
        ),
    }


def _said(kind: str) -> Fields:
    """The fields that are read of what an event of a type is about, and of what that was before."""
    if kind.startswith(_PREFIX):
        return shapes.SUBSCRIPTION_SAID
    if kind.startswith(_DISCOUNT):
        return shapes.DISCOUNT_SAID
    return shapes.SESSION_SAID if kind == "checkout.session.completed" else shapes.OTHER_SAID


def state(about: Object) -> Row:
    """The state an event's subscription is in, in one form for all versions.

    `items` is left out when Stripe cut the embedded list off: a partial list would read as removed items.
    """
    result: Row = {
        **{name: about.get(name) for name in _SCALARS},
        "pause_collection": (about.get("pause_collection") or {}).get("behavior"),
        "discounts": _discounts(about),
    }
    items = about.get("items") or {}
    if "data" in items and not items.get("has_more"):
        result["items"] = _items(items["data"])
    return result


def previous(about: Object, before: Object, after: Row, keys: MetadataKeys = PLAIN_KEYS) -> Row:
    """What the fields of `state` were before, only those that differ.

    Args:
        about: The subscription after the change.
        before: The event's `previous_attributes`.
        after: `state(about)`, and who began the change if the subscription says.
        keys: Where it says.

    A renewal lists every item again because its period moved; compared in normal form nothing differs, so it
    gives `{}`.
    """
    earlier: Row = {name: before[name] for name in _SCALARS if name in before}
    if "pause_collection" in before:
        # Of a nested object only changed keys are listed: {"resumes_at": ...} alone leaves the behaviour as
        # it is.
        was = before["pause_collection"]
        earlier["pause_collection"] = (
            was.get("behavior", after["pause_collection"]) if was is not None else None
        )
    if "discounts" in before:
        earlier["discounts"] = _discounts(before, also_known=about.get("discount"))
    elif "discount" in before:
        earlier["discounts"] = _discounts({"discount": before["discount"]})
    if "items" in after:
        earlier["items"] = _previous_items(about, before)
    if keys.initiated_by in (before.get("metadata") or {}):
        earlier[INITIATED_BY] = before["metadata"][keys.initiated_by]
    return {name: value for name, value in earlier.items() if value != after.get(name)}


def _begun_or_discounted(kind: str, about: Object) -> Row:
    """{discount} of an event about one; {subscription} a customer began by a checkout of its own."""
    if kind.startswith(_DISCOUNT):
        return {
            "discount": {
                **_discount(about),
                **{name: reference(about.get(name)) for name in ("subscription", "invoice")},
            }
        }
    begun = reference(about.get("subscription")) if kind == "checkout.session.completed" else None
    return {"subscription": begun} if begun else {}


def _previous_items(about: Object, before: Object) -> list[Row]:
    now: list[Object] = about["items"]["data"]
    listed = (before.get("items") or {}).get("data")
    if listed is None:
        # Versions before multiple items name the change at the top only.
        change = {name: before[name] for name in ("plan", "quantity") if name in before}
        return _items([_undo(now[0], change)] if len(now) == 1 else now)
    by_id = {entry.get("id"): entry for entry in now}
    return _items([_undo(by_id.get(entry.get("id"), {}), entry) for entry in listed])


def _undo(now: Object, before: Object) -> Object:
    """An item as it was, from the item as it is and the keys given of the earlier one.

    An earlier plan also stands for the price.
    """
    plan = before.get("plan")
    if plan is None or before.get("price") is not None:
        return {**now, **before}
    return {**now, **before, "price": None, "plan": {**(now.get("price") or now.get("plan") or {}), **plan}}


def _items(listed: list[Object]) -> list[Row]:
    """Items by id: their order says nothing, and must not look like a change."""
    return sorted((_item(entry) for entry in listed), key=lambda item: item["id"] or "")


def _item(entry: Object) -> Row:
    """{id, price, product, quantity, discounts} of an item.

    Before prices (2020) the plan is the price, under the same id.
    """
    charged = entry.get("price") or entry.get("plan") or {}
    return {
        "id": entry.get("id"),
        "price": charged.get("id"),
        "product": reference(charged.get("product")),
        "quantity": decimal_text(entry, "quantity"),
        "discounts": _discounts(entry),
    }


def _discounts(owner: Object, also_known: Any = None) -> list[Row]:
    """[{id, coupon, start, end}].

    Newer versions give only ids (coupon null), older ones one `discount` with its coupon, some versions both.
    """
    single = owner.get("discount")
    if owner.get("discounts") is None:
        return [_discount(single)] if single else []
    known = {
        entry["id"]: entry for entry in (also_known, single) if isinstance(entry, Mapping) and "id" in entry
    }
    return [
        _discount(known.get(entry, entry) if isinstance(entry, str) else entry)
        for entry in owner["discounts"]
    ]


def _discount(entry: Any) -> Row:
    if not isinstance(entry, Mapping):
        return {"id": entry, "coupon": None, "start": None, "end": None}
    coupon = reference((entry.get("source") or {}).get("coupon") or entry.get("coupon"))
    return {"id": entry.get("id"), "coupon": coupon, "start": entry.get("start"), "end": entry.get("end")}
