"""When the refresh runs by the calendar.

Here: the schedule. Not here: the job (`jobs.py`), what runs because something happened (`sensors.py`).
"""

from collections.abc import Callable
from typing import Any

import dagster as dg

from expansion_platform.automation.jobs import trailing
from expansion_platform.domain.core import months

REFRESH_DAY = 2  # at 06:00: the newest month has ended a day ago; it is refreshed again when it closes


def refresh_schedule(
    job: Any, first_month: Callable[[], str], timezone: str, close_lag_days: int
) -> dg.ScheduleDefinition:
    """The monthly refresh, and the one at the close.

    Months come from the scheduled time, so a late tick asks for the same months.

    `first_month` gives the first month of the tables as it is at the tick: before the first pull it is the
    newest closed one, and moves on.
    """
    days = sorted({REFRESH_DAY, max(REFRESH_DAY, 1 + close_lag_days)})

    @dg.schedule(
        job=job,
        cron_schedule=f"0 6 {','.join(map(str, days))} * *",
        execution_timezone=timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="On the 2nd of each month, and on the day the month closes: the last three months "
        "as one run, so that late facts restate them.",
    )
    def monthly_refresh_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        at = context.scheduled_execution_time
        newest, first = months.newest_closed(at, timezone), first_month()
        if newest < first:
            return dg.SkipReason(f"the tables begin with {first}")
        return dg.RunRequest(
            run_key=f"{newest} {at:%Y-%m-%d}",
            tags={**trailing(newest, first), "month": newest, "trigger": "schedule"},
        )

    return monthly_refresh_schedule
