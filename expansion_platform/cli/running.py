"""Commands that run the platform: the demo, the UI, a range of months.

Here: arguments and printing. Not here: what runs (`automation/run.py`, `simulator/demo.py`).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from expansion_platform.cli.terminal import AsOf, out


def demo(
    seed: Annotated[int, typer.Option(help="Seed of the simulated company")] = 7,
    customers: Annotated[int, typer.Option(help="Customers it has")] = 500,
    months: Annotated[int, typer.Option(help="Closed months of its life")] = 24,
) -> None:
    """Runs the whole platform on a simulated company: no account, no key."""
    from expansion_platform.simulator.demo import run_demo

    run_demo(seed=seed, customers=customers, months=months, console=out)


def ui(port: Annotated[int, typer.Option(help="Port of the Dagster UI")] = 3000) -> None:
    """Opens the Dagster UI on your account, or on the demo's company when no key is set."""
    from expansion_platform.simulator.demo import run_ui

    sys.exit(run_ui(port, out))


def refresh(
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="MONTH", help="First month; default: the first of the tables"),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")
    ] = None,
    as_of: AsOf = None,
) -> None:
    """Pulls, rebuilds and computes a range of months as one Dagster run."""
    from expansion_platform.automation.run import refresh as run_refresh
    from expansion_platform.reports.month import nobody_paid
    from expansion_platform.resources import Platform
    from expansion_platform.settings import Settings

    settings = Settings() if as_of is None else Settings(expansion_as_of=as_of)
    run_refresh(settings, first, last, out)
    if line := nobody_paid(Platform(settings)):
        out.print(line, highlight=False, markup=False)


def restate(
    first: Annotated[str, typer.Option("--from", metavar="MONTH", help="First month")],
    last: Annotated[
        str | None, typer.Option("--to", metavar="MONTH", help="Last month; default: the newest closed one")
    ] = None,
) -> None:
    """Computes months again from what was pulled, and reports what moved and why.

    For use after a change of catalog or policy. Alerts nobody.
    """
    from expansion_platform.automation.run import restate as run_restate
    from expansion_platform.settings import Settings

    for line in run_restate(Settings(), first, last, out):
        out.print(line, highlight=False, markup=False)
