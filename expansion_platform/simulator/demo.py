"""`expansion demo` and `expansion ui`.

The whole platform on the simulated company, without any account or key.

Here: starting the company, running the real job, printing what came out. Not here: the job, the company, any
figure's rule.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from rich.console import Console
from rich.table import Table

from expansion_platform.alerting.outbox import deliver
from expansion_platform.automation import run_history
from expansion_platform.automation.run import refresh
from expansion_platform.domain.core.wording import money, percent
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.reports.month import sentences
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.company import initiators
from expansion_platform.simulator.company.company import LAST_MONTH, Company, simulate, with_usage
from expansion_platform.simulator.world import World, running

SEED, CUSTOMERS, MONTHS = 7, 500, 24
BEHAVIOURS = frozenset({initiators.BEHAVIOUR})
_REMEMBERED = "company/demo.json"
# `dg dev` needs a package and a project layout this one does not have.
_SUPERSEDED = "ignore:Function `dev_command` is superseded"


def run_demo(*, seed: int = SEED, customers: int = CUSTOMERS, months: int = MONTHS, console: Console) -> None:
    """Simulates, pulls, rebuilds, computes, alerts, and prints the newest closed month."""
    data_dir = Settings(_env_file=None).data_dir
    console.print(
        f"[bold]1/3[/] Simulating a company of {customers} customers over {months} months (seed {seed})",
        highlight=False,
    )
    company = _company(seed, customers, months)
    with running(company, seed=seed, months=months, data_dir=data_dir) as world:
        _remember(data_dir, seed, customers, months)
        counts = ", ".join(
            f"{len(found):,} {name}"
            for name, found in company.account.objects.items()
            if name in ("customers", "subscriptions", "invoices")
        )
        console.print(f"    its Stripe account holds {counts}; served at {world.stripe.url}", highlight=False)
        console.print(
            "[bold]2/3[/] Running the Dagster job `monthly_refresh` over every closed month", highlight=False
        )
        refresh(world.settings, None, None, console)
        console.print("[bold]3/3[/] Delivering alerts", highlight=False)
        platform = Platform(world.settings)
        delivered = _deliver(platform, world)
    console.print()
    _print_month(platform, LAST_MONTH, console)
    for line in sentences(platform, LAST_MONTH):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    _print_alert(platform, delivered, console)
    console.print(
        f"\nData: {data_dir}/lake (Delta tables), {data_dir}/ledger.sqlite (ledger)", highlight=False
    )
    console.print("Look closer:", highlight=False)
    expansion = os.path.relpath(sys.argv[0])
    for command, why in (
        ("make ui", "the Dagster UI on this data, http://localhost:3000"),
        (
            f"{expansion} explain {_example(platform)} {LAST_MONTH}",
            "one customer's month, with the Stripe objects behind it",
        ),
        (f'{expansion} sql "select * from metrics.rollforward order by month desc limit 4"', "any table"),  # noqa: S608
    ):
        console.print(f"  [cyan]{command}[/]\n      {why}", highlight=False, soft_wrap=True)


def run_ui(port: int, console: Console) -> int:
    """Runs `dagster dev` on the user's account when a Stripe key is set, else on the demo's company.

    Returns its exit code.
    """
    settings = Settings()
    command = [sys.executable, "-m", "dagster", "dev", "--port", str(port)]
    if not Path("workspace.yaml").exists():  # outside a checkout
        command += ["--module-name", "expansion_platform.definitions"]
    if settings.stripe_api_key is not None:
        return _run(command, run_history.environment(settings))
    data_dir = Settings(_env_file=None).data_dir
    if not (data_dir / _REMEMBERED).exists():
        console.print("No Stripe key and no demo data yet: running the demo first.")
        run_demo(console=console)
    remembered = json.loads((data_dir / _REMEMBERED).read_text())
    company = _company(remembered["seed"], remembered["customers"], remembered["months"])
    with running(company, seed=remembered["seed"], months=remembered["months"], data_dir=data_dir) as world:
        console.print(
            f"The Dagster UI opens at [bold]http://localhost:{port}[/] on the simulated company. Ctrl-C "
            "ends it."
        )
        history = run_history.environment(world.settings)
        return _run(
            command, {**world.environment, **history, "DAGSTER_WEBSERVER_URL": f"http://localhost:{port}"}
        )


def _company(seed: int, customers: int, months: int) -> Company:
    return with_usage(simulate(seed, customers, months, behaviours=BEHAVIOURS), seed)


def _run(command: list[str], environment: dict[str, str]) -> int:
    # A shell starts background jobs with SIGINT ignored; a Dagster that inherits this ignores SIGTERM too,
    # and nothing ends it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A session of its own, so that Ctrl-C reaches us first and we end the whole tree: Dagster's children
    # ignore a lone SIGINT.
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONWARNINGS": _SUPERSEDED, **environment}, start_new_session=True
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        return process.wait()
    except KeyboardInterrupt:
        process.terminate()
        return process.wait()


def _remember(data_dir: Path, seed: int, customers: int, months: int) -> None:
    (data_dir / _REMEMBERED).write_text(json.dumps({"seed": seed, "customers": customers, "months": months}))


def _deliver(platform: Platform, world: World) -> list[str]:
    """Posts what is pending to the Slack stand-in; the texts it took."""
    deliver(platform.ledger, *platform.channels)
    return _by_thread((message.ts, message.thread, message.text) for message in world.slack.messages)


def _by_thread(messages: Iterable[tuple[str, str | None, str]]) -> list[str]:
    """Texts of messages (id, what it replies to, text), each with its replies under it."""
    threads: dict[str, list[str]] = {}
    for name, begun, text in messages:
        threads.setdefault(begun or name, []).append(f"  in its thread: {text}" if begun else text)
    return [text for thread in threads.values() for text in thread]


def _print_month(platform: Platform, month: str, console: Console) -> None:
    currency = platform.settings.expansion_currency
    lake = platform.lake
    rates = lake.read(metrics.Expansion, [month]).set_index("metric")
    retention = lake.read(metrics.Retention, [month]).query("dimension == 'total'").set_index("metric")
    total = lake.read(metrics.Rollforward, [month]).query("dimension == 'total'").iloc[0]
    rate, retained = rates["ratio"], retention["ratio"]
    console.print(f"[bold]{month}[/]", highlight=False)
    head = Table(show_header=False, box=None, padding=(0, 2))
    head.add_row(
        "MRR", money(int(total["closing"]), currency), f"opening {money(int(total['opening']), currency)}"
    )
    head.add_row(
        "Expansion rate",
        _percent(rate["expansion_rate"]),
        f"{money(int(total['expansion']), currency)} from {rates['n_expanders']['expansion_rate']} customers",
    )
    head.add_row(
        "  gross / unadjusted",
        f"{_percent(rate['expansion_gross_rate'])} / {_percent(rate['expansion_unadjusted_rate'])}",
        "the latter counts price rises and expired discounts, as many tools do",
    )
    head.add_row("NRR / GRR", f"{_percent(retained['nrr'])} / {_percent(retained['grr'])}", "of the month")
    head.add_row(
        "Quick ratio",
        _number(retained["quick_ratio"]),
        f"net new MRR {money(int(retention['numerator']['net_new_mrr']), currency)}",
    )
    console.print(head)
    by_type = lake.read(metrics.ExpansionByType, [month])
    table = Table("Expansion by type", "MRR", "of opening MRR", "share", title_justify="left")
    mix = by_type[by_type["metric"] == "expansion_mix"].set_index("value")["ratio"]
    for row in by_type[by_type["metric"] == "expansion_rate"].to_dict("records"):
        table.add_row(
            row["value"],
            money(row["numerator"], currency),
            _percent(row["ratio"]),
            _percent(mix.get(row["value"])),
        )
    console.print(table)
    by_origin = lake.read(metrics.ExpansionByOrigin, [month]).query("dimension == 'motion'")
    table = Table("Expansion by origin", "MRR", "share")
    for row in by_origin[by_origin["metric"] == "expansion_mix"].to_dict("records"):
        table.add_row(row["value"], money(row["numerator"], currency), _percent(row["ratio"]))
    console.print(table)
    by_segment = lake.read(metrics.ExpansionBySegment, [month])
    table = Table("Expansion by segment", "MRR", "of its opening MRR", "customers", "expanded")
    for row in by_segment[by_segment["metric"] == "expansion_rate"].to_dict("records"):
        counts = str(row["n_customers"]), str(row["n_expanders"])
        table.add_row(row["value"], money(row["numerator"], currency), _percent(row["ratio"]), *counts)
    console.print(table)


def _print_alert(platform: Platform, delivered: list[str], console: Console) -> None:
    sent = platform.ledger.alerts.read("sent")
    if delivered:
        console.print("[bold]Alert delivered to the Slack stand-in:[/]")
        for text in delivered:
            console.print(f"  {text}", highlight=False, soft_wrap=True)
    elif sent:
        console.print("[bold]Alert delivered by an earlier run (an alert is sent once):[/]")
        for text in _by_thread((alert.key, alert.thread, alert.message["text"]) for alert in sent):
            console.print(f"  {text}", highlight=False, soft_wrap=True)
    else:
        console.print("No alert: nothing fell by more than noise.")


def _example(platform: Platform) -> str:
    """The customer with the largest expansion of the newest month."""
    moved = platform.lake.read(mrr.Movements, [LAST_MONTH]).sort_values(
        ["flow_expansion", "customer"], ascending=[False, True]
    )
    return str(moved["customer"].iloc[0]) if len(moved) else "CUSTOMER"


def _percent(text: str | None) -> str:
    return "no base" if text is None or text != text else percent(Fraction(text))


def _number(text: str | None) -> str:
    return "no losses" if text is None or text != text else f"{round(Fraction(text) * 100) / 100:.2f}"
