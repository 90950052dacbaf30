"""Whose usage of meters is due, and its days into the lake.

Here: what the stored tables say is metered, which days of it are not final yet, and the commits. Not here:
reading Stripe (`sources/stripe/usage.py`), the order of a pull (`pulling.py`).

Stripe takes meter events up to 35 days late. Those days are read again by each pull; one that was read later
than that stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

import pandas as pd
import pyarrow.compute as pc

from expansion_platform.domain.core import validation
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.sources.stripe.client import DAY, StripeSource
from expansion_platform.sources.stripe.usage import Due, read_usage
from expansion_platform.storage.lake import Lake

FINAL_AFTER = 35 * DAY
FROM_BILLS = "usage from bills, since the key may not read Billing meters"


def due(lake: Lake, as_of: datetime, pulled_at: int | None) -> list[Due]:
    """Customers with metered items and the days to read of each.

    From its first item on, or those not final when they were read.

    Args:
        lake: The tables as the pull left them.
        as_of: The instant of the pull; the day it falls on has not passed.
        pulled_at: The instant of the pull before, epoch seconds, None for none.
    """
    metered = (
        lake.dataset(stripe.Prices)
        .to_table(columns=["id", "meter"], filter=pc.field("meter").is_valid())
        .to_pandas()
    )
    if metered.empty:
        return []
    periods = _metered_periods(lake, metered.set_index("id")["meter"])
    gone = set(
        lake.dataset(stripe.Customers).to_table(columns=["id"], filter=pc.field("deleted"))["id"].to_pylist()
    )
    stored = (
        lake.dataset(stripe.MeterUsage)
        .to_table(columns=["customer", "meter", "created"])
        .group_by(["customer", "meter"])
    )
    read = {
        (row["customer"], row["meter"]): _seconds(row["created_max"]) + DAY
        for row in stored.aggregate([("created", "max")]).to_pylist()
    }
    passed = int(as_of.timestamp()) // DAY * DAY
    found = []
    here = periods[~periods["customer"].isin(gone)]
    for customer, meter, start, end in zip(
        here["customer"], here["meter"], here["start"], here["end"], strict=True
    ):
        since = _seconds(start) // DAY * DAY
        until = passed if pd.isna(end) else min(passed, -(-_seconds(end) // DAY) * DAY)
        if (last := read.get((customer, meter))) is not None:
            if last >= until and pulled_at is not None and pulled_at >= until + FINAL_AFTER:
                continue
            since = max(since, last - FINAL_AFTER)
        if since < until:
            found.append(Due(str(customer), str(meter), since, until))
    return found


def commit_usage(
    lake: Lake,
    source: StripeSource,
    wanted: list[Due],
    as_of: datetime,
    info: dict[str, str],
    before: Callable[[], None],
) -> Iterator[tuple[int, int]]:
    """Reads and commits what is due, some customers at a time: (days read, rows written) of each.

    `before` is called before each commit.

    Raises:
        PermissionMissingError: The key may not read meters, or their summaries; what was committed stays
            good.
        DataQualityError, ConfigurationError, StripeRequestError: As in `read_usage`.
    """
    meters = source.meters()
    for some, rows in read_usage(source, meters, wanted, as_of):
        before()
        customers, since = sorted({each.customer for each in some}), min(each.since for each in some)
        among = pc.field("customer").isin(customers) & (
            pc.field("created") >= pd.Timestamp(since, unit="s", tz="UTC").as_unit("us")
        )
        yield (
            len(rows),
            lake.upsert(
                stripe.MeterUsage, validation.validate(stripe.MeterUsage, rows), among=among, info=info
            ).rows,
        )


def _metered_periods(lake: Lake, meter_of: pd.Series) -> pd.DataFrame:
    """customer, meter, start, end (null while it lasts) of what is and was metered.

    Today's items, and those that only bills still show.
    """
    metered = pc.field("price").isin(meter_of.index.tolist())
    items = (
        lake.dataset(stripe.SubscriptionItems)
        .to_table(columns=["subscription", "price", "created"], filter=metered)
        .to_pandas()
    )
    subscriptions = (
        lake.dataset(stripe.Subscriptions).to_table(columns=["id", "customer", "ended_at"]).to_pandas()
    )
    now = items.merge(subscriptions, left_on="subscription", right_on="id").rename(
        columns={"created": "start", "ended_at": "end"}
    )
    columns = ["customer", "price", "period_start", "period_end"]
    billed = lake.dataset(stripe.InvoiceLines).to_table(columns=columns, filter=metered).to_pandas()
    billed = billed.rename(columns={"period_start": "start", "period_end": "end"})
    periods = pd.concat(
        [now[["customer", "price", "start", "end"]], billed[["customer", "price", "start", "end"]]],
        ignore_index=True,
    )
    periods["meter"] = periods["price"].map(meter_of)
    lasts = periods["end"].isna().groupby([periods["customer"], periods["meter"]]).any()
    found = periods.groupby(["customer", "meter"]).agg(start=("start", "min"), end=("end", "max"))
    bounds: pd.DataFrame = found.assign(end=found["end"].mask(lasts)).reset_index()
    return bounds


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
