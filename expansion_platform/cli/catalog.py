"""`expansion catalog`: the account's first catalog, and whether a catalog fits the account.

Here: arguments, printing, exit codes. Not here: what is written and compared (`reports/catalog/`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.core.wording import counted

app = typer.Typer(
    help="The catalog of products and the counting policy: a first one, and checking yours.",
    no_args_is_help=True,
)
out = Console(soft_wrap=True)

_SHOWN = {"ok": "[green]ok  [/]", "look": "[yellow]look[/]", "wrong": "[red]FAIL[/]"}


@app.command()
def init(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write")] = Path("catalog.yaml"),
) -> None:
    """Writes a first catalog from the products and prices pulled.

    Every guess a comment with its reason, so nothing changes until you edit it.
    """
    from expansion_platform.reports.catalog.account import read_account
    from expansion_platform.reports.catalog.file import first_catalog
    from expansion_platform.resources import Platform
    from expansion_platform.settings import Settings

    if output.exists():
        raise ExpansionError(
            f"{output} is there already: choose another --output, so that no edit of yours is lost"
        )
    platform = Platform(Settings().model_copy(update={"expansion_catalog": None}))
    catalog = platform.catalog()
    account = read_account(platform, catalog)
    output.write_text(first_catalog(account, catalog, platform.settings.expansion_currency), encoding="utf-8")
    out.print(
        f"{output}: {counted(len(account.offers), 'product')}. It changes no number as it stands.",
        highlight=False,
    )
    out.print(
        f"Uncomment what is right, set EXPANSION_CATALOG={output}, then: expansion catalog check, "
        "expansion refresh",
        highlight=False,
    )


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Catalog file; default: EXPANSION_CATALOG")] = None,
) -> None:
    """Compares a catalog with the account as pulled; exit 1 when it says something that cannot be so."""
    from expansion_platform.reports.catalog.account import read_account
    from expansion_platform.reports.catalog.check import examine
    from expansion_platform.resources import Platform
    from expansion_platform.settings import Settings

    settings = Settings()
    path = file or settings.expansion_catalog
    if path is None:
        raise ConfigurationError(
            "no catalog to check: name a file or set EXPANSION_CATALOG; `expansion catalog init` writes "
            "a first one"
        )
    platform = Platform(settings.model_copy(update={"expansion_catalog": path}))
    catalog = platform.catalog()
    out.print(
        f"{path}: catalog {catalog.catalog_hash}, policy {catalog.policy_hash} ({catalog.policy.preset})",
        highlight=False,
    )
    findings = list(examine(catalog, read_account(platform, catalog)))
    for finding in findings:
        out.print(_SHOWN[finding.level], f"{finding.subject}: {finding.text}", highlight=False)
    sys.exit(1 if any(finding.level == "wrong" for finding in findings) else 0)
