"""What the simulated account holds: Stripe's shapes, sums that add up, and lines that tell the whole life of
every subscription.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest

from expansion_platform.simulator.company.company import AS_OF, Company
from expansion_platform_tests.simulator.shape_check import check_shape

CLASSES = {
    "customers": "Customer",
    "products": "Product",
    "prices": "Price",
    "coupons": "Coupon",
    "subscriptions": "Subscription",
    "subscription_schedules": "SubscriptionSchedule",
    "invoices": "Invoice",
    "invoiceitems": "InvoiceItem",
    "credit_notes": "CreditNote",
    "events": "Event",
}
NOW = int(AS_OF.timestamp())


@pytest.mark.parametrize("resource", CLASSES)
def test_objects_have_stripes_shape(company: Company, resource: str) -> None:
    held = company.account.objects[resource]
    for item in held[:: max(1, len(held) // 150)]:
        check_shape(item, CLASSES[resource])


def test_discounts_have_stripes_shape(company: Company) -> None:
    for item in company.account.discounts.values():
        check_shape(item, "Discount")


def test_ids_are_unique_and_references_lead_somewhere(company: Company) -> None:
    held, known = company.account.objects, company.account.by_id()
    assert len(known) == sum(map(len, held.values())) + len(company.account.discounts) + sum(
        len(each["items"]["data"]) for each in held["subscriptions"]
    )
    for subscription in held["subscriptions"]:
        assert {
            subscription["customer"],
            subscription["latest_invoice"],
            *subscription["discounts"],
        } <= known.keys()
    for invoice in held["invoices"]:
        for line in invoice["lines"]["data"]:
            price = line["pricing"]["price_details"]
            assert known[price["price"]]["product"] == price["product"]
            assert {
                *line["discounts"],
                *(entry["discount"] for entry in line["discount_amounts"]),
            } <= known.keys()


def test_nothing_is_dated_after_the_reading(company: Company) -> None:
    for resource, items in company.account.objects.items():
        instants = [item["date" if resource == "invoiceitems" else "created"] for item in items]
        assert instants == sorted(instants)
        assert max(instants, default=NOW) <= NOW
    assert min(event["created"] for event in company.account.objects["events"]) >= NOW - 30 * 86_400


def test_invoices_add_up(company: Company) -> None:
    for invoice in company.account.objects["invoices"]:
        lines = invoice["lines"]["data"]
        off = sum(entry["amount"] for line in lines for entry in line["discount_amounts"])
        assert invoice["subtotal"] == sum(line["amount"] for line in lines)
        assert invoice["total"] == invoice["subtotal"] - off
        assert off == sum(entry["amount"] for entry in invoice["total_discount_amounts"])
        assert invoice["amount_due"] == max(0, invoice["total"] + invoice["starting_balance"])
        assert invoice["amount_paid"] + invoice["amount_remaining"] == invoice["amount_due"]
        assert (invoice["status"] == "paid") == (invoice["status_transitions"]["paid_at"] is not None)
        assert all(
            line["discount_amounts"] == []
            or line["amount"] >= sum(entry["amount"] for entry in line["discount_amounts"])
            for line in lines
        )


def test_regular_lines_tile_every_subscriptions_life(company: Company) -> None:
    """From start to end, or to the end of the running period, each instant is covered by the regular lines of
    one billing period.

    A period is cut short only where an invoice for an update starts a new one (a change of interval).
    """
    periods: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for invoice in company.account.objects["invoices"]:
        regular = {
            (line["period"]["start"], line["period"]["end"])
            for line in invoice["lines"]["data"]
            if not _details(line)["proration"]
        }
        assert len(regular) <= 1
        periods[invoice["parent"]["subscription_details"]["subscription"]] += regular
    for subscription in company.account.objects["subscriptions"]:
        mine = periods[subscription["id"]]
        assert mine[0][0] == subscription["start_date"]
        assert all(start <= following <= end for (start, end), (following, _) in itertools.pairwise(mine))
        cut = [following for (_, end), (following, _) in itertools.pairwise(mine) if following != end]
        assert len(cut) <= 2
        end = subscription["ended_at"] or NOW
        assert mine[-1][0] <= end <= mine[-1][1]
        running = {
            (item["current_period_start"], item["current_period_end"])
            for item in subscription["items"]["data"]
        }
        assert running == {mine[-1]}


def test_regular_lines_charge_the_truth(company: Company) -> None:
    """A regular line's price and quantity are what the item was held at when the period began."""
    truth = dict(iter(company.truth.states.groupby("item")))
    for invoice in company.account.objects["invoices"][::7]:
        for line in (line for line in invoice["lines"]["data"] if not _details(line)["proration"]):
            start = pd.Timestamp(line["period"]["start"], unit="s", tz="UTC")
            rows = truth[_details(line)["subscription_item"]]
            state = rows[
                (rows["valid_from"] <= start) & (rows["valid_to"].isna() | (rows["valid_to"] > start))
            ].iloc[0]
            assert (state["price"], state["quantity"]) == (
                line["pricing"]["price_details"]["price"],
                line["quantity_decimal"],
            )
            listed = {entry["discount"] for entry in line["discount_amounts"] if entry["amount"]}
            coupons = {company.account.discounts[discount]["source"]["coupon"] for discount in listed}
            assert all(f'"{coupon}"' in state["discounts_json"] for coupon in coupons)


