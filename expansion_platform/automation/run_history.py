"""Dagster's run history, kept in the data folder.

`EXPANSION_DATA_DIR/dagster`, unless DAGSTER_HOME says otherwise.

Here: where it is, and the storage classes that `dagster.yaml` names. Not here: running anything (`run.py`).

Two data folders are two accounts. While the history lay in the current directory, their runs were mixed in
one UI, and an asset's page showed the months of both. `dagster.yaml` can name a fixed folder only, so the
classes here look the folder up, in every process Dagster starts.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Self

import dagster as dg
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData

from expansion_platform.engine.event_log import EventLog
from expansion_platform.settings import Settings, data_dir

CONFIG = "dagster.yaml"
_data_dir: ContextVar[Path | None] = ContextVar("_data_dir", default=None)


def home(folder: Path) -> Path:
    """Where the history of a data folder is."""
    return folder / "dagster"


def given_home() -> bool:
    """Whether the user keeps the history elsewhere: DAGSTER_HOME is Dagster's own variable, and wins."""
    return bool(os.environ.get("DAGSTER_HOME"))


@contextmanager
def instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """The instance whose history the UI shows.

    DAGSTER_HOME's, else as the `dagster.yaml` of this folder says, else as the package's says.
    """
    if given_home():
        with dg.DagsterInstance.get() as found:
            yield found
        return
    folder = Path.cwd() if Path(CONFIG).exists() else shipped().parent
    token = _data_dir.set(settings.data_dir)
    try:
        with dg.DagsterInstance.from_config(str(folder)) as found:
            yield found
    finally:
        _data_dir.reset(token)


def environment(settings: Settings) -> dict[str, str]:
    """Environment variables with which `dagster dev` keeps the history of this data folder.

    Outside a checkout there is no `dagster.yaml` that it would read: the package's is put into the history's
    folder.
    """
    variables = {"EXPANSION_DATA_DIR": str(settings.data_dir)}
    if given_home() or Path(CONFIG).exists():
        return variables
    place = home(settings.data_dir)
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(shipped(), place / CONFIG)
    return {**variables, "DAGSTER_HOME": str(place)}


def shipped() -> Path:
    """The package's `dagster.yaml`: beside the packages in a wheel, at the top of a checkout."""
    beside = Path(__file__).parents[1] / CONFIG
    return beside if beside.exists() else Path(__file__).parents[2] / CONFIG


def _folder(name: str) -> str:
    return str(home(_data_dir.get() or data_dir()) / name)


class RunStorage(DagsterSqliteStorage):
    """Runs, events, and the state of schedules and sensors."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = EventLog(self._event_log_storage._base_dir)

    @classmethod
    def config_type(cls) -> Any:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Any) -> Self:
        """In the data folder."""
        return cls.from_local(_folder("storage"), inst_data)


class ArtifactStorage(LocalArtifactStorage):
    """What Dagster itself stores of a run."""

    @classmethod
    def config_type(cls) -> Any:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """In the data folder."""
        return cls(_folder("artifacts"), inst_data)


class ComputeLogs(LocalComputeLogManager):
    """What steps print."""

    @classmethod
    def config_type(cls) -> Any:
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> Self:
        """In the data folder."""
        return cls(_folder("logs"), inst_data=inst_data)
