"""Months in which nobody pays are normal (semantics 7, case 69): every computed table has them, whatever the
account, and nothing is an error.

Each test walks all tables that are declared, so that a new one is tested without being named here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import dagster as dg
import pytest
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.definitions import build_defs
from expansion_platform.domain.core.table import partitioned_by, table_name
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import vocabulary
from expansion_platform.domain.tables import TABLES
from expansion_platform.engine import checks
from expansion_platform.engine.missing import read_by
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform_tests.small_accounts import AS_OF, account, buying_once, paying, trying

pytestmark = pytest.mark.xdist_group("small_accounts")

MONTHS = ["2026-05", "2026-06", "2026-07", "2026-08", "2026-09", "2026-10"]
LIFE = paying("2026-06-10", "2026-08-20", again="2026-10-05", more={"2026-07-12": 8})
"""Nobody yet, a single customer, its expansion, its end, a gap, its return: a month each."""
ACCOUNTS = {
    "empty": account(),
    "one-off invoices only": account(buying_once("2026-06-03", "2026-09-09")),
    "a single trial": account(trying("2026-10-25", days=30)),
    "a single customer, with gaps": account(LIFE),
}
MADE = [model for name, model in TABLES.items() if name.split("/")[0] in ("billing", "mrr", "metrics")]
NAMES = [table_name(model) for model in MADE]


@dataclass(frozen=True)
class Run:
    """What one run, or more, left of an account."""

    settings: Settings
    instance: dg.DagsterInstance

    def refresh(self) -> None:
        refresh(self.settings, None, None, Console(quiet=True), self.instance)

    def failed_checks(self) -> list[str]:
        evaluations = [
            record.dagster_event.asset_check_evaluation_data  # type: ignore[union-attr]
            for run in self.instance.get_runs()
            for record in self.instance.all_logs(
                run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION
            )
        ]
        return [
            f"{each.asset_key.to_user_string()} {each.check_name}: {each.description}"
            for each in evaluations
            if not each.passed
        ]


@contextmanager
def running(served: StripeAccount, folder: Path, first: str | None = MONTHS[0]) -> Iterator[Run]:
    with StripeServer(served) as server, dg.DagsterInstance.ephemeral() as instance:
        settings = Settings(
            _env_file=None,
            stripe_api_key="rk_live_simulated",  # type: ignore[arg-type]
            stripe_api_base=server.url,
            stripe_requests_per_second=100,
            expansion_data_dir=str(folder),
            expansion_as_of=AS_OF.isoformat(),
            expansion_first_month=first,
        )
        yield Run(settings, instance)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Run]]:
    """An account by its name, refreshed once."""
    with ExitStack() as stack:

        @cache
        def of(name: str) -> Run:
            made = stack.enter_context(running(ACCOUNTS[name], tmp_path_factory.mktemp("small")))
            made.refresh()
            return made

        yield of


@pytest.fixture(params=ACCOUNTS)
def run(request: pytest.FixtureRequest, run_of: Callable[[str], Run]) -> Run:
    """Each account in turn."""
    return run_of(request.param)


def test_every_table_has_every_month_and_is_valid(run: Run) -> None:
    with Platform(run.settings) as platform:
        for model in MADE:
            assert platform.lake.exists(model), table_name(model)
            if partitioned_by(model):
                assert platform.months(model) == MONTHS, table_name(model)
            model.validate(platform.lake.read(model), lazy=True)
    assert run.failed_checks() == []


def test_nothing_is_undefined_read_as_zero_or_alerted(run: Run) -> None:
    """A ratio without a base is no ratio; every month has its total; an account like these alerts nobody."""
    with Platform(run.settings) as platform:
        for model in MADE:
            rows = platform.lake.read(model)
            if issubclass(model, metrics.MetricValue):
                without = rows[rows["denominator"] == 0]
                assert without["ratio"].isna().all(), table_name(model)
                assert set(without["quality"]) <= {"no_base", "no_losses"}, table_name(model)
        for model in (
            metrics.Rollforward,
            metrics.RollforwardByDimension,
            metrics.Expansion,
            metrics.ExpansionByDimension,
            metrics.Retention,
        ):
            rows = platform.lake.read(model)
            assert sorted(rows.loc[rows["dimension"] == "total", "month"].unique()) == MONTHS, table_name(
                model
            )
        assert platform.ledger.alerts.read("pending") == []


def test_a_second_run_writes_nothing(run: Run) -> None:
    with Platform(run.settings) as platform:
        before = {model: platform.lake.version(model) for model in TABLES.values()}
        run.refresh()
        assert {model: platform.lake.version(model) for model in TABLES.values()} == before


def test_the_figures_of_a_single_customer(run_of: Callable[[str], Run]) -> None:
    """5 seats from June on, 8 from July on, none in September, 5 again."""
    with Platform(run_of("a single customer, with gaps").settings) as platform:
        flows = platform.lake.read(metrics.Rollforward).query("dimension == 'total'").set_index("month")
        told = platform.lake.read(metrics.Diagnosis).query("kind == 'headline'").set_index("month")["text"]
    moved = {
        month: {name: int(row[name]) for name in ("opening", *vocabulary.FLOWS, "closing") if row[name]}
        for month, row in flows.iterrows()
    }
    seats = int(moved["2026-06"]["closing"]) // 5
    assert moved == {
        "2026-05": {},
        "2026-06": {"new": 5 * seats, "closing": 5 * seats},
        "2026-07": {"opening": 5 * seats, "expansion": 3 * seats, "closing": 8 * seats},
        "2026-08": {"opening": 8 * seats, "churn": -8 * seats},
        "2026-09": {},
        "2026-10": {"reactivation": 5 * seats, "closing": 5 * seats},
    }
    assert told["2026-05"].startswith("Nobody paid in 2026-05")
    assert "from customers who came back" in told["2026-10"]


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, dg.Definitions]]:
    """A data folder in which nothing was ever made."""
    settings = Settings(
        _env_file=None,
        expansion_data_dir=str(tmp_path_factory.mktemp("nothing")),
        expansion_as_of=AS_OF.isoformat(),
    )
    with Platform(settings) as platform:
        yield platform, build_defs(platform)


@pytest.mark.parametrize("name", NAMES)
def test_a_table_whose_inputs_were_never_made_fails_by_name(
    nothing: tuple[Platform, dg.Definitions], name: str
) -> None:
    """What was never computed is not zero: 0 / 0 would be published."""
    platform, defs = nothing
    model = TABLES[name]
    assets = next(
        each for each in defs.resolve_asset_graph().assets_defs if checks.asset_key(model) in each.keys
    )
    needed = read_by(assets, [model])
    assert needed, f"{name} declares no input"
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            partition_key=MONTHS[-1] if partitioned_by(model) else None,
            asset_selection=sorted(assets.keys),
            raise_on_error=False,
        )
    (event,) = [event for event in result.all_events if event.is_step_failure]
    error = event.step_failure_data.error
    assert error is not None
    text = error.cause.message if error.cause else error.message
    assert all(table_name(each) in text for each in needed), text
    assert "expansion refresh" in text
    assert not platform.lake.exists(model)
