"""`expansion catalog`: the file it writes changes nothing until it is edited, makes sense when it is, and is
told apart from the account.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from expansion_platform.cli.main import app
from expansion_platform.domain.catalog.catalog import Catalog, CatalogEntry
from expansion_platform.domain.core.errors import ConfigurationError, ExpansionError
from expansion_platform.domain.metrics import tables as metrics
from expansion_platform.domain.mrr import tables as mrr
from expansion_platform.domain.pricing.policy import Policy
from expansion_platform.reports.catalog.account import read_account
from expansion_platform.reports.catalog.check import Finding, examine
from expansion_platform.reports.catalog.file import first_catalog
from expansion_platform.resources import Platform
from expansion_platform_tests.pipelines import COMPUTED, NEWEST, Pipeline

pytestmark = pytest.mark.xdist_group("pipeline")


def command(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, *arguments: str, **environment: str
) -> Result:
    for name, value in {
        **pipeline.world.environment,
        "EXPANSION_DATA_DIR": str(pipeline.settings.data_dir),
        **environment,
    }.items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, ["catalog", *arguments])


@pytest.fixture
def first(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file `expansion catalog init` writes."""
    path = tmp_path / "catalog.yaml"
    ran = command(pipeline, monkeypatch, "init", "--output", str(path))
    assert ran.exit_code == 0, ran.output
    assert "6 products" in ran.output
    return path


def edited(path: Path) -> str:
    """The file with every guess uncommented, but not the examples of customers."""
    fields = "|".join([*CatalogEntry.model_fields, *Policy.model_fields])
    return re.sub(rf"^(\s+)# (?=({fields}): |- {{)", r"\1", path.read_text(), flags=re.MULTILINE)


def found(pipeline: Pipeline, content: dict) -> list[Finding]:
    platform = Platform(pipeline.settings)
    catalog = Catalog.from_dict(content, platform.catalog().metadata)
    return [finding for finding in examine(catalog, read_account(platform, catalog)) if finding.level != "ok"]


def test_the_file_as_written_is_the_empty_catalog(pipeline: Pipeline, first: Path) -> None:
    none, written = (
        Platform(pipeline.settings.model_copy(update={"expansion_catalog": path})).catalog()
        for path in (None, first)
    )
    assert (written.catalog_hash, written.policy_hash) == (none.catalog_hash, none.policy_hash)
    assert written.model_dump() == none.model_dump()


def test_the_file_as_written_changes_no_row(pipeline: Pipeline, first: Path, tmp_path: Path) -> None:
    with pipeline.copied(tmp_path) as copied:
        months = ("2026-09", NEWEST)
        silent = copied.with_settings(expansion_catalog=None)
        silent.refresh(*months)
        before = silent.contents(COMPUTED)
        copied.with_settings(expansion_catalog=first).refresh(*months)
        assert silent.contents(COMPUTED) == before
        shares = silent.lake.read(metrics.Coverage, [NEWEST]).set_index("metric")
        assert shares.at["inferred_mrr_share", "ratio"] == "1.0000000000"
        assert (
            shares.at["inferred_mrr_share", "numerator"]
            == silent.lake.read(mrr.CustomerMonths, [NEWEST])["closing"].sum()
        )


def test_every_guess_uncommented_is_a_catalog_that_fits(
    pipeline: Pipeline, first: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "edited.yaml"
    path.write_text(edited(first))
    read = Catalog.from_yaml(path)
    plans = {
        name: read.products[f"prod_Workspace{name}"].tier_rank for name in ("Basic", "Pro", "Enterprise")
    }
    assert plans == {"Basic": 1, "Pro": 2, "Enterprise": 3}
    assert {entry.family for identity, entry in read.products.items() if "Workspace" in identity} == {
        "workspace"
    }
    assert read.products["prod_Storage"].kind == "addon"
    # 6 products, 4 currencies, 2 intervals; the four retired prices are no list prices.
    assert len(read.list_prices) == 48
    assert read.policy.policy_hash == Catalog().policy_hash
    ran = command(pipeline, monkeypatch, "check", str(path))
    assert ran.exit_code == 0, ran.output
    assert f"every product with MRR in {NEWEST} has an entry" in ran.output
    assert "look" not in ran.output


def test_shares_are_of_the_newest_month(first: Path) -> None:
    shares = [float(share) for share in re.findall(rf": ([\d.]+) % of MRR in {NEWEST}", first.read_text())]
    assert len(shares) == 6
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.05)


def test_detected_migrations_are_listed_to_confirm(pipeline: Pipeline) -> None:
    platform = Platform(pipeline.settings)
    account = read_account(platform, platform.catalog())
    row = {
        "month": "2026-05",
        "old_price": "price_basic_usd_month",
        "new_price": "on",
        "customers_moved": 6,
        "customers_on_old": 8,
    }
    account = account.__class__(**{**vars(account), "migrations": pd.DataFrame([row])})
    text = first_catalog(account, Catalog(), "usd")
    assert (
        '  # - [price_basic_usd_month, "on"]  # 6 of 8 customers moved in 2026-05 at unchanged quantity'
        in text
    )
    told = [finding.text for finding in examine(Catalog(), account) if finding.subject == "migrations"]
    assert told[-1] == "detected, yours to confirm: price_basic_usd_month to on"


