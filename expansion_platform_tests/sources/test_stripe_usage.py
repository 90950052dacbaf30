"""Usage by meter, pulled over HTTP: whose days are read, which of them again, and what happens when they may
not be read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.stripe.tables import MeterUsage
from expansion_platform.ingestion.account import CURSOR, UNDER_WAY
from expansion_platform.simulator.company.company import Company, simulate
from expansion_platform.simulator.servers import stripe_meters
from expansion_platform.simulator.servers.http import Request, Response
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.simulator.stripe_billing.metering import DAY, METER
from expansion_platform.sources.stripe import usage
from expansion_platform.sources.stripe.client import StripeRequestError
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests.sources import pulled

END = datetime(2026, 10, 18, 6, tzinfo=UTC)
FIRST = END - timedelta(days=2)


@pytest.fixture(scope="module")
def company() -> Company:
    return simulate(11, customers=30, months=8, as_of=END, behaviours=frozenset({"metered"}))


@pytest.fixture
def server(company: Company) -> Iterator[StripeServer]:
    with StripeServer(copy.deepcopy(company.account)) as running:
        yield running


def pull(folder: Path, server: StripeServer, at: datetime = END) -> str:
    return pulled.pull(folder, server.url, at.isoformat()).reason


def stored(folder: Path) -> pd.DataFrame:
    return Lake(folder / "lake").read(MeterUsage)


def values(folder: Path) -> dict[tuple[str, int], str]:
    """What was used by customer and day, days without use left out."""
    rows = stored(folder)
    rows = rows[rows["value"].notna()]
    return {(row.customer, int(row.created.timestamp())): row.value for row in rows.itertuples()}


def reported(account: StripeAccount, until: datetime) -> dict[tuple[str, int], str]:
    """The same as the account has it, for days that have passed."""
    days: dict[tuple[str, int], int] = {}
    for (_, customer), events in account.reported.items():
        for at, calls in events:
            if at // DAY < until.timestamp() // DAY:
                days[customer, at // DAY * DAY] = days.get((customer, at // DAY * DAY), 0) + calls
    return {day: str(calls) for day, calls in days.items()}


def metered_states(folder: Path, at: datetime) -> pd.DataFrame:
    """`billing/item_states` of what is sold by use."""
    return pulled.states(folder, at.isoformat()).query("usage_type == 'metered'").reset_index(drop=True)


def assert_true(found: pd.DataFrame, truth: pd.DataFrame) -> None:
    expected = truth.query("usage_type == 'metered'").reset_index(drop=True)
    assert len(expected) > 20
    compared = ["customer", "item", "valid_from", "valid_to", "status", "quantity"]
    pd.testing.assert_frame_equal(found[compared], expected[compared], check_dtype=False)


def asked(server: StripeServer) -> list[tuple[str, int]]:
    """Customers whose days were asked for, and how many days."""
    requests = [request for request in server.requests if request.path.endswith("/event_summaries")]
    return [
        (
            request.params["customer"],
            (int(request.params["end_time"]) - int(request.params["start_time"])) // DAY,
        )
        for request in requests
    ]


def test_every_day_of_every_metered_customer_is_read_once(
    server: StripeServer, company: Company, tmp_path: Path
) -> None:
    assert pull(tmp_path, server) == "first pull"
    assert values(tmp_path) == reported(server.account, END)
    rows = stored(tmp_path)
    assert (
        set(rows["customer"])
        == {customer for _, customer in server.account.reported}
        == {customer for customer, _ in asked(server)}
    )
    assert (
        len(rows)
        == sum(days for _, days in asked(server))
        == len(rows[["customer", "meter", "created"]].drop_duplicates())
    )
    assert max(days for _, days in asked(server)) <= 100
    assert len(asked(server)) > rows["customer"].nunique()  # some of them for more days than a page has
    assert rows["created"].max() == pd.Timestamp(END).floor("D") - pd.Timedelta(days=1)
    assert set(rows["formula"]) == {"sum"}
    found = metered_states(tmp_path, END)
    assert_true(found, company.truth.metered_states)
    assert set(found["source"]) == {"meter"}
    assert (
        found["confidence"].eq("snapshot") == (found["valid_from"] >= pd.Timestamp("2026-10-01", tz="UTC"))
    ).all()


def test_a_later_pull_reads_days_that_are_not_final(server: StripeServer, tmp_path: Path) -> None:
    """Stripe takes events up to 35 days late: what comes later than that cannot come."""
    pull(tmp_path, server, FIRST)
    live = {each["customer"] for each in server.account.objects["subscriptions"] if each["ended_at"] is None}
    known, customer = (
        values(tmp_path),
        next(customer for _, customer in server.account.reported if customer in live),
    )
    late, too_late = (int(FIRST.timestamp()) // DAY - days for days in (30, 40))
    events = server.account.reported[METER, customer]
    server.account.reported[METER, customer] = sorted([*events, (late * DAY, 5000), (too_late * DAY, 7000)])
    server.requests.clear()
    pull(tmp_path, server, END)
    assert all(days <= 37 for _, days in asked(server))
    changed = {day: value for day, value in values(tmp_path).items() if known.get(day) != value}
    assert int(changed.pop((customer, late * DAY))) == 5000 + int(known.get((customer, late * DAY), "0"))
    assert changed
    assert min(day for _, day in changed) == int(FIRST.timestamp()) // DAY * DAY


def test_what_ended_long_ago_is_not_asked_for_again(server: StripeServer, tmp_path: Path) -> None:
    pull(tmp_path, server)
    long_ago = END.timestamp() - 35 * DAY
    ended = {
        each["customer"]: each["ended_at"]
        for each in server.account.objects["subscriptions"]
        if each["items"]["data"][0]["price"]["id"] > "price_api"
    }
    gone = {
        customer
        for _, customer in server.account.reported
        if (ended.get(customer) or END.timestamp()) < long_ago
    }
    assert gone
    server.requests.clear()
    pull(tmp_path, server, END + timedelta(days=1))
    assert {customer for customer, _ in asked(server)} == {
        customer for _, customer in server.account.reported
    } - gone


def test_without_the_permission_usage_comes_from_bills_until_it_is_given(
    server: StripeServer, company: Company, tmp_path: Path
) -> None:
    server.missing_permissions = frozenset({stripe_meters.PATH})
    assert (
        pull(tmp_path, server, END)
        == "first pull; usage from bills, since the key may not read Billing meters"
    )
    assert stored(tmp_path).empty
    found = metered_states(tmp_path, END)
    assert_true(found, company.truth.expected_states)
    assert "meter" not in set(found["source"])
    server.missing_permissions = frozenset()
    assert "usage" not in pull(tmp_path, server, END + timedelta(minutes=1))
    assert values(tmp_path) == reported(server.account, END)
    assert_true(metered_states(tmp_path, END), company.truth.metered_states)


def test_a_customer_that_stripe_has_deleted_keeps_the_days_read_before(
    server: StripeServer, tmp_path: Path
) -> None:
    """Deleted while the pull was under way, so that the customers' table does not know it yet."""
    pull(tmp_path, server, FIRST)
    before = stored(tmp_path)
    (_, customer), *_ = server.account.reported
    account = copy.deepcopy(server.account)
    account.objects["customers"] = [each for each in account.objects["customers"] if each["id"] != customer]
    server.account = account
    pull(tmp_path, server, END)
    own = stored(tmp_path).query("customer == @customer").reset_index(drop=True)
    pd.testing.assert_frame_equal(own, before.query("customer == @customer").reset_index(drop=True))


