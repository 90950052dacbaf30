"""`expansion holdout`: a control group before outreach begins.

Here: arguments, printing. Not here: the draw and the file (`reports/holdout.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from expansion_platform.cli.terminal import out
from expansion_platform.domain.core.errors import ExpansionError


def holdout(
    programme: Annotated[str, typer.Argument(metavar="PROGRAMME", help="A name of the programme")],
    share: Annotated[str, typer.Option("--share", help="Share of customers to leave alone")] = "0.1",
    customers: Annotated[
        Path | None,
        typer.Option("--customers", help="CSV with a column customer, or one Stripe customer a line"),
    ] = None,
    month: Annotated[
        str | None,
        typer.Option("--month", help="Take the candidates of this month (YYYY-MM); the newest without it"),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--out", help="File to add to; EXPANSION_ASSIGNMENTS or assignments.csv without it"),
    ] = None,
) -> None:
    """Draws a control group, so that it can be known later what outreach really did.

    A customer is always in the same arm of a programme: running it again adds those who are new.
    """
    from expansion_platform.reports import holdout as report
    from expansion_platform.resources import Platform

    if customers is not None and month is not None:
        raise ExpansionError("--customers or --month, not both")
    control = report.control_share(share)
    with Platform() as platform:
        where = report.file_of(platform, file)
        if customers is None:
            named, alone = report.candidates_of(platform, month)
        else:
            named, alone = report.customers_of_file(customers), []
        drawn = report.draw(platform, programme, named, control, where)
        lines = [f"{programme.strip()}: {where}", *report.says(platform, drawn)]
        if alone:
            lines.append(f"{len(alone):,} candidates to leave alone for now are in neither arm.")
        days = drawn.rows["assigned_at"].tolist()
        lines += ["", *report.next_steps(platform, programme.strip(), control, where, days)]
        report.write(where, drawn.added)
    for line in lines:
        out.print(line, highlight=False, markup=False)
