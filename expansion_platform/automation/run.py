"""Running the Dagster job from the command line, over a range of months, with progress.

Here: the range, the printed progress and result. Not here: the job (`automation/`), where its history is kept
(`run_history.py`).
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext

import dagster as dg
from rich.console import Console

from expansion_platform.automation import run_history
from expansion_platform.automation.jobs import REFRESH_JOB, month_range
from expansion_platform.automation.run_outcomes import MONTHLY, failure_text
from expansion_platform.definitions import build_defs, partitions
from expansion_platform.domain.core import months as calendar
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.core.table import table_name
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.signals.tables import FACT_TABLES
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine.event_log import announced_at_once
from expansion_platform.engine.stale import first_stale
from expansion_platform.reports.restated import restated
from expansion_platform.resources import Platform, given_at
from expansion_platform.settings import Settings
from expansion_platform.tables.declarations import DECLARATIONS

RESTATED_FLOORS = ("billing", "mrr", "metrics")
FACTS = ("stripe", "billing")
"""Floors that hold what Stripe said, whatever the month."""
RELATIONS = "crm"
ALERTS = ["alerts/expansion", "alerts/pace", "alerts/digest"]


def refresh(
    settings: Settings,
    first: str | None,
    last: str | None,
    console: Console,
    dagster_instance: dg.DagsterInstance | None = None,
    only: Sequence[str] | None = None,
) -> dg.ExecuteInProcessResult | None:
    """Runs the monthly refresh over a range of months in this process.

    `only` names the assets (`floor/table`) to run, None for all.

    Returns the last run; None where everything that was asked for is current.

    Raises:
        ExpansionError: the range is not one of closed months, or a step failed (each failure with its
            reason).
    """
    with (
        Platform(settings) as platform,
        nullcontext(dagster_instance) if dagster_instance else run_history.instance(settings) as run_in,
    ):
        _refuse_no_range(first, last, platform.newest_closed_month)
        if settings.expansion_first_month is not None:
            _range(settings, first, last)  # known before anything is pulled
        wanted = [*TABLES, *ALERTS] if only is None else list(only)
        # What Stripe said says with which month the tables begin, and which months changed: so it is a run of
        # its own.
        facts = [name for name in wanted if name.split("/")[0] in FACTS]
        result = _run(platform, run_in, console, {}, facts) if facts else None
        # So is what the CRM says; what cannot be read there stops nothing but the signals made of it.
        relations, problem = _relations(platform, wanted), None
        if relations:
            try:
                _run(platform, run_in, console, {}, relations)
            except ExpansionError as error:
                problem = error
        rest = [name for name in wanted if name not in facts and name.split("/")[0] != RELATIONS]
        try:
            result = _run_stale(platform, run_in, console, _range(settings, first, last), rest) or result
        except ExpansionError as error:
            raise error if problem is None else ExpansionError(f"{problem}; {error}") from error
        if problem is not None:
            raise problem
        return result


def _relations(platform: Platform, wanted: Sequence[str]) -> list[str]:
    """The tables of floor `crm` that are wanted, and given or not there yet."""
    every = {table_name(model): given for given, model in FACT_TABLES.items()}
    return [
        name
        for name in wanted
        if name in every
        and (given_at(platform.settings, every[name]) is not None or not platform.lake.exists(TABLES[name]))
    ]


def _range(settings: Settings, first: str | None, last: str | None) -> list[str]:
    """The months asked for, of those that the tables have; ExpansionError where they have none of them."""
    months = partitions(settings).get_partition_keys()
    if not months:
        raise ExpansionError(
            f"no month to compute: EXPANSION_FIRST_MONTH is {settings.expansion_first_month}, which has "
            "not ended"
        )
    first, last = first or months[0], last or months[-1]
    if first not in months or last not in months:
        raise ExpansionError(
            f"no range of closed months: {first} to {last}; the tables have {months[0]} to {months[-1]}. "
            "EXPANSION_FIRST_MONTH sets an earlier first month"
        )
    return calendar.between(first, last)


def _run_stale(
    platform: Platform, run_in: dg.DagsterInstance, console: Console, months: list[str], wanted: Sequence[str]
) -> dg.ExecuteInProcessResult | None:
    """Runs the months from the first on of which something is not current, and what has no months.

    None where there is nothing to run.
    """
    since = first_stale(DECLARATIONS, platform, run_in, months, wanted)
    if since != months[0]:
        current = months[-1] if since is None else calendar.shift(since, -1)
        console.print(
            f"    {months[0]} to {current}: every table is current, nothing to do",
            style="dim",
            highlight=False,
        )
    if since is not None:
        return _run(platform, run_in, console, month_range(since, months[-1]), wanted)
    whole = [name for name in wanted if name not in MONTHLY]
    return _run(platform, run_in, console, {}, whole) if whole else None


def _refuse_no_range(first: str | None, last: str | None, newest: str) -> None:
    """ExpansionError for a range that is none whatever the account holds: said before anything is pulled."""
    given = [month for month in (first, last) if month is not None]
    try:
        late = [month for month in given if calendar.between(month, newest) == []]
    except ValueError as error:
        raise ExpansionError(f"no range of closed months: {error}; the newest is {newest}") from error
    if late or given != sorted(given):
        raise ExpansionError(
            f"no range of closed months: {first or '...'} to {last or newest}; the newest is {newest}"
        )


def _run(
    platform: Platform,
    run_in: dg.DagsterInstance,
    console: Console,
    months: Mapping[str, str],
    only: Sequence[str] | None,
) -> dg.ExecuteInProcessResult:
    job = build_defs(platform, loggers={"console": _printed(console)}).resolve_job_def(REFRESH_JOB)
    with announced_at_once(run_in):
        result = job.execute_in_process(
            instance=run_in,
            run_config={"loggers": {"console": {}}},
            tags={**months, "trigger": "command line"},
            raise_on_error=False,
            asset_selection=None if only is None else [dg.AssetKey(name.split("/")) for name in only],
        )
    if not result.success:
        raise ExpansionError("; ".join(_reasons(result)) or "the run failed")
    return result


def restate(
    settings: Settings,
    first: str,
    last: str | None,
    console: Console,
    dagster_instance: dg.DagsterInstance | None = None,
) -> Iterator[str]:
    """Computes months again from what is stored, and reports what moved and why.

    Nothing is pulled, and the months are not judged.

    Raises:
        ExpansionError: as `refresh`; also before the first refresh.
    """
    with Platform(settings) as platform:
        lake, currency = platform.lake, platform.settings.expansion_currency
        if not lake.exists(metrics.Restatements):
            raise ExpansionError("nothing has been computed yet: run `expansion refresh` first")
        wanted = calendar.between(first, last or platform.newest_closed_month)
        before = lake.read(metrics.Restatements, wanted)
        refresh(
            settings,
            first,
            last,
            console,
            dagster_instance,
            only=[name for name in TABLES if name.split("/")[0] in RESTATED_FLOORS],
        )
        yield from restated(
            before, lake.read(metrics.Restatements, wanted), lake.read(mrr.FirstReported, wanted), currency
        )


def _reasons(result: dg.ExecuteInProcessResult) -> list[str]:
    reasons = []
    for event in result.all_events:
        if event.is_step_failure:
            reasons.append(f"{event.step_key}: {failure_text(event.step_failure_data).strip()}")
    return reasons


def _printed(console: Console) -> dg.LoggerDefinition:
    """Prints what assets say, and nothing of Dagster's own events."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta = getattr(record, "dagster_meta", {}) or {}
            if meta.get("dagster_event") is None and record.levelno >= logging.INFO:
                style = "yellow" if record.levelno >= logging.WARNING else "dim"
                console.print(
                    f"    {meta.get('orig_message', record.getMessage())}",
                    style=style,
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )

    def printed(_context: dg.InitLoggerContext) -> logging.Logger:
        logger = logging.Logger("expansion")
        logger.addHandler(Handler())
        return logger

    return dg.LoggerDefinition(printed, description="Progress on the terminal")
