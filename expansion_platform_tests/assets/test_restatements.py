"""A late invoice: closed months are restated, the table says why and ties, what was first reported stays, and nobody is alerted again."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa
import yaml
from rich.console import Console

from expansion_platform.domain.schemas import metrics, mrr
from expansion_platform.run import restate
from expansion_platform.simulator.account import StripeAccount
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

CUSTOMER, LATE_INVOICE = "cus_ANx2D9pKG35XzMk9ENGyAJmc", "in_tBklPx2qR7Wivl0t7Pn4yi1R"
"""Twelve seats more on 20 April, billed at once by this invoice. Without it they are seen first on the renewal of 2 May."""


@pytest.fixture(scope="module")
def unaware(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The company as it was closed before the invoice was there."""
    right = pipeline.world.stripe.account
    folder = tmp_path_factory.mktemp("unaware")
    with dg.DagsterInstance.ephemeral() as instance:
        found = Pipeline(pipeline.world, pipeline.settings.model_copy(update={"expansion_data_dir": str(folder / "data")}), instance)
        try:
            pipeline.world.stripe.account = without_invoice(right)
            found.refresh()
        finally:
            pipeline.world.stripe.account = right
        yield found


def without_invoice(account: StripeAccount) -> StripeAccount:
    lacking = copy.deepcopy(account)
    lacking.objects["invoices"] = [invoice for invoice in lacking.objects["invoices"] if invoice["id"] != LATE_INVOICE]
    assert len(lacking.objects["invoices"]) == len(account.objects["invoices"]) - 1
    return lacking


def informed(pipeline: Pipeline) -> None:
    """Refreshes with the invoice there."""
    pipeline.world.stripe.account = pipeline.account_to_change()
    pipeline.refresh()


def restated(pipeline: Pipeline) -> pd.DataFrame:
    return pipeline.lake.read(metrics.Restatements)


def test_a_late_invoice_moves_the_expansion_to_the_month_it_happened_in(unaware: Pipeline, pipeline: Pipeline, tmp_path: Path) -> None:
    with unaware.copied(tmp_path) as copied:
        first, alerts, states = copied.lake.content_hash(mrr.FirstReported), copied.ledger.alerts(), copied.ledger.alert_states()
        assert restated(copied).empty
        assert alerts
        informed(copied)
        rows = restated(copied)
        assert set(rows["customer"]) == {CUSTOMER}
        assert set(rows["reason"]) == {"late_event"}
        assert set(rows["also_json"]) == {"[]"}
        table = rows.pivot_table(index="month", columns="metric", values="difference", aggfunc="sum", fill_value=0)
        seats = int(table.at["2026-04", "expansion"])
        assert seats > 0
        assert table.to_dict("index") == {
            "2026-04": {"opening": 0, "expansion": seats, "closing": seats},
            "2026-05": {"opening": seats, "expansion": -seats, "closing": 0},
        }
        assert_ties(copied)
        assert copied.lake.content_hash(mrr.FirstReported) == first
        assert (copied.ledger.alerts(), copied.ledger.alert_states()) == (alerts, states)
        # What is restated is what the company that always knew has reported.
        for model in (mrr.CustomerMonths, mrr.Movements, mrr.Causes, metrics.Rollforward, metrics.Expansion):
            assert copied.lake.content_hash(model) == pipeline.lake.content_hash(model)
        before = copied.contents()
        informed(copied)
        assert copied.contents() == before


def assert_ties(pipeline: Pipeline) -> None:
    """Each month's published roll-forward less what was first reported, figure by figure, is the sum of its rows."""
    published = pipeline.lake.read(metrics.Rollforward).query("dimension == 'total'").set_index("month")
    reported = pipeline.lake.read(mrr.FirstReported).groupby("month").sum(numeric_only=True)
    told = restated(pipeline).groupby(["month", "metric"])["difference"].sum()
    for month in published.index:
        for figure in ("opening", *mrr.FLOWS, "closing"):
            column = figure if figure in reported else f"flow_{figure}"
            assert published.at[month, figure] - reported.at[month, column] == told.get((month, figure), 0)


