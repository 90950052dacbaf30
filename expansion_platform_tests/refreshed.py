"""A whole refresh as a process that can be killed: pull, history, tables, alerts, delivery.

Here: the process, and what a data folder and Slack have after it. Not here: when it is killed
(`refresh_kills.py`), tests.

The processes are forked from one that has imported everything, so that a killed run begins within 0.1 s
instead of 4 s.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from multiprocessing.process import BaseProcess

from rich.console import Console

from expansion_platform.alerting.outbox import deliver
from expansion_platform.automation.run import refresh
from expansion_platform.resources import Platform
from expansion_platform.settings import Settings

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload([__name__])


def settings_of(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment stands for, without any `.env`."""
    return Settings(_env_file=None, **{name.lower(): value for name, value in environment.items()})  # type: ignore[arg-type]  # texts, as from the environment


def start(environment: Mapping[str, str], folder: str) -> BaseProcess:
    """A process that refreshes all months and delivers the alerts; `folder` is its working directory."""
    process = _PROCESSES.Process(target=_run, args=(dict(environment), folder))
    process.start()
    return process


def run(environment: Mapping[str, str], folder: str) -> None:
    """The same to its end; AssertionError where it fails."""
    process = start(environment, folder)
    process.join()
    assert process.exitcode == 0, f"a plain run ended with {process.exitcode}"


def _run(environment: dict[str, str], folder: str) -> None:
    os.chdir(folder)  # no dagster.yaml and no .env of the checkout
    os.environ.update(environment)
    settings = settings_of(environment)
    refresh(settings, None, None, Console(quiet=True))
    with Platform(settings) as platform:
        deliver(platform.ledger, *platform.channels)
