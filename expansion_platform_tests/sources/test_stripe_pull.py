"""Pulls against the loopback server: everything once, afterwards only what changed, and the stored tables
equal a fresh full pull.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from expansion_platform.domain.core.table import empty
from expansion_platform.domain.stripe import tables
from expansion_platform.domain.tables import TABLES
from expansion_platform.simulator.company.company import AS_OF, simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.sources.stripe.changes import PullState
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.staging import Staging
from expansion_platform_tests.simulator import stripe_objects as made
from expansion_platform_tests.simulator.stripe_objects import DAY, START
from expansion_platform_tests.sources.pull import PullResult, merged, pull

FIRST = START + 40 * DAY
Tables = dict[str, pd.DataFrame]


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = made.account()
    account.objects["events"] = []
    with StripeServer(account) as running:
        yield running


@pytest.fixture
def source(server: StripeServer) -> Iterator[StripeSource]:
    with StripeSource("rk_test_x", server.url, requests_per_second=100) as opened:
        yield opened


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def applied(result: PullResult, stored: Tables | None = None) -> Tables:
    """The tables after a pull; a row written again with the same content keeps its `observed_at`, as the lake
    keeps it.
    """
    tables = {}
    for name, change in result.changes.items():
        before = empty(TABLES[name]) if stored is None else stored[name]
        rows, gone = change.against(before)
        assert not gone & set(rows["id"])
        columns = list(before.columns.drop("observed_at"))
        same = rows.merge(before, on=columns, how="inner", suffixes=("_new", ""))[list(before.columns)]
        changed = rows[~rows["id"].isin(same["id"])]
        kept = before[~before["id"].isin(set(rows["id"]) | gone)]
        tables[name] = pd.concat([kept, same, changed], ignore_index=True).sort_values(
            "id", ignore_index=True
        )
    return tables


def content(tables: Tables) -> dict[str, list[dict[str, Any]]]:
    return {
        name: frame.drop(columns="observed_at")
        .astype(object)
        .where(frame.drop(columns="observed_at").notna(), None)
        .to_dict("records")
        for name, frame in tables.items()
    }


def later(server: StripeServer) -> StripeAccount:
    """A copy of the account to change; assign it to `server.account`."""
    return copy.deepcopy(server.account)


def find(account: StripeAccount, resource: str, object_id: str) -> dict[str, Any]:
    return next(item for item in account.objects[resource] if item["id"] == object_id)


def happen(account: StripeAccount, kind: str, about: dict[str, Any], created: int = FIRST + DAY) -> None:
    events = account.objects["events"]
    events.append(made.event(len(events) + 100, kind, about, created=created))


def test_a_first_pull_reads_everything(source):
    seen: dict[str, int] = {}
    result = pull(source, PullState(), at(FIRST), progress=seen.__setitem__)
    assert (result.full, result.reason) == (True, "first pull")
    assert set(result.changes) == {name for name in TABLES if name.startswith("stripe/")}
    stored = applied(result)
    for name, frame in stored.items():
        pd.testing.assert_frame_equal(TABLES[name].validate(frame), frame)
    sizes = {name.partition("/")[2]: len(frame) for name, frame in stored.items()}
    assert sizes == {
        "customers": 35, "products": 1, "prices": 2, "coupons": 1, "tax_rates": 0, "subscriptions": 4,
        "subscription_items": 15,
        "subscription_schedules": 0, "invoices": 25, "invoice_lines": 47, "invoice_items": 1,
        "credit_notes": 0, "events": 0, "meter_usage": 0,
    }  # fmt: skip
    assert (stored["stripe/invoices"]["observed_at"] == at(FIRST)).all()
    assert seen == {**result.counts, "events": 0, "credit_notes": 0, "tax_rates": 0}


def test_nothing_new_changes_nothing(source):
    first = pull(source, PullState(), at(FIRST))
    stored = applied(first)
    again = pull(source, first.state, at(FIRST + DAY))
    assert not again.full
    after = applied(again, stored)
    for name, frame in stored.items():
        pd.testing.assert_frame_equal(after[name], frame)


def test_a_later_pull_reads_what_events_name_and_nothing_else(server, source):
    first = pull(source, PullState(), at(FIRST))
    stored = applied(first)
    account = later(server)
    subscription = find(account, "subscriptions", "sub_003")
    subscription["items"]["data"] = subscription["items"]["data"][:3]
    subscription["items"]["data"][0]["quantity"] = 9
    happen(account, "customer.subscription.updated", subscription)
    voided = find(account, "invoices", "in_0002")
    voided["status"] = "void"
    happen(account, "invoice.voided", {"id": "in_0002"})
    account.objects["invoices"].append(made.invoice(41, 1, 1))
    account.objects["customers"].append({**made.customer(36), "created": FIRST + DAY})
    account.objects["invoiceitems"][1]["invoice"] = "in_0041"
    server.account = account
    server.requests.clear()

    result = pull(source, first.state, at(FIRST + 2 * DAY))
    assert {name: count for name, count in result.counts.items() if count} == {
        "events": 2,
        "customers": 1,
        "subscriptions": 1,
        "invoices": 3,
    }
    assert {request.path for request in server.requests if request.path.count("/") == 3} == {
        "/v1/subscriptions/sub_003",
        "/v1/invoices/in_0002",
    }
    after = applied(result, stored)
    fresh = applied(pull(source, PullState(), at(FIRST + 2 * DAY)))
    assert content(after) == content(fresh)
    items = after["stripe/subscription_items"].set_index("id")
    assert (items.loc["si_003_00", "quantity"], len(items)) == ("9", 6)
    assert items.loc["si_003_00", "observed_at"] == at(FIRST + 2 * DAY)
    assert items.loc["si_003_01", "observed_at"] == at(FIRST)


def test_an_event_in_the_overlap_is_seen_once(server, source):
    account = later(server)
    happen(account, "customer.updated", {"id": "cus_001", "object": "customer"}, created=FIRST - 60)
    server.account = account
    first = pull(source, PullState(), at(FIRST))
    assert len(first.state.recent_events) == 1
    again = pull(source, first.state, at(FIRST + 60))
    assert (again.counts["events"], again.counts["customers"], again.state.recent_events) == (
        0,
        0,
        first.state.recent_events,
    )


def test_an_event_listed_late_is_still_seen(server, source):
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    find(account, "products", "prod_seats")["name"] = "Places"
    happen(account, "product.updated", {"id": "prod_seats"}, created=FIRST - 60)
    server.account = account
    after = applied(pull(source, first.state, at(FIRST + 60)), applied(first))
    assert after["stripe/products"]["name"].tolist() == ["Places"]


def test_events_after_as_of_wait_for_the_next_pull(server, source):
    account = later(server)
    happen(account, "product.updated", {"id": "prod_seats"}, created=FIRST + 1)
    server.account = account
    first = pull(source, PullState(), at(FIRST))
    assert first.counts["events"] == 0
    assert pull(source, first.state, at(FIRST + 1)).counts["events"] == 1


def test_a_gap_longer_than_stripes_memory_reads_everything(source):
    state = PullState(last_pull_at=FIRST)
    assert not pull(source, state, at(FIRST + 29 * DAY)).full
    result = pull(source, state, at(FIRST + 29 * DAY + 1))
    assert result.full
    assert result.reason == "29 days since the last pull, and Stripe keeps events for 30"


def test_invoices_that_are_not_final_are_read_each_time(server, source):
    """No event tells that a draft got a line, or that a bill that is owed is due later."""
    account = later(server)
    find(account, "invoices", "in_0003")["status"] = "open"
    server.account = account
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    find(account, "invoices", "in_0003")["due_date"] = FIRST + 9 * DAY
    draft = find(account, "invoices", "in_0025")
    draft["lines"]["data"].append({**copy.deepcopy(draft["lines"]["data"][0]), "id": "il_0025_99"})
    server.account = account
    after = applied(pull(source, first.state, at(FIRST + DAY)), applied(first))
    assert after["stripe/invoices"].set_index("id").loc["in_0003", "due_date"] == at(FIRST + 9 * DAY)
    assert "il_0025_99" in set(after["stripe/invoice_lines"]["id"])


def test_prices_and_coupons_come_in_all_their_currencies(server, source):
    """Their tiers are shown by the name of each currency only, and a tiered price in one currency costs no
    further request.
    """
    account = later(server)
    for name in ("usd", "eur"):
        account.objects["prices"][0]["currency_options"].pop(name)
    find(account, "coupons", "SAVE10").update({"percent_off": None, "amount_off": 500, "currency": "usd"})
    server.account = account
    stored = applied(pull(source, PullState(), at(FIRST)))
    offered = stored["stripe/prices"].set_index("id")["currency_options_json"]
    tier = '{"flat":"0","unit":"900","up_to":null}'
    assert offered[offered.notna()].to_dict() == {
        "price_old": f'{{"eur":{{"tax":"unspecified","tiers":[{tier}],"unit":null}}}}'
    }
    assert stored["stripe/coupons"]["currency_options_json"].tolist() == ['{"eur":450}']
    assert sum(request.path.startswith("/v1/prices/") for request in server.requests) == 1


def test_a_changed_option_is_read_by_its_event(server, source):
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    changed = account.objects["prices"][-1]
    changed["currency_options"]["gbp"] = {**changed["currency_options"]["eur"], "tiers": [made.tier(800)]}
    happen(
        account,
        "price.updated",
        {name: value for name, value in changed.items() if name not in ("tiers", "currency_options")},
    )
    server.account = account
    after = applied(pull(source, first.state, at(FIRST + 2 * DAY)), applied(first))["stripe/prices"]
    assert (
        '"gbp":{"tax":"unspecified","tiers":[{"flat":"0","unit":"800"'
        in after.set_index("id").loc[changed["id"], "currency_options_json"]
    )


def test_deleted_customers_and_coupons_stay(server, source):
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    account.objects["customers"] = [item for item in account.objects["customers"] if item["id"] != "cus_035"]
    account.objects["coupons"] = []
    happen(account, "customer.deleted", made.customer(35))
    happen(account, "customer.deleted", made.customer(35))  # Stripe may make two events of one happening
    happen(account, "coupon.deleted", made.coupon())
    server.account = account
    for state in (first.state, PullState()):
        after = applied(pull(source, state, at(FIRST + 2 * DAY)), applied(first))
        customers = after["stripe/customers"].set_index("id")["deleted"]
        assert (len(customers), customers[customers].index.tolist()) == (35, ["cus_035"])
        assert after["stripe/coupons"]["applies_to_json"].tolist() == ['["prod_seats"]']


@pytest.mark.parametrize("full", [True, False])
def test_a_deleted_draft_goes_with_its_lines(server, source, full):
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    assert account.objects["invoices"].pop()["id"] == "in_0025"
    if not full:  # its event is forgotten when the account is read anew
        happen(account, "invoice.deleted", {"id": "in_0025"})
    server.account = account
    after = applied(pull(source, PullState() if full else first.state, at(FIRST + 2 * DAY)), applied(first))
    assert len(after["stripe/invoices"]) == 24
    assert "in_0025" not in set(after["stripe/invoice_lines"]["invoice"])


def test_a_coupon_deleted_before_the_first_pull_is_known_from_its_discount(server, source):
    account = later(server)
    removed = account.objects["coupons"].pop()
    # Only the discount still carries it.
    account.discounts["di_1"]["source"]["coupon"] = {**removed, "applies_to": None}
    server.account = account
    coupons = applied(pull(source, PullState(), at(FIRST)))["stripe/coupons"]
    assert coupons[["id", "percent_off", "applies_to_json", "embedded"]].astype(object).fillna(
        ""
    ).values.tolist() == [["SAVE10", "10", "", True]]


def test_a_deleted_price_is_known_from_the_items_that_hold_it(server, source):
    """Deleted after a pull it stays as it was read; before the first one, an item embeds it without tiers and
    other currencies.
    """
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    account.objects["prices"] = [item for item in account.objects["prices"] if item["id"] != "price_seat"]
    server.account = account
    for state in (first.state, PullState()):
        after = applied(pull(source, state, at(FIRST + 2 * DAY)), applied(first))["stripe/prices"]
        pd.testing.assert_frame_equal(after, applied(first)["stripe/prices"])
    prices = applied(pull(source, PullState(), at(FIRST)))["stripe/prices"].set_index("id")
    assert prices["embedded"].to_dict() == {"price_old": False, "price_seat": True}
    assert prices.loc["price_seat", ["product", "interval", "currency"]].tolist() == [
        "prod_seats",
        "month",
        "usd",
    ]
    assert prices.loc["price_seat", ["tiers_json", "currency_options_json"]].isna().all()


def test_a_discount_event_reads_its_subscription_or_customer(server, source):
    first = pull(source, PullState(), at(FIRST))
    account = later(server)
    happen(account, "customer.discount.created", {**made.discount(), "customer": "cus_001"})
    happen(
        account,
        "customer.discount.created",
        {**made.discount("di_2"), "subscription": None, "customer": "cus_002"},
    )
    server.account = account
    server.requests.clear()
    pull(source, first.state, at(FIRST + 2 * DAY))
    assert {request.path for request in server.requests if request.path.count("/") == 3} == {
        "/v1/subscriptions/sub_001",
        "/v1/customers/cus_002",
    }


def test_a_company_followed_week_by_week_equals_one_read_at_the_end(server, source):
    weeks = [datetime(2026, 9, 20, 6, tzinfo=UTC) + timedelta(days=7) * week for week in range(4)]
    state, stored = PullState(), None
    for week in weeks:
        server.account = simulate(11, customers=40, months=8, as_of=week).account
        result = pull(source, state, week)
        state, stored = result.state, applied(result, stored)
    fresh = applied(pull(source, PullState(), weeks[-1]))
    # Those kept from the first pull on, Stripe's 30 days.
    assert len(stored["stripe/events"]) >= len(fresh["stripe/events"]) > 0
    del stored["stripe/events"], fresh["stripe/events"]
    assert content(stored) == content(fresh)


@pytest.mark.parametrize("full", [True, False])
def test_prorations_that_name_only_their_invoice_item_are_looked_up(server, source, full):
    account = later(server)
    billed = account.objects["invoiceitems"][0]
    billed["parent"] = {
        "type": "subscription_details",
        "subscription_details": {"subscription": "sub_001", "subscription_item": "si_001_00"},
    }
    details = {
        "invoice_item": billed["id"],
        "proration": True,
        "proration_details": None,
        "subscription": "sub_001",
    }
    (line,) = find(account, "invoices", "in_0001")["lines"]["data"]
    line["parent"] = {
        "type": "invoice_item_details",
        "invoice_item_details": details,
        "subscription_item_details": None,
    }
    happen(account, "invoice.updated", {"id": "in_0001"}, created=FIRST - 60)
    server.account = account
    result = pull(source, PullState() if full else PullState(last_pull_at=FIRST - 120), at(FIRST))
    lines = result.changes["stripe/invoice_lines"].rows.set_index("id")
    assert lines.loc["il_0001_00", "subscription_item"] == "si_001_00"


def test_rows_are_the_same_however_they_are_gathered(source, monkeypatch):
    whole = applied(pull(source, PullState(), at(FIRST)))
    monkeypatch.setattr("expansion_platform.sources.stripe.staging._FRAME_ROWS", 4)
    for name, frame in applied(pull(source, PullState(), at(FIRST))).items():
        pd.testing.assert_frame_equal(frame, whole[name])


def test_an_instant_without_a_time_zone_is_refused(source):
    with pytest.raises(ValueError, match="without a time zone"):
        pull(source, PullState(), datetime(2026, 1, 1))


def test_a_window_of_one_list_says_nothing_of_another():
    """Invoices stored from an earlier batch stay when a later one holds windows of customers of the same
    time, and of other invoices.
    """
    stored, other, customers = (Staging(at(FIRST), lambda wanted: {}) for _ in range(3))
    for staging, number in ((stored, 1), (other, 2)):
        staging.add("invoices", {**made.invoice(number, number, 1), "lines": {"data": []}, "discounts": []})
    customers.add("customers", made.customer(1))
    table, whole = "stripe/invoices", [tables.Invoices, tables.InvoiceLines]
    created = int(stored.changes()[table].rows["created"].iloc[0].timestamp())
    elsewhere, around = (created + 10 * DAY, created + 20 * DAY), (created - DAY, created + DAY)
    batch = [
        other.changes(whole=whole, windows=[elsewhere])[table],
        customers.changes(windows=[around])[table],
    ]
    rows, gone = merged(batch).against(stored.changes()[table].rows)
    assert (rows["id"].tolist(), gone) == (["in_0002"], set())
    assert merged([*batch, customers.changes(whole=whole, windows=[around])[table]]).against(
        stored.changes()[table].rows
    )[1] == {"in_0001"}


def test_schedules_are_read_if_the_key_may_and_done_without_if_not():
    account = simulate(2, customers=40, months=12, behaviours=frozenset({"schedule"})).account
    with (
        StripeServer(account) as server,
        StripeSource("rk_test_x", server.url, requests_per_second=100) as source,
    ):
        read = applied(pull(source, PullState(), AS_OF))
        assert (
            set(read["stripe/subscription_schedules"]["id"])
            == {each["id"] for each in account.objects["subscription_schedules"]}
            != set()
        )
        server.missing_permissions = frozenset({"subscription_schedules"})
        without = applied(pull(source, PullState(), AS_OF))
        assert without.pop("stripe/subscription_schedules").empty
        pd.testing.assert_frame_equal(without["stripe/subscriptions"], read["stripe/subscriptions"])
        assert (
            source.object("subscription_schedules", account.objects["subscription_schedules"][0]["id"])
            is None
        )


def test_a_schedule_that_an_event_names_is_read_again():
    """Across a month in which phases began and schedules were made and released."""
    early, late = (
        simulate(2, 90, 12, instant, behaviours=frozenset({"schedule"})).account
        for instant in (AS_OF - timedelta(days=28), AS_OF)
    )
    with (
        StripeServer(early) as server,
        StripeSource("rk_test_x", server.url, requests_per_second=100) as source,
    ):
        first = pull(source, PullState(), AS_OF - timedelta(days=28))
        server.account = late
        stored = applied(pull(source, first.state, AS_OF), applied(first))
        fresh = applied(pull(source, PullState(), AS_OF))
    name = "stripe/subscription_schedules"
    assert not stored[name].equals(applied(first)[name])
    pd.testing.assert_frame_equal(
        stored[name].drop(columns="observed_at"), fresh[name].drop(columns="observed_at")
    )
