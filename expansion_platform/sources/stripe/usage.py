"""Usage of metered prices, day by day, from Stripe's summaries of meter events.

Here: reading a customer's days and their rows. Not here: whose days are due (`ingestion/metering.py`), its
history (`domain/history/usage.py`).

A day is Stripe's: from midnight to midnight UTC. Only days that have passed are read, and each gets a row, so
that a day without a row was not read. Stripe lists no summary of a day without events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import NamedTuple

import pandas as pd

from expansion_platform.domain.core.errors import DataQualityError
from expansion_platform.domain.stripe.tables import MeterUsage
from expansion_platform.sources.stripe import shapes
from expansion_platform.sources.stripe.client import DAY, PAGE_SIZE, StripeSource
from expansion_platform.sources.stripe.fields import Object, Row, decimal_text, frame, need
from expansion_platform.sources.stripe.full import BATCH_OBJECTS, THREADS
from expansion_platform.sources.stripe.shapes import NOTED


class Due(NamedTuple):
    """Days [since, until) of a customer's use of a meter, epoch seconds at midnight UTC."""

    customer: str
    meter: str
    since: int
    until: int

    @property
    def days(self) -> int:
        """How many."""
        return (self.until - self.since) // DAY


def read_usage(
    source: StripeSource, meters: Sequence[Object], due: Sequence[Due], observed_at: datetime
) -> Iterator[tuple[list[Due], pd.DataFrame]]:
    """Rows of `stripe/meter_usage` of what is due, some customers at a time and each of them whole.

    Of one that Stripe has not, none.

    Raises:
        DataQualityError: A summary that is not of the day asked for.
        ConfigurationError, StripeRequestError: As in `StripeSource.objects`.
    """
    by_id = {meter["id"]: shapes.read(shapes.METER, meter) for meter in meters}
    known = [each for each in due if each.meter in by_id]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="stripe") as threads:
        for some in _batches(known):
            read = threads.map(lambda each: _days(source, by_id[each.meter], each, observed_at), some)
            yield some, frame(MeterUsage, (row for rows in read for row in rows))


def _batches(due: Sequence[Due]) -> Iterator[list[Due]]:
    some: list[Due] = []
    for each in due:
        some.append(each)
        if sum(one.days for one in some) >= BATCH_OBJECTS:
            yield some
            some = []
    if some:
        yield some


def _days(source: StripeSource, meter: Object, due: Due, observed_at: datetime) -> list[Row]:
    found: list[Row] = []
    for since in range(due.since, due.until, PAGE_SIZE * DAY):
        until = min(due.until, since + PAGE_SIZE * DAY)
        listed = source.summaries(due.meter, due.customer, since, until)
        if listed is None:
            return []
        values = {
            _day(summary, since, until): decimal_text(summary, "aggregated_value") for summary in listed
        }
        found += [
            _row(meter, due.customer, day, values.get(day), observed_at) for day in range(since, until, DAY)
        ]
    return found


def _day(summary: Object, since: int, until: int) -> int:
    start = need(summary, "start_time")
    if (
        not isinstance(start, int)
        or isinstance(start, bool)
        or not since <= start < until
        or start % DAY
        or need(summary, "end_time") != start + DAY
    ):
        raise DataQualityError(
            "summary of meter events of another time than a day that was asked for", [str(summary.get("id"))]
        )
    return start


def _row(meter: Object, customer: str, day: int, value: str | None, observed_at: datetime) -> Row:
    at = datetime.fromtimestamp(day, UTC)
    return {
        "id": f"{meter['id']} {customer} {at:%Y-%m-%d}",
        "created": at,
        "livemode": meter["livemode"],
        "observed_at": observed_at,
        NOTED: meter[NOTED],
        "customer": customer,
        "meter": meter["id"],
        "formula": meter["default_aggregation"]["formula"],
        "value": value,
    }
