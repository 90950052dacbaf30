"""`expansion signals` and `expansion candidates`: what events mean, and whom to speak to.

Here: arguments, printing. Not here: what is written (`reports/signals_file.py`) and listed
(`reports/candidates.py`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from expansion_platform.cli.terminal import Format, Month, print_rows
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError

app = typer.Typer(
    help="What the events of your product mean: a first file that says it.", no_args_is_help=True
)
out = Console(soft_wrap=True)


@app.command()
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write")] = Path("signals.yaml"),
) -> None:
    """Writes a first signals.yaml from the events that the analytics tool has of the newest closed month.

    Every guess a comment with its reason, so nothing changes until you edit it.
    """
    import pandas as pd

    from expansion_platform.domain.signals.definition import SignalDefinition
    from expansion_platform.reports.signals_file import first_signals
    from expansion_platform.resources import Platform
    from expansion_platform.sources.analytics.configured import usage_source
    from expansion_platform.sources.analytics.usage import Asked

    if output.exists():
        raise ExpansionError(
            f"{output} is there already: choose another --output, so that no edit of yours is lost"
        )
    with Platform() as platform:
        # By event, whatever the present file says: a guess is about events.
        source = usage_source(platform.settings, SignalDefinition(account=platform.signals.account))
        if source is None:
            raise ConfigurationError(
                "no product analytics is configured, so no events are known: set EXPANSION_USAGE_FROM and "
                "the keys of the tool (docs/own-data.md)"
            )
        month = platform.newest_closed_month
        out.print(f"{source.name}: reading the events of {month}", highlight=False)
        try:
            usage = source.month(
                Asked(month, platform.timezone, platform.closes(month), pd.Timestamp(platform.as_of))
            )
        finally:
            source.close()
        if usage.incomplete is not None:
            raise ExpansionError(f"{source.name}: {month} could not be read to its end: {usage.incomplete}")
        output.write_text(first_signals(usage, month, source.name), encoding="utf-8")
    out.print(f"{output}: it changes no number as it stands.", highlight=False)
    out.print(
        f"Uncomment what is right, set EXPANSION_SIGNALS={output}, then: expansion refresh", highlight=False
    )


def candidates(
    month: Month,
    owner: Annotated[str | None, typer.Option("--owner", help="Only customers of this owner")] = None,
    format: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.table,
    everybody: Annotated[
        bool, typer.Option("--all", help="All customers, not only as many as the team can speak to")
    ] = False,
) -> None:
    """Lists whom to speak to first about more, with reasons, as known at the month's close."""
    import json

    from expansion_platform.reports.candidates import COLUMNS, candidate_rows, notes_of
    from expansion_platform.resources import Platform

    with Platform() as platform:
        rows = candidate_rows(platform, month, owner=owner, everybody=everybody)
        notes = notes_of(platform, month, rows)
    if format is Format.csv:
        rows.to_csv(sys.stdout, index=False)
    elif format is Format.json:
        sys.stdout.write(
            json.dumps(rows.to_dict("records"), default=str, ensure_ascii=False, indent=1) + "\n"
        )
    else:
        print_rows(COLUMNS, rows.fillna("").astype(str).to_numpy().tolist())
        for note in notes:
            out.print(note, highlight=False, markup=False)
