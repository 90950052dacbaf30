"""`python -m expansion_platform.simulator verify`: the pipeline against a company whose truth is known.

Here: arguments, printing, the exit code. Not here: the comparison (`verify.py`).
"""

from __future__ import annotations

import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from expansion_platform.simulator.company.catalog import CATALOGS, PLANS_AS_PRODUCTS
from expansion_platform.simulator.company.company import BEHAVIOURS
from expansion_platform.simulator.verify import POLICIES
from expansion_platform.simulator.verify import verify as run_verify

# typer takes its choices from an enum, and mypy knows no members that are computed.
Preset = StrEnum("Preset", list(POLICIES))  # type: ignore[misc]  # computed members
Sells = StrEnum("Sells", list(CATALOGS))  # type: ignore[misc]  # computed members
SURE = {"exact": "states begin exactly", "renewal": "by a renewal", "snapshot": "when first seen"}
app = typer.Typer(help="The simulated company.", add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def simulator() -> None:
    """The simulated company."""


@app.command()
def verify(
    seed: Annotated[int, typer.Option(help="Seed of the company")] = 7,
    customers: Annotated[int, typer.Option(help="Customers it has")] = 200,
    months: Annotated[int, typer.Option(help="Closed months of its life")] = 24,
    policy: Annotated[Preset, typer.Option(help="Policy preset to count under")] = Preset["house"],
    behaviours: Annotated[
        str,
        typer.Option(help="Further behaviours, comma-separated, or `all`: " + ", ".join(sorted(BEHAVIOURS))),
    ] = "",
    faults: Annotated[
        bool,
        typer.Option(
            "--faults", help="Stripe fails by a plan of the seed, and the account changes while it is read"
        ),
    ] = False,
    meters: Annotated[
        bool, typer.Option(help="The key may read meters; otherwise usage is what bills show")
    ] = True,
    catalog: Annotated[
        Sells, typer.Option(help="; ".join(f"{name}: {how}" for name, how in CATALOGS.items()))
    ] = Sells[PLANS_AS_PRODUCTS],
    quiet: Annotated[bool, typer.Option("--quiet", help="Only the result")] = False,
) -> None:
    """Runs the pipeline over HTTP and compares it with the truth, to the cent.

    Exit 0 only when nothing differs.
    """
    console = Console(soft_wrap=True)
    wanted = BEHAVIOURS if behaviours == "all" else frozenset(filter(None, behaviours.split(",")))
    if unknown := wanted - BEHAVIOURS:
        raise typer.BadParameter(
            f"unknown behaviours: {', '.join(sorted(unknown))}", param_hint="--behaviours"
        )
    with tempfile.TemporaryDirectory() as folder:
        progress, plan = Console(quiet=quiet, soft_wrap=True), seed if faults else None
        verdict = run_verify(
            seed, customers, months, Path(folder), progress, policy.value, wanted, plan, meters, catalog.value
        )
    for difference in verdict.differences:
        console.print(difference, highlight=False, markup=False)
    sure = ", ".join(f"{verdict.confidence.get(name, 0)} {how}" for name, how in SURE.items())
    console.print(
        f"seed {seed}, {policy.value}: {verdict.item_states} item states, {verdict.customer_months} "
        f"customer months, {verdict.causes} causes and {verdict.sums} roll-forwards compared; "
        f"{len(verdict.differences)} differ; {verdict.undatable} changes Stripe's records cannot date "
        f"are expected where they show ({sure})",
        highlight=False,
    )
    if faults:
        console.print(
            f"faults met: {', '.join(f'{count} x {name}' for name, count in verdict.faults.items())}",
            highlight=False,
        )
    sys.exit(1 if verdict.differences else 0)


if __name__ == "__main__":
    app()
