"""What all commands share: how they print, and arguments that several take.

Here: the two consoles, rows as a table. Not here: any command.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)
Month = Annotated[str, typer.Argument(metavar="MONTH", help="YYYY-MM")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Run as if it were this instant (ISO 8601)")]


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"


def print_rows(names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table, or where the terminal is too narrow for it each row as a list of its values.

    A table would cut amounts off.
    """
    table = RichTable(*map(escape, names))
    for row in rows:
        table.add_row(*map(escape, row))
    if Measurement.get(out, out.options.update(max_width=sys.maxsize), table).maximum <= out.width:
        out.print(table)
        return
    for number, row in enumerate(rows, start=1):
        record = RichTable.grid(padding=(0, 2))
        record.add_column()
        record.add_column(overflow="fold")
        for name, value in zip(names, row, strict=True):
            record.add_row(escape(name), escape(value))
        out.rule(f"row {number} of {len(rows)}", align="left")
        out.print(record)
