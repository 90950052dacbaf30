"""One pull of an account into a folder, as a run does it without Dagster: for tests that kill it, repeat it,
or do it in pieces.

Here: the pull, also as a process (`python -m expansion_platform_tests.sources.pulled FOLDER URL AS_OF`), the
tables' content, and the history made of them. Not here: tests.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from expansion_platform.domain.core.table import table_name
from expansion_platform.ingestion.histories import Whose, stage
from expansion_platform.ingestion.pulling import MODELS, Pulling
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings
from expansion_platform.sources.stripe import full, windows
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.domain.whole_history import rebuild

# Small, so that a small account takes many windows and many commits.
PAGES, BATCH_OBJECTS = 1, 150


def settings(folder: Path, url: str, as_of: str) -> Settings:
    return Settings(
        _env_file=None,
        stripe_api_key="rk_live_simulated",
        stripe_api_base=url,
        stripe_requests_per_second=100,
        expansion_data_dir=str(folder),
        expansion_as_of=as_of,
    )


def pull(folder: Path, url: str, as_of: str) -> Pulling:
    """Pulls in this process."""
    with Platform(settings(folder, url, as_of)) as platform:
        pulling = Pulling(platform, lambda line: None, {})
        pulling.run()
    return pulling


def start(folder: Path, url: str, as_of: str) -> subprocess.Popen[str]:
    """Pulls in another process, which prints a line when it begins to read."""
    command = [sys.executable, "-m", "expansion_platform_tests.sources.pulled", str(folder), url, as_of]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def contents(folder: Path) -> dict[str, str]:
    """Content hash of each table."""
    lake = Lake(folder / "lake")
    return {table_name(model): lake.content_hash(model) for model in MODELS}


def states(folder: Path, as_of: str) -> pd.DataFrame:
    """`billing/item_states` of the tables as they are."""
    with Platform(settings(folder, "", as_of)) as platform:
        return rebuild(stage(Whose(platform.lake.root, None, platform.read_until, "UTC")), "UTC").states


def rows(folder: Path, but: str = "^$") -> dict[str, str]:
    """Content of each table but for when it was seen, which may differ, and rows whose id has a pattern in
    it.
    """
    lake = Lake(folder / "lake")
    frames = {table_name(model): lake.read(model).drop(columns="observed_at") for model in MODELS}
    return {name: frame[~frame["id"].str.contains(but)].to_csv(index=False) for name, frame in frames.items()}


if __name__ == "__main__":
    windows.PAGES, full.BATCH_OBJECTS = PAGES, BATCH_OBJECTS
    import stripe  # noqa: F401 - half a second that no kill should land in

    print("begins", flush=True)
    pull(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
