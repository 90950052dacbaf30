"""History read again only where something is new is the history read from the beginning."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import wraps
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from deltalake import DeltaTable

from expansion_platform.definitions import build_defs
from expansion_platform.domain.history import tables as billing
from expansion_platform.domain.history.log import holding
from expansion_platform.domain.history.records import Staged
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine import checks
from expansion_platform.ingestion import histories
from expansion_platform.ingestion.changed_customers import changed_customers
from expansion_platform.ingestion.histories import STAGED, Whose, stage
from expansion_platform.resources import Platform
from expansion_platform.simulator.company.company import BEHAVIOURS, simulate
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform.storage import lake as storage
from expansion_platform.storage.lake import Lake
from expansion_platform.storage.ledger import Checkpoint
from expansion_platform_tests.domain.history_rows import Account, day, line
from expansion_platform_tests.domain.whole_history import rebuild
from expansion_platform_tests.sources import pulled

TABLES = [billing.ItemChanges, billing.ItemStates, billing.Quarantine]
END = datetime(2026, 10, 18, 6, tzinfo=UTC)
PULLS = [END - timedelta(days=days) for days in (95, 94, 63, 40, 12, 11, 0)]


def at(instant: datetime) -> dict[str, str]:
    return {"as_of": instant.isoformat()}


def read_history(folder: Path, instant: datetime) -> None:
    """The real assets, on what was pulled into the folder."""
    with (
        Platform(pulled.settings(folder, "", **at(instant))) as platform,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        job = build_defs(platform).resolve_implicit_global_asset_job_def()
        assert job.execute_in_process(
            instance=instance, asset_selection=[checks.asset_key(model) for model in TABLES]
        ).success


def from_the_beginning(folder: Path, instant: datetime) -> tuple[pd.DataFrame, pd.DataFrame]:
    with Platform(pulled.settings(folder, "", **at(instant))) as platform:
        return tuple(
            rebuild(
                stage(Whose(platform.lake.root, None, platform.read_until, platform.timezone)),
                platform.timezone,
            )
        )


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many subscriptions were read each time."""
    counts: list[int] = []
    real = histories.changes

    @wraps(real)  # the hash of the rule is that of its module
    def counted(staged: Staged, timezone: str) -> pd.DataFrame:
        counts.append(len(staged.subscriptions))
        return real(staged, timezone)

    monkeypatch.setattr(histories, "changes", counted)
    return counts


