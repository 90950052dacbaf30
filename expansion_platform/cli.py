"""The `expansion` command.

Here: arguments, printing, exit codes. Not here: what is printed (`delivery/`), what runs (`automation.py`, `run.py`), the demo (`simulator/demo.py`).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

from expansion_platform import cli_catalog
from expansion_platform.domain.errors import ExpansionError
from expansion_platform.settings import setting_problems

app = typer.Typer(
    help="How much existing customers grew, why, to the cent.", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
app.add_typer(cli_catalog.app, name="catalog")
out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

Month = Annotated[str, typer.Argument(metavar="MONTH", help="YYYY-MM")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Run as if it were this instant (ISO 8601)")]


class Format(StrEnum):
    """How `expansion sql` prints."""

    table = "table"
    csv = "csv"
    json = "json"


@app.command()
def demo(
    seed: Annotated[int, typer.Option(help="Seed of the simulated company")] = 7,
    customers: Annotated[int, typer.Option(help="Customers it has")] = 500,
    months: Annotated[int, typer.Option(help="Closed months of its life")] = 24,
) -> None:
    """Runs the whole platform on a simulated company: no account, no key."""
    from expansion_platform.simulator.demo import run_demo

    run_demo(seed=seed, customers=customers, months=months, console=out)


@app.command()
def ui(port: Annotated[int, typer.Option(help="Port of the Dagster UI")] = 3000) -> None:
    """Opens the Dagster UI on your account, or on the demo's company when no key is set."""
    from expansion_platform.simulator.demo import run_ui

    sys.exit(run_ui(port, out))


@app.command()
def refresh(
    first: Annotated[str | None, typer.Option("--from", metavar="MONTH", help="First month; default: the first of the tables")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")] = None,
    as_of: AsOf = None,
) -> None:
    """Pulls, rebuilds and computes a range of months as one Dagster run."""
    from expansion_platform.delivery.month import nobody_paid
    from expansion_platform.resources import Platform
    from expansion_platform.run import refresh as run_refresh
    from expansion_platform.settings import Settings

    settings = Settings() if as_of is None else Settings(expansion_as_of=as_of)
    run_refresh(settings, first, last, out)
    if line := nobody_paid(Platform(settings)):
        out.print(line, highlight=False, markup=False)


@app.command()
def restate(
    first: Annotated[str, typer.Option("--from", metavar="MONTH", help="First month")],
    last: Annotated[str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")] = None,
) -> None:
    """Computes months again from what was pulled, after a change of catalog or policy, and tells what moved and why. Alerts nobody."""
    from expansion_platform.run import restate as run_restate
    from expansion_platform.settings import Settings

    for line in run_restate(Settings(), first, last, out):
        out.print(line, highlight=False, markup=False)


@app.command()
def explain(customer: Annotated[str, typer.Argument(help="Stripe customer id")], month: Month) -> None:
    """Tells a customer's month in plain words, with the objects behind it."""
    from expansion_platform.delivery.explain import explained
    from expansion_platform.resources import Platform

    for line in explained(Platform(), customer, month):
        out.print(line, highlight=False, markup=False)


@app.command()
def month(month: Month) -> None:
    """Tells a month in plain words: what its figures say, each sentence with its numbers."""
    from expansion_platform.delivery.month import told
    from expansion_platform.resources import Platform

    for line in told(Platform(), month):
        out.print(line, highlight=False, markup=False)


@app.command()
def reconcile(
    first: Annotated[str | None, typer.Option("--from", metavar="MONTH", help="First month; default: the first of the tables")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")] = None,
    stripe_mrr: Annotated[str | None, typer.Option("--with", help="`change_events` or a CSV instead of EXPANSION_STRIPE_MRR")] = None,
) -> None:
    """Compares the rebuilt history with Stripe's subscriptions, and MRR with Stripe's own; exit 1 when something has to be looked at."""
    from expansion_platform.definitions import partitions
    from expansion_platform.delivery.reconcile import reconciled
    from expansion_platform.resources import Platform
    from expansion_platform.settings import Settings

    settings = Settings() if stripe_mrr is None else Settings(expansion_stripe_mrr=stripe_mrr)
    months = [month for month in partitions(settings).get_partition_keys() if (first or month) <= month <= (last or month)]
    with Platform(settings) as platform:
        found = reconciled(platform, months)
    out.print(escape(found.history), highlight=False)
    if found.header:
        _print_rows(found.header, found.rows)
    for note in found.notes:
        out.print(escape(note), highlight=False)
    sys.exit(0 if found.ok else 1)


@app.command()
def sql(statement: str, format: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.table) -> None:
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
        _print_rows(rows.column_names, [["" if value is None else str(value) for value in row.values()] for row in rows.to_pylist()])


def _print_rows(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, or where the terminal is too narrow for it each row as a list of its values: a table would cut amounts off."""
    table = RichTable(*map(escape, names))
    for row in rows:
        table.add_row(*map(escape, row))
    if Measurement.get(out, out.options.update(max_width=sys.maxsize), table).maximum <= out.width:
        out.print(table)
        return
    for number, row in enumerate(rows, start=1):
        record = RichTable.grid(padding=(0, 2))
        record.add_column()
        record.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            record.add_row(escape(name), escape(value))
        out.rule(f"row {number} of {len(rows)}", align="left")
        out.print(record)


@app.command()
def dictionary() -> None:
    """Prints the data dictionary: every table, its grain, key and columns."""
    from expansion_platform.docs import dictionary as described

    sys.stdout.write(described())


@app.command()
def doctor() -> None:
    """Checks the settings, the Stripe key's permissions, the lake and the ledger; exit 1 when something is wrong."""
    from expansion_platform.doctor import examine

    ok = True
    for finding in examine():
        ok &= finding.ok
        mark = "[red]FAIL[/]" if not finding.ok else "[yellow]look[/]" if finding.look else "[green]ok  [/]"
        out.print(f"{mark} {escape(f'{finding.subject}: {finding.text}')}", highlight=False)
    sys.exit(0 if ok else 1)


def main() -> None:
    """Runs the command; an error meant for people is one red line, not a traceback."""
    try:
        app()
    except (ExpansionError, ValidationError) as error:
        text = "; ".join(setting_problems(error)) if isinstance(error, ValidationError) else str(error)
        err.print(f"[red]error:[/] {escape(text)}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