def test_a_proration_credits_the_line_that_charged_it(company: Company) -> None:
    lines = {
        line["id"]: line
        for invoice in company.account.objects["invoices"]
        for line in invoice["lines"]["data"]
    }
    entries = {item["id"]: item for item in company.account.objects["invoiceitems"]}
    credits = [item for item in entries.values() if item["amount"] < 0]
    assert len(credits) > 100
    for credit in credits:
        named = credit["proration_details"]["credited_items"]
        details = named["invoice_line_item_details"]
        charged = (
            entries[named["invoice_item"]] if details is None else lines[details["invoice_line_items"][0]]
        )
        assert charged["pricing"] == credit["pricing"]
        assert charged["period"]["end"] == credit["period"]["end"]
        assert charged["quantity"] == credit["quantity"]
    assert all(item["amount"] != 0 for item in entries.values())


def test_billed_invoice_items_and_their_lines_agree(company: Company) -> None:
    entries = {item["id"]: item for item in company.account.objects["invoiceitems"]}
    billed = {}
    for invoice in company.account.objects["invoices"]:
        for line in (line for line in invoice["lines"]["data"] if _details(line)["proration"]):
            entry = entries[_details(line)["invoice_item"]]
            assert (entry["invoice"], entry["amount"], entry["quantity"]) == (
                invoice["id"],
                line["amount"],
                line["quantity"],
            )
            billed[entry["id"]] = line["id"]
    assert {key for key, entry in entries.items() if entry["invoice"] is not None} == billed.keys()


def test_events_speak_the_accounts_older_version(company: Company) -> None:
    events = company.account.objects["events"]
    kinds = {event["type"] for event in events}
    assert kinds == {
        *(f"customer.subscription.{what}" for what in ("created", "updated", "deleted")),
        *(f"invoice.{what}" for what in ("created", "finalized", "paid")),
        *(f"customer.{what}" for what in ("created", "updated", "discount.created", "discount.deleted")),
        *("invoiceitem.created", "credit_note.created"),
    }
    for event in events:
        assert event["api_version"] == "2024-06-20"
        thing = event["data"]["object"]
        if thing["object"] == "subscription":
            assert {"current_period_start", "current_period_end", "discount"} <= thing.keys()
            assert all("current_period_end" not in item for item in thing["items"]["data"])
        if event["type"] == "customer.subscription.updated":
            before = event["data"]["previous_attributes"]
            assert before
            assert all(before[key] != thing[key] for key in before)
    automatic = [event for event in events if event["request"]["id"] is None]
    assert {"invoice.paid", "customer.subscription.updated"} <= {event["type"] for event in automatic}
    assert any(
        event["request"]["id"] and event["type"] == "customer.subscription.updated" for event in events
    )


def _details(line: dict[str, Any]) -> dict[str, Any]:
    return line["parent"]["subscription_item_details"]
