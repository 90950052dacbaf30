"""The job that refreshes months, and the tags that say which.

Here: the job and its range of months. Not here: when it runs (`schedules.py`, `sensors.py`), running it by
hand (`run.py`).
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg

from expansion_platform.automation.run_outcomes import RANGE_END, RANGE_START
from expansion_platform.domain.core import months

REFRESH_JOB = "monthly_refresh"
# Closed months a refresh looks at again, since late invoices and backdated changes restate them.
TRAILING_MONTHS = 3


def month_range(first: str, last: str) -> dict[str, str]:
    """Run tags that make one run cover a range of months."""
    return {RANGE_START: first, RANGE_END: last}


def trailing(newest: str, first_partition: str) -> dict[str, str]:
    """Tags of the trailing window that ends with the newest closed month."""
    return month_range(max(first_partition, months.shift(newest, 1 - TRAILING_MONTHS)), newest)


def refresh_job(checks: Sequence[dg.AssetCheckKey] = ()) -> Any:
    """Pull, rebuild, compute, alert: everything, for a range of months, in one run.

    Args:
        checks: those of tables that are computed whole. A run that announces a check of a monthly table has
            to report it of each of its months, or the UI shows it as skipped; without it a step reports the
            months that it wrote.
    """
    every = dg.AssetSelection.groups(
        "stripe", "analytics", "crm", "billing", "mrr", "metrics", "signals", "alerts"
    )
    return dg.define_asset_job(
        REFRESH_JOB,
        selection=every.without_checks() | dg.AssetSelection.checks(*checks),
        description="Pulls what changed, rebuilds history, recomputes the months of the run, evaluates "
        "the newest closed month.",
    )
