"""`python -m expansion_platform_tests.faults` writes `docs/faults.md` from the tests of faults.

Here: the tests that are marked, the page. Not here: the tests (`test_*.py`).
"""

from __future__ import annotations

import importlib
from pathlib import Path

from expansion_platform_tests.faults import Fault

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"


def tests() -> list[tuple[Fault, str, bool]]:
    """Each marked test by number: its fault, where it is, whether it is slow."""
    found = []
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        module = importlib.import_module(f"{__package__}.{file.stem}")
        for name, test in vars(module).items():
            if name.startswith("test_") and (of := getattr(test, "fault", None)) is not None:
                slow = any(mark.name == "slow" for mark in marks(module) + marks(test))
                found.append((of, f"{file.stem}.py", slow))
    return sorted(found, key=lambda each: each[0].number)


def page() -> str:
    """The table of faults as Markdown."""
    lines = [
        "# What is promised when something goes wrong",
        "",
        "Made from the tests in `expansion_platform_tests/faults` by "
        "`python -m expansion_platform_tests.faults`. Each row is a test that injects",
        "the fault for real. After each of them one plain run leaves every table with the content of a "
        "run that was never disturbed, no file that",
        "no table has, and opening + movements = closing for every customer.",
        "",
        "| # | what happens | what is promised | test |",
        "|---:|---|---|---|",
    ]
    lines += [
        f"| {of.number} | {of.what} | {of.promise} | `{where}`{' (slow)' if slow else ''} |"
        for of, where, slow in tests()
    ]
    return "\n".join(lines) + "\n"


def marks(of: object) -> list[object]:
    """pytest's marks of a test or a module."""
    found = getattr(of, "pytestmark", [])
    return list(found) if isinstance(found, list) else [found]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
