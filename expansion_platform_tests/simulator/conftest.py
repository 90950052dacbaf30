"""One simulated company for all tests that only look at it."""

from __future__ import annotations

import pytest

from expansion_platform.simulator.company.company import Company, simulate


@pytest.fixture(scope="session")
def company() -> Company:
    return simulate(7, customers=200, months=24)
