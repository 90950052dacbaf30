"""`python -m expansion_platform_tests.kills --kills 50`: kills a pull at random moments, and compares what
one plain run makes of each.

Here: the killing and the command. Not here: the pull as a process (`sources/pulled.py`), the kills of the
test suite (`sources/test_stripe_kill.py`).
"""

from __future__ import annotations

import argparse
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from expansion_platform.ingestion.account import CURSOR, UNDER_WAY
from expansion_platform.simulator.company.company import AS_OF, simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests.sources import pulled

COMPANY = {"seed": 5, "customers": 120, "months": 18}
NOW = AS_OF.isoformat()


def main() -> None:
    """Kills as often as told, and says what was found after each."""
    parser = argparse.ArgumentParser(prog="python -m expansion_platform_tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=12, help="seed of the moments")
    asked = parser.parse_args()
    with StripeServer(simulate(**COMPANY).account) as server, tempfile.TemporaryDirectory() as folder:
        begun, done = kill_at_random(
            Path(folder), server.url, asked.kills, asked.seed, say=lambda line: print(line, flush=True)
        )
    print(
        f"{asked.kills} kills, {begun} of them with a part stored, {done} after the end; every time the "
        "tables are those of an undisturbed pull"
    )


def kill_at_random(
    folder: Path, url: str, kills: int, seed: int, say: Callable[[str], None]
) -> tuple[int, int]:
    """Kills a pull after random times, each time into a fresh folder, and compares what one more run makes of
    it; how many had begun and ended.

    AssertionError when a table differs, or the ledger says that the pull is still under way.
    """
    chance = random.Random(seed)  # noqa: S311 - a seeded generator is the point
    begun = ended = 0
    with pulled.start(folder / "undisturbed", url, NOW) as process:
        _reads(process)
        began = time.monotonic()
    longest = time.monotonic() - began
    expected = pulled.contents(folder / "undisturbed")
    for number in range(1, kills + 1):
        here = folder / f"killed {number}"
        with pulled.start(here, url, NOW) as process:
            _reads(process)
            time.sleep(chance.uniform(0, longest))
            process.kill()
        windows, complete = _stored(here)
        begun, ended = begun + (windows > 0), ended + complete
        pulled.pull(here, url, NOW)
        assert pulled.contents(here) == expected, f"kill {number}, {windows} windows stored"
        assert _stored(here) == (0, True)
        shutil.rmtree(here)
        say(
            f"kill {number}: {'the pull had ended' if complete else f'{windows} windows were stored'}; "
            "the tables are the same"
        )
    return begun, ended


def ledger(folder: Path) -> Ledger:
    """The ledger of a folder."""
    return Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")


def _stored(folder: Path) -> tuple[int, bool]:
    """Windows noted of a pull under way, and whether one has ended."""
    if not (folder / "ledger.sqlite").exists():
        return 0, False
    books = ledger(folder)
    return len(books.pulls.windows(UNDER_WAY)), books.pulls.cursor(CURSOR) is not None


def _reads(process: subprocess.Popen[str]) -> None:
    """Waits until the process begins to read."""
    assert process.stdout is not None
    process.stdout.readline()


if __name__ == "__main__":
    main()
