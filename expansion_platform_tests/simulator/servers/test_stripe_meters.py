"""Meters and their summaries, read by the official SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import stripe

from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.servers.stripe_meters import meter
from expansion_platform.simulator.stripe_billing.metering import DAY, Metering
from expansion_platform_tests.simulator import stripe_objects
from expansion_platform_tests.simulator.shape_check import check_shape

MIDNIGHT = 20_000 * DAY
ASKED = {"customer": "cus_001", "start_time": MIDNIGHT, "end_time": MIDNIGHT + 3 * DAY}


@pytest.fixture
def server() -> Iterator[StripeServer]:
    account = stripe_objects.account()
    account.meters = [meter("mtr_1", "API calls", MIDNIGHT)]
    account.reported = {
        ("mtr_1", "cus_001"): [
            (MIDNIGHT - 1, 1000),
            (MIDNIGHT, 1),
            (MIDNIGHT + 7200, 2),
            (MIDNIGHT + 2 * DAY, 4),
        ]
    }
    with StripeServer(account) as running:
        yield running


def meters(server: StripeServer, key: str = "rk_test_x") -> Any:
    return stripe.StripeClient(
        key, base_addresses={"api": server.url}, max_network_retries=0
    ).v1.billing.meters


def summaries(server: StripeServer, **asked: Any) -> list[tuple[int, int, float]]:
    listed = meters(server).event_summaries.list("mtr_1", {**ASKED, **asked})
    return [
        ((each.start_time - MIDNIGHT) // 3600, (each.end_time - MIDNIGHT) // 3600, each.aggregated_value)
        for each in listed.auto_paging_iter()
    ]


def test_meters_are_listed_and_found(server: StripeServer) -> None:
    assert [each.id for each in meters(server).list({"limit": 1}).data] == ["mtr_1"]
    assert meters(server).list({"status": "inactive"}).data == []
    assert meters(server).retrieve("mtr_1").default_aggregation.formula == "sum"
    with pytest.raises(stripe.InvalidRequestError, match=r"No such billing\.meter"):
        meters(server).retrieve("mtr_2")


def test_windows_without_events_are_left_out(server: StripeServer) -> None:
    assert summaries(server) == [(0, 72, 7)]
    assert summaries(server, value_grouping_window="day") == [(48, 72, 4), (0, 24, 3)]
    assert summaries(server, value_grouping_window="hour") == [(48, 49, 4), (2, 3, 2), (0, 1, 1)]
    assert summaries(server, value_grouping_window="hour", limit=1) == [(48, 49, 4), (2, 3, 2), (0, 1, 1)]
    assert summaries(server, customer="cus_002") == []


def test_objects_have_stripes_shapes(server: StripeServer) -> None:
    check_shape(server.account.meters[0], "billing.Meter")
    for each in meters(server).event_summaries.list("mtr_1", ASKED).data:
        check_shape(each.to_dict(), "billing.MeterEventSummary")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"start_time": MIDNIGHT + 60, "value_grouping_window": "day"}, "start_time must align with day"),
        (
            {"end_time": MIDNIGHT + 3 * DAY + 3599, "value_grouping_window": "hour"},
            "end_time must align with hour",
        ),
        ({"start_time": MIDNIGHT + 1}, "start_time must align with minute"),
        ({"end_time": MIDNIGHT}, "start_time must be before end_time"),
        ({"value_grouping_window": "week"}, "Invalid value_grouping_window"),
        ({"customer": "cus_gone"}, "No such customer"),
        ({"limit": 101}, "less than or equal to 100"),
        ({"starting_after": "mtrusg_x"}, "No such billing.meter_event_summary"),
        ({"colour": "red"}, "unknown parameter: colour"),
    ],
)
def test_what_stripe_refuses_is_refused(server: StripeServer, asked: dict[str, Any], told: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=told):
        summaries(server, **asked)


@pytest.mark.parametrize("name", ["customer", "start_time", "end_time"])
def test_parameters_stripe_needs(server: StripeServer, name: str) -> None:
    with pytest.raises(stripe.InvalidRequestError, match=f"Missing required param: {name}"):
        meters(server).event_summaries.list(
            "mtr_1", {key: value for key, value in ASKED.items() if key != name}
        )


def test_a_restricted_key_needs_a_permission_of_its_own(server: StripeServer) -> None:
    server.missing_permissions = frozenset({"billing/meters"})
    for read in (lambda: meters(server).list(), lambda: summaries(server)):
        with pytest.raises(stripe.PermissionError, match="rak_billing_meter_read"):
            read()
    assert meters(server, "sk_test_x").list().data


def test_days_do_not_depend_on_what_is_asked() -> None:
    whole = list(Metering("seed").events(0, 400 * DAY))
    assert whole == [
        event
        for start in range(0, 400, 7)
        for event in Metering("seed").events(start * DAY, min(400, start + 7) * DAY)
    ]
    assert 400 * 50 < sum(calls for _, calls in whole) < 400 * 150
    at, calls = whole[0]
    assert (Metering("seed").used(at, at + 1), Metering("seed").used(at + 1, at + 1)) == (calls, 0)
