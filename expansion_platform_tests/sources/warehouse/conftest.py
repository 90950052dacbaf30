from __future__ import annotations

from collections.abc import Iterator

import pytest

from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a Postgres server."""
    folder = binaries()
    if folder is None:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    with running_postgres(folder) as url:
        yield url
