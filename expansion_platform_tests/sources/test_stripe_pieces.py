"""In what order, pages, windows and pulls the facts arrive does not matter: the tables are the same."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from expansion_platform.account import CURSOR
from expansion_platform.assets.pulling import MODELS
from expansion_platform.domain.schemas.base import table_name
from expansion_platform.domain.schemas.stripe import Events, Subscriptions
from expansion_platform.simulator.company import simulate
from expansion_platform.simulator.stripe_server import StripeServer
from expansion_platform.sources.stripe import client, full, windows
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests.sources import pulled

END = datetime(2026, 10, 18, 6, tzinfo=UTC)
NOW = END.isoformat()


def account_at(instant: datetime):
    return simulate(11, customers=40, months=8, as_of=instant).account


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(account_at(END)) as running:
        yield running


@pytest.fixture(scope="module")
def in_one_go(server: StripeServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    pulled.pull(folder, server.url, NOW)
    return folder


def rows(folder: Path) -> dict[str, str]:
    """Content of each table but for when it was seen; events are what Stripe still had at the time."""
    lake = Lake(folder / "lake")
    frames = {table_name(model): lake.read(model).drop(columns="observed_at") for model in MODELS if model is not Events}
    return {name: frame.to_csv(index=False) for name, frame in frames.items()}


@pytest.mark.parametrize(("page", "pages", "batch", "threads"), [(100, 50, 20_000, 1), (7, 1, 30, 10), (13, 2, 1, 3), (100, 1, 500, 10)])
def test_pages_windows_batches_and_threads(server, in_one_go, tmp_path, monkeypatch, page, pages, batch, threads):
    monkeypatch.setattr(client, "PAGE_SIZE", page)
    monkeypatch.setattr(windows, "PAGES", pages)
    monkeypatch.setattr(full, "BATCH_OBJECTS", batch)
    monkeypatch.setattr(full.read_everything, "__kwdefaults__", {**full.read_everything.__kwdefaults__, "threads": threads})
    pulled.pull(tmp_path, server.url, NOW)
    assert pulled.contents(tmp_path) == pulled.contents(in_one_go)


def test_everything_again_writes_nothing(server, tmp_path):
    pulled.pull(tmp_path, server.url, NOW)
    before = {model: Lake(tmp_path / "lake").version(model) for model in MODELS}
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    ledger.set_cursor(CURSOR, {**(ledger.cursor(CURSOR) or {}), "last_pull_at": 0})
    again = pulled.pull(tmp_path, server.url, NOW)
    assert "days since the last pull" in again.told
    assert not any(again.rows.values())
    assert {model: Lake(tmp_path / "lake").version(model) for model in MODELS} == before


@pytest.mark.parametrize("steps", [[27], [20, 13, 6], [19, 18, 18, 17, 3, 2]])
def test_followed_by_events(server, in_one_go, tmp_path, steps):
    """Pulled days before the end, then as often as the steps say; pulling again at once changes nothing."""
    for days in [*steps, 0]:
        instant = END - timedelta(days=days)
        with StripeServer(account_at(instant)) as earlier:
            pulled.pull(tmp_path, earlier.url, instant.isoformat())
    assert rows(tmp_path) == rows(in_one_go)


def test_each_week_every_subscription_is_read(server, tmp_path):
    """A change no event told of is found within a week."""
    account = account_at(END)
    with StripeServer(account) as changing:
        pulled.pull(tmp_path, changing.url, NOW)
        silent = next(item for item in account.objects["subscriptions"] if item["status"] == "active")
        silent["metadata"] = {"migration": "2026"}
        told = {days: pulled.pull(tmp_path, changing.url, (END + timedelta(days=days)).isoformat()).told for days in (3, 6, 7, 9)}
    assert [days for days, line in told.items() if "every subscription, as each week" in line] == [7]
    stored = Lake(tmp_path / "lake").read(Subscriptions).set_index("id")
    assert stored.at[silent["id"], "metadata_json"] == '{"migration":"2026"}'
    assert stored.at[silent["id"], "observed_at"] == END + timedelta(days=7)
