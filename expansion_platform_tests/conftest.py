"""One pipeline run for every test that looks at its result; tests that change anything take a copy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import settings

from expansion_platform.simulator.company.company import simulate
from expansion_platform.simulator.world import running
from expansion_platform_tests.pipelines import CUSTOMERS, MONTHS, SEED, Pipeline

# The suite tries the same examples each time; `pytest --hypothesis-profile=default` looks for new ones.
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

_GROUP = re.compile(r'^pytestmark = .*xdist_group\("(\w+)"\)', re.MULTILINE)


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A company's account pulled once and computed whole."""
    company = simulate(SEED, CUSTOMERS, MONTHS)
    with (
        running(company, seed=SEED, months=MONTHS, data_dir=tmp_path_factory.mktemp("pipeline")) as world,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        made = Pipeline(world, world.settings, instance)
        made.refresh()
        yield made


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps a file's group (`pytestmark = xdist_group(...)`) on one worker: xdist 3.8 writes groups into node
    ids, which pytest 9.2 fixed.
    """
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def group(file: str) -> str | None:
        found = (
            _GROUP.search((config.rootpath / file).read_text(encoding="utf-8"))
            if Path(file).suffix == ".py"
            else None
        )
        return found[1] if found else None

    class Grouped(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid.partition("::")[0]) or nodeid

    return Grouped(config, log) if config.getvalue("dist") == "loadgroup" else None
