"""The pictures in `docs/images`, made from the demo in a real browser: `make pictures` (a few minutes, needs
Chromium).

Here: screenshots of the Dagster UI, and an alert as HTML. Not here: what they show (the demo), tests of the
UI (`ui/`). The alert is rendered from the blocks of the message that the demo posts to the Slack stand-in,
and says so: it is not a screenshot of Slack.
"""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from expansion_platform.alerting.chart import drawn
from expansion_platform.storage.ledger import Alert, Ledger
from expansion_platform.tables.digest import RULE as DIGEST
from expansion_platform_tests.ui.conftest import ARGUMENTS, BROWSERS, ROOT, clean_environment, running_ui

IMAGES = ROOT / "docs" / "images"
MARGIN = 12  # pixels around the graph
STYLE = """
body { margin: 0; background: #fff; color: #1d1c1d; }
body { font: 15px/1.46 Lato, "Helvetica Neue", Arial, sans-serif; }
main { width: 860px; padding: 16px 20px 10px; }
.from { font-weight: 900; }
.app { font-size: 10px; background: #e8e8e8; border-radius: 2px; padding: 1px 3px; color: #616061; }
h1 { font-size: 18px; margin: 4px 0 8px; } p { margin: 0 0 8px; }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 16px; margin-bottom: 8px; }
.context { font-size: 12.5px; color: #616061; }
.note { font-size: 12px; color: #868686; border-top: 1px solid #ddd; padding-top: 6px; }
.button { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; }
.button { margin: 0 8px 10px 0; font-weight: 700; }
img { max-width: 640px; display: block; margin-bottom: 10px; }
"""


def message_html(
    blocks: Sequence[Mapping[str, Any]], sender: str = "Expansion", picture: str | None = None
) -> str:
    """A page that shows a message's blocks as Slack lays them out; `picture` is the address of the chart in
    its thread.
    """
    body = "".join(part for block in blocks for part in _block(block))
    chart = (
        "" if picture is None else f'<p class="context">In its thread:</p><img src="{html.escape(picture)}">'
    )
    note = (
        '<p class="note">Rendered from the blocks of the message that the demo posts. Not a screenshot of '
        "Slack.</p>"
    )
    return (
        f'<style>{STYLE}</style><main><p><span class="from">{html.escape(sender)}</span> <span '
        f'class="app">APP</span></p>{body}{chart}{note}</main>'
    )


def _block(block: Mapping[str, Any]) -> Iterator[str]:
    match block["type"]:
        case "header":
            yield f"<h1>{html.escape(block['text']['text'])}</h1>"
        case "section":
            if "text" in block:
                yield f"<p>{_markdown(block['text']['text'])}</p>"
            if "fields" in block:
                fields = "".join(f"<div>{_markdown(field['text'])}</div>" for field in block["fields"])
                yield f'<div class="fields">{fields}</div>'
        case "context":
            lines = "<br>".join(_markdown(element["text"]) for element in block["elements"])
            yield f'<p class="context">{lines}</p>'
        case "actions":
            yield "".join(
                f"<span class='button'>{html.escape(element['text']['text'])}</span>"
                for element in block["elements"]
            )
        case other:
            raise ValueError(f"no picture of a block of type {other}")


def _markdown(text: str) -> str:
    """Slack's own markup, whose &, < and > are escaped already."""
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", text).replace("\n", "<br>")


def main() -> None:
    """Runs the demo in a folder of its own and writes the pictures."""
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(ROOT / name, folder)
    subprocess.run(
        [sys.executable, "-m", "expansion_platform.cli", "demo"],
        cwd=folder,
        env=clean_environment(),
        check=True,
    )
    with running_ui(folder) as ui, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=next(path for path in BROWSERS if Path(path).exists()), args=ARGUMENTS
        )
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(120_000)
        _alert(page, folder)
        _digest(page, folder)
        _asset_page(page, ui)
        _lineage(page, ui)
        browser.close()


def _sent(folder: Path) -> list[Alert]:
    return Ledger(f"sqlite:///{folder}/.expansion/ledger.sqlite").alerts.read("sent")


def _alert(page: Any, folder: Path) -> None:
    alert = next(one for one in _sent(folder) if one.thread is None and one.rule != DIGEST)
    picture = drawn(alert.message["chart"]) if "chart" in alert.message else None
    if picture is not None:
        (folder / "chart.png").write_bytes(picture)
    (folder / "alert.html").write_text(
        message_html(alert.message["blocks"], picture="chart.png" if picture else None), encoding="utf-8"
    )
    page.goto(f"file://{folder}/alert.html")
    page.locator("main").screenshot(path=IMAGES / "alert.png")


def _digest(page: Any, folder: Path) -> None:
    """The digest's first message, and in its thread the one to the first owner."""
    sent = [one for one in _sent(folder) if one.rule == DIGEST]
    head = next(one for one in sent if one.thread is None)
    first = min((one for one in sent if one.thread == head.key), key=lambda one: str(one.message["text"]))
    blocks = [
        *head.message["blocks"],
        {"type": "context", "elements": [{"text": "In its thread, to each owner:"}]},
        *first.message["blocks"],
    ]
    (folder / "digest.html").write_text(message_html(blocks), encoding="utf-8")
    page.goto(f"file://{folder}/digest.html")
    page.locator("main").screenshot(path=IMAGES / "digest.png")


def _asset_page(page: Any, ui: str) -> None:
    """The figures of a table as Dagster plots them, by month."""
    page.set_viewport_size({"width": 1440, "height": 1000})
    page.goto(f"{ui}/assets/metrics/expansion?view=overview")
    page.get_by_text("Plots", exact=True).click()
    plot = page.get_by_text("expansion_rate_percent", exact=True)
    plot.scroll_into_view_if_needed()
    page.get_by_text("Plots", exact=True).evaluate("button => button.scrollIntoView({block: 'start'})")
    time.sleep(5)  # plots are drawn after the page has loaded
    page.screenshot(path=IMAGES / "asset.png")


def _lineage(page: Any, ui: str) -> None:
    """The graph with the group `mrr` open, without what stands around it."""
    page.set_viewport_size({"width": 1640, "height": 1400})
    page.goto(f"{ui}/asset-groups")
    group = page.locator("foreignObject, [class*=Group]").get_by_text("mrr", exact=True).last
    group.click()
    time.sleep(5)
    page.reload()  # which fits the graph into the window
    page.get_by_text("customer_slices", exact=True).wait_for()
    time.sleep(8)
    # Dagster lays the graph out anew in each version: what it drew says where it is.
    boxes = [box for node in page.locator("svg foreignObject").all() if (box := node.bounding_box())]
    left, top = (min(box[side] for box in boxes) - MARGIN for side in ("x", "y"))
    right, bottom = (
        max(box[side] + box[size] for box in boxes) + MARGIN
        for side, size in (("x", "width"), ("y", "height"))
    )
    clip = {"x": left, "y": top, "width": right - left, "height": bottom - top}
    page.screenshot(path=IMAGES / "lineage.png", clip=clip)


if __name__ == "__main__":
    main()
