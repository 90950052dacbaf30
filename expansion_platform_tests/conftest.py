"""One pipeline run for every test that looks at its result; tests that change anything take a copy."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from expansion_platform.simulator.company import simulate
from expansion_platform.simulator.world import running
from expansion_platform_tests.pipelines import CUSTOMERS, MONTHS, SEED, Pipeline


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
