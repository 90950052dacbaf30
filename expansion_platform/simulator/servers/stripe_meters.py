"""The meters of a loopback Stripe, and what customers used by them.

Here: meters as objects, the routes under `/v1/billing/meters`, and summaries of meter events with the API's
own checks of a request. Not here: who used what (`simulator/stripe_billing/metering.py`), keys and
permissions (`stripe.py`).

Summaries come newest first, windows without events are left out, and a customer that is deleted has none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from expansion_platform.simulator.servers.stripe_lists import (
    PAGING,
    Object,
    Run,
    StripeError,
    check_values,
    integer,
    known_parameters,
    missing,
)
from expansion_platform.simulator.stripe_billing.account import StripeAccount

PATH = "billing/meters"
PERMISSION = "billing_meter"
WINDOWS = {"hour": 3_600, "day": 86_400}
MINUTE = 60


def meter(identity: str, name: str, created: int) -> Object:
    """A meter that sums its events."""
    return {
        "id": identity,
        "object": "billing.meter",
        "created": created,
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": name,
        "event_name": name.lower().replace(" ", "_"),
        "event_time_window": None,
        "livemode": True,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": created,
        "value_settings": {"event_payload_key": "value"},
    }


def answer(
    account: StripeAccount,
    by_id: Mapping[str, Object],
    segments: list[str],
    params: Mapping[str, Any],
    url: str,
) -> Object | None:
    """The answer to a path under `/v1/billing/meters`, None for one that is not served."""
    match segments:
        case []:
            known_parameters(params, PAGING | {"status"})
            wanted = params.get("status")
            page, has_more = Run("billing.meter", account.meters, newest_first=True).page(
                params, wanted=lambda item: wanted in (None, item["status"])
            )
            return {"object": "list", "data": page, "has_more": has_more, "url": url}
        case [identity]:
            known_parameters(params, {"expand"})
            return _meter(account, identity)
        case [identity, "event_summaries"]:
            page, has_more = _summaries(account, by_id, _meter(account, identity), params)
            return {"object": "list", "data": page, "has_more": has_more, "url": url}
    return None


def _meter(account: StripeAccount, identity: str) -> Object:
    found = next((each for each in account.meters if each["id"] == identity), None)
    if found is None:
        raise missing("billing.meter", identity, "id", 404)
    return found


def _summaries(
    account: StripeAccount, by_id: Mapping[str, Object], of: Object, params: Mapping[str, Any]
) -> tuple[list[Object], bool]:
    known_parameters(params, PAGING | {"customer", "start_time", "end_time", "value_grouping_window"})
    for name in ("customer", "start_time", "end_time"):
        if name not in params:
            raise StripeError(400, f"Missing required param: {name}.", "parameter_missing", name)
    check_values(params, by_id)
    start, end = (integer(params[name], name) for name in ("start_time", "end_time"))
    if start >= end:
        raise StripeError(400, "start_time must be before end_time.", "parameter_invalid", "start_time")
    window = params.get("value_grouping_window")
    if window is not None and window not in WINDOWS:
        raise StripeError(
            400,
            "Invalid value_grouping_window: must be one of day or hour",
            "parameter_unknown",
            "value_grouping_window",
        )
    step = MINUTE if window is None else WINDOWS[window]
    for name, instant in (("start_time", start), ("end_time", end)):
        if instant % step:
            raise StripeError(
                400, f"{name} must align with {window or 'minute'} boundaries.", "parameter_invalid", name
            )
    length = end - start if window is None else step
    sums: dict[int, int] = defaultdict(int)
    for at, value in account.reported.get((of["id"], params["customer"]), ()):
        if start <= at < end:
            sums[start + (at - start) // length * length] += value
    summaries = [_summary(of, params["customer"], at, at + length, sums[at]) for at in sorted(sums)]
    return Run("billing.meter_event_summary", summaries, newest_first=True).page(params)


def _summary(of: Object, customer: str, start: int, end: int, value: int) -> Object:
    return {
        "id": f"mtrusg_{of['id'][4:]}{customer[4:]}x{start}x{end}",
        "object": "billing.meter_event_summary",
        "aggregated_value": value,
        "end_time": end,
        "livemode": of["livemode"],
        "meter": of["id"],
        "start_time": start,
    }
