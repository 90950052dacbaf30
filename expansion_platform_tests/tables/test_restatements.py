"""A late invoice: closed months are restated, the table says why and ties, what was first reported stays, and
nobody is alerted again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pytest
import sqlalchemy as sa
import yaml
from rich.console import Console

from expansion_platform.automation.run import restate
from expansion_platform.domain.core.table import Table
from expansion_platform.domain.metrics import dimensions, expanders, expansion, retention
from expansion_platform.domain.metrics import rows as metrics_rows
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import contributions, vocabulary
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.simulator.stripe_billing.account import StripeAccount
from expansion_platform_tests.pipelines import NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")

CUSTOMER, LATE_INVOICE = "cus_ANx2D9pKG35XzMk9ENGyAJmc", "in_tBklPx2qR7Wivl0t7Pn4yi1R"
"""Twelve seats more on 20 April, billed at once by this invoice. Without it they are seen first on the
renewal of 2 May.
"""


@pytest.fixture(scope="module")
def unaware(pipeline: Pipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """The company as it was closed before the invoice was there."""
    right = pipeline.world.stripe.account
    folder = tmp_path_factory.mktemp("unaware")
    with dg.DagsterInstance.ephemeral() as instance:
        found = Pipeline(
            pipeline.world,
            pipeline.settings.model_copy(update={"expansion_data_dir": str(folder / "data")}),
            instance,
        )
        try:
            pipeline.world.stripe.account = without_invoice(right)
            found.refresh()
        finally:
            pipeline.world.stripe.account = right
        yield found


def without_invoice(account: StripeAccount) -> StripeAccount:
    lacking = copy.deepcopy(account)
    lacking.objects["invoices"] = [
        invoice for invoice in lacking.objects["invoices"] if invoice["id"] != LATE_INVOICE
    ]
    assert len(lacking.objects["invoices"]) == len(account.objects["invoices"]) - 1
    return lacking


def informed(pipeline: Pipeline) -> None:
    """Refreshes with the invoice there."""
    pipeline.world.stripe.account = pipeline.account_to_change()
    pipeline.refresh()


def restated(pipeline: Pipeline) -> pd.DataFrame:
    return pipeline.lake.read(metrics.Restatements)


def test_a_late_invoice_moves_the_expansion_to_the_month_it_happened_in(
    unaware: Pipeline, pipeline: Pipeline, tmp_path: Path
) -> None:
    with unaware.copied(tmp_path) as copied:
        first, alerts, states = (
            copied.lake.content_hash(mrr.FirstReported),
            copied.ledger.alerts.read(),
            copied.ledger.alerts.states(),
        )
        assert restated(copied).empty
        assert alerts
        informed(copied)
        rows = restated(copied)
        assert set(rows["customer"]) == {CUSTOMER}
        assert set(rows["reason"]) == {"late_event"}
        assert set(rows["also_json"]) == {"[]"}
        table = rows[rows["metric"].isin(["opening", *vocabulary.FLOWS, "closing"])].pivot_table(
            index="month", columns="metric", values="difference", aggfunc="sum", fill_value=0
        )
        seats = int(table.at["2026-04", "expansion"])
        assert seats > 0
        assert table.to_dict("index") == {
            "2026-04": {"opening": 0, "expansion": seats, "closing": seats},
            "2026-05": {"opening": seats, "expansion": -seats, "closing": 0},
        }
        assert_ties(copied)
        assert copied.lake.content_hash(mrr.FirstReported) == first
        assert (copied.ledger.alerts.read(), copied.ledger.alerts.states()) == (alerts, states)
        # What is restated is what the company that always knew has reported.
        for model in (mrr.CustomerMonths, mrr.Movements, mrr.Causes, metrics.Rollforward, metrics.Expansion):
            assert copied.lake.content_hash(model) == pipeline.lake.content_hash(model)
        before = copied.contents()
        informed(copied)
        assert copied.contents() == before


def assert_ties(pipeline: Pipeline) -> None:
    """Each month's published roll-forward less what was first reported, figure by figure, is the sum of its
    rows.
    """
    published = pipeline.lake.read(metrics.Rollforward).query("dimension == 'total'").set_index("month")
    reported = pipeline.lake.read(mrr.FirstReported).groupby("month").sum(numeric_only=True)
    told = restated(pipeline).groupby(["month", "metric"])["difference"].sum()
    for month in published.index:
        for figure in ("opening", *vocabulary.FLOWS, "closing"):
            column = figure if figure in reported else f"flow_{figure}"
            assert published.at[month, figure] - reported.at[month, column] == told.get((month, figure), 0)


def rebuilt(pipeline: Pipeline) -> pd.DataFrame:
    """What each customer adds to each published sum: as first reported, with the restatements' rows on top.
    month, customer, metric, amount.
    """
    first = pipeline.lake.read(mrr.FirstReported)
    assert contributions.kept(first) == {*contributions.FIGURES, *contributions.TEXTS}
    parts = [
        contributions.contributions(rows, contributions.kept(rows)).assign(month=month)
        for month, rows in first.groupby("month")
    ]
    parts.append(
        restated(pipeline)[["month", "customer", "metric", "difference"]].rename(
            columns={"difference": "amount"}
        )
    )
    return (
        pd.concat(parts)
        .groupby(["month", "customer", "metric"], as_index=False)["amount"]
        .sum()
        .query("amount != 0")
    )


def slice_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """Those amounts summed as the metrics' queries do: a row per month, dimension and value, with everything
    that metrics divide.
    """
    split = rows["metric"].str.extract(
        r"^(?:(?P<dimension>[a-z0-9_]+):(?P<value>.+):)?(?P<figure>[a-z_0-9]+)$"
    )
    total = split["dimension"].isna()
    rows = rows.assign(
        dimension=split["dimension"].where(~total, "total"),
        value=split["value"].where(~total, "all"),
        figure=split["figure"],
    )
    wide = rows.pivot_table(
        index=["month", "dimension", "value", "customer"],
        columns="figure",
        values="amount",
        aggfunc="sum",
        fill_value=0,
    )
    wide = wide.astype("int64")
    columns = dict.fromkeys([*contributions.AMOUNTS, *contributions.TRANSFERS], 0)
    wide = wide.assign(**{name: 0 for name in columns if name not in wide})
    stays = (wide["opening"] > 0) & (wide["closing"] > 0)
    wide["retained"] = wide["opening"].clip(upper=wide["closing"] - wide["fx"]).where(stays, 0)
    counted = {
        "members": wide["opening"] > 0,
        "payers": wide["closing"] > 0,
        "expanders": wide["expansion"] > 0,
        "churned_logos": (wide["churn"] < 0) & (wide["dormant_churn"] == 0),
        "dormant_logos": wide["dormant_churn"] < 0,
        "returned_logos": (wide["reactivation"] > 0) & (wide["dormant_reactivation"] == 0),
        "woken_logos": wide["dormant_reactivation"] > 0,
        **{f"dormant_{reason}": wide[f"dormant_churn_{reason}"] < 0 for reason in vocabulary.DORMANT_REASONS},
    }
    wide = wide.assign(
        **{name: true.astype("int64") for name, true in counted.items()}, dormant_churn=-wide["dormant_churn"]
    )
    sums = wide.groupby(level=["month", "dimension", "value"]).sum().rename(columns={"interval": "interval_"})
    expansions = wide["expansion"].groupby(level=["month", "dimension", "value"])
    sums["top_ten"] = expansions.apply(lambda amounts: int(amounts.nlargest(10).sum()))
    return sums.reset_index()


NOT_SUMS = {"median_expansion"}  # of the customers' own amounts


@pytest.mark.slow
def test_everything_published_is_first_reported_and_restatements(unaware: Pipeline, tmp_path: Path) -> None:
    """Each published figure of a month can be rebuilt from what was first reported and the restatements'
    rows.

    After a change of kinds, families, units and segment thresholds in the catalog, and of who began it.
    """
    with unaware.copied(tmp_path) as copied:
        before = {model: copied.lake.read(model) for model in WALKED}
        catalog = yaml.safe_load(Path(str(copied.settings.expansion_catalog)).read_text())
        products = {name: {**entry, **CHANGED.get(name, {})} for name, entry in catalog["products"].items()}
        policy = {"enterprise_acv": 4_000_000, "mid_market_acv": 900_000}
        (tmp_path / "catalog.yaml").write_text(
            yaml.safe_dump({**catalog, "products": products, "policy": policy})
        )
        customers = copied.lake.read(mrr.Movements).query("flow_expansion > 0")["customer"].unique()
        days = [f"{month}-15" for month in copied.lake.months(mrr.Movements)]
        activity = [
            f"{customer},{day},opportunity,opp_{customer}_{day}" for customer in customers for day in days
        ]
        (tmp_path / "crm.csv").write_text("\n".join(["customer,date,kind,id", *activity]) + "\n")
        decided = copied.with_settings(
            expansion_catalog=tmp_path / "catalog.yaml", expansion_crm_activity=str(tmp_path / "crm.csv")
        )
        list(
            restate(
                decided.settings,
                copied.lake.months(mrr.Movements)[0],
                None,
                Console(quiet=True),
                decided.instance,
            )
        )
        after = {model: copied.lake.read(model) for model in WALKED}
        moved = {
            model.Config.name
            for model in WALKED
            if not after[model].drop(columns=VERSIONS).equals(before[model].drop(columns=VERSIONS))
        }
        assert moved == {model.Config.name for model in WALKED}
        for model, expected in published_from(rebuilt(copied)).items():
            assert_same(model, expected, after[model])


def published_from(rows: pd.DataFrame) -> dict[type[Table], pd.DataFrame]:
    """The metrics' tables, made of rebuilt amounts by the same definitions: month, dimension, value, metric,
    numerator, denominator.
    """
    sums = slice_sums(rows)
    total, segments = sums[sums["dimension"] == "total"], sums[sums["dimension"] == "segment"]
    others = sums[~sums["dimension"].isin(["segment"])]
    both = pd.concat([total, segments])
    by_origin = rows[rows["metric"].str.startswith("expansion_from_")]
    by_origin = by_origin.assign(
        value=by_origin["metric"].str.removeprefix("expansion_from_"),
        dimension="origin",
        metric="expansion_rate",
    )
    by_origin = (
        by_origin.rename(columns={"amount": "numerator"})
        .groupby(["month", "dimension", "value", "metric"], as_index=False)["numerator"]
        .sum()
    )
    return {
        metrics.Expansion: expansion.expansion(total),
        metrics.ExpansionBySegment: expansion.expansion_by_segment(segments),
        metrics.ExpansionByType: expansion.expansion_by_type(total),
        metrics.Retention: ratios(both, retention.RETENTION),
        metrics.Expanders: ratios(both, expanders.EXPANDERS),
        metrics.ExpansionByDimension: ratios(others, dimensions.METRICS),
        metrics.ExpansionByOrigin: by_origin,
    }


def ratios(sums: pd.DataFrame, wanted: Any) -> pd.DataFrame:
    return metrics_rows.metric_rows(
        sums, {name: amounts for name, amounts in wanted.items() if name not in NOT_SUMS}
    )


def assert_same(model: type[Table], expected: pd.DataFrame, published: pd.DataFrame) -> None:
    """Every published figure is the rebuilt one; slices that hold nothing are not rebuilt and are zero."""
    key = ["month", "dimension", "value", "metric"]
    amounts = [name for name in ("numerator", "denominator") if name in expected.columns]
    shown = published[published["metric"].isin(expected["metric"])]
    shown = shown[shown["dimension"].isin(expected["dimension"])]
    both = shown.merge(expected[[*key, *amounts]], on=key, how="left", suffixes=("", "_rebuilt"))
    for name in amounts:
        right = both[name].fillna(0).astype("int64") == both[f"{name}_rebuilt"].fillna(0).astype("int64")
        assert right.all(), f"{model.Config.name}\n{both.loc[~right, [*key, name, f'{name}_rebuilt']].head()}"
    assert len(both) == len(shown) > 0
    assert not set(map(tuple, expected.loc[expected["numerator"] != 0, key].to_numpy())) - set(
        map(tuple, shown[key].to_numpy())
    )


CHANGED: dict[str, dict[str, Any]] = {
    "prod_Insights": {"kind": "addon"},
    "prod_Storage": {"kind": "base", "unit": "seat"},
    "prod_WorkspacePro": {"family": "pro"},
    "prod_WorkspaceBasic": {"unit": "flat"},
}
WALKED: list[type[Table]] = [
    *(
        metrics.Expansion,
        metrics.ExpansionBySegment,
        metrics.ExpansionByType,
        metrics.Retention,
        metrics.Expanders,
    ),
    *(
        metrics.ExpansionByDimension,
        metrics.ExpansionByOrigin,
        metrics.Rollforward,
        metrics.RollforwardByDimension,
    ),
]
VERSIONS = ["policy_hash", "catalog_hash"]


def test_figures_of_a_closed_month_that_someone_changed_are_not_taken_for_reported(
    unaware: Pipeline, tmp_path: Path
) -> None:
    with unaware.copied(tmp_path) as copied:
        rows = copied.lake.read(mrr.FirstReported, ["2026-04"])
        copied.lake.replace(
            mrr.FirstReported, rows.assign(segment="smb", states_hash="0" * 16), months=["2026-04"]
        )
        with pytest.raises(
            Exception,
            match=r"what was first reported at 2026-11-03.* is not in the table any "
            r"more.*mrr/first_reported 2026-04",
        ):
            copied.refresh()
        copied.lake.replace(mrr.FirstReported, rows, months=["2026-04"])  # other files, the same rows
        copied.refresh("2026-04", "2026-04")


@pytest.mark.parametrize("killed_before_build", [True, False])
def test_a_close_the_ledger_does_not_know_is_taken_as_it_was_committed(
    unaware: Pipeline, tmp_path: Path, killed_before_build: bool
) -> None:
    """Killed between the table's commit and the ledger's two, and refreshed when the late invoice was
    there.
    """
    with unaware.copied(tmp_path) as copied:
        first, builds, closes = (
            copied.lake.content_hash(mrr.FirstReported),
            copied.ledger.builds.of("mrr/first_reported"),
            copied.ledger.builds.closes(),
        )
        with sa.create_engine(copied.settings.ledger_url).begin() as connection:
            connection.execute(sa.text("delete from closes where month = '2026-04'"))
            if killed_before_build:
                connection.execute(
                    sa.text(
                        "delete from builds where table_name = 'mrr/first_reported' and month = '2026-04'"
                    )
                )
        informed(copied)
        assert copied.lake.content_hash(mrr.FirstReported) == first
        assert copied.ledger.builds.of("mrr/first_reported") == builds
        assert copied.ledger.builds.closes() == closes
        assert set(restated(copied)["month"]) == {"2026-04", "2026-05"}


def test_restating_after_a_change_of_catalog_tells_what_moved_and_why(
    unaware: Pipeline, tmp_path: Path
) -> None:
    with unaware.copied(tmp_path) as copied:
        catalog = yaml.safe_load(Path(str(copied.settings.expansion_catalog)).read_text())
        path = tmp_path / "catalog.yaml"
        path.write_text(yaml.safe_dump({**catalog, "excluded_customers": [CUSTOMER]}))
        alerts = copied.ledger.alerts.read()
        decided = copied.with_settings(expansion_catalog=path)
        lines = list(restate(decided.settings, "2026-05", None, Console(quiet=True), decided.instance))
        assert lines[0].startswith("This run moved ")
        assert lines[0].endswith(f" figures of 1 customer in 2026-05 to {NEWEST}.")
        assert any(
            line.startswith("2026-05: MRR ") and " first reported 2026-11-03, " in line for line in lines
        )
        assert any(
            " closing: the catalog was changed (cus_ANx2D9pKG35XzMk9ENGyAJmc -" in line for line in lines
        )
        assert_ties(copied)
        assert set(restated(copied)["reason"]) == {"catalog_change"}
        assert set(restated(copied)["month"]) == {f"2026-{number:02d}" for number in range(5, 11)}
        assert copied.ledger.alerts.read() == alerts
        again = list(restate(decided.settings, "2026-05", None, Console(quiet=True), decided.instance))
        assert again[0] == "This run moved no figure of a month that had closed."
        assert again[1:] == lines[1:]


@pytest.mark.slow
def test_a_month_that_has_not_closed_is_provisional_and_not_judged(unaware: Pipeline, tmp_path: Path) -> None:
    with unaware.copied(tmp_path) as copied:
        waiting = copied.with_settings(
            expansion_data_dir=str(tmp_path / "waiting"), expansion_close_lag_days=5
        )
        waiting.refresh()
        assert waiting.lake.months(mrr.FirstReported)[-1] == "2026-09"
        for model in (metrics.Expansion, metrics.Trailing, metrics.Coverage):
            graded = waiting.lake.read(model).groupby("month")["quality"].agg(set)
            # Few customers are told before that the month is open (semantics 4), so `low_n` may stand in
            # either.
            assert "ok" not in graded[NEWEST]
            assert "provisional" in graded[NEWEST]
            assert "provisional" not in graded["2026-09"]
        assert {state.month for state in waiting.ledger.alerts.states().values()} == {"2026-09"}
        closed = waiting.with_settings(expansion_as_of="2026-11-06T00:00:00+00:00")
        closed.refresh()
        assert closed.lake.months(mrr.FirstReported)[-1] == NEWEST
        assert "provisional" not in set(closed.lake.read(metrics.Expansion)["quality"])
        assert {state.month for state in closed.ledger.alerts.states().values()} == {NEWEST}
