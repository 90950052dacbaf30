from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres

DATABASES = ["sqlite", "postgres"]


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of a folder for SQLite files, and of a Postgres server where one is installed."""
    found = {"sqlite": str(tmp_path_factory.mktemp("crm"))}
    folder = binaries()
    if folder is None:
        yield found
    else:
        with running_postgres(folder) as url:
            yield found | {"postgres": url}


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest, servers: dict[str, str], tmp_path: Path) -> str:
    """The URL of a database; its schema is `main`, or `crm` in Postgres."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'warehouse.sqlite'}"
    if "postgres" not in servers:
        pytest.skip("Postgres is not installed (apt-get install postgresql)")
    return servers["postgres"]


@pytest.fixture
def schema(database: str) -> str:
    return "main" if database.startswith("sqlite") else "crm"
