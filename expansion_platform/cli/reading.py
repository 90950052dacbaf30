"""Commands that read what was computed.

Here: arguments and printing. Not here: what is printed (`reports/`, `storage/engine.py`).
"""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.markup import escape

from expansion_platform.cli.terminal import Format, Month, out, print_rows


def explain(customer: Annotated[str, typer.Argument(help="Stripe customer id")], month: Month) -> None:
    """Tells a customer's month in plain words, with the objects behind it."""
    from expansion_platform.reports.explain import explained
    from expansion_platform.resources import Platform

    for line in explained(Platform(), customer, month):
        out.print(line, highlight=False, markup=False)


def month(month: Month) -> None:
    """Prints the month's report in plain words: what its figures say, each sentence with its numbers."""
    from expansion_platform.reports.month import month_report
    from expansion_platform.resources import Platform

    for line in month_report(Platform(), month):
        out.print(line, highlight=False, markup=False)


def reconcile(
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="MONTH", help="First month; default: the first of the tables"),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")
    ] = None,
    stripe_mrr: Annotated[
        str | None, typer.Option("--with", help="`change_events` or a CSV instead of EXPANSION_STRIPE_MRR")
    ] = None,
) -> None:
    """Compares the rebuilt history with Stripe's subscriptions, and MRR with Stripe's own.

    Exit 1 when something has to be looked at.
    """
    from expansion_platform.definitions import partitions
    from expansion_platform.reports.reconciliation import reconciled
    from expansion_platform.resources import Platform
    from expansion_platform.settings import Settings

    settings = Settings() if stripe_mrr is None else Settings(expansion_stripe_mrr=stripe_mrr)
    months = [
        month
        for month in partitions(settings).get_partition_keys()
        if (first or month) <= month <= (last or month)
    ]
    with Platform(settings) as platform:
        found = reconciled(platform, months)
    out.print(escape(found.history), highlight=False)
    if found.header:
        print_rows(found.header, found.rows)
    for note in found.notes:
        out.print(escape(note), highlight=False)
    sys.exit(0 if found.ok else 1)


def sql(
    statement: str,
    format: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.table,
) -> None:
    """Runs a SELECT over every table (`floor.table`, such as mrr.movements); read-only."""
    from expansion_platform.resources import Platform
    from expansion_platform.storage.engine import select

    rows = select(Platform().lake, statement)
    if format is Format.csv:
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
    elif format is Format.json:
        sys.stdout.write(json.dumps(rows.to_pylist(), default=str, ensure_ascii=False, indent=1) + "\n")
    else:
        print_rows(
            rows.column_names,
            [["" if value is None else str(value) for value in row.values()] for row in rows.to_pylist()],
        )


def dictionary() -> None:
    """Prints the data dictionary: every table, its grain, key and columns."""
    from expansion_platform.docs import dictionary as described

    sys.stdout.write(described())
