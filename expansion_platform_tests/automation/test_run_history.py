"""Run history is kept in the data folder, so that two accounts never share one; unless DAGSTER_HOME says
where.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from expansion_platform.automation import run_history
from expansion_platform.settings import Settings

ROOT = Path(__file__).parents[2]
AS_DAGSTER_DEV_DOES = """
from dagster._cli.utils import get_possibly_temporary_instance_for_cli
with get_possibly_temporary_instance_for_cli("dagster dev") as instance:
    print(*(run.run_id for run in instance.get_runs()))
"""


@dg.op
def nothing() -> None:
    """A run to be remembered."""


@dg.job
def remembered() -> None:
    nothing()


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is no checkout, and no variable set."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("EXPANSION_DATA_DIR", raising=False)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def settings(folder: Path) -> Settings:
    return Settings(_env_file=None, expansion_data_dir=str(folder))


def run_in(folder: Path) -> str:
    with run_history.instance(settings(folder)) as instance:
        return remembered.execute_in_process(instance=instance).run_id


def runs_of(folder: Path) -> list[str]:
    with run_history.instance(settings(folder)) as instance:
        return [run.run_id for run in instance.get_runs()]


def test_two_data_folders_never_share_a_history(tmp_path: Path, elsewhere: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    in_one, in_two = run_in(one), run_in(two)
    assert (runs_of(one), runs_of(two)) == ([in_one], [in_two])
    assert list(elsewhere.iterdir()) == []
    assert (one / "dagster").is_dir()


def test_dagsters_own_commands_find_the_same_history(tmp_path: Path, elsewhere: Path) -> None:
    """`dagster dev` and the rest read `dagster.yaml` of the checkout; EXPANSION_DATA_DIR may stand in `.env`
    only.
    """
    made = run_in(tmp_path / "data")
    (elsewhere / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    (elsewhere / ".env").write_text(
        f"EXPANSION_DATA_DIR={tmp_path / 'data'}\nEXPANSION_TIMEZONE=Mars/Olympus\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("EXPANSION_", "DAGSTER_"))
    }
    ran = subprocess.run(
        [sys.executable, "-c", AS_DAGSTER_DEV_DOES],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert made in ran.stdout


def test_dagster_home_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(kept))
    made = run_in(tmp_path / "data")
    assert runs_of(tmp_path / "data") == [made]
    assert not (tmp_path / "data" / "dagster").exists()
    assert run_history.environment(settings(tmp_path / "data")) == {
        "EXPANSION_DATA_DIR": str(tmp_path / "data")
    }


def test_outside_a_checkout_dagster_gets_the_packages_configuration(tmp_path: Path, elsewhere: Path) -> None:
    told = run_history.environment(settings(tmp_path / "data"))
    assert told == {
        "EXPANSION_DATA_DIR": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path / "data" / "dagster"),
    }
    assert yaml.safe_load((tmp_path / "data" / "dagster" / "dagster.yaml").read_text()) == yaml.safe_load(
        (ROOT / "dagster.yaml").read_text()
    )
    (elsewhere / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert run_history.environment(settings(tmp_path / "data")) == {
        "EXPANSION_DATA_DIR": str(tmp_path / "data")
    }
