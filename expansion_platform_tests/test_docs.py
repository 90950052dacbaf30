"""The committed documents say what the code says, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from expansion_platform.docs import SETTINGS_BEGIN, SETTINGS_END, generated

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("path", generated(ROOT), ids=lambda path: path.name)
def test_a_generated_document_is_the_committed_one(path):
    assert path.read_text(encoding="utf-8") == generated(ROOT)[path], "run `make docs`"


def test_the_settings_page_has_a_place_for_its_table():
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert text.count(SETTINGS_BEGIN) == text.count(SETTINGS_END) == 1


def test_the_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if f"(docs/{page.name})" not in text]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(page):
    targets = [
        target.split("#")[0]
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
        if "://" not in target
    ]
    missing = [target for target in targets if target and not (page.parent / target).exists()]
    assert not missing
