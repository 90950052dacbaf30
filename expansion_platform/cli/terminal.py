"""What all commands share: how they print, and arguments that several take.

Here: the two consoles, rows as a table. Not here: any command.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)
Month = Annotated[str, typer.Argument(metavar="MONTH", help="YYYY-MM")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Run as if it were this instant (ISO 8601)")]