def same(stored: pd.DataFrame, told: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(
        stored.fillna({"collection_paused": "-"}), told.fillna({"collection_paused": "-"}), check_dtype=False
    )


def test_pull_after_pull_is_what_reading_everything_gives(
    tmp_path: Path, read: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With files compacted now and then in between."""
    monkeypatch.setattr(storage, "MANY_FILES", 3)
    lake = Lake(tmp_path / "lake")
    held = []
    for instant in PULLS:
        with StripeServer(
            simulate(12, customers=40, months=8, as_of=instant, behaviours=BEHAVIOURS).account
        ) as server:
            pulled.pull(tmp_path, server.url, **at(instant))
        read_history(tmp_path, instant)
        states, quarantine = from_the_beginning(tmp_path, instant)
        same(lake.read(billing.ItemStates), states)
        pd.testing.assert_frame_equal(lake.read(billing.Quarantine), quarantine, check_dtype=False)
        held.append(holding(lake.read(billing.ItemChanges)))
    subscriptions = lake.rows(stripe.Subscriptions)
    assert read[0] > 20
    assert all(0 < count < subscriptions for count in read[1:])
    assert read[1] < subscriptions / 2  # a day later
    assert len(DeltaTable(str(lake.path(billing.ItemChanges))).file_uris()) <= 3 < len(PULLS)
    log = lake.read(billing.ItemChanges)
    for instant, then in zip(PULLS, held, strict=True):
        pd.testing.assert_frame_equal(holding(log[log["known_at"] <= pd.Timestamp(instant)]), then)


def test_an_unchanged_account_is_not_read_and_a_forgotten_mark_adds_nothing(
    tmp_path: Path, read: list[int]
) -> None:
    with StripeServer(
        simulate(11, customers=20, months=4, as_of=END, behaviours=BEHAVIOURS).account
    ) as server:
        pulled.pull(tmp_path, server.url, **at(END))
    read_history(tmp_path, END)
    lake = Lake(tmp_path / "lake")
    versions = [lake.version(model) for model in TABLES]
    read_history(tmp_path, END)
    assert len(read) == 1
    # As after a kill between the commit and the note of what was read: everything is read again, and nothing
    # is news.
    with Platform(pulled.settings(tmp_path, "", **at(END))) as platform:
        platform.ledger.builds.record_checkpoint("billing/item_changes", Checkpoint("", ()))
        platform.ledger.builds.record("billing/item_changes", {"all": ("", "")})
    read_history(tmp_path, END)
    assert len(read) == 2
    assert [lake.version(model) for model in TABLES] == versions


def test_a_price_that_comes_late_is_read_into_the_history_that_names_it(
    tmp_path: Path, read: list[int]
) -> None:
    """In tiers, of which bills tell no more than what some quantities cost."""
    with StripeServer(simulate(11, customers=40, months=8, as_of=END).account) as server:
        pulled.pull(tmp_path, server.url, **at(END))
    lake = Lake(tmp_path / "lake")
    whole = lake.read(stripe.Prices)
    held = lake.read(stripe.SubscriptionItems)["price"].value_counts()
    late = held.index[held.index.isin(whole.loc[whole["billing_scheme"] == "tiered", "id"])][-1]
    lake.replace(stripe.Prices, whole[whole["id"] != late])
    read_history(tmp_path, END)
    without = schemes(lake, late)
    lake.upsert(stripe.Prices, whole)
    read_history(tmp_path, END)
    assert len(schemes(lake, late)) == 1
    assert not schemes(lake, late) & without
    assert lake.rows(billing.Quarantine) == 0
    assert 0 < read[1] < read[0]
    same(lake.read(billing.ItemStates), from_the_beginning(tmp_path, END)[0])


def schemes(lake: Lake, price: str) -> set[str]:
    states = lake.read(billing.ItemStates)
    return set(states.loc[states["price"] == price, "scheme_json"])


@pytest.mark.parametrize(
    ("last", "now", "whom"),
    [(5, 10, set()), (10, 15, {"cus"}), (15, 18, set()), (18, 21, {"cus"}), (21, 22, set())],
)
def test_a_trial_that_ends_concerns_its_customer(
    tmp_path: Path, last: float, now: float, whom: set[str]
) -> None:
    """One told by a bill of nothing until day 14, and one by the item until day 20."""
    account = Account()
    account.subscription()
    account.item("si_1", "basic", "1")
    account.item("si_2", "extra", "1", trial_start=day(0), trial_end=day(20))
    account.invoice("in_1", 0, line("si_1", "basic", "1", 0, 14, amount=0))
    lake = Lake(tmp_path)
    for name, model in STAGED.items():
        lake.replace(model, getattr(account.staged(), name))
    points = {model: lake.point(model) for model in STAGED.values()}
    assert changed_customers(lake, points, day(last), day(now), "UTC") == whom


@pytest.mark.parametrize(
    ("last", "now", "whom"),
    [
        (5, 10, set()),
        (18, 21, {"cus"}),
        (21, 22, set()),
        (31, 32, {"cus"}),
        (33, 35, {"cus"}),
        (36, 40, set()),
    ],
)
def test_a_bill_that_becomes_due_or_is_left_a_draft_concerns_its_customer(
    tmp_path: Path, last: float, now: float, whom: set[str]
) -> None:
    """One due on day 20, and a draft of day 31, which is left after day 34."""
    account = Account()
    account.subscription()
    account.invoice("in_1", 0, line("si_1", "basic", "1", 0, 30), status="open")
    account.rows["invoices"][-1]["due_date"] = day(20)
    if now > 31:
        account.invoice("in_2", 31, line("si_1", "basic", "1", 31, 61), status="draft")
    lake = Lake(tmp_path)
    for name, model in STAGED.items():
        if (frame := getattr(account.staged(), name)) is not None:
            lake.replace(model, frame)
    points = {model: lake.point(model) for model in STAGED.values()}
    assert changed_customers(lake, points, day(last), day(now), "UTC") == whom
