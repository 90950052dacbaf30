"""`python -m expansion_platform_tests.refresh_kills --kills 200 --ledger postgres`: kills whole refreshes at
random moments, and compares what one plain run makes of each.

Here: the killing and the command. Not here: the refresh as a process (`refreshed.py`), kills of a pull alone
(`kills.py`).

Odd kills hit a first refresh, even ones a refresh that reads everything again under another policy, so that
every month is restated.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import yaml

from expansion_platform.simulator.company.company import simulate
from expansion_platform.simulator.world import World, running
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests import refreshed
from expansion_platform_tests.faults.oracle import assert_same, assert_sound, contents
from expansion_platform_tests.sources.warehouse.postgres import binaries, running_postgres

SEED, CUSTOMERS, MONTHS = 3, 50, 12
"""A company whose expansion falls in the newest month."""
OTHER_POLICY = {"preset": "stripe_parity"}


@dataclass(frozen=True)
class Place:
    """A data folder with its ledger, and the environment that leads a refresh there."""

    folder: Path
    ledger_url: str
    environment: dict[str, str]


@dataclass(frozen=True)
class Ledgers:
    """Where ledgers are made: beside the data, or each in a database of a server."""

    server: str | None

    def place(self, world: World, folder: Path, catalog: Path) -> Place:
        """An empty place under a new folder."""
        folder.mkdir()
        url = f"sqlite:///{folder / 'data' / 'ledger.sqlite'}"
        if self.server is not None:
            url = sa.make_url(self.server).set(database=folder.name).render_as_string(hide_password=False)
            self._execute(f'create database "{folder.name}"')
        environment = {
            **world.environment,
            "EXPANSION_DATA_DIR": str(folder / "data"),
            "EXPANSION_LEDGER_URL": url,
            "EXPANSION_CATALOG": str(catalog),
        }
        return Place(folder, url, environment)

    def copy(self, world: World, of: Place, folder: Path, catalog: Path) -> Place:
        """A place with what another one has."""
        shutil.copytree(of.folder, folder)
        if self.server is None:
            url = f"sqlite:///{folder / 'data' / 'ledger.sqlite'}"
        else:
            url = sa.make_url(self.server).set(database=folder.name).render_as_string(hide_password=False)
            self._execute(f'create database "{folder.name}" template "{of.folder.name}"')
        changed = {"EXPANSION_DATA_DIR": str(folder / "data"), "EXPANSION_LEDGER_URL": url}
        return Place(folder, url, {**of.environment, **changed, "EXPANSION_CATALOG": str(catalog)})

    def remove(self, place: Place) -> None:
        """Forgets a place."""
        shutil.rmtree(place.folder)
        if self.server is not None:
            self._execute(f'drop database "{place.folder.name}" with (force)')

    def _execute(self, statement: str) -> None:
        assert self.server is not None
        engine = sa.create_engine(self.server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


@contextmanager
def ledgers(kind: str) -> Iterator[Ledgers]:
    """SQLite beside the data, or a Postgres server of its own."""
    if kind == "sqlite":
        yield Ledgers(None)
        return
    folder = binaries()
    assert folder is not None, "Postgres is not installed"
    with running_postgres(folder) as server:
        yield Ledgers(server)


def kill_at_random(folder: Path, where: Ledgers, kills: int, seed: int, say: Callable[[str], None]) -> int:
    """Kills refreshes after random times; how many were killed before their end.

    AssertionError where one plain run makes anything else of one than of an undisturbed refresh: the content
    of a table, or the messages in Slack.
    """
    company, chance, killed = simulate(SEED, CUSTOMERS, MONTHS), random.Random(seed), 0  # noqa: S311 - seeded
    with running(company, seed=SEED, months=MONTHS, data_dir=folder / "world") as world:
        house = folder / "house.yaml"
        house.write_text(yaml.safe_dump(company.catalog))
        other = folder / "other.yaml"
        other.write_text(yaml.safe_dump({**company.catalog, "policy": OTHER_POLICY}))
        base = where.place(world, folder / "base", house)
        world.slack.messages.clear()
        refreshed.run(base.environment, str(base.folder))
        base_slack = list(world.slack.messages)
        assert base_slack
        _read_again(base)

        def first(name: str) -> Place:
            world.slack.messages.clear()
            return where.place(world, folder / name, house)

        def restating(name: str) -> Place:
            world.slack.messages[:] = base_slack
            return where.copy(world, base, folder / name, other)

        cases = []
        for name, made in (("undisturbed_first", first), ("undisturbed_again", restating)):
            place, began = made(name), time.monotonic()
            refreshed.run(place.environment, str(place.folder))
            cases.append((made, time.monotonic() - began, _found(place), _said(world)))
            assert_sound(place.folder / "data")
        for number in range(1, kills + 1):
            made, longest, expected, said = cases[(number + 1) % 2]
            place = made(f"killed_{number}")
            process = refreshed.start(place.environment, str(place.folder))
            after = chance.uniform(0, longest)
            process.join(after)
            ended = process.exitcode is not None
            process.kill()
            process.join()
            killed += not ended
            refreshed.run(place.environment, str(place.folder))
            assert_same(_found(place), expected)
            assert_sound(place.folder / "data")
            assert _said(world) == said, f"kill {number}: {json.dumps([_said(world), said], indent=1)}"
            where.remove(place)
            when = "after its end" if ended else f"after {after:.1f} of {longest:.1f} s"
            say(f"kill {number}: a {made.__name__} refresh, {when}; the same after a plain run")
    return killed


def _read_again(place: Place) -> None:
    """The next pull reads everything, as after a long gap."""
    books = Ledger(place.ledger_url)
    cursor = books.pulls.cursor("stripe")
    assert cursor is not None
    books.pulls.set_cursor("stripe", {**cursor, "last_pull_at": 0})
    books.close()


def _found(place: Place) -> dict[str, str]:
    return contents(Lake(place.folder / "data" / "lake"))


def _said(world: World) -> list[str]:
    return sorted(message.text for message in world.slack.messages)


def main() -> None:
    """Kills as often as told, and says what was found after each."""
    parser = argparse.ArgumentParser(
        prog="python -m expansion_platform_tests.refresh_kills", description=__doc__
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=12, help="seed of the moments")
    parser.add_argument("--ledger", choices=["sqlite", "postgres"], default="sqlite")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ledgers(asked.ledger) as where:
        killed = kill_at_random(
            Path(folder), where, asked.kills, asked.seed, say=lambda line: print(line, flush=True)
        )
    print(f"{asked.kills} kills, {killed} before the end; one plain run made the same of each")


if __name__ == "__main__":
    main()
