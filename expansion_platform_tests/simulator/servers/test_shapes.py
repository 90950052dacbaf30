"""Shapes come from the SDK's annotations: what they accept and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from referencing.retrieval import to_cached_resource

from expansion_platform.simulator.servers import shapes
from expansion_platform_tests.simulator import stripe_objects
from expansion_platform_tests.simulator.shape_check import check_shape


def test_complete_objects_pass() -> None:
    account = stripe_objects.account()
    classes = {
        "customers": "Customer",
        "products": "Product",
        "prices": "Price",
        "coupons": "Coupon",
        "subscriptions": "Subscription",
        "invoices": "Invoice",
        "invoiceitems": "InvoiceItem",
        "events": "Event",
    }
    for resource, name in classes.items():
        for item in account.objects[resource]:
            check_shape(item, name)
    check_shape(account.discounts["di_1"], "Discount")


def test_an_expanded_reference_passes_and_is_checked_too() -> None:
    expanded = {**stripe_objects.discount(), "source": {"type": "coupon", "coupon": stripe_objects.coupon()}}
    check_shape(expanded, "Discount")
    expanded["source"]["coupon"] = {**stripe_objects.coupon(), "valid": "yes"}
    with pytest.raises(shapes.ShapeError, match="Discount di_1"):
        check_shape(expanded, "Discount")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        # Moved to the items in 2025-03-31.basil.
        ({"current_period_start": 1}, r"\$: .*current_period_start"),
        ({"customer": None}, r"\$\.customer: None"),
        ({"cancel_at_period_end": 0}, r"\$\.cancel_at_period_end: 0"),
        ({"created": True}, r"\$\.created: True"),
        ({"discounts": ["di_1", 2]}, r"\$\.discounts\[1\]: 2"),
        ({"metadata": {"plan": 1}}, r"\$\.metadata\.plan: 1"),
        ({"created": "1760000000"}, r"\$\.created"),
        ({"object": "invoice"}, r"\$\.object"),
    ],
)
def test_a_wrong_object_is_refused_with_its_id_and_the_path(change: dict, path: str) -> None:
    with pytest.raises(shapes.ShapeError, match=rf"Subscription sub_001 at {path}"):
        check_shape({**stripe_objects.subscription(1, 1), **change}, "Subscription")


def test_a_missing_key_is_refused_unless_optional() -> None:
    whole = stripe_objects.subscription(1, 1)
    check_shape({key: value for key, value in whole.items() if key != "latest_invoice"}, "Subscription")
    with pytest.raises(shapes.ShapeError, match="start_date"):
        check_shape({key: value for key, value in whole.items() if key != "start_date"}, "Subscription")


def test_decimals_travel_as_text() -> None:
    line = stripe_objects.invoice_line("in_0001", 0, 1, 0)
    check_shape(line, "InvoiceLineItem")
    line["pricing"]["unit_amount_decimal"] = 200
    with pytest.raises(shapes.ShapeError, match=r"\$\.pricing\.unit_amount_decimal"):
        check_shape(line, "InvoiceLineItem")


def test_an_open_enum_takes_any_text_and_a_closed_one_does_not() -> None:
    check_shape({**stripe_objects.coupon(), "duration": "a_new_one"}, "Coupon")
    with pytest.raises(shapes.ShapeError, match=r"\$\.object"):
        check_shape({**stripe_objects.coupon(), "object": "a_new_one"}, "Coupon")


def test_a_quoted_name_is_a_whole_class_where_a_nested_one_bears_its_name() -> None:
    """`CreditNote.Refund` is nested, `CreditNote.refunds[].refund` is the API's `Refund`."""
    refunds = shapes.schema("CreditNote")["properties"]["refunds"]
    assert refunds["items"]["properties"]["refund"]["x-expansionResources"] == ["Refund"]


def test_every_class_an_invoice_can_lead_to_is_understood() -> None:
    seen: set[str] = set()
    waiting = ["Invoice"]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(references(shapes.schema(name)))
    assert {"PaymentIntent", "Charge", "billing.CreditBalanceTransaction"} <= seen


def references(schema: object) -> list[str]:
    if isinstance(schema, dict):
        return [value.removeprefix("stripe:") for key, value in schema.items() if key == "$ref"] + references(
            list(schema.values())
        )
    if isinstance(schema, list):
        return [name for element in schema for name in references(element)]
    return []


def test_checks_agree_with_jsonschema_on_every_small_damage() -> None:
    """One key removed, emptied or given another type, at every place of an object: the general validator must
    say the same.
    """
    item = stripe_objects.subscription_item("sub_001")
    item["discounts"] = [
        {**stripe_objects.discount(), "source": {"type": "coupon", "coupon": stripe_objects.coupon()}}
    ]
    general = general_validator("SubscriptionItem")
    verdicts = []
    for damaged in filter(lambda found: isinstance(found, dict), damages(item)):
        expected = general.is_valid(damaged)
        verdicts.append(expected)
        try:
            check_shape(damaged, "SubscriptionItem")
        except shapes.ShapeError:
            assert not expected, damaged
        else:
            assert expected, damaged
    assert verdicts.count(True) > 50
    assert verdicts.count(False) > 300


def general_validator(name: str) -> Any:
    @to_cached_resource(loads=lambda found: found, from_contents=DRAFT202012.create_resource)
    def retrieve(uri: str) -> Any:
        return shapes.schema(uri.removeprefix("stripe:"))

    return Draft202012Validator(shapes.schema(name), registry=Registry(retrieve=retrieve))


def damages(value: Any) -> Iterator[Any]:
    for other in (None, 7, "text", True, [], {}):
        if other != value:
            yield other
    if isinstance(value, dict):
        yield {**value, "unheard_of": 1}
        for key, inner in value.items():
            yield {name: kept for name, kept in value.items() if name != key}
            for damaged in damages(inner):
                yield {**value, key: damaged}
    if isinstance(value, list):
        for number, inner in enumerate(value):
            for damaged in damages(inner):
                yield [*value[:number], damaged, *value[number + 1 :]]


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(KeyError, match="Subscriptions"):
        shapes.schema("Subscriptions")