@pytest.mark.parametrize(
    ("content", "level", "subject", "text"),
    [
        (
            {"products": {"prod_Nope": {"kind": "base"}}},
            "wrong",
            "products",
            "no product or price of the account: prod_Nope",
        ),
        (
            {"migrations": [["price_x", "price_basic_usd_month"]]},
            "wrong",
            "migrations",
            "no recurring price of the account: price_x",
        ),
        (
            {"aliases": {"cus_a": "cus_b"}},
            "wrong",
            "aliases",
            "merged into a customer the account does not have: cus_b",
        ),
        ({"ever_paid": ["cus_gone"]}, "look", "customers", "not in the account: cus_gone"),
        (
            {
                "list_prices": [
                    {
                        "price": "price_basic_usd_year",
                        "product": "prod_WorkspacePro",
                        "currency": "usd",
                        "scheme": {"unit": "12000"},
                    }
                ]
            },
            "wrong",
            "list_prices",
            "price_basic_usd_year: product prod_WorkspacePro, in Stripe prod_WorkspaceBasic, interval "
            "month, in Stripe year",
        ),
        (
            {"products": {"prod_WorkspaceEnterprise": {"family": "workspace", "tier_rank": 2}}},
            "look",
            "tier_rank",
            "workspace: prod_WorkspaceEnterprise, prod_WorkspacePro share rank 2, so a move between "
            "them is repricing, not a change of plan",
        ),
        (
            {"products": {"prod_WorkspaceEnterprise": {"family": "workspace", "tier_rank": 0}}},
            "look",
            "tier_rank",
            "workspace: prod_WorkspaceBasic (rank 1) is cheaper than prod_WorkspaceEnterprise (rank 0)",
        ),
        (
            {"products": {"prod_WorkspaceEnterprise": {"family": "workspace"}}},
            "look",
            "tier_rank",
            "workspace: no rank for prod_WorkspaceEnterprise, so every move to or from it is a change "
            "of plan",
        ),
        (
            {"products": {"prod_WorkspacePro": {"tier_rank": 5}}},
            "look",
            "tier_rank",
            "workspace: prod_WorkspacePro has rank 5 here and 2 in Stripe's metadata",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    pipeline: Pipeline, content: dict, level: str, subject: str, text: str
) -> None:
    assert Finding(level, subject, text) in found(pipeline, content)


def test_products_without_an_entry_are_listed_with_their_share(pipeline: Pipeline) -> None:
    entries = {f"prod_Workspace{name}": {"family": "workspace"} for name in ("Basic", "Pro", "Enterprise")}
    (coverage,) = [
        finding for finding in found(pipeline, {"products": entries}) if finding.subject == "coverage"
    ]
    assert coverage.level == "look"
    assert re.search(r"Insights \(prod_Insights, \d+\.\d\d %\)", coverage.text)
    assert "Workspace" not in coverage.text


def test_check_fails_on_a_mistake(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("products: {prod_Nope: {kind: base}}\npolicy: {preset: stripe_parity}")
    ran = command(pipeline, monkeypatch, "check", EXPANSION_CATALOG=str(path))
    assert ran.exit_code == 1
    assert "FAIL products: no product or price of the account: prod_Nope" in ran.output
    assert "(stripe_parity)" in ran.output


def test_what_cannot_be_done_says_what_to_do(
    pipeline: Pipeline, first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = first.read_text()
    assert isinstance(command(pipeline, monkeypatch, "init", "-o", str(first)).exception, ExpansionError)
    assert first.read_text() == kept
    empty = command(
        pipeline,
        monkeypatch,
        "init",
        "-o",
        str(tmp_path / "x.yaml"),
        EXPANSION_DATA_DIR=str(tmp_path / "empty"),
    )
    assert "expansion refresh" in str(empty.exception)
    monkeypatch.chdir(tmp_path)
    without = command(pipeline, monkeypatch, "check", EXPANSION_CATALOG="")
    assert isinstance(without.exception, ConfigurationError)
    assert "expansion catalog init" in str(without.exception)


def test_a_catalog_in_another_currency_is_refused(pipeline: Pipeline, tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text("reporting_currency: eur")
    with pytest.raises(
        ConfigurationError, match=r"catalog\.yaml: reporting_currency is eur, EXPANSION_CURRENCY is usd"
    ):
        Platform(pipeline.settings.model_copy(update={"expansion_catalog": path})).catalog()


def test_who_is_excluded_is_in_no_month_and_who_paid_before_returns(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    new = pipeline.lake.read(mrr.Movements, ["2026-03"]).query("movement == 'new'")["customer"].tolist()
    internal, returned = new[:2]
    path = tmp_path / "catalog.yaml"
    path.write_text(f"excluded_customers: [{internal}]\never_paid: [{returned}]")
    with pipeline.copied(tmp_path) as copied:
        copied.with_settings(expansion_catalog=path).refresh("2026-02", NEWEST)
        months = copied.lake.months(mrr.CustomerMonths)[-9:]
        assert internal not in set(copied.lake.read(mrr.CustomerMonths, months)["customer"])
        told = copied.lake.read(mrr.Movements, ["2026-03"]).set_index("customer")
        assert told.at[returned, "movement"] == "reactivation"
        assert set(told.loc[told.index.isin(new[2:]), "movement"]) <= {"new"}
