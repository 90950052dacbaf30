"""What the Dagster UI shows of a table: rows, months, a small preview, headline figures, a picture.

Here: the metadata every table asset emits, with types Dagster accepts (no Decimal, no NumPy integer). Not
here: the figures' rules. Markdown under 1,000 characters shows inline in the UI, longer markdown behind a
link.
"""

from __future__ import annotations

import base64
import inspect
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from expansion_platform.domain.core.table import Table, columns, key, table_name
from expansion_platform.storage.lake import Lake

PREVIEW_ROWS = 5
INLINE_MARKDOWN = 1000  # the web app's limit for showing markdown without a click
OWNERS = ["team:revops"]


def column_schema(model: type[Table]) -> dg.TableSchema:
    """The model's columns with types, descriptions and constraints."""
    keys = key(model)
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                type=column.dtype,
                description=column.description,
                constraints=dg.TableColumnConstraints(nullable=column.nullable, unique=keys == [name]),
            )
            for name, column in columns(model).items()
        ]
    )


def asset_spec(
    model: type[Table], *, deps: Iterable[type[Table]], kinds: Collection[str], skippable: bool = False
) -> dg.AssetSpec:
    """An asset as the UI shows it.

    Its key, floor, meaning (the model's docstring), columns, owners and kinds.
    """
    floor, _ = table_name(model).split("/")
    return dg.AssetSpec(
        table_name(model).split("/"),
        deps=[dg.AssetKey(table_name(other).split("/")) for other in deps],
        description=inspect.cleandoc(model.__doc__ or ""),
        group_name=floor,
        owners=OWNERS,
        kinds=set(kinds),
        metadata={
            "dagster/column_schema": column_schema(model),
            "dagster/table_name": table_name(model).replace("/", "."),
        },
        skippable=skippable,
    )


def table_metadata(lake: Lake, model: type[Table], *, written: bool) -> dict[str, Any]:
    """Row count, place, Delta version and whether anything was written."""
    return {
        "dagster/row_count": lake.rows(model),
        "dagster/uri": str(lake.path(model)),
        "written": written,
        "delta_version": -1 if (version := lake.version(model)) is None else version,
    }


def month_metadata(
    lake: Lake, model: type[Table], months: Sequence[str], plotted: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """What the page shows of some months of a table: place, version, rows, and what is plotted.

    A preview is of the newest month only, which the page shows; one of each would only fill the event log.
    """
    version = lake.version(model)
    shared = {"dagster/uri": str(lake.path(model)), "delta_version": -1 if version is None else version}
    counts = lake.rows_by_month(model, months)
    found = {
        month: {**plotted.get(month, {}), **shared, "dagster/row_count": counts.get(month, 0)}
        for month in months
    }
    found[months[-1]] |= preview_metadata(lake, model, months[-1])
    return found


def preview_metadata(lake: Lake, model: type[Table], month: str | None = None) -> dict[str, Any]:
    """The first rows (of a month)."""
    return {
        "preview": dg.MetadataValue.md(
            preview(lake.head(model, PREVIEW_ROWS, None if month is None else [month]))
        )
    }


def preview(frame: pd.DataFrame) -> str:
    """First rows as a markdown table; ids and amounts only, since no table holds a personal field.

    Long cells are cut.
    """
    if frame.empty:
        return "no rows"
    names = [name for name in frame.columns if not name.endswith(("_json", "_hash")) and name != "month"][:8]
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += [
        "| " + " | ".join(_cell(value) for value in row) + " |"
        for row in frame[names].head(PREVIEW_ROWS).itertuples(index=False)
    ]
    while len("\n".join(lines)) >= INLINE_MARKDOWN and len(lines) > 3:
        lines.pop()
    return "\n".join(lines)


def _cell(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return value.strftime("%Y-%m-%d %H:%M")
    text = "" if value is None or value != value else str(value)
    return (text if len(text) <= 22 else text[:21] + "…").replace("|", "/")


BRIDGE_STEPS = [
    ("open", "opening"), ("new", "new"), ("back", "reactivation"), ("exp", "expansion"),
    ("con", "contraction"),
    ("price", "price"), ("disc", "discount"), ("int", "interval"), ("fx", "fx"), ("churn", "churn"),
    ("close", "closing"),
]  # fmt: skip
_WIDTH, _HEIGHT, _STEP = 330, 70, 30


def bridge_picture(row: dict[str, int]) -> str:
    """The month's MRR bridge as an inline SVG image in markdown, under 1,000 characters.

    Args:
        row: a roll-forward row: opening, nine flows, closing (minor units).

    The baseline is cut just under the lowest level, otherwise the opening bar would flatten every movement.
    """
    level, spans = 0, []
    for label, name in BRIDGE_STEPS:
        value = row[name]
        start, end = (0, value) if name in ("opening", "closing") else (level, level + value)
        level = end
        spans.append((label, name, start, end))
    edges = [edge for _, name, *ends in spans for edge in ends if name not in ("opening", "closing")] + [
        row["opening"],
        row["closing"],
    ]
    low, high = min(edges), max(edges)
    floor = low - max(1, high - low) // 5

    def y(amount: int) -> int:
        return round((high - max(amount, floor)) * _HEIGHT / max(1, high - floor))

    bars: dict[str, list[str]] = {"#57a": [], "#4a6": [], "#c54": []}
    for index, (_, name, start, end) in enumerate(spans):
        colour = "#57a" if name in ("opening", "closing") else "#4a6" if end >= start else "#c54"
        top, bottom = sorted((y(start), y(end)))
        bars[colour].append(f"M{index * _STEP} {top}h26v{max(1, bottom - top)}h-26z")
    paths = "".join(
        f"<path fill='{colour}' d='{''.join(parts)}'/>" for colour, parts in bars.items() if parts
    )
    labels = "".join(
        f"<text x='{index * _STEP}' y='82'>{label}</text>" for index, (label, *_) in enumerate(spans)
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} 86' width='480' "
        f"font-size='9'>{paths}{labels}</svg>"
    )
    return f"![MRR bridge](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


_SIDE = 100


def calibration_picture(bins: Sequence[tuple[float, float]]) -> str:
    """What was said against what happened, by tenths of the customers, as an inline SVG image in markdown.

    Args:
        bins: (mean probability, share with the outcome) of each tenth.

    Points on the line are probabilities that hold.
    """
    most = max([*(value for pair in bins for value in pair), 0.01])
    points = "".join(
        f"<circle cx='{round(_SIDE * said / most)}' cy='{round(_SIDE * (1 - happened / most))}' r='3'/>"
        for said, happened in bins
    )
    svg = (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-30 -8 150 132' width='220' font-size='9'>"
        f"<path d='M0 {_SIDE}L{_SIDE} 0M0 0V{_SIDE}H{_SIDE}' stroke='#999' fill='none'/>"
        f"<g fill='#57a'>{points}</g>"
        f"<text x='-28' y='4'>{most:.0%}</text><text x='{_SIDE - 14}' y='112'>{most:.0%}</text>"
        f"<text x='20' y='122'>said</text><text x='4' y='8'>happened</text></svg>"
    )
    return f"![calibration](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
