"""What people see in the Dagster UI: the floors, a table's columns and picture, and a month rebuilt with a
click.
"""

from __future__ import annotations

import time

import pytest

from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.tables import TABLES
from expansion_platform.storage.lake import Lake

pytestmark = [pytest.mark.ui, pytest.mark.xdist_group("ui")]


def follow(page, path):
    """Goes to a page of the UI as one of its own links does: without loading the whole UI again, 1 s each."""
    page.evaluate(
        "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')) }", path
    )


def test_lineage_shows_every_floor(page, ui):
    page.goto(f"{ui}/asset-groups")
    for floor in ("stripe", "analytics", "billing", "mrr", "metrics", "alerts"):
        page.get_by_text(floor, exact=True).first.wait_for()
    # The whole graph draws only what the window shows.
    page.goto(f"{ui}/assets/metrics/rollforward?view=lineage")
    for asset in ("customer_months", "movements", "rollforward", "benchmarks", "expansion"):
        page.get_by_text(asset, exact=True).first.wait_for()


def test_asset_page_shows_columns_rows_and_the_bridge(page, ui):
    page.goto(f"{ui}/assets/metrics/rollforward")
    page.get_by_text("One row per month and slice").first.wait_for()
    for name, column in metrics.Rollforward.to_schema().columns.items():
        page.get_by_role("cell", name=name, exact=True).or_(
            page.get_by_text(name, exact=True)
        ).first.wait_for()
        assert column.description
    page.get_by_text("MRR at the opening instant").first.wait_for()
    picture = page.locator("img[src^='data:image/svg+xml;base64,']").first
    picture.wait_for()
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_every_asset_page_opens_with_its_description(page, ui):
    page.goto(f"{ui}/assets")
    for name, model in TABLES.items():
        follow(page, f"/assets/{name}")
        page.get_by_text(model.__doc__.split(":")[0].split(",")[0][:40]).first.wait_for()


def test_a_deleted_month_comes_back_the_same_from_the_ui(page, ui, project):
    lake = Lake(project / ".expansion" / "lake")
    month = lake.months(mrr.Movements)[-2]
    before = lake.content_hash(mrr.Movements, [month])
    lake.delete_months(mrr.Movements, [month])
    assert lake.content_hash(mrr.Movements, [month]) != before

    page.goto(f"{ui}/assets/mrr/movements?view=partitions")
    page.get_by_role("button", name="Materialize").first.click()
    chosen = page.get_by_role("dialog").get_by_role("textbox").first
    chosen.fill(month)
    chosen.press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Launch").last.click()
    until = time.monotonic() + 120
    while lake.content_hash(mrr.Movements, [month]) != before and time.monotonic() < until:
        time.sleep(2)
    assert lake.content_hash(mrr.Movements, [month]) == before
