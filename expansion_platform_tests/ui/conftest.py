"""A real `dagster dev` on a small simulated company, and a real browser. Skips with a reason where no browser
is installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READY_SECONDS = 180  # 20 s on an idle machine, several times that beside other tests
BROWSERS = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def clean_environment() -> dict[str, str]:
    """The environment without settings of ours."""
    names = ("STRIPE_", "EXPANSION_", "POSTHOG_", "SLACK_", "DAGSTER_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which `expansion demo` was run, as a user would in a clone."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "expansion_platform.cli", "demo", "--customers", "40", "--months", "8"]
    subprocess.run(
        command, cwd=folder, env=clean_environment(), check=True, capture_output=True, text=True, timeout=300
    )
    return folder


@contextmanager
def running_ui(project):
    """Address of the Dagster UI on a folder, as `expansion ui` starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (project / "ui.log").open("w")
    command = [sys.executable, "-m", "expansion_platform.cli", "ui", "--port", str(port)]
    process = subprocess.Popen(
        command,
        cwd=project,
        env=clean_environment(),
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(address, process, project / "ui.log")
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        log.close()


@pytest.fixture(scope="module")
def ui(project):
    """Address of the Dagster UI on that folder."""
    with running_ui(project) as address:
        yield address


@pytest.fixture(scope="module")
def page(ui):
    """A page of the system's Chromium. Of the module only: Playwright keeps an event loop running in this
    process until it is closed.
    """
    browser_path = next((path for path in BROWSERS if Path(path).exists()), None)
    if browser_path is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 2000})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


def _wait_until_ready(address: str, process: subprocess.Popen, log: Path) -> None:
    query = (
        b'{"query": "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus '
        b'locationOrLoadError { __typename } } } } }"}'
    )
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the UI ended with {process.returncode}:\n{log.read_text()[-3000:]}")
        request = urllib.request.Request(f"{address}/graphql", query, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                text = answer.read().decode()
            if '"LOADED"' in text and "RepositoryLocation" in text:
                return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(1)
    pytest.fail(f"the UI was not ready after {READY_SECONDS} s:\n{log.read_text()[-3000:]}")
