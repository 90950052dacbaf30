"""Where the tables begin when EXPANSION_FIRST_MONTH is empty: with the account's first subscription, whenever
that is known.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from expansion_platform.automation.run import refresh
from expansion_platform.definitions import build_defs
from expansion_platform.domain.core.errors import ExpansionError
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.stripe import tables as stripe
from expansion_platform.engine import checks
from expansion_platform.reports.month import nobody_paid
from expansion_platform.resources import Platform
from expansion_platform.simulator.servers.stripe import StripeServer
from expansion_platform_tests.small_accounts import AS_OF, account, paying, trying
from expansion_platform_tests.tables.test_small_accounts import Run, running


def months_of(run: Run) -> list[str]:
    with Platform(run.settings) as platform:
        return platform.months(mrr.CustomerMonths)


def loaded(run: Run) -> list[str]:
    """The months that a code location loaded now would show."""
    node = build_defs(Platform(run.settings)).resolve_asset_graph().get(checks.asset_key(metrics.Expansion))
    assert node.partitions_def is not None
    return list(node.partitions_def.get_partition_keys())


def test_one_command_pulls_and_computes_from_the_first_subscription_on(tmp_path: Path) -> None:
    with running(account(paying("2026-08-10")), tmp_path, first=None) as run:
        assert loaded(run) == ["2026-10"]
        run.refresh()
        assert months_of(run) == loaded(run) == ["2026-08", "2026-09", "2026-10"]
        with pytest.raises(
            ExpansionError,
            match=r"2026-07 to 2026-10; the tables have 2026-08 to 2026-10\. EXPANSION_FIRST_MONTH sets",
        ):
            refresh(run.settings, "2026-07", None, Console(quiet=True), run.instance)


@pytest.mark.slow
def test_a_backdated_subscription_adds_months_at_the_front(tmp_path: Path) -> None:
    with running(account(paying("2026-09-10")), tmp_path, first=None) as run:
        run.refresh()
        assert months_of(run) == ["2026-09", "2026-10"]
        with (
            StripeServer(account(paying("2026-08-10"), paying("2026-09-10"))) as server,
            Platform(run.settings) as platform,
        ):
            cursor = platform.ledger.pulls.cursor("stripe")
            platform.ledger.pulls.set_cursor("stripe", {**(cursor or {}), "last_pull_at": 0})
            later = Run(run.settings.model_copy(update={"stripe_api_base": server.url}), run.instance)
            later.refresh()
            rows = (
                platform.lake.read(metrics.Trailing, ["2026-10"])
                .query("dimension == 'total'")
                .set_index("metric")
            )
        assert months_of(later) == ["2026-08", "2026-09", "2026-10"]
        # What was computed before looks at the new months, too.
        assert rows.at["expansion_share_of_new_t12m", "window_months"] == 3


@pytest.mark.parametrize(
    ("stories", "subscriptions"),
    [((), "none"), ((paying("2026-11-02"), trying("2026-11-03", days=30)), "1 active, 1 trialing")],
)
def test_an_account_in_which_nobody_has_paid_has_its_newest_month(
    tmp_path: Path, stories: tuple, subscriptions: str
) -> None:
    """A month later that one is still there: the first month never moves forward, so what a code location
    asked for stays right.
    """
    with running(account(*stories), tmp_path, first=None) as run:
        run.refresh()
        assert months_of(run) == ["2026-10"]
        with Platform(run.settings) as platform:
            told = nobody_paid(platform)
        with Platform(
            run.settings.model_copy(update={"expansion_as_of": AS_OF.replace(year=2027).isoformat()})
        ) as later:
            assert later.first_month == "2026-10"
    assert told is not None
    assert told.startswith("Nobody has paid yet: MRR is 0 up to 2026-10")
    assert told.endswith(f"Subscriptions in Stripe: {subscriptions}.")


def test_tables_that_cannot_be_read_do_not_stop_the_ui(tmp_path: Path) -> None:
    with running(account(), tmp_path, first=None) as run, Platform(run.settings) as platform:
        log = platform.lake.path(stripe.Subscriptions) / "_delta_log"
        log.mkdir(parents=True)
        (log / "00000000000000000000.json").write_text("nothing that can be read")
        assert loaded(run) == ["2026-10"]