def test_killed_between_two_customers_it_goes_on_with_the_next(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "BATCH_OBJECTS", 300)
    monkeypatch.setattr("expansion_platform.sources.stripe.requests.FIRST_WAIT_SECONDS", 0.001)
    last = sorted(customer for _, customer in server.account.reported)[-1]
    whole = server.answer

    def failing(request: Request) -> Response:
        return server.failure(500, "planned") if request.params.get("customer") == last else whole(request)

    with monkeypatch.context() as patched:
        patched.setattr(server, "answer", failing)
        with pytest.raises(StripeRequestError, match="answered 500 to /v1/billing/meters"):
            pull(tmp_path, server)
    books = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    assert (books.pulls.cursor(CURSOR), books.pulls.cursor(UNDER_WAY) is None) == (None, False)
    done = set(stored(tmp_path)["customer"])
    assert done
    server.requests.clear()
    pull(tmp_path, server)
    assert values(tmp_path) == reported(server.account, END)
    again = [days for customer, days in asked(server) if customer in done]
    assert all(days <= 35 for days in again)


def test_a_summary_of_another_time_stops_the_pull(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = server.answer

    def shifted(request: Request) -> Response:
        answered = whole(request)
        for each in answered.body.get("data", []) if request.path.endswith("/event_summaries") else ():
            each["start_time"] += 3600
        return answered

    monkeypatch.setattr(server, "answer", shifted)
    with pytest.raises(DataQualityError, match=r"another time than a day that was asked for.*mtrusg_"):
        pull(tmp_path, server)
    assert stored(tmp_path).empty
