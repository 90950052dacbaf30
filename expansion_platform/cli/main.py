"""The `expansion` command.

Here: its commands by name, and how errors are shown. Not here: any command (the modules beside this one).
"""

from __future__ import annotations

import sys

import typer
from pydantic import ValidationError
from rich.markup import escape

from expansion_platform.cli import catalog, checking, programmes, reading, running, signals
from expansion_platform.cli.terminal import err
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.settings import setting_problems

app = typer.Typer(
    help="How much existing customers grew, why, to the cent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(catalog.app, name="catalog")
app.add_typer(signals.app, name="signals")
app.command()(running.demo)
app.command()(running.ui)
app.command()(running.refresh)
app.command()(running.restate)
app.command()(reading.explain)
app.command()(reading.month)
app.command()(signals.candidates)
app.command()(programmes.holdout)
app.command()(reading.reconcile)
app.command()(reading.sql)
app.command()(reading.dictionary)
app.command()(checking.doctor)


def main() -> None:
    """Runs the command; an error meant for people is one red line, not a traceback."""
    try:
        app()
    except (ExpansionError, ValidationError) as error:
        text = "; ".join(setting_problems(error)) if isinstance(error, ValidationError) else str(error)
        err.print(f"[red]error:[/] {escape(text)}", highlight=False)
        sys.exit(1)
