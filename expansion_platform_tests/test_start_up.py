"""What a command imports: short commands take as long as their imports, so a module that one does not need is
named here, not timed.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from expansion_platform.domain.mrr import tables as mrr
from expansion_platform_tests.pipelines import NEWEST, Pipeline

IMPORTED = """
import json, sys
from expansion_platform.cli.main import main
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
OURS = "expansion_platform."
NEVER = {
    *("dagster", "pandera", "sqlalchemy", "alembic", "stripe", "httpx", "slack_sdk", "sqlglot"),
    *(
        OURS + name
        for name in (
            "definitions",
            "automation",
            "tables",
            "engine",
            "sources",
            "ingestion",
            "simulator",
            "storage.ledger",
        )
    ),
    *(OURS + name for name in ("domain.mrr.monthly", "domain.history.item_states", "domain.alerts.rules")),
}
"""What reads tables needs none of these: no orchestrator, no check of rows, no ledger, no source, no rule."""


def imported(*arguments: str, **environment: str) -> set[str]:
    """The modules in memory after a command that went well, and the packages they are in."""
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-300:]
    modules = json.loads(ran.stderr.splitlines()[-1])
    return {".".join(name.split(".")[:depth]) for name in modules for depth in range(1, name.count(".") + 2)}


@pytest.mark.xdist_group("pipeline")
class TestCommandsThatOnlyReadTables:
    def test_explain(self, pipeline: Pipeline) -> None:
        customer = pipeline.lake.read(mrr.Movements, [NEWEST])["customer"].iloc[0]
        assert not imported("explain", customer, NEWEST, **pipeline.world.environment) & {*NEVER, "duckdb"}

    def test_month(self, pipeline: Pipeline) -> None:
        assert not imported("month", NEWEST, **pipeline.world.environment) & {*NEVER, "duckdb"}

    def test_sql(self, pipeline: Pipeline) -> None:
        assert not imported("sql", "select count(*) from mrr.movements", **pipeline.world.environment) & NEVER


def test_help() -> None:
    assert not imported("--help") & {*NEVER, "duckdb", "deltalake", "pandas", "pyarrow"}


@pytest.mark.xdist_group("pipeline")
def test_the_rule_sees_what_it_forbids(pipeline: Pipeline) -> None:
    """Of a month in which exchange rates alone moved no row is stored, so that the rules make one."""
    customers = pipeline.lake.read(mrr.CustomerMonths, [NEWEST])
    moved = set(pipeline.lake.read(mrr.Movements, [NEWEST])["customer"])
    (customer, *_) = [
        name for name in customers.loc[customers["flow_fx"] != 0, "customer"] if name not in moved
    ]
    assert "expansion_platform.domain.mrr.monthly" in imported(
        "explain", customer, NEWEST, **pipeline.world.environment
    )
