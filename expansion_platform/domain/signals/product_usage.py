"""Product usage by account and month, in versions (floor `analytics`, semantics 6.6).

Here: which versions a reading adds to those that are stored, which version was known at an instant, the rows
of the months that are computed. Not here: asking the analytics tool (`sources/analytics/`), when it is asked
(`expansion_platform/product_usage.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from expansion_platform.domain.catalog.inputs import Computed, Inputs
from expansion_platform.domain.core.table import Table, columns
from expansion_platform.domain.signals.tables import AccountUsage, FeatureUsage, UsageMonths

ACCOUNT_GRAIN, FEATURE_GRAIN = ["account"], ["account", "feature"]
NOTHING = "0.000000"


def compute_usage(wanted: Sequence[str], inputs: Inputs) -> Computed:
    """The tables of floor `analytics`, of some months.

    The tool is asked of each month that is due; months in between may be current.
    """
    frames: dict[str, pd.DataFrame] = inputs.value("product_usage")
    return Computed(
        {
            model: frame[frame["month"].isin(wanted)]
            for model in (AccountUsage, FeatureUsage, UsageMonths)
            for frame in (frames[str(model.Config.name)],)
        }
    )


def with_reading(
    stored: pd.DataFrame, read: pd.DataFrame, grain: list[str], read_at: pd.Timestamp
) -> pd.DataFrame:
    """The versions of one month after another reading.

    What is stored stays. A version that was read is added where its figures differ from the ones before it.
    The newest figures that are other without a newer event (people who were merged) are known since the
    reading; so are the zeros of what is gone.

    Args:
        stored: grain, known_at and figures, `typed`; no two rows in a row of one grain have the same figures.
        read: the same columns and types, one or two versions of each.
        grain: columns.
        read_at: instant of the reading. Of two readings at one instant the later counts.

    Returns:
        The same columns, in the order of grain and known_at, whatever the order of the rows.
    """
    figures = [name for name in read.columns if name not in {*grain, "known_at"}]
    read = read.sort_values([*grain, "known_at"], ignore_index=True)
    if stored.empty:
        return _changes(read, grain, figures)
    newest = stored.sort_values([*grain, "known_at"]).drop_duplicates(grain, keep="last")
    before = read[grain].merge(newest[[*grain, "known_at"]], on=grain, how="left", validate="m:1")["known_at"]
    last = ~read.duplicated(grain, keep="last").to_numpy()
    older = (read["known_at"].to_numpy() <= before.to_numpy()) & before.notna().to_numpy()
    later = read.assign(known_at=read["known_at"].mask(older & last, read_at))[~older | last]
    gone = newest.merge(read[grain].drop_duplicates(), on=grain, how="left", indicator=True)
    gone = gone[gone["_merge"] == "left_only"].drop(columns="_merge").assign(known_at=read_at)
    for name in figures:
        if name == "mean_daily_users":
            gone[name] = NOTHING
        else:
            gone[name] = gone[name].where(gone[name].isna(), 0)
    return _changes(pd.concat([stored, later, gone.astype(stored.dtypes)]), grain, figures)


def known_usage(usage: pd.DataFrame, grain: list[str], at: pd.Timestamp) -> pd.DataFrame:
    """Of each month and grain, the version known at an instant; none where nothing was."""
    known = usage[usage["known_at"] <= at].sort_values(["month", *grain, "known_at"])
    return known.drop_duplicates(["month", *grain], keep="last")


def _changes(rows: pd.DataFrame, grain: list[str], figures: list[str]) -> pd.DataFrame:
    """The rows whose figures are other than those of the version before, by grain and known_at."""
    ordered = rows.drop_duplicates([*grain, "known_at"], keep="last")
    ordered = ordered.sort_values([*grain, "known_at"], ignore_index=True)
    previous = ordered.groupby(grain, sort=False)[figures].shift()
    first = ~ordered.duplicated(grain)
    same = pd.concat(
        [
            (ordered[name] == previous[name]).fillna(False) | (ordered[name].isna() & previous[name].isna())
            for name in figures
        ],
        axis=1,
    ).all(axis=1)
    return ordered[first | ~same].reset_index(drop=True)


def typed(usage: pd.DataFrame, model: type[Table]) -> pd.DataFrame:
    """Columns of a table in its types: read from Arrow, whole numbers with nulls come as floats."""
    kinds = {name: column.dtype.replace("text", "str") for name, column in columns(model).items()}
    return usage.astype({name: kinds[name] for name in usage.columns})


def columns_of(model: type[Table]) -> list[str]:
    """What a source says of an account or a feature: all columns but month and customer."""
    return [name for name in columns(model) if name not in {"month", "customer"}]
