"""Stripe objects to rows: what is kept, what is refused, and that nothing personal passes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.stripe import tables
from expansion_platform.sources.stripe import bills, rows, shapes
from expansion_platform.sources.stripe.fields import frame
from expansion_platform_tests.simulator import stripe_objects as made
from expansion_platform_tests.simulator.stripe_objects import DAY, START

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def expanded_discount(coupon="SAVE10", **changes):
    return {**made.discount(), "source": {"type": "coupon", "coupon": coupon}, **changes}


def per_unit(**changes):
    return {
        **made.price(),
        "billing_scheme": "per_unit",
        "tiers": None,
        "tiers_mode": None,
        "unit_amount_decimal": "1250.50",
        **changes,
    }


def line(invoice, **changes):
    return {
        **invoice,
        "lines": made.embedded(
            [{**invoice["lines"]["data"][0], "discounts": [], "discount_amounts": [], **changes}], "/"
        ),
    }


def test_rows_of_every_kind_fit_their_table():
    subscription, invoice = made.subscription(1, 1, items=2), line(made.invoice(1, 1, 1))
    credit_note = {
        "id": "cn_1",
        "created": START,
        "livemode": True,
        "customer": "cus_1",
        "invoice": "in_1",
        "currency": "usd",
        "amount": 5,
    }
    staged = {
        tables.Customers: [rows.customer(made.customer(1), NOW)],
        tables.Products: [rows.product(made.product(), NOW)],
        tables.Prices: [rows.price(made.price(), NOW), rows.price(per_unit(id="price_2"), NOW)],
        tables.Coupons: [rows.coupon(made.coupon(), NOW)],
        tables.Subscriptions: [rows.subscription(subscription, NOW)],
        tables.SubscriptionItems: rows.subscription_items(subscription, NOW),
        tables.Invoices: [bills.invoice(invoice, NOW)],
        tables.InvoiceLines: bills.invoice_lines(invoice, NOW),
        tables.InvoiceItems: [bills.invoice_item(made.invoice_item(1, invoice_id=None), NOW)],
        tables.CreditNotes: [bills.credit_note({**credit_note, "status": "issued"}, NOW)],
    }
    for model, of_table in staged.items():
        for made_frame in (frame(model, of_table), frame(model, [])):
            valid = model.validate(made_frame)
            assert list(valid.columns) == list(made_frame.columns)
            assert (valid.dtypes == made_frame.dtypes).all()


def test_nothing_personal_is_kept():
    customer = {
        **made.customer(1),
        "name": "Jane Roe",
        "metadata": {"org_id": "org_7", "phone": "555"},
        "address": {"city": "Oslo"},
    }
    row = rows.customer(customer, NOW)
    assert row["metadata_json"] == '{"org_id":"org_7"}'
    kept = json.dumps(row, default=str)
    assert not any(secret in kept for secret in ("@", "Jane", "555", "Oslo"))


def test_decimals_keep_every_digit():
    assert (
        rows.price(per_unit(unit_amount_decimal="0.000123456789"), NOW)["unit_amount_decimal"]
        == "0.000123456789"
    )
    assert (
        rows.price(per_unit(unit_amount_decimal=None, unit_amount=1200), NOW)["unit_amount_decimal"] == "1200"
    )
    assert rows.coupon({**made.coupon(), "percent_off": Decimal("33.3333")}, NOW)["percent_off"] == "33.3333"


def test_a_tier_charges_nothing_for_the_amount_it_leaves_out():
    tiers = [
        {"up_to": 10, "flat_amount": 5000, "unit_amount": None},
        {"up_to": None, "unit_amount_decimal": "9.5", "flat_amount_decimal": None},
    ]
    row = rows.price({**made.price(), "tiers": tiers}, NOW)
    assert json.loads(row["tiers_json"]) == [
        {"up_to": 10, "unit": "0", "flat": "5000"},
        {"up_to": None, "unit": "9.5", "flat": "0"},
    ]
    assert row["unit_amount_decimal"] is None


def test_a_lines_own_discounts_come_before_its_invoices():
    invoice = line(
        made.invoice(1, 1, 1), discounts=[expanded_discount("ITEM", id="di_2", subscription_item="si_1")]
    )
    invoice["discounts"] = [expanded_discount({**made.coupon(), "id": "WHOLE"}, end=START + DAY)]
    (row,) = bills.invoice_lines(invoice, NOW)
    told = json.loads(row["discounts_json"])
    assert [(entry["coupon"], entry["level"], entry["end"]) for entry in told] == [
        ("ITEM", "line", None),
        ("WHOLE", "invoice", START + DAY),
    ]
    assert [coupon["id"] for coupon in rows.embedded_coupons(invoice)] == ["WHOLE"]


def test_a_proration_line_may_name_only_its_invoice_item():
    credited = {"invoice": "in_0", "invoice_line_items": ["il_0"]}
    details = {
        "invoice_item": "ii_9",
        "proration": True,
        "proration_details": {"credited_items": credited},
        "subscription": "sub_001",
    }
    invoice = line(
        made.invoice(1, 1, 1),
        parent={"type": "invoice_item_details", "invoice_item_details": details},
        amount=-400,
    )
    assert bills.unresolved_items(invoice) == {"ii_9"}
    (row,) = bills.invoice_lines(invoice, NOW, {"ii_9": "si_4"})
    assert (row["subscription"], row["subscription_item"], row["invoice_item"], row["proration"]) == (
        "sub_001",
        "si_4",
        "ii_9",
        True,
    )
    assert row["credited_lines_json"] == '["il_0"]'
    assert bills.unresolved_items(line(made.invoice(1, 1, 1))) == set()


def test_unknown_enum_values_pass_as_text():
    assert (
        rows.subscription({**made.subscription(1, 1), "status": "hibernating"}, NOW)["status"]
        == "hibernating"
    )


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: bills.invoice({**made.invoice(1, 1, 1), "total": None}, NOW), "total is missing"),
        (
            lambda: rows.price(per_unit(unit_amount_decimal="12,5"), NOW),
            'unit_amount_decimal is no number ("12,5")',
        ),
        (lambda: rows.price(per_unit(recurring="monthly"), NOW), "recurring is no object"),
        (
            lambda: rows.price({**made.price(), "tiers": [{"up_to": "ten"}]}, NOW),
            'tiers[0].up_to is no whole number of at least 1 ("ten")',
        ),
        (
            lambda: rows.subscription(made.subscription(1, 1, discounts=("di_1",)), NOW),
            "discounts[0] is no object",
        ),
        (
            lambda: rows.customer({**made.customer(1), "discount": expanded_discount(None)}, NOW),
            "discount.coupon is missing",
        ),
        (
            lambda: bills.invoice({**made.invoice(1, 1, 1), "lines": {"data": [], "has_more": True}}, NOW),
            "lines is cut off",
        ),
        (
            lambda: bills.invoice_lines(line(made.invoice(1, 1, 1), period={"start": START}), NOW)[0],
            "period.end is missing",
        ),
        (lambda: rows.subscription_items({**made.subscription(1, 1), "items": [5]}, NOW), None),
        (lambda: rows.price(per_unit(unit_amount_decimal=None), NOW), None),
        (lambda: rows.price(per_unit(lookup_key=["x"]), NOW), None),
    ],
)
def test_a_row_says_what_of_its_object_cannot_be_read(make, told):
    found = make()
    assert (found["unreadable"] if found else None) == told


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (
            lambda: rows.subscription({**made.subscription(1, 1), "customer": None}, NOW),
            "subscription without a readable customer: sub_001",
        ),
        (
            lambda: rows.price({**made.price(), "created": "now"}, NOW),
            "price without a readable created: price_seat",
        ),
        (
            lambda: bills.invoice_lines(line(made.invoice(1, 1, 1), id=None), NOW),
            "line_item without a readable id: of in_0001",
        ),
    ],
)
def test_an_object_that_cannot_be_told_from_others_is_refused(make, named):
    with pytest.raises(DataQualityError) as caught:
        make()
    assert named in str(caught.value)


def test_a_field_that_is_not_declared_is_not_read():
    with pytest.raises(TypeError, match="the field nickname is not declared"):
        shapes.read(shapes.PRICE, made.price() | {"nickname": "seat"}).get("nickname")


def test_text_that_a_store_refuses_is_no_text():
    assert rows.product({**made.product(), "name": "a\0b"}, NOW)["name"] == "prod_seats"
    assert rows.price(per_unit(lookup_key="\ud800"), NOW)["lookup_key"] is None


def test_a_field_of_another_type_names_the_object():
    invoices = [
        bills.invoice(made.invoice(1, 1, 1), NOW),
        bills.invoice(made.invoice(2, 1, 1), NOW) | {"total": "12"},
    ]
    with pytest.raises(DataQualityError) as caught:
        frame(tables.Invoices, invoices)
    assert caught.value.objects == ["in_0002"]
