"""The architecture's import rules, read from the source: rules know no I/O, sources and storage know no
orchestrator.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import expansion_platform

ROOT = Path(expansion_platform.__file__).parent
ORDER = ["core", "stripe", "pricing", "catalog", "history", "mrr", "metrics", "signals", "alerts"]
"""The packages of `domain/`: each imports only itself and those before it."""
DOMAIN_MAY = {
    *("numpy", "pandas", "pandera", "pydantic", "pyarrow", "yaml", "sklearn", "threadpoolctl"),
    *sys.stdlib_module_names,
}
DOMAIN_MAY_NOT_CALL = {"now", "utcnow", "today", "getenv", "urandom", "uuid4"}
IO = {
    "socket",
    "subprocess",
    "urllib",
    "http",
    "sqlite3",
    "tempfile",
    "shutil",
    "threading",
    "multiprocessing",
    "random",
    "time",
    "os",
}


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def imported(path: Path) -> set[str]:
    """Absolute names of imported modules; a relative import is resolved."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = (
                ".".join(["expansion_platform", *path.relative_to(ROOT).parts[: -node.level]])
                if node.level
                else ""
            )
            base = ".".join(filter(None, [package, node.module or ""]))
            names |= {f"{base}.{alias.name}" for alias in node.names} | {base}
    return names


def packages(path: Path) -> set[str]:
    """Top-level packages, and `expansion_platform.X` for our own."""
    names = imported(path) - {"expansion_platform", "__future__"}
    return {
        ".".join(name.split(".")[:2]) if name.startswith("expansion_platform.") else name.split(".")[0]
        for name in names
    }


def called(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {
        func.attr if isinstance(func, ast.Attribute) else func.id
        for func in calls
        if isinstance(func, ast.Attribute | ast.Name)
    }


@pytest.mark.parametrize("path", modules("domain"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_domain_imports_only_data_libraries_and_itself(path: Path) -> None:
    sql = {"duckdb"} if path.name == "queries.py" else set()
    assert packages(path) <= DOMAIN_MAY | sql | {"expansion_platform.domain"}
    assert not packages(path) & IO


@pytest.mark.parametrize("path", modules("domain"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_domain_asks_no_clock_and_no_environment(path: Path) -> None:
    assert not called(path) & DOMAIN_MAY_NOT_CALL
    assert "environ" not in {
        node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
    }


@pytest.mark.parametrize("path", modules("domain"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_package_of_the_domain_knows_only_those_before_it(path: Path) -> None:
    """What is in `domain/` itself (the list of tables, the identities) is made of all packages, and none of
    them knows it.
    """
    package = path.relative_to(ROOT / "domain").parts[0]
    if package in ORDER:
        known = {
            name.split(".")[2] for name in imported(path) if name.startswith("expansion_platform.domain.")
        }
        assert known <= set(ORDER[: ORDER.index(package) + 1])


def test_every_package_of_the_domain_has_its_place_in_the_order() -> None:
    assert sorted(ORDER) == sorted(path.parent.name for path in (ROOT / "domain").glob("*/__init__.py"))


@pytest.mark.parametrize("folder", ["domain", "sources", "storage", "alerting", "reports", "ingestion"])
def test_only_the_wiring_knows_dagster(folder: str) -> None:
    assert not [path.name for path in modules(folder) if "dagster" in packages(path)]


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        (
            "sources",
            {
                "storage",
                "ingestion",
                "engine",
                "tables",
                "alerting",
                "reports",
                "simulator",
                "automation",
                "resources",
                "cli",
            },
        ),
        (
            "storage",
            {
                "sources",
                "ingestion",
                "engine",
                "tables",
                "alerting",
                "reports",
                "simulator",
                "automation",
                "resources",
                "cli",
            },
        ),
        ("engine", {"tables", "ingestion", "reports", "simulator", "automation", "cli", "definitions"}),
        ("tables", {"simulator", "automation", "cli", "definitions"}),
        (
            "ingestion",
            {"tables", "engine", "alerting", "reports", "simulator", "automation", "cli", "definitions"},
        ),
        ("alerting", {"ingestion", "engine", "tables", "reports", "simulator", "automation", "cli"}),
        ("reports", {"engine", "tables", "simulator", "automation", "cli"}),
        ("automation", {"simulator", "cli"}),
    ],
)
def test_floors_know_only_what_is_below_them(folder: str, others: set[str]) -> None:
    wrong = {
        (path.name, name)
        for path in modules(folder)
        for name in packages(path)
        if name.removeprefix("expansion_platform.") in others
    }
    assert not wrong


def test_only_the_command_line_knows_the_simulator() -> None:
    outside = [path for path in ROOT.rglob("*.py") if "simulator" not in path.relative_to(ROOT).parts]
    assert {path.name for path in outside if "expansion_platform.simulator" in packages(path)} == {
        "running.py"
    }


def test_only_the_settings_read_the_environment() -> None:
    readers = {
        path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "os.environ" in path.read_text()
    }
    # DAGSTER_HOME is Dagster's own, and the demo passes the environment on to `dagster dev`.
    assert readers <= {"automation/run_history.py", "simulator/demo.py"}


def test_the_rule_sees_what_it_forbids(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import duckdb.typing\nfrom expansion_platform.storage import lake\ndef f():\n    import "
        "stripe\n    return datetime.now()\n"
    )
    assert packages(wrong) == {"duckdb", "expansion_platform.storage", "stripe"}
    assert "now" in called(wrong)
