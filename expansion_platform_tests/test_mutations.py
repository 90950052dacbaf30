"""The mutants fit the code they change, and a handful of them is noticed; `make mutants` tries them all."""

from __future__ import annotations

from pathlib import Path

import pytest

from expansion_platform_tests.mutations import MUTANTS, ROOT, check


@pytest.mark.parametrize("name", MUTANTS)
def test_its_text_is_in_the_code_once(name: str) -> None:
    assert MUTANTS[name].new in MUTANTS[name].applied(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["past-due", "half-up", "flat-at-zero", "concessions", "gross", "sequential", "price", "discount-period"],
)
def test_a_changed_rule_is_noticed(tmp_path: Path, name: str) -> None:
    verdict = check(MUTANTS[name], tmp_path)
    assert verdict.killed, f"{MUTANTS[name].rule}: {verdict}"
