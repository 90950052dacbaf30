"""Pulling a whole account at 25 pages a second on each endpoint, as Stripe allows: how near it comes, and
what it holds in memory.

Here: the measurement at a few sizes. Not here: the server (`clones.py`, a process of its own).
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from expansion_platform.domain.stripe.tables import InvoiceLines, Invoices
from expansion_platform.ingestion.pulling import Pulling
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.sources.stripe.client import StripeSource
from expansion_platform.sources.stripe.rate import ENDPOINT_CEILING, Pace
from expansion_platform_tests.benchmarks.clones import BASE
from expansion_platform_tests.benchmarks.measure import Meter, in_fresh_process

SIZES = (1_000, 10_000, 50_000)
ALL_ENDPOINTS = 100  # a second, what Stripe allows on all of them


def run(customers: int | None, folder: Path) -> None:
    """Prints a row for each size, or for one."""
    table = Table(title=f"pull, {ENDPOINT_CEILING} pages a second on an endpoint", title_justify="left")
    for name in (
        "customers",
        "objects",
        "wall s",
        "objects/s",
        "pages/s of invoices",
        "share of the ceiling",
        "429s",
        "CPU s",
        "peak GB",
    ):
        table.add_column(name, justify="right")
    for size in [customers] if customers else SIZES:
        got = in_fresh_process("pull", "pull", folder / str(size), size)
        table.add_row(
            f"{size:,}", f"{got['objects']:,}", f"{got['wall']:.1f}", f"{got['objects'] / got['wall']:,.0f}",
            f"{got['pages_per_second']:.1f}",
            f"{got['pages_per_second'] / ENDPOINT_CEILING:.0%}", f"{got['limited']:.0f}", f"{got['cpu']:.1f}",
            f"{got['peak']:.2f}",
        )  # fmt: skip
    Console(width=140).print(table)


def stage(name: str, folder: Path, customers: int) -> dict[str, Any]:
    """One pull into an empty lake, in this process."""
    assert name == "pull"
    clones = max(1, customers // BASE)
    command = [
        sys.executable,
        "-m",
        "expansion_platform_tests.benchmarks.clones",
        str(clones),
        str(ENDPOINT_CEILING),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        served = json.loads(server.stdout.readline())
        settings = Settings(
            _env_file=None, stripe_api_key="rk_live_simulated", stripe_api_base=served["url"],
            expansion_data_dir=str(folder),
            expansion_as_of="2026-11-15T06:00:00+00:00",
        )  # fmt: skip
        with Platform(settings) as platform:
            platform.stripe = StripeSource("rk_live_simulated", served["url"])
            platform.stripe.pace = Pace(ALL_ENDPOINTS, ENDPOINT_CEILING)
            meter = Meter()
            pulling = Pulling(platform, lambda line: print(line, file=sys.stderr), {})
            pulling.run()
            measured = meter.lap(objects=sum(pulling.counts.values()))
            rows = platform.lake.rows(Invoices), platform.lake.rows(InvoiceLines)
        with urllib.request.urlopen(f"{served['url']}/stats") as told:
            stats = json.load(told)
        server.terminate()
    assert measured["objects"] == served["objects"], (measured, served)
    assert rows[0] == pulling.counts["invoices"] <= rows[1]
    busiest = stats["invoices"]
    return {
        **measured,
        "pages_per_second": busiest["pages"] / (busiest["last"] - busiest["first"]),
        "limited": sum(s["limited"] for s in stats.values()),
    }
