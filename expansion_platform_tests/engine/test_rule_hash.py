"""What changes the hash of a rule, and what does not: edits of a copy of `domain/`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from expansion_platform.engine import rule_hash
from expansion_platform.engine.uses import versions_rules
from expansion_platform.tables.declarations import DECLARATIONS
from expansion_platform.tables.first_reported import FIRST_REPORTED

CACHES = (rule_hash._hash_of, rule_hash._read, rule_hash._path)
Edit = Callable[[str, str], None]


def hashes() -> dict[str, str]:
    """The hash of each declaration's rule, and that of the rules which make what months first report."""
    for cache in CACHES:
        cache.cache_clear()
    found = {each.name: rule_hash.rule_hash(each.rule) for each in DECLARATIONS if each is not FIRST_REPORTED}
    return {**found, "first reported": versions_rules()}


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Edit]:
    """Replaces a text of a file of `domain/`, in a copy that the hashes are made of."""
    copy = tmp_path / "domain"
    shutil.copytree(rule_hash.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(rule_hash, "ROOT", copy)

    def replace(file: str, changed: str) -> None:
        old, new = changed.split(" -> ")
        text = (copy / file).read_text()
        assert old in text, f"{file} has no {old}"
        (copy / file).write_text(text.replace(old, new, 1))

    yield replace
    for cache in CACHES:
        cache.cache_clear()


def changed(before: dict[str, str]) -> set[str]:
    return {name for name, found in hashes().items() if found != before[name]}


@pytest.mark.parametrize(
    ("file", "edited"),
    [
        ("metrics/trailing.py", "YEAR, QUARTER = 12, 3 -> # Windows.\nYEAR, QUARTER = 12, 3"),
        ("metrics/trailing.py", '"""Twelve months compounded -> """Twelve of them compounded'),
        ("mrr/monthly.py", '"""The rows of months that can be compared. -> """The rows of months.'),
        ("metrics/slice_sums.sql", "with customers as ( -> -- who\nwith customers\n  as ("),
        ("mrr/tables/movements.py", 'description=" -> description="So: '),
    ],
    ids=lambda text: re.sub(r"\W+", "_", text)[:30],
)
def test_words_compute_nothing_again(edit: Edit, file: str, edited: str) -> None:
    before = hashes()
    edit(file, edited)
    assert changed(before) == set()


@pytest.mark.parametrize(
    ("file", "edited", "computed"),
    [
        ("metrics/trailing.py", "SHORTEST = 3 -> SHORTEST = 4", {"trailing"}),
        ("metrics/window_moves.sql", "where flow_new <> 0 -> where flow_new > 0", {"trailing"}),
        ("metrics/benchmarks.py", '("0.03", "0.05") -> ("0.03", "0.06")', {"benchmarks"}),
        (
            "metrics/retention.py",
            "lambda s: s.new + s.expansion, -> lambda s: s.new + s.expansion + 1,",
            {"metrics", "dimensions"},
        ),
        ("metrics/diagnosis.py", "GREW_TIMES = 2 -> GREW_TIMES = 3", {"diagnosis"}),
        (
            "metrics/tables/benchmarks.py",
            "class Benchmarks(Monthly): -> class Benchmarks(Monthly, object):",
            {"benchmarks", "expansion_cac"},
        ),
        ("metrics/audits.py", "wanted = sorted(rows -> wanted = list(rows", set()),
    ],
    ids=lambda value: value if isinstance(value, str) and value.endswith(("py", "sql")) else "",
)
def test_a_changed_rule_computes_its_tables_again_and_no_other(
    edit: Edit, file: str, edited: str, computed: set[str]
) -> None:
    before = hashes()
    edit(file, edited)
    assert changed(before) == computed


def test_a_change_deep_below_computes_all_that_use_it(edit: Edit) -> None:
    before = hashes()
    edit("mrr/valuation.py", "\ndef  -> \nADDED = 1\n\n\ndef ")
    assert {"mrr", "coverage", "customer_slices", "first reported"} <= changed(before)
    assert not {"dimensions", "trailing", "benchmarks", "attainment"} & changed(before)


def test_a_query_without_a_name_is_refused(edit: Edit) -> None:
    edit("metrics/cohorts.py", '"metrics/cohort_sums" -> "metrics/cohort" + "_sums"')
    with pytest.raises(TypeError, match="cohorts, line"):
        hashes()
