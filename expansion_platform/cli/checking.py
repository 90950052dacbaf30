"""Commands that check the set-up.

Here: printing and the exit code. Not here: what is checked (`reports/doctor.py`).
"""

from __future__ import annotations

import sys

from rich.markup import escape

from expansion_platform.cli.terminal import out


def doctor() -> None:
    """Checks the settings, the Stripe key's permissions, the lake and the ledger.

    Exit 1 when something is wrong.
    """
    from expansion_platform.reports.doctor import examine

    ok = True
    for finding in examine():
        ok &= finding.ok
        mark = "[red]FAIL[/]" if not finding.ok else "[yellow]look[/]" if finding.look else "[green]ok  [/]"
        out.print(f"{mark} {escape(f'{finding.subject}: {finding.text}')}", highlight=False)
    sys.exit(0 if ok else 1)
