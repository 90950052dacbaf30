"""In what order, pages, windows and pulls the facts arrive does not matter: the tables are the same."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expansion_platform.domain.stripe.tables import Subscriptions
from expansion_platform.ingestion.account import CURSOR
from expansion_platform.ingestion.pulling import MODELS
from expansion_platform.simulator.company.company import BEHAVIOURS, simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform.simulator.truth.items import EVENTS_KEPT
from expansion_platform.sources.stripe import client, full, windows
from expansion_platform.sources.stripe.pull import read_changes
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Ledger
from expansion_platform_tests.sources import pulled

END = datetime(2026, 10, 18, 6, tzinfo=UTC)
NOW = END.isoformat()


@cache
def account_at(instant: datetime, behaviours: frozenset[str] = frozenset()) -> StripeAccount:
    """The company's account. Events a pull at the end cannot see any more are left out: whoever pulled
    earlier would know more, rightly.
    """
    account = simulate(11, customers=40, months=8, as_of=instant, behaviours=behaviours).account
    account.objects["events"] = [
        item for item in account.objects["events"] if item["created"] >= END.timestamp() - EVENTS_KEPT
    ]
    return account


@pytest.fixture(scope="module")
def server() -> Iterator[StripeServer]:
    with StripeServer(account_at(END)) as running:
        yield running


@pytest.fixture(scope="module")
def in_one_go(server: StripeServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    pulled.pull(folder, server.url, NOW)
    return folder


def ledger(folder: Path) -> Ledger:
    return Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")


@pytest.mark.parametrize(
    ("page", "pages", "batch", "threads"),
    [(100, 50, 20_000, 1), (7, 1, 30, 10), (13, 2, 1, 3), (100, 1, 500, 10)],
)
def test_pages_windows_batches_and_threads(
    server, in_one_go, tmp_path, monkeypatch, page, pages, batch, threads
):
    monkeypatch.setattr(client, "PAGE_SIZE", page)
    monkeypatch.setattr(windows, "PAGES", pages)
    monkeypatch.setattr(full, "BATCH_OBJECTS", batch)
    monkeypatch.setattr(
        full.read_everything, "__kwdefaults__", {**full.read_everything.__kwdefaults__, "threads": threads}
    )
    pulled.pull(tmp_path, server.url, NOW)
    assert pulled.contents(tmp_path) == pulled.contents(in_one_go)


def test_everything_again_writes_nothing(server, tmp_path):
    pulled.pull(tmp_path, server.url, NOW)
    before = {model: Lake(tmp_path / "lake").version(model) for model in MODELS}
    books = ledger(tmp_path)
    books.pulls.set_cursor(CURSOR, {**(books.pulls.cursor(CURSOR) or {}), "last_pull_at": 0})
    again = pulled.pull(tmp_path, server.url, NOW)
    assert "days since the last pull" in again.reason
    assert not any(again.rows.values())
    assert {model: Lake(tmp_path / "lake").version(model) for model in MODELS} == before


@pytest.fixture(scope="module")
def hard_in_one_go(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], pd.DataFrame]:
    """Tables and history of a company with every behaviour, pulled once at the end."""
    folder = tmp_path_factory.mktemp("hard")
    with StripeServer(account_at(END, BEHAVIOURS)) as running:
        pulled.pull(folder, running.url, NOW)
    return pulled.rows(folder), pulled.states(folder, NOW)


def first_seen(history: pd.DataFrame, instants: list[datetime]) -> set[str]:
    """Subscriptions with a change that no fact dates: it is dated by the pull that first saw it."""
    dated = history["valid_from"].isin(instants) | history["valid_to"].isin(instants)
    return set(history.loc[dated, "subscription"])


def in_pieces(
    folder: Path, steps: list[tuple[int, int]], in_one_go: tuple[dict[str, str], pd.DataFrame]
) -> None:
    """Pulls at each step (quarters of a day before the end) and at the end, and compares with one pull at the
    end.

    Before each pull but the first, the cursor is moved back by the hours of a step, so that much is read
    again; all of these follow events. What may differ: `observed_at`, and a change no fact dates, which the
    first pull to see it dates.
    """
    instants = [END - timedelta(hours=6 * quarters) for quarters, _ in sorted(steps, reverse=True)]
    for instant, hours in zip([*instants, END], [0, *(hours for _, hours in steps)], strict=True):
        if (cursor := ledger(folder).pulls.cursor(CURSOR)) is not None:
            ledger(folder).pulls.set_cursor(
                CURSOR, {**cursor, "last_pull_at": cursor["last_pull_at"] - 3600 * hours, "recent_events": []}
            )
        with StripeServer(account_at(instant, BEHAVIOURS)) as earlier:
            pulled.pull(folder, earlier.url, instant.isoformat())
    tables, expected = in_one_go
    found = pulled.states(folder, NOW)
    assert pulled.rows(folder) == tables
    undated = first_seen(found, [*instants, END]) | first_seen(expected, [END])
    assert len(undated) <= 2
    left = [
        history[~history["subscription"].isin(undated)].reset_index(drop=True)
        for history in (found, expected)
    ]
    pd.testing.assert_frame_equal(*left)


@pytest.mark.parametrize("steps", [[(27 * 4, 0)], [(80, 0), (52, 500), (24, 24), (24, 0), (23, 700)]])
def test_in_pieces_with_replays(steps, hard_in_one_go, tmp_path):
    in_pieces(tmp_path, steps, hard_in_one_go)


def test_later_pulls_are_stored_in_batches(hard_in_one_go, tmp_path, monkeypatch):
    """Memory holds a batch, whatever happened since the last pull; an object named by one batch and listed by
    another is one row.
    """
    monkeypatch.setattr(full, "BATCH_OBJECTS", 20)
    sizes: list[int] = []

    def counted(*given, **named):
        for batch in read_changes(*given, **named):
            sizes.append(sum(batch.counts.values()))
            yield batch

    monkeypatch.setattr("expansion_platform.ingestion.pulling.read_changes", counted)
    in_pieces(tmp_path, [(27 * 4, 0)], hard_in_one_go)
    assert len(sizes) > 3
    assert max(sizes) < 20 + client.PAGE_SIZE


@pytest.mark.slow
@settings(max_examples=6)
@given(steps=st.lists(st.tuples(st.integers(0, 29 * 4), st.integers(0, 200)), min_size=1, max_size=5))
def test_in_any_pieces(steps, hard_in_one_go, tmp_path_factory):
    in_pieces(tmp_path_factory.mktemp("pieces"), steps, hard_in_one_go)


def test_each_week_every_subscription_is_read(server, tmp_path):
    """A change no event told of is found within a week."""
    account = copy.deepcopy(account_at(END))
    with StripeServer(account) as changing:
        pulled.pull(tmp_path, changing.url, NOW)
        silent = next(item for item in account.objects["subscriptions"] if item["status"] == "active")
        silent["metadata"] = {"migration": "2026"}
        told = {
            days: pulled.pull(tmp_path, changing.url, (END + timedelta(days=days)).isoformat()).reason
            for days in (3, 6, 7, 9)
        }
    assert [days for days, line in told.items() if "every subscription, as each week" in line] == [7]
    stored = Lake(tmp_path / "lake").read(Subscriptions).set_index("id")
    assert stored.at[silent["id"], "metadata_json"] == '{"migration":"2026"}'
    assert stored.at[silent["id"], "observed_at"] == END + timedelta(days=7)
