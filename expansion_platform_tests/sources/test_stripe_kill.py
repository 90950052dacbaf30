"""A pull killed at random moments and then run once more gives the tables an undisturbed pull gives."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from expansion_platform.ingestion.account import CURSOR, UNDER_WAY
from expansion_platform.simulator.company.company import simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.sources.stripe import full, windows
from expansion_platform.storage.lake import Lake
from expansion_platform_tests.kills import COMPANY, NOW, kill_at_random, ledger
from expansion_platform_tests.sources import pulled

KILLS = 4


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(simulate(**COMPANY).account) as running:
        yield running


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "PAGES", pulled.PAGES)
    monkeypatch.setattr(full, "BATCH_OBJECTS", pulled.BATCH_OBJECTS)


@pytest.mark.slow
@pytest.mark.usefixtures("small_pieces")
def test_killed_at_random_moments(server: StripeServer, tmp_path: Path) -> None:
    begun, _ = kill_at_random(tmp_path, server.url, KILLS, seed=11, say=lambda line: None)
    assert begun


@pytest.mark.usefixtures("small_pieces")
def test_an_interrupted_pull_goes_on_where_it_stopped(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        batches = full.read_everything

        def three(*given: object, **named: object) -> Iterator[full.Batch]:
            yield from (batch for _, batch in zip(range(3), batches(*given, **named), strict=False))
            raise KeyboardInterrupt

        patched.setattr("expansion_platform.ingestion.pulling.read_everything", three)
        with pytest.raises(KeyboardInterrupt):
            pulled.pull(tmp_path, server.url, NOW)
    done = ledger(tmp_path).pulls.windows(UNDER_WAY)
    assert done
    assert ledger(tmp_path).pulls.cursor(CURSOR) is None
    server.requests.clear()
    later = (datetime.fromisoformat(NOW) + timedelta(hours=3)).isoformat()
    went_on = pulled.pull(tmp_path, server.url, later)
    assert went_on.reason.startswith("first pull, going on where it was interrupted; changes since ")
    again = [
        request
        for request in server.requests
        if "created" in request.params and request.path == "/v1/customers"
    ]
    assert not any(
        int(request.params["created"]["gte"]) == gte
        for request in again
        for name, gte, _ in done
        if name == "customers"
    )
    pulled.pull(tmp_path / "undisturbed", server.url, NOW)
    assert pulled.contents(tmp_path) == pulled.contents(tmp_path / "undisturbed")


def test_an_interruption_older_than_stripes_events_is_begun_anew(
    server: StripeServer, tmp_path: Path
) -> None:
    books = ledger(tmp_path)
    books.pulls.begin(
        UNDER_WAY,
        {"as_of": (datetime.fromisoformat(NOW) - timedelta(days=30)).isoformat(), "server": "127.0.0.1"},
    )
    books.pulls.add_windows(UNDER_WAY, [("customers", 0, 2**31)])
    assert pulled.pull(tmp_path, server.url, NOW).reason == "first pull"


def test_a_later_pull_that_was_interrupted_is_known_to_be_until_one_ends(
    server: StripeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (datetime.fromisoformat(NOW) - timedelta(days=9)).isoformat()
    pulled.pull(tmp_path, server.url, before)
    stored = ledger(tmp_path).pulls.cursor(CURSOR)
    assert ledger(tmp_path).pulls.cursor(UNDER_WAY) is None
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "upsert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pulled.pull(tmp_path, server.url, NOW)
    assert ledger(tmp_path).pulls.cursor(UNDER_WAY) is not None
    assert ledger(tmp_path).pulls.cursor(CURSOR) == stored
    assert pulled.pull(tmp_path, server.url, NOW).reason.startswith("changes since ")
    assert ledger(tmp_path).pulls.cursor(UNDER_WAY) is None
    pulled.pull(tmp_path / "undisturbed", server.url, before)
    pulled.pull(tmp_path / "undisturbed", server.url, NOW)
    assert pulled.contents(tmp_path) == pulled.contents(tmp_path / "undisturbed")


def interrupt(*_given: object, **_named: object) -> None:
    raise KeyboardInterrupt
