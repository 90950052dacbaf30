"""Product usage as the settings say.

What the analytics tool counted, beside the customers that the user's mapping names.

Here: which months are asked for, when a month has to be asked for again, and what is kept of earlier
readings. Not here: the tool (`sources/analytics/`), the tables (`tables/analytics.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pandas as pd

from expansion_platform.domain.core import months
from expansion_platform.domain.core.canonical import content_hash
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.core.table import Table, columns, empty, table_name
from expansion_platform.domain.signals import tables as analytics
from expansion_platform.domain.signals.product_usage import (
    ACCOUNT_GRAIN,
    FEATURE_GRAIN,
    columns_of,
    typed,
    with_reading,
)
from expansion_platform.resources import Platform
from expansion_platform.sources.analytics.usage import Asked, MonthUsage, UsageSource

LATE = timedelta(days=31)
"""A month is asked for again at each refresh until its late events have had so long to arrive."""
NOT_SET_UP = "no product analytics: EXPANSION_USAGE_FROM is not set"
_GRAINS = {analytics.AccountUsage: ACCOUNT_GRAIN, analytics.FeatureUsage: FEATURE_GRAIN}
Frames = dict[type[Table], pd.DataFrame]


def product_usage(platform: Platform, wanted: Sequence[str]) -> dict[str, pd.DataFrame]:
    """The tables of floor `analytics` of some months, by name; no rows where no tool is configured.

    Raises:
        ConfigurationError: the tool, or the mapping of its accounts, is not configured as it has to be.
    """
    models = (*_GRAINS, analytics.UsageMonths)
    if (source := platform.usage) is None:
        return {table_name(model): empty(model) for model in models}
    mapping, found = platform.account_map(), list[Frames]()
    problem: str | None = None
    for month in wanted:
        asked_for = Asked(month, platform.timezone, platform.closes(month), pd.Timestamp(platform.as_of))
        # A tool that stayed unreachable through all attempts for one month is not waited for again.
        read = _read(source, asked_for) if problem is None else NOTHING_READ
        problem = problem or read.unreachable
        found.append(_month(platform, source.name, asked_for, replace(read, unreachable=problem), mapping))
    return {
        table_name(model): typed(
            pd.concat([empty(model), *(frames[model] for frames in found)], ignore_index=True), model
        )
        for model in models
    }


def asked(platform: Platform, wanted: Sequence[str]) -> Mapping[str, str]:
    """What the usage of each month depends on.

    Project, what is counted, mapping, and the instant of the question: while late events may come, and where
    the month could not be read to its end.
    """
    basis = content_hash([platform.counted_by, platform.account_map().to_csv(index=False)])
    stored = platform.lake.read(analytics.UsageMonths, list(wanted))
    partly = set(stored.loc[~stored["complete"], "month"])

    def when(month: str) -> str:
        settled = platform.as_of >= months.closing(month, platform.timezone) + LATE
        return "settled" if settled and month not in partly else platform.as_of.isoformat()

    return {month: f"{basis} {when(month)}" for month in wanted}


def _month(
    platform: Platform, source: str, asked_for: Asked, reading: Reading, mapping: pd.DataFrame
) -> Frames:
    """The rows of a month after a reading; those of earlier readings where this one found nothing."""
    month, read, problem = asked_for.month, reading.usage, reading.problem
    stored: Frames = {
        model: platform.lake.read(model, [month]) for model in (*_GRAINS, analytics.UsageMonths)
    }
    before = stored[analytics.UsageMonths]
    if len(before) and before["counted_by"].iloc[0] != platform.counted_by:
        # Figures counted otherwise are no earlier version of these.
        stored = {model: frame.iloc[:0] for model, frame in stored.items()}
    if problem is not None and len(stored[analytics.UsageMonths]):
        return _remapped(stored, mapping)
    frames: Frames = {}
    for model, grain in _GRAINS.items():
        said = read.accounts if model is analytics.AccountUsage else read.features
        known, new = (typed(each[columns_of(model)], model) for each in (stored[model], said))
        versions = with_reading(known, new, grain, asked_for.now)
        frames[model] = _mapped(versions.assign(month=month), mapping)[list(columns(model))]
    accounts = frames[analytics.AccountUsage].drop_duplicates("account")
    frames[analytics.UsageMonths] = pd.DataFrame(
        [
            {
                "month": month,
                "source": source,
                "read_at": asked_for.now,
                "complete": problem is None,
                "incomplete_because": problem,
                "events": read.events,
                "events_without_account": read.events_without_account,
                "accounts": len(accounts),
                "accounts_unmapped": int(accounts["customer"].isna().sum()),
                "new_users_by": read.new_users_by,
                "counted_by": platform.counted_by,
            }
        ]
    )
    return frames


@dataclass(frozen=True)
class Reading:
    """What a source says of a month, or why it says nothing."""

    usage: MonthUsage
    unreachable: str | None = None

    @property
    def problem(self) -> str | None:
        """Why nothing is known of the month; None where it was read to its end."""
        return self.unreachable or self.usage.incomplete


NOTHING_READ = Reading(
    MonthUsage(
        empty(analytics.AccountUsage)[columns_of(analytics.AccountUsage)],
        empty(analytics.FeatureUsage)[columns_of(analytics.FeatureUsage)],
        events=0,
        events_without_account=0,
    )
)


def _read(source: UsageSource, asked_for: Asked) -> Reading:
    """A month as the source has it; nothing of one that it could not give whole."""
    try:
        read = source.month(asked_for)
    except ConfigurationError:
        raise
    except ExpansionError as error:
        return replace(NOTHING_READ, unreachable=str(error))
    if read.incomplete is None:
        return Reading(read)
    return Reading(replace(NOTHING_READ.usage, incomplete=read.incomplete))


def _remapped(stored: Frames, mapping: pd.DataFrame) -> Frames:
    return {
        model: _mapped(frame.drop(columns="customer"), mapping)[list(columns(model))]
        if model in _GRAINS
        else frame
        for model, frame in stored.items()
    }


def _mapped(usage: pd.DataFrame, mapping: pd.DataFrame) -> pd.DataFrame:
    """Usage with the customer of each account, null where the mapping names none."""
    customers = mapping.set_index("account")["customer"].astype("str")
    return usage.assign(customer=usage["account"].map(customers).astype("str"))
