"""What the UI plots of several tables alike: ratios in percent.

Here: figures from published rows, with types Dagster takes. Not here: what one table alone shows (its
declaration), pictures (`engine/describe.py`).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pandas as pd

from expansion_platform.domain.catalog.inputs import Inputs
from expansion_platform.domain.core.table import Table
from expansion_platform.engine.declaration import Plots, Plotted


def total_percents(model: type[Table]) -> Plots:
    """Plots of a table whose total's ratios are shown by metric."""

    def plots(_months: list[str], inputs: Inputs) -> Plotted:
        return {model: percents(inputs.frame(model).query("dimension == 'total'"), "metric")}

    return plots


def percents(rows: pd.DataFrame, name: str) -> dict[str, dict[str, Any]]:
    """Ratios in percent by month, under the text of column `name`."""
    plotted: dict[str, dict[str, Any]] = {}
    for row in rows[rows["ratio"].notna()].to_dict("records"):
        plotted.setdefault(str(row["month"]), {})[f"{row[name]}_percent"] = float(
            round(Fraction(row["ratio"]) * 100, 3)
        )
    return plotted