def test_figures_of_a_closed_month_that_someone_changed_are_not_taken_for_reported(unaware: Pipeline, tmp_path: Path) -> None:
    with unaware.copied(tmp_path) as copied:
        rows = copied.lake.read(mrr.FirstReported, ["2026-04"])
        copied.lake.replace(mrr.FirstReported, rows.assign(segment="smb", states_hash="0" * 16), months=["2026-04"])
        with pytest.raises(Exception, match=r"what was first reported at 2026-11-03.* is not in the table any more.*mrr/first_reported 2026-04"):
            copied.refresh()
        copied.lake.replace(mrr.FirstReported, rows, months=["2026-04"])  # other files, the same rows
        copied.refresh("2026-04", "2026-04")


def test_a_close_the_ledger_does_not_know_is_taken_as_it_was_committed(unaware: Pipeline, tmp_path: Path) -> None:
    """Killed between the two, and refreshed when the late invoice was there."""
    with unaware.copied(tmp_path) as copied:
        first, closes = copied.lake.content_hash(mrr.FirstReported), copied.ledger.builds("mrr/first_reported")
        with sa.create_engine(copied.settings.ledger_url).begin() as connection:
            connection.execute(sa.text("delete from builds where table_name = 'mrr/first_reported' and month = '2026-04'"))
        informed(copied)
        assert copied.lake.content_hash(mrr.FirstReported) == first
        assert copied.ledger.builds("mrr/first_reported") == closes
        assert set(restated(copied)["month"]) == {"2026-04", "2026-05"}


def test_restating_after_a_change_of_catalog_tells_what_moved_and_why(unaware: Pipeline, tmp_path: Path) -> None:
    with unaware.copied(tmp_path) as copied:
        catalog = yaml.safe_load(Path(str(copied.settings.expansion_catalog)).read_text())
        path = tmp_path / "catalog.yaml"
        path.write_text(yaml.safe_dump({**catalog, "excluded_customers": [CUSTOMER]}))
        alerts = copied.ledger.alerts()
        decided = copied.with_settings(expansion_catalog=path)
        lines = list(restate(decided.settings, "2026-05", None, Console(quiet=True), decided.instance))
        assert lines[0].startswith("This run moved ")
        assert lines[0].endswith(f" figures of 1 customer in 2026-05 to {NEWEST}.")
        assert any(line.startswith("2026-05: MRR ") and " first reported 2026-11-03, " in line for line in lines)
        assert any(" closing: the catalog was changed (cus_ANx2D9pKG35XzMk9ENGyAJmc -" in line for line in lines)
        assert_ties(copied)
        assert set(restated(copied)["reason"]) == {"catalog_change"}
        assert set(restated(copied)["month"]) == {f"2026-{number:02d}" for number in range(5, 11)}
        assert copied.ledger.alerts() == alerts
        again = list(restate(decided.settings, "2026-05", None, Console(quiet=True), decided.instance))
        assert again[0] == "This run moved no figure of a month that had closed."
        assert again[1:] == lines[1:]


@pytest.mark.slow
def test_a_month_that_has_not_closed_is_provisional_and_not_judged(unaware: Pipeline, tmp_path: Path) -> None:
    with unaware.copied(tmp_path) as copied:
        waiting = copied.with_settings(expansion_data_dir=str(tmp_path / "waiting"), expansion_close_lag_days=5)
        waiting.refresh()
        assert waiting.lake.months(mrr.FirstReported)[-1] == "2026-09"
        for model in (metrics.Expansion, metrics.Trailing, metrics.Coverage):
            graded = waiting.lake.read(model).groupby("month")["quality"].agg(set)
            assert graded[NEWEST] & {"ok", "low_n"} == set()
            assert "provisional" in graded[NEWEST]
            assert graded["2026-09"] & {"ok", "low_n"}
        assert {state.month for state in waiting.ledger.alert_states().values()} == {"2026-09"}
        closed = waiting.with_settings(expansion_as_of="2026-11-06T00:00:00+00:00")
        closed.refresh()
        assert closed.lake.months(mrr.FirstReported)[-1] == NEWEST
        assert "provisional" not in set(closed.lake.read(metrics.Expansion)["quality"])
        assert {state.month for state in closed.ledger.alert_states().values()} == {NEWEST}
