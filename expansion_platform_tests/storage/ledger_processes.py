"""Ledgers opened by processes of their own: many at once, or killed on the way.

The processes are forks of one that has imported everything: begun one by one they would open the ledger
seconds apart. That one is a process beside the tests', since a fork of a process with threads may hang.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable

import sqlalchemy as sa
from alembic import command  # noqa: F401  the migration imports it, and every fork would

from expansion_platform.storage.ledger import Ledger


def open_at_once(urls: list[str], processes: int) -> None:
    """Opens each ledger in so many processes at the same moment; each process writes a build. Fails when one
    of them does.
    """
    _run("open", str(processes), *urls)


def kill(urls: list[str]) -> None:
    """Kills processes that upgrade the ledgers of these URLs, each at another statement; the last ledger is
    upgraded to its end.
    """
    _run("kill", *urls)


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", __name__, *arguments], check=True, timeout=300)


def _open_at_once(url: str, processes: int) -> None:
    sa.create_engine(url)  # loads the driver, which every fork would
    waiting, start = os.pipe()

    def opened(number: int) -> None:
        os.close(start)
        os.read(waiting, 1)  # returns when the parent closes the other end
        ledger = Ledger(url)
        ledger.builds.record("mrr/movements", {f"2027-{number + 1:02d}": ("inputs", "state")})
        ledger.close()

    children = [_fork(lambda number=number: opened(number)) for number in range(processes)]  # type: ignore[misc]
    os.close(start)
    failed = [status for child in children if (status := os.waitpid(child, 0)[1]) != 0]
    if failed:
        raise SystemExit(f"{len(failed)} of {processes} processes failed")


def _kill(urls: list[str]) -> None:
    *killed, whole = urls
    count = _statements(whole)
    for number, url in enumerate(killed):
        at = 1 + number * (count - 1) // max(len(killed) - 1, 1)
        status = os.waitpid(_fork(lambda url=url, at=at: _upgrade_until(url, at)), 0)[1]  # type: ignore[misc]
        if not os.WIFSIGNALED(status):
            raise SystemExit(f"the process was to die at statement {at} of {count}, and ended with {status}")


def _statements(url: str) -> int:
    """How many statements an upgrade takes."""
    seen: list[str] = []

    def noted(*of: object) -> None:
        seen.append(str(of[2]))

    sa.event.listen(sa.Engine, "after_cursor_execute", noted)
    Ledger(url).close()
    sa.event.remove(sa.Engine, "after_cursor_execute", noted)
    return len(seen)


def _upgrade_until(url: str, statement: int) -> None:
    left = statement

    def counted(*_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "after_cursor_execute", counted)
    Ledger(url)


def _fork(work: Callable[[], None]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "open":
        for ledger_url in rest[1:]:
            _open_at_once(ledger_url, int(rest[0]))
    else:
        _kill(rest)
