"""A pull of a failing, changing Stripe stores what a pull of a quiet one does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from expansion_platform.simulator.company.company import AS_OF, BEHAVIOURS, simulate
from expansion_platform.simulator.servers import faults
from expansion_platform.simulator.servers.faults import Fault, Faults, besides, moments
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.simulator.truth.items import EVENTS_KEPT
from expansion_platform.sources.stripe import client, rate, requests, windows
from expansion_platform_tests.sources import pulled

NOW = AS_OF.isoformat()
TWICE = "Twin|Draft"  # events Stripe made twice, and those of drafts that are gone


def account_at(instant: datetime):
    return simulate(5, customers=60, months=10, as_of=instant, behaviours=BEHAVIOURS).account


@pytest.fixture(autouse=True)
def _many_quick_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.setattr(rate, "SLOWER", 0.95)
    monkeypatch.setattr(faults, "RETRY_AFTER", "0")
    monkeypatch.setattr(client, "PAGE_SIZE", 20)
    monkeypatch.setattr(windows, "PAGES", 3)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("quiet")
    with StripeServer(account_at(AS_OF)) as server:
        pulled.pull(folder, server.url, NOW)
    yield folder


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_failing_stripe(quiet: Path, tmp_path: Path, seed: int) -> None:
    plan = Faults(seed)
    with StripeServer(besides(account_at(AS_OF), seed), faults=plan) as server:
        pulled.pull(tmp_path, server.url, NOW)
    found, expected = pulled.contents(tmp_path), pulled.contents(quiet)
    assert {**found, "stripe/events": ""} == {**expected, "stripe/events": ""}
    assert pulled.rows(tmp_path, but=TWICE) == pulled.rows(quiet)
    assert "Twin" in pulled.rows(tmp_path)["stripe/events"]
    assert len(plan.met) >= len(Fault) - 2


@pytest.mark.parametrize("seed", [1, 2])
def test_an_account_that_changes_while_it_is_read(quiet: Path, tmp_path: Path, seed: int) -> None:
    """The second pull sets right what the first one read halfway."""
    instants = [AS_OF - timedelta(days=days) for days in (12, 9, 6, 3, 0)]
    accounts = {int(at.timestamp()): account_at(at) for at in instants}
    with StripeServer(accounts[int(AS_OF.timestamp())], faults=Faults(seed)) as server:
        server.moving(moments(accounts, seed, int(AS_OF.timestamp()) - EVENTS_KEPT))
        pulled.pull(tmp_path, server.url, instants[0].isoformat())
        drafts = pulled.rows(tmp_path)["stripe/invoice_lines"].count("il_Draft")
        asked = [
            request.path
            for request in server.requests
            if request.path.endswith("/lines") and "in_Draft" in request.path
        ]
        pulled.pull(tmp_path, server.url, NOW)
    assert asked
    assert drafts == 0  # their lines could not be read any more
    assert pulled.rows(tmp_path, but=TWICE) == pulled.rows(quiet)


def test_two_events_of_every_happening_tell_the_same_history(
    quiet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "TWIN_SHARE", 1)
    with StripeServer(besides(account_at(AS_OF), 1)) as server:
        pulled.pull(tmp_path, server.url, NOW)
    pd.testing.assert_frame_equal(pulled.states(tmp_path, NOW), pulled.states(quiet, NOW))
